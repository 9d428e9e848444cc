"""Hivelocity's own description judges what the simulated Hivelocity answers: Prism stands in between.

Nobody else's client exists, so the requests here are written from the description, without Capsule's driver.
"""

import json
import urllib.error
import urllib.request

import pytest

from vendors import KEY

VPS = {"productId": 2379, "locationName": "NYC1", "osName": "Ubuntu 24.04 (VPS)", "period": "hourly"}
METAL = {"productId": 504, "locationName": "TPA1", "osName": "Ubuntu 24.04", "period": "hourly"}


def is_known(exchange, violation):
    """Where the description itself is wrong or silent."""
    # It has `powerStatus` of the status view as an object of the type `ON|OFF`.
    if violation.get("code") == "type" and violation.get("location", [])[-1:] == ["powerStatus"]:
        return True
    # It has no refusal of a switch but for a missing right; the vendor's own clients read one.
    return exchange.path.endswith("/power") and violation.get("message", "").startswith("Unable to match the returned")


class Client:
    def __init__(self, url, key="sandbox"):
        self.url, self.key = url, key

    def call(self, method, path, body=None):
        """Status and answer; an empty one is None."""
        headers = {"X-API-KEY": self.key, "Content-Type": "application/json"}
        payload = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(self.url + path, payload, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as reply:
                status, text = reply.status, reply.read()
        except urllib.error.HTTPError as refused:
            status, text = refused.code, refused.read()
        return status, json.loads(text) if text else None

    def ok(self, method, path, body=None):
        status, answer = self.call(method, path, body)
        assert status < 300, f"{method} {path}: {status} {answer}"
        return answer


@pytest.fixture
def judge(prism_proxy, sandbox):
    return prism_proxy("hivelocity", f"{sandbox['hivelocity']}/api/v2")


@pytest.fixture
def hv(judge):
    yield Client(judge.url)
    assert judge.exchanges, "nothing was sent"
    wrong = [
        f"{exchange} -> {exchange.status} {violation}"
        for exchange in judge.exchanges
        for violation in exchange.violations
        if not is_known(exchange, violation)
    ]
    assert not wrong, "\n".join(wrong)


def life(hv, family, body, wait_until):
    """One server from its order to its end, in every view."""
    made = hv.ok("POST", f"/{family}/", {**body, "hostname": "web.example.com", "tags": ["a:b"], "script": "#!/bin/sh\n"})
    number, order = made["deviceId"], made["orderId"]
    assert hv.call("GET", f"/{family}/{number}")[0] == 404, "it is not shown before its order is done"
    assert order in [open_one["orderId"] for open_one in hv.ok("GET", "/order/in-progress")]
    assert hv.call("DELETE", f"/{family}/{number}")[0] == 404
    wait_until("the order", lambda: hv.ok("GET", f"/order/{order}")["status"] == "complete")
    assert order in [known["orderId"] for known in hv.ok("GET", "/order/")]

    def state():
        seen = hv.ok("GET", f"/device/{number}")
        return seen["spsStatus"], seen["powerStatus"]

    def reach(power):
        wait_until(f"IN_USE and {power}", lambda: state() == ("IN_USE", power))

    reach("ON")
    shown = hv.ok("GET", f"/{family}/{number}")
    assert (shown["hostname"], shown["tags"], shown["orderId"]) == ("web.example.com", ["a:b"], order)
    assert number in [one["deviceId"] for one in hv.ok("GET", f"/{family}/")]
    assert number in [one["deviceId"] for one in hv.ok("GET", "/device/")]
    other = "bare-metal-devices" if family == "compute" else "compute"
    assert hv.call("GET", f"/{other}/{number}")[0] == 404

    for action, power in (("shutdown", "OFF"), ("boot", "ON"), ("reboot", "ON")):
        assert hv.call("POST", f"/device/{number}/power?action={action}")[0] == 202
        reach(power)
        assert hv.ok("GET", f"/device/{number}/power")["powerStatus"] == power
    hv.ok("POST", f"/device/{number}/power?action=shutdown")
    reach("OFF")
    status, answer = hv.call("POST", f"/device/{number}/power?action=shutdown")
    assert status >= 400 and "while server is powered off" in answer["message"]

    assert hv.ok("PUT", f"/device/{number}/tags", {"tags": ["c"]})["tags"] == ["c"]
    assert hv.ok("GET", f"/device/{number}/tags")["tags"] == ["c"]

    status, _ = hv.call("DELETE", f"/{family}/{number}")
    assert status in (201, 204)
    if status == 201:
        assert hv.ok("GET", f"/device/{number}")["hasCancellation"] is True
        assert hv.call("DELETE", f"/{family}/{number}")[0] == 409
    wait_until("its end", lambda: hv.call("GET", f"/{family}/{number}")[0] == 404)


def test_a_virtual_server_lives(hv, wait_until):
    life(hv, "compute", VPS, wait_until)


def test_a_whole_machine_lives(hv, wait_until):
    life(hv, "bare-metal-devices", METAL, wait_until)


def test_what_is_sold_is_described(hv):
    for by in ("flat", "city", "facility"):
        rows = [row for rows in hv.ok("GET", f"/inventory/product?location=MAIN&group_by={by}").values() for row in rows]
        assert {(2379, True), (504, False)} <= {(row["product_id"], row["is_vps"]) for row in rows}
    assert "GPU" not in hv.ok("GET", "/inventory/product?location=GPU")
    assert hv.ok("GET", "/inventory/product/2379")["is_vps"] is True
    assert hv.call("GET", "/inventory/product/1")[0] == 404
    assert "TPA1" in [place["code"] for place in hv.ok("GET", "/inventory/locations")]
    assert METAL["osName"] in [system["name"] for system in hv.ok("GET", "/product/504/operating-systems")]
    assert hv.ok("GET", "/profile/basic")["email"]


def test_many_servers_are_one_order_and_one_list(hv, wait_until):
    devices = [{**VPS, "hostname": f"many-{n}.example.com"} for n in range(30)]
    made = hv.ok("POST", "/compute/batch", {"devices": devices})["devices"]
    assert len({one["deviceId"] for one in made}) == 30 and len({one["orderId"] for one in made}) == 1
    wait_until("all of them", lambda: len(hv.ok("GET", "/compute/")) == 30)
    assert len(hv.ok("GET", "/device/")) == 30


def test_keys(hv):
    made = hv.ok("POST", "/ssh_key/", {"name": "me", "publicKey": KEY})
    assert hv.ok("GET", "/ssh_key/") == [made] == [hv.ok("GET", f"/ssh_key/{made['sshKeyId']}")]
    body = {**VPS, "hostname": "a.example.com", "publicSshKeyId": made["sshKeyId"]}
    assert hv.ok("POST", "/compute/", body)["publicSshKeyId"] == made["sshKeyId"]
    hv.ok("DELETE", f"/ssh_key/{made['sshKeyId']}")
    assert hv.call("GET", f"/ssh_key/{made['sshKeyId']}")[0] == 404


def test_each_wrong_order_is_refused(sandbox):
    # Without Prism: it would notice some of these itself.
    hv = Client(f"{sandbox['hivelocity']}/api/v2")
    good = {**VPS, "hostname": "a.example.com"}
    for change in (
        {"productId": 1},
        {"productId": 504},
        {"productId": "2379"},
        {"locationName": "XXX9"},
        {"osName": "Ubuntu 24.04"},
        {"hostname": "no-domain"},
        {"hostname": None},
        {"period": "daily"},
        {"publicSshKeyId": 1},
    ):
        status, answer = hv.call("POST", "/compute/", {**good, **change})
        assert status == 400 and answer, change
    assert hv.call("POST", "/bare-metal-devices/", {**METAL, "hostname": "a.b", "productId": 577})[0] == 400
    assert hv.call("POST", "/compute/", good)[0] == 200
    assert hv.call("GET", "/compute")[0] == 404, "the slash is part of the path"
    assert Client(hv.url, "wrong").call("GET", "/profile/basic")[0] == 401
    number = hv.ok("POST", "/compute/", good)["deviceId"]
    assert Client(hv.url, "sandbox-other").call("GET", f"/compute/{number}")[0] == 401
