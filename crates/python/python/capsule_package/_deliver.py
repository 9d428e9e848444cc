"""Sends a document to a web address that somebody chose. The address may be a secret, so nothing here repeats it."""

import ipaddress
import json
import urllib.error
import urllib.parse
import urllib.request
from typing import Any, Mapping


def check(url: str, name: str) -> None:
    """Raises ValueError unless `url`, the setting `name`, is https, or http to this machine itself."""
    try:
        parts = urllib.parse.urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        raise ValueError(f"`{name}` is no web address.") from None
    if not host or (parts.scheme != "https" and not (parts.scheme == "http" and _is_loopback(host))):
        raise ValueError(f"`{name}` has to be an https address; http only reaches this machine itself.")


def post(url: str, name: str, document: Mapping[str, Any], timeout: float) -> None:
    """Posts JSON to the address in the setting `name`. A redirection is not followed: it would carry the document off.

    Raises ValueError for an address that is not allowed, OSError that names only the setting where it does not arrive.
    """
    check(url, name)
    request = urllib.request.Request(
        url,
        # Not a number is no JSON.
        data=json.dumps(document, allow_nan=False).encode(),
        headers={"Content-Type": "application/json", "User-Agent": "capsule"},
        method="POST",
    )
    try:
        with urllib.request.build_opener(_Stay).open(request, timeout=timeout):
            pass
    except urllib.error.HTTPError as error:
        code = error.code
        error.close()
        raise OSError(f"`{name}` answered {code}.") from None
    except OSError as error:
        reason = getattr(error, "reason", error)
        kind = type(reason if isinstance(reason, BaseException) else error).__name__
        raise OSError(f"`{name}` cannot be reached ({kind}).") from None


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
