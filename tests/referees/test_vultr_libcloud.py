"""apache-libcloud works on the simulated Vultr."""

import time
import urllib.parse

import pytest
from libcloud.common.vultr import VultrException
from libcloud.compute.providers import get_driver
from libcloud.compute.types import NodeState, Provider


def driver(url, token="sandbox"):
    at = urllib.parse.urlsplit(url)
    return get_driver(Provider.VULTR)(token, api_version="2", secure=False, host=at.hostname, port=at.port)


def pick(things, wanted):
    return next(thing for thing in things if thing.id == wanted)


def parts(vultr, size):
    return {
        "size": pick(vultr.list_sizes(), size),
        "image": pick(vultr.list_images(), "2284"),
        "location": pick(vultr.list_locations(), "ewr"),
    }


def patiently(call, *arguments, **named):
    """30 requests in a second are allowed; the library does not wait by itself."""
    while True:
        try:
            return call(*arguments, **named)
        except VultrException as refused:
            if refused.code != 429:
                raise
            time.sleep(1)


@pytest.mark.parametrize("size", ["vc2-1c-1gb", "vbm-4c-32gb"])
def test_a_node_lives_from_order_to_end(size, sandbox, wait_until):
    vultr = driver(sandbox["vultr"])
    made = vultr.create_node("web", ex_tag="test", **parts(vultr, size))
    assert (made.name, made.size, made.state) == ("web", size, NodeState.PENDING)

    def node():
        found = [one for one in patiently(vultr.list_nodes) if one.id == made.id]
        return found[0] if found else None

    def reach(state):
        wait_until(f"the state {state}", lambda: node().state == state)

    reach(NodeState.RUNNING)
    assert node().public_ips and node().extra["tag"] == "test"
    wait_until("its lock to open", lambda: unlocked(vultr.stop_node, made))
    if size.startswith("vc2"):
        reach(NodeState.STOPPED)
    assert vultr.start_node(made)
    reach(NodeState.RUNNING)
    assert vultr.reboot_node(made)
    assert vultr.destroy_node(made)
    wait_until("its end", lambda: node() is None)


def unlocked(call, node):
    try:
        return call(node)
    except VultrException as refused:
        assert "currently locked" in refused.message
        return False


def test_a_list_of_several_pages_is_whole(sandbox):
    vultr = driver(sandbox["vultr"])
    order = parts(vultr, "vc2-1c-1gb")
    names = [f"many-{number:03}" for number in range(101)]
    for name in names:
        patiently(vultr.create_node, name, **order)
    time.sleep(1)
    assert [node.name for node in vultr.list_nodes()] == names


def test_errors_are_the_vendors_own(sandbox):
    vultr = driver(sandbox["vultr"])
    with pytest.raises(VultrException) as refused:
        driver(sandbox["vultr"], "wrong").list_nodes()
    assert refused.value.code == 401
    with pytest.raises(VultrException) as refused:
        vultr.ex_get_node("cb676a46-66fd-4dfb-b839-443f2e6c0b60")
    assert (refused.value.code, refused.value.message) == (404, "Invalid instance ID.")
    order = parts(vultr, "vhf-8c-32gb")
    with pytest.raises(VultrException) as refused:
        vultr.create_node("web", **order)
    assert (refused.value.code, refused.value.message) == (400, "The selected plan is not available in this region.")
