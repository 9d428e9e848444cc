"""One round of the monitoring over the whole inventory: health, how busy, and what needs somebody.

Run it every minute, from cron or a timer; what it saw and the alerts that are open stay between two runs.
"""

from capsule_package.inventory import get_default_inventory
from capsule_package.monitoring import HealthStatus, get_default_monitoring

monitoring = get_default_monitoring()
xnodes = get_default_inventory().list_xnodes()

checks = monitoring.check_all(xnodes)
for xnode in xnodes:
    check = checks[xnode["id"]]
    print(f"{xnode['name']}: {check.status.value}", *check.error_messages)
    if check.status == HealthStatus.HEALTHY:
        monitoring.collect_metrics(xnode["id"], xnode)

data = monitoring.get_dashboard_data()
print(f"{data['healthy_xnodes']} of {data['total_xnodes']} healthy, {data['critical_alerts']} critical alerts")
for alert in data["active_alerts"]:
    print(f"[{alert.severity.value}] {alert.message}")
    monitoring.acknowledge_alert(alert.id)
