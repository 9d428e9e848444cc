"""The examples of inventory, monitoring, xNodes and the NixOS generator, run as they stand."""

import json
import subprocess
import sys
from pathlib import Path
from typing import List

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
