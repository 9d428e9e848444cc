"""apache-libcloud works on the simulated EC2."""

import urllib.parse

import pytest
from libcloud.common.exceptions import BaseHTTPError
from libcloud.common.types import InvalidCredsError
from libcloud.compute.providers import get_driver
from libcloud.compute.types import KeyPairDoesNotExistError, NodeState, Provider

REGION, SIZE, UBUNTU = "us-east-1", "t3.micro", "099720109477"
# What the sandbox takes; a simulated cloud has nothing to protect.
KEY_ID, SECRET = "AKIASANDBOX000000000", "sandbox/secret/access/key/0000000000000000"


def driver(url, secret=SECRET):
    at = urllib.parse.urlsplit(url)
    ec2 = get_driver(Provider.EC2)
    return ec2(KEY_ID, secret, region=REGION, secure=False, host=at.hostname, port=at.port, signature_version="4")


def parts(ec2):
    filters = {"name": "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-amd64-server-*", "state": "available"}
    images = ec2.list_images(ex_owner=UBUNTU, ex_filters=filters)
    return {
        "image": max(images, key=lambda image: image.extra["creation_date"]),
        "size": next(size for size in ec2.list_sizes() if size.id == SIZE),
    }


def test_a_node_lives_from_order_to_end(sandbox, wait_until):
    ec2 = driver(sandbox["aws"])
    made = ec2.create_node("web", **parts(ec2), ex_metadata={"env": "test"}, ex_userdata="#cloud-config\n")
    assert (made.name, made.state) == ("web", NodeState.PENDING)

    def node():
        (found,) = ec2.list_nodes(ex_node_ids=[made.id])
        return found

    def reach(state):
        wait_until(f"the state {state}", lambda: node().state == state)

    reach(NodeState.RUNNING)
    assert node().public_ips and node().extra["tags"] == {"Name": "web", "env": "test"}
    assert ec2.stop_node(made)
    reach(NodeState.STOPPED)
    assert ec2.start_node(made)
    reach(NodeState.RUNNING)
    assert ec2.reboot_node(made)
    assert ec2.destroy_node(made)
    reach(NodeState.TERMINATED)
    # Those that are no more are listed for a while, and can be left out.
    assert ec2.list_nodes(ex_filters={"instance-state-name": ["pending", "running", "stopped"]}) == []


def test_a_list_of_several_reservations_is_whole(sandbox):
    ec2 = driver(sandbox["aws"])
    order = parts(ec2)
    # The library reads the one page that the vendor gives when no size is asked for; boto3 goes from page to page.
    for group in range(3):
        ec2.create_node(f"many-{group}", **order, ex_mincount="11", ex_maxcount="11")
    assert len({node.id for node in ec2.list_nodes()}) == 33


def test_errors_are_the_librarys_own(sandbox):
    with pytest.raises(InvalidCredsError):
        driver(sandbox["aws"], "wrong").list_nodes()
    ec2 = driver(sandbox["aws"])
    with pytest.raises(BaseHTTPError, match="InvalidInstanceID.NotFound"):
        ec2.list_nodes(ex_node_ids=["i-0123456789abcdef0"])
    order = parts(ec2)
    with pytest.raises(KeyPairDoesNotExistError):
        ec2.create_node("web", **order, ex_keyname="nobody")
    assert ec2.list_nodes() == []
