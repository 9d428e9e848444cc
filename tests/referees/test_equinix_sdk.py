"""equinix-metal, the vendor's own SDK, works on the simulated Equinix Metal, alone and with Prism in between."""

import collections
import json

import equinix_metal
import pytest
from equinix_metal.api import (
    capacity_api,
    devices_api,
    metros_api,
    operating_systems_api,
    plans_api,
    projects_api,
    ssh_keys_api,
)
from equinix_metal.exceptions import ApiException, NotFoundException, UnauthorizedException
from equinix_metal.models import CreateDeviceRequest, DeviceActionInput, DeviceCreateInMetroInput, SSHKeyCreateInput

from vendors import KEY

PROJECT = "5a4d0000-0000-4000-8000-000000000001"
OTHER_PROJECT = "5a4d0000-0000-4000-8000-000000000002"
NOWHERE = "00000000-0000-4000-8000-000000000000"
PLAN, SYSTEM, METRO = "c3.small.x86", "ubuntu_24_04", "da"
WHOLE = ["plan", "metro", "operating_system"]


def client(url, token="sandbox"):
    configuration = equinix_metal.Configuration(host=url)
    configuration.api_key["x_auth_token"] = token
    return equinix_metal.ApiClient(configuration)


def wish(name, **changes):
    spec = {"metro": METRO, "plan": PLAN, "operating_system": SYSTEM, "hostname": name, "no_ssh_keys": True}
    return CreateDeviceRequest(DeviceCreateInMetroInput(**{**spec, **changes}))


def refusal(call, **arguments):
    """Status and sentences of a refusal."""
    with pytest.raises(ApiException) as refused:
        call(**arguments)
    body = json.loads(refused.value.body)
    return refused.value.status, body.get("errors") or [body["error"]]


def life(api, wait_until):
    """One device from its order to its end, with each answer that a driver depends on."""
    assert projects_api.ProjectsApi(api).find_project_by_id(PROJECT).id == PROJECT
    plans = plans_api.PlansApi(api).find_plans_by_project(PROJECT, include=["available_in_metros"]).plans
    (plan,) = [plan for plan in plans if plan.slug == PLAN]
    assert plan.pricing == {"hour": 0.75} and plan.specs.memory.total == "32GB"
    assert {"on_demand"} <= set(plan.deployment_types)
    metros = metros_api.MetrosApi(api).find_metros().metros
    assert METRO in [metro.code for metro in metros]
    systems = operating_systems_api.OperatingSystemsApi(api).find_operating_systems().operating_systems
    (system,) = [system for system in systems if system.slug == SYSTEM]
    assert PLAN in system.provisionable_on
    left = capacity_api.CapacityApi(api).find_capacity_for_metro().capacity
    assert left[METRO][PLAN].level == "normal"

    keys = ssh_keys_api.SSHKeysApi(api)
    key = keys.create_project_ssh_key(PROJECT, SSHKeyCreateInput(label="me", key=KEY))
    assert key.id in [known.id for known in keys.find_project_ssh_keys(PROJECT).ssh_keys]
    twice = refusal(keys.create_project_ssh_key, id=PROJECT, ssh_key_create_input=SSHKeyCreateInput(label="x", key=KEY))
    assert twice[0] == 422

    do = devices_api.DevicesApi(api)
    order = wish("web", tags=["env:test"], userdata="#cloud-config\n", project_ssh_keys=[key.id], no_ssh_keys=False)
    made = do.create_device(PROJECT, order, include=WHOLE)
    assert (made.state, made.plan.slug, made.metro.code) == ("queued", PLAN, METRO)
    assert [entry.href.rsplit("/", 1)[1] for entry in made.ssh_keys] == [key.id]

    def seen():
        return do.find_device_by_id(made.id, include=WHOLE)

    def reach(state):
        wait_until(f"the state {state}", lambda: seen().state == state)

    def act(what):
        do.perform_action(made.id, DeviceActionInput(type=what))

    reach("provisioning")
    assert refusal(do.delete_device, id=made.id)[0] == 422, "it cannot be deleted yet"
    reach("active")
    assert seen().operating_system.slug == SYSTEM
    assert [(one.address_family, one.public) for one in seen().ip_addresses] == [(4, True), (6, True), (4, False)]
    assert do.find_device_by_id(made.id).plan.slug is None, "a link, unless it is asked for"
    assert do.find_device_userdata_by_id(made.id).userdata == "#cloud-config\n"
    assert [one.id for one in do.find_project_devices(PROJECT, tag="env:test").devices] == [made.id]
    assert do.find_project_devices(PROJECT, tag="env").devices == []
    assert [one.id for one in do.find_project_devices(PROJECT, hostname="we").devices] == [made.id]

    act("power_off")
    reach("inactive")
    assert refusal(do.perform_action, id=made.id, device_action_input=DeviceActionInput(type="reboot"))[0] == 422
    act("power_on")
    reach("active")
    act("reboot")
    reach("active")
    do.delete_device(made.id)
    wait_until("its end", lambda: gone(do, made.id))
    keys.delete_ssh_key(key.id)


def gone(do, device):
    try:
        do.find_device_by_id(device)
    except NotFoundException:
        return True
    return False


def errors(api, wrong):
    """One refusal of each kind."""
    with pytest.raises(UnauthorizedException):
        projects_api.ProjectsApi(wrong).find_project_by_id(PROJECT)
    assert refusal(projects_api.ProjectsApi(api).find_project_by_id, id=OTHER_PROJECT)[0] == 404, "not ours"
    do = devices_api.DevicesApi(api)
    assert refusal(do.find_device_by_id, id=NOWHERE) == (404, ["Not found"])
    assert refusal(do.delete_device, id=NOWHERE)[0] == 404
    on = DeviceActionInput(type="power_on")
    assert refusal(do.perform_action, id=NOWHERE, device_action_input=on)[0] == 404
    for change, sentence in (
        ({"plan": "no.such.plan"}, "Plan is invalid"),
        ({"metro": "xx"}, "Metro is invalid"),
        ({"operating_system": "no_such"}, "Operating system is invalid"),
        ({"hostname": "under_score"}, "Hostname is invalid"),
    ):
        refused = refusal(do.create_device, id=PROJECT, create_device_request=wish("web", **change))
        assert refused == (422, [sentence])
    assert do.find_project_devices(PROJECT).devices == []


def test_a_device_lives_from_order_to_end(sandbox, wait_until):
    life(client(sandbox["equinix"] + "/metal/v1"), wait_until)


def test_errors_are_the_vendors(sandbox):
    url = sandbox["equinix"] + "/metal/v1"
    errors(client(url), client(url, token="wrong"))


def test_a_list_of_several_pages_is_whole(sandbox):
    do = devices_api.DevicesApi(client(sandbox["equinix"] + "/metal/v1"))
    names = [f"many-{number:02}" for number in range(35)]
    for name in names:
        do.create_device(PROJECT, wish(name))
    first = do.find_project_devices(PROJECT)
    assert ([one.hostname for one in first.devices], first.meta.total, first.meta.last_page) == (names[:10], 35, 4)
    assert [one.hostname for one in do.find_project_devices_all_pages(PROJECT).devices] == names
    assert [one.hostname for one in do.find_project_devices(PROJECT, per_page=1000).devices] == names


def test_prism_finds_no_fault_with_the_answers(sandbox, prism_proxy, wait_until, table):
    between = prism_proxy("equinix", sandbox["equinix"] + "/metal/v1")
    life(client(between.url), wait_until)
    errors(client(between.url), client(between.url, token="wrong"))
    faults = [f"{exchange} -> {exchange.status}\n    {exchange.violations}" for exchange in between.exchanges if exchange.violations]
    assert not faults, "\n".join(faults)

    answers = collections.Counter(f"{exchange.operation} -> {exchange.status}" for exchange in between.exchanges)
    lines = [f"{count:5}  {answer}" for answer, count in sorted(answers.items())]
    table(["Equinix Metal: answers of the simulator that passed the vendor's description", *lines])
