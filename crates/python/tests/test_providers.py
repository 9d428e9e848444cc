"""What the providers do, and the dicts and errors that come of it, in the sandbox."""

from __future__ import annotations

import asyncio
import os
import stat
import threading
from pathlib import Path
from typing import Any, Dict, List, Set, Tuple

import pytest

from capsule_package import providers
from capsule_package.api_clients import APIError, InvalidRequestError, ResourceNotFoundError
from capsule_package.providers import ProviderManager

LISTED = {"id": str, "name": str, "provider": str, "status": str, "ip_address": str, "region": str, "created_at": str}
GOT = {**LISTED, "metadata": dict}
DEPLOYED = {**GOT, "template": str, "cost_hourly": float}
# A template of each provider, with what has to be said beside it, where it is made, and the words for how it is then.
SOLD: Dict[str, Tuple[str, Dict[str, str], str, Set[str]]] = {
    "hivelocity": ("hive-small", {"plan": "504", "region": "TPA1"}, "TPA1", {"ordered", "WAIT_FOR_PXE", "ACTIVE"}),
    "digitalocean": ("do-basic-2", {}, "nyc1", {"active", "new", "off"}),
    "vultr": ("vultr-vc2-2", {}, "ewr", {"active", "pending"}),
    "aws": ("aws-t3-medium", {}, "us-east-1", {"pending", "running"}),
    "equinix": ("equinix-c3-small", {}, "da", {"queued", "provisioning", "active"}),
    "linode": ("linode-4gb", {}, "us-east", {"provisioning", "booting", "running"}),
    "scaleway": ("scaleway-dev1-s", {}, "fr-par-1", {"stopped", "starting", "running"}),
}


def has(row: Dict[str, Any], shape: Dict[str, type]) -> None:
    assert {key: type(row.get(key)) for key in shape} == shape


def test_the_managers_first_keyword_goes_by_both_its_names(home: Path) -> None:
    manager = ProviderManager()
    made = manager.deploy_to_provider(provider_name="vultr", template_id="vultr-vc2-1", config={"name": "web"})
    assert made["provider"] == "vultr"
    manager.configure_provider(provider_name="linode", api_key="k")
    linode = manager.get_provider("linode")
    assert linode is not None and linode.api_key == "k"
    with pytest.raises(TypeError):
        manager.deploy_to_provider("vultr", "vultr-vc2-1", {"name": "db"}, provider_name="linode")


def test_templates_are_compared_by_the_hour() -> None:
    manager = ProviderManager()
    cheapest = manager.get_cheapest_option()
    assert cheapest is not None and cheapest.id == "vultr-vc2-1"
    assert manager.get_cheapest_option(min_cpu=1000) is None
    fitting = manager.compare_templates(min_cpu=4, min_memory=8, max_price=0.071)
    assert [template.id for template in fitting] == ["vultr-hf-4", "do-standard-4"]
    assert len(manager.compare_templates()) == 31
    pricing = manager.get_provider("vultr").get_pricing("vultr-vc2-2")  # type: ignore[union-attr]
    assert pricing == {"hourly": 0.018, "daily": 0.018 * 24, "monthly": 12.0, "annual": 144.0}


@pytest.mark.parametrize("name", SOLD)
def test_a_deploy_returns_once_it_is_accepted(name: str) -> None:
    template, said, region, words = SOLD[name]
    made = ProviderManager().deploy_to_provider(name, template, {"name": "web", "region": None, **said})
    has(made, DEPLOYED)
    assert (made["name"], made["provider"], made["template"], made["region"]) == ("web", name, template, region)
    assert made["status"] in words


@pytest.mark.parametrize("name", SOLD)
def test_a_server_lives_and_ends(name: str) -> None:
    template, said, region, _ = SOLD[name]
    provider = ProviderManager().get_provider(name)
    assert provider is not None
    made = provider.deploy(template, {"name": "web", "region": None, "wait": "running", **said})
    has(made, DEPLOYED)
    assert made["normalized_status"] == "running" and made["ip_address"] and made["metadata"]
    [listed] = provider.list_instances()
    has(listed, GOT)
    assert (listed["id"], listed["region"], listed["ip_address"]) == (made["id"], region, made["ip_address"])
    assert provider.stop_instance(made["id"]) is True
    assert provider.get_instance(made["id"])["normalized_status"] == "stopped"
    assert provider.start_instance(made["id"]) is True
    got = provider.get_instance(made["id"])
    has(got, GOT)
    assert got["normalized_status"] == "running" and got["metadata"]
    assert provider.delete_instance(made["id"]) is True
    assert provider.list_instances() == []
    with pytest.raises(ResourceNotFoundError):
        provider.get_instance(made["id"])


@pytest.mark.parametrize("name", [name for name in SOLD if name != "equinix"])
def test_the_sandbox_leaves_out_a_key_that_only_a_real_account_has(name: str, caplog: pytest.LogCaptureFixture) -> None:
    template, more, _, _ = SOLD[name]
    config = {"name": "with-a-key", "ssh_keys": ["key-of-mine"], **more}
    assert ProviderManager().deploy_to_provider(name, template, config)["name"] == "with-a-key"
    assert "no simulated account has an ssh key `key-of-mine`" in caplog.text.lower()


def test_the_sandbox_takes_a_key_that_its_account_has(caplog: pytest.LogCaptureFixture) -> None:
    public = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGPKSUTyz1HwHReFVvD5obVsALAgJRNarH4TRpNePnAS me"
    provider = ProviderManager().get_provider("digitalocean")
    assert isinstance(provider, providers.DigitalOceanProvider) and provider.api_client is not None
    key = provider.api_client.post("account/keys", {"name": "me", "public_key": public})["ssh_key"]
    for number, word in enumerate((key["id"], key["fingerprint"])):
        config = {"name": f"web-{number}", "ssh_keys": [word]}
        provider.deploy("do-basic-2", config)
    assert "SSH key" not in caplog.text


def test_power_and_waiting() -> None:
    provider = providers.DigitalOceanProvider("digitalocean")
    made = provider.deploy("do-basic-2", {"name": "web", "wait": "running"})
    assert made["status"] == "active" and made["ip_address"]
    assert provider.stop_instance(made["id"]) is True
    assert provider.get_instance(made["id"])["status"] == "off"
    assert provider.start_instance(made["id"]) is True
    assert provider.get_instance(made["id"])["normalized_status"] == "running"


def test_what_cannot_be_ordered_is_said_before_anything_is_sent() -> None:
    manager = ProviderManager()
    for config, word in [
        ({"backups": True}, "backups"),
        ({"colour": "blue"}, "colour"),
        ({"wait": "long"}, "wait"),
        ({"region": "atlantis"}, "atlantis"),
        ({"ssh_keys": 3.5}, "ssh_keys"),
        ({"max_hourly": 0.0001}, "No offer fits"),
    ]:
        with pytest.raises(ValueError, match=word):
            manager.deploy_to_provider("digitalocean", "do-basic-2", config)
    with pytest.raises(ValueError, match="Unknown template"):
        manager.deploy_to_provider("digitalocean", "do-basic-3", {})
    with pytest.raises(ValueError, match="Unknown provider"):
        manager.deploy_to_provider("nobody", "do-basic-2", {})
    with pytest.raises(InvalidRequestError, match="never sold"):
        manager.deploy_to_provider("hivelocity", "hive-small", {})
    assert all(provider.list_instances() == [] for provider in manager.providers.values())


def test_without_a_key_an_error_is_no_empty_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CAPSULE_SANDBOX")
    manager = ProviderManager()
    provider = manager.get_provider("digitalocean")
    assert isinstance(provider, providers.DigitalOceanProvider) and provider.api_client is None
    with pytest.raises(RuntimeError):
        provider.list_instances()
    with pytest.raises(RuntimeError):
        provider.delete_instance("1")
    with pytest.raises(RuntimeError):
        provider.deploy("do-basic-2", {})
    assert provider.validate_credentials() is False
    old = ProviderManager(legacy_errors=True).get_provider("digitalocean")
    assert old is not None and old.list_instances() == []
    with pytest.raises(RuntimeError):
        old.delete_instance("1")


def test_a_missing_server_is_an_error_or_false() -> None:
    with pytest.raises(APIError):
        providers.VultrProvider("vultr").stop_instance("cb676a46-66fd-4dfb-b839-443f2e6c0b60")
    old = ProviderManager(legacy_errors=True).get_provider("vultr")
    assert old is not None and old.stop_instance("cb676a46-66fd-4dfb-b839-443f2e6c0b60") is False


def test_keys_come_from_argument_file_and_environment(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    monkeypatch.setenv("VULTR_API_KEY", "of-the-environment")
    assert providers.VultrProvider("vultr", "given").api_key == "given"
    assert ProviderManager().get_provider("vultr").api_key == "of-the-environment"  # type: ignore[union-attr]
    assert not list(home.iterdir()), "looking makes no file"
    manager = ProviderManager()
    manager.configure_provider("vultr", "of-the-file")
    assert manager.get_provider("vultr").api_key == "of-the-file"  # type: ignore[union-attr]
    assert ProviderManager().get_provider("vultr").api_key == "of-the-file"  # type: ignore[union-attr]
    assert stat.S_IMODE(os.stat(manager.config_file).st_mode) == 0o600
    assert manager.config_file.parent.name == "sandbox", "an example leaves real keys alone"
    with pytest.raises(ValueError, match="Unknown provider"):
        manager.configure_provider("nobody", "key")


def test_unknown_keys_survive_a_save(tmp_path: Path) -> None:
    file = tmp_path / "keys.yml"
    file.write_text("vultr:\n  colour: blue\n  api_key: old\nhetzner:\n  api_key: other\n")
    manager = ProviderManager(str(file))
    manager.configure_provider("vultr", "new")
    text = file.read_text()
    assert all(word in text for word in ("colour: blue", "api_key: new", "hetzner:", "api_key: other"))


def test_a_server_of_somebody_else_is_left_alone(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    made = providers.LinodeProvider("linode").deploy("linode-4gb", {"name": "web", "wait": "running"})
    (home / "sandbox" / "journal.db").unlink()
    for rest in home.glob("sandbox/journal.db-*"):
        rest.unlink()
    stranger = providers.LinodeProvider("linode")
    with pytest.raises(ValueError, match="not made by this installation"):
        stranger.delete_instance(made["id"])
    stranger.allow_unmanaged = True
    assert stranger.delete_instance(made["id"]) is True


def test_live_prices() -> None:
    provider = providers.DigitalOceanProvider("digitalocean")
    price = provider.get_live_pricing("do-basic-2")
    assert price["plan"] == "s-2vcpu-2gb" and price["currency"] == "USD"
    assert price["hourly"] > 0 and price["daily"] == price["hourly"] * 24
    manager = ProviderManager()
    told = manager.refresh_prices()
    assert len(told) == 31 and told["do-basic-2"] is None and "never sold" in str(told["hive-small"])
    basic = manager.get_provider("digitalocean").get_template("do-basic-2")  # type: ignore[union-attr]
    assert basic is not None and basic.price_hourly == price["hourly"]


def test_coroutines_run_at_once() -> None:
    async def tour() -> None:
        manager = ProviderManager()
        made = await asyncio.gather(
            *(manager.adeploy_to_provider("linode", "linode-2gb", {"name": f"web-{n}"}) for n in range(4))
        )
        provider = manager.get_provider("linode")
        assert provider is not None
        assert {row["id"] for row in await provider.alist_instances()} == {row["id"] for row in made}
        assert (await provider.aget_instance(made[0]["id"]))["name"] == "web-0"
        assert await provider.adelete_instance(made[0]["id"]) is True
        assert await provider.avalidate_credentials() is True

    asyncio.run(tour())


def test_64_threads_deploy_at_once_and_none_twice() -> None:
    manager = ProviderManager()
    made: List[Dict[str, Any]] = []
    failed: List[BaseException] = []
    gate = threading.Barrier(64)

    def deploy(number: int) -> None:
        gate.wait()
        try:
            # Two ask for each name under one key: they are to get the same server.
            config = {"name": f"web-{number // 2}", "idempotency_key": f"key-{number // 2}"}
            made.append(manager.deploy_to_provider("digitalocean", "do-basic-2", config))
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=deploy, args=(number,)) for number in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    provider = manager.get_provider("digitalocean")
    assert provider is not None
    listed = [row["id"] for row in provider.list_instances()]
    assert len(made) == 64 and len(listed) == 32
    assert sorted(listed) == sorted({row["id"] for row in made})
