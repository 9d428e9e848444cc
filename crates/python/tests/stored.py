"""What the inventory is given in tests, and what it wrote."""

import json
from pathlib import Path
from typing import Any, Dict

from capsule_package.openmesh_core import XNode


def node(number: int = 1, **values: Any) -> XNode:
    named = {"id": f"n-{number}", "name": f"web-{number}", "status": "running", "ip_address": "203.0.113.7"}
    return XNode(**{**named, "region": "nyc1", **values})


def on_disk(files: Path) -> Dict[str, Any]:
    content: Dict[str, Any] = json.loads((files / "inventory.json").read_text())
    return content
