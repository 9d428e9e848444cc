"""Files in Capsule's home that survive a crash, and two writers at once.

A file is replaced as a whole, under a lock that stands beside it, and what another process wrote meanwhile is merged
in: see `merge`. All are readable by their owner alone.
"""

import contextlib
import os
import sys
import tempfile
from pathlib import Path
from typing import Any, Dict, Iterator, Mapping, Optional


def home() -> Path:
    """Where files are kept: `$CAPSULE_HOME`, else `~/.capsule`, as for the command line.

    In the sandbox a folder in it, so that servers that never were do not end among those that cost something.
    """
    named = os.environ.get("CAPSULE_HOME")
    home = Path(named) if named else Path.home() / ".capsule"
    # As the command line reads it.
    sandbox = os.environ.get("CAPSULE_SANDBOX", "").strip().lower()
    return home if sandbox in ("", "0", "false", "f", "no", "n", "off") else home / "sandbox"


def read(path: Path) -> Optional[str]:
    """The text of a file, or None if there is none."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None


def replace(path: Path, text: str) -> None:
    """Writes a file whole or not at all: a crash leaves the old text or the new one."""
    path = Path(os.path.realpath(path))
    make_folder(path.parent)
    # mkstemp makes it readable by its owner alone.
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix="." + path.name + ".")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    if sys.platform != "win32":
        # The new name has to be on the disk too.
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def make_folder(path: Path) -> None:
    """Makes a folder for its owner alone, where there is none."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keeps other processes and threads that do the same away from `path`.

    The lock is a file of its own, since `path` is replaced; the system frees it when its holder dies.
    """
    path = Path(os.path.realpath(path))
    make_folder(path.parent)
    descriptor = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_LOCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def merge(base: Mapping[str, Any], mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> Dict[str, Any]:
    """What two writers made of one mapping: `theirs`, and over it whatever `mine` changed since `base`.

    Mappings within are merged likewise; any other value is one, and the last writer's counts.
    """
    merged = dict(theirs)
    for key in {**base, **mine}:
        if key not in mine:
            merged.pop(key, None)
        elif key not in base or mine[key] != base[key]:
            three = (base.get(key), mine[key], theirs.get(key))
            if isinstance(three[0], dict) and isinstance(three[1], dict) and isinstance(three[2], dict):
                merged[key] = merge(three[0], three[1], three[2])
            else:
                merged[key] = mine[key]
    return merged
