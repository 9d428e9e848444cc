"""What the clients send and raise, against a server of this test's own."""

from __future__ import annotations

import json
import pickle
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Iterator, List, Tuple

import pytest

from capsule_package import api_clients
from capsule_package.api_clients import APIClient, APIError

class Server(ThreadingHTTPServer):
    """Answers what the path says, and keeps what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.seen: List[Tuple[str, str, Any, bytes]] = []


class Handler(BaseHTTPRequestHandler):
    server: Server

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        self.server.seen.append((self.command, self.path, self.headers, body))
        status = int(self.path.split("?")[0].rsplit("/", 1)[1])
        content = b"" if status == 204 else json.dumps({"message": f"it is {status}"}).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.delenv("CAPSULE_SANDBOX")
    server = Server()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def client(server: Server, **more: Any) -> APIClient:
    return APIClient(f"http://127.0.0.1:{server.server_port}/v2/", "k3y", rate_limit_delay=0.001, **more)


def test_requests_arrive_as_they_were_meant(server: Server) -> None:
    with client(server, headers={"X-More": "m"}) as api:
        assert api.base_url.endswith("/v2")
        assert api.get("/200", {"a": "b c", "on": True}) == {"message": "it is 200"}
        assert api.post("x/201", {"n": 1}) == {"message": "it is 201"}
        assert api.delete("204") == {}
    (get, path, headers, _), (_, _, _, body), _ = server.seen
    assert (get, path, headers["authorization"], headers["x-more"]) == ("GET", "/v2/200?a=b%20c&on=true", "Bearer k3y", "m")
    assert json.loads(body) == {"n": 1}


def test_each_method_takes_what_request_takes(server: Server) -> None:
    api = client(server)
    api.get("200", headers={"X-Once": "1"})
    api.post("201", params={"dry": True}, json={"n": 2})
    api.delete("204", data={"force": False})
    (_, _, headers, _), (_, path, _, posted), (_, _, _, deleted) = server.seen
    assert (headers["x-once"], path) == ("1", "/v2/201?dry=true")
    assert (json.loads(posted), json.loads(deleted)) == ({"n": 2}, {"force": False})


@pytest.mark.parametrize(
    "status, name",
    [
        (401, "AuthenticationError"),
        (403, "AuthenticationError"),
        (404, "ResourceNotFoundError"),
        (429, "RateLimitError"),
        (422, "APIError"),
        (500, "APIError"),
    ],
)
def test_a_status_is_an_error_of_its_class(server: Server, status: int, name: str) -> None:
    with pytest.raises(APIError) as raised:
        client(server).get(str(status))
    error = raised.value
    assert type(error) is getattr(api_clients, name)
    assert error.status_code == status and f"it is {status}" in error.message
    assert error.response is not None and "k3y" not in f"{error!r}{error.response}"
    # `capsule provider login` knows no key of a client's own.
    assert "provider login" not in error.message
    assert pickle.loads(pickle.dumps(error)).status_code == status


@pytest.mark.parametrize("method, sent", [("get", 4), ("put", 4), ("delete", 4), ("post", 1), ("patch", 1)])
def test_what_may_have_happened_is_not_sent_again(server: Server, method: str, sent: int) -> None:
    with pytest.raises(APIError) as raised:
        getattr(client(server), method)("502")
    assert len(server.seen) == sent
    assert raised.value.response is not None
    assert raised.value.response["may_have_happened"] is (method != "get")


@pytest.mark.parametrize(
    "made, base, header",
    [
        (api_clients.HivelocityAPIClient, "https://core.hivelocity.net/api/v2", {"X-API-Key": "k"}),
        (api_clients.DigitalOceanAPIClient, "https://api.digitalocean.com/v2", {"Authorization": "Bearer k"}),
        (api_clients.VultrAPIClient, "https://api.vultr.com/v2", {"Authorization": "Bearer k"}),
        (api_clients.EquinixMetalAPIClient, "https://api.equinix.com/metal/v1", {"X-Auth-Token": "k"}),
    ],
)
def test_each_vendor_has_its_base_and_header(made: Any, base: str, header: Any) -> None:
    assert (made("k").base_url, made("k")._auth()) == (base, header)


def test_an_endpoint_of_the_users_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAPSULE_VULTR_ENDPOINT", "http://127.0.0.1:1/v2/")
    assert api_clients.VultrAPIClient("k").base_url == "http://127.0.0.1:1/v2"


def test_a_key_crosses_no_network_in_clear() -> None:
    with pytest.raises(ValueError, match="plain http"):
        APIClient("http://api.example.com", "k").get("x")


def test_what_has_no_effect_is_refused() -> None:
    with pytest.raises(TypeError, match="verify"):
        APIClient("https://api.example.com").request("GET", "x", verify=False)
