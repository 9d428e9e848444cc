"""Equinix Metal's own description, served by Prism, judges every request of our driver; the driver reads its answers."""

import pytest

from vendors import KEY, OWNER, TOKEN, on, ordered, posted, written_calls

PROVIDER = "equinix"
PROJECT = "5a4d0000-0000-4000-8000-000000000001"
# Prism leaves the base path `/metal/v1` out.
BASE, SETTINGS = "", {"api_key": "not-a-real-key", "project_id": PROJECT}
UUID = "5b6f0e3c-1c52-4d1e-9a57-0d8e0a4b7f11"
ID = f"equinix/da/{UUID}"


def order(**changes):
    spec = {
        "plan": "c3.small.x86",
        "region": "da",
        "image": "ubuntu_24_04",
        "ssh_keys": [{"public": KEY}, {"existing": UUID}],
    }
    return ordered(["web-1"], **{**spec, **changes})


def state(word):
    """Shows the device in another state than Prism's example does."""
    return on("GET /devices/{id}"), lambda answer: answer.update(state=word)


def pages(count):
    """So many pages, each with the one device of Prism's example."""

    def change(answer):
        answer["meta"] = {"total": count, "last_page": count, "current_page": 1}
        for device in answer["devices"]:
            device.setdefault("tags", [])

    return on("GET /projects/{id}/devices"), change


def counted(answer):
    """Prism's example of any text is the word `string`."""
    for usage in answer["usages"]:
        usage["total"] = "1.50"


# Every call of the trait, in every state that makes the driver send something else.
def left_key(answer):
    answer["ssh_keys"][0].update(id=ID.split("/")[2], label=f"capsule-{OWNER}", key=KEY)


def paid_for(answer):
    answer["organization"] = {"href": f"/metal/v1/organizations/{PROJECT}"}


def written(answer):
    # The amounts that Prism makes up are more than there is money.
    (invoice,) = answer["invoices"]
    invoice.update(amount=1.5, created_on="2019-09-01")
    for item in invoice["items"]:
        item.update(amount=1.25, start_date="2019-08-01", end_date="2019-08-31")


INVOICED = [(on("GET /projects/{id}"), paid_for), (on("GET /organizations/{id}/invoices"), written)]


CALLS = {
    "verify": ("verify", {}, []),
    "catalog": ("catalog", {}, []),
    "list": ("list", {"scope": "all"}, []),
    "list two pages": ("list", {"scope": "all"}, [pages(2)]),
    "list by owner": ("list", {"scope": {"owner": OWNER}}, []),
    "list by token": ("list", {"scope": {"token": TOKEN}}, []),
    "get": ("get", {"id": ID}, []),
    "create": ("create", order(), []),
    "create, bare": ("create", order(ssh_keys=[], user_data=None, tags={}), []),
    "start": ("power", {"id": ID, "to": "on"}, [state("inactive")]),
    "stop": ("power", {"id": ID, "to": "off"}, [state("active")]),
    "stop by force": ("power", {"id": ID, "to": "force_off"}, [state("active")]),
    "reboot": ("power", {"id": ID, "to": "reboot"}, [state("active")]),
    "delete": ("delete", {"id": ID}, []),
    "leftovers": ("remove_leftovers", {"owner": OWNER}, [(on("GET /projects/{id}/ssh-keys"), left_key)]),
    "statement": ("statement", {}, [(on("GET /projects/{id}/usages"), counted)]),
    "mark": ("mark", {"id": ID, "owner": OWNER}, []),
    "invoiced": ("invoiced", {"month": "2019-08-01"}, INVOICED),
}


@pytest.mark.parametrize("name", CALLS)
def test_every_request_is_valid(name, prism, connect, judged):
    call, arguments, alter = CALLS[name]
    prism.script([], alter)
    with connect() as driver:
        driver.ok(call, **arguments)


def test_every_page_is_asked_for(prism, connect):
    prism.script([], [pages(3)])
    with connect() as driver:
        driver.ok("list", scope="all")
    asked = [(exchange.query["page"], exchange.query["per_page"]) for exchange in prism.exchanges]
    assert sorted(asked) == [("1", "1000"), ("2", "1000"), ("3", "1000")]


def test_a_request_that_breaks_the_description_is_noticed(prism):
    """The referee itself: without this, a silent Prism would let everything pass."""
    prism.script()
    assert posted(prism, f"/projects/{PROJECT}/devices", '{"metro": "da", "plan": 3}', "X-Auth-Token") == 422
    assert len(prism.violations()) == 1


# How to reach each operation, so that each of its example answers is read.
REACHED_BY = {
    "GET /projects/{id}": CALLS["verify"],
    "GET /projects/{id}/plans": CALLS["catalog"],
    "GET /projects/{id}/usages": CALLS["statement"],
    "GET /organizations/{id}/invoices": CALLS["invoiced"],
    "GET /locations/metros": CALLS["catalog"],
    "GET /operating-systems": CALLS["catalog"],
    "GET /capacity/metros": CALLS["catalog"],
    "GET /projects/{id}/devices": CALLS["list"],
    "POST /projects/{id}/devices": CALLS["create"],
    "GET /projects/{id}/ssh-keys": CALLS["create"],
    "POST /projects/{id}/ssh-keys": CALLS["create"],
    "GET /devices/{id}": CALLS["get"],
    "PUT /devices/{id}": CALLS["mark"],
    "DELETE /devices/{id}": CALLS["delete"],
    "POST /devices/{id}/actions": CALLS["stop"],
    "DELETE /ssh-keys/{id}": CALLS["leftovers"],
}
# Missing is an answer here, not a failure.
MISSING_IS_FINE = {"GET /devices/{id}", "DELETE /devices/{id}", "DELETE /ssh-keys/{id}"}
KINDS = {401: "unauthenticated", 403: "forbidden", 404: "config", 422: "invalid"}
# Where a status means something else: to an order, a wrong project; to a device, one that is gone or in another state.
OTHERWISE = {
    ("POST /projects/{id}/devices", 404): "invalid",
    # Prism's example sentence is the word `string`, so that nothing can be read from it.
    ("DELETE /devices/{id}", 422): "conflict",
    ("PUT /devices/{id}", 404): "not_found",
    ("POST /devices/{id}/actions", 404): "not_found",
    ("POST /devices/{id}/actions", 422): "conflict",
}


@pytest.mark.parametrize("name", REACHED_BY)
def test_every_example_answer_is_read(name, prism, connect):
    call, arguments, alter = REACHED_BY[name]
    answers = list(prism.contract.examples(prism.contract.operation(*name.split(" "))))
    assert answers, f"the description has no answer for {name}"
    for status, example in answers:
        prism.script([(on(name), f'example="{example}"' if example else f"code={status}")], alter)
        with connect() as driver:
            answer = driver.call(call, **arguments)
        got = [exchange.status for exchange in prism.exchanges if str(exchange.operation) == name]
        assert status in got, f"{status}: Prism answered {got}, the driver {answer}"
        if status < 300 or (status == 404 and name in MISSING_IS_FINE):
            assert "ok" in answer, f"{status}: {answer}"
            continue
        error = answer.get("error", {})
        kind = OTHERWISE.get((name, status), KINDS[status])
        assert (error.get("kind"), error.get("effect")) == (kind, "none"), f"{status}: {answer}"


@pytest.mark.parametrize(("status", "times"), [(401, 1), (403, 1), (404, 1), (422, 1)])
def test_a_refused_order_is_sent_once(status, times, prism, connect):
    prism.script([(on("POST /projects/{id}/devices"), f"code={status}")])
    with connect() as driver:
        error = driver.error("create", **order(ssh_keys=[]))
    assert (error["effect"], error["http_status"]) == ("none", status)
    assert len(prism.exchanges) == times


def test_every_call_in_the_driver_is_judged(prism):
    """A call that is added to the driver must be added here."""
    sent = {str(prism.contract.operation(method, path)) for method, path in written_calls(PROVIDER)}
    assert sent == set(REACHED_BY)
