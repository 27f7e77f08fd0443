"""The catalogue: every action type, found by walking this package. Pure."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from functools import cache

from containment.describing import ActionType

_types: dict[str, type[ActionType]] = {}


class UnknownType(LookupError):
    """No action type has that id."""


def register(declared: type[ActionType]) -> type[ActionType]:
    """Add a type to the catalogue; its id is its module's path (`ec2.isolate-instance`)."""
    if declared.id in _types:
        raise ValueError(f"two action types are called {declared.id}")
    _types[declared.id] = declared
    return declared


def action_type(type_id: str) -> type[ActionType]:
    """A type by its id; raises `UnknownType`."""
    discover()
    try:
        return _types[type_id]
    except KeyError:
        raise UnknownType(type_id) from None


def catalogue() -> Iterator[type[ActionType]]:
    """All types, by id."""
    discover()
    yield from (declared for _, declared in sorted(_types.items()))


@cache
def discover() -> None:
    """Import every module of this package. May be called any number of times; walks it once."""
    for package in pkgutil.iter_modules(__path__, f"{__name__}."):
        found = importlib.import_module(package.name)
        for module in pkgutil.iter_modules(getattr(found, "__path__", []), f"{package.name}."):
            importlib.import_module(module.name)
