"""vultr-python-client, made from Vultr's own description, works on the simulated Vultr, alone and with Prism in between."""

import base64
import collections
import time

import pytest
import urllib3
import vultr_python_client
from vultr_python_client.apis.tags import account_api, baremetal_api, instances_api, os_api, plans_api, region_api, ssh_api

from vendors import KEY

SPEC = {"region": "ewr", "plan": "vc2-1c-1gb", "os_id": 2284}
METAL = {**SPEC, "plan": "vbm-4c-32gb"}
# What the description leaves out, and how it is known all the same.
UNDESCRIBED = {
    ("GET /account", 401): "every other call has it",
    ("DELETE /instances/{instance-id}", 500): "a locked server, as reported from the field",
}
NOWHERE = "cb676a46-66fd-4dfb-b839-443f2e6c0b60"


def client(url, token="sandbox"):
    configuration = vultr_python_client.Configuration(host=url)
    configuration.access_token = token
    # 30 requests in a second are allowed; the SDK does not wait by itself when it was too quick.
    configuration.retries = urllib3.Retry(total=8, status_forcelist=[429], allowed_methods=None, raise_on_status=False)
    return vultr_python_client.ApiClient(configuration)


def patiently(call, **arguments):
    """The SDK does not wait when it was too quick: 30 requests in a second are allowed."""
    while True:
        try:
            return call(**arguments).body
        except vultr_python_client.ApiException as refused:
            if refused.status != 429:
                raise
            time.sleep(int(refused.headers["retry-after"]))


def refused(call, **arguments):
    with pytest.raises(vultr_python_client.ApiException) as refusal:
        call(**arguments)
    return refusal.value.status, refusal.value.body.decode()


def everything(list_page, name, per_page=None):
    """All servers, cursor after cursor, and how many pages there were."""
    found, pages, query = [], 0, {"per_page": per_page} if per_page else {}
    while True:
        page = patiently(list_page, query_params=query)
        found += page[name]
        pages += 1
        cursor = str(page["meta"]["links"]["next"])
        if not cursor:
            assert page["meta"]["total"] == len(found)
            return found, pages
        query = {**query, "cursor": cursor}


def life(api, wait_until):
    """One server of each kind from its order to its end, with each answer that a driver depends on."""
    assert account_api.AccountApi(api).get_account().body["account"]["email"]
    assert SPEC["plan"] in [plan["id"] for plan in plans_api.PlansApi(api).list_plans().body["plans"]]
    plans_api.PlansApi(api).list_metal_plans()
    regions = region_api.RegionApi(api)
    assert SPEC["region"] in [region["id"] for region in regions.list_regions().body["regions"]]
    stock = regions.list_available_plans_region(path_params={"region-id": SPEC["region"]}).body
    assert {SPEC["plan"], METAL["plan"]} < set(stock["available_plans"])
    assert SPEC["os_id"] in [system["id"] for system in os_api.OsApi(api).list_os().body["os"]]

    keys = ssh_api.SshApi(api)
    key = keys.create_ssh_key(body={"name": "me", "ssh_key": KEY}).body["ssh_key"]
    assert key["id"] in [known["id"] for known in keys.list_ssh_keys().body["ssh_keys"]]

    do = instances_api.InstancesApi(api)
    data = base64.b64encode(b"#cloud-config\n").decode()
    body = {**SPEC, "label": "web", "tags": ["env:test"], "sshkey_id": [str(key["id"])], "user_data": data}
    made = do.create_instance(body=body).body["instance"]
    at = {"path_params": {"instance-id": str(made["id"])}}
    assert (made["status"], made["main_ip"]) == ("pending", "0.0.0.0")
    status, said = refused(do.delete_instance, **at)
    assert status == 500 and "currently locked" in said

    def shows(status, power, health):
        def look():
            seen = do.get_instance(**at).body["instance"]
            return (seen["status"], seen["power_status"], seen["server_status"]) == (status, power, health)

        wait_until(f"{status}/{power}/{health}", look)

    shows("active", "running", "ok")
    seen = do.get_instance(**at).body["instance"]
    assert seen["main_ip"] != "0.0.0.0" and tuple(seen["tags"]) == ("env:test",)
    assert do.get_instance_userdata(**at).body["user_data"]["data"] == data
    assert [one["id"] for one in do.list_instances(query_params={"label": "web"}).body["instances"]] == [made["id"]]
    do.halt_instance(**at)
    shows("active", "stopped", "ok")
    do.start_instance(**at)
    shows("active", "running", "ok")
    do.reboot_instance(**at)
    do.delete_instance(**at)
    wait_until("its end", lambda: gone(do.get_instance, at))

    metal = baremetal_api.BaremetalApi(api)
    made = metal.create_baremetal(body={**METAL, "label": "big"}).body["bare_metal"]
    at = {"path_params": {"baremetal-id": str(made["id"])}}
    assert made["status"] == "pending"
    wait_until("its start", lambda: metal.get_baremetal(**at).body["bare_metal"]["status"] == "active")
    assert refused(do.get_instance, path_params={"instance-id": str(made["id"])})[0] == 404, "it is no instance"
    assert [one["label"] for one in metal.list_baremetals().body["bare_metals"]] == ["big"]
    metal.halt_baremetal(**at)
    metal.start_baremetal(**at)
    metal.reboot_baremetal(**at)
    metal.delete_baremetal(**at)
    wait_until("its end", lambda: gone(metal.get_baremetal, at))


def gone(get, at):
    try:
        get(**at)
    except vultr_python_client.ApiException as refusal:
        return refusal.status == 404
    return False


def errors(api, wrong):
    """One refusal of each kind."""
    assert refused(account_api.AccountApi(wrong).get_account)[0] == 401
    do, at = instances_api.InstancesApi(api), {"path_params": {"instance-id": NOWHERE}}
    for call in (do.get_instance, do.delete_instance, do.start_instance):
        assert refused(call, **at)[0] == 404
    assert refused(do.create_instance, body={**SPEC, "plan": "no-such-plan"})[0] == 400
    assert refused(do.create_instance, body=METAL)[0] == 400, "a plan of the other kind"
    assert refused(do.create_instance, body={**SPEC, "user_data": "not base64!"})[0] == 400
    assert everything(do.list_instances, "instances") == ([], 1)


def test_a_server_lives_from_order_to_end(sandbox, wait_until):
    life(client(sandbox["vultr"] + "/v2"), wait_until)


def test_a_list_of_several_pages_is_whole(sandbox):
    do = instances_api.InstancesApi(client(sandbox["vultr"] + "/v2"))
    names = [f"many-{number:03}" for number in range(120)]
    for name in names:
        patiently(do.create_instance, body={**SPEC, "label": name})
    for per_page, count in ((None, 2), (500, 1), (50, 3)):
        found, pages = everything(do.list_instances, "instances", per_page)
        assert ([str(one["label"]) for one in found], pages) == (names, count)


def test_errors_are_the_sdks_own(sandbox):
    url = sandbox["vultr"] + "/v2"
    errors(client(url), client(url, token="wrong"))


def test_prism_finds_no_fault_with_the_answers(sandbox, prism_proxy, wait_until, table):
    between = prism_proxy("vultr", sandbox["vultr"] + "/v2")
    life(client(between.url), wait_until)
    errors(client(between.url), client(between.url, token="wrong"))
    for exchange in between.exchanges:
        if (str(exchange.operation), exchange.status) in UNDESCRIBED:
            assert all("status code" in violation["message"] for violation in exchange.violations), exchange
        else:
            assert not exchange.violations, f"{exchange} -> {exchange.status}: {exchange.violations}"

    answers = collections.Counter(f"{exchange.operation} -> {exchange.status}" for exchange in between.exchanges)
    lines = [f"{count:5}  {answer}" for answer, count in sorted(answers.items())]
    table(["Vultr: answers of the simulator that passed the vendor's description", *lines])

