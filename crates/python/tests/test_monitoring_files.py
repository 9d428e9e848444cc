"""What the monitoring keeps: its settings, and what it saw."""

import dataclasses
import json
import math
import stat
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import yaml
from capsule_package.monitoring import AlertSeverity, HealthStatus, MonitoringSystem
from watched import DOWN, UP, World, usage


def test_histories_end(world: World) -> None:
    for _ in range(3):
        world.check(UP)
        world.measure(usage())
    checks = world.system.health_history["n-1"]
    metrics = world.system.metrics_history["n-1"]
    start = datetime(2025, 1, 1)
    for number in range(1500):
        moment = (start + timedelta(minutes=number)).isoformat()
        checks.insert(number, dataclasses.replace(checks[-1], timestamp=moment))
        metrics.insert(number, dataclasses.replace(metrics[-1], timestamp=moment))
    world.check(DOWN)
    again = MonitoringSystem()
    assert len(again.health_history["n-1"]) == 288
    assert len(again.metrics_history["n-1"]) == 1440
    assert again.health_history["n-1"][-1].status == HealthStatus.UNHEALTHY


def test_files_are_private(files: Path, world: World) -> None:
    world.check(DOWN)
    world.measure(usage())
    world.system.save_config()
    files = [files / "monitoring.yml", *(files / "monitoring_data").iterdir()]
    assert len(files) == 5
    for path in files:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


def test_settings_there_and_back_with_those_of_others(files: Path) -> None:
    (files / "monitoring.yml").write_text("cpu_warning_threshold: 60\nowner: me\nslack_webhook_url: null\n")
    system = MonitoringSystem()
    assert system.config.cpu_warning_threshold == 60
    system.config.check_interval_seconds = 30
    system.config.email_recipients = ["a@b.c"]
    system.save_config()
    assert yaml.safe_load((files / "monitoring.yml").read_text())["owner"] == "me"
    assert MonitoringSystem().config == system.config


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("check_interval_seconds: often", "`check_interval_seconds` is a str, not int"),
        ("check_interval_seconds: true", "`check_interval_seconds` is a bool, not int"),
        ("console_alerts: 1", "`console_alerts` is a int, not bool"),
        ("cpu_warning_threshold: high", "`cpu_warning_threshold` is a str, not float or int"),
        ("webhook_url: 7", "`webhook_url` is a int"),
        ("- a", "no settings by name"),
        ("a: [", "is not YAML"),
    ],
)
def test_bad_settings_are_named_and_stay(files: Path, text: str, error: str) -> None:
    (files / "monitoring.yml").write_text(text)
    with pytest.raises(ValueError, match=error):
        MonitoringSystem()
    assert (files / "monitoring.yml").read_text() == text


def test_email_is_said_not_to_be_sent(files: Path, caplog: pytest.LogCaptureFixture) -> None:
    (files / "monitoring.yml").write_text("email_alerts: true\n")
    MonitoringSystem()
    assert "no email is sent" in caplog.text


def test_defect_28_what_was_seen_is_there_after_a_restart(world: World) -> None:
    check, metrics = world.check(DOWN), world.measure(usage(cpu=99))
    again = MonitoringSystem()
    assert again.health_history == {"n-1": [check]}
    assert isinstance(again.health_history["n-1"][0].status, HealthStatus)
    (read,) = again.metrics_history["n-1"]
    assert (read.cpu_percent, read.timestamp) == (99, metrics.timestamp)
    assert math.isnan(read.network_in_mbps) and isinstance(read.load_average, tuple)
    assert list(again.active_alerts.values()) == list(world.system.active_alerts.values())
    assert {alert.severity for alert in again.active_alerts.values()} == {AlertSeverity.CRITICAL}
    assert again.get_dashboard_data()["critical_alerts"] == 2


def test_defect_28_the_originals_own_files_are_read(files: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = files / "monitoring_data"
    folder.mkdir()
    check = {
        **{"xnode_id": "n-1", "timestamp": "2025-10-16T12:00:00", "status": "HealthStatus.DEGRADED"},
        **{"checks": {"ping": True, "ssh": False}, "response_times": {"ping": 3.5}, "error_messages": ["SSH"]},
    }
    broken = {**check, "status": "HealthStatus.ODD"}
    (folder / "health_history.json").write_text(json.dumps({"n-1": [check, broken, 7]}))
    alert = {
        **{"id": "n-1_ssh_unreachable_1", "xnode_id": "n-1", "alert_type": "AlertType.SSH_UNREACHABLE"},
        **{"severity": "AlertSeverity.CRITICAL", "message": "m", "timestamp": "2025-10-16T12:00:00"},
        **{"acknowledged": False, "resolved": False, "metadata": None},
    }
    (folder / "active_alerts.json").write_text(json.dumps({"n-1_ssh_unreachable_1": alert}))
    world = World(MonitoringSystem())
    assert [one.status for one in world.system.health_history["n-1"]] == [HealthStatus.DEGRADED]
    assert caplog.text.count("cannot be read") == 2
    assert world.open() == [("ssh_unreachable", "critical")]
    world.check(UP)
    assert world.open() == [], "no xNode has SSH: a healthy one needs none"
    assert [one.status.value for one in MonitoringSystem().health_history["n-1"]] == ["degraded", "healthy"]


def test_defect_28_a_broken_file_is_kept_aside(files: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = files / "monitoring_data"
    folder.mkdir()
    (folder / "health_history.json").write_text("{half")
    World(MonitoringSystem()).check(UP)
    assert (folder / "health_history.json.broken").read_text() == "{half"
    assert "health_history.json.broken" in caplog.text


_CHECKS = """
import sys
from capsule_package._look import Look
from capsule_package.monitoring import MonitoringSystem
system = MonitoringSystem()
system.look = lambda which: Look("down")
sys.stdin.readline()
for number in range(10):
    system.check_health(sys.argv[1], {"ip_address": "203.0.113.7"})
    system.check_health("shared", {"ip_address": "203.0.113.7"})
"""


def test_defect_28_two_processes_lose_nothing_of_each_others(files: Path) -> None:
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", _CHECKS, who], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        for who in "abc"
    ]
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    for worker in workers:
        worker.communicate(timeout=60)
        assert worker.returncode == 0
    system = MonitoringSystem()
    assert {node: len(checks) for node, checks in system.health_history.items()} == {
        **{"a": 10, "b": 10, "c": 10, "shared": 30}
    }
    assert sorted(alert.xnode_id for alert in system.active_alerts.values()) == ["a", "b", "c", "shared"]
