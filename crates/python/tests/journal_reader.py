"""Reads who works on what in the journal, as a program: ``journal_reader.py HOME`` says it, with more arguments it waits.

It is a process of its own because Python brings its own copy of SQLite: two copies in one process undo each other's locks.
"""

import json
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Dict, Optional

SQL = (
    "SELECT instance.name, lease_owner FROM operation JOIN instance ON instance.operation = operation.id "
    "WHERE is_open = 1 AND instance.id IS NOT NULL"
)


def leases(home: Path) -> Dict[str, Optional[str]]:
    """Servers that are accepted and not ready yet, each with who works on it."""
    said = subprocess.run([sys.executable, __file__, str(home)], capture_output=True, timeout=60, check=True)
    rows: Dict[str, Optional[str]] = json.loads(said.stdout)
    return rows


def wait_for(home: Path, **worked_on: bool) -> None:
    """Until these servers are accepted, and those of them are worked on that are said to be."""
    subprocess.run([sys.executable, __file__, str(home), json.dumps(worked_on)], timeout=120, check=True)


def _read(journal: Path) -> Dict[str, Any]:
    if not journal.exists():
        return {}
    connection = sqlite3.connect(f"file:{journal}?mode=ro", uri=True)
    try:
        return dict(connection.execute(SQL).fetchall())
    except sqlite3.OperationalError:
        # The tables are not there yet.
        return {}
    finally:
        connection.close()


def _main(home: str, worked_on: Optional[str] = None) -> int:
    journal = Path(home) / "sandbox" / "journal.db"
    rows = _read(journal)
    if worked_on is None:
        print(json.dumps(rows))
        return 0
    expected, end = json.loads(worked_on), time.monotonic() + 60
    while {name: owner is not None for name, owner in rows.items()} != expected:
        if time.monotonic() > end:
            print(f"{rows} never became {expected}", file=sys.stderr)
            return 1
        rows = _read(journal)
    return 0


if __name__ == "__main__":
    sys.exit(_main(*sys.argv[1:]))
