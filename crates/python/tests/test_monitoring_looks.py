"""How the monitoring looks at xNodes, and what it makes of what it sees."""

import json
import subprocess
from pathlib import Path
from typing import Any, Dict, List

import pytest
from capsule_package import _look
from capsule_package._look import Look
from capsule_package.monitoring import AlertType, HealthStatus, MonitoringSystem
from watched import DOWN, NODE, OFFLINE, OPEN, UP, World


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
