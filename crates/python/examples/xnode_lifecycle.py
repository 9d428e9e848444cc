"""An xNode from the order to its end, entered in the inventory meanwhile."""

from capsule_package.inventory import get_default_inventory
from capsule_package.openmesh_core import XNodeManager

manager = XNodeManager()
inventory = get_default_inventory()

node = manager.deploy_xnode(
    "prod-api-1",
    region="us-east-1",
    owner="eth:5aaeb6053f3e94c9b9a09f33669435e7ef1beaed",
)
inventory.add_xnode(node, provider=node.metadata["provider"], template="api-server", cost_hourly=0.0416, tags=["api"])
print(f"{node.name} is {node.status} at {node.ip_address}")

print("Running:", [running.name for running in manager.list_running_xnodes()])
print("Status:", manager.get_xnode_status(node.id)["status"])
print("Stopped:", manager.stop_xnode(node.id), "started:", manager.start_xnode(node.id))

try:
    manager.create_tunnel(node.id, 8080)
except NotImplementedError as error:
    print(error)

print("Deleted:", manager.delete_xnode(node.id))
inventory.remove_xnode(node.id)
