"""apache-libcloud works on the simulated DigitalOcean."""

import json
import urllib.parse

import pytest
from libcloud.common.exceptions import BaseHTTPError
from libcloud.common.types import InvalidCredsError
from libcloud.compute.providers import get_driver
from libcloud.compute.types import NodeState, Provider

SIZE, IMAGE, LOCATION = "s-1vcpu-1gb", "ubuntu-24-04-x64", "nyc3"


def driver(url, token="sandbox"):
    at = urllib.parse.urlsplit(url)
    do = get_driver(Provider.DIGITAL_OCEAN)(token, api_version="v2")
    do.connection.host, do.connection.port, do.connection.secure = at.hostname, at.port, False
    do.connection.connect()
    return do


def parts(do):
    return {
        "size": next(size for size in do.list_sizes() if size.name == SIZE),
        "image": next(image for image in do.list_images() if image.extra["slug"] == IMAGE),
        "location": next(location for location in do.list_locations() if location.id == LOCATION),
    }


def test_a_node_lives_from_order_to_end(sandbox, wait_until):
    do = driver(sandbox["digitalocean"])
    made = do.create_node("web", **parts(do), ex_create_attr={"tags": ["env:test"]}, ex_user_data="#cloud-config\n")
    assert (made.name, made.state) == ("web", NodeState.PENDING)

    def node():
        return next((one for one in do.list_nodes() if one.id == made.id), None)

    def reach(state):
        wait_until(f"the state {state}", lambda: node().state == state)

    reach(NodeState.RUNNING)
    assert node().public_ips and node().extra["tags"] == ["env:test"]
    assert do.ex_get_node_details(made.id).id == made.id
    assert do.ex_shutdown_node(made)
    reach(NodeState.STOPPED)
    assert do.ex_power_on_node(made)
    reach(NodeState.RUNNING)
    assert do.reboot_node(made)
    reach(NodeState.RUNNING)

    # The reboot has to end first: a droplet does one thing at a time.
    def ended():
        try:
            return do.destroy_node(made)
        except BaseHTTPError as refused:
            assert "pending event" in refused.message
            return False

    wait_until("room for the end", ended)
    wait_until("its end", lambda: node() is None)


def test_a_list_of_several_pages_is_whole(sandbox):
    do = driver(sandbox["digitalocean"])
    # The library asks for 200 on a page.
    order, names = parts(do), [f"many-{number:03}" for number in range(203)]
    for start in range(0, len(names), 10):
        group = names[start : start + 10]
        attributes = {
            "names": group,
            "size": order["size"].name,
            "image": order["image"].extra["slug"],
            "region": order["location"].id,
        }
        # It makes one node for each call; ten at once is the vendor's own way.
        do.connection.request("/v2/droplets", data=json.dumps(attributes), method="POST")
    assert sorted(node.name for node in do.list_nodes()) == names


def test_errors_are_the_librarys_own(sandbox):
    with pytest.raises(InvalidCredsError):
        driver(sandbox["digitalocean"], "wrong").list_nodes()
    do = driver(sandbox["digitalocean"])
    with pytest.raises(BaseHTTPError) as refused:
        do.ex_get_node_details("1")
    assert refused.value.code == 404
    order = parts(do)
    with pytest.raises(BaseHTTPError) as refused:
        do.create_node("under_score", **order)
    assert refused.value.code == 422
