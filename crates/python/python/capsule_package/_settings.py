"""Where settings come from, read when they are needed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Dict, Optional

if TYPE_CHECKING:
    from . import _native

# What the sandbox takes as a key, whatever the user has.
SANDBOX_KEY = "sandbox"


def sandbox() -> bool:
    """Whether everything goes to simulated clouds."""
    return os.environ.get("CAPSULE_SANDBOX", "").strip().lower() not in ("", "0", "false", "f", "no", "n", "off")


def home() -> Path:
    """Where Capsule keeps its state."""
    given = os.environ.get("CAPSULE_HOME")
    return Path(given) if given else Path.home() / ".capsule"


def config_file() -> Path:
    """The default ``providers.yml``. The sandbox has one of its own: trying an example must not replace a real key."""
    return home() / "sandbox" / "providers.yml" if sandbox() else home() / "providers.yml"


def state() -> object:
    """What is the same for as long as nothing that a default manager reads has changed."""
    file = config_file()
    try:
        about = file.stat()
    except OSError:
        return file, None, dict(os.environ)
    return file, (about.st_mtime_ns, about.st_size, about.st_ino), dict(os.environ)


def endpoint(provider: str, usual: str) -> str:
    """The vendor's base URL, unless the user set another."""
    return os.environ.get(f"CAPSULE_{provider.upper()}_ENDPOINT") or usual


def core(keys: Dict[str, str], config: Optional[Path] = None) -> _native.Core:
    """The facade, with these keys by provider before what is set elsewhere."""
    from . import _native

    return _native.Core(home=home(), config=config, keys=list(keys.items()), sandbox=sandbox())
