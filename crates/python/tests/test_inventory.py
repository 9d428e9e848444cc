"""The inventory: its contract."""

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Dict, List, Optional

import pytest
from capsule_package import inventory as module
from capsule_package._deployments import amount
from capsule_package.inventory import CostReport, DeploymentRecord, XNodeInventory
from signatures import fields_of, signature
from stored import node, on_disk


@pytest.mark.parametrize(
    ("name", "expected"),
    {
        "XNodeInventory": "(inventory_file=None)",
        "XNodeInventory.add_xnode": "(self, xnode, provider, template='default', cost_hourly=0.0, tags=None)",
        "XNodeInventory.remove_xnode": "(self, xnode_id)",
        "XNodeInventory.get_xnode": "(self, xnode_id)",
        "XNodeInventory.update_xnode": "(self, xnode_id, **kwargs)",
        "XNodeInventory.list_all": "(self)",
        "XNodeInventory.list_by_provider": "(self, provider)",
        "XNodeInventory.list_by_status": "(self, status)",
        "XNodeInventory.list_by_tags": "(self, tags, match_all=False)",
        "XNodeInventory.search": "(self, query)",
        "XNodeInventory.get_total_cost": "(self)",
        "XNodeInventory.get_cost_report": "(self)",
        "XNodeInventory.get_statistics": "(self)",
        "XNodeInventory.export_csv": "(self, filename)",
        "XNodeInventory.import_csv": "(self, filename)",
        "XNodeInventory.get_deployment_history": "(self, xnode_id=None, provider=None, limit=None)",
        "XNodeInventory.cleanup_old_history": "(self, days=90)",
        "XNodeInventory.load": "(self)",
        "XNodeInventory.save": "(self)",
        "CostReport.generate_report": "(self)",
        "CostReport.to_dict": "(self)",
        "DeploymentRecord.to_dict": "(self)",
        "DeploymentRecord.from_dict": "(data)",
        "DeploymentRecord.calculate_uptime": "(self)",
        "DeploymentRecord.is_active": "(self)",
        "get_default_inventory": "()",
        "generate_cost_report": "()",
        "export_inventory_csv": "(filename='xnode_inventory.csv')",
    }.items(),
)
def test_signature(name: str, expected: str) -> None:
    assert signature(module, name) == expected


def test_records_have_the_contracts_fields_in_its_order() -> None:
    assert fields_of(DeploymentRecord) == [
        *("xnode_id", "provider", "template", "deployed_at", "terminated_at", "total_cost", "uptime_hours"),
        *("region", "name", "tags"),
    ]
    assert fields_of(CostReport) == [
        *("total_hourly", "total_daily", "total_monthly", "by_provider", "by_region", "projected_annual"),
        *("active_count", "total_count"),
    ]


def test_it_is_in_capsules_home(files: Path, store: XNodeInventory) -> None:
    assert store.inventory_file == files / "inventory.json"
    assert module.get_default_inventory().inventory_file == files / "inventory.json"


@pytest.mark.parametrize("said", ["", "0", "false", None])
def test_outside_the_sandbox_it_is_in_the_home_itself(
    monkeypatch: pytest.MonkeyPatch, home: Path, said: Optional[str]
) -> None:
    monkeypatch.delenv("CAPSULE_SANDBOX")
    if said is not None:
        monkeypatch.setenv("CAPSULE_SANDBOX", said)
    assert XNodeInventory().inventory_file == home / "inventory.json"


def test_without_a_home_it_is_in_the_users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("CAPSULE_HOME")
    monkeypatch.delenv("CAPSULE_SANDBOX")
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    assert XNodeInventory().inventory_file == tmp_path / ".capsule" / "inventory.json"


def test_looking_writes_nothing(files: Path, store: XNodeInventory) -> None:
    store.get_statistics()
    store.get_cost_report()
    assert list(files.iterdir()) == []


def test_an_entry_has_the_formats_keys_and_types(files: Path, store: XNodeInventory) -> None:
    when = datetime(2025, 10, 15, 10, 0, 0)
    store.add_xnode(node(created_at=when, metadata={"a": 1}), "vultr", "vultr-vc2-2", 0.018, ["web"])
    assert on_disk(files)["xnodes"] == {
        "n-1": {
            "id": "n-1",
            "name": "web-1",
            "provider": "vultr",
            "template": "vultr-vc2-2",
            "status": "running",
            "ip_address": "203.0.113.7",
            "ssh_port": 22,
            "region": "nyc1",
            "deployed_at": "2025-10-15T10:00:00",
            "cost_hourly": 0.018,
            "tags": ["web"],
            "metadata": {"a": 1},
        }
    }
    assert on_disk(files)["history"] == [
        {
            "xnode_id": "n-1",
            "provider": "vultr",
            "template": "vultr-vc2-2",
            "deployed_at": "2025-10-15T10:00:00",
            "terminated_at": None,
            "total_cost": 0.0,
            "uptime_hours": 0.0,
            "region": "nyc1",
            "name": "web-1",
            "tags": ["web"],
        }
    ]
    assert on_disk(files)["version"] == "1.0"
    assert datetime.fromisoformat(on_disk(files)["last_updated"]).tzinfo is None
    assert on_disk(files)["metadata"] == {"total_deployed": 1, "total_running": 1, "total_lifetime_cost": 0.0}


def test_a_second_of_the_same_id_is_refused(store: XNodeInventory) -> None:
    store.add_xnode(node(), "vultr")
    with pytest.raises(ValueError, match="n-1 already exists"):
        store.add_xnode(node(), "vultr")
    assert len(store.list_all()) == len(store.history) == 1


@pytest.mark.parametrize("call", ["get_xnode", "remove_xnode", "update_xnode"])
def test_what_is_not_there_is_a_key_error(store: XNodeInventory, call: str) -> None:
    with pytest.raises(KeyError, match="nope"):
        getattr(store, call)("nope")


def test_get_gives_a_copy(store: XNodeInventory) -> None:
    store.add_xnode(node(), "vultr", tags=["a"])
    store.get_xnode("n-1")["tags"].append("b")
    assert store.get_xnode("n-1")["tags"] == ["a"]


@pytest.mark.parametrize(
    ("ask", "names"),
    [
        (lambda store: store.list_all(), ["web-1", "web-2", "db-3"]),
        (lambda store: store.list_xnodes(), ["web-1", "web-2", "db-3"]),
        (lambda store: store.list_by_provider("vultr"), ["web-1", "db-3"]),
        (lambda store: store.list_by_provider("nobody"), []),
        (lambda store: store.list_by_status("running"), ["web-1", "web-2"]),
        (lambda store: store.list_by_status("active"), ["web-2"]),
        (lambda store: store.list_by_status("stopped"), ["db-3"]),
        (lambda store: store.list_by_tags(["a", "b"]), ["web-1", "web-2"]),
        (lambda store: store.list_by_tags(["a", "b"], match_all=True), ["web-1"]),
        (lambda store: store.list_by_tags([], match_all=True), ["web-1", "web-2", "db-3"]),
        (lambda store: store.search("WEB"), ["web-1", "web-2"]),
        (lambda store: store.search("n-3"), ["db-3"]),
    ],
)
def test_questions(store: XNodeInventory, ask: Any, names: List[str]) -> None:
    store.add_xnode(node(1), "vultr", tags=["a", "b"])
    store.add_xnode(node(2, status="active"), "digitalocean", tags=["b"])
    store.add_xnode(node(3, name="db-3", status="off"), "vultr")
    assert [entry["name"] for entry in ask(store)] == names


def test_costs_by_the_contracts_month_and_year(store: XNodeInventory) -> None:
    store.add_xnode(node(1), "vultr", cost_hourly=0.1)
    store.add_xnode(node(2), "aws", cost_hourly=0.2)
    # With floats the sum is 0.30000000000000004.
    assert store.get_total_cost() == {"hourly": 0.3, "daily": 7.2, "monthly": 216.0, "annual": 2628.0}


def test_a_cost_report(store: XNodeInventory) -> None:
    store.add_xnode(node(1), "vultr", cost_hourly=0.018)
    store.add_xnode(node(2, region="ewr"), "vultr", cost_hourly=0.1)
    store.add_xnode(node(3, status="stopped"), "aws", cost_hourly=5.0)
    report = store.get_cost_report()
    assert report.to_dict() == {
        "total_hourly": 0.118,
        "total_daily": 2.832,
        "total_monthly": 84.96,
        "by_provider": {"vultr": 0.118},
        "by_region": {"nyc1": 0.018, "ewr": 0.1},
        "projected_annual": 1033.68,
        "active_count": 2,
        "total_count": 3,
    }
    text = report.generate_report()
    assert module.generate_cost_report().splitlines()[4:] == text.splitlines()[4:]
    for part in ("Active xNodes:    2", "Hourly:           $0.1180", "Monthly:          $84.96", "ewr"):
        assert part in text
    assert text.index("ewr") < text.index("nyc1"), "the dearest first"


def test_an_empty_report_says_so(store: XNodeInventory) -> None:
    assert store.get_cost_report().generate_report().count("No data available") == 2


def test_statistics_have_the_originals_eleven_keys_and_those_its_command_line_missed(store: XNodeInventory) -> None:
    store.add_xnode(node(1, created_at=datetime.now() - timedelta(hours=48)), "vultr", cost_hourly=0.5)
    store.add_xnode(node(2, status="off", region=None), "digitalocean", cost_hourly=0.25)
    store.add_xnode(node(3, created_at=datetime.now() - timedelta(hours=10)), "vultr", cost_hourly=1)
    store.remove_xnode("n-3")
    stats = store.get_statistics()
    longest = stats.pop("longest_running")
    assert [one["id"] for one in longest] == ["n-1", "n-2"]
    assert longest[0]["uptime_days"] == pytest.approx(2, abs=0.01)
    assert longest[0]["uptime_hours"] == pytest.approx(48, abs=0.1)
    assert stats.pop("average_uptime_hours") == pytest.approx(10, abs=0.1)
    assert stats.pop("lifetime_cost") == pytest.approx(10, abs=0.1)
    assert stats == {
        "total_xnodes": 2,
        "status_distribution": {"running": 1, "off": 1},
        "provider_distribution": {"vultr": 1, "digitalocean": 1},
        "region_distribution": {"nyc1": 1, "unknown": 1},
        "total_deployments": 3,
        "active_deployments": 2,
        "terminated_deployments": 1,
        "most_expensive": [
            {"id": "n-1", "name": "web-1", "cost_hourly": 0.5},
            {"id": "n-2", "name": "web-2", "cost_hourly": 0.25},
        ],
        "total_running": 1,
        "total_cost_hourly": 0.5,
        "total_cost_monthly": 360.0,
        "stopped_cost_hourly": 0.25,
    }


def test_removing_closes_the_record_with_what_it_cost(files: Path, store: XNodeInventory) -> None:
    store.add_xnode(node(created_at=datetime.now(timezone.utc) - timedelta(hours=100)), "vultr", cost_hourly=0.02)
    store.remove_xnode("n-1")
    record = store.get_deployment_history("n-1")[0]
    assert not record.is_active()
    assert record.uptime_hours == pytest.approx(100, abs=0.01)
    assert record.total_cost == pytest.approx(2, abs=0.001)
    assert store.metadata["total_lifetime_cost"] == record.total_cost
    assert on_disk(files)["xnodes"] == {}
    assert on_disk(files)["metadata"]["total_running"] == 0


def test_removing_what_has_no_record_makes_one(files: Path) -> None:
    document = {
        "version": "1.0",
        "xnodes": {"7": {"id": "7", "provider": "aws", "deployed_at": "2025-01-01T00:00:00Z"}},
    }
    (files / "inventory.json").write_text(json.dumps(document))
    store = XNodeInventory()
    store.remove_xnode("7")
    assert [record.deployed_at.isoformat() for record in store.history] == ["2025-01-01T00:00:00+00:00"]


def test_history_is_newest_first(store: XNodeInventory) -> None:
    for number, moment in enumerate(
        [datetime(2025, 1, 1), datetime(2025, 3, 1, tzinfo=timezone.utc), datetime(2025, 2, 1)]
    ):
        store.add_xnode(node(number, created_at=moment), "vultr" if number else "aws")
    assert [record.xnode_id for record in store.get_deployment_history()] == ["n-1", "n-2", "n-0"]
    assert [record.xnode_id for record in store.get_deployment_history(provider="vultr", limit=1)] == ["n-1"]
    assert store.get_deployment_history(limit=0) == []


def test_cleaning_forgets_only_what_ended_long_ago(store: XNodeInventory) -> None:
    old, now = datetime.now() - timedelta(days=100), datetime.now()
    for name, ended in (("old", old), ("new", now), ("lives", None)):
        store.history.append(DeploymentRecord(name, "vultr", "t", old, ended))
    store.save()
    assert store.cleanup_old_history() == 1
    assert [record.xnode_id for record in XNodeInventory().history] == ["new", "lives"]
    assert store.cleanup_old_history() == 0


def test_attributes_changed_by_hand_are_saved(store: XNodeInventory) -> None:
    store.add_xnode(node(), "vultr")
    store.list_all()[0]["status"] = "stopped"
    store.metadata["seen"] = 3
    store.save()
    assert XNodeInventory().get_xnode("n-1")["status"] == "stopped"
    assert XNodeInventory().metadata["seen"] == 3


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"cost_hourly": "dear"}, "`cost_hourly` is 'dear'"),
        ({"cost_hourly": float("nan")}, "`cost_hourly` is nan"),
        ({"cost_hourly": -1}, "`cost_hourly` is -1"),
        ({"id": "other"}, "cannot change"),
    ],
)
def test_bad_changes_change_nothing(files: Path, store: XNodeInventory, change: Dict[str, Any], error: str) -> None:
    store.add_xnode(node(), "vultr", cost_hourly=0.5)
    before = (files / "inventory.json").read_bytes()
    with pytest.raises(ValueError, match=error):
        store.update_xnode("n-1", **change)
    assert (files / "inventory.json").read_bytes() == before
    assert store.get_xnode("n-1")["cost_hourly"] == 0.5


@pytest.mark.parametrize("value", [True, [], "1,5", "-0.1", "inf", "$3"])
def test_an_amount_is_one(value: Any) -> None:
    with pytest.raises(ValueError, match="cost_hourly"):
        amount(value, "cost_hourly")
