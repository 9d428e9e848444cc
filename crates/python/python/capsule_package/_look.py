"""How xNodes are, asked of `capsule health`: reachable from outside, claimed by their owner, and how busy.

The looking itself is the Rust core's: TLS on port 443, the certificate that is pinned, and what a stranger is answered.
It tells an outage of this machine from one of the nodes, and looks again before it calls one down.
"""

import importlib.util
import json
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional

# One round of looks ends by itself long before.
_LIMIT_SECONDS = 180


@dataclass(frozen=True)
class Look:
    """What a look came to.

    `health` is `up`, `shaky` or `down`, `alarm` (open to anyone, or not itself any more) or `unknown`. `claimed` is
    None where that was not seen. `trouble` says what is wrong and what to do. `usage` is what the node tells its
    owner: `{"cpu": [{"used"}], "memory": {"used", "total"}, "disk": [{"used", "total"}]}`. `ms` is how long it took,
    the start of the program included.
    """

    health: str
    claimed: Optional[bool] = None
    trouble: str = ""
    usage: Optional[Mapping[str, Any]] = None
    ms: float = 0.0


def look(which: str) -> Look:
    """Looks at one xNode, by id or name."""
    return _ask([which]).get("", Look("unknown", trouble=f"capsule health said nothing of {which}."))


def look_at_all() -> Dict[str, Look]:
    """Looks at all xNodes that capsule knows, at once. Each is there by its whole id, by the provider's and by its
    name.

    Where nothing can be said of any, the one entry `""` says why.
    """
    return _ask(["--all"])


def _ask(arguments: List[str]) -> Dict[str, Look]:
    command = _command()
    if command is None:
        return {"": Look("unknown", trouble="The program `capsule` is not on the path; xNodes are looked at with it.")}
    # What follows `--` is no option, whatever the id of a node looks like.
    options = arguments if arguments == ["--all"] else ["--", *arguments]
    start = time.monotonic()
    try:
        done = subprocess.run(
            [*command, "--output", "json", "health", *options],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=_LIMIT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"": Look("unknown", trouble=f"capsule health did not end within {_LIMIT_SECONDS} s.")}
    except OSError as error:
        return {"": Look("unknown", trouble=f"capsule could not be run: {error.strerror}.")}
    return read(done.stdout, done.stderr, (time.monotonic() - start) * 1000, alone=arguments != ["--all"])


def _command() -> Optional[List[str]]:
    """The program of this package where its native part is built, else the one on the path."""
    if importlib.util.find_spec("capsule_package._native") is not None:
        return [sys.executable, "-m", "capsule_package._main"]
    found = shutil.which("capsule")
    return None if found is None else [found]


def read(stdout: str, stderr: str, ms: float, alone: bool) -> Dict[str, Look]:
    """The looks in what `capsule -o json health` printed; under `""` if it was asked for one alone."""
    try:
        nodes = json.loads(stdout)["nodes"]
    except (ValueError, KeyError, TypeError):
        return {"": Look("unknown", trouble=_why_not(stderr), ms=ms)}
    looks: Dict[str, Look] = {}
    for node in nodes:
        seen = Look(
            health=str(node.get("health") or "unknown"),
            claimed=node.get("claimed"),
            trouble=_told(node.get("error")),
            usage=node.get("usage"),
            ms=ms,
        )
        whole = str(node.get("id") or "")
        for name in [""] if alone else [whole, whole.rpartition("/")[2], str(node.get("name") or "")]:
            looks.setdefault(name, seen)
    return looks


def _why_not(stderr: str) -> str:
    """The error in the last line of what was said, which is JSON unless something else went wrong."""
    lines = stderr.strip().splitlines()
    try:
        return _told(json.loads(lines[-1])["error"])
    except (ValueError, KeyError, TypeError, IndexError):
        return "capsule health failed without a word of why."


def _told(error: Optional[Mapping[str, Any]]) -> str:
    if not error:
        return ""
    return " ".join(str(part) for part in (error.get("message"), error.get("hint")) if part)
