"""The inventory: its contract, its file, and what was wrong with the original's."""

import json
import logging
import os
import stat
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import ModuleType
from typing import Any, Dict, List, Optional

import pytest
from capsule_package import inventory as module
from capsule_package._deployments import amount
from capsule_package.inventory import CostReport, DeploymentRecord, XNodeInventory
from capsule_package.openmesh_core import XNode
from original_inventory import COLUMNS, COUNT, build, write
from signatures import fields_of, signature


def node(number: int = 1, **values: Any) -> XNode:
    named = {"id": f"n-{number}", "name": f"web-{number}", "status": "running", "ip_address": "203.0.113.7"}
    return XNode(**{**named, "region": "nyc1", **values})


@pytest.fixture
def store(files: Path) -> XNodeInventory:
    return XNodeInventory()


def on_disk(files: Path) -> Dict[str, Any]:
    content: Dict[str, Any] = json.loads((files / "inventory.json").read_text())
    return content


# The contract


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


# CSV


def test_csv_there_and_back(files: Path, store: XNodeInventory, tmp_path: Path) -> None:
    when = datetime(2025, 10, 15, 10, 0, 0, 5)
    store.add_xnode(node(1, name='a "b", c', created_at=when), "vultr", cost_hourly=0.018, tags=["x", "y"])
    store.add_xnode(node(2, region=None, ip_address="", created_at=when), "aws")
    module.export_inventory_csv(tmp_path / "out.csv")
    header, first, *_ = (tmp_path / "out.csv").read_text().splitlines()
    assert header == "id,name,provider,status,ip_address,region,deployed_at,cost_hourly,tags"
    assert first == 'n-1,"a ""b"", c",vultr,running,203.0.113.7,nyc1,2025-10-15T10:00:00.000005,0.018,"x,y"'
    other = XNodeInventory(tmp_path / "other.json")
    assert other.import_csv(tmp_path / "out.csv") == 2
    for entry in store.list_all():
        again = other.get_xnode(entry["id"])
        assert again.pop("template") == "imported"
        assert again == {key: value for key, value in entry.items() if key != "template"}


def test_what_is_there_already_or_comes_twice_is_left_out(
    store: XNodeInventory, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store.add_xnode(node(1), "vultr", cost_hourly=9)
    file = tmp_path / "in.csv"
    file.write_text(
        "id,name,provider,status,ip_address,owner\n"
        "n-1,other,vultr,active,1.2.3.4,\nn-2,b,vultr,active,1.2.3.5,me\nn-2,c,vultr,active,1.2.3.6,\n"
        "n-1,same id,aws,running,1.2.3.7,\n"
    )
    assert store.import_csv(file) == 2
    assert [entry["name"] for entry in store.list_all()] == ["web-1", "b", "same id"]
    assert store.get_xnode("n-2")["metadata"] == {"owner": "me"}
    assert [record.getMessage() for record in caplog.records] == [
        "Skipping duplicate xNode: n-1",
        "Skipping duplicate xNode: n-2",
    ]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("id,name\n1,a\n", "no column provider, status, ip_address"),
        ("", "no column id"),
        ("id,name,provider,status,ip_address\n1,a,vultr,on,1.2.3.4,spare\n", "line 2: more values than columns"),
        ("id,name,provider,status,ip_address\n1,a,vultr,on,1.2.3.4\n,a,b,c,d\n", "line 3: `id` is empty"),
        (
            "id,name,provider,status,ip_address,cost_hourly\n1,a,vultr,on,1.2.3.4,cheap\n",
            "line 2: `cost_hourly` is 'cheap'",
        ),
        ("id,name,provider,status,ip_address,deployed_at\n1,a,vultr,on,1.2.3.4,soon\n", "line 2: 'soon' is no date"),
    ],
)
def test_bad_csv_is_named_and_nothing_is_taken_of_it(
    files: Path, store: XNodeInventory, tmp_path: Path, text: str, error: str
) -> None:
    (tmp_path / "in.csv").write_text(text)
    with pytest.raises(ValueError, match=error):
        store.import_csv(tmp_path / "in.csv")
    assert list(files.iterdir()) == []


def test_a_missing_csv_is_a_missing_file(store: XNodeInventory, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        store.import_csv(tmp_path / "none.csv")


# The original's files


def test_a_hundred_entries_of_the_original(files: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(files)
    store = XNodeInventory()
    assert len(store.list_all()) == COUNT
    assert len(store.history) == COUNT + 5
    assert not caplog.records
    entries = build()["xnodes"].values()
    counted = [
        entry
        for entry in entries
        if entry["status"] in ("new", "active", "pending", "deploying", "ON", "running", "queued")
    ]
    assert 50 < len(counted) < COUNT
    report = store.get_cost_report()
    assert report.active_count == len(counted)
    assert report.total_hourly == pytest.approx(sum(entry["cost_hourly"] for entry in counted))
    assert report.by_region["unknown"] > 0
    assert store.get_statistics()["region_distribution"]["unknown"] == 12
    assert "unknown" in report.generate_report()


def test_saving_loses_nothing_of_the_originals_file(files: Path) -> None:
    write(files)
    before = build()
    store = XNodeInventory()
    store.add_xnode(node(1), "vultr")
    after = on_disk(files)
    del after["xnodes"]["n-1"]
    assert after["history"].pop()["xnode_id"] == "n-1"
    assert after["metadata"] == {
        **before["metadata"],
        "total_deployed": 106,
        "total_running": after["metadata"]["total_running"],
    }
    for key in ("version", "xnodes", "history", "notes"):
        assert after[key] == before[key], key


def test_the_originals_csv(store: XNodeInventory, tmp_path: Path) -> None:
    paths = write(tmp_path)
    # The two that stand there twice are one each.
    assert store.import_csv(paths["csv"]) == COUNT - 2
    for entry in store.list_all():
        assert entry["region"] != ""
    store.export_csv(tmp_path / "again.csv")
    assert (tmp_path / "again.csv").read_text().splitlines()[0] == ",".join(COLUMNS)


def test_an_id_that_stands_there_twice_has_to_be_said_by_its_key(files: Path) -> None:
    write(files)
    store = XNodeInventory()
    twice = next(entry["id"] for key, entry in store.xnodes.items() if key.endswith("-again"))
    with pytest.raises(KeyError, match="several"):
        store.get_xnode(twice)


def test_entries_and_records_that_cannot_be_read_stay(files: Path, caplog: pytest.LogCaptureFixture) -> None:
    odd: Dict[str, Any] = {
        "version": "1.0",
        "xnodes": {"a": "what is this", "b": {"name": None, "status": None, "cost_hourly": None, "tags": None}},
        "history": [{"xnode_id": "x", "deployed_at": "last summer"}, 7, {"xnode_id": "y", "deployed_at": None}],
        "metadata": None,
    }
    (files / "inventory.json").write_text(json.dumps(odd))
    store = XNodeInventory()
    assert "4 entries" in caplog.text
    assert store.search("b") == store.list_all() != []
    assert store.get_cost_report().total_count == 1
    store.add_xnode(node(1), "vultr")
    after = on_disk(files)
    assert after["xnodes"]["a"] == odd["xnodes"]["a"]
    for record in odd["history"]:
        assert record in after["history"]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("{", "is not JSON.*inventory.json.backup"),
        ("", "is not JSON"),
        ("[]", "holds a list"),
        ('{"version": "2.0"}', "has format 2.0"),
        ('{"xnodes": []}', "`xnodes` is a list"),
        ('{"history": {}}', "`history` is a dict"),
    ],
)
def test_what_is_no_inventory_is_refused_and_stays(files: Path, text: str, error: str) -> None:
    (files / "inventory.json").write_text(text)
    with pytest.raises(ValueError, match=error):
        XNodeInventory()
    assert (files / "inventory.json").read_text() == text


def test_broken_json_is_the_error_that_it_was(files: Path) -> None:
    (files / "inventory.json").write_text('{"xnodes": ')
    with pytest.raises(json.JSONDecodeError):
        XNodeInventory()


# Defects of the original, by their numbers in its list


def test_defect_4_what_deploy_returns_can_be_added(store: XNodeInventory) -> None:
    made = {
        **{"id": 4711, "name": "web", "provider": "digitalocean", "template": "do-basic-2", "region": None},
        **{"status": "new", "ip_address": None, "cost_hourly": 0.015, "metadata": {"at": datetime(2025, 1, 1)}},
    }
    store.add_xnode(made, provider="digitalocean", template="do-basic-2", cost_hourly=0.015, tags=[])
    entry = store.get_xnode("4711")
    assert (entry["name"], entry["ip_address"], entry["status"]) == ("web", "", "new")
    assert entry["metadata"]["at"] == "2025-01-01T00:00:00"


@pytest.mark.parametrize("word", ["running", "active", "new", "pending", "deploying", "IN_USE ON", "provisioning"])
def test_defect_22_what_runs_or_is_being_made_costs(store: XNodeInventory, word: str) -> None:
    store.add_xnode(node(status=word), "vultr", cost_hourly=0.5)
    assert store.get_total_cost()["hourly"] == 0.5
    assert store.get_cost_report().active_count == 1


@pytest.mark.parametrize("word", ["stopped", "off", "terminated", "archive", "odd", "", None])
def test_defect_22_what_does_not_run_costs_nothing_here(store: XNodeInventory, word: Any) -> None:
    store.add_xnode(node(status=word), "vultr", cost_hourly=0.5)
    assert store.get_total_cost()["hourly"] == 0


def test_defect_23_the_keys_that_the_command_line_needs_are_there(store: XNodeInventory) -> None:
    store.add_xnode(node(status="active"), "vultr", cost_hourly=0.5)
    stats = store.get_statistics()
    assert (stats["total_running"], stats["total_cost_hourly"], stats["total_cost_monthly"]) == (1, 0.5, 360.0)


def test_defect_24_a_null_region_is_reported(store: XNodeInventory) -> None:
    store.add_xnode(node(region=None), "vultr", cost_hourly=0.5)
    assert "unknown" in store.get_cost_report().generate_report()


def test_defect_25_the_file_is_private_and_its_last_state_kept(files: Path, store: XNodeInventory) -> None:
    store.add_xnode(node(1), "vultr")
    first = (files / "inventory.json").read_bytes()
    store.add_xnode(node(2), "vultr")
    assert (files / "inventory.json.backup").read_bytes() == first
    for path in files.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    assert sorted(path.name for path in files.iterdir()) == [
        "inventory.json",
        "inventory.json.backup",
        "inventory.json.lock",
    ]


def test_defect_25_a_write_that_fails_leaves_the_old_file(
    files: Path, store: XNodeInventory, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.add_xnode(node(1), "vultr")
    before = (files / "inventory.json").read_bytes()

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        store.add_xnode(node(2), "vultr")
    assert (files / "inventory.json").read_bytes() == before
    assert not [path.name for path in files.iterdir() if path.name.startswith(".")], "a temporary file is left"


_ADDS = """
import sys
from capsule_package.inventory import XNodeInventory
from capsule_package.openmesh_core import XNode
who = sys.argv[1]
store = XNodeInventory()
sys.stdin.readline()
for number in range(15):
    store.add_xnode(XNode(f"{who}-{number}", "n", "running", "203.0.113.1"), "vultr", cost_hourly=0.01)
    store.update_xnode("shared", **{f"by_{who}": number})
store.remove_xnode(f"{who}-0")
"""


def test_defect_25_processes_lose_nothing_of_each_others(files: Path, store: XNodeInventory) -> None:
    store.add_xnode(node(id="shared"), "vultr")
    workers = [subprocess.Popen([sys.executable, "-c", _ADDS, who], stdin=subprocess.PIPE, text=True) for who in "abcd"]
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    for worker in workers:
        worker.communicate(timeout=60)
        assert worker.returncode == 0
    document = on_disk(files)
    assert len(document["xnodes"]) == 1 + 4 * 14
    assert document["metadata"]["total_deployed"] == 1 + 4 * 15
    assert len(document["history"]) == 1 + 4 * 15
    assert sum(record["terminated_at"] is not None for record in document["history"]) == 4
    assert {document["xnodes"]["shared"][f"by_{who}"] for who in "abcd"} == {14}


def test_defect_25_what_another_wrote_is_merged_with_what_was_changed_by_hand(store: XNodeInventory) -> None:
    store.add_xnode(node(1), "vultr")
    store.add_xnode(node(2), "vultr")
    other = XNodeInventory()
    other.update_xnode("n-1", status="stopped")
    other.add_xnode(node(3), "aws")
    store.xnodes["n-1"]["tags"] = ["mine"]
    del store.xnodes["n-2"]
    store.save()
    assert store.get_xnode("n-1")["status"] == "stopped"
    assert store.get_xnode("n-1")["tags"] == ["mine"]
    assert sorted(store.xnodes) == ["n-1", "n-3"]


def test_defect_25_ids_are_each_providers_own(files: Path, store: XNodeInventory) -> None:
    store.add_xnode(node(id="7", name="a"), "vultr")
    store.add_xnode(node(id="7", name="b"), "hivelocity")
    with pytest.raises(KeyError, match="vultr/7, hivelocity/7"):
        store.get_xnode("7")
    assert XNodeInventory().get_xnode("vultr/7")["name"] == "a"
    store.remove_xnode("hivelocity/7")
    assert store.get_xnode("7")["name"] == "a"
    assert [record.provider for record in store.history if not record.is_active()] == ["hivelocity"]


class _Provider:
    def __init__(self, servers: List[Dict[str, Any]], fails: Optional[Exception] = None) -> None:
        self.servers, self.fails = servers, fails

    def list_instances(self) -> List[Dict[str, Any]]:
        if self.fails is not None:
            raise self.fails
        return self.servers


class _Manager:
    def __init__(self, **providers: _Provider) -> None:
        self.providers = providers

    def get_provider(self, name: str) -> Any:
        return self.providers.get(name)


def test_defect_25_it_can_be_set_beside_what_the_providers_say(store: XNodeInventory, errors: ModuleType) -> None:
    store.add_xnode(node(1, status="new", ip_address=""), "vultr")
    store.add_xnode(node(2), "vultr")
    store.add_xnode(node(3), "vultr")
    store.add_xnode(node(4), "aws")
    store.add_xnode(node(5), "nobody")
    seen = [
        {"id": "n-1", "status": "running", "ip_address": "203.0.113.9", "region": ""},
        {"id": "n-2", "status": "running", "ip_address": "203.0.113.7", "region": "nyc1"},
    ]
    outcome = store.reconcile(_Manager(vultr=_Provider(seen), aws=_Provider([], errors.NotConfiguredError())))
    assert outcome == {"updated": ["n-1"], "unchanged": ["n-2"], "missing": ["n-3"], "unasked": ["n-4", "n-5"]}
    first = XNodeInventory().get_xnode("n-1")
    assert (first["status"], first["ip_address"], first["region"]) == ("running", "203.0.113.9", "nyc1")
    assert len(store.list_all()) == 5


def test_defect_6_a_provider_that_fails_is_no_empty_list(store: XNodeInventory, errors: ModuleType) -> None:
    store.add_xnode(node(1), "vultr")
    with pytest.raises(RuntimeError, match="no answer"):
        store.reconcile(_Manager(vultr=_Provider([], RuntimeError("no answer"))))


def test_defect_26_what_stopped_servers_may_cost_is_told(store: XNodeInventory) -> None:
    store.add_xnode(node(status="off"), "digitalocean", cost_hourly=0.25)
    assert store.get_statistics()["stopped_cost_hourly"] == 0.25


def test_defect_20_importing_leaves_logging_alone() -> None:
    code = "import logging, capsule_package.inventory; print(logging.getLogger().handlers, logging.getLogger().level)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == f"[] {logging.WARNING}\n"


_DIES = """
import os, sys
from capsule_package.inventory import XNodeInventory
store = XNodeInventory()
real, left = os.replace, [int(sys.argv[1])]

def replace(*paths):
    left[0] -= 1
    if left[0] == 0:
        os._exit(9)
    real(*paths)

os.replace = replace
store.update_xnode("n-1", status="stopped")
"""


@pytest.mark.parametrize(("dies_at", "status"), [(1, "running"), (2, "running"), (3, "stopped")])
def test_defect_25_a_crash_leaves_the_old_file_or_the_new_one(
    files: Path, store: XNodeInventory, dies_at: int, status: str
) -> None:
    store.add_xnode(node(1), "vultr")
    done = subprocess.run([sys.executable, "-c", _DIES, str(dies_at)], timeout=60)
    assert done.returncode == (9 if dies_at < 3 else 0)
    after = XNodeInventory()
    assert after.get_xnode("n-1")["status"] == status
    after.add_xnode(node(2), "vultr")
    assert len(XNodeInventory().list_all()) == 2, "the dead one's lock is free"
