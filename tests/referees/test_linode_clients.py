"""linode_api4, Linode's own SDK, and apache-libcloud work on the simulated Linode, the SDK also with Prism in between."""

import base64
import collections
import urllib.parse

import linode_api4
import pytest
from libcloud.common.types import InvalidCredsError, LibcloudError
from libcloud.compute.base import NodeState
from libcloud.compute.drivers.linode import LinodeNodeDriver

from vendors import KEY

TYPE, REGION, IMAGE = "g6-nanode-1", "us-ord", "linode/ubuntu24.04"
USER_DATA = base64.b64encode(b"#cloud-config\n").decode()
PASSWORD = "a-Long-enough-0123456789"
IMAGED = {"image": IMAGE, "root_pass": PASSWORD}


def sdk(url, token="sandbox", version="/v4"):
    # Left to itself it tries again: here a refusal is an error.
    return linode_api4.LinodeClient(token, base_url=url + version, retry=False)


def life(linode, wait_until):
    """One server from its order to its end, with each answer that a driver depends on."""
    assert linode.profile().username == "sandbox"
    assert TYPE in [kind.id for kind in linode.linode.types()]
    assert REGION in [region.id for region in linode.regions()]
    assert IMAGE in [image.id for image in linode.images()]
    assert linode.linode.types(linode_api4.Type.id == "g6-nanode-1")[0].price.monthly == 5

    key = linode.profile.ssh_key_upload(KEY, "me")
    assert key.id in [known.id for known in linode.profile.ssh_keys()]

    made = linode.linode.instance_create(
        TYPE, REGION, **IMAGED, label="web", tags=["env:test"], authorized_keys=[KEY], metadata={"user_data": USER_DATA}
    )
    assert made.status == "provisioning" and made.has_user_data

    def seen():
        return linode.load(linode_api4.Instance, made.id)

    def reach(status):
        wait_until(f"the status {status}", lambda: seen().status == status)

    reach("running")
    assert (seen().label, seen().tags, len(seen().ipv4)) == ("web", ["env:test"], 1)
    assert [found.id for found in linode.linode.instances(linode_api4.Instance.label == "web")] == [made.id]
    (profile,) = seen().configs
    assert (profile.kernel.id, profile.helpers.network, profile.devices.sda.id > 0) == ("linode/grub2", True, True)
    profile.kernel = "linode/direct-disk"
    profile.save()
    profile.invalidate()
    assert (profile.kernel.id, profile.helpers.distro) == ("linode/direct-disk", True)
    made.shutdown()
    reach("offline")
    made.boot()
    reach("running")
    made.reboot()
    reach("running")
    made.tags = ["env:prod"]
    made.save()
    assert seen().tags == ["env:prod"]
    made.delete()

    def gone():
        try:
            seen()
        except linode_api4.ApiError as error:
            return error.status == 404
        return False

    wait_until("its end", gone)


def errors(linode, wrong):
    """One refusal of each kind, as the SDK tells them apart."""

    def refused(status, call):
        with pytest.raises(linode_api4.ApiError) as refusal:
            call()
        assert refusal.value.status == status and refusal.value.errors[0]
        return refusal.value

    refused(401, wrong.profile)
    refused(404, lambda: linode.load(linode_api4.Instance, 1))
    create = linode.linode.instance_create
    assert "type" in str(refused(400, lambda: create("no-such-type", REGION, **IMAGED)))
    create(TYPE, REGION, **IMAGED, label="twice")
    assert "unique" in str(refused(400, lambda: create(TYPE, REGION, **IMAGED, label="twice")))


def test_a_server_lives_from_order_to_end(sandbox, wait_until):
    life(sdk(sandbox["linode"]), wait_until)


def test_errors_are_the_sdks_own(sandbox):
    url = sandbox["linode"]
    errors(sdk(url), sdk(url, token="wrong"))


def test_a_list_of_several_pages_is_whole(sandbox, wait_until):
    linode = sdk(sandbox["linode"])
    names = [f"many-{number:02}" for number in range(30)]

    def ordered(name):
        # Twenty creates fit 15 s.
        try:
            return linode.linode.instance_create(TYPE, REGION, **IMAGED, label=name, tags=["many"])
        except linode_api4.ApiError as error:
            assert error.status == 429
            return None

    for name in names:
        wait_until(f"room for {name}", lambda: ordered(name))
    linode.page_size = 25
    found = linode.linode.instances()
    assert (len(found), sorted(one.label for one in found)) == (30, names)
    # libcloud asks for pages of 25 by itself.
    assert sorted(node.name for node in libcloud(sandbox["linode"]).list_nodes()) == names


def libcloud(url, token="sandbox"):
    url = urllib.parse.urlsplit(url)
    return LinodeNodeDriver(token, api_version="4.0", secure=False, host=url.hostname, port=url.port)


def test_libcloud_lives_with_it_too(sandbox, wait_until):
    linode = libcloud(sandbox["linode"])
    size = next(size for size in linode.list_sizes() if size.id == TYPE)
    image = next(image for image in linode.list_images() if image.id == IMAGE)
    location = next(location for location in linode.list_locations() if location.id == REGION)
    made = linode.create_node(location, "web", size, image, root_pass=PASSWORD, ex_tags=["env:test"])

    def reach(state):
        def node():
            return next((node for node in linode.list_nodes() if node.id == made.id), None)

        wait_until(f"the state {state}", lambda: (node() and node().state) == state)

    reach(NodeState.RUNNING)
    assert made.public_ips and not made.private_ips
    assert linode.stop_node(made)
    reach(NodeState.STOPPED)
    assert linode.start_node(made)
    reach(NodeState.RUNNING)
    assert linode.reboot_node(made)
    reach(NodeState.RUNNING)
    with pytest.raises(LibcloudError, match="unique"):
        linode.create_node(location, "web", size, image, root_pass=PASSWORD)
    with pytest.raises(InvalidCredsError):
        libcloud(sandbox["linode"], "wrong").list_nodes()
    assert linode.destroy_node(made)
    wait_until("its end", lambda: not linode.list_nodes())


def test_prism_finds_no_fault_with_the_answers(sandbox, prism_proxy, wait_until, table):
    between = prism_proxy("linode", sandbox["linode"] + "/v4")
    life(sdk(between.url, version=""), wait_until)
    errors(sdk(between.url, version=""), sdk(between.url, token="wrong", version=""))
    # What the SDK asks is its own business: it sends back whole objects, read-only fields and all.
    faults = [
        f"{exchange}: {violation['message']}"
        for exchange in between.exchanges
        for violation in exchange.violations
        if violation.get("location", [None])[0] != "request"
    ]
    assert not faults, "\n".join(faults)

    answers = collections.Counter(f"{exchange.operation} -> {exchange.status}" for exchange in between.exchanges)
    lines = [f"{count:5}  {answer}" for answer, count in sorted(answers.items())]
    table(["Linode: answers of the simulator that passed the vendor's description", *lines])
