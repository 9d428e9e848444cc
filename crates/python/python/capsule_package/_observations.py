"""What the monitoring sees and says, and how that stands in its files; `monitoring` shows it to the world."""

import logging
import math
from dataclasses import asdict, dataclass, fields
from enum import Enum
from typing import Any, Callable, Dict, Iterable, List, Mapping, Optional, Tuple, Type, TypeVar, Union

logger = logging.getLogger("capsule_package.monitoring")

_Kind = TypeVar("_Kind", bound=Enum)
_Read = TypeVar("_Read")


class HealthStatus(Enum):
    """How a node is."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    UNHEALTHY = "unhealthy"
    UNKNOWN = "unknown"


class AlertSeverity(Enum):
    """How bad it is."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


class AlertType(Enum):
    """What an alert is about. `SSH_UNREACHABLE` and `COST_THRESHOLD` are known from older files and never raised."""

    HIGH_CPU = "high_cpu"
    HIGH_MEMORY = "high_memory"
    LOW_DISK = "low_disk"
    SERVICE_DOWN = "service_down"
    SSH_UNREACHABLE = "ssh_unreachable"
    HTTP_ERROR = "http_error"
    COST_THRESHOLD = "cost_threshold"


@dataclass
class HealthCheck:
    """What a check came to.

    `checks` has `ping`, whether it answers at all; `http`, whether its manager answers on port 443 as itself; and where
    that was seen `claimed`, whether it obeys its owner alone. There is no `ssh`. `response_times` has `http` in
    milliseconds, the start of the program that looks included.
    """

    xnode_id: str
    timestamp: str
    status: HealthStatus
    checks: Dict[str, bool]
    response_times: Dict[str, float]
    error_messages: List[str]


@dataclass
class ResourceMetrics:
    """How busy a node is: all processors, memory, and its fullest disk. Not a number (nan) is what it does not tell."""

    xnode_id: str
    timestamp: str
    cpu_percent: float
    memory_percent: float
    disk_percent: float
    network_in_mbps: float
    network_out_mbps: float
    load_average: Tuple[float, float, float]


@dataclass
class Alert:
    """Something to look after."""

    id: str
    xnode_id: str
    alert_type: AlertType
    severity: AlertSeverity
    message: str
    timestamp: str
    acknowledged: bool = False
    resolved: bool = False
    metadata: Optional[Dict[str, Any]] = None


def plain(value: Any) -> Dict[str, Any]:
    """A dataclass as JSON has it: enums by their value, nan as null."""

    def made_plain(part: Any) -> Any:
        if isinstance(part, Enum):
            return part.value
        if isinstance(part, dict):
            return {str(key): made_plain(entry) for key, entry in part.items()}
        if isinstance(part, (list, tuple)):
            return [made_plain(entry) for entry in part]
        if isinstance(part, float) and not math.isfinite(part):
            return None
        return part

    content: Dict[str, Any] = made_plain(asdict(value))
    return content


def by_time(entries: Iterable[Union[HealthCheck, ResourceMetrics]]) -> Dict[str, Any]:
    keyed: Dict[str, Any] = {}
    for number, entry in enumerate(entries):
        key = entry.timestamp
        while key in keyed:
            key = f"{entry.timestamp} {number:06}"
            number += 1
        keyed[key] = plain(entry)
    return keyed


def readable(entries: Any, read: Callable[[Any], _Read], name: str) -> List[_Read]:
    kept = []
    for entry in entries:
        try:
            kept.append(read(entry))
        except (ValueError, TypeError, KeyError, AttributeError):
            logger.warning("An entry of %s.json cannot be read, and is left out.", name)
    return kept


def _known(kind: Type[Any], entry: Mapping[str, Any]) -> Dict[str, Any]:
    names = {field.name for field in fields(kind)}
    return {key: value for key, value in entry.items() if key in names}


def _member(kind: Type[_Kind], value: Any) -> _Kind:
    """An enum's member from its value, or from `Kind.NAME`, which the original wrote."""
    if isinstance(value, kind):
        return value
    try:
        return kind(value)
    except ValueError:
        return kind[str(value).rpartition(".")[2]]


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)


def read_health(entry: Mapping[str, Any]) -> HealthCheck:
    return HealthCheck(**{**_known(HealthCheck, entry), "status": _member(HealthStatus, entry["status"])})


def read_metrics(entry: Mapping[str, Any]) -> ResourceMetrics:
    values = _known(ResourceMetrics, entry)
    for name, value in values.items():
        if name not in ("xnode_id", "timestamp", "load_average"):
            values[name] = _number(value)
    one, five, fifteen = entry["load_average"]
    return ResourceMetrics(**{**values, "load_average": (_number(one), _number(five), _number(fifteen))})


def read_alert(entry: Mapping[str, Any]) -> Alert:
    values = _known(Alert, entry)
    values["alert_type"] = _member(AlertType, entry["alert_type"])
    values["severity"] = _member(AlertSeverity, entry["severity"])
    return Alert(**values)
