"""scaleway, the vendor's own SDK, works on the simulated Scaleway, alone and with Prism in between."""

import collections
import contextlib
import urllib.parse

import pytest
import requests
from scaleway import Client, ScalewayException
from scaleway.billing.v2beta1 import BillingV2Beta1API
from scaleway.block.v1 import BlockV1API
from scaleway.iam.v1alpha1 import IamV1Alpha1API
from scaleway.instance.v1 import ServerAction, ServerState, VolumeServerTemplate, VolumeVolumeType
from scaleway.instance.v1.custom_api import InstanceUtilsV1API
from scaleway.marketplace.v2 import MarketplaceV2API

from processes import Driver
from recorder import Listener
from vendors import KEY

PROJECT = "5a4d0000-0000-4000-8000-000000000001"
ACCESS_KEY = "SCWSANDBOX0000000000"
TYPE, IMAGE, ZONE = "DEV1-S", "ubuntu_noble", "fr-par-1"
# It is JSON as well, so that the recorder can read it.
USER_DATA = b'"#cloud-config"'


class Scaleway:
    """The SDK's APIs under one client."""

    def __init__(self, url, secret_key="sandbox"):
        client = Client(
            access_key=ACCESS_KEY,
            secret_key=secret_key,
            api_url=url,
            default_project_id=PROJECT,
            default_zone=ZONE,
        )
        # The sandbox's key is no UUID.
        apis = [InstanceUtilsV1API, BlockV1API, IamV1Alpha1API, MarketplaceV2API, BillingV2Beta1API]
        self.instance, self.block, self.iam, self.market, self.billing = (api(client, bypass_validation=True) for api in apis)

    def create(self, name, **changes):
        root = VolumeServerTemplate(size=20_000_000_000, volume_type=VolumeVolumeType.SBS_VOLUME, name=f"root of {name}")
        spec = {"commercial_type": TYPE, "image": IMAGE, "volumes": {"0": root}, "project": PROJECT, "tags": []}
        return self.instance._create_server(**{**spec, "name": name, "protected": False, **changes}).server


def refusal(call):
    """Status and type of a refusal."""
    with pytest.raises(ScalewayException) as refused:
        call()
    body = refused.value.response.json()
    assert body["message"]
    return refused.value.status_code, body["type"]


def life(scw, wait_until):
    """One server from its order to its end, with each answer that a driver depends on."""
    assert scw.iam.get_api_key(access_key=ACCESS_KEY).default_project_id == PROJECT
    types = scw.instance.list_servers_types().servers
    assert (types[TYPE].ncpus, types[TYPE].ram, types[TYPE].arch, types[TYPE].hourly_price) == (2, 2 << 30, "x86_64", 0.0088)
    assert scw.instance.get_server_types_availability().servers[TYPE].availability == "available"
    images = scw.market.list_images_all(include_eol=False)
    assert IMAGE in [image.label for image in images]
    (build,) = scw.market.list_local_images_all(image_label=IMAGE, zone=ZONE, type_="instance_sbs")
    assert (build.arch, TYPE in build.compatible_commercial_types) == ("x86_64", True)

    key = scw.iam.create_ssh_key(public_key=KEY, name="me", project_id=PROJECT)
    assert key.id in [known.id for known in scw.iam.list_ssh_keys_all(project_id=PROJECT)]

    made = scw.create("web", tags=["env=test", "mine"])
    assert (made.state, made.tags, made.zone) == (ServerState.STOPPED, ["env=test", "mine"], ZONE)
    assert made.image.id == build.id and made.creation_date
    root = made.volumes["0"].id

    def seen():
        return scw.instance.get_server(server_id=made.id).server

    def reach(state):
        wait_until(f"the state {state}", lambda: seen().state == state)

    def act(action):
        task = scw.instance.server_action(server_id=made.id, action=action).task
        assert task.status == "pending"

    scw.instance.set_server_user_data(made.id, "cloud-init", USER_DATA)
    assert scw.instance.list_server_user_data(server_id=made.id).user_data == ["cloud-init"]
    assert scw.instance.get_server_user_data(made.id, "cloud-init").content == USER_DATA
    act(ServerAction.POWERON)
    reach(ServerState.RUNNING)
    assert [address.dynamic for address in seen().public_ips] == [True]
    assert [found.id for found in scw.instance.list_servers_all(tags=["mine", "env=test"])] == [made.id]
    assert scw.instance.list_servers_all(tags=["env"]) == []
    assert [found.id for found in scw.instance.list_servers_all(name="we", project=PROJECT)] == [made.id]
    act(ServerAction.POWEROFF)
    reach(ServerState.STOPPED)
    assert seen().public_ips == []
    act(ServerAction.POWERON)
    reach(ServerState.RUNNING)
    act(ServerAction.REBOOT)
    reach(ServerState.RUNNING)
    act(ServerAction.STOP_IN_PLACE)
    # The SDK's own word has underscores; the wire's, in description and contract, has not.
    reach("stopped in place")
    act(ServerAction.POWERON)
    reach(ServerState.RUNNING)

    assert scw.block.get_volume(volume_id=root).status == "in_use"
    assert refusal(lambda: scw.block.delete_volume(volume_id=root)) == (400, "precondition_failed")
    assert scw.block.update_volume(volume_id=root, tags=["of=web"]).tags == ["of=web"]
    act(ServerAction.TERMINATE)

    def gone():
        try:
            seen()
        except ScalewayException as error:
            return error.status_code == 404
        return False

    wait_until("its end", gone)
    # Its volume stays, and costs.
    wait_until("the volume to come off", lambda: scw.block.get_volume(volume_id=root).status == "available")
    (left,) = scw.block.list_volumes_all(include_deleted=False, tags=["of=web"])
    assert (left.id, left.size, left.name) == (root, 20_000_000_000, "root of web")
    scw.block.delete_volume(volume_id=root)
    assert scw.block.list_volumes_all(include_deleted=False) == []

    stopped = scw.create("short")
    scw.instance.delete_server(server_id=stopped.id)
    assert refusal(lambda: scw.instance.get_server(server_id=stopped.id)) == (404, "unknown_resource")
    scw.iam.delete_ssh_key(ssh_key_id=key.id)


def errors(scw, wrong):
    """One refusal of each kind."""
    nobody = "00000000-0000-4000-8000-000000000000"
    assert refusal(wrong.instance.list_servers) == (401, "denied_authentication")
    assert refusal(lambda: scw.instance.get_server(server_id=nobody)) == (404, "unknown_resource")
    assert refusal(lambda: scw.create("web", commercial_type="NO-SUCH")) == (400, "invalid_arguments")
    assert refusal(lambda: scw.create("web", image="no_such")) == (404, "not_found")
    assert refusal(lambda: scw.create("web", image=nobody)) == (404, "unknown_resource")
    assert refusal(lambda: scw.create("web", project=nobody)) == (403, "permissions_denied")
    assert refusal(lambda: scw.market.list_local_images(image_label="no_such")) == (404, "not_found")
    made = scw.create("guarded", protected=True)
    reboot = lambda: scw.instance.server_action(server_id=made.id, action=ServerAction.REBOOT)  # noqa: E731
    assert refusal(reboot) == (400, "precondition_failed")
    # A 404 with nothing in it, which the SDK trips over.
    with pytest.raises(requests.exceptions.JSONDecodeError) as missing:
        scw.instance.get_server_user_data(made.id, "nothing")
    assert missing.value.doc == ""


def test_a_server_lives_from_order_to_end(sandbox, wait_until):
    life(Scaleway(sandbox["scaleway"]), wait_until)


def test_errors_are_the_vendors(sandbox):
    url = sandbox["scaleway"]
    errors(Scaleway(url), Scaleway(url, secret_key="wrong"))


def test_a_list_of_several_pages_is_whole(sandbox):
    scw = Scaleway(sandbox["scaleway"])
    names = [f"many-{number:03}" for number in range(120)]
    for name in names:
        scw.create(name)
    assert sorted(server.name for server in scw.instance.list_servers_all(per_page=50)) == names
    assert [server.name for server in scw.instance.list_servers(per_page=2).servers] == ["many-119", "many-118"]
    assert len(scw.block.list_volumes_all(include_deleted=False, page_size=50)) == 120


def test_what_was_consumed_is_read_by_the_sdk(sandbox, wait_until):
    """No description of billing exists, so the SDK alone judges its shape."""
    scw = Scaleway(sandbox["scaleway"])
    made = scw.create("costly")

    def consumed():
        listed = scw.billing.list_consumptions_all(project_id=PROJECT)
        return {one.product_name: one for one in listed if one.resource_name == "costly"}

    # Until it is started, only its volume costs.
    assert set(consumed()) == {"Block Storage"}
    scw.instance.server_action(server_id=made.id, action=ServerAction.POWERON)
    wait_until("the server to cost", lambda: TYPE in consumed())
    server = consumed()[TYPE]
    assert (server.project_id, server.unit, server.billed_quantity) == (PROJECT, "hour", "1")
    assert (server.value.currency_code, server.value.units, server.value.nanos) == ("EUR", 0, 8_800_000)
    # No month has ended yet.
    assert scw.billing.list_invoices_all() == []


def test_the_driver_asks_for_bills_as_the_sdk_does(sandbox):
    """What no description judges: the same paths and parameters, read as the same things."""
    settings = {"api_key": "sandbox", "project_id": PROJECT}

    def asked(call):
        with contextlib.closing(Listener(sandbox["scaleway"])) as listener:
            call(listener.url)
        requests = [urllib.parse.urlsplit(request.path) for request in listener.asked]
        return sorted((request.path, tuple(sorted(urllib.parse.parse_qsl(request.query)))) for request in requests)

    def by_sdk(url):
        billing = Scaleway(url).billing
        billing.list_consumptions(project_id=PROJECT, billing_period="2026-01", page=1, page_size=100)
        billing.list_invoices(page=1, page_size=100)

    def by_driver(url):
        with Driver("scaleway", url, settings) as driver:
            driver.ok("invoiced", month="2026-01-01")

    assert asked(by_driver) == asked(by_sdk)


@pytest.fixture
def bare_gets(monkeypatch):
    """The SDK sends a body with each GET, and Prism passes none on."""
    send = requests.request

    def bare(method, data=None, **arguments):
        return send(method, data=None if method == "GET" else data, **arguments)

    monkeypatch.setattr(requests, "request", bare)


def own(exchange):
    """What Prism holds against the simulator's answer.

    Not its fault: the SDK writes `False` for a boolean and sends a body with DELETE; the description knows no errors,
    says 200 for an action where the vendor answers 202, and has user-data come as JSON where it comes as text.
    """
    if exchange.method == "GET" and "/user_data/" in exchange.path:
        return
    undescribed = exchange.status >= 400 or (exchange.path.endswith("/action") and exchange.status == 202)
    for fault in exchange.violations:
        if fault.get("location", ["response"])[0] == "response":
            if not (undescribed and "returned status code" in fault["message"]):
                yield fault


def test_prism_finds_no_fault_with_the_answers(sandbox, prism_proxy, bare_gets, wait_until, table):
    between = prism_proxy("scaleway", sandbox["scaleway"])
    life(Scaleway(between.url), wait_until)
    errors(Scaleway(between.url), Scaleway(between.url, secret_key="wrong"))
    faults = [f"{exchange} -> {exchange.status}\n    {fault}" for exchange in between.exchanges for fault in own(exchange)]
    assert not faults, "\n".join(faults)

    answers = collections.Counter(f"{exchange.operation} -> {exchange.status}" for exchange in between.exchanges)
    lines = [f"{count:5}  {answer}" for answer, count in sorted(answers.items())]
    table(["Scaleway: answers of the simulator that passed the vendor's description", *lines])
