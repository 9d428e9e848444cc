"""The inventory's files: CSV, and what the original left."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any, Dict

import pytest
from capsule_package import inventory as module
from capsule_package.inventory import XNodeInventory
from original_inventory import COLUMNS, COUNT, build, write
from stored import node, on_disk

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
