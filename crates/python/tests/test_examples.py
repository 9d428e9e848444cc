"""The providers' examples, each a program of its own in an empty home; and what mypy says of them and of the package.

The original's own README is not kept anywhere here: these were written after its names, arguments and dicts.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EXAMPLES = {
    "deploy_and_manage": ["my-xnode", "stopped: True", "started: True", "deleted: True"],
    "compare_prices": ["VC2 2 vCPU", "cheapest: scaleway-dev1-m, 72 a year"],
    "handle_errors": ["refused: Unknown provider: nowhere", "not there: digitalocean has no server `999999999`."],
    "many_at_once": ["['node-0', 'node-1', 'node-2']", "[True, True, True]"],
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_runs(name: str, tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, str(ROOT / "examples" / f"{name}.py")], capture_output=True, text=True, timeout=100, cwd=tmp_path
    )
    assert run.returncode == 0, run.stderr
    for line in EXAMPLES[name]:
        assert line in run.stdout, run.stdout + run.stderr


def test_mypy_has_nothing_to_say(tmp_path: Path) -> None:
    examples = [str(ROOT / "examples" / f"{name}.py") for name in EXAMPLES]
    modules = [str(ROOT / "python" / "capsule_package" / f"{name}.py") for name in ("providers", "api_clients", "aio")]
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path), *examples, *modules]
    run = subprocess.run(command, capture_output=True, text=True, timeout=110, cwd=ROOT / "python")
    assert run.returncode == 0, run.stdout + run.stderr
