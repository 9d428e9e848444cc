"""An inventory as the original left it after a year: a hundred servers, and all that went wrong with them.

`build()` gives the document, `write(folder)` both files; as a program: `python original_inventory.py FOLDER`.
"""

import csv
import json
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Dict, List

COUNT = 100
# Raw words, as each provider said them when the entry was written.
_WORDS = {
    "digitalocean": ["new", "active", "off"],
    "vultr": ["pending", "active"],
    "hivelocity": ["deploying", "ON"],
    "aws": ["pending", "running", "stopped"],
    "linode": ["running", "offline"],
    "scaleway": ["running", "stopped in place"],
    "equinix": ["active", "queued"],
}
_TEMPLATES = {
    "digitalocean": ("do-basic-2", 0.015, "nyc1"),
    "vultr": ("vultr-vc2-2", 0.018, "ewr"),
    "hivelocity": ("hive-small", 0.12, "atlanta"),
    "aws": ("aws-t3-medium", 0.0416, "us-east-1"),
    "linode": ("linode-4gb", 0.03, "us-east"),
    "scaleway": ("scaleway-dev1-m", 0.009, "par1"),
    "equinix": ("equinix-c3-small", 0.5, "da"),
}
COLUMNS = ["id", "name", "provider", "status", "ip_address", "region", "deployed_at", "cost_hourly", "tags"]


def build() -> Dict[str, Any]:
    """The document. Among its entries: null regions and addresses, two servers that stand there twice, and own keys."""
    start = datetime(2025, 1, 6, 9, 30, 15)
    xnodes: Dict[str, Dict[str, Any]] = {}
    history: List[Dict[str, Any]] = []
    for number in range(COUNT):
        provider = list(_WORDS)[number % len(_WORDS)]
        template, price, region = _TEMPLATES[provider]
        entry = {
            "id": f"{provider[:2]}-{1000 + number}",
            "name": f"node-{number:03}",
            "provider": provider,
            "template": template,
            "status": _WORDS[provider][number % len(_WORDS[provider])],
            # DigitalOcean's were never filled in.
            "ip_address": "" if provider == "digitalocean" else f"203.0.113.{number + 1}",
            "ssh_port": 22,
            # What `--region` left out came to, before the crash.
            "region": None if number % 9 == 0 else region,
            "deployed_at": (start + timedelta(days=3 * number, microseconds=number)).isoformat(),
            "cost_hourly": price,
            "tags": ["production", f"team-{number % 3}"] if number % 4 else [],
            "metadata": {"plan": {"slug": template}},
        }
        if number in (40, 41):
            # Entered by hand a second time, under a key of its own.
            entry["id"] = f"{provider[:2]}-{1000 + number - 7}"
            xnodes[f"{entry['id']}-again"] = entry
        else:
            xnodes[str(entry["id"])] = entry
        if number % 25 == 3:
            entry["owner_team"] = "research"
        history.append(
            {
                "xnode_id": entry["id"],
                "provider": provider,
                "template": template,
                "deployed_at": entry["deployed_at"],
                "terminated_at": None,
                "total_cost": 0.0,
                "uptime_hours": 0.0,
                "region": entry["region"],
                "name": entry["name"],
                "tags": entry["tags"],
            }
        )
    for number in range(5):
        begun = start + timedelta(days=20 * number)
        history.append(
            {
                "xnode_id": f"gone-{number}",
                "provider": "vultr",
                "template": "vultr-vc2-2",
                "deployed_at": begun.isoformat(),
                "terminated_at": (begun + timedelta(days=10)).isoformat(),
                "total_cost": 4.32,
                "uptime_hours": 240.0,
                "region": None,
                "name": None,
                "tags": [],
                "reason": "too slow",
            }
        )
    return {
        "version": "1.0",
        "last_updated": "2025-11-20T18:00:00.123456",
        "xnodes": xnodes,
        "history": history,
        "metadata": {"total_deployed": 105, "total_running": 41, "total_lifetime_cost": 21.6, "exported_by": "ops"},
        "notes": {"contact": "ops@example.org"},
    }


def write(folder: Path) -> Dict[str, Path]:
    """Both files; their paths by suffix. The CSV is what the original's `export_csv` made of it: null is nothing."""
    document = build()
    paths = {"json": folder / "inventory.json", "csv": folder / "inventory.csv"}
    paths["json"].write_text(json.dumps(document, indent=2), encoding="utf-8")
    with paths["csv"].open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, extrasaction="ignore")
        writer.writeheader()
        for entry in document["xnodes"].values():
            writer.writerow({**entry, "tags": ",".join(entry["tags"])})
    return paths


if __name__ == "__main__":
    for path in write(Path(sys.argv[1])).values():
        print(path)
