"""The monitoring: its contract, its files, and what was wrong with the original's."""

import dataclasses
import http.server
import json
import re
import logging
import math
import stat
import subprocess
import sys
import threading
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Dict, Iterator, List, Mapping, Tuple

import pytest
import yaml
from capsule_package import _deliver, _look
from capsule_package import monitoring as module
from capsule_package._look import Look
from capsule_package.monitoring import (
    Alert,
    AlertSeverity,
    AlertType,
    HealthCheck,
    HealthStatus,
    MonitoringSystem,
    ResourceMetrics,
)
from signatures import fields_of, signature

NODE = {"id": "n-1", "provider": "vultr", "region": "ewr", "name": "web", "ip_address": "203.0.113.7"}
UP = Look("up", claimed=True, ms=12.5)
DOWN = Look("down", trouble="`web` is down: port 443 is closed.", ms=3.0)
OPEN = Look("alarm", claimed=False, trouble="It obeys anyone.", ms=3.0)
OTHER_KEY = Look("alarm", trouble="It shows another key than before.", ms=3.0)
OFFLINE = Look("unknown", trouble="This machine seems to be offline.")


def usage(cpu: float = 10, memory: float = 10, disk: float = 10) -> Look:
    told = {
        "cpu": [{"name": "cpu0", "used": cpu - 5, "frequency": 1}, {"name": "cpu1", "used": cpu + 5, "frequency": 1}],
        "memory": {"used": int(memory * 10), "total": 1000},
        "disk": [{"mount_point": "/boot", "used": 1, "total": 1000}, {"mount_point": "/", "used": disk, "total": 100}],
    }
    return Look("up", claimed=True, usage=told)


class World:
    """What the monitoring sees, and what it does."""

    def __init__(self, system: MonitoringSystem) -> None:
        self.now = datetime(2025, 11, 20, 18, 0, 0)
        self.looks: Dict[str, Look] = {}
        self.posted: List[Tuple[str, str, Mapping[str, Any]]] = []
        self.restarted: List[str] = []
        self.attach(system)

    def attach(self, system: MonitoringSystem) -> None:
        self.system = system
        system.clock = self.clock
        system.look = lambda which: self.looks[which]
        system.look_at_all = lambda: self.looks
        system.post = lambda url, name, document, timeout: self.posted.append((url, name, document))
        system.restart = self.restart

    def clock(self) -> datetime:
        self.now += timedelta(seconds=60)
        return self.now

    def restart(self, xnode_id: str) -> bool:
        self.restarted.append(xnode_id)
        return True

    def check(self, look: Look, xnode_id: str = "n-1") -> HealthCheck:
        self.looks[xnode_id] = look
        return self.system.check_health(xnode_id, NODE)

    def measure(self, look: Look) -> Any:
        self.looks["n-1"] = look
        return self.system.collect_metrics("n-1", NODE)

    def open(self) -> List[Tuple[str, str]]:
        alerts = self.system.get_dashboard_data()["active_alerts"]
        return [(alert.alert_type.value, alert.severity.value) for alert in alerts]


@pytest.fixture
def world(files: Path) -> World:
    return World(MonitoringSystem())


# The contract


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


@pytest.mark.parametrize(
    ("busy", "alerts"),
    [
        (usage(74.9, 79.9, 84.9), []),
        (usage(75, 80, 85), [("high_cpu", "warning"), ("high_memory", "warning"), ("low_disk", "warning")]),
        (usage(90, 95, 95), [("high_cpu", "critical"), ("high_memory", "critical"), ("low_disk", "critical")]),
    ],
)
def test_limits(world: World, busy: Look, alerts: List[Tuple[str, str]]) -> None:
    world.measure(busy)
    assert world.open() == alerts


def test_an_alert_is_named_by_node_type_and_second_and_opens_once(world: World) -> None:
    for _ in range(3):
        world.check(DOWN)
    (alert,) = world.system.get_dashboard_data()["active_alerts"]
    assert alert.id == f"n-1_service_down_{int(datetime.fromisoformat(alert.timestamp).timestamp())}"
    assert alert.metadata["health_check"]["status"] == "unhealthy"
    assert (alert.acknowledged, alert.resolved) == (False, False)


def test_acknowledging_and_resolving(world: World) -> None:
    world.check(DOWN)
    (alert,) = world.system.active_alerts.values()
    world.system.acknowledge_alert(alert.id)
    assert MonitoringSystem().active_alerts[alert.id].acknowledged is True
    world.system.resolve_alert(alert.id)
    assert world.open() == []
    assert MonitoringSystem().active_alerts == {}
    world.check(DOWN)
    assert world.open() == [("service_down", "critical")], "it is still down"
    for call in (world.system.acknowledge_alert, world.system.resolve_alert):
        with pytest.raises(KeyError, match="nope"):
            call("nope")


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


# Settings


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


def test_switched_off_it_raises_no_alert(world: World) -> None:
    world.system.config.enabled = False
    assert world.check(DOWN).status == HealthStatus.UNHEALTHY
    assert world.open() == []


# Defects of the original, by their numbers in its list


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


class Hook:
    """A server on this machine that takes documents."""

    def __init__(self, answer: int = 200) -> None:
        self.documents: List[Any] = []
        hook = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                hook.documents.append((self.path, self.headers["Content-Type"], json.loads(body)))
                self.send_response(answer)
                self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_GET = do_POST

            def log_message(self, *_: Any) -> None:
                pass

        self.server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/T00/B00/s3cret"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    def stop(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def hook() -> Iterator[Hook]:
    hook = Hook()
    yield hook
    hook.stop()


def test_defect_29_a_webhook_gets_the_alert_as_json(world: World, hook: Hook) -> None:
    world.system.post = _deliver.post
    world.system.config.webhook_alerts, world.system.config.webhook_url = True, hook.url
    world.measure(usage(cpu=82.3))
    ((path, kind, document),) = hook.documents
    assert (path, kind) == ("/T00/B00/s3cret", "application/json")
    assert document.pop("metadata")["metrics"]["cpu_percent"] == pytest.approx(82.3)
    moment = document.pop("timestamp")
    assert document == {
        "id": f"n-1_high_cpu_{int(datetime.fromisoformat(moment).timestamp())}",
        **{"xnode_id": "n-1", "alert_type": "high_cpu", "severity": "warning", "message": "High CPU usage: 82.3%"},
        **{"acknowledged": False, "resolved": False},
    }


def test_defect_29_slack_gets_an_attachment(world: World) -> None:
    world.system.config.slack_alerts, world.system.config.slack_webhook_url = True, "https://hooks.example/s3cret"
    world.check(DOWN)
    world.check(UP)
    first, second = (document["attachments"][0] for _, _, document in world.posted)
    assert [name for _, name, _ in world.posted] == ["slack_webhook_url"] * 2
    assert (first["color"], second["color"]) == ("#ff0000", "#36a64f")
    assert first["fields"][0] == {"title": "Severity", "value": "CRITICAL", "short": True}
    assert second["fields"][0]["value"] == "RESOLVED"
    json.dumps(first)


@pytest.mark.parametrize("answer", [302, 307, 404, 500])
def test_defect_29_a_webhook_that_fails_is_said_without_its_secret(
    world: World, caplog: pytest.LogCaptureFixture, answer: int
) -> None:
    hook = Hook(answer)
    try:
        world.system.post = _deliver.post
        world.system.config.webhook_alerts, world.system.config.webhook_url = True, hook.url
        world.check(DOWN)
    finally:
        hook.stop()
    assert len(hook.documents) == 1, "a redirection is not followed"
    assert f"`webhook_url` answered {answer}." in caplog.text
    assert "s3cret" not in caplog.text
    assert "s3cret" not in repr(world.system.config)


def test_defect_29_a_webhook_that_is_gone_does_not_end_the_watching(
    world: World, hook: Hook, caplog: pytest.LogCaptureFixture
) -> None:
    world.system.post = _deliver.post
    world.system.config.webhook_alerts, world.system.config.webhook_url = True, hook.url
    hook.server.server_close()
    assert world.check(DOWN).status == HealthStatus.UNHEALTHY
    # Refused, or reset where the system had taken the connection already.
    assert re.search(r"`webhook_url` cannot be reached \(Connection(Refused|Reset)Error\)", caplog.text)
    assert "s3cret" not in caplog.text


@pytest.mark.parametrize(
    "url", ["http://hooks.example/s3cret", "ftp://127.0.0.1/s3cret", "s3cret", "https:///s3cret", "http://[::1/s3cret"]
)
def test_defect_29_only_https_leaves_this_machine(files: Path, world: World, url: str) -> None:
    world.system.config.webhook_url = url
    with pytest.raises(ValueError, match="`webhook_url`") as refused:
        world.system.save_config()
    assert "s3cret" not in str(refused.value)
    assert not (files / "monitoring.yml").exists()
    with pytest.raises(ValueError, match="`webhook_url`"):
        _deliver.post(url, "webhook_url", {}, 1)


@pytest.mark.parametrize(
    "url", ["https://hooks.example/x", "http://localhost:8080/x", "http://[::1]:80/x", "http://127.0.0.2/"]
)
def test_defect_29_https_and_this_machine_are_allowed(url: str) -> None:
    _deliver.check(url, "webhook_url")


def test_defect_29_alerts_end_by_themselves(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.system.config.webhook_alerts, world.system.config.webhook_url = True, "https://hooks.example/"
    world.check(DOWN)
    world.measure(usage(cpu=99))
    assert world.open() == [("service_down", "critical"), ("high_cpu", "critical")]
    world.check(UP)
    assert world.open() == [("high_cpu", "critical")]
    world.measure(usage(cpu=10))
    assert world.open() == []
    told = [(document["alert_type"], document["resolved"]) for _, _, document in world.posted]
    assert told == [("service_down", False), ("high_cpu", False), ("service_down", True), ("high_cpu", True)]
    assert "ALERT [RESOLVED] n-1" in caplog.text
    assert MonitoringSystem().active_alerts == {}


def test_defect_29_alerts_get_worse_and_better(world: World) -> None:
    world.system.config.webhook_alerts, world.system.config.webhook_url = True, "https://hooks.example/"
    world.measure(usage(cpu=80))
    (alert,) = world.system.active_alerts.values()
    world.system.acknowledge_alert(alert.id)
    for busy in (95, 96, 80):
        world.measure(usage(cpu=busy))
        assert list(world.system.active_alerts) == [alert.id]
    (alert,) = world.system.active_alerts.values()
    assert (alert.severity, alert.message) == (AlertSeverity.WARNING, "High CPU usage: 80.0%")
    assert alert.acknowledged is False, "it got worse after somebody knew"
    assert [document["severity"] for _, _, document in world.posted] == ["warning", "critical"]


def test_defect_29_restarting_is_done_when_it_is_asked_for(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.check(DOWN)
    assert world.restarted == []
    world.check(UP)
    world.system.config.auto_restart_on_failure = True
    world.check(OPEN)
    assert world.restarted == [], "one that answers is not down"
    world.check(DOWN)
    world.check(DOWN)
    assert world.restarted == ["n-1"], "once an outage"

    def fail(_: str) -> bool:
        raise RuntimeError("no such server")

    world.system.restart = fail
    world.check(UP)
    assert world.check(DOWN).status == HealthStatus.UNHEALTHY
    assert "Restart of n-1 failed: no such server" in caplog.text


def test_defect_30_a_good_xnode_is_healthy_though_it_has_no_ssh(world: World) -> None:
    check = world.check(UP)
    assert check.status == HealthStatus.HEALTHY
    assert "ssh" not in check.checks
    assert world.open() == []


def test_defect_30_one_that_obeys_anyone_is_an_alarm(world: World) -> None:
    world.check(OPEN)
    assert world.open() == [("http_error", "critical")]
    (alert,) = world.system.active_alerts.values()
    assert "obeys anyone" in alert.message
    world.check(DOWN)
    assert world.open() == [("http_error", "critical"), ("service_down", "critical")], "nothing shows that it is closed"
    world.check(UP)
    assert world.open() == []


def test_defect_31_a_program_that_is_missing_is_no_node_that_is_down(
    files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_look, "_command", lambda: None)
    system = MonitoringSystem()
    check = system.check_health("n-1", NODE)
    assert check.status == HealthStatus.UNKNOWN
    assert "not on the path" in check.error_messages[0]
    assert system.active_alerts == {}


def test_defect_31_an_outage_of_this_machine_is_none_of_the_nodes(world: World) -> None:
    world.check(UP)
    assert world.check(OFFLINE).status == HealthStatus.UNKNOWN
    assert world.open() == []


def fleet(*ids: str) -> List[Dict[str, Any]]:
    return [{**NODE, "id": xnode_id} for xnode_id in ids]


def test_defect_31_when_nobody_answers_it_is_this_machine_that_is_doubted(world: World) -> None:
    world.looks = {"a": DOWN, "b": DOWN, "c": DOWN}
    checks = world.system.check_all(fleet("a", "b", "c"))
    assert {check.status for check in checks.values()} == {HealthStatus.UNKNOWN}
    assert all("own network is in doubt" in check.error_messages[-1] for check in checks.values())
    assert world.open() == []
    world.looks["b"] = UP
    checks = world.system.check_all(fleet("a", "b", "c"))
    assert [check.status.value for check in checks.values()] == ["unhealthy", "healthy", "unhealthy"]
    assert world.open() == [("service_down", "critical")] * 2


def test_defect_31_a_fleet_of_one_may_be_down(world: World) -> None:
    world.looks = {"a": DOWN}
    assert world.system.check_all(fleet("a"))["a"].status == HealthStatus.UNHEALTHY
    assert world.open() == [("service_down", "critical")]


def test_defect_31_what_capsule_does_not_know_is_unknown(world: World) -> None:
    world.looks = {"vultr/ewr/a": UP, "web": UP}
    nodes = [*fleet("a"), {**NODE, "id": "b", "name": "other"}, {**NODE, "id": "c", "ip_address": None}]
    checks = world.system.check_all(nodes)
    assert [check.status.value for check in checks.values()] == ["healthy", "unknown", "unknown"]
    assert "capsule import inventory" in checks["b"].error_messages[0]
    assert list(world.system.health_history) == ["a", "b"], "without an address nobody looked"


def test_defect_31_when_none_could_be_looked_at_all_say_why(world: World) -> None:
    world.looks = {"": OFFLINE}
    checks = world.system.check_all(fleet("a", "b"))
    assert [check.error_messages for check in checks.values()] == [[OFFLINE.trouble]] * 2


# What `capsule -o json health` prints

_ROW = {
    **{"name": "web", "id": "vultr/ewr/n-1", "address": "203.0.113.7", "health": "up", "claimed": True},
    **{"certificate": None, "known": "by_pin", "usage": None, "error": None},
}
_ERROR = {"message": "There is no server `x` in the inventory.", "hint": "There are web.", "kind": "not_found"}


@pytest.mark.parametrize(
    ("stdout", "stderr", "expected"),
    [
        (json.dumps({"nodes": [_ROW]}), "", Look("up", True, "", None, 5.0)),
        (
            json.dumps({"nodes": [{**_ROW, "health": "down", "claimed": None, "error": _ERROR}]}),
            "",
            Look("down", None, "There is no server `x` in the inventory. There are web.", None, 5.0),
        ),
        (
            "",
            "a note\n" + json.dumps({"error": _ERROR}),
            Look("unknown", None, "There is no server `x` in the inventory. There are web.", None, 5.0),
        ),
        ("", "Segmentation fault", Look("unknown", None, "capsule health failed without a word of why.", None, 5.0)),
        ("[1]", "", Look("unknown", None, "capsule health failed without a word of why.", None, 5.0)),
    ],
)
def test_what_capsule_says_is_understood(stdout: str, stderr: str, expected: Look) -> None:
    assert _look.read(stdout, stderr, 5.0, alone=True) == {"": expected}


def test_all_are_found_by_id_and_name() -> None:
    looks = _look.read(json.dumps({"nodes": [_ROW, {**_ROW, "id": "aws/x/i-2", "name": "db"}]}), "", 5.0, alone=False)
    assert list(looks) == ["vultr/ewr/n-1", "n-1", "web", "aws/x/i-2", "i-2", "db"]


def test_logging_is_left_alone() -> None:
    assert logging.getLogger("capsule_package.monitoring").handlers == []


# With the program itself, in the simulated clouds

OWNER = "eth:5aaeb6053f3e94c9b9a09f33669435e7ef1beaed"


def capsule(*arguments: str) -> str:
    command = _look._command()
    assert command is not None, "the program `capsule` is missing"
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_an_xnode_in_the_sandbox_is_healthy_then_down_then_healthy(files: Path) -> None:
    made = json.loads(capsule("-o", "json", "deploy", "web", "--provider", "vultr", "--owner", OWNER))
    assert made
    capsule("deploy", "plain", "--provider", "vultr", "--bare")
    native = json.loads(capsule("-o", "json", "show", "web"))["instance"]["native_id"]
    system = MonitoringSystem()
    node = {"id": native, "provider": "vultr", "name": "web", "ip_address": "203.0.113.1"}
    assert system.check_health(native, node).status == HealthStatus.HEALTHY
    capsule("stop", "web")
    down = system.check_health(native, node)
    assert (down.status, down.checks) == (HealthStatus.UNHEALTHY, {"ping": False, "http": False})
    assert "port 443" in down.error_messages[0]
    (alert,) = MonitoringSystem().active_alerts.values()
    assert alert.alert_type == AlertType.SERVICE_DOWN
    # It is alone, so nothing speaks for an outage of this machine; the plain server is no xNode.
    checks = system.check_all([node, {**node, "id": "plain", "name": "plain"}])
    assert [check.status for check in checks.values()] == [HealthStatus.UNHEALTHY, HealthStatus.UNKNOWN]
    capsule("start", "web")
    assert system.check_health(native, node).status == HealthStatus.HEALTHY
    assert MonitoringSystem().active_alerts == {}
    assert system.check_health("--version", node).error_messages, "an id is no option"
    assert system.collect_metrics(native, node) is None, "nobody is logged in"
