"""xNodes, by the names of the original's `openmesh_core`.

The original spoke to an OpenMesh API that never existed and dug tunnels to an SSH server that no xNode has. Here
`XNodeManager` does what it promised through the providers (`capsule_package.providers`, whose work is done by the Rust
core), and raises `NotImplementedError` with the way to go where that cannot be.

`~/.capsule/openmesh.yml` holds the settings of `OpenMeshConfig`; other keys in it stay as they are.
"""

import logging
import re
import threading
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from pathlib import Path
from subprocess import Popen
from typing import Any, Dict, Iterator, List, Mapping, NoReturn, Optional, Tuple, Union

import yaml

from . import _store

logger = logging.getLogger(__name__)

# The providers' words for how a server is, and the one that they come to; underscores do not count. The Rust core has the
# tables by provider; these words stand in files, where nobody says any more how they were meant.
_WORDS: Dict[str, Tuple[str, ...]] = {
    "provisioning": (
        *("deploying", "new", "pending", "queued", "provisioning", "starting", "booting", "poweringon", "installing"),
        *("ordered", "order verification", "order lead", "order provisioning", "order assembling", "building"),
        *("creating", "rebuilding", "restoring", "cloning", "migrating", "resizing", "reinstalling", "reloading"),
        *("ipmiready", "provisionable", "reserved", "waitforpxe", "provisionstarted", "provisionwaitforaddons"),
        *("provisionfinished", "waittocompleteorder", "waittoassignservice", "waitforhardwarescan"),
    ),
    "running": (
        *("running", "active", "on", "inuse on", "inuse pending", "rebooting", "restarting"),
        # Still on, and billed, until it is off.
        *("stopping", "shuttingdown", "poweringoff", "busy"),
    ),
    "stopped": ("stopped", "stopped in place", "off", "offline", "inactive", "halted", "inuse off"),
    # EC2's has a dash and means its end, where Linode's has an underscore.
    "deleting": ("deleting", "deleted", "terminating", "terminated", "shutting-down", "deprovisioning", "gone"),
    "failed": ("failed", "error", "archive", "suspended", "billingsuspension", "locked", "cleanupmovetofailed"),
}
_NORMAL = {word: normal for normal, words in _WORDS.items() for word in words}


def normal_status(word: Optional[str]) -> str:
    """`provisioning`, `running`, `stopped`, `deleting`, `failed` or `unknown`, from a provider's word for it.

    >>> normal_status("active"), normal_status("active/stopped/ok"), normal_status(None)
    ('running', 'stopped', 'unknown')
    """
    # Scaleway's comes with its detail in parentheses.
    plain = (word or "").strip().lower().replace("_", "").split(" (")[0]
    if plain.startswith("active/"):
        # Vultr's come together: the order, the power, and what is being done.
        power, _, doing = plain[len("active/") :].partition("/")
        if power == "stopped":
            return "unknown" if doing == "locked" else "stopped"
        if power == "running":
            return "running" if doing in ("", "ok") else "provisioning"
        return "unknown"
    first = plain.split("/")[0]
    # Hivelocity's says after its own word whether the power is on.
    return _NORMAL.get(first) or _NORMAL.get(first.split(" ")[0], "unknown")


def parse_time(text: str) -> datetime:
    """A moment in ISO 8601, with or without an offset.

    Python before 3.11 reads neither `Z` nor a fraction of other than three or six digits: the providers write both.

    Raises ValueError.
    """
    match = re.fullmatch(r"(.*?)(\.\d+)?([Zz]|[+-]\d\d:?\d\d)?", text.strip(), re.DOTALL)
    assert match is not None, "the expression matches every text"
    whole, fraction, offset = match.group(1), match.group(2) or "", match.group(3) or ""
    if offset in ("Z", "z"):
        offset = "+00:00"
    elif offset and ":" not in offset:
        offset = offset[:3] + ":" + offset[3:]
    try:
        return datetime.fromisoformat(whole + (fraction and (fraction + "000000")[:7]) + offset)
    except ValueError:
        raise ValueError(f"{text!r} is no date and time such as 2025-10-15T10:00:00.") from None


@dataclass
class XNode:
    """An xNode.

    `status` is the word that the provider or the file has for it; `is_running` and its siblings know what it means.
    `created_at` is local time without an offset unless it was given with one.
    """

    id: str
    name: str
    status: str
    ip_address: str
    ssh_port: int = 22
    tunnel_port: Optional[int] = None
    created_at: datetime = field(default_factory=datetime.now)
    region: Optional[str] = None
    metadata: Dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> Dict[str, Any]:
        """All fields, `created_at` as text."""
        data = asdict(self)
        data["created_at"] = self.created_at.isoformat()
        return data

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "XNode":
        """From what `to_dict` gives, or from what a provider says of a server. Other keys end in `metadata`.

        Where a provider's word does not tell by itself what `normalized_status` says, that is the status.

        Raises ValueError where a field is missing or `created_at` is no time.
        """
        known = {field.name for field in fields(cls)}
        missing = [key for key in ("id", "name", "status", "ip_address") if key not in data]
        if missing:
            raise ValueError(f"An XNode needs {', '.join(missing)}.")
        values = {key: value for key, value in data.items() if key in known}
        for key in ("id", "name", "status", "ip_address"):
            values[key] = "" if values[key] is None else str(values[key])
        created = values.get("created_at")
        if isinstance(created, str) and created:
            values["created_at"] = parse_time(created)
        elif not isinstance(created, datetime):
            values.pop("created_at", None)
        others = {key: value for key, value in data.items() if key not in known}
        meant = data.get("normalized_status")
        if meant in _WORDS and normal_status(values["status"]) != meant:
            others["native_status"] = values["status"]
            values["status"] = meant
        values["metadata"] = {**others, **(values.get("metadata") or {})}
        return cls(**values)

    def is_running(self) -> bool:
        """Whether it runs; DigitalOcean and Vultr say `active`."""
        return normal_status(self.status) == "running"

    def is_stopped(self) -> bool:
        """Whether it is off. Most providers bill it all the same."""
        return normal_status(self.status) == "stopped"

    def is_deploying(self) -> bool:
        """Whether it is being made or started."""
        return normal_status(self.status) == "provisioning"


class OpenMeshConfig:
    """The settings in `~/.capsule/openmesh.yml`, over defaults.

    Attributes: `config_file`, and `config_data` with all settings. The file is read when the object is made, and
    written by `set` and `save` alone; then only what was changed here is changed there.
    """

    DEFAULT_CONFIG: Dict[str, Any] = {
        "default_ssh_key": "~/.ssh/id_rsa",
        "default_region": "us-east-1",
        # It never existed. It stays for programs that print it.
        "api_endpoint": "https://api.openmesh.network/v1",
        "timeout": 30,
        "max_retries": 3,
        "log_level": "INFO",
    }

    def __init__(self, config_file: Optional[Union[Path, str]] = None) -> None:
        self.config_file = Path(config_file) if config_file else _store.home() / "openmesh.yml"
        self.config_data: Dict[str, Any] = {}
        self._base: Dict[str, Any] = {}
        self._mutex = threading.RLock()
        self.load()

    def load(self) -> None:
        """Reads the file, if there is one.

        Raises ValueError if it cannot be read as settings. It is never overwritten then.
        """
        with self._mutex:
            self._take(self._read())

    def save(self) -> None:
        """Writes what was changed here into the file. What somebody else wrote there meanwhile stays."""
        with self._mutex, _store.locked(self.config_file):
            merged = _store.merge(self._base, self.config_data, {**self.DEFAULT_CONFIG, **self._read()})
            text = yaml.safe_dump(merged, default_flow_style=False, sort_keys=False, allow_unicode=True)
            _store.replace(self.config_file, text)
            self._take(merged)

    def get(self, key: str, default: Any = None) -> Any:
        """A setting."""
        return self.config_data.get(key, default)

    def set(self, key: str, value: Any) -> None:
        """Changes a setting and saves it."""
        with self._mutex:
            self.config_data[key] = value
            self.save()

    @property
    def default_ssh_key(self) -> str:
        """Path of the private key, `~` expanded."""
        return str(Path(str(self.get("default_ssh_key"))).expanduser())

    @property
    def default_region(self) -> str:
        """Where `deploy_xnode` deploys unless it is told where."""
        return str(self.get("default_region"))

    @property
    def api_endpoint(self) -> str:
        """Where the original looked for an API. Nothing is sent there."""
        return str(self.get("api_endpoint"))

    @property
    def timeout(self) -> int:
        """Seconds. The core has time limits of its own."""
        return int(self.get("timeout", 30))

    @property
    def max_retries(self) -> int:
        """How often to try again. The core decides that by itself: never where it could buy twice."""
        return int(self.get("max_retries", 3))

    @property
    def log_level(self) -> str:
        """A level's name, for programs that set up logging."""
        return str(self.get("log_level", "INFO"))

    def _read(self) -> Dict[str, Any]:
        text = _store.read(self.config_file)
        try:
            settings = yaml.safe_load(text or "")
        except yaml.YAMLError as error:
            raise ValueError(f"{self.config_file} is not YAML: {error}. Mend it or move it away.") from None
        if settings is None:
            return {}
        if not isinstance(settings, dict) or not all(isinstance(key, str) for key in settings):
            raise ValueError(f"{self.config_file} holds no settings by name. Mend it or move it away.")
        return settings

    def _take(self, settings: Mapping[str, Any]) -> None:
        self.config_data = {**self.DEFAULT_CONFIG, **settings}
        self._base = dict(self.config_data)


class XNodeManager:
    """What may be done with xNodes, at all providers that are set up.

    An xNode is meant by the provider's id, by `provider/id`, or by a name that only one has.

    Attributes: `config`, and `active_tunnels`, which stays empty.
    """

    def __init__(self, config: Optional[OpenMeshConfig] = None) -> None:
        self.config = config or OpenMeshConfig()
        self.active_tunnels: Dict[str, Popen[bytes]] = {}

    def list_available_xnodes(self) -> List[Dict[str, Any]]:
        """The templates of all providers, as `ProviderTemplate.to_dict` gives them."""
        return [template.to_dict() for template in _providers().get_all_templates()]

    def list_running_xnodes(self) -> List[XNode]:
        """The servers that run, at all providers that are set up.

        Raises APIError if one of them cannot be asked: the others' servers are not all.
        """
        return [node for node in (XNode.from_dict(server) for _, server in _servers()) if node.is_running()]

    def deploy_xnode(
        self,
        name: str,
        region: Optional[str] = None,
        config_template: Optional[str] = None,
        **kwargs: Any,
    ) -> XNode:
        """Orders a server, and waits until it runs.

        With `owner="eth:..."` it becomes an xNode of that wallet and is waited for until it is claimed; without, it is
        a plain server, and a warning says so. `wait="none"` returns when the order is taken.

        `config_template` is a template's id; without it, the cheapest one is taken that has `min_cpu` (2), `min_memory`
        (4 GB) and at most `max_price` (USD an hour), at `provider` if that is given, in `region`, which is the setting
        `default_region` unless given. Other keywords go to the provider.

        Raises ValueError if nothing fits, and what `Provider.deploy` raises.
        """
        manager = _providers()
        wanted = region or self.config.default_region
        least = {"min_cpu": kwargs.pop("min_cpu", 2), "min_memory": kwargs.pop("min_memory", 4)}
        offers = manager.compare_templates(max_price=kwargs.pop("max_price", float("inf")), **least)
        if config_template is not None:
            offers = [offer for offer in manager.get_all_templates() if offer.id == config_template]
            if not offers:
                raise ValueError(f"There is no template {config_template!r}. list_available_xnodes() has them.")
        provider = kwargs.pop("provider", None)
        offers = [offer for offer in offers if provider in (None, offer.provider)]
        # A region that only a setting names does not outdo a template or a provider that the caller names.
        if region is not None or (config_template is None and provider is None):
            offers = [offer for offer in offers if wanted in offer.regions]
            where: Dict[str, Any] = {"region": wanted}
        else:
            where = {}
        if not offers:
            asked = f"template {config_template}" if config_template else f"{least}"
            at = f" at {provider}" if provider else ""
            raise ValueError(
                f"Nothing is offered in region {wanted!r}{at} for {asked}. list_available_xnodes() has each template's "
                "regions; name one with region=... or set default_region."
            )
        if not kwargs.get("owner"):
            logger.warning("%s becomes a plain server: only with owner='eth:...' it becomes an xNode.", name)
        kwargs.setdefault("wait", "ready" if kwargs.get("owner") else "running")
        made = manager.deploy_to_provider(offers[0].provider, offers[0].id, {"name": name, **where, **kwargs})
        return XNode.from_dict(made)

    def start_xnode(self, xnode_id: str) -> bool:
        """Switches it on. True when it runs."""
        provider, server = _find(xnode_id)
        return bool(provider.start_instance(server["id"]))

    def stop_xnode(self, xnode_id: str) -> bool:
        """Switches it off. True when it is off. Most providers bill it all the same."""
        provider, server = _find(xnode_id)
        return bool(provider.stop_instance(server["id"]))

    def restart_xnode(self, xnode_id: str) -> bool:
        """Switches it off and on again. True when it runs; False if it would not go off, and then it was left alone."""
        provider, server = _find(xnode_id)
        if XNode.from_dict(server).is_stopped() or provider.stop_instance(server["id"]):
            return bool(provider.start_instance(server["id"]))
        return False

    def get_xnode_status(self, xnode_id: str) -> Dict[str, Any]:
        """What the provider says of it: `id, name, provider, status, ip_address, region, created_at, metadata`."""
        provider, server = _find(xnode_id)
        return dict(provider.get_instance(server["id"]))

    def delete_xnode(self, xnode_id: str, force: bool = False) -> bool:
        """Deletes a server and what is on it, whether it runs or not. True when it is gone.

        `force` was meant for running ones; here it changes nothing, since no provider asks for it.
        """
        provider, server = _find(xnode_id)
        return bool(provider.delete_instance(server["id"]))

    def create_tunnel(
        self,
        xnode_id: str,
        local_port: int,
        remote_port: Optional[int] = None,
        ssh_key: Optional[str] = None,
    ) -> "Popen[bytes]":
        """Raises NotImplementedError: no xNode has an SSH server, so there is nothing to dig a tunnel to."""
        _no_tunnel(xnode_id)

    def close_tunnel(self, xnode_id: str) -> bool:
        """False: there is no tunnel."""
        return False

    def close_all_tunnels(self) -> None:
        """Does nothing: there is no tunnel."""


def get_default_manager() -> XNodeManager:
    """A manager with the settings in `~/.capsule/openmesh.yml`."""
    return XNodeManager()


def quick_deploy(name: str, region: Optional[str] = None) -> XNode:
    """`XNodeManager.deploy_xnode` with nothing but a name and a region."""
    return get_default_manager().deploy_xnode(name, region)


def quick_tunnel(xnode_id: str, local_port: int) -> "Popen[bytes]":
    """Raises NotImplementedError, as `XNodeManager.create_tunnel` does."""
    return get_default_manager().create_tunnel(xnode_id, local_port)


def _no_tunnel(xnode_id: str) -> NoReturn:
    raise NotImplementedError(
        f"There is no tunnel to {xnode_id}: an xNode has no SSH server. Its manager answers on https, port 443, to its "
        "owner: see `capsule xnode login` and `capsule health`."
    )


def _providers() -> Any:
    # A late import: the inventory and the monitoring need nothing of the providers.
    from .providers import get_default_manager

    return get_default_manager()


def _servers() -> Iterator[Tuple[Any, Dict[str, Any]]]:
    """Every server of every provider that is set up, with its provider."""
    manager = _providers()
    for name in manager.list_providers():
        provider = manager.get_provider(name)
        for server in [] if provider is None else servers_of(provider) or []:
            yield provider, server


def servers_of(provider: Any) -> Optional[List[Dict[str, Any]]]:
    """What a provider lists; None if it has no key. A key that is refused is an error, as any other is."""
    from .api_clients import NotConfiguredError

    try:
        servers: List[Dict[str, Any]] = provider.list_instances()
    except NotConfiguredError:
        return None
    return servers


def _find(xnode_id: str) -> Tuple[Any, Dict[str, Any]]:
    """The one server that is meant, with its provider."""
    by_id: List[Tuple[Any, Dict[str, Any]]] = []
    by_name: List[Tuple[Any, Dict[str, Any]]] = []
    for provider, server in _servers():
        if xnode_id in (server["id"], f"{server['provider']}/{server['id']}"):
            by_id.append((provider, server))
        elif xnode_id == server["name"]:
            by_name.append((provider, server))
    found = by_id or by_name
    if len(found) == 1:
        return found[0]
    if found:
        ids = ", ".join(f"{server['provider']}/{server['id']}" for _, server in found)
        raise ValueError(f"{len(found)} servers are meant by {xnode_id!r}. Say which by its id: {ids}.")
    # Late, as the providers are.
    from .api_clients import ResourceNotFoundError

    raise ResourceNotFoundError(f"No provider that is set up has a server {xnode_id!r}.", 404)
