"""The examples of inventory, monitoring, xNodes and the NixOS generator, run as they stand."""

import json
import subprocess
import sys
from pathlib import Path
from typing import List

import pytest
from capsule_package.api_clients import ResourceNotFoundError
from capsule_package.inventory import XNodeInventory
from capsule_package.openmesh_core import XNodeManager
from capsule_package.providers import ProviderManager

EXAMPLES = Path(__file__).parent.parent / "examples"


def run(name: str, *arguments: str, folder: Path) -> List[str]:
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / name), *arguments], cwd=folder, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_inventory_tour(files: Path, tmp_path: Path) -> None:
    lines = run("inventory_tour.py", folder=tmp_path)
    assert lines[:5] == [
        "Servers: 3",
        "At Vultr: prod-db-1",
        "Running: prod-web-1, prod-db-1, dev-1",
        "In production: prod-web-1, prod-db-1",
        "Called prod: xnode-001, xnode-002",
    ]
    assert "Costs: $0.18 an hour, $129.60 a month, $1576.80 a year" in lines
    assert lines[-1] == "Again from there: 0 new"
    assert sorted(json.loads((files / "inventory.json").read_text())["xnodes"]) == ["xnode-001", "xnode-003"]


def test_nixos_files(tmp_path: Path) -> None:
    assert run("nixos_files.py", folder=tmp_path) == [
        "configuration.nix: valid",
        "home.nix: valid",
        "flake.nix: valid",
        "hardware-configuration.nix: valid",
    ]
    assert (tmp_path / "nixos" / "README.md").is_file()


def test_xnode_lifecycle_and_watch_fleet(files: Path, tmp_path: Path) -> None:
    lines = run("xnode_lifecycle.py", folder=tmp_path)
    assert lines[0].startswith("prod-api-1 is ")
    assert "Running: ['prod-api-1']" in lines
    assert "Stopped: True started: True" in lines
    assert "Deleted: True" in lines
    assert json.loads((files / "inventory.json").read_text())["xnodes"] == {}
    assert run("watch_fleet.py", folder=tmp_path)[-1] == "0 of 0 healthy, 0 critical alerts"


def test_the_providers_joined_words_are_understood_from_list_to_inventory(
    files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager = ProviderManager()
    # The default one is the process's, and so of an earlier test's home.
    monkeypatch.setattr("capsule_package.providers.get_default_manager", lambda: manager)
    node = XNodeManager().deploy_xnode("web", "ewr", provider="vultr")
    inventory = XNodeInventory()
    inventory.add_xnode(node, "vultr", cost_hourly=0.018)
    assert (node.status, inventory.get_total_cost()["hourly"]) == ("active", 0.018)
    assert XNodeManager().stop_xnode("web")
    assert inventory.reconcile(manager) == {"updated": [node.id], "unchanged": [], "missing": [], "unasked": []}
    assert (inventory.list_all()[0]["status"], inventory.get_total_cost()["hourly"]) == ("stopped", 0.0)
    with pytest.raises(ResourceNotFoundError, match="nope") as refused:
        XNodeManager().get_xnode_status("nope")
    assert refused.value.status_code == 404
