"""Deploys one server, looks at it, stops and starts it, and deletes it."""

from capsule_package.providers import ProviderManager


def main() -> None:
    manager = ProviderManager()
    server = manager.deploy_to_provider("digitalocean", "do-basic-2", {"name": "my-xnode", "region": "nyc1"})
    print(f"{server['id']}: {server['status']}, {server['cost_hourly']:.4f} an hour")

    provider = manager.get_provider("digitalocean")
    assert provider is not None
    for instance in provider.list_instances():
        print(instance["id"], instance["name"], instance["status"], instance["ip_address"], instance["region"])
    print(provider.get_instance(server["id"])["created_at"])
    print("stopped:", provider.stop_instance(server["id"]))
    print("started:", provider.start_instance(server["id"]))
    print("deleted:", provider.delete_instance(server["id"]))


if __name__ == "__main__":
    main()
