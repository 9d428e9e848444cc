"""Programs that the tests start: each on a port of its own, each stopped by its own process id."""

import contextlib
import json
import os
import pathlib
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parent.parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "debug"
CONTRACTS = HERE / "contracts"


def free_port(count=1):
    """The first of `count` neighbouring ports that nobody listens on."""
    for _ in range(50):
        with contextlib.ExitStack() as stack:
            first = stack.enter_context(socket.socket())
            first.bind(("127.0.0.1", 0))
            port = first.getsockname()[1]
            try:
                for offset in range(1, count):
                    stack.enter_context(socket.socket()).bind(("127.0.0.1", port + offset))
            except (OSError, OverflowError):
                continue
            return port
    raise RuntimeError(f"no {count} neighbouring free ports on this machine")


def program(path, missing):
    """The path of a program that must be there; says what to run if it is not."""
    found = shutil.which(path)
    if found is None:
        raise RuntimeError(f"{path} is not there. {missing}")
    return found


def answers(url):
    """Whether an HTTP server answers there, whatever it says."""
    try:
        urllib.request.urlopen(url, timeout=2)
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


@contextlib.contextmanager
def running(command, *, url, log, env=None, seconds=60):
    """Starts a server, waits until `url` answers, and stops it at the end."""
    with open(log, "wb") as out:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, env={**os.environ, **(env or {})}
        )
    try:
        deadline = time.monotonic() + seconds
        while not answers(url):
            if process.poll() is not None or time.monotonic() > deadline:
                words = pathlib.Path(log).read_text(errors="replace")[-2000:]
                raise RuntimeError(f"{command[0]} did not come up at {url} within {seconds} s:\n{words}")
            time.sleep(0.1)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Driver:
    """One of Capsule's drivers, driven call by call through `examples/drive.rs`."""

    def __init__(self, provider, endpoint, settings):
        binary = program(str(TARGET / "examples" / "drive"), "Run `cargo build -p capsule-providers --examples`.")
        self._process = subprocess.Popen([binary], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._send({"provider": provider, "endpoint": endpoint, "settings": settings})
        hello = self._receive()
        if "error" in hello:
            self.close()
            raise RuntimeError(f"{provider} cannot be connected to: {hello['error']}")

    def _send(self, line):
        self._process.stdin.write(json.dumps(line) + "\n")
        self._process.stdin.flush()

    def _receive(self):
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the driver ended with {self._process.wait(10)}")
        return json.loads(line)

    def call(self, name, **arguments):
        """The answer as it comes: `{"ok": ...}` or `{"error": {...}}`."""
        self._send({"call": name, **arguments})
        return self._receive()

    def ok(self, name, **arguments):
        """The value; an error fails the test."""
        answer = self.call(name, **arguments)
        assert "ok" in answer, f"{name}({arguments}): {answer}"
        return answer["ok"]

    def error(self, name, **arguments):
        """The error; a value fails the test."""
        answer = self.call(name, **arguments)
        assert "error" in answer, f"{name}({arguments}) should have failed: {answer}"
        return answer["error"]

    def close(self):
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
