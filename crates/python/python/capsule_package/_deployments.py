"""What a server's life and a report of costs are made of; `inventory` shows them to the world."""

from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Dict, Iterable, List, Mapping, Optional, Tuple

from .openmesh_core import parse_time


@dataclass
class DeploymentRecord:
    """One server's life, from the order to its end. Costs are US dollars."""

    xnode_id: str
    provider: str
    template: str
    deployed_at: datetime
    terminated_at: Optional[datetime] = None
    total_cost: float = 0.0
    uptime_hours: float = 0.0
    region: Optional[str] = None
    name: Optional[str] = None
    tags: List[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        # What else the file says of it; kept, and written back.
        self._others: Dict[str, Any] = {}

    def to_dict(self) -> Dict[str, Any]:
        """All fields, times as text."""
        data = {**self._others, **asdict(self)}
        data["deployed_at"] = self.deployed_at.isoformat()
        if self.terminated_at is not None:
            data["terminated_at"] = self.terminated_at.isoformat()
        return data

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "DeploymentRecord":
        """From what `to_dict` gives.

        Raises ValueError where the server's id or the time of its order is missing or cannot be read.
        """
        known = {field.name for field in fields(cls)}
        values = {key: value for key, value in data.items() if key in known}
        for key in ("xnode_id", "deployed_at"):
            if not values.get(key):
                raise ValueError(f"A record of the history has no {key}.")
        for key in ("deployed_at", "terminated_at"):
            if isinstance(values.get(key), str):
                values[key] = parse_time(values[key]) if values[key] else None
        for key in ("total_cost", "uptime_hours"):
            values[key] = float(amount(values.get(key), key))
        for key in ("provider", "template"):
            values[key] = values.get(key) or "unknown"
        values["tags"] = list(values.get("tags") or [])
        record = cls(**values)
        record._others = {key: value for key, value in data.items() if key not in known}
        return record

    def calculate_uptime(self) -> float:
        """Hours from the order to the end, or until now."""
        return (local(self.terminated_at or datetime.now()) - local(self.deployed_at)).total_seconds() / 3600

    def is_active(self) -> bool:
        """Whether it has not ended."""
        return self.terminated_at is None


@dataclass
class CostReport:
    """What the servers cost that run or are being made, in US dollars; by provider and region, an hour."""

    total_hourly: float
    total_daily: float
    total_monthly: float
    by_provider: Dict[str, float]
    by_region: Dict[str, float]
    projected_annual: float
    active_count: int = 0
    total_count: int = 0

    def generate_report(self) -> str:
        """The report for people."""
        double, single = "=" * 60, "-" * 60

        def part(title: str, rows: Iterable[Tuple[str, str]]) -> List[str]:
            lines = [f"{name:<18}{value}" for name, value in rows]
            return ["", title, single, *(lines or ["  No data available"])]

        def dearest_first(costs: Mapping[str, float]) -> List[Tuple[str, str]]:
            ordered = sorted(costs.items(), key=lambda cost: (-cost[1], cost[0]))
            return [(f"  {name:<20} ", f"${cost:.4f}/hour") for name, cost in ordered]

        return "\n".join(
            [
                double,
                "XNODE INVENTORY COST REPORT",
                double,
                f"Generated: {datetime.now():%Y-%m-%d %H:%M:%S}",
                *part(
                    "SUMMARY", [("Active xNodes:", f"{self.active_count}"), ("Total xNodes:", f"{self.total_count}")]
                ),
                *part(
                    "COST OVERVIEW",
                    [
                        ("Hourly:", f"${self.total_hourly:.4f}"),
                        ("Daily:", f"${self.total_daily:.2f}"),
                        ("Monthly:", f"${self.total_monthly:.2f}"),
                        ("Annual (proj.):", f"${self.projected_annual:.2f}"),
                    ],
                ),
                *part("BY PROVIDER", dearest_first(self.by_provider)),
                *part("BY REGION", dearest_first(self.by_region)),
                double,
            ]
        )

    def to_dict(self) -> Dict[str, Any]:
        """All fields."""
        return asdict(self)


def amount(value: Any, name: str) -> Decimal:
    """An exact amount, from JSON, CSV or a caller. None and empty are nothing."""
    if value is None or value == "":
        return Decimal(0)
    try:
        # By way of its text: 0.1 is meant to be a tenth.
        exact = Decimal(str(value)) if not isinstance(value, bool) else Decimal("NaN")
    except InvalidOperation:
        exact = Decimal("NaN")
    if not exact.is_finite() or exact < 0:
        raise ValueError(f"`{name}` is {value!r}, not an amount such as 0.015.")
    return exact


def local(moment: datetime) -> datetime:
    """With an offset: without one it is local time."""
    return moment.astimezone()
