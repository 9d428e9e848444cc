"""Errors, and clients for plain requests to the vendors' APIs.

The requests go through Capsule's HTTP core: a read is sent again where that helps, a POST never when it may have taken effect.
"""

from __future__ import annotations

import json
import os
from types import TracebackType
from typing import TYPE_CHECKING, Any, Dict, Mapping, Optional, Type, TypeVar

from . import _settings

if TYPE_CHECKING:
    from . import _native

__all__ = [
    "APIError",
    "AuthenticationError",
    "RateLimitError",
    "ResourceNotFoundError",
    "InvalidRequestError",
    "NotConfiguredError",
    "OutcomeUnknownError",
    "APIClient",
    "HivelocityAPIClient",
    "DigitalOceanAPIClient",
    "VultrAPIClient",
    "EquinixMetalAPIClient",
]


class APIError(Exception):
    """What a vendor, or the way there, answered instead of what was asked for.

    ``response`` tells what is known beside the message: ``kind``, ``code``, ``request_id``, ``hint``, and with
    ``may_have_happened`` whether the request may have taken effect all the same.
    """

    def __init__(self, message: str, status_code: Optional[int] = None, response: Optional[Dict[str, Any]] = None) -> None:
        super().__init__(message)
        self.message = message
        self.status_code = status_code
        self.response = response

    def __reduce__(self) -> Any:
        return type(self), (self.message, self.status_code, self.response)


class AuthenticationError(APIError):
    """The key is missing, wrong, or may not do this (401, 403)."""


class RateLimitError(APIError):
    """Too many requests (429)."""


class ResourceNotFoundError(APIError):
    """There is no such thing (404)."""


class InvalidRequestError(APIError, ValueError):
    """What was asked for is wrong as it stands; nothing was sent."""


class NotConfiguredError(AuthenticationError, RuntimeError):
    """There is no key to ask with."""


class OutcomeUnknownError(APIError):
    """It is not over, or nobody knows yet whether it happened: ``capsule resume`` goes on, and orders nothing twice."""


_KINDS: Dict[str, Type[APIError]] = {
    "unauthenticated": AuthenticationError,
    "forbidden": AuthenticationError,
    "rate limited": RateLimitError,
    "not found": ResourceNotFoundError,
}


def _error(kind: str, message: str, status: Optional[int], response: Dict[str, Any]) -> APIError:
    """The exception that an error of the native module is."""
    made = _KINDS.get(kind, APIError)
    if status is None:
        if kind == "unauthenticated":
            made = NotConfiguredError
        elif kind in ("invalid", "unsupported", "config"):
            made = InvalidRequestError
        elif kind == "timeout" and response.get("may_have_happened"):
            made = OutcomeUnknownError
    hint = response.get("hint")
    return made(f"{message} {hint}" if hint else message, status, response)


_Self = TypeVar("_Self", bound="APIClient")


class APIClient:
    """Sends requests below ``base_url``. ``rate_limit_delay`` is the first wait, in seconds, before a read is tried again."""

    def __init__(
        self,
        base_url: str,
        api_key: Optional[str] = None,
        timeout: float = 30,
        max_retries: int = 3,
        rate_limit_delay: float = 1.0,
        headers: Optional[Mapping[str, str]] = None,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self.api_key = api_key
        self.timeout = timeout
        self.max_retries = max_retries
        self.rate_limit_delay = rate_limit_delay
        self.headers: Dict[str, str] = dict(headers or {})
        self._client: Optional[_native.Client] = None
        self._process = 0

    def _auth(self) -> Dict[str, str]:
        """The header that the key goes into."""
        return {"Authorization": f"Bearer {self.api_key}"} if self.api_key else {}

    def _connected(self) -> _native.Client:
        # A child of fork has none of its parent's threads.
        if self._client is None or self._process != os.getpid():
            from . import _native

            core = _settings.core({}) if _settings.sandbox() else None
            pairs = list({**self._auth(), **self.headers}.items())
            self._client = _native.Client(
                self.base_url, pairs, float(self.timeout), self.max_retries, float(self.rate_limit_delay), core
            )
            self._process = os.getpid()
        return self._client

    def request(
        self,
        method: str,
        endpoint: str,
        data: Optional[Any] = None,
        params: Optional[Mapping[str, Any]] = None,
        headers: Optional[Mapping[str, str]] = None,
        **kw: Any,
    ) -> Any:
        """Sends one request and gives the JSON of the answer; ``{}`` for an empty one.

        ``json`` is another word for ``data``; other keywords are refused, since nothing would come of them.
        """
        data = kw.pop("json", data)
        if kw:
            raise TypeError(f"request() takes no {', '.join(sorted(kw))}: set timeouts and headers on the client")
        query = [(key, _word(value)) for key, value in (params or {}).items() if value is not None]
        body = None if data is None else json.dumps(data)
        text = self._connected().request(method.upper(), endpoint, query, list((headers or {}).items()), body)
        if not text.strip():
            return {}
        try:
            return json.loads(text)
        except ValueError as error:
            raise APIError(f"{self.base_url} gave an answer that is not JSON.") from error

    def get(self, endpoint: str, params: Optional[Mapping[str, Any]] = None, **kw: Any) -> Any:
        """Reads; sent again where that helps. Other keywords are those of ``request``, here and below."""
        return self.request("GET", endpoint, params=params, **kw)

    def post(self, endpoint: str, data: Optional[Any] = None, **kw: Any) -> Any:
        """Sends a POST, once."""
        return self.request("POST", endpoint, data=data, **kw)

    def put(self, endpoint: str, data: Optional[Any] = None, **kw: Any) -> Any:
        """Sends a PUT."""
        return self.request("PUT", endpoint, data=data, **kw)

    def patch(self, endpoint: str, data: Optional[Any] = None, **kw: Any) -> Any:
        """Sends a PATCH, once."""
        return self.request("PATCH", endpoint, data=data, **kw)

    def delete(self, endpoint: str, **kw: Any) -> Any:
        """Sends a DELETE."""
        return self.request("DELETE", endpoint, **kw)

    def close(self) -> None:
        """Lets go of the connections; the next request opens new ones."""
        self._client = None

    def __enter__(self: _Self) -> _Self:
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.base_url!r})"


def _word(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


class HivelocityAPIClient(APIClient):
    """Hivelocity's API, version 2."""

    def __init__(self, api_key: Optional[str]) -> None:
        super().__init__(_settings.endpoint("hivelocity", "https://core.hivelocity.net/api/v2"), api_key)

    def _auth(self) -> Dict[str, str]:
        return {"X-API-Key": self.api_key} if self.api_key else {}


class DigitalOceanAPIClient(APIClient):
    """DigitalOcean's API, version 2."""

    def __init__(self, api_key: Optional[str]) -> None:
        super().__init__(_settings.endpoint("digitalocean", "https://api.digitalocean.com/v2"), api_key)


class VultrAPIClient(APIClient):
    """Vultr's API, version 2."""

    def __init__(self, api_key: Optional[str]) -> None:
        super().__init__(_settings.endpoint("vultr", "https://api.vultr.com/v2"), api_key)


class EquinixMetalAPIClient(APIClient):
    """Equinix Metal's API, which was switched off on 2026-06-30."""

    def __init__(self, api_key: Optional[str]) -> None:
        super().__init__(_settings.endpoint("equinix", "https://api.equinix.com/metal/v1"), api_key)

    def _auth(self) -> Dict[str, str]:
        return {"X-Auth-Token": self.api_key} if self.api_key else {}
