"""DigitalOcean's own description, served by Prism, judges every request of our driver; the driver reads its answers."""

import pytest

from vendors import KEY, OWNER, TOKEN, on, ordered, posted, written_calls

PROVIDER = "digitalocean"
BASE, SETTINGS = "/v2", {"api_key": "not-a-real-key"}
ID = "digitalocean/nyc3/3164444"
# What the examples call the droplets of a create.
ONE, SEVERAL = ["example.com"], ["sub-01.example.com", "sub-02.example.com"]


def order(names, **changes):
    spec = {
        "plan": "s-1vcpu-1gb",
        "region": "nyc3",
        "image": "ubuntu-24-04-x64",
        "ssh_keys": [{"public": KEY}, {"existing": "289794"}],
    }
    return ordered(names, **{**spec, **changes})


def several(operation, body, _query):
    return str(operation) == "POST /v2/droplets" and "names" in (body or {})


def example(name):
    return f'example="{name}"'


def whole(answer):
    """An example shows one page of a longer list. Here it is all there is."""
    if "meta" in answer:
        (items,) = [value for value in answer.values() if isinstance(value, list)]
        answer["meta"]["total"] = len(items)
        answer["links"] = {}


def state(**changes):
    """Shows the droplet in another state than the example does."""
    return on("GET /v2/droplets/{droplet_id}"), lambda answer: answer["droplet"].update(changes)


def under_way(answer):
    answer["action"]["status"] = "in-progress"


def done(answer):
    answer["action"]["status"] = "completed"


ALWAYS = [(lambda *_: True, whole)]
FINISHING = [(on("POST /v2/droplets/{droplet_id}/actions"), under_way), (on("GET /v2/actions/{action_id}"), done)]
BATCH = [(several, example("Multiple Droplet Create Response"))]


def left_key(answer):
    answer["ssh_keys"][0].update(name=f"capsule-{OWNER}-me", public_key=KEY)


def left_tag(answer):
    answer["tags"][0].update(name=f"capsule-token:{TOKEN}", resources={"count": 0})


def carried_by_none(answer):
    # The example has its envelope twice, the schema beside it once.
    answer["tag"] = {"name": f"capsule-token:{TOKEN}", "resources": {"count": 0}}


LEFT = [
    (on("GET /v2/account/keys"), left_key),
    (on("GET /v2/tags"), left_tag),
    (on("GET /v2/tags/{tag_id}"), carried_by_none),
]
# Every call of the trait, in every state that makes the driver send something else.
CALLS = {
    "verify": ("verify", {}, [], []),
    "catalog": ("catalog", {}, [], []),
    "list": ("list", {"scope": "all"}, [], []),
    "list by owner": ("list", {"scope": {"owner": OWNER}}, [], []),
    "list by token": ("list", {"scope": {"token": TOKEN}}, [], []),
    "get": ("get", {"id": ID}, [], []),
    "get locked": ("get", {"id": ID}, [], [state(locked=True)]),
    "create one": ("create", order(ONE), [], []),
    "create one, bare": ("create", order(ONE, ssh_keys=[], user_data=None, tags={}), [], []),
    "create from a numbered image": ("create", order(ONE, image="6918990"), [], []),
    "create several": ("create", order(SEVERAL), BATCH, []),
    "start": ("power", {"id": ID, "to": "on"}, [], [state(status="off"), *FINISHING]),
    "stop": ("power", {"id": ID, "to": "off"}, [], FINISHING),
    "stop by force": ("power", {"id": ID, "to": "force_off"}, [], FINISHING),
    "reboot": ("power", {"id": ID, "to": "reboot"}, [], FINISHING),
    "delete": ("delete", {"id": ID}, [], []),
    "statement": ("statement", {}, [], []),
    "invoiced": ("invoiced", {"month": "2019-12-01"}, [], [(on("GET /v2/customers/my/invoices/{invoice_uuid}"), whole)]),
    "leftovers": ("remove_leftovers", {"owner": OWNER}, [], LEFT),
    "mark": ("mark", {"id": ID, "owner": OWNER}, [], LEFT),
    "mark for the first time": ("mark", {"id": ID, "owner": OWNER}, [(on("GET /v2/tags/{tag_id}"), "code=404")], []),
}


@pytest.mark.parametrize("name", CALLS)
def test_every_request_is_valid(name, prism, connect, judged):
    call, arguments, prefer, alter = CALLS[name]
    prism.script(prefer, [*ALWAYS, *alter])
    with connect() as driver:
        driver.ok(call, **arguments)


def test_a_request_that_breaks_the_description_is_noticed(prism):
    """The referee itself: without this, a silent Prism would let everything pass."""
    prism.script()
    assert posted(prism, "/v2/droplets", '{"name": 3, "size": "s-1vcpu-1gb"}', "Authorization") == 422
    assert len(prism.violations()) == 1


# How to reach each operation, so that each of its example answers is read: call, arguments, states on the way.
REACHED_BY = {
    "GET /v2/account": CALLS["verify"],
    "GET /v2/account/keys": CALLS["create one"],
    "POST /v2/account/keys": CALLS["create one"],
    "GET /v2/actions/{action_id}": CALLS["stop"],
    "GET /v2/customers/my/balance": CALLS["statement"],
    "GET /v2/customers/my/invoices": CALLS["invoiced"],
    "GET /v2/customers/my/invoices/{invoice_uuid}": CALLS["invoiced"],
    "GET /v2/customers/my/invoices/{invoice_uuid}/summary": CALLS["invoiced"],
    "GET /v2/droplets": CALLS["list"],
    "POST /v2/droplets": CALLS["create one"],
    "GET /v2/droplets/{droplet_id}": CALLS["get"],
    "DELETE /v2/droplets/{droplet_id}": CALLS["delete"],
    "GET /v2/droplets/{droplet_id}/actions": CALLS["get locked"],
    "POST /v2/droplets/{droplet_id}/actions": CALLS["stop by force"],
    "GET /v2/images": CALLS["catalog"],
    "GET /v2/regions": CALLS["catalog"],
    "GET /v2/sizes": CALLS["catalog"],
    "DELETE /v2/account/keys/{ssh_key_identifier}": CALLS["leftovers"],
    "GET /v2/tags": CALLS["leftovers"],
    "GET /v2/tags/{tag_id}": CALLS["leftovers"],
    "DELETE /v2/tags/{tag_id}": CALLS["leftovers"],
    "POST /v2/tags": CALLS["mark for the first time"],
    "POST /v2/tags/{tag_id}/resources": CALLS["mark"],
}
KINDS = {400: "invalid", 401: "unauthenticated", 404: "not_found", 429: "rate_limited", 500: "unavailable"}
# Missing is an answer here, not a failure.
MISSING_IS_FINE = {
    "GET /v2/droplets/{droplet_id}",
    "DELETE /v2/droplets/{droplet_id}",
    "GET /v2/droplets/{droplet_id}/actions",
    "DELETE /v2/account/keys/{ssh_key_identifier}",
    "GET /v2/tags/{tag_id}",
    "DELETE /v2/tags/{tag_id}",
}


@pytest.mark.parametrize("name", REACHED_BY)
def test_every_example_answer_is_read(name, prism, connect):
    call, arguments, prefer, alter = REACHED_BY[name]
    operation = prism.contract.operation(*name.split(" "))
    answers = list(prism.contract.examples(operation))
    assert answers, f"the description has no answer for {name}"
    for status, title in answers:
        asked = f"code={status}, {example(title)}" if title else f"code={status}"
        several_made = title == "Multiple Droplet Create Response"
        prism.script([(on(name), asked), *prefer], [*ALWAYS, *alter])
        with connect() as driver:
            answer = driver.call(call, **(order(SEVERAL) if several_made else arguments))

        got = [exchange.status for exchange in prism.exchanges if str(exchange.operation) == name]
        assert status in got, f"{asked}: Prism answered {got}, the driver {answer}"
        if status < 300 or (status == 404 and name in MISSING_IS_FINE):
            assert "ok" in answer, f"{asked}: {answer}"
            continue
        error = answer.get("error", {})
        assert error.get("kind") == KINDS[status], f"{asked}: {answer}"
        if name == "POST /v2/droplets":
            # A refusal bought nothing; a server that broke down may have.
            assert error["effect"] == ("unknown" if status >= 500 else "none"), f"{asked}: {answer}"
            assert got == ([status] if status != 429 else [status] * len(got)), f"{asked}: sent {len(got)} times"


def test_every_call_in_the_driver_is_judged(prism):
    """A call that is added to the driver must be added here."""
    sent = {str(prism.contract.operation(method, "/v2" + path)) for method, path in written_calls(PROVIDER)}
    assert sent == set(REACHED_BY)
