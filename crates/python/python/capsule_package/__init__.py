"""Rents servers from several clouds, each exactly once, and makes xNodes of them.

The names that the modules below offer can also be had from here. Nothing is loaded before it is asked for, so that what
is written in Python alone (``inventory``, ``monitoring``, ``nixos_generator``, ``openmesh_core``) needs nothing else.
"""

from __future__ import annotations

import importlib
from typing import Any

_MODULES = ("providers", "api_clients", "aio", "inventory", "openmesh_core", "monitoring", "nixos_generator")
_NAMES = {
    "providers": (
        "Provider",
        "ProviderTemplate",
        "ProviderManager",
        "HivelocityProvider",
        "DigitalOceanProvider",
        "VultrProvider",
        "AWSProvider",
        "EquinixMetalProvider",
        "LinodeProvider",
        "ScalewayProvider",
    ),
    "api_clients": (
        "APIClient",
        "APIError",
        "AuthenticationError",
        "RateLimitError",
        "ResourceNotFoundError",
        "HivelocityAPIClient",
        "DigitalOceanAPIClient",
        "VultrAPIClient",
        "EquinixMetalAPIClient",
    ),
}
_HOME = {name: module for module, names in _NAMES.items() for name in names}

__all__ = [*_MODULES, *_HOME]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f".{name}", __name__)
    if name in _HOME:
        return getattr(importlib.import_module(f".{_HOME[name]}", __name__), name)
    if name == "__version__":
        return importlib.import_module("._native", __name__).__version__
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, "__version__"})
