"""The inventory from the first server to the last: what is there, what it costs, and what it has cost."""

from datetime import datetime, timedelta
from pathlib import Path

from capsule_package.inventory import generate_cost_report, get_default_inventory
from capsule_package.openmesh import XNode

inventory = get_default_inventory()

fleet = [
    ("xnode-001", "prod-web-1", "hivelocity", "hive-small", 0.12, "atlanta", ["production", "web"]),
    ("xnode-002", "prod-db-1", "vultr", "vultr-hf-4", 0.06, "ewr", ["production", "database"]),
    ("xnode-003", "dev-1", "aws", "aws-t3-medium", 0.0416, "us-east-1", ["development"]),
]
for number, (xnode_id, name, provider, template, cost, region, tags) in enumerate(fleet, 1):
    node = XNode(
        id=xnode_id,
        name=name,
        status="running",
        ip_address=f"203.0.113.{number}",
        region=region,
        created_at=datetime.now() - timedelta(days=number),
    )
    try:
        inventory.add_xnode(xnode=node, provider=provider, template=template, cost_hourly=cost, tags=tags)
    except ValueError as error:
        print(f"Left out: {error}")

print(f"Servers: {len(inventory.list_all())}")
print("At Vultr:", ", ".join(entry["name"] for entry in inventory.list_by_provider("vultr")))
print("Running:", ", ".join(entry["name"] for entry in inventory.list_by_status("running")))
print("In production:", ", ".join(entry["name"] for entry in inventory.list_by_tags(["production"])))
print("Called prod:", ", ".join(entry["id"] for entry in inventory.search("prod")))

inventory.update_xnode("xnode-003", status="stopped")
print(f"Now: {inventory.get_xnode('xnode-003')['status']}")

costs = inventory.get_total_cost()
print(f"Costs: ${costs['hourly']:.2f} an hour, ${costs['monthly']:.2f} a month, ${costs['annual']:.2f} a year")
print(generate_cost_report())

stats = inventory.get_statistics()
for what in ("total_xnodes", "active_deployments", "lifetime_cost", "status_distribution", "region_distribution"):
    print(f"{what}: {stats[what]}")
for entry in stats["longest_running"]:
    print(f"  {entry['name']}: {entry['uptime_days']:.1f} days")

inventory.remove_xnode("xnode-002")
for record in inventory.get_deployment_history(limit=10):
    state = "active" if record.is_active() else f"ended, ${record.total_cost:.2f}"
    print(f"{record.name} ({record.provider}, {record.deployed_at:%Y-%m-%d}): {state}")

export = Path(inventory.inventory_file).with_name("fleet.csv")
inventory.export_csv(str(export))
print(export.read_text(), end="")
print(f"Again from there: {inventory.import_csv(str(export))} new")
