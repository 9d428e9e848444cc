"""The seven clouds under the names, signatures and dicts that users know. What they do is the Rust core's."""

from __future__ import annotations

import functools
import os
import threading
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple, Type, TypeVar, Union, cast

from . import _settings
from .aio import AsyncManager, AsyncProvider
from .api_clients import (
    APIClient,
    APIError,
    AuthenticationError,
    DigitalOceanAPIClient,
    HivelocityAPIClient,
    InvalidRequestError,
    RateLimitError,
    ResourceNotFoundError,
    VultrAPIClient,
)

if TYPE_CHECKING:
    from . import _native

__all__ = [
    "APIError",
    "AuthenticationError",
    "RateLimitError",
    "ResourceNotFoundError",
    "ProviderTemplate",
    "Provider",
    "HivelocityProvider",
    "DigitalOceanProvider",
    "VultrProvider",
    "AWSProvider",
    "EquinixMetalProvider",
    "LinodeProvider",
    "ScalewayProvider",
    "ProviderManager",
    "get_default_manager",
]


@dataclass
class ProviderTemplate:
    """An older name for a plan. Prices are USD as they stood; ``ProviderManager.refresh_prices`` sets today's."""

    id: str
    name: str
    provider: str
    cpu: int
    memory_gb: int
    storage_gb: int
    bandwidth_tb: float
    price_hourly: float
    price_monthly: float
    gpu: Optional[str] = None
    regions: List[str] = field(default_factory=list)
    features: List[str] = field(default_factory=list)

    @property
    def price_annual(self) -> float:
        """Twelve months."""
        return self.price_monthly * 12

    def to_dict(self) -> Dict[str, Any]:
        """The twelve fields."""
        return {
            "id": self.id,
            "name": self.name,
            "provider": self.provider,
            "cpu": self.cpu,
            "memory_gb": self.memory_gb,
            "storage_gb": self.storage_gb,
            "bandwidth_tb": self.bandwidth_tb,
            "price_hourly": self.price_hourly,
            "price_monthly": self.price_monthly,
            "gpu": self.gpu,
            "regions": self.regions,
            "features": self.features,
        }


# What every provider reads of `config`, in Capsule's words.
_COMMON = ("name", "region", "plan", "image", "ssh_keys", "tags", "wait", "timeout", "idempotency_key", "max_hourly")
_XNODE = ("owner", "domain", "acme_email")
# Order even from a provider that is closed, or an xNode where it is known not to fit.
_FORCE = "force"
# What would cost, protect or connect, and cannot be ordered: silence would be a lie.
_REFUSED = ("backups", "ddos_protection", "security_group_ids", "subnet_id")
# What is so or not, whatever is said, and harms nobody.
_WITHOUT_EFFECT = ("ipv6", "monitoring")


class Provider(AsyncProvider, ABC):
    """One cloud. With ``legacy_errors`` a list that fails is ``[]`` and a change that fails is ``False``, as it once was.

    ``allow_unmanaged`` lets ``start_instance``, ``stop_instance`` and ``delete_instance`` touch servers that this
    installation did not make.
    """

    _region = ""
    _image_key = "image"
    _key_key: Optional[str] = None
    _tags: Tuple[str, ...] = ()

    def __init__(self, name: str, api_key: Optional[str] = None) -> None:
        self.name = name
        self.api_key = api_key or os.environ.get(f"{name.upper()}_API_KEY") or None
        self.legacy_errors = False
        self.allow_unmanaged = False
        self.templates: List[ProviderTemplate] = []
        self.regions: List[str] = []
        self._config: Optional[Path] = None
        self._opened: Optional[Tuple[int, _native.Core]] = None
        self._lock = threading.Lock()
        self._load()

    @abstractmethod
    def _load(self) -> None:
        """Fills in templates and regions, and a client where there is one."""

    def _fill(self, provider: str) -> None:
        from . import _native

        self._provider = provider
        rows, regions = _native.templates()
        self.templates = [ProviderTemplate(**row) for row in rows if row["provider"] == provider]
        self.regions = list(regions[provider])

    def _core(self) -> _native.Core:
        with self._lock:
            # A child of fork has none of its parent's threads.
            if self._opened is None or self._opened[0] != os.getpid():
                keys = {self._provider: self.api_key} if self.api_key and self._provider != "aws" else {}
                self._opened = (os.getpid(), _settings.core(keys, self._config))
            return self._opened[1]

    def deploy(self, template_id: str, config: Dict[str, Any]) -> Dict[str, Any]:
        """Makes one server, exactly once, and returns when the provider has accepted it.

        ``config`` reads ``name``, ``region`` and the provider's own keys, and beside them: ``wait`` (``"none"``,
        ``"running"``, ``"ready"``), ``timeout`` in seconds, ``idempotency_key``, ``max_hourly`` in USD, ``tags``,
        ``plan`` (the provider's plan instead of the template's), ``owner``, ``domain``, ``acme_email`` for an xNode, and
        ``force`` for an order to a provider that is closed, or for an xNode where it is known not to fit.

        Raises ValueError for an unknown template, RuntimeError without a key, APIError for what the provider refuses.
        """
        template = self.get_template(template_id)
        if template is None:
            raise ValueError(f"Unknown template: {template_id}. {self.name} has {', '.join(t.id for t in self.templates)}.")
        order = self._order(config)
        made = self._core().deploy(self._provider, plan=str(config.get("plan") or template_id), **order)
        return {
            "id": made["id"],
            "name": made["name"],
            "provider": self._provider,
            "template": template_id,
            "region": made["region"],
            "status": made["status"],
            "ip_address": made["ip_address"],
            "cost_hourly": made["cost_hourly"],
            "metadata": made["metadata"],
            "created_at": made["created_at"],
            "normalized_status": made["normalized_status"],
            "capsule_id": made["capsule_id"],
            "currency": made["currency"],
            "operation": made["operation"],
        }

    def _order(self, config: Mapping[str, Any]) -> Dict[str, Any]:
        known = {*_COMMON, *_XNODE, _FORCE, *_REFUSED, *_WITHOUT_EFFECT, self._image_key, self._key_key}
        unknown = sorted(set(config) - known)
        if unknown:
            raise InvalidRequestError(f"{self.name} reads no config[{unknown[0]!r}].")
        refused = [key for key in _REFUSED if config.get(key)]
        if refused:
            raise InvalidRequestError(f"config[{refused[0]!r}] cannot be ordered through Capsule; leave it out.")
        image = config.get(self._image_key) or config.get("image")
        keys = _words("ssh_keys", config.get("ssh_keys"))
        if self._key_key and config.get(self._key_key):
            keys.append(str(config[self._key_key]))
        timeout, limit = config.get("timeout"), config.get("max_hourly")
        return {
            "name": str(config.get("name") or _a_name(config.get("idempotency_key"))),
            "region": str(config.get("region") or self._region),
            "image": None if image is None else str(image),
            "ssh_keys": keys,
            "tags": [*self._tags, *_tags(config.get("tags"))],
            "wait": str(config.get("wait") or "none"),
            "timeout": None if timeout is None else int(timeout),
            "idempotency_key": _text(config.get("idempotency_key")),
            "max_hourly": _text(limit),
            "force": bool(config.get(_FORCE)),
            **{key: _text(config.get(key)) for key in _XNODE},
        }

    def list_instances(self) -> List[Dict[str, Any]]:
        """Every server that the key can see; an error is raised and never a shorter list."""
        try:
            return self._core().list(self._provider)
        except APIError:
            if self.legacy_errors:
                return []
            raise

    def get_instance(self, instance_id: str) -> Dict[str, Any]:
        """One server as it is now, with the vendor's body under ``metadata``."""
        return self._core().get(self._provider, str(instance_id))

    def delete_instance(self, instance_id: str) -> bool:
        """Ends a server; True once the provider says that it is gone."""
        return self._change(lambda: self._core().delete(self._provider, str(instance_id), self.allow_unmanaged))

    def start_instance(self, instance_id: str) -> bool:
        """Starts a server; True once it runs."""
        return self._change(lambda: self._core().power(self._provider, str(instance_id), True, self.allow_unmanaged))

    def stop_instance(self, instance_id: str) -> bool:
        """Shuts a server down; True once it is off."""
        return self._change(lambda: self._core().power(self._provider, str(instance_id), False, self.allow_unmanaged))

    def _change(self, change: Any) -> bool:
        try:
            change()
        except NotImplementedError:
            raise
        except APIError as error:
            if self.legacy_errors and not isinstance(error, RuntimeError):
                return False
            raise
        return True

    def get_template(self, template_id: str) -> Optional[ProviderTemplate]:
        """The template of this id, or None."""
        return next((template for template in self.templates if template.id == template_id), None)

    def get_pricing(self, template_id: str) -> Optional[Dict[str, float]]:
        """What the template says that it costs in USD, or None for an unknown one."""
        template = self.get_template(template_id)
        if template is None:
            return None
        return {
            "hourly": template.price_hourly,
            "daily": template.price_hourly * 24,
            "monthly": template.price_monthly,
            "annual": template.price_annual,
        }

    def get_live_pricing(self, template_id: str, region: Optional[str] = None) -> Dict[str, Any]:
        """What the provider asks for it today, in ``region`` or where it is cheapest. The answer is kept for an hour."""
        plan, place, currency, hourly, monthly = self._core().quote(template_id, region)
        return {
            "hourly": hourly,
            "daily": hourly * 24,
            "monthly": monthly,
            "annual": monthly * 12,
            "currency": currency,
            "plan": plan,
            "region": place,
        }

    def validate_credentials(self) -> bool:
        """Asks the provider whether it takes the key; with ``legacy_errors`` only looks whether there is one."""
        if self.legacy_errors:
            return bool(self.api_key)
        try:
            self._core().verify(self._provider)
        except AuthenticationError:
            return False
        return True

    def _client(self, made: Type[APIClient]) -> Optional[APIClient]:
        key = _settings.SANDBOX_KEY if _settings.sandbox() else self.api_key
        return made(key) if key else None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"


def _a_name(key: Any) -> str:
    """A name for a server that was given none. They are unique among living servers, so that it must not be the same twice,
    but for the same deploy."""
    if not key:
        return f"xnode-{os.urandom(4).hex()}"
    import hashlib

    return f"xnode-{hashlib.sha256(str(key).encode()).hexdigest()[:8]}"


def _text(value: Any) -> Optional[str]:
    return None if value is None or value == "" else str(value)


def _words(field_name: str, value: Union[None, str, Sequence[Any]]) -> List[str]:
    if not value:
        return []
    if isinstance(value, (str, int)):
        return [str(value)]
    if not isinstance(value, (list, tuple, set)):
        raise InvalidRequestError(f"config[{field_name!r}] is a list of words, not {type(value).__name__}.")
    return [str(word) for word in value]


def _tags(value: Union[None, Mapping[str, Any], Sequence[Any]]) -> List[str]:
    if isinstance(value, Mapping):
        return [f"{key}={word}" for key, word in value.items()]
    return _words("tags", value)


class HivelocityProvider(Provider):
    """Hivelocity."""

    _region, _image_key = "atlanta", "os"

    def _load(self) -> None:
        self._fill("hivelocity")
        self.api_client = self._client(HivelocityAPIClient)


class DigitalOceanProvider(Provider):
    """DigitalOcean."""

    _region, _tags = "nyc1", ("xnode", "openmesh")

    def _load(self) -> None:
        self._fill("digitalocean")
        self.api_client = self._client(DigitalOceanAPIClient)


class VultrProvider(Provider):
    """Vultr."""

    _region, _image_key, _tags = "ewr", "os_id", ("xnode",)

    def _load(self) -> None:
        self._fill("vultr")
        self.api_client = self._client(VultrAPIClient)


class AWSProvider(Provider):
    """AWS EC2, with the credentials that AWS's own tools would use. ``ec2_client`` and ``ec2_resource`` are boto3's, if it is there."""

    _region, _image_key, _key_key = "us-east-1", "ami_id", "key_name"
    _tags = ("Project=openmesh", "Type=xnode")

    def _load(self) -> None:
        self._fill("aws")

    @property
    def ec2_client(self) -> Any:
        """boto3's EC2 client, or None without boto3, credentials or region, and in the sandbox."""
        return self._boto3("client")

    @property
    def ec2_resource(self) -> Any:
        """boto3's EC2 resource; None as for ``ec2_client``."""
        return self._boto3("resource")

    def _boto3(self, kind: str) -> Any:
        if _settings.sandbox():
            return None
        try:
            import boto3  # type: ignore[import-not-found,import-untyped,unused-ignore]
            from botocore.exceptions import BotoCoreError  # type: ignore[import-not-found,import-untyped,unused-ignore]
        except ImportError:
            return None
        try:
            return getattr(boto3, kind)("ec2")
        except BotoCoreError:
            return None


class EquinixMetalProvider(Provider):
    """Equinix Metal, which was switched off on 2026-06-30."""

    _region = "da"

    def _load(self) -> None:
        self._fill("equinix")


class LinodeProvider(Provider):
    """Linode."""

    _region = "us-east"

    def _load(self) -> None:
        self._fill("linode")


class ScalewayProvider(Provider):
    """Scaleway."""

    _region = "par1"

    def _load(self) -> None:
        self._fill("scaleway")


_CLASSES: Dict[str, Type[Provider]] = {
    "hivelocity": HivelocityProvider,
    "digitalocean": DigitalOceanProvider,
    "vultr": VultrProvider,
    "aws": AWSProvider,
    "equinix": EquinixMetalProvider,
    "linode": LinodeProvider,
    "scaleway": ScalewayProvider,
}


_Call = TypeVar("_Call", bound=Callable[..., Any])


def _also(other: str, name: str) -> Callable[[_Call], _Call]:
    """Lets a keyword go by another name as well: the original's code had one and what was told of it the other."""

    def taking(call: _Call) -> _Call:
        @functools.wraps(call)
        def called(*args: Any, **kw: Any) -> Any:
            if other in kw and name not in kw:
                kw[name] = kw.pop(other)
            return call(*args, **kw)

        return cast(_Call, called)

    return taking


class ProviderManager(AsyncManager):
    """All seven providers with the keys of ``providers.yml``, which come before the environment's.

    The file is made when a key is first stored, 0600; looking at it makes nothing. In the sandbox the default file is one of
    its own.
    """

    def __init__(
        self, config_file: Union[None, str, Path] = None, *, legacy_errors: bool = False, allow_unmanaged: bool = False
    ) -> None:
        self.config_file = Path(config_file) if config_file is not None else _settings.config_file()
        self.legacy_errors = legacy_errors
        self.allow_unmanaged = allow_unmanaged
        self.providers: Dict[str, Provider] = {}
        self._load()

    def _load(self) -> None:
        from . import _native

        keys = _native.stored_keys(self.config_file)
        providers = {name: made(name, keys.get(name)) for name, made in _CLASSES.items()}
        for provider in providers.values():
            provider.legacy_errors = self.legacy_errors
            provider.allow_unmanaged = self.allow_unmanaged
            provider._config = self.config_file if self.config_file.exists() else None
        self.providers = providers

    def list_providers(self) -> List[str]:
        """Their names, in order."""
        return list(self.providers)

    def get_provider(self, name: str) -> Optional[Provider]:
        """The provider of this name, or None."""
        return self.providers.get(name)

    def get_all_templates(self) -> List[ProviderTemplate]:
        """All 31, in order."""
        return [template for provider in self.providers.values() for template in provider.templates]

    def compare_templates(
        self, min_cpu: int = 0, min_memory: int = 0, max_price: float = float("inf")
    ) -> List[ProviderTemplate]:
        """Those that fit, cheapest hour first."""
        fitting = (
            template
            for template in self.get_all_templates()
            if template.cpu >= min_cpu and template.memory_gb >= min_memory and template.price_hourly <= max_price
        )
        return sorted(fitting, key=lambda template: template.price_hourly)

    def get_cheapest_option(self, min_cpu: int = 1, min_memory: int = 1) -> Optional[ProviderTemplate]:
        """The cheapest that fits, or None."""
        return next(iter(self.compare_templates(min_cpu, min_memory)), None)

    def refresh_prices(self) -> Dict[str, Optional[str]]:
        """Sets the templates' prices to today's, where they are in USD.

        Gives for each template None, or why its price stands as it was: nobody sells it, no key, another currency.
        """
        told: Dict[str, Optional[str]] = {}
        for provider in self.providers.values():
            for template in provider.templates:
                try:
                    price = provider.get_live_pricing(template.id)
                except APIError as error:
                    told[template.id] = error.message
                    continue
                told[template.id] = None if price["currency"] == "USD" else f"Its price is in {price['currency']}."
                if price["currency"] == "USD":
                    template.price_hourly, template.price_monthly = price["hourly"], price["monthly"]
        return told

    @_also("provider_name", "provider")
    def deploy_to_provider(self, provider: str, template_id: str, config: Dict[str, Any]) -> Dict[str, Any]:
        """``Provider.deploy`` of that provider; ValueError for an unknown one."""
        return self._known(provider).deploy(template_id, config)

    @_also("provider_name", "name")
    def configure_provider(self, name: str, api_key: str) -> None:
        """Stores a key, readable by its owner alone, and makes all providers anew; ValueError for an unknown one."""
        from . import _native

        self._known(name)
        _native.store_key(self.config_file, name, api_key)
        self._load()

    def _known(self, name: str) -> Provider:
        provider = self.get_provider(name)
        if provider is None:
            raise ValueError(f"Unknown provider: {name}. There are {', '.join(self.providers)}.")
        return provider


_default: Optional[Tuple[object, ProviderManager]] = None
_default_lock = threading.Lock()


def get_default_manager() -> ProviderManager:
    """The manager of the settings as they are now: one for the process, until ``providers.yml`` or the environment changes."""
    global _default
    with _default_lock:
        settings = _settings.state()
        if _default is None or _default[0] != settings:
            _default = (settings, ProviderManager())
        return _default[1]
