"""Vultr's own description, served by Prism, judges every request of our driver; the driver reads its answers."""

import re

import pytest

from vendors import KEY, OWNER, TOKEN, on, ordered, posted, source

PROVIDER = "vultr"
BASE, SETTINGS = "", {"api_key": "not-a-real-key"}
UUID = "cb676a46-66fd-4dfb-b839-443f2e6c0b60"
MACHINE, METAL = f"vultr/ewr/{UUID}", f"vultr/ams/bm-{UUID}"


def order(plan, **changes):
    spec = {
        "plan": plan,
        "region": "ewr",
        "image": "215",
        "ssh_keys": [{"public": KEY}, {"existing": UUID}],
    }
    return ordered(["web-1"], **{**spec, **changes})


MACHINE_ORDER, METAL_ORDER = order("vc2-1c-1gb"), order("vbm-4c-32gb")


def whole(answer):
    """An example shows one page of a longer list. Here it is all there is."""
    if "meta" in answer:
        (items,) = [value for key, value in answer.items() if key != "meta"]
        answer["meta"] = {"total": len(items), "links": {"next": "", "prev": ""}}


def first_of_two(answer):
    (items,) = [value for key, value in answer.items() if key != "meta"]
    answer["meta"] = {"total": 2 * len(items), "links": {"next": "bmV4dF9fMQ==", "prev": ""}}


def is_first_page(operation, _body, query):
    return str(operation) == "GET /instances" and "cursor" not in query


OFF = (on("GET /instances/{instance-id}"), lambda answer: answer["instance"].update(power_status="stopped"))
ALWAYS = [(lambda *_: True, whole)]

# The description has no parameters here, but its answers have the links to further pages that these are for.
PAGED = {"per_page", "cursor"}
BEYOND = {"GET /billing/invoices": PAGED, "GET /billing/invoices/{invoice-id}/items": PAGED}

# Every call of the trait, in every state that makes the driver send something else: call, arguments, changed answers.
LEFT = [(on("GET /ssh-keys"), lambda answer: answer["ssh_keys"][0].update(name=f"capsule-{OWNER}", ssh_key=KEY))]
CALLS = {
    "verify": ("verify", {}, []),
    "catalog": ("catalog", {}, []),
    "list": ("list", {"scope": "all"}, []),
    "statement": ("statement", {}, []),
    "invoiced": ("invoiced", {"month": "2021-09-01"}, []),
    "list by token": ("list", {"scope": {"token": TOKEN}}, []),
    "list two pages": ("list", {"scope": {"owner": OWNER}}, [(is_first_page, first_of_two)]),
    "get": ("get", {"id": MACHINE}, []),
    "get metal": ("get", {"id": METAL}, []),
    "create": ("create", MACHINE_ORDER, []),
    "create, bare": ("create", order("vc2-1c-1gb", ssh_keys=[], user_data=None, tags={}), []),
    "create from a snapshot": ("create", order("vc2-1c-1gb", image=UUID), []),
    "create an application": ("create", order("vc2-1c-1gb", image="docker"), []),
    "create metal": ("create", METAL_ORDER, []),
    "start": ("power", {"id": MACHINE, "to": "on"}, [OFF]),
    "stop": ("power", {"id": MACHINE, "to": "off"}, []),
    "stop by force": ("power", {"id": MACHINE, "to": "force_off"}, []),
    "reboot": ("power", {"id": MACHINE, "to": "reboot"}, []),
    "start metal": ("power", {"id": METAL, "to": "on"}, []),
    "stop metal": ("power", {"id": METAL, "to": "off"}, []),
    "reboot metal": ("power", {"id": METAL, "to": "reboot"}, []),
    "delete": ("delete", {"id": MACHINE}, []),
    "delete metal": ("delete", {"id": METAL}, []),
    "leftovers": ("remove_leftovers", {"owner": OWNER}, LEFT),
    "mark": ("mark", {"id": MACHINE, "owner": OWNER}, []),
    "mark metal": ("mark", {"id": METAL, "owner": OWNER}, []),
}


@pytest.mark.parametrize("name", CALLS)
def test_every_request_is_valid(name, prism, connect, judged):
    call, arguments, alter = CALLS[name]
    prism.script([], [*ALWAYS, *alter])
    with connect() as driver:
        driver.ok(call, **arguments)


def test_a_request_that_breaks_the_description_is_noticed(prism):
    """The referee itself: without this, a silent Prism would let everything pass."""
    prism.script()
    assert posted(prism, "/instances", '{"region": "ewr", "plan": "vc2-1c-1gb", "os_id": "215"}', "Authorization") == 400
    assert len(prism.violations()) == 1


# The driver's name for each operation, the vendor's, and the call that reaches it.
REACHED_BY = {
    "account.get": ("GET /account", "verify"),
    "charges.pending": ("GET /billing/pending-charges", "statement"),
    "invoices.list": ("GET /billing/invoices", "invoiced"),
    "invoices.items": ("GET /billing/invoices/{invoice-id}/items", "invoiced"),
    "instances.list": ("GET /instances", "list"),
    "instances.create": ("POST /instances", "create"),
    "instances.get": ("GET /instances/{instance-id}", "get"),
    "instances.update": ("PATCH /instances/{instance-id}", "mark"),
    "instances.delete": ("DELETE /instances/{instance-id}", "delete"),
    "instances.start": ("POST /instances/{instance-id}/start", "start"),
    "instances.halt": ("POST /instances/{instance-id}/halt", "stop"),
    "instances.reboot": ("POST /instances/{instance-id}/reboot", "reboot"),
    "metals.list": ("GET /bare-metals", "list"),
    "metals.create": ("POST /bare-metals", "create metal"),
    "metals.get": ("GET /bare-metals/{baremetal-id}", "get metal"),
    "metals.update": ("PATCH /bare-metals/{baremetal-id}", "mark metal"),
    "metals.delete": ("DELETE /bare-metals/{baremetal-id}", "delete metal"),
    "metals.start": ("POST /bare-metals/{baremetal-id}/start", "start metal"),
    "metals.halt": ("POST /bare-metals/{baremetal-id}/halt", "stop metal"),
    "metals.reboot": ("POST /bare-metals/{baremetal-id}/reboot", "reboot metal"),
    "plans.list": ("GET /plans", "catalog"),
    "plans_metal.list": ("GET /plans-metal", "catalog"),
    "regions.list": ("GET /regions", "catalog"),
    "regions.availability": ("GET /regions/{region-id}/availability", "catalog"),
    "os.list": ("GET /os", "catalog"),
    "keys.list": ("GET /ssh-keys", "create"),
    "keys.create": ("POST /ssh-keys", "create"),
    "keys.delete": ("DELETE /ssh-keys/{ssh-key-id}", "leftovers"),
}
KINDS = {400: "invalid", 401: "unauthenticated", 403: "forbidden", 404: "not_found", 422: "invalid"}
# Missing is an answer here, not a failure.
MISSING_IS_FINE = {"instances.get", "instances.delete", "metals.get", "metals.delete", "keys.delete"}
CREATES = {"instances.create", "metals.create"}


@pytest.mark.parametrize("name", REACHED_BY)
def test_every_example_answer_is_read(name, prism, connect):
    title, through = REACHED_BY[name]
    call, arguments, alter = CALLS[through]
    answers = list(prism.contract.examples(prism.contract.operation(*title.split(" "))))
    assert answers, f"the description has no answer for {title}"
    for status, example in answers:
        asked = f'example="{example}"' if example else f"code={status}"
        prism.script([(on(title), asked)], [*ALWAYS, *alter])
        with connect() as driver:
            answer = driver.call(call, **arguments)

        got = [exchange.status for exchange in prism.exchanges if str(exchange.operation) == title]
        assert status in got, f"{asked}: Prism answered {got}, the driver {answer}"
        if status < 300 or (status == 404 and name in MISSING_IS_FINE):
            assert "ok" in answer, f"{asked}: {answer}"
            continue
        error = answer.get("error", {})
        # To a create, "not found" is about what was ordered.
        kind = "invalid" if status == 404 and name in CREATES else KINDS[status]
        assert (error.get("kind"), error.get("effect")) == (kind, "none"), f"{asked}: {answer}"
        assert got == [status], f"{asked}: sent {len(got)} times"


def test_every_call_in_the_driver_is_judged():
    """A call that is added to the driver must be added here."""
    text = source(PROVIDER)
    assert set(re.findall(r'"([a-z_]+\.[a-z]+)"', text)) == set(REACHED_BY)
