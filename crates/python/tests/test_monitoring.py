"""The monitoring: its contract, checks, metrics and dashboard."""

import dataclasses
import logging
import math
from datetime import timedelta
from pathlib import Path
from typing import Any, Dict, List

import pytest
from capsule_package import monitoring as module
from capsule_package._look import Look
from capsule_package.monitoring import Alert, AlertSeverity, AlertType, HealthCheck, HealthStatus, ResourceMetrics
from signatures import fields_of, signature
from watched import DOWN, OFFLINE, OPEN, OTHER_KEY, UP, World, usage


@pytest.mark.parametrize(
    ("name", "expected"),
    {
        "MonitoringSystem": "(config_path=None)",
        "MonitoringSystem.check_health": "(self, xnode_id, xnode_data)",
        "MonitoringSystem.collect_metrics": "(self, xnode_id, xnode_data)",
        "MonitoringSystem.acknowledge_alert": "(self, alert_id)",
        "MonitoringSystem.resolve_alert": "(self, alert_id)",
        "MonitoringSystem.get_xnode_status": "(self, xnode_id)",
        "MonitoringSystem.get_dashboard_data": "(self)",
        "get_default_monitoring": "()",
    }.items(),
)
def test_signature(name: str, expected: str) -> None:
    assert signature(module, name) == expected


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (HealthStatus, ["healthy", "degraded", "unhealthy", "unknown"]),
        (AlertSeverity, ["info", "warning", "critical"]),
        (
            AlertType,
            [
                *("high_cpu", "high_memory", "low_disk", "service_down"),
                *("ssh_unreachable", "http_error", "cost_threshold"),
            ],
        ),
    ],
)
def test_words(kind: Any, values: List[str]) -> None:
    assert [member.value for member in kind] == values


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        (HealthCheck, ["xnode_id", "timestamp", "status", "checks", "response_times", "error_messages"]),
        (
            ResourceMetrics,
            [
                *("xnode_id", "timestamp", "cpu_percent", "memory_percent", "disk_percent"),
                *("network_in_mbps", "network_out_mbps", "load_average"),
            ],
        ),
        (
            Alert,
            [
                *("id", "xnode_id", "alert_type", "severity", "message", "timestamp"),
                *("acknowledged", "resolved", "metadata"),
            ],
        ),
    ],
)
def test_fields(kind: type, names: List[str]) -> None:
    assert fields_of(kind) == names


def test_default_settings(files: Path) -> None:
    system = module.get_default_monitoring()
    assert system.config_path == files / "monitoring.yml"
    assert system.data_dir == files / "monitoring_data"
    assert list(files.iterdir()) == [], "looking writes nothing"
    assert dataclasses.asdict(system.config) == {
        **{"enabled": True, "check_interval_seconds": 60, "ping_timeout": 5, "ssh_timeout": 10, "http_timeout": 10},
        **{"cpu_warning_threshold": 75.0, "cpu_critical_threshold": 90.0},
        **{"memory_warning_threshold": 80.0, "memory_critical_threshold": 95.0},
        **{"disk_warning_threshold": 85.0, "disk_critical_threshold": 95.0},
        **{"console_alerts": True, "email_alerts": False, "webhook_alerts": False, "slack_alerts": False},
        **{"email_recipients": None, "webhook_url": None, "slack_webhook_url": None},
        **{"auto_restart_on_failure": False, "auto_scale_on_high_load": False},
    }


@pytest.mark.parametrize(
    ("look", "status", "checks"),
    [
        (UP, HealthStatus.HEALTHY, {"ping": True, "http": True, "claimed": True}),
        (OPEN, HealthStatus.DEGRADED, {"ping": True, "http": True, "claimed": False}),
        (OTHER_KEY, HealthStatus.DEGRADED, {"ping": True, "http": False}),
        (DOWN, HealthStatus.UNHEALTHY, {"ping": False, "http": False}),
        (OFFLINE, HealthStatus.UNKNOWN, {}),
    ],
)
def test_a_check(world: World, look: Look, status: HealthStatus, checks: Dict[str, bool]) -> None:
    moment = (world.now + timedelta(seconds=60)).isoformat()
    check = world.check(look)
    assert (check.xnode_id, check.timestamp, check.status, check.checks) == ("n-1", moment, status, checks)
    assert check.response_times == {"http": look.ms}
    assert check.error_messages == ([look.trouble] if look.trouble else [])


def test_without_an_address_there_is_nothing_to_look_at(world: World) -> None:
    check = world.system.check_health("n-1", {"ip_address": ""})
    assert (check.status, check.error_messages) == (HealthStatus.UNKNOWN, ["No IP address available"])
    assert world.system.collect_metrics("n-1", {}) is None
    assert world.system.get_dashboard_data()["total_xnodes"] == 0


def test_metrics(world: World) -> None:
    metrics = world.measure(usage(cpu=50, memory=25, disk=60))
    assert (metrics.cpu_percent, metrics.memory_percent, metrics.disk_percent) == (50, 25, 60)
    # What it does not tell is no zero.
    assert math.isnan(metrics.network_in_mbps) and math.isnan(metrics.network_out_mbps)
    assert len(metrics.load_average) == 3 and all(math.isnan(load) for load in metrics.load_average)


@pytest.mark.parametrize(
    ("look", "why"), [(UP, "capsule xnode login"), (DOWN, "port 443 is closed"), (OFFLINE, "offline")]
)
def test_no_metrics_without_a_login_and_why(
    world: World, caplog: pytest.LogCaptureFixture, look: Look, why: str
) -> None:
    assert world.measure(look) is None
    assert why in caplog.text
    assert world.system.metrics_history == {}


def test_a_status_has_the_last_ten(world: World) -> None:
    for _ in range(12):
        world.check(UP)
    world.check(DOWN)
    world.measure(usage())
    status = world.system.get_xnode_status("n-1")
    assert list(status) == [
        *("xnode_id", "current_health", "current_metrics", "active_alerts", "health_history", "metrics_history")
    ]
    assert status["xnode_id"] == "n-1"
    assert len(status["health_history"]) == 10
    assert status["current_health"] is status["health_history"][-1]
    assert status["current_health"].status == HealthStatus.UNHEALTHY
    assert status["current_metrics"] is status["metrics_history"][-1]
    assert [alert.alert_type for alert in status["active_alerts"]] == [AlertType.SERVICE_DOWN]
    assert world.system.get_xnode_status("other") == {
        **{"xnode_id": "other", "current_health": None, "current_metrics": None},
        **{"active_alerts": [], "health_history": [], "metrics_history": []},
    }


def test_the_dashboard(world: World) -> None:
    world.check(UP, "a")
    world.check(DOWN, "b")
    world.check(OFFLINE, "c")
    world.measure(usage(cpu=80))
    data = world.system.get_dashboard_data()
    recent = data.pop("recent_checks")
    assert {node: check.status.value for node, check in recent.items()} == {
        **{"a": "healthy", "b": "unhealthy", "c": "unknown"}
    }
    assert [alert.xnode_id for alert in data.pop("active_alerts")] == ["b", "n-1"]
    assert data == {
        **{"total_xnodes": 4, "healthy_xnodes": 1, "unhealthy_xnodes": 3},
        **{"critical_alerts": 1, "warning_alerts": 1},
    }


def test_logging_is_left_alone() -> None:
    assert logging.getLogger("capsule_package.monitoring").handlers == []
