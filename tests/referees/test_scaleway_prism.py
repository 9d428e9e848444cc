"""Scaleway's own description, served by Prism, judges every request of our driver; the driver reads its answers."""

import re

import pytest

from vendors import KEY, OWNER, TOKEN, on, ordered, posted, source

PROVIDER = "scaleway"
UUID = "b1cd4f5a-1b2c-4d3e-8f90-0123456789ab"
ID = f"scaleway/fr-par-1/{UUID}"
PROJECT = "5a1d2c3b-0000-4000-8000-000000000002"
BASE, SETTINGS = "", {"api_key": "not-a-real-key", "project_id": PROJECT, "access_key": "SCWXXXXXXXXXXXXXXXXX"}
ZONE = "/instance/v1/zones/{zone}"
SERVERS, SERVER = f"{ZONE}/servers", f"{ZONE}/servers/{{server_id}}"
VOLUMES = "/block/v1/zones/{zone}/volumes"


def order(**changes):
    spec = {
        "plan": "DEV1-S",
        "region": "fr-par-1",
        "image": "ubuntu_noble",
        "disk_gib": 30,
        # It is JSON as well, so that the recorder can read it.
        "user_data": '"#cloud-config"',
        "tags": {"env": "test", "team": "a/b c,d"},
    }
    return ordered(["web-1"], **{**spec, **changes})


def server(**changes):
    """Shows the server in another state than the example does."""
    return on(f"GET {SERVER}"), lambda answer: answer["server"].update(changes)


def is_system(answer):
    answer["images"][0]["categories"] = ["distribution"]


def half_made(answer):
    answer["servers"][0].update(state="stopped", tags=[f"capsule-token={TOKEN}", "capsule-awaits=user-data"])


def root_in_block_storage(answer):
    answer["server"].update(state="stopped", volumes={"0": {"id": UUID, "volume_type": "sbs_volume"}})


def marked(answer):
    answer["volumes"][0].update(id=UUID, tags=[f"capsule-server={UUID}"], status="available")


REMOVABLE = [(on(f"GET {SERVER}"), root_in_block_storage), (on(f"GET {VOLUMES}"), marked)]


def left_key(answer):
    answer["ssh_keys"][0].update(id=UUID, name=f"capsule-{OWNER}-me", public_key=KEY)


def left_volume(answer):
    answer["volumes"][0].update(id=UUID, name=f"capsule-{OWNER}-{TOKEN}", status="available", references=[], size=10**10)


def no_servers(answer):
    answer["servers"] = []


LEFT = [
    (on("GET /iam/v1alpha1/ssh-keys"), left_key),
    (on(f"GET {VOLUMES}"), left_volume),
    (on(f"GET {SERVERS}"), no_servers),
]
# Every call of the trait, in every state that makes the driver send something else.
CALLS = {
    "verify": ("verify", {}, []),
    "catalog": ("catalog", {}, [(on("GET /marketplace/v2/images"), is_system)]),
    "list": ("list", {"scope": "all"}, []),
    "list by owner": ("list", {"scope": {"owner": OWNER}}, []),
    "list by token": ("list", {"scope": {"token": TOKEN}}, [(on(f"GET {SERVERS}"), half_made)]),
    "get": ("get", {"id": ID}, []),
    "create": ("create", order(), []),
    "create, bare": ("create", order(ssh_keys=[], user_data=None, disk_gib=None, tags={}), []),
    "create, gone on with": ("create", order(), [(on(f"GET {SERVERS}"), half_made)]),
    "start": ("power", {"id": ID, "to": "on"}, [server(state="stopped")]),
    "stop": ("power", {"id": ID, "to": "off"}, []),
    "reboot": ("power", {"id": ID, "to": "reboot"}, []),
    "delete": ("delete", {"id": ID}, [server(protected=False)]),
    "delete, stopped": ("delete", {"id": ID}, [*REMOVABLE, server(protected=False, id=UUID)]),
    "mark": ("mark", {"id": ID, "owner": OWNER}, []),
    "leftovers": ("leftovers", {"owner": OWNER}, []),
    "leftovers, removed": ("remove_leftovers", {"owner": OWNER}, LEFT),
}


@pytest.mark.parametrize("name", CALLS)
def test_every_request_is_valid(name, prism, connect, judged):
    call, arguments, alter = CALLS[name]
    prism.script([], alter)
    with connect() as driver:
        driver.ok(call, **arguments)


def test_a_request_that_breaks_the_description_is_noticed(prism):
    """The referee itself: without this, a silent Prism would let everything pass."""
    prism.script()
    assert posted(prism, "/instance/v1/zones/fr-par-1/servers", '{"name": 3}', "X-Auth-Token") == 422
    assert len(prism.violations()) == 1


# How to reach each operation, so that its answer is read. The description has no errors and no whole examples: Prism
# makes the answers up from the schemas.
REACHED_BY = {
    "GET /iam/v1alpha1/api-keys/{access_key}": CALLS["verify"],
    f"GET {ZONE}/products/servers": CALLS["catalog"],
    f"GET {ZONE}/products/servers/availability": CALLS["catalog"],
    "GET /marketplace/v2/images": CALLS["catalog"],
    "GET /marketplace/v2/local-images": CALLS["catalog"],
    f"GET {SERVERS}": CALLS["list"],
    f"POST {SERVERS}": CALLS["create"],
    f"GET {SERVER}": CALLS["get"],
    f"PATCH {SERVER}": CALLS["mark"],
    f"DELETE {SERVER}": CALLS["delete, stopped"],
    f"POST {SERVER}/action": CALLS["reboot"],
    f"GET {SERVER}/user_data": CALLS["list by token"],
    f"PATCH {SERVER}/user_data/{{key}}": CALLS["create"],
    "GET /iam/v1alpha1/ssh-keys": CALLS["create"],
    "POST /iam/v1alpha1/ssh-keys": CALLS["create"],
    f"GET {VOLUMES}": CALLS["delete, stopped"],
    f"PATCH {VOLUMES}/{{volume_id}}": CALLS["delete, stopped"],
    f"DELETE {VOLUMES}/{{volume_id}}": CALLS["delete, stopped"],
    "DELETE /iam/v1alpha1/ssh-keys/{ssh_key_id}": CALLS["leftovers, removed"],
}


@pytest.mark.parametrize("name", REACHED_BY)
def test_every_answer_is_read(name, prism, connect):
    call, arguments, alter = REACHED_BY[name]
    answers = list(prism.contract.examples(prism.contract.operation(*name.split(" "))))
    assert answers, f"the description has no answer for {name}"
    for status, _ in answers:
        prism.script([(on(name), f"code={status}")], alter)
        with connect() as driver:
            driver.ok(call, **arguments)
        assert status in [exchange.status for exchange in prism.exchanges if str(exchange.operation) == name]


def test_every_call_in_the_driver_is_judged(prism):
    """A call that is added to the driver must be added here."""
    text = source(PROVIDER)
    # Most paths begin with a zone, and some are put together in the line before.
    text = text.replace("server_path(id, &format!(", "server_path(id, (").replace("encode(key)", "key")
    found = re.findall(
        r'(?:let path = format!\("(?P<before>[^"]+)".*?;\s+)?(?:let call = )?(?:self\.client\s*\.send\()?'
        r"Call::(?P<method>get|post|put|patch|delete)\(\s*\"[\w.]+\",\s*"
        r'(?:(?P<server>server_path\(id, [(]?)|format!\()?(?:"(?P<path>[^"]*)")?',
        text,
    )
    assert len(found) == len(re.findall(r"Call::(?:get|post|put|patch|delete)\(", text)), (
        "a call is written in a way that this test does not understand"
    )
    sent = set()
    for before, method, server, path in found:
        whole = "/instance/v1/zones/z/servers/s" + path if server else before or path
        if whole.startswith("/billing/"):
            continue  # No description of it exists: the vendor's SDK reads it instead.
        operation = prism.contract.operation(method.upper(), re.sub(r"\{\w*\}", "x", whole))
        assert operation, f"the description has no {method} {whole}"
        sent.add(str(operation))
    assert sent == set(REACHED_BY)
