"""The package as a whole."""

from __future__ import annotations

import subprocess
import sys

import capsule_package
from capsule_package import _native


def test_the_module_is_the_one_beside_the_package() -> None:
    assert capsule_package.__version__ == _native.__version__
    assert set(capsule_package.__all__) <= set(dir(capsule_package))


def test_the_console_script_is_the_program() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "capsule_package._main", "--version"], capture_output=True, text=True, timeout=60
    )
    assert (run.returncode, run.stdout.strip()) == (0, f"capsule {_native.__version__}")
    run = subprocess.run(
        [sys.executable, "-m", "capsule_package._main", "no-such"], capture_output=True, text=True, timeout=60
    )
    assert run.returncode == 2 and "no-such" in run.stderr
