"""What every test of the package starts from: a home and an environment of its own."""

from __future__ import annotations

import os
import sys
import types
from pathlib import Path

import pytest
from capsule_package.inventory import XNodeInventory
from capsule_package.monitoring import MonitoringSystem
from watched import World


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home; nobody's keys; the simulated clouds, fast."""
    for name in list(os.environ):
        if name.endswith(("_API_KEY", "_TOKEN", "_ENDPOINT")) or name.startswith(
            ("CAPSULE_", "AWS_", "SCW_", "OPENMESH_")
        ):
            monkeypatch.delenv(name)
    home = tmp_path / "capsule"
    home.mkdir(mode=0o700)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CAPSULE_HOME", str(home))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1] / "python"))
    monkeypatch.setenv("CAPSULE_SANDBOX", "1")
    monkeypatch.setenv("CAPSULE_SANDBOX_SPEED", "10000")
    return home


@pytest.fixture
def files(home: Path) -> Path:
    """Where the modules in Python keep their files in the sandbox."""
    folder = home / "sandbox"
    folder.mkdir(mode=0o700)
    return folder


@pytest.fixture
def store(files: Path) -> XNodeInventory:
    """An empty inventory."""
    return XNodeInventory()


@pytest.fixture
def world(files: Path) -> World:
    """A monitoring of its own, and what it sees."""
    return World(MonitoringSystem())


@pytest.fixture
def errors(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """Stands in for `api_clients`, where a test needs nothing of the native part."""
    module = types.ModuleType("capsule_package.api_clients")
    for name in ("NotConfiguredError", "ResourceNotFoundError"):
        setattr(module, name, type(name, (Exception,), {}))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return module
