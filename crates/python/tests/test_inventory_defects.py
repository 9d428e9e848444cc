"""What was wrong with the original's inventory, by the numbers of its list."""

import logging
import os
import stat
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from types import ModuleType
from typing import Any, Dict, List, Optional

import pytest
from capsule_package.inventory import XNodeInventory
from stored import node, on_disk


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
