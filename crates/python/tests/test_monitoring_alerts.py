"""Alerts: when they begin, get worse and end, and who is told."""

import http.server
import json
import re
import threading
from datetime import datetime
from pathlib import Path
from typing import Any, Iterator, List, Tuple

import pytest
from capsule_package import _deliver
from capsule_package._look import Look
from capsule_package.monitoring import AlertSeverity, HealthStatus, MonitoringSystem
from watched import DOWN, OPEN, UP, World, usage


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


def test_switched_off_it_raises_no_alert(world: World) -> None:
    world.system.config.enabled = False
    assert world.check(DOWN).status == HealthStatus.UNHEALTHY
    assert world.open() == []


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
