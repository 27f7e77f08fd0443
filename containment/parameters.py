"""Parameters of action types: declared once as a frozen dataclass, checked, and shown as JSON Schema.

Pure.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast, get_type_hints

from lib.errors import Invalid

_MISSING = dataclasses.MISSING


def param(
    description: str,
    *,
    default: Any = _MISSING,
    minimum: int | None = None,
    maximum: int | None = None,
    pattern: str = "",
    choices: tuple[str, ...] = (),
) -> Any:
    """A field of a parameters class, with what JSON Schema says of it.

    For a field of type `tuple[str, ...]`, `pattern` and `choices` are about each member, `minimum` and
    `maximum` about their number.
    """
    facts = {
        "description": description,
        "minimum": minimum,
        "maximum": maximum,
        "pattern": pattern,
        "enum": list(choices),
    }
    metadata = {key: value for key, value in facts.items() if value not in (None, "", [])}
    if default is _MISSING:
        return field(metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, kw_only=True)
class NoParams:
    """For types that need nothing but their target."""


_LIST = tuple[str, ...]
_JSON_TYPES: dict[Any, str] = {str: "string", int: "integer", bool: "boolean", _LIST: "array"}


def schema(params: type) -> dict[str, Any]:
    """The JSON Schema (2020-12) of a parameters class."""
    hints = get_type_hints(params)
    properties: dict[str, Any] = {}
    for one in dataclasses.fields(cast(Any, params)):
        properties[one.name] = _schema_of(hints[one.name], one.metadata)
        if one.default is not _MISSING:
            default = one.default
            properties[one.name]["default"] = list(default) if isinstance(default, tuple) else default
    required = [f.name for f in dataclasses.fields(cast(Any, params)) if f.default is _MISSING]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def check(params: type, given: Mapping[str, Any]) -> Any:
    """The parameters as their class; raises `Invalid` with the pointer of the first wrong value."""
    hints = get_type_hints(params)
    known = {one.name: one for one in dataclasses.fields(cast(Any, params))}
    for name in given:
        if name not in known:
            raise Invalid(f"There is no parameter {name[:60]!r}.", pointer=f"/params/{name[:60]}")
    for name, one in known.items():
        if name in given:
            _check_one(name, given[name], hints[name], one.metadata)
        elif one.default is _MISSING:
            raise Invalid(
                f"The parameter {name} is needed: {one.metadata['description']}.", pointer=f"/params/{name}"
            )
    return load(params, given)


def load(params: type, stored: Mapping[str, Any]) -> Any:
    """The parameters as their class, from JSON that was checked before."""
    return params(
        **{name: tuple(value) if isinstance(value, list) else value for name, value in stored.items()}
    )


def _schema_of(kind: Any, facts: Mapping[str, Any]) -> dict[str, Any]:
    if kind != _LIST:
        return {"type": _JSON_TYPES[kind], **facts}
    of_list = {"minimum": "minItems", "maximum": "maxItems", "description": "description"}
    members = {name: value for name, value in facts.items() if name not in of_list}
    named = {of_list[name]: value for name, value in facts.items() if name in of_list}
    return {"type": "array", **named, "items": {"type": "string", **members}}


def _check_list(name: str, value: Any, facts: Mapping[str, Any]) -> None:
    if not isinstance(value, list | tuple):
        raise Invalid(f"{name} must be a list of text.", pointer=f"/params/{name}")
    if len(value) < facts.get("minimum", 0):
        raise Invalid(f"{name} needs at least {facts['minimum']}.", pointer=f"/params/{name}")
    if len(value) > facts.get("maximum", 500):
        raise Invalid(f"{name} takes at most {facts.get('maximum', 500)}.", pointer=f"/params/{name}")
    each = {key: fact for key, fact in facts.items() if key in ("pattern", "enum")}
    for index, member in enumerate(value):
        _check_one(f"{name}/{index}", member, str, each)


def _check_one(name: str, value: Any, kind: type, facts: Mapping[str, Any]) -> None:
    pointer = f"/params/{name}"
    if kind == _LIST:
        _check_list(name, value, facts)
        return
    if type(value) is not kind:
        raise Invalid(f"{name} must be of type {_JSON_TYPES[kind]}.", pointer=pointer)
    if "enum" in facts and value not in facts["enum"]:
        raise Invalid(f"{name} must be one of {', '.join(facts['enum'])}.", pointer=pointer)
    if "minimum" in facts and value < facts["minimum"]:
        raise Invalid(f"{name} must be at least {facts['minimum']}.", pointer=pointer)
    if "maximum" in facts and value > facts["maximum"]:
        raise Invalid(f"{name} must be at most {facts['maximum']}.", pointer=pointer)
    if "pattern" in facts and not re.fullmatch(facts["pattern"], str(value)):
        raise Invalid(f"{name} does not have the form {facts['pattern']}.", pointer=pointer)
