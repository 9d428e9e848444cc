"""The inventory of xNodes in `~/.capsule/inventory.json`, as the original kept it.

`capsule` itself knows its servers from its journal; this file is for programs written for the original, and
`capsule import inventory FILE` takes the servers in it over.

The file, format 1.0::

    {"version": "1.0", "last_updated": TIME,
     "xnodes": {ID: {"id", "name", "provider", "template", "status", "ip_address", "ssh_port", "region",
                     "deployed_at", "cost_hourly", "tags": [...], "metadata": {...}}},
     "history": [{"xnode_id", "provider", "template", "deployed_at", "terminated_at", "total_cost", "uptime_hours",
                  "region", "name", "tags": [...]}],
     "metadata": {"total_deployed", "total_running", "total_lifetime_cost"}}

- TIME is ISO 8601; without an offset, as the original wrote it, it is local time.
- `id` is the provider's own. Two providers may have the same one: then the second stands under the key `PROVIDER/ID`.
- `status` is the provider's word of the moment it was written, such as `active` or `new`. `region`, and any other value
  of files that the original wrote, may be null.
- `cost_hourly` is US dollars an hour.
- Keys that are not listed stay as they are, and so do entries that cannot be read.

CSV has the columns `id,name,provider,status,ip_address,region,deployed_at,cost_hourly,tags`, tags joined by commas,
null as nothing. On import the last four may be missing, and `template` may be there.

A month is 720 hours and a year 8760 here, as the contract has it. No provider charges so: some charge by the hour up
to a price for the month that is below 720 times the hour's, some 730 hours. `capsule cost` has what each really
charges.
"""

import contextlib
import csv
import io
import json
import logging
import threading
from collections import Counter
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Dict, Iterable, Iterator, List, Mapping, Optional, Tuple, Union

from . import _store
from ._deployments import CostReport, DeploymentRecord, amount, local
from .openmesh_core import XNode, normal_status, parse_time, servers_of

__all__ = [
    "CostReport",
    "DeploymentRecord",
    "XNodeInventory",
    "export_inventory_csv",
    "generate_cost_report",
    "get_default_inventory",
]

logger = logging.getLogger(__name__)

_CSV_COLUMNS = ("id", "name", "provider", "status", "ip_address", "region", "deployed_at", "cost_hourly", "tags")
_CSV_REQUIRED = _CSV_COLUMNS[:5]
# A server that is being made is billed already.
_BILLED = ("running", "provisioning")
_NORMAL_WORDS = ("provisioning", "running", "stopped", "deleting", "failed", "unknown")


class XNodeInventory:
    """The inventory in a file.

    Every change is read, made and written under a lock, so that processes that share the file lose nothing of each
    other's; the file before it stays as `.json.backup`. `save` writes what was changed in the attributes by hand.

    Attributes: `inventory_file`; `xnodes`, the entries by id; `history`; `metadata`.
    """

    VERSION = "1.0"

    def __init__(self, inventory_file: Optional[Union[Path, str]] = None) -> None:
        self.inventory_file = Path(inventory_file) if inventory_file else _store.home() / "inventory.json"
        self.xnodes: Dict[str, Dict[str, Any]] = {}
        self.history: List[DeploymentRecord] = []
        self.metadata: Dict[str, Any] = {}
        # What the file said when it was last read or written, whole.
        self._text: Optional[str] = None
        self._base: Dict[str, Any] = {}
        self._others: Dict[str, Any] = {}
        self._unread: Tuple[Dict[str, Any], List[Any]] = ({}, [])
        self._mutex = threading.RLock()
        self._changing_now = False
        self.load()

    # The file

    def load(self) -> None:
        """Reads the file, if there is one, and forgets what was changed here and not saved.

        Raises ValueError (for broken JSON its kind `json.JSONDecodeError`) if it is no inventory; it stays as it is.
        """
        with self._mutex:
            self._text = _store.read(self.inventory_file)
            self._base = self._parse(self._text)
            self._take(self._base)

    def save(self) -> None:
        """Writes what was changed here into the file."""
        with self._changing():
            pass

    @contextlib.contextmanager
    def _changing(self) -> Iterator[None]:
        """Around a change: takes in what others wrote, and writes the change if it raises nothing."""
        with self._mutex:
            if self._changing_now:
                yield
                return
            with _store.locked(self.inventory_file):
                text = _store.read(self.inventory_file)
                if text != self._text:
                    theirs = self._parse(text)
                    self._take(_store.merge(self._base, self._document(), theirs))
                    self._text, self._base = text, theirs
                self._changing_now = True
                try:
                    yield
                finally:
                    self._changing_now = False
                self._write()

    def _write(self) -> None:
        running = sum(normal_status(entry.get("status")) == "running" for entry in self.xnodes.values())
        self.metadata["total_running"] = running
        document = self._document()
        shown = {
            "version": self.VERSION,
            "last_updated": datetime.now().isoformat(),
            **{key: value for key, value in document.items() if key != "history"},
            "history": list(document["history"].values()),
        }
        text = json.dumps(shown, indent=2, ensure_ascii=False) + "\n"
        if self._text is not None:
            _store.replace(self.inventory_file.with_suffix(".json.backup"), self._text)
        _store.replace(self.inventory_file, text)
        self._text, self._base = text, self._parse(text)

    def _parse(self, text: Optional[str]) -> Dict[str, Any]:
        """The file's content; the history as a mapping, so that it can be merged."""
        backup = self.inventory_file.with_suffix(".json.backup").name
        if text is None:
            return {"xnodes": {}, "metadata": {}, "history": {}}
        try:
            document = json.loads(text)
        except json.JSONDecodeError as error:
            message = f"{self.inventory_file} is not JSON ({error.msg}); {backup} has the state before the last change"
            raise json.JSONDecodeError(message, error.doc, error.pos) from None
        if not isinstance(document, dict):
            raise ValueError(f"{self.inventory_file} is no inventory: it holds a {type(document).__name__}.")
        version = str(document.get("version", self.VERSION))
        if version.split(".")[0] != self.VERSION.split(".")[0]:
            raise ValueError(f"{self.inventory_file} has format {version}; this program knows {self.VERSION}.")
        for key, kind in (("xnodes", dict), ("metadata", dict), ("history", list)):
            value = document.get(key)
            document[key] = kind() if value is None else value
            if not isinstance(document[key], kind):
                found = type(value).__name__
                raise ValueError(f"{self.inventory_file} is no inventory: `{key}` is a {found}, not a {kind.__name__}.")
        document["history"] = _keyed(document["history"])
        return document

    def _document(self) -> Dict[str, Any]:
        """What the file would hold now, in the shape of `_parse`."""
        entries, records = self._unread
        return {
            **self._others,
            "xnodes": {**self.xnodes, **entries},
            "metadata": self.metadata,
            "history": _keyed([*(record.to_dict() for record in self.history), *records]),
        }

    def _take(self, document: Mapping[str, Any]) -> None:
        content = json.loads(json.dumps(document))
        entries: Dict[str, Any] = {}
        records: List[Any] = []
        self.xnodes, self.history = {}, []
        for key, entry in content.pop("xnodes").items():
            if isinstance(entry, dict):
                entry.setdefault("id", key)
                self.xnodes[key] = entry
            else:
                entries[key] = entry
        for record in content.pop("history").values():
            try:
                self.history.append(DeploymentRecord.from_dict(record))
            except (ValueError, TypeError, AttributeError):
                records.append(record)
        if entries or records:
            count = len(entries) + len(records)
            logger.warning("%d entries of %s cannot be read. They stay in it.", count, self.inventory_file)
        counts = {"total_deployed": 0, "total_running": 0, "total_lifetime_cost": 0.0}
        self.metadata = {
            **counts,
            **{key: value for key, value in content.pop("metadata").items() if value is not None},
        }
        self._others = content
        self._unread = (entries, records)

    # Changes

    def add_xnode(
        self,
        xnode: Union[XNode, Mapping[str, Any]],
        provider: str,
        template: str = "default",
        cost_hourly: float = 0.0,
        tags: Optional[List[str]] = None,
    ) -> None:
        """Adds a server, given as an `XNode` or as what `deploy` returned.

        Raises ValueError if it is there already, or if `cost_hourly` (US dollars) is no price.
        """
        if not isinstance(xnode, XNode):
            xnode = XNode.from_dict({"name": "", "status": "unknown", "ip_address": "", **xnode})
        node = xnode
        cost = float(amount(cost_hourly, "cost_hourly"))
        labels = [str(tag) for tag in tags or []]
        entry = {
            "id": node.id,
            "name": node.name,
            "provider": provider,
            "template": template,
            "status": node.status,
            "ip_address": node.ip_address,
            "ssh_port": node.ssh_port,
            "region": node.region,
            "deployed_at": node.created_at.isoformat(),
            "cost_hourly": cost,
            "tags": labels,
            "metadata": _plain(node.metadata),
        }
        with self._changing():
            key = node.id
            if key in self.xnodes and self.xnodes[key].get("provider") not in (None, provider):
                key = f"{provider}/{node.id}"
            if key in self.xnodes:
                raise ValueError(f"XNode with ID {node.id} already exists in inventory")
            self.xnodes[key] = entry
            self.history.append(
                DeploymentRecord(
                    xnode_id=node.id,
                    provider=provider,
                    template=template,
                    deployed_at=node.created_at,
                    region=node.region,
                    name=node.name,
                    tags=list(labels),
                )
            )
            self.metadata["total_deployed"] = int(self.metadata.get("total_deployed") or 0) + 1

    def remove_xnode(self, xnode_id: str) -> None:
        """Takes a server out, and closes its record of the history with what it has cost since its order.

        It is not deleted at its provider. Raises KeyError if it is not there.
        """
        with self._changing():
            key = self._key(xnode_id)
            entry = self.xnodes[key]
            cost = _cost(entry)
            record = self._open_record(entry)
            record.terminated_at = datetime.now(record.deployed_at.tzinfo)
            record.uptime_hours = record.calculate_uptime()
            total = Decimal(repr(record.uptime_hours)) * cost
            record.total_cost = float(total)
            lifetime = amount(self.metadata.get("total_lifetime_cost"), "total_lifetime_cost")
            self.metadata["total_lifetime_cost"] = float(lifetime + total)
            del self.xnodes[key]

    def update_xnode(self, xnode_id: str, **kwargs: Any) -> None:
        """Changes values of an entry.

        Raises KeyError if it is not there, ValueError for another `id` or for a `cost_hourly` that is no price.
        """
        changes = _plain(kwargs)
        if "cost_hourly" in changes:
            changes["cost_hourly"] = float(amount(changes["cost_hourly"], "cost_hourly"))
        with self._changing():
            entry = self.xnodes[self._key(xnode_id)]
            if changes.get("id", entry.get("id")) != entry.get("id"):
                raise ValueError("The id of an entry cannot change. Remove it and add the other.")
            entry.update(changes)

    def cleanup_old_history(self, days: int = 90) -> int:
        """Forgets servers that ended more than `days` ago; their number."""
        limit = local(datetime.now()) - timedelta(days=days)
        with self._changing():
            kept = [
                record for record in self.history if record.terminated_at is None or local(record.terminated_at) > limit
            ]
            removed = len(self.history) - len(kept)
            self.history = kept
        return removed

    def reconcile(self, manager: Any) -> Dict[str, List[str]]:
        """Brings status, address and region of the entries up to what the providers say now.

        `manager` is a `capsule_package.providers.ProviderManager`. Nothing is removed: a provider that does not list a
        server may be late. Returns keys of entries by what came of them: `updated`, `unchanged`, `missing` at the
        provider, `unasked` since the provider is not known or not set up. Raises what `list_instances` raises.
        """
        outcome: Dict[str, List[str]] = {"updated": [], "unchanged": [], "missing": [], "unasked": []}
        seen: Dict[str, Dict[str, Mapping[str, Any]]] = {}
        for name in sorted({str(entry.get("provider")) for entry in self.xnodes.values()}):
            provider = manager.get_provider(name)
            servers = None if provider is None else servers_of(provider)
            if servers is not None:
                seen[name] = {str(server["id"]): server for server in servers}
        with self._changing():
            for key, entry in self.xnodes.items():
                listed = seen.get(str(entry.get("provider")))
                if listed is None:
                    outcome["unasked"].append(key)
                    continue
                server = listed.get(str(entry["id"]))
                if server is None:
                    outcome["missing"].append(key)
                    continue
                # What the provider does not say yet does not erase what is known.
                now = XNode.from_dict({"name": "", "status": "", "ip_address": "", **server})
                said = {"status": now.status, "ip_address": now.ip_address, "region": now.region}
                news = {name: value for name, value in said.items() if value}
                outcome["unchanged" if {**entry, **news} == entry else "updated"].append(key)
                entry.update(news)
        return outcome

    # Questions

    def get_xnode(self, xnode_id: str) -> Dict[str, Any]:
        """A copy of an entry. Raises KeyError if it is not there."""
        entry: Dict[str, Any] = json.loads(json.dumps(self.xnodes[self._key(xnode_id)]))
        return entry

    def list_all(self) -> List[Dict[str, Any]]:
        """All entries."""
        return list(self.xnodes.values())

    def list_xnodes(self) -> List[Dict[str, Any]]:
        """`list_all`, by the name that the original's document on monitoring has for it."""
        return self.list_all()

    def list_by_provider(self, provider: str) -> List[Dict[str, Any]]:
        """The entries of a provider."""
        return [entry for entry in self.xnodes.values() if entry.get("provider") == provider]

    def list_by_status(self, status: str) -> List[Dict[str, Any]]:
        """The entries with that word for their status, or with any word that means `running`, `stopped` and so on."""

        def is_so(entry: Mapping[str, Any]) -> bool:
            word = entry.get("status")
            return word == status or (status in _NORMAL_WORDS and normal_status(word) == status)

        return [entry for entry in self.xnodes.values() if is_so(entry)]

    def list_by_tags(self, tags: List[str], match_all: bool = False) -> List[Dict[str, Any]]:
        """The entries with any of the tags, or with all of them."""
        wanted = set(tags)

        def fits(entry: Mapping[str, Any]) -> bool:
            held = wanted & set(entry.get("tags") or [])
            return held == wanted if match_all else bool(held)

        return [entry for entry in self.xnodes.values() if fits(entry)]

    def search(self, query: str) -> List[Dict[str, Any]]:
        """The entries with `query` in their name or id, in whatever case."""
        part = query.lower()
        return [
            entry
            for entry in self.xnodes.values()
            if part in str(entry.get("name") or "").lower() or part in str(entry.get("id") or "").lower()
        ]

    def get_total_cost(self) -> Dict[str, float]:
        """What the servers cost that run or are being made: `hourly`, `daily`, `monthly` (720 h), `annual` (8760 h).

        Raises ValueError where an entry's `cost_hourly` is no price.
        """
        hourly = sum((_cost(entry) for entry in self._billed()), Decimal(0))
        return {
            "hourly": float(hourly),
            "daily": float(hourly * 24),
            "monthly": float(hourly * 720),
            "annual": float(hourly * 8760),
        }

    def get_cost_report(self) -> CostReport:
        """`get_total_cost`, by provider and region too. What has none of them counts as `unknown`."""
        costs = self.get_total_cost()
        billed = self._billed()

        def by(name: str) -> Dict[str, float]:
            sums: Dict[str, Decimal] = {}
            for entry in billed:
                group = str(entry.get(name) or "unknown")
                sums[group] = sums.get(group, Decimal(0)) + _cost(entry)
            return {group: float(cost) for group, cost in sums.items()}

        return CostReport(
            total_hourly=costs["hourly"],
            total_daily=costs["daily"],
            total_monthly=costs["monthly"],
            by_provider=by("provider"),
            by_region=by("region"),
            projected_annual=costs["annual"],
            active_count=len(billed),
            total_count=len(self.xnodes),
        )

    def get_statistics(self) -> Dict[str, Any]:
        """Figures of the whole inventory.

        The original's eleven: `total_xnodes`; `status_distribution` (words as they stand), `provider_distribution`,
        `region_distribution`; `total_deployments`, `active_deployments`, `terminated_deployments`;
        `average_uptime_hours` of those that ended; `lifetime_cost` of those that ended; `most_expensive`, five of
        `{id, name, cost_hourly}`; `longest_running`, five of `{id, name, uptime_hours, uptime_days}`.
        Three that its command line asked for and did not get: `total_running`, `total_cost_hourly`,
        `total_cost_monthly`. And `stopped_cost_hourly`: what stopped servers cost where the provider bills them, as
        most do.
        """
        entries = self.list_all()

        def distribution(name: str) -> Dict[str, int]:
            return dict(Counter(str(entry.get(name) or "unknown") for entry in entries))

        active = [record for record in self.history if record.is_active()]
        ended = [record for record in self.history if not record.is_active()]
        dearest = sorted(entries, key=_cost, reverse=True)[:5]
        oldest = sorted(active, key=lambda record: local(record.deployed_at))[:5]
        uptimes = [(record, record.calculate_uptime()) for record in oldest]
        costs = self.get_total_cost()
        return {
            "total_xnodes": len(entries),
            "status_distribution": distribution("status"),
            "provider_distribution": distribution("provider"),
            "region_distribution": distribution("region"),
            "total_deployments": len(self.history),
            "active_deployments": len(active),
            "terminated_deployments": len(ended),
            "average_uptime_hours": sum(record.uptime_hours for record in ended) / len(ended) if ended else 0.0,
            "lifetime_cost": float(amount(self.metadata.get("total_lifetime_cost"), "total_lifetime_cost")),
            "most_expensive": [
                {"id": entry["id"], "name": str(entry.get("name") or ""), "cost_hourly": float(_cost(entry))}
                for entry in dearest
            ],
            "longest_running": [
                {"id": record.xnode_id, "name": record.name, "uptime_hours": hours, "uptime_days": hours / 24}
                for record, hours in uptimes
            ],
            "total_running": len(self.list_by_status("running")),
            "total_cost_hourly": costs["hourly"],
            "total_cost_monthly": costs["monthly"],
            "stopped_cost_hourly": float(sum((_cost(entry) for entry in self.list_by_status("stopped")), Decimal(0))),
        }

    def get_deployment_history(
        self,
        xnode_id: Optional[str] = None,
        provider: Optional[str] = None,
        limit: Optional[int] = None,
    ) -> List[DeploymentRecord]:
        """Records of the history, newest first."""
        records = [
            record
            for record in self.history
            if xnode_id in (None, record.xnode_id) and provider in (None, record.provider)
        ]
        records.sort(key=lambda record: local(record.deployed_at), reverse=True)
        return records if limit is None else records[:limit]

    # CSV

    def export_csv(self, filename: Union[Path, str]) -> None:
        """Writes all entries as CSV."""
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow(_CSV_COLUMNS)
        for entry in self.xnodes.values():
            row = {**entry, "tags": ",".join(entry.get("tags") or [])}
            writer.writerow(["" if row.get(column) is None else row[column] for column in _CSV_COLUMNS])
        _store.replace(Path(filename), text.getvalue())

    def import_csv(self, filename: Union[Path, str]) -> int:
        """Adds the servers of a CSV file, all or none; their number.

        Those that are there already, or come twice, are left out with a warning. A row without `deployed_at` counts
        from now. Columns that are not known go to the entry's `metadata`.

        Raises FileNotFoundError, and ValueError that names the line and the column.
        """
        nodes = _csv_nodes(Path(filename))
        added = 0
        with self._changing():
            taken = {(str(entry.get("id")), entry.get("provider")) for entry in self.xnodes.values()}
            for node, options in nodes:
                if (node.id, options["provider"]) in taken or (node.id, None) in taken:
                    logger.warning("Skipping duplicate xNode: %s", node.id)
                    continue
                taken.add((node.id, options["provider"]))
                self.add_xnode(node, **options)
                added += 1
        return added

    def _billed(self) -> List[Dict[str, Any]]:
        return [entry for entry in self.xnodes.values() if normal_status(entry.get("status")) in _BILLED]

    def _key(self, xnode_id: str) -> str:
        """Where an entry stands. KeyError if there is none, or if two providers have that id."""
        same = [key for key, entry in self.xnodes.items() if str(entry.get("id")) == xnode_id]
        if len(same) > 1:
            scoped = ", ".join(f"{self.xnodes[key].get('provider')}/{xnode_id}" for key in same)
            raise KeyError(f"XNode {xnode_id} is in the inventory of several providers: say {scoped}")
        for key, entry in self.xnodes.items():
            if xnode_id in (key, f"{entry.get('provider')}/{entry.get('id')}"):
                return key
        raise KeyError(f"XNode {xnode_id} not found in inventory")

    def _open_record(self, entry: Mapping[str, Any]) -> DeploymentRecord:
        """The record of a server that has not ended; made from its entry where the file has none."""
        for record in self.history:
            if record.xnode_id == entry["id"] and record.is_active() and record.provider == entry.get("provider"):
                return record
        deployed_at = entry.get("deployed_at")
        record = DeploymentRecord(
            xnode_id=str(entry["id"]),
            provider=str(entry.get("provider") or "unknown"),
            template=str(entry.get("template") or "unknown"),
            # Without a time nothing is known to have been paid.
            deployed_at=parse_time(deployed_at) if isinstance(deployed_at, str) and deployed_at else datetime.now(),
            region=entry.get("region"),
            name=entry.get("name"),
            tags=list(entry.get("tags") or []),
        )
        self.history.append(record)
        return record


def get_default_inventory() -> XNodeInventory:
    """The inventory in Capsule's home."""
    return XNodeInventory()


def generate_cost_report() -> str:
    """The cost report of the inventory in Capsule's home, for people."""
    return get_default_inventory().get_cost_report().generate_report()


def export_inventory_csv(filename: Union[Path, str] = "xnode_inventory.csv") -> None:
    """Writes the inventory in Capsule's home as CSV."""
    get_default_inventory().export_csv(filename)


def _csv_nodes(path: Path) -> List[Tuple[XNode, Dict[str, Any]]]:
    """The rows of a CSV file as servers, each with the other arguments of `add_xnode`."""
    nodes = []
    # Spreadsheets put a mark of byte order in front.
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        missing = [column for column in _CSV_REQUIRED if column not in (reader.fieldnames or [])]
        if missing:
            raise ValueError(f"{path} has no column {', '.join(missing)}. It needs {', '.join(_CSV_REQUIRED)}.")
        for row in reader:
            where = f"{path}, line {reader.line_num}"
            if None in row:
                raise ValueError(f"{where}: more values than columns.")
            values = {column: (value or "").strip() for column, value in row.items()}
            if not values["id"]:
                raise ValueError(f"{where}: `id` is empty.")
            try:
                node = XNode(
                    id=values["id"],
                    name=values["name"],
                    status=values["status"],
                    ip_address=values["ip_address"],
                    region=values.get("region") or None,
                    created_at=parse_time(values["deployed_at"]) if values.get("deployed_at") else datetime.now(),
                    metadata={
                        column: value
                        for column, value in values.items()
                        if value and column not in (*_CSV_COLUMNS, "template")
                    },
                )
                options = {
                    "provider": values["provider"],
                    "template": values.get("template") or "imported",
                    "cost_hourly": float(amount(values.get("cost_hourly"), "cost_hourly")),
                    "tags": [tag.strip() for tag in values.get("tags", "").split(",") if tag.strip()],
                }
            except ValueError as error:
                raise ValueError(f"{where}: {error}") from None
            nodes.append((node, options))
    return nodes


def _cost(entry: Mapping[str, Any]) -> Decimal:
    """What an entry costs an hour. None is nothing."""
    try:
        return amount(entry.get("cost_hourly"), "cost_hourly")
    except ValueError as error:
        hint = "update_xnode(id, cost_hourly=...) mends it."
        raise ValueError(f"xNode {entry.get('id')}: {error} {hint}") from None


def _plain(value: Mapping[str, Any]) -> Dict[str, Any]:
    """As it comes back from JSON. What cannot stand there stands as text: what was ordered has to be recorded."""
    content: Dict[str, Any] = json.loads(json.dumps(value, default=_text, skipkeys=True))
    return content


def _text(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _keyed(records: Iterable[Any]) -> Dict[str, Any]:
    """Records of the history by what they are about, so that two lists can be merged."""
    keyed: Dict[str, Any] = {}
    counts: Dict[str, int] = {}
    for record in records:
        about = record
        if isinstance(record, dict):
            about = [record.get("xnode_id"), record.get("provider"), record.get("deployed_at")]
        key = json.dumps(about)
        counts[key] = counts.get(key, 0) + 1
        keyed[f"{key} {counts[key]}"] = record
    return keyed
