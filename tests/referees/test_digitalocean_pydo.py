"""pydo, DigitalOcean's own SDK, works on the simulated DigitalOcean, alone and with Prism in between."""

import collections
import http.server
import threading

import azure.core.exceptions
import pydo
import pytest

from vendors import KEY

# pydo refuses plain http unless each call says otherwise.
PLAIN = {"enforce_https": False}
SPEC = {"region": "nyc3", "size": "s-1vcpu-1gb", "image": "ubuntu-24-04-x64"}


def client(url, token="sandbox"):
    return pydo.Client(token=token, endpoint=url)


def everything(do, per_page=200, **query):
    """All droplets, page after page, and how many pages there were."""
    found, page = [], 1
    while True:
        answer = do.droplets.list(per_page=per_page, page=page, **query, **PLAIN)
        found += answer["droplets"]
        if "next" not in answer.get("links", {}).get("pages", {}):
            assert answer["meta"]["total"] == len(found)
            return found, page
        page += 1


def life(do, wait_until):
    """One droplet from its order to its end, with each answer that a driver depends on."""
    assert do.account.get(**PLAIN)["account"]["status"] == "active"
    assert SPEC["size"] in [size["slug"] for size in do.sizes.list(per_page=200, **PLAIN)["sizes"]]
    assert SPEC["region"] in [region["slug"] for region in do.regions.list(per_page=200, **PLAIN)["regions"]]
    images = do.images.list(type="distribution", per_page=200, **PLAIN)["images"]
    assert SPEC["image"] in [image["slug"] for image in images]

    key = do.ssh_keys.create(body={"name": "me", "public_key": KEY}, **PLAIN)["ssh_key"]
    assert key["id"] in [known["id"] for known in do.ssh_keys.list(**PLAIN)["ssh_keys"]]

    body = {**SPEC, "name": "web", "tags": ["env:test"], "ssh_keys": [key["id"]], "user_data": "#cloud-config\n"}
    made = do.droplets.create(body=body, **PLAIN)
    number = made["droplet"]["id"]
    assert made["links"]["actions"][0]["rel"] == "create"

    def droplet():
        return do.droplets.get(number, **PLAIN)["droplet"]

    def reach(status):
        wait_until(f"the status {status}", lambda: droplet()["status"] == status)

    def act(what):
        action = do.droplet_actions.post(number, body={"type": what}, **PLAIN)["action"]
        assert action["type"] == what

        def ended():
            return do.actions.get(action["id"], **PLAIN)["action"]["status"] == "completed"

        wait_until(f"the end of {what}", ended)

    reach("active")
    assert "public" in [address["type"] for address in droplet()["networks"]["v4"]]
    assert droplet()["tags"] == ["env:test"]
    tagged = do.droplets.list(tag_name="env:test", **PLAIN)["droplets"]
    assert [found["id"] for found in tagged] == [number]

    act("shutdown")
    reach("off")
    act("power_on")
    reach("active")
    act("reboot")
    act("power_off")
    reach("off")

    do.droplets.destroy(number, **PLAIN)

    wait_until("its end", lambda: do.droplets.get(number, **PLAIN).get("id") == "not_found")


def errors(do, wrong):
    """One refusal of each kind, as the SDK tells them apart."""
    with pytest.raises(azure.core.exceptions.ClientAuthenticationError) as refused:
        wrong.account.get(**PLAIN)
    assert refused.value.status_code == 401
    # pydo gives the body of a documented 404 back instead of raising.
    for missing in (
        do.droplets.get(1, **PLAIN),
        do.droplets.destroy(1, **PLAIN),
        do.droplet_actions.post(1, body={"type": "power_on"}, **PLAIN),
    ):
        assert missing["id"] == "not_found" and missing["message"]
    with pytest.raises(azure.core.exceptions.HttpResponseError) as refused:
        do.droplets.create(body={**SPEC, "name": "web", "size": "no-such-size"}, **PLAIN)
    assert refused.value.status_code == 422
    assert everything(do)[0] == []


def test_a_droplet_lives_from_order_to_end(sandbox, wait_until):
    life(client(sandbox["digitalocean"]), wait_until)


def test_a_list_of_several_pages_is_whole(sandbox):
    do = client(sandbox["digitalocean"])
    names = [f"many-{number:03}" for number in range(230)]
    for start in range(0, len(names), 10):
        body = {**SPEC, "names": names[start : start + 10], "tags": ["many"]}
        assert len(do.droplets.create(body=body, **PLAIN)["droplets"]) == 10
    for query in ({}, {"tag_name": "many"}):
        found, pages = everything(do, **query)
        assert (sorted(one["name"] for one in found), pages) == (names, 2)
    found, pages = everything(do, per_page=50)
    assert (len({one["id"] for one in found}), pages) == (230, 5)


def test_errors_are_the_sdks_own(sandbox):
    url = sandbox["digitalocean"]
    errors(client(url), client(url, token="wrong"))


def test_prism_finds_no_fault_with_the_answers(sandbox, prism_proxy, wait_until, table):
    between = prism_proxy("digitalocean", sandbox["digitalocean"])
    life(client(between.url), wait_until)
    errors(client(between.url), client(between.url, token="wrong"))
    assert not between.violations(), "\n".join(between.violations())

    answers = collections.Counter(f"{exchange.operation} -> {exchange.status}" for exchange in between.exchanges)
    lines = [f"{count:5}  {answer}" for answer, count in sorted(answers.items())]
    table(["DigitalOcean: answers of the simulator that passed the vendor's description", *lines])


def test_an_answer_that_breaks_the_description_is_noticed(prism_proxy):
    """The referee itself: without this, a silent Prism would let every answer pass."""

    class Liar(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = b'{"account": {"email": 3}}'
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Liar) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            between = prism_proxy("digitalocean", f"http://127.0.0.1:{server.server_port}")
            client(between.url).account.get(**PLAIN)
        finally:
            server.shutdown()
            thread.join()
    (violation,) = between.violations()
    assert "must be string" in violation
