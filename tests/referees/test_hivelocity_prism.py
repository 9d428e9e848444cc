"""Hivelocity's own description, served by Prism, judges every request of our driver; the driver reads its answers.

No client that we did not write exists for Hivelocity, and the description has no examples of whole answers: Prism makes
them up from the schemas. It drops the base path `/api/v2`.
"""

import pytest

from vendors import KEY, OWNER, TOKEN, on, ordered, posted, source

PROVIDER = "hivelocity"
BASE, SETTINGS = "", {"api_key": "not-a-real-key"}
ID = "hivelocity/NYC1/41007"
# How many calls the driver's api.rs writes; the five of a collection of servers stand for two operations each.
CALLS_IN_THE_DRIVER = 24


def order(names, **changes):
    spec = {"plan": "2379", "region": "NYC1", "image": "Ubuntu 24.04 (VPS)"}
    return ordered(names, **{**spec, **changes})


def code(operation, status):
    """Makes Prism answer an operation with a status."""
    return on(operation), f"code={status}"


def state(**changes):
    """Shows the server in another state than Prism makes up."""
    return on("GET /device/{deviceId}"), lambda answer: answer.update(changes)


METAL = [(on("GET /inventory/product/{productId}"), lambda answer: answer.update(is_vps=False))]
TWICE = [
    (on(f"POST /{family}/batch"), lambda answer: answer["devices"].append(dict(answer["devices"][0])))
    for family in ("compute", "bare-metal-devices")
]
# No view of the server but one of the past, and no order that says nothing about itself.
ABSENT = [code("GET /compute/{deviceId}", 404), code("GET /bare-metal-devices/{deviceId}", 404)]
PAST = [
    state(status="inactive"),
    (on("GET /order/in-progress"), lambda answer: answer[0].update(info={"hostname": "x.example.com"})),
]
ON = state(spsStatus="IN_USE", powerStatus="ON", hasCancellation=False, isReload=False)
OFF = state(spsStatus="IN_USE", powerStatus="OFF", hasCancellation=False, isReload=False)


# Every call of the trait, in every state that makes the driver send something else.
LEFT = [(on("GET /ssh_key/"), lambda answer: answer[0].update(name=f"capsule-{OWNER}", publicKey=KEY))]


def written(answer):
    answer[0].update(created=1704067200)


CALLS = {
    "verify": ("verify", {}, [], []),
    "catalog": ("catalog", {}, [], []),
    "list": ("list", {"scope": "all"}, [], []),
    "statement": ("statement", {}, [], []),
    "invoiced": ("invoiced", {"month": "2023-12-01"}, [], [(on("GET /invoice/"), written)]),
    "list by owner": ("list", {"scope": {"owner": OWNER}}, [], []),
    "list by token": ("list", {"scope": {"token": TOKEN}}, [], PAST),
    "get": ("get", {"id": ID}, [], []),
    "get bare metal": ("get", {"id": ID}, ABSENT[:1], []),
    "get missing": ("get", {"id": ID}, ABSENT, PAST),
    "create one": ("create", order(["web"]), [], []),
    "create one, bare": ("create", order(["web"], ssh_keys=[], user_data=None, tags={}), [], []),
    "create one with a key of the account": ("create", order(["web"], ssh_keys=[{"existing": "5"}]), [], []),
    "create several": ("create", order(["a", "b"]), [], TWICE),
    "create bare metal": ("create", order(["web"]), [], METAL),
    "create bare metal, several": ("create", order(["a", "b"]), [], [*METAL, *TWICE]),
    "start": ("power", {"id": ID, "to": "on"}, [], [OFF]),
    "stop": ("power", {"id": ID, "to": "off"}, [], [ON]),
    "reboot": ("power", {"id": ID, "to": "reboot"}, [], [ON]),
    "delete": ("delete", {"id": ID}, [], []),
    "delete bare metal": ("delete", {"id": ID}, [*ABSENT[:1], code("DELETE /compute/{deviceId}", 404)], []),
    "leftovers": ("remove_leftovers", {"owner": OWNER}, [], LEFT),
    "mark": ("mark", {"id": ID, "owner": OWNER}, [], []),
}


@pytest.mark.parametrize("name", CALLS)
def test_every_request_is_valid(name, prism, connect, judged):
    call, arguments, prefer, alter = CALLS[name]
    prism.script(prefer, alter)
    with connect() as driver:
        driver.ok(call, **arguments)


def test_a_server_not_shown_yet_is_followed_by_its_order(prism, connect, judged):
    prism.script(ABSENT, [*PAST, (on("GET /order/{orderId}"), lambda answer: answer.update(status="verification"))])
    with connect() as driver:
        made = driver.ok("create", **order(["web"]))[0]
        seen = driver.ok("get", id=made["id"])
    assert (seen["status"], seen["native_status"]) == ("provisioning", "order verification")


def test_a_request_that_breaks_the_description_is_noticed(prism):
    """The referee itself: without this, a silent Prism would let everything pass."""
    prism.script()
    for path, body in (("/compute/", '{"productId": "2379", "hostname": "x"}'), ("/device/1/power", None)):
        # Where the description has a 400 Prism takes that one; a driver whose call is refused fails its test as well.
        assert posted(prism, path, body, "X-API-KEY") == (400 if body else 422)
    assert len(prism.violations()) == 2, prism.exchanges


# How to reach each operation, so that each of its described answers is read: call, arguments, states on the way.
SEVERAL_METAL = CALLS["create bare metal, several"]
REACHED_BY = {
    "GET /profile/basic": CALLS["verify"],
    "GET /invoice/unpaid": CALLS["statement"],
    "GET /credit/total": CALLS["statement"],
    "GET /invoice/": CALLS["invoiced"],
    "GET /invoice/{invoiceId}/details": CALLS["invoiced"],
    "GET /inventory/product": CALLS["catalog"],
    "GET /inventory/locations": CALLS["catalog"],
    "GET /product/{productId}/operating-systems": CALLS["catalog"],
    "GET /inventory/product/{productId}": CALLS["create one"],
    "GET /ssh_key/": CALLS["create one"],
    "POST /ssh_key/": CALLS["create one"],
    "POST /compute/": CALLS["create one"],
    "POST /compute/batch": CALLS["create several"],
    "POST /bare-metal-devices/": CALLS["create bare metal"],
    "POST /bare-metal-devices/batch": SEVERAL_METAL,
    "GET /compute/": CALLS["list"],
    "GET /bare-metal-devices/": CALLS["list"],
    "GET /device/": CALLS["list"],
    "GET /order/in-progress": CALLS["list"],
    "GET /compute/{deviceId}": CALLS["get"],
    "GET /bare-metal-devices/{deviceId}": CALLS["get bare metal"],
    "GET /device/{deviceId}": CALLS["get"],
    "POST /device/{deviceId}/power": CALLS["stop"],
    "GET /device/{deviceId}/tags": CALLS["mark"],
    "PUT /device/{deviceId}/tags": CALLS["mark"],
    "DELETE /compute/{deviceId}": CALLS["delete"],
    "DELETE /bare-metal-devices/{deviceId}": CALLS["delete bare metal"],
    "DELETE /ssh_key/{sshKeyId}": CALLS["leftovers"],
}
# Reached only after a create in the same process: see the test about it.
FOLLOWED = {"GET /order/{orderId}"}
KINDS = {400: "invalid", 403: "forbidden", 404: "not_found", 500: "unavailable"}
# Prism makes up a server under cancellation. Then all of these are an end that was reached another way, or one that is
# looked for elsewhere.
FINE = {
    ("DELETE /ssh_key/{sshKeyId}", 404),
    *((f"{method} /{family}/{{deviceId}}", status)
      for family in ("compute", "bare-metal-devices")
      for method, statuses in (("GET", (401, 404)), ("DELETE", (400, 401, 404, 409)))
      for status in statuses),
}
# A success without a body names no server: it may have been made.
OPEN = {f"POST /{family}/{tail}" for family in ("compute", "bare-metal-devices") for tail in ("", "batch")}


@pytest.mark.parametrize("name", REACHED_BY)
def test_every_described_answer_is_read(name, prism, connect):
    call, arguments, prefer, alter = REACHED_BY[name]
    operation = prism.contract.operation(*name.split(" "))
    answers = list(prism.contract.examples(operation))
    assert answers, f"the description has no answer for {name}"
    for status, _ in answers:
        prism.script([code(name, status), *prefer], alter)
        with connect() as driver:
            answer = driver.call(call, **arguments)

        got = [exchange.status for exchange in prism.exchanges if str(exchange.operation) == name]
        assert status in got, f"{status}: Prism answered {got}, the driver {answer}"
        error = answer.get("error", {})
        if name in OPEN and status == 201:
            assert (error.get("kind"), error.get("effect")) == ("protocol", "unknown"), answer
        elif name == "GET /inventory/product/{productId}" and status == 404:
            assert error.get("kind") == "invalid", answer
        elif status < 300 or (name, status) in FINE:
            assert "ok" in answer, f"{status}: {answer}"
        else:
            assert error.get("kind") == KINDS[status], f"{status}: {answer}"
        if name in OPEN:
            assert got == [status], f"{status}: an order was sent {len(got)} times"
            assert status < 300 or error["effect"] == "none", answer


def test_every_call_in_the_driver_is_judged(prism, seen):
    """A call that is added to the driver must be added here."""
    text = source(PROVIDER)
    written = sum(text.count(f"Call::{method}(") for method in ("get", "post", "put", "patch", "delete"))
    assert written == CALLS_IN_THE_DRIVER, "count anew, and add what is new to REACHED_BY"
    assert set(seen) == set(REACHED_BY) | FOLLOWED
