"""The package as a whole."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from typing import List, Tuple

import capsule_package
from capsule_package import _native
from capsule_package.providers import ProviderManager


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


def on_a_terminal(arguments: List[str], answer: str) -> Tuple[int, str]:
    """How the program ends, and what it says, where somebody answers the one question that it asks."""
    here, there = pty.openpty()
    program = [sys.executable, "-m", "capsule_package._main", *arguments]
    with subprocess.Popen(program, stdin=there, stdout=there, stderr=there) as process:
        os.close(there)
        said = b""
        while True:
            try:
                part = os.read(here, 4096)
            except OSError:
                # Linux says so when nobody has the other end open any more.
                break
            if not part:
                break
            said += part
            if said.endswith(b"[y/N] "):
                os.write(here, f"{answer}\n".encode())
        os.close(here)
        return process.wait(timeout=60), said.decode()


def test_an_order_by_the_originals_command_shows_its_price_before_it_asks() -> None:
    order = ["openmesh", "deploy", "--name", "web", "--provider", "vultr"]
    vultr = ProviderManager().get_provider("vultr")
    assert vultr is not None
    code, said = on_a_terminal(order, "n")
    shown, asked = said.find("USD an hour"), said.find("Order it?")
    assert code == 1 and 0 < shown < asked < said.find("Nothing was ordered."), said
    assert vultr.list_instances() == []
    code, said = on_a_terminal(order, "y")
    assert code == 0, said
    assert [server["name"] for server in vultr.list_instances()] == ["web"]
