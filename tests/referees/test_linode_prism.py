"""Linode's own description, served by Prism, judges every request of our driver; the driver reads its answers."""

import pytest

from vendors import KEY, OWNER, TOKEN, on, ordered, posted, written_calls

PROVIDER = "linode"
# Prism leaves the base path `/v4` out.
BASE, SETTINGS = "", {"api_key": "not-a-real-key"}
ID = "linode/us-east/123"
INSTANCE = "/linode/instances/{linodeId}"


def order(**changes):
    spec = {
        "plan": "g6-standard-1",
        "region": "us-east",
        "image": "linode/ubuntu24.04",
        "ssh_keys": [{"public": KEY}, {"existing": "exampleUser"}],
    }
    return ordered(["web-1"], **{**spec, **changes})


def state(status):
    """Shows the server in another state than the example does."""
    return on(f"GET {INSTANCE}"), lambda answer: answer.update(status=status)


def restricted(answer):
    answer["restricted"] = True


# The description's own examples of these break its schema, so Prism makes some up.
MADE_UP = {"GET /account", "GET /account/invoices", "GET /account/invoices/{invoiceId}/items"}
DYNAMIC = [(on(name), "dynamic=true") for name in sorted(MADE_UP)]


def one_invoice(answer):
    answer.update(page=1, pages=1, results=1, data=[{"id": 123, "label": "Invoice", "date": "2018-02-01T00:01:01"}])
    answer["data"][0].update(subtotal=120.25, tax=12.25, total=132.5)


def its_items(answer):
    answer.update(page=1, pages=1, results=len(answer["data"]))
    for item in answer["data"]:
        item.update({"from": "2018-01-01T00:01:01", "to": "2018-01-31T11:59:59"})


INVOICED = [(on("GET /account/invoices"), one_invoice), (on("GET /account/invoices/{invoiceId}/items"), its_items)]

# The description has no parameters here, but its answers tell which page they are of how many.
PAGED = {"page", "page_size"}
BEYOND = {"GET /regions": PAGED, "GET /regions/availability": PAGED, "GET /linode/types": PAGED}

# Every call of the trait, in every state that makes the driver send something else.
CALLS = {
    "verify": ("verify", {}, []),
    "verify a restricted user": ("verify", {}, [(on("GET /profile"), restricted)]),
    "catalog": ("catalog", {}, []),
    "list": ("list", {"scope": "all"}, []),
    "list by owner": ("list", {"scope": {"owner": OWNER}}, []),
    "list by token": ("list", {"scope": {"token": TOKEN}}, []),
    "get": ("get", {"id": ID}, []),
    "create": ("create", order(), []),
    "create, bare": ("create", order(ssh_keys=[], user_data=None, tags={}), []),
    "start": ("power", {"id": ID, "to": "on"}, [state("offline")]),
    "stop": ("power", {"id": ID, "to": "off"}, []),
    "reboot": ("power", {"id": ID, "to": "reboot"}, []),
    "delete": ("delete", {"id": ID}, []),
    "statement": ("statement", {}, []),
    "invoiced": ("invoiced", {"month": "2018-01-01"}, INVOICED),
    "start from its own disk": ("start_from_own_disk", {"id": ID}, []),
    "mark": ("mark", {"id": ID, "owner": OWNER}, []),
}


@pytest.mark.parametrize("name", CALLS)
def test_every_request_is_valid(name, prism, connect, judged):
    call, arguments, alter = CALLS[name]
    prism.script(DYNAMIC, alter)
    with connect() as driver:
        driver.ok(call, **arguments)


def test_a_request_that_breaks_the_description_is_noticed(prism):
    """The referee itself: without this, a silent Prism would let everything pass."""
    prism.script()
    assert posted(prism, "/linode/instances", '{"type": 3, "region": "us-east"}', "Authorization") == 422
    assert len(prism.violations()) == 1


# How to reach each operation, so that each of its example answers is read.
REACHED_BY = {
    "GET /profile": CALLS["verify"],
    "GET /profile/grants": CALLS["verify a restricted user"],
    "GET /account": CALLS["statement"],
    "GET /account/transfer": CALLS["statement"],
    "GET /account/invoices": CALLS["invoiced"],
    "GET /account/invoices/{invoiceId}/items": CALLS["invoiced"],
    "GET /regions": CALLS["catalog"],
    "GET /regions/availability": CALLS["catalog"],
    "GET /linode/types": CALLS["catalog"],
    "GET /images": CALLS["catalog"],
    "GET /linode/instances": CALLS["list"],
    "POST /linode/instances": CALLS["create"],
    f"GET {INSTANCE}": CALLS["get"],
    f"PUT {INSTANCE}": CALLS["mark"],
    f"DELETE {INSTANCE}": CALLS["delete"],
    f"POST {INSTANCE}/boot": CALLS["start"],
    f"POST {INSTANCE}/shutdown": CALLS["stop"],
    f"POST {INSTANCE}/reboot": CALLS["reboot"],
    f"GET {INSTANCE}/configs": CALLS["start from its own disk"],
    f"PUT {INSTANCE}/configs/{{configId}}": CALLS["start from its own disk"],
}


@pytest.mark.parametrize("name", REACHED_BY)
def test_every_example_answer_is_read(name, prism, connect):
    call, arguments, alter = REACHED_BY[name]
    answers = list(prism.contract.examples(prism.contract.operation(*name.split(" "))))
    assert answers, f"the description has no answer for {name}"
    for status, _ in answers:
        dynamic = ", dynamic=true" if name in MADE_UP else ""
        prism.script([(on(name), f"code={status}{dynamic}"), *DYNAMIC], alter)
        with connect() as driver:
            driver.ok(call, **arguments)
        assert status in [exchange.status for exchange in prism.exchanges if str(exchange.operation) == name]


# The description has one error body for all operations and codes.
KINDS = {
    400: ("invalid", "none", 1),
    401: ("unauthenticated", "none", 1),
    403: ("forbidden", "none", 1),
    404: ("invalid", "none", 1),
    408: ("timeout", "unknown", 1),
    429: ("rate_limited", "none", 4),
    500: ("unavailable", "unknown", 1),
    503: ("unavailable", "unknown", 1),
}


@pytest.mark.parametrize("status", KINDS)
def test_a_refused_order_says_whether_it_may_have_happened(status, prism, connect):
    kind, effect, times = KINDS[status]
    prism.script([(on("POST /linode/instances"), f"code={status}")])
    with connect() as driver:
        error = driver.error("create", **order())
    assert (error["kind"], error["effect"], error["http_status"]) == (kind, effect, status)
    assert "fieldname must be a valid value" in error["message"] or status in (429, 503), error
    assert len(prism.exchanges) == times, "what may have happened is not sent again"


def test_every_call_in_the_driver_is_judged(prism):
    """A call that is added to the driver must be added here."""
    sent = {str(prism.contract.operation(method, path)) for method, path in written_calls(PROVIDER)}
    assert sent == set(REACHED_BY)
