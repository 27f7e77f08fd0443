"""JSON in exactly one spelling, and digests over it."""

from __future__ import annotations

import hashlib
import json
from typing import Any, TypeAlias

JSON: TypeAlias = "bool | int | str | list[JSON] | dict[str, JSON] | None"


# One for all: `json.dumps` makes a new one each time, which for a short list takes longer than the list.
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)


class Inexact(TypeError):
    """A value that has no single spelling in JSON (a float, bytes, an object) was to be hashed."""


def dumps(value: Any) -> str:
    """Canonical JSON: sorted keys, no spaces, UTF-8 as it is; refuses floats (`Inexact`)."""
    _exact(value)
    return spelled(value)


def spelled(value: Any) -> str:
    """As `dumps`, but floats as Python spells them: for what others sent."""
    return _ENCODER.encode(value)


def sha256(value: Any) -> str:
    """Lower-case hex SHA-256 of the canonical JSON of a value."""
    return hashlib.sha256(dumps(value).encode()).hexdigest()


def _exact(value: Any) -> None:
    if value is None or isinstance(value, str | bool | int):
        return
    if isinstance(value, list | tuple):
        for member in value:
            _exact(member)
        return
    if isinstance(value, dict):
        for key, member in value.items():
            if not isinstance(key, str):
                raise Inexact(f"the key {key!r} is not text")
            _exact(member)
        return
    raise Inexact(f"{type(value).__name__} has no single spelling in JSON")
