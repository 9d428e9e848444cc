"""What happens when a call is ended in the middle: nothing is lost, and whoever goes on need not wait."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, Dict, Iterator, List

import pytest

from capsule_package.providers import ProviderManager
from journal_reader import leases, wait_for

# What takes minutes at the pace of real clouds.
METAL = ("equinix", "equinix-c3-small")


def order(name: str) -> Dict[str, Any]:
    return {"name": name, "idempotency_key": f"key-{name}", "wait": "running"}


@pytest.fixture(autouse=True)
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAPSULE_SANDBOX_SPEED", "1")


@pytest.fixture(autouse=True)
def heeded() -> Iterator[None]:
    """What a shell starts in the background has SIGINT ignored, and Python leaves it so."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def names() -> List[str]:
    provider = ProviderManager().get_provider(METAL[0])
    assert provider is not None
    return sorted(server["name"] for server in provider.list_instances())


def test_ctrl_c_gives_back_what_was_begun(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    failed: List[BaseException] = []

    def press() -> None:
        try:
            wait_for(home, web=True)
        except BaseException as error:
            failed.append(error)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=press)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        ProviderManager().deploy_to_provider(*METAL, order("web"))
    thread.join()
    assert not failed
    assert leases(home) == {"web": None}
    assert "Interrupted. `capsule resume " in caplog.text
    assert names() == ["web"]


def test_a_coroutine_that_is_cancelled_ends_with_its_thread_and_no_other(home: Path) -> None:
    async def tour() -> None:
        def begin(name: str) -> "asyncio.Future[Dict[str, Any]]":
            return asyncio.ensure_future(manager.adeploy_to_provider(*METAL, order(name)))

        async def reached(**worked_on: bool) -> None:
            await asyncio.get_running_loop().run_in_executor(None, lambda: wait_for(home, **worked_on))

        async def end(task: "asyncio.Future[Dict[str, Any]]") -> None:
            task.cancel()  # As `asyncio.wait_for` does when the time is over.
            with pytest.raises(asyncio.CancelledError):
                await task

        manager = ProviderManager()
        a, b = begin("a"), begin("b")
        await reached(a=True, b=True)
        await end(a)
        await reached(a=False, b=True)
        # The same call again goes on with it at once.
        a = begin("a")
        await reached(a=True, b=True)
        await end(b)
        await reached(a=True, b=False)
        await end(a)
        await reached(a=False, b=False)

    asyncio.run(tour())
    assert names() == ["a", "b"]


def test_a_program_whose_task_is_cancelled_ends(home: Path) -> None:
    code = (
        "import asyncio, pathlib, sys\n"
        "sys.path.insert(0, sys.argv[1])\n"
        "from test_interruptions import *\n"
        "async def main():\n"
        "    deploy = asyncio.ensure_future(ProviderManager().adeploy_to_provider(*METAL, order('web')))\n"
        "    home = pathlib.Path(sys.argv[2])\n"
        "    await asyncio.get_running_loop().run_in_executor(None, lambda: wait_for(home, web=True))\n"
        "    deploy.cancel()\n"
        "asyncio.run(main())\n"
    )
    # The interpreter waits for all threads before it ends: one that went on would take minutes.
    command = [sys.executable, "-c", code, str(Path(__file__).parent), str(home)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert run.returncode == 0, run.stderr
    assert leases(home) == {"web": None}


def test_the_same_key_without_a_name_is_the_same_deploy() -> None:
    manager = ProviderManager()
    config = {"idempotency_key": "monday"}
    first = manager.deploy_to_provider("vultr", "vultr-vc2-2", dict(config))
    again = manager.deploy_to_provider("vultr", "vultr-vc2-2", dict(config))
    assert (first["id"], first["name"]) == (again["id"], again["name"])
    assert manager.deploy_to_provider("vultr", "vultr-vc2-2", {})["id"] != first["id"]
