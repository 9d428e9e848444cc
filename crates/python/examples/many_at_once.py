"""Deploys several servers at once, and deletes them."""

import asyncio

from capsule_package.providers import ProviderManager


async def main() -> None:
    manager = ProviderManager()
    provider = manager.get_provider("linode")
    assert provider is not None
    orders = (manager.adeploy_to_provider("linode", "linode-4gb", {"name": f"node-{n}"}) for n in range(3))
    servers = await asyncio.gather(*orders)
    print(sorted(instance["name"] for instance in await provider.alist_instances()))
    print(await asyncio.gather(*(provider.adelete_instance(server["id"]) for server in servers)))


if __name__ == "__main__":
    asyncio.run(main())
