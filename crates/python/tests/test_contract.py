"""The contract of the original's providers and clients, name by name: signatures, attributes, defaults, templates, errors."""

from __future__ import annotations

import importlib
import importlib.metadata
import inspect
from pathlib import Path
from typing import Any, Dict, List

import pytest

import capsule_package
from capsule_package import api_clients, providers
from capsule_package.api_clients import APIClient, APIError
from capsule_package.providers import Provider, ProviderManager, ProviderTemplate
from original_templates import REGIONS, TEMPLATES
from signatures import fields_of, signature

MODULES = ("providers", "api_clients", "openmesh_core", "inventory", "monitoring", "nixos_generator")
# Each provider's class, the region that is meant without one, and what reaches its API beside Capsule.
PROVIDERS = {
    "hivelocity": ("HivelocityProvider", "atlanta", ["api_client"]),
    "digitalocean": ("DigitalOceanProvider", "nyc1", ["api_client"]),
    "vultr": ("VultrProvider", "ewr", ["api_client"]),
    "aws": ("AWSProvider", "us-east-1", ["ec2_client", "ec2_resource"]),
    "equinix": ("EquinixMetalProvider", "da", []),
    "linode": ("LinodeProvider", "us-east", []),
    "scaleway": ("ScalewayProvider", "par1", []),
}
SIGNATURES = {
    "providers": {
        "ProviderTemplate": "(id, name, provider, cpu, memory_gb, storage_gb, bandwidth_tb, price_hourly, price_monthly, "
        "gpu=None, regions=<factory>, features=<factory>)",
        "ProviderTemplate.to_dict": "(self)",
        "Provider": "(name, api_key=None)",
        "Provider.deploy": "(self, template_id, config)",
        "Provider.list_instances": "(self)",
        "Provider.get_instance": "(self, instance_id)",
        "Provider.delete_instance": "(self, instance_id)",
        "Provider.start_instance": "(self, instance_id)",
        "Provider.stop_instance": "(self, instance_id)",
        "Provider.get_template": "(self, template_id)",
        "Provider.get_pricing": "(self, template_id)",
        "Provider.validate_credentials": "(self)",
        **{name: "(name, api_key=None)" for name, _, _ in PROVIDERS.values()},
        # What comes after the star is ours, and by name alone.
        "ProviderManager": "(config_file=None, *, legacy_errors=False, allow_unmanaged=False)",
        "ProviderManager.list_providers": "(self)",
        "ProviderManager.get_provider": "(self, name)",
        "ProviderManager.get_all_templates": "(self)",
        "ProviderManager.compare_templates": "(self, min_cpu=0, min_memory=0, max_price=inf)",
        "ProviderManager.get_cheapest_option": "(self, min_cpu=1, min_memory=1)",
        "ProviderManager.deploy_to_provider": "(self, provider, template_id, config)",
        "ProviderManager.configure_provider": "(self, name, api_key)",
        "get_default_manager": "()",
    },
    "api_clients": {
        "APIError": "(message, status_code=None, response=None)",
        "AuthenticationError": "(message, status_code=None, response=None)",
        "RateLimitError": "(message, status_code=None, response=None)",
        "ResourceNotFoundError": "(message, status_code=None, response=None)",
        "APIClient": "(base_url, api_key=None, timeout=30, max_retries=3, rate_limit_delay=1.0, headers=None)",
        "APIClient.request": "(self, method, endpoint, data=None, params=None, headers=None, **kw)",
        "APIClient.get": "(self, endpoint, params=None, **kw)",
        "APIClient.post": "(self, endpoint, data=None, **kw)",
        "APIClient.put": "(self, endpoint, data=None, **kw)",
        "APIClient.patch": "(self, endpoint, data=None, **kw)",
        "APIClient.delete": "(self, endpoint, **kw)",
        "APIClient.close": "(self)",
        "HivelocityAPIClient": "(api_key)",
        "DigitalOceanAPIClient": "(api_key)",
        "VultrAPIClient": "(api_key)",
        "EquinixMetalAPIClient": "(api_key)",
    },
}


@pytest.mark.parametrize(
    ("module", "name", "expected"),
    [(module, name, expected) for module, names in SIGNATURES.items() for name, expected in names.items()],
)
def test_signature(module: str, name: str, expected: str) -> None:
    assert signature(importlib.import_module(f"capsule_package.{module}"), name) == expected


@pytest.mark.parametrize("name", MODULES)
def test_a_module_is_there(name: str) -> None:
    module = importlib.import_module(f"capsule_package.{name}")
    assert getattr(capsule_package, name) is module


@pytest.mark.parametrize("kind", ["AuthenticationError", "RateLimitError", "ResourceNotFoundError"])
def test_errors_are_one_family_with_three_attributes(kind: str) -> None:
    error = getattr(api_clients, kind)("no", 418, {"kind": "teapot"})
    assert isinstance(error, APIError) and getattr(providers, kind) is type(error)
    assert (error.message, error.status_code, error.response, str(error)) == ("no", 418, {"kind": "teapot"}, "no")
    assert (APIError("no").status_code, APIError("no").response) == (None, None)


def test_a_client_is_a_context_and_its_base_ends_without_a_slash() -> None:
    with APIClient("https://api.example.com/v1/") as client:
        assert client.base_url == "https://api.example.com/v1"
        assert (client.api_key, client.timeout, client.max_retries, client.rate_limit_delay) == (None, 30, 3, 1.0)


def test_a_template_has_twelve_fields_and_a_year() -> None:
    names = [
        *("id", "name", "provider", "cpu", "memory_gb", "storage_gb", "bandwidth_tb"),
        "price_hourly",
        "price_monthly",
    ]
    names += ["gpu", "regions", "features"]
    assert fields_of(ProviderTemplate) == names
    template = ProviderTemplate("a", "A", "vultr", 1, 2, 3, 0.5, 0.01, 7.0)
    assert list(template.to_dict()) == names
    assert (template.gpu, template.regions, template.features, template.price_annual) == (None, [], [], 84.0)
    assert template.regions is not ProviderTemplate("b", "B", "vultr", 1, 2, 3, 0.5, 0.01, 7.0).regions


def typed(values: Dict[str, Any]) -> List[Any]:
    return [(key, type(value), value) for key, value in values.items()]


@pytest.mark.parametrize("number", range(len(TEMPLATES)), ids=[template["id"] for template in TEMPLATES])
def test_a_template_says_what_it_said(number: int) -> None:
    expected = TEMPLATES[number]
    provider = ProviderManager().get_provider(expected["provider"])
    assert provider is not None
    template = provider.get_template(expected["id"])
    assert template is not None and typed(template.to_dict()) == typed(expected)
    assert template.price_annual == expected["price_monthly"] * 12
    assert provider.get_pricing(expected["id"]) == {
        "hourly": expected["price_hourly"],
        "daily": expected["price_hourly"] * 24,
        "monthly": expected["price_monthly"],
        "annual": expected["price_monthly"] * 12,
    }


def test_there_are_31_templates_in_order_and_no_other() -> None:
    assert len(TEMPLATES) == 31
    templates = ProviderManager().get_all_templates()
    assert [template.id for template in templates] == [template["id"] for template in TEMPLATES]


@pytest.mark.parametrize("name", PROVIDERS)
def test_a_provider_has_its_attributes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class_name, region, clients = PROVIDERS[name]
    kind = getattr(providers, class_name)
    provider = kind(name)
    assert isinstance(provider, Provider)
    assert (provider.name, provider.api_key, provider.regions) == (name, None, REGIONS[name].split())
    assert {template.provider for template in provider.templates} == {name}
    assert [client for client in ("api_client", "ec2_client", "ec2_resource") if hasattr(provider, client)] == clients
    assert provider.get_template("no-such") is provider.get_pricing("no-such") is None
    assert provider._order({})["region"] == region
    monkeypatch.setenv(f"{name.upper()}_API_KEY", "of-the-environment")
    assert kind(name).api_key == "of-the-environment"
    assert kind(name, "given").api_key == "given"
    assert type(ProviderManager().get_provider(name)) is kind


def test_a_provider_is_abstract() -> None:
    assert inspect.isabstract(Provider)
    with pytest.raises(TypeError, match="abstract"):
        Provider("vultr")  # type: ignore[abstract]


def test_providers_are_in_order() -> None:
    assert ProviderManager().list_providers() == list(PROVIDERS)


def test_the_default_file_is_in_the_home(monkeypatch: pytest.MonkeyPatch, home: Path, tmp_path: Path) -> None:
    monkeypatch.delenv("CAPSULE_SANDBOX")
    assert ProviderManager().config_file == home / "providers.yml"
    monkeypatch.delenv("CAPSULE_HOME")
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    assert ProviderManager().config_file == tmp_path / ".capsule" / "providers.yml"


def test_a_default_manager_knows_what_is_set_now(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def key() -> Any:
        provider = providers.get_default_manager().get_provider("vultr")
        assert provider is not None
        return provider.api_key

    manager = providers.get_default_manager()
    assert providers.get_default_manager() is manager and key() is None
    ProviderManager().configure_provider("vultr", "of-the-file")
    assert key() == "of-the-file"
    ProviderManager().configure_provider("vultr", "another")
    assert key() == "another"
    monkeypatch.setenv("CAPSULE_HOME", str(home / "elsewhere"))
    assert key() is None
    monkeypatch.setenv("VULTR_API_KEY", "of-the-environment")
    assert key() == "of-the-environment"
