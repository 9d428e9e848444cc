"""What a description has no word for: the referee itself, without Prism."""

import pytest

from contract import Contract
from processes import CONTRACTS

# Vendor, request and what is sent; what of it the description does not have.
REQUESTS = [
    ("digitalocean", "GET /v2/droplets", {"tag_name": "a", "page": "1"}, None, []),
    ("digitalocean", "GET /v2/droplets", {"tag": "a", "page": "1"}, None, ["tag"]),
    ("digitalocean", "POST /v2/droplets", {}, {"name": "a", "size": "b", "image": "c", "ssh_key": [1]}, ["ssh_key"]),
    (
        "digitalocean",
        "POST /v2/tags/a/resources",
        {},
        {"resources": [{"resource_id": "1", "resource_type": "droplet"}, {"id": "2"}]},
        ["resources.id"],
    ),
    ("linode", "POST /linode/instances", {}, {"type": "a", "metadata": {"userdata": ""}}, ["metadata.userdata"]),
    ("scaleway", "POST /instance/v1/zones/a/servers", {}, {"volumes": {"0": {"type": "b"}}}, ["volumes.0.type"]),
    # Hivelocity's description is of the older kind, with the body among the parameters.
    ("hivelocity", "POST /compute/batch", {}, {"devices": [{"hostname": "a", "name": "b"}]}, ["devices.name"]),
    ("hivelocity", "POST /device/1/power", {"action": "boot", "force": "1"}, None, ["force"]),
    ("equinix", "GET /projects/a/usages", {"created[after]": "b"}, None, []),
    ("equinix", "POST /projects/a/devices", {}, {"metro": "a", "user_data": "b"}, ["user_data"]),
    ("vultr", "PATCH /bare-metals/a", {}, {"tags": ["a"], "tag_list": []}, ["tag_list"]),
]


@pytest.mark.parametrize(("provider", "call", "query", "body", "undeclared"), REQUESTS)
def test_what_a_description_does_not_have_is_noticed(provider, call, query, body, undeclared):
    contract = Contract(CONTRACTS / f"{provider}.openapi.json")
    operation = contract.operation(*call.split(" "))
    assert contract.undeclared(operation, query, body) == undeclared
