"""What the judges of all vendors' descriptions have in common: one order, and the words for which request is meant."""

import http.client
import re
import urllib.parse

from processes import ROOT

OWNER, TOKEN = "0123456789abcdef", "0123456789abcdefghjkmnpqrs"
# A real key's shape; the private half was never kept.
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIK0wmN/Cr3JXqmLW7u+g9pTh+wyqDHpSQEIQczXkVx9q me@example.com"


def ordered(names, **spec):
    """The arguments of a driver's `create` for servers of these names."""
    usual = {
        "disk_gib": None,
        "ssh_keys": [{"public": KEY}],
        "user_data": "#cloud-config\nruncmd:\n  - touch /opt/here\n",
        "tags": {"env": "test", "team": "a/b c"},
    }
    return {"order": {"token": TOKEN, "owner": OWNER, "names": names, "spec": {**usual, **spec}}}


def on(operation):
    """Fits requests of one operation, written as in the description: `GET /regions`."""
    return lambda asked, _body, _query: str(asked) == operation


def posted(prism, path, body, header):
    """The status that Prism gives to a POST, whose key is in this header."""
    url = urllib.parse.urlsplit(prism.url)
    connection = http.client.HTTPConnection(url.hostname, url.port)
    connection.request("POST", path, body, {header: "Bearer k", "Content-Type": "application/json"})
    status = connection.getresponse().status
    connection.close()
    return status


def source(provider):
    """The text of the files in which a driver writes its calls."""
    folder = ROOT / "crates/providers/src" / provider
    return "".join((folder / file).read_text() for file in ("api.rs", "invoices.rs"))


def written_calls(provider):
    """The calls that a driver writes, as method and path, with `1` for what is put into a path."""
    text = source(provider)
    calls = re.findall(r'Call::(get|post|put|patch|delete)\(\s*"[\w.]+",\s*(?:format!\()?"([^"]+)"', text)
    assert len(calls) == len(re.findall(r"Call::(?:get|post|put|patch|delete)\(", text)), (
        "a call is written in a way that this test does not understand"
    )
    return [(method.upper(), re.sub(r"\{\w*\}", "1", path)) for method, path in calls]
