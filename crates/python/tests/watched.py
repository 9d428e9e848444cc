"""What the monitoring is shown in tests, and what it does then."""

from datetime import datetime, timedelta
from typing import Any, Dict, List, Mapping, Tuple

from capsule_package._look import Look
from capsule_package.monitoring import HealthCheck, MonitoringSystem

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
