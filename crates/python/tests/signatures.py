"""How a class or function is called, and a dataclass's fields, to be compared with the contract."""

import dataclasses
import inspect
from types import ModuleType
from typing import Any, List


def signature(module: ModuleType, name: str) -> str:
    """The parameters with their defaults, without annotations."""
    target: Any = module
    for part in name.split("."):
        target = getattr(target, part)
    called = inspect.signature(target)
    bare = [parameter.replace(annotation=inspect.Parameter.empty) for parameter in called.parameters.values()]
    return str(inspect.Signature(bare))


def fields_of(kind: type) -> List[str]:
    """Names of the fields, in order."""
    return [field.name for field in dataclasses.fields(kind)]
