"""xNodes and their manager: the contract, and what was wrong with the original's."""

import stat
import subprocess
import sys
import threading
import types
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional

import pytest
import yaml
from capsule_package import openmesh, openmesh_core
from capsule_package.openmesh_core import OpenMeshConfig, XNode, XNodeManager, normal_status, parse_time
from signatures import fields_of, signature


@pytest.mark.parametrize(
    ("name", "expected"),
    {
        "XNode.to_dict": "(self)",
        "XNode.from_dict": "(data)",
        "XNode.is_running": "(self)",
        "XNode.is_stopped": "(self)",
        "XNode.is_deploying": "(self)",
        "OpenMeshConfig": "(config_file=None)",
        "OpenMeshConfig.get": "(self, key, default=None)",
        "OpenMeshConfig.set": "(self, key, value)",
        "OpenMeshConfig.load": "(self)",
        "OpenMeshConfig.save": "(self)",
        "XNodeManager": "(config=None)",
        "XNodeManager.list_available_xnodes": "(self)",
        "XNodeManager.list_running_xnodes": "(self)",
        "XNodeManager.deploy_xnode": "(self, name, region=None, config_template=None, **kwargs)",
        "XNodeManager.start_xnode": "(self, xnode_id)",
        "XNodeManager.stop_xnode": "(self, xnode_id)",
        "XNodeManager.restart_xnode": "(self, xnode_id)",
        "XNodeManager.get_xnode_status": "(self, xnode_id)",
        "XNodeManager.delete_xnode": "(self, xnode_id, force=False)",
        "XNodeManager.create_tunnel": "(self, xnode_id, local_port, remote_port=None, ssh_key=None)",
        "XNodeManager.close_tunnel": "(self, xnode_id)",
        "XNodeManager.close_all_tunnels": "(self)",
        "get_default_manager": "()",
        "quick_deploy": "(name, region=None)",
        "quick_tunnel": "(xnode_id, local_port)",
    }.items(),
)
def test_signature(name: str, expected: str) -> None:
    assert signature(openmesh_core, name) == expected


def test_the_name_in_the_originals_documents_is_the_same_module() -> None:
    assert openmesh.XNode is XNode
    assert all(getattr(openmesh, name) is getattr(openmesh_core, name) for name in openmesh.__all__)


# XNode


def test_an_xnode_has_the_contracts_fields_and_defaults() -> None:
    before = datetime.now()
    node = XNode("7", "web", "running", "203.0.113.7")
    assert before <= node.created_at <= datetime.now()
    assert fields_of(XNode) == [
        *("id", "name", "status", "ip_address", "ssh_port", "tunnel_port", "created_at", "region", "metadata")
    ]
    assert (node.ssh_port, node.tunnel_port, node.region, node.metadata) == (22, None, None, {})
    assert XNode("8", "b", "running", "").metadata is not node.metadata


def test_an_xnode_there_and_back() -> None:
    node = XNode("7", "web", "active", "203.0.113.7", region="ewr", metadata={"a": [1]})
    data = node.to_dict()
    assert data["created_at"] == node.created_at.isoformat()
    assert XNode.from_dict(data) == node
    assert isinstance(data["created_at"], str), "what was given is not changed"


def test_what_a_provider_says_becomes_an_xnode() -> None:
    said = {
        **{"id": 7, "name": None, "provider": "vultr", "status": "active", "ip_address": None, "region": "ewr"},
        **{"created_at": "2025-10-15T10:00:00Z", "metadata": {"plan": "vc2"}},
    }
    node = XNode.from_dict(said)
    assert (node.id, node.name, node.ip_address) == ("7", "", "")
    assert node.created_at == datetime(2025, 10, 15, 10, tzinfo=timezone.utc)
    assert node.metadata == {"plan": "vc2", "provider": "vultr"}


def test_what_a_word_does_not_tell_the_normalized_one_does() -> None:
    said = {"id": "7", "name": "a", "ip_address": "", "status": "odd", "normalized_status": "running"}
    node = XNode.from_dict(said)
    assert (node.status, node.metadata["native_status"]) == ("running", "odd")
    assert XNode.from_dict({**said, "status": "active"}).status == "active"
    assert XNode.from_dict({**said, "normalized_status": "unknown"}).status == "odd"


@pytest.mark.parametrize("missing", ["id", "name", "status", "ip_address"])
def test_what_has_no_id_is_no_xnode(missing: str) -> None:
    data = {key: "x" for key in ("id", "name", "status", "ip_address") if key != missing}
    with pytest.raises(ValueError, match=missing):
        XNode.from_dict(data)


@pytest.mark.parametrize(
    ("words", "normal"),
    [
        (
            ["running", "active", "ON", "IN_USE ON", "rebooting", "shutting_down", "active/running/ok", "active"],
            "running",
        ),
        (["new", "pending", "deploying", "queued", "provisioning", "installing", "WAIT_FOR_PXE OFF"], "provisioning"),
        (["pending/running/none", "active/running/installingbooting", "order verification"], "provisioning"),
        (
            [
                "off",
                "offline",
                "stopped",
                "inactive",
                "stopped in place",
                "stopped (unbooted)",
                "active/stopped/ok",
                "IN_USE OFF",
            ],
            "stopped",
        ),
        (["terminated", "shutting-down", "deleting"], "deleting"),
        (["error", "failed", "archive"], "failed"),
        (["", None, "confused", "active/stopped/locked", "active/odd/ok"], "unknown"),
    ],
)
def test_status_words_of_all_providers_come_to_ours(words: List[Optional[str]], normal: str) -> None:
    assert [normal_status(word) for word in words] == [normal] * len(words)
    for word in words:
        node = XNode("7", "web", word or "", "")
        assert node.is_running() == (normal == "running")
        assert node.is_stopped() == (normal == "stopped")
        assert node.is_deploying() == (normal == "provisioning")


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2025-10-15T10:00:00", datetime(2025, 10, 15, 10)),
        ("2025-10-15 10:00:00.5", datetime(2025, 10, 15, 10, 0, 0, 500000)),
        ("2025-10-15T10:00:00.123456789Z", datetime(2025, 10, 15, 10, 0, 0, 123456, timezone.utc)),
        ("2025-10-15T10:00:00-0400", datetime(2025, 10, 15, 10, tzinfo=timezone(timedelta(hours=-4)))),
        ("2025-10-15T10:00:00+05:30", datetime(2025, 10, 15, 10, tzinfo=timezone(timedelta(hours=5, minutes=30)))),
        ("2025-10-15", datetime(2025, 10, 15)),
    ],
)
def test_times_as_providers_write_them(text: str, moment: datetime) -> None:
    assert parse_time(text) == moment
    assert parse_time(text).tzinfo == moment.tzinfo


@pytest.mark.parametrize("text", ["", "soon", "2025-13-01T00:00:00", "10:00", "1760522400"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no date"):
        parse_time(text)


# OpenMeshConfig


def test_the_defaults(files: Path) -> None:
    config = OpenMeshConfig()
    assert config.config_file == files / "openmesh.yml"
    assert config.config_data == {
        "default_ssh_key": "~/.ssh/id_rsa",
        "default_region": "us-east-1",
        "api_endpoint": "https://api.openmesh.network/v1",
        "timeout": 30,
        "max_retries": 3,
        "log_level": "INFO",
    }
    assert config.default_ssh_key == str(Path.home() / ".ssh" / "id_rsa")
    assert (config.default_region, config.timeout, config.max_retries, config.log_level) == ("us-east-1", 30, 3, "INFO")
    assert config.api_endpoint == "https://api.openmesh.network/v1"
    assert config.get("nothing", 7) == 7
    assert config.get("nothing") is None


def test_set_saves(files: Path) -> None:
    OpenMeshConfig().set("default_region", "nyc1")
    assert OpenMeshConfig().default_region == "nyc1"
    assert stat.S_IMODE((files / "openmesh.yml").stat().st_mode) == 0o600


def test_defect_19_looking_writes_no_file(files: Path) -> None:
    XNodeManager()
    assert list(files.iterdir()) == []


def test_defect_34_settings_of_others_stay(files: Path) -> None:
    file = files / "openmesh.yml"
    file.write_text("api_key: k\napi_secret: s\ndefault_region: ewr\nnested:\n  a: 1\n")
    config = OpenMeshConfig()
    other = OpenMeshConfig()
    other.set("api_key", "k2")
    config.set("timeout", 60)
    written = yaml.safe_load(file.read_text())
    assert written == {
        **OpenMeshConfig.DEFAULT_CONFIG,
        **{"api_key": "k2", "api_secret": "s", "default_region": "ewr", "nested": {"a": 1}, "timeout": 60},
    }


@pytest.mark.parametrize("text", ["a: [", "- a\n", "text", "1: 2\n"])
def test_defect_34_what_cannot_be_read_is_not_overwritten(files: Path, text: str) -> None:
    (files / "openmesh.yml").write_text(text)
    with pytest.raises(ValueError, match="Mend it or move it away"):
        OpenMeshConfig()
    assert (files / "openmesh.yml").read_text() == text


def test_threads_lose_no_setting(files: Path) -> None:
    config = OpenMeshConfig()
    threads = [threading.Thread(target=config.set, args=(f"key{number}", number)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    written = yaml.safe_load((files / "openmesh.yml").read_text())
    assert {key: value for key, value in written.items() if key.startswith("key")} == {
        f"key{number}": number for number in range(8)
    }


# XNodeManager, over providers that remember what they were asked


class Template:
    def __init__(self, id: str, provider: str, regions: List[str], cpu: int, memory_gb: int, price: float) -> None:
        self.id, self.provider, self.regions = id, provider, regions
        self.cpu, self.memory_gb, self.price_hourly = cpu, memory_gb, price

    def to_dict(self) -> Dict[str, Any]:
        return {"id": self.id, "provider": self.provider}


class Provider:
    def __init__(self, name: str, servers: List[Dict[str, Any]]) -> None:
        self.name, self.servers = name, servers
        self.fails: Optional[Exception] = None
        self.asked: List[Any] = []
        self.refuses = False

    def list_instances(self) -> List[Dict[str, Any]]:
        if self.fails is not None:
            raise self.fails
        return self.servers

    def get_instance(self, instance_id: str) -> Dict[str, Any]:
        return {**next(one for one in self.servers if one["id"] == instance_id), "metadata": {"whole": True}}

    def _do(self, what: str, instance_id: str) -> bool:
        self.asked.append((what, instance_id))
        return not self.refuses

    def start_instance(self, instance_id: str) -> bool:
        return self._do("start", instance_id)

    def stop_instance(self, instance_id: str) -> bool:
        return self._do("stop", instance_id)

    def delete_instance(self, instance_id: str) -> bool:
        return self._do("delete", instance_id)


def server(provider: str, id: str, name: str, status: str = "running") -> Dict[str, Any]:
    about = {"id": id, "name": name, "provider": provider, "status": status, "ip_address": "203.0.113.7"}
    return {**about, "region": "ewr", "created_at": "2025-10-15T10:00:00Z"}


class Clouds:
    def __init__(self) -> None:
        self.providers = {
            "vultr": Provider("vultr", [server("vultr", "v1", "web"), server("vultr", "v2", "db", "stopped")]),
            "aws": Provider("aws", []),
            "linode": Provider("linode", [server("linode", "l1", "web"), server("linode", "v2", "same id", "active")]),
        }
        self.templates = [
            Template("vultr-vc2-2", "vultr", ["ewr", "ord"], 2, 4, 0.018),
            Template("do-standard-4", "digitalocean", ["nyc1"], 4, 8, 0.071),
            Template("aws-t3-medium", "aws", ["us-east-1"], 2, 4, 0.0416),
            Template("vultr-vc2-1", "vultr", ["ewr"], 1, 1, 0.004),
        ]
        self.ordered: List[Any] = []

    def list_providers(self) -> List[str]:
        return list(self.providers)

    def get_provider(self, name: str) -> Optional[Provider]:
        return self.providers.get(name)

    def get_all_templates(self) -> List[Template]:
        return self.templates

    def compare_templates(
        self, min_cpu: int = 0, min_memory: int = 0, max_price: float = float("inf")
    ) -> List[Template]:
        fitting = [
            one
            for one in self.templates
            if one.cpu >= min_cpu and one.memory_gb >= min_memory and one.price_hourly <= max_price
        ]
        return sorted(fitting, key=lambda one: one.price_hourly)

    def deploy_to_provider(self, provider: str, template_id: str, config: Dict[str, Any]) -> Dict[str, Any]:
        self.ordered.append((provider, template_id, config))
        made = server(provider, "new-1", config["name"], "running")
        return {**made, "template": template_id, "cost_hourly": 0.018, "metadata": {}}


@pytest.fixture
def clouds(monkeypatch: pytest.MonkeyPatch, errors: types.ModuleType) -> Clouds:
    clouds = Clouds()
    clouds.providers["aws"].fails = errors.NotConfiguredError("no key")
    module = types.ModuleType("capsule_package.providers")
    vars(module)["get_default_manager"] = lambda: clouds
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return clouds


@pytest.fixture
def manager(clouds: Clouds) -> XNodeManager:
    return openmesh_core.get_default_manager()


def test_available_are_the_templates(manager: XNodeManager) -> None:
    assert [one["id"] for one in manager.list_available_xnodes()] == [
        *("vultr-vc2-2", "do-standard-4", "aws-t3-medium", "vultr-vc2-1")
    ]


def test_running_are_those_that_run_wherever_a_key_is(manager: XNodeManager) -> None:
    running = manager.list_running_xnodes()
    assert [(node.id, node.name) for node in running] == [("v1", "web"), ("l1", "web"), ("v2", "same id")]
    assert all(isinstance(node, XNode) for node in running)


def test_defect_6_a_provider_that_fails_is_an_error_and_no_shorter_list(manager: XNodeManager, clouds: Clouds) -> None:
    clouds.providers["linode"].fails = ConnectionError("no answer")
    calls: List[Callable[[], Any]] = [manager.list_running_xnodes, lambda: manager.delete_xnode("v1")]
    for call in calls:
        with pytest.raises(ConnectionError, match="no answer"):
            call()
    assert clouds.providers["vultr"].asked == []


@pytest.mark.parametrize(
    ("call", "which", "asked"),
    [
        ("start_xnode", "db", [("start", "v2")]),
        ("stop_xnode", "v1", [("stop", "v1")]),
        ("stop_xnode", "vultr/v2", [("stop", "v2")]),
        ("restart_xnode", "v1", [("stop", "v1"), ("start", "v1")]),
        ("restart_xnode", "db", [("start", "v2")]),
        ("delete_xnode", "v1", [("delete", "v1")]),
    ],
)
def test_changes_reach_the_right_provider(
    manager: XNodeManager, clouds: Clouds, call: str, which: str, asked: List[Any]
) -> None:
    assert getattr(manager, call)(which) is True
    assert clouds.providers["vultr"].asked == asked
    assert clouds.providers["linode"].asked == []


@pytest.mark.parametrize("call", ["start_xnode", "stop_xnode", "restart_xnode", "delete_xnode"])
def test_defect_35_what_is_refused_is_no_success(manager: XNodeManager, clouds: Clouds, call: str) -> None:
    clouds.providers["vultr"].refuses = True
    assert getattr(manager, call)("v1") is False
    assert len(clouds.providers["vultr"].asked) == 1, "what would not go off is left alone"


def test_a_status_is_what_the_provider_says(manager: XNodeManager) -> None:
    assert manager.get_xnode_status("l1") == {**server("linode", "l1", "web"), "metadata": {"whole": True}}


@pytest.mark.parametrize("call", ["start_xnode", "stop_xnode", "restart_xnode", "get_xnode_status", "delete_xnode"])
def test_one_that_is_not_there_or_not_alone_is_refused(
    manager: XNodeManager, clouds: Clouds, errors: types.ModuleType, call: str
) -> None:
    with pytest.raises(errors.ResourceNotFoundError, match="nope") as refused:
        getattr(manager, call)("nope")
    assert refused.value.args[1] == 404
    for which, ids in (("web", "vultr/v1, linode/l1"), ("v2", "vultr/v2, linode/v2")):
        with pytest.raises(ValueError, match=ids):
            getattr(manager, call)(which)
    assert all(provider.asked == [] for provider in clouds.providers.values())


@pytest.mark.parametrize(
    ("arguments", "ordered"),
    [
        ({"region": "ewr"}, ("vultr", "vultr-vc2-2", {"name": "n", "region": "ewr"})),
        ({}, ("aws", "aws-t3-medium", {"name": "n", "region": "us-east-1"})),
        ({"region": "ewr", "min_cpu": 1, "min_memory": 1}, ("vultr", "vultr-vc2-1", {"name": "n", "region": "ewr"})),
        ({"provider": "digitalocean"}, ("digitalocean", "do-standard-4", {"name": "n"})),
        ({"config_template": "do-standard-4"}, ("digitalocean", "do-standard-4", {"name": "n"})),
        (
            {"region": "nyc1", "owner": "eth:" + "0" * 40},
            ("digitalocean", "do-standard-4", {"name": "n", "region": "nyc1", "owner": "eth:" + "0" * 40}),
        ),
    ],
)
def test_deploy_orders_the_cheapest_that_fits(
    manager: XNodeManager, clouds: Clouds, arguments: Dict[str, Any], ordered: Any
) -> None:
    node = manager.deploy_xnode("n", **arguments)
    provider, template, config = clouds.ordered[0]
    # It has an address only when it runs.
    assert config.pop("wait") == ("ready" if "owner" in arguments else "running")
    assert [(provider, template, config)] == [ordered]
    assert (node.id, node.name, node.metadata["template"]) == ("new-1", "n", ordered[1])


def test_deploy_can_return_at_once(manager: XNodeManager, clouds: Clouds) -> None:
    manager.deploy_xnode("n", "ewr", wait="none")
    assert clouds.ordered[0][2] == {"name": "n", "region": "ewr", "wait": "none"}


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"region": "moon"}, "region 'moon'"),
        ({"region": "ewr", "max_price": 0.001}, "region 'ewr'"),
        ({"region": "ewr", "config_template": "do-standard-4"}, "do-standard-4"),
        ({"config_template": "tiny"}, "no template 'tiny'"),
        ({"provider": "nobody"}, "at nobody"),
    ],
)
def test_what_nobody_offers_is_not_ordered(
    manager: XNodeManager, clouds: Clouds, arguments: Dict[str, Any], error: str
) -> None:
    with pytest.raises(ValueError, match=error):
        manager.deploy_xnode("n", **arguments)
    assert clouds.ordered == []


def test_defect_1_a_server_without_an_owner_is_said_to_be_no_xnode(
    manager: XNodeManager, caplog: pytest.LogCaptureFixture
) -> None:
    manager.deploy_xnode("bare", "ewr")
    assert "bare becomes a plain server" in caplog.text
    caplog.clear()
    manager.deploy_xnode("owned", "ewr", owner="eth:" + "0" * 40)
    assert caplog.text == ""


def test_the_default_region_is_a_setting(clouds: Clouds) -> None:
    OpenMeshConfig().set("default_region", "ord")
    assert openmesh_core.quick_deploy("n").name == "n"
    openmesh_core.quick_deploy("n", "nyc1")
    assert [order[1] for order in clouds.ordered] == ["vultr-vc2-2", "do-standard-4"]


def test_defect_33_tunnels_say_where_to_go_instead(manager: XNodeManager) -> None:
    calls: List[Callable[[], Any]] = [
        lambda: manager.create_tunnel("v1", 8080),
        lambda: openmesh_core.quick_tunnel("v1", 8080),
    ]
    for call in calls:
        with pytest.raises(NotImplementedError, match="no SSH server.*capsule xnode login"):
            call()
    assert manager.close_tunnel("v1") is False
    manager.close_all_tunnels()
    assert manager.active_tunnels == {}


def test_defect_33_nothing_speaks_to_an_api_that_never_was() -> None:
    code = "import sys, capsule_package.openmesh_core; print('requests' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "False\n"
