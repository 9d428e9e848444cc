"""Watching xNodes: health, how busy they are, and alerts, as the original had it.

`~/.capsule/monitoring.yml` holds the settings; `~/.capsule/monitoring_data/` keeps what was seen, 288 checks and 1440
measurements a node, and the alerts. All is written at once when it changes, and two processes may share it.

An xNode is looked at as one can: from outside, on port 443, by `capsule health`. It has no SSH server, so nothing here
asks for one. Times are local and without an offset, as the original wrote them.
"""

import contextlib
import json
import logging
import math
import threading
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, Iterator, List, Mapping, Optional, Tuple, Union

import yaml

from . import _deliver, _look, _store
from ._observations import (
    Alert,
    AlertSeverity,
    AlertType,
    HealthCheck,
    HealthStatus,
    ResourceMetrics,
    by_time,
    plain,
    read_alert,
    read_health,
    read_metrics,
    readable,
)

__all__ = [
    "Alert",
    "AlertSeverity",
    "AlertType",
    "HealthCheck",
    "HealthStatus",
    "MonitoringConfig",
    "MonitoringSystem",
    "ResourceMetrics",
    "get_default_monitoring",
]

logger = logging.getLogger(__name__)

_HEALTH_KEPT = 288
_METRICS_KEPT = 1440
_SHOWN = 10


@dataclass
class MonitoringConfig:
    """The settings. Addresses of webhooks are secrets and do not show.

    `ping_timeout` and `ssh_timeout` have no effect; `http_timeout` is how long a webhook may take. Email is not sent,
    and `auto_scale_on_high_load` does nothing: neither did in the original.
    """

    enabled: bool = True
    check_interval_seconds: int = 60
    ping_timeout: int = 5
    ssh_timeout: int = 10
    http_timeout: int = 10
    cpu_warning_threshold: float = 75.0
    cpu_critical_threshold: float = 90.0
    memory_warning_threshold: float = 80.0
    memory_critical_threshold: float = 95.0
    disk_warning_threshold: float = 85.0
    disk_critical_threshold: float = 95.0
    console_alerts: bool = True
    email_alerts: bool = False
    webhook_alerts: bool = False
    slack_alerts: bool = False
    email_recipients: Optional[List[str]] = None
    webhook_url: Optional[str] = field(default=None, repr=False)
    slack_webhook_url: Optional[str] = field(default=None, repr=False)
    auto_restart_on_failure: bool = False
    auto_scale_on_high_load: bool = False


class MonitoringSystem:
    """Checks nodes, remembers, and raises alerts.

    Attributes: `config_path`, `data_dir`, `config`; `health_history` and `metrics_history` by node, oldest first;
    `active_alerts` by id. `clock`, `look`, `look_at_all`, `post` and `restart` are its ways to the world: the time, a
    look at a node and at all of them, a delivery, and what `auto_restart_on_failure` calls with a node's id.
    """

    def __init__(self, config_path: Optional[Union[Path, str]] = None) -> None:
        self.config_path = Path(config_path) if config_path else _store.home() / "monitoring.yml"
        self.data_dir = _store.home() / "monitoring_data"
        self.clock: Callable[[], datetime] = datetime.now
        self.look: Callable[[str], _look.Look] = _look.look
        self.look_at_all: Callable[[], Dict[str, _look.Look]] = _look.look_at_all
        self.post: Callable[[str, str, Mapping[str, Any], float], None] = _deliver.post
        self.restart: Callable[[str], bool] = _restart
        self._mutex = threading.RLock()
        self._other_settings: Dict[str, Any] = {}
        self.config = self._load_config()
        self.health_history: Dict[str, List[HealthCheck]] = {}
        self.metrics_history: Dict[str, List[ResourceMetrics]] = {}
        self.active_alerts: Dict[str, Alert] = {}
        self._base: Dict[str, Any] = {}
        self._take(self._read())

    # Checks

    def check_health(self, xnode_id: str, xnode_data: Mapping[str, Any]) -> HealthCheck:
        """Looks at a node, remembers what it saw, and raises or ends alerts.

        Of `xnode_data` only `ip_address` matters: without one there is nothing to look at. The node is looked up by its
        id in capsule's own inventory. What could not be looked at is `unknown`, and no alert follows: a program that is
        missing, or an outage of this machine, is no failure of the node.
        """
        if not xnode_data.get("ip_address"):
            return self._check(xnode_id, HealthStatus.UNKNOWN, errors=["No IP address available"])
        check = self._judge(xnode_id, self.look(xnode_id))
        self._remember([check])
        return check

    def check_all(self, xnodes: Iterable[Mapping[str, Any]]) -> Dict[str, HealthCheck]:
        """`check_health` of many, looked at all at once; by id.

        `xnodes` are entries of the inventory. When none of two or more answers, this machine's network is doubted
        rather than they: all are `unknown`, and no alert follows.
        """
        looks = self.look_at_all()
        checks: Dict[str, HealthCheck] = {}
        for node in xnodes:
            xnode_id = str(node["id"])
            if not node.get("ip_address"):
                checks[xnode_id] = self._check(xnode_id, HealthStatus.UNKNOWN, errors=["No IP address available"])
                continue
            scoped = [f"{node.get('provider')}/{node.get('region')}/{xnode_id}", xnode_id, str(node.get("name")), ""]
            seen = next((looks[name] for name in scoped if name in looks), None)
            hint = "capsule knows no such xNode. `capsule import inventory` or `capsule adopt` takes it in."
            checks[xnode_id] = self._judge(xnode_id, seen or _look.Look("unknown", trouble=hint))
        looked = [check for check in checks.values() if check.status != HealthStatus.UNKNOWN]
        if len(looked) > 1 and all(check.status == HealthStatus.UNHEALTHY for check in looked):
            for check in looked:
                check.status = HealthStatus.UNKNOWN
                check.error_messages.append("No xNode answers at all: this machine's own network is in doubt.")
        self._remember([check for check in checks.values() if check.checks or check.response_times])
        return checks

    def collect_metrics(self, xnode_id: str, xnode_data: Mapping[str, Any]) -> Optional[ResourceMetrics]:
        """How busy a node is, as its manager tells its owner; remembered, with alerts raised or ended.

        None, with the reason in the log, where there is no answer or nobody is logged in (`capsule xnode login`).
        """
        if not xnode_data.get("ip_address"):
            logger.warning("No metrics of %s: it has no IP address.", xnode_id)
            return None
        seen = self.look(xnode_id)
        if not seen.usage:
            login = "its manager tells them to its owner alone: log in with `capsule xnode login`."
            logger.warning("No metrics of %s: %s", xnode_id, seen.trouble or login)
            return None
        cores = [float(core["used"]) for core in seen.usage.get("cpu") or []]
        metrics = ResourceMetrics(
            xnode_id=xnode_id,
            timestamp=self._now(),
            cpu_percent=sum(cores) / len(cores) if cores else math.nan,
            memory_percent=_percent([seen.usage.get("memory") or {}]),
            disk_percent=_percent(seen.usage.get("disk") or []),
            network_in_mbps=math.nan,
            network_out_mbps=math.nan,
            load_average=(math.nan, math.nan, math.nan),
        )
        with self._changing():
            self.metrics_history.setdefault(xnode_id, []).append(metrics)
            news = self._metrics_alerts(metrics)
        self._deliver(news)
        return metrics

    def _judge(self, xnode_id: str, seen: _look.Look) -> HealthCheck:
        checks: Dict[str, bool] = {}
        if seen.health == "up":
            checks = {"ping": True, "http": True, "claimed": True}
        elif seen.health == "alarm":
            # It answers and is open to anyone, or it is not what it was.
            checks = {"ping": True, "http": seen.claimed is not None}
            if seen.claimed is not None:
                checks["claimed"] = seen.claimed
        elif seen.health in ("down", "shaky"):
            checks = {"ping": False, "http": False}
        if not checks:
            status = HealthStatus.UNKNOWN
        elif all(checks.values()):
            status = HealthStatus.HEALTHY
        else:
            status = HealthStatus.DEGRADED if any(checks.values()) else HealthStatus.UNHEALTHY
        return self._check(xnode_id, status, checks, {"http": seen.ms}, [seen.trouble] if seen.trouble else [])

    def _check(
        self,
        xnode_id: str,
        status: HealthStatus,
        checks: Optional[Dict[str, bool]] = None,
        response_times: Optional[Dict[str, float]] = None,
        errors: Optional[List[str]] = None,
    ) -> HealthCheck:
        return HealthCheck(xnode_id, self._now(), status, checks or {}, response_times or {}, errors or [])

    def _remember(self, checks: List[HealthCheck]) -> None:
        news: List[Alert] = []
        with self._changing():
            for check in checks:
                self.health_history.setdefault(check.xnode_id, []).append(check)
                news += self._health_alerts(check)
        self._deliver(news)

    # Alerts

    def acknowledge_alert(self, alert_id: str) -> None:
        """Notes that somebody knows of an alert. Raises KeyError if there is none of that id."""
        with self._changing():
            self._alert(alert_id).acknowledged = True

    def resolve_alert(self, alert_id: str) -> None:
        """Ends an alert. It comes again if all is as it was. Raises KeyError if there is none of that id."""
        with self._changing():
            self._alert(alert_id).resolved = True

    def _alert(self, alert_id: str) -> Alert:
        if alert_id not in self.active_alerts:
            raise KeyError(f"There is no alert {alert_id}.")
        return self.active_alerts[alert_id]

    def _health_alerts(self, check: HealthCheck) -> List[Alert]:
        if check.status == HealthStatus.UNKNOWN:
            return []
        node, why = check.xnode_id, " ".join(check.error_messages)
        about = {"health_check": plain(check)}
        down = check.status == HealthStatus.UNHEALTHY
        message = f"xNode {node} is unreachable. {why}".strip()
        news = self._set_alert(node, AlertType.SERVICE_DOWN, AlertSeverity.CRITICAL if down else None, message, about)
        # Of a node that is down nothing is known about who it obeys.
        if not down:
            wrong = AlertSeverity.CRITICAL if check.status == HealthStatus.DEGRADED else None
            message = f"xNode {node} answers, and not as it should. {why}".strip()
            news += self._set_alert(node, AlertType.HTTP_ERROR, wrong, message, about)
        # The original raised these for every good node.
        news += self._set_alert(node, AlertType.SSH_UNREACHABLE, None, "", {})
        return news

    def _metrics_alerts(self, metrics: ResourceMetrics) -> List[Alert]:
        def limits(what: str) -> Tuple[float, float]:
            config = self.config
            return getattr(config, f"{what}_warning_threshold"), getattr(config, f"{what}_critical_threshold")

        news: List[Alert] = []
        for alert_type, what, value, warning, critical in (
            (AlertType.HIGH_CPU, "CPU", metrics.cpu_percent, *limits("cpu")),
            (AlertType.HIGH_MEMORY, "memory", metrics.memory_percent, *limits("memory")),
            (AlertType.LOW_DISK, "disk", metrics.disk_percent, *limits("disk")),
        ):
            if math.isnan(value):
                continue
            severity = (
                AlertSeverity.CRITICAL if value >= critical else AlertSeverity.WARNING if value >= warning else None
            )
            word = "Critical" if severity == AlertSeverity.CRITICAL else "High"
            about = {"metrics": plain(metrics)}
            news += self._set_alert(metrics.xnode_id, alert_type, severity, f"{word} {what} usage: {value:.1f}%", about)
        return news

    def _set_alert(
        self,
        xnode_id: str,
        alert_type: AlertType,
        severity: Optional[AlertSeverity],
        message: str,
        metadata: Dict[str, Any],
    ) -> List[Alert]:
        """Brings the one alert of a node and type to `severity`, None to none; what is to be delivered of that."""
        if not self.config.enabled:
            return []
        alert = next(
            (
                alert
                for alert in self.active_alerts.values()
                if alert.xnode_id == xnode_id and alert.alert_type == alert_type and not alert.resolved
            ),
            None,
        )
        if severity is None:
            if alert is None:
                return []
            alert.resolved = True
            return [alert]
        if alert is not None:
            worse = _RANK[severity] > _RANK[alert.severity]
            alert.severity, alert.message, alert.metadata = severity, message, metadata
            if worse:
                alert.acknowledged = False
            return [alert] if worse else []
        now = self.clock()
        alert = Alert(
            id=f"{xnode_id}_{alert_type.value}_{int(now.timestamp())}",
            xnode_id=xnode_id,
            alert_type=alert_type,
            severity=severity,
            message=message,
            timestamp=now.isoformat(),
            metadata=metadata,
        )
        self.active_alerts[alert.id] = alert
        return [alert]

    def _deliver(self, alerts: List[Alert]) -> None:
        for alert in alerts:
            if self.config.console_alerts:
                ended = "RESOLVED" if alert.resolved else alert.severity.value.upper()
                logger.warning("ALERT [%s] %s: %s", ended, alert.xnode_id, alert.message)
            if self.config.webhook_alerts and self.config.webhook_url:
                self._send("webhook_url", self.config.webhook_url, plain(alert))
            if self.config.slack_alerts and self.config.slack_webhook_url:
                self._send("slack_webhook_url", self.config.slack_webhook_url, _for_slack(alert))
            if (
                self.config.auto_restart_on_failure
                and alert.alert_type == AlertType.SERVICE_DOWN
                and not alert.resolved
            ):
                try:
                    done = self.restart(alert.xnode_id)
                    logger.warning("Restart of %s: %s.", alert.xnode_id, "done" if done else "refused")
                except Exception as error:  # A restart that fails must not end the watching.
                    logger.error("Restart of %s failed: %s", alert.xnode_id, error)

    def _send(self, name: str, url: str, document: Mapping[str, Any]) -> None:
        try:
            self.post(url, name, document, self.config.http_timeout)
        except (OSError, ValueError) as error:
            logger.error("An alert was not delivered: %s", error)

    # Answers

    def get_xnode_status(self, xnode_id: str) -> Dict[str, Any]:
        """The last of all that is known of a node, ten each."""
        health = self.health_history.get(xnode_id, [])[-_SHOWN:]
        metrics = self.metrics_history.get(xnode_id, [])[-_SHOWN:]
        return {
            "xnode_id": xnode_id,
            "current_health": health[-1] if health else None,
            "current_metrics": metrics[-1] if metrics else None,
            "active_alerts": [alert for alert in self._open_alerts() if alert.xnode_id == xnode_id],
            "health_history": health,
            "metrics_history": metrics,
        }

    def get_dashboard_data(self) -> Dict[str, Any]:
        """Figures of all nodes that were ever checked. What is not healthy counts as unhealthy, as in the original."""
        nodes = list(dict.fromkeys([*self.health_history, *self.metrics_history]))
        recent = {node: self.health_history[node][-1] for node in nodes if self.health_history.get(node)}
        healthy = sum(check.status == HealthStatus.HEALTHY for check in recent.values())
        alerts = self._open_alerts()
        return {
            "total_xnodes": len(nodes),
            "healthy_xnodes": healthy,
            "unhealthy_xnodes": len(nodes) - healthy,
            "critical_alerts": sum(alert.severity == AlertSeverity.CRITICAL for alert in alerts),
            "warning_alerts": sum(alert.severity == AlertSeverity.WARNING for alert in alerts),
            "active_alerts": alerts,
            "recent_checks": recent,
        }

    def _open_alerts(self) -> List[Alert]:
        return [alert for alert in self.active_alerts.values() if not alert.resolved]

    def _now(self) -> str:
        return self.clock().isoformat()

    # Settings

    def save_config(self) -> None:
        """Writes `config` into the file. Other keys in it stay.

        Raises ValueError where a webhook is no https address.
        """
        for name in ("webhook_url", "slack_webhook_url"):
            if getattr(self.config, name):
                _deliver.check(getattr(self.config, name), name)
        settings = {**self._other_settings, **asdict(self.config)}
        with _store.locked(self.config_path):
            _store.replace(self.config_path, yaml.safe_dump(settings, default_flow_style=False, sort_keys=False))

    def _load_config(self) -> MonitoringConfig:
        text = _store.read(self.config_path)
        try:
            settings = yaml.safe_load(text or "") or {}
        except yaml.YAMLError:
            raise ValueError(f"{self.config_path} is not YAML. Mend it or move it away.") from None
        if not isinstance(settings, dict):
            raise ValueError(f"{self.config_path} holds no settings by name. Mend it or move it away.")
        config = MonitoringConfig()
        for setting in fields(MonitoringConfig):
            value = settings.pop(setting.name, None)
            if value is None:
                continue
            default = getattr(config, setting.name)
            kinds: Tuple[type, ...] = (str, list) if default is None else (type(default),)
            if kinds == (float,):
                kinds = (float, int)
            if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
                # Without the value: it may be a secret.
                wanted = " or ".join(kind.__name__ for kind in kinds)
                raise ValueError(f"{self.config_path}: `{setting.name}` is a {type(value).__name__}, not {wanted}.")
            setattr(config, setting.name, value)
        self._other_settings = settings
        if config.email_alerts:
            logger.warning("`email_alerts` is on, and no email is sent: use a webhook.")
        return config

    # What is remembered

    @contextlib.contextmanager
    def _changing(self) -> Iterator[None]:
        """Around a change: takes in what other processes wrote, and writes the change."""
        with self._mutex, _store.locked(self.data_dir / "monitoring_data"):
            theirs = self._read()
            if theirs != self._base:
                self._take(_store.merge(self._base, self._document(), theirs), theirs)
            # Those that ended are shown until the next change.
            self.active_alerts = {key: alert for key, alert in self.active_alerts.items() if not alert.resolved}
            yield
            for kept, history in ((_HEALTH_KEPT, self.health_history), (_METRICS_KEPT, self.metrics_history)):
                for entries in history.values():
                    del entries[:-kept]
            document = self._document()
            for name, content in document.items():
                if content != theirs[name]:
                    shown = {
                        key: list(value.values()) if name != "active_alerts" else value
                        for key, value in content.items()
                    }
                    _store.replace(self.data_dir / f"{name}.json", json.dumps(shown, indent=2, allow_nan=False) + "\n")
            self._base = document

    def _document(self) -> Dict[str, Any]:
        """All that is remembered, plain; histories by time, so that two can be merged."""
        return {
            "health_history": {node: by_time(checks) for node, checks in self.health_history.items()},
            "metrics_history": {node: by_time(metrics) for node, metrics in self.metrics_history.items()},
            "active_alerts": {key: plain(alert) for key, alert in self.active_alerts.items()},
        }

    def _read(self) -> Dict[str, Any]:
        """The files, in the shape of `_document`, without alerts that ended."""
        document: Dict[str, Any] = {}
        for name, read in (("health_history", read_health), ("metrics_history", read_metrics)):
            document[name] = {
                node: by_time(readable(entries, read, name)) for node, entries in self._read_file(name).items()
            }
        alerts = readable(self._read_file("active_alerts").values(), read_alert, "active_alerts")
        document["active_alerts"] = {alert.id: plain(alert) for alert in alerts if not alert.resolved}
        return document

    def _read_file(self, name: str) -> Dict[str, Any]:
        path = self.data_dir / f"{name}.json"
        text = _store.read(path)
        try:
            content = json.loads(text or "{}")
        except ValueError:
            content = None
        if not isinstance(content, dict):
            # What was seen is no reason to stop seeing.
            path.replace(path.with_suffix(".json.broken"))
            logger.warning("%s cannot be read, and is now called %s.json.broken.", path, name)
            return {}
        return content

    def _take(self, document: Mapping[str, Any], base: Optional[Dict[str, Any]] = None) -> None:
        # In the order of time, whichever process was there first.
        def ordered(entries: Mapping[str, Any]) -> List[Any]:
            return [entries[key] for key in sorted(entries)]

        self.health_history = {
            node: [read_health(entry) for entry in ordered(entries)]
            for node, entries in document["health_history"].items()
        }
        self.metrics_history = {
            node: [read_metrics(entry) for entry in ordered(entries)]
            for node, entries in document["metrics_history"].items()
        }
        self.active_alerts = {key: read_alert(alert) for key, alert in document["active_alerts"].items()}
        self._base = dict(document) if base is None else base


def get_default_monitoring() -> MonitoringSystem:
    """The monitoring with the settings and data in Capsule's home."""
    return MonitoringSystem()


_RANK = {severity: rank for rank, severity in enumerate(AlertSeverity)}


def _restart(xnode_id: str) -> bool:
    from .openmesh_core import get_default_manager

    return get_default_manager().restart_xnode(xnode_id)


def _percent(parts: Iterable[Mapping[str, Any]]) -> float:
    """Of the fullest part; nan if there is none."""
    shares = [float(part["used"]) / float(part["total"]) * 100 for part in parts if part.get("total")]
    return max(shares, default=math.nan)


def _for_slack(alert: Alert) -> Dict[str, Any]:
    color = {AlertSeverity.INFO: "#36a64f", AlertSeverity.WARNING: "#ff9900", AlertSeverity.CRITICAL: "#ff0000"}
    severity = "RESOLVED" if alert.resolved else alert.severity.value.upper()
    return {
        "attachments": [
            {
                "color": "#36a64f" if alert.resolved else color[alert.severity],
                "title": f"xNode Alert: {alert.xnode_id}",
                "text": alert.message,
                "fields": [
                    {"title": "Severity", "value": severity, "short": True},
                    {"title": "Type", "value": alert.alert_type.value, "short": True},
                ],
                "footer": "Capsule Monitoring",
                "ts": int(datetime.fromisoformat(alert.timestamp).timestamp()),
            }
        ]
    }
