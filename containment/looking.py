"""Looking: one read, one selected value, compared with what it was and what it should become.

Pure. Every decision of the executor (first call, resume, verify, undo, drift in force) rests on the
functions here, so that there is one idea of "in effect" in the whole product (CONTRACT §4).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

import jmespath

from containment.types import Call, Check, Compare, Read
from lib import canonical
from lib.canonical import JSON


class Reader(Protocol):
    """Whoever can carry out a read; raises `lib.aws.AwsError` or `lib.aws.NoAnswer`."""

    def read(self, read: Read) -> JSON: ...


class _Unresolved:
    """A value that is not known yet."""

    def __repr__(self) -> str:
        return "UNRESOLVED"


UNRESOLVED: Final = _Unresolved()


class Missing(LookupError):
    """A `$ref` names a step whose value is not known yet."""

    def __init__(self, step: str) -> None:
        super().__init__(step)
        self.step = step


def resolve(value: Any, *, results: Mapping[str, JSON], at: datetime | None = None) -> Any:
    """A value with its run-time forms filled in: `$ref`, `$now` and `$json`, and no others.

    `at` is the moment for `$now`; without one a `$now` cannot be resolved. Raises `Missing`.
    """
    if isinstance(value, Mapping):
        if set(value) == {"$ref"}:
            if results.get(value["$ref"]) is None:
                raise Missing(str(value["$ref"]))
            return results[value["$ref"]]
        if set(value) == {"$now"}:
            if at is None:
                raise Missing("$now")
            return (at + timedelta(seconds=value["$now"])).strftime("%Y-%m-%dT%H:%M:%SZ")
        if set(value) == {"$json"}:
            return canonical.dumps(resolve(value["$json"], results=results, at=at))
        return {key: resolve(member, results=results, at=at) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [resolve(member, results=results, at=at) for member in value]
    return value


def resolved_or_not(value: Any, *, results: Mapping[str, JSON], at: datetime | None = None) -> Any:
    """Like `resolve`, but `UNRESOLVED` in place of `Missing`."""
    try:
        return resolve(value, results=results, at=at)
    except Missing:
        return UNRESOLVED


def holds_form(value: Any, form: str) -> bool:
    """Whether a run-time form (`$ref`, `$now`) occurs anywhere in the value."""
    if isinstance(value, Mapping):
        return set(value) == {form} or any(holds_form(member, form) for member in value.values())
    if isinstance(value, list | tuple):
        return any(holds_form(member, form) for member in value)
    return False


def resolved_read(read: Read, *, results: Mapping[str, JSON]) -> Read:
    """A read with its `$ref`s filled in."""
    return replace(read, params=resolve(read.params, results=results))


def resolved_call(call: Call, *, results: Mapping[str, JSON], at: datetime | None = None) -> Call:
    """A call with its run-time forms filled in."""
    return replace(call, params=resolve(call.params, results=results, at=at))


def resolved_check(check: Check, *, results: Mapping[str, JSON]) -> Check:
    """A check with its read filled in; `equals` stays as planned."""
    return replace(check, read=resolved_read(check.read, results=results))


def refs(value: Any) -> Iterable[str]:
    """The names of all steps that a value refers to."""
    if isinstance(value, Mapping):
        if set(value) == {"$ref"}:
            yield str(value["$ref"])
            return
        for member in value.values():
            yield from refs(member)
    elif isinstance(value, list | tuple):
        for member in value:
            yield from refs(member)


def select(path: str, answer: JSON) -> JSON:
    """The small value at a JMESPath; an empty list or object counts as null."""
    if answer is None:
        return None
    value: JSON = jmespath.search(path, answer)
    return None if value in ([], {}) else value


def decoded(answer: JSON, paths: Iterable[str]) -> JSON:
    """The answer with JSON text at the given dotted paths turned into what it says."""
    for path in paths:
        *parents, last = path.split(".")
        node: Any = answer
        for parent in parents:
            node = node.get(parent) if isinstance(node, dict) else None
        if isinstance(node, dict) and isinstance(node.get(last), str):
            node[last] = json.loads(node[last])
    return answer


def normal(value: Any, compare: Compare) -> Any:
    """A value in the one order in which it is stored and compared."""
    if compare is Compare.SET and isinstance(value, list | tuple):
        return sorted(value, key=canonical.dumps)
    if compare is Compare.POLICY:
        return _policy(value)
    return value


def same(one: Any, other: Any, compare: Compare) -> bool:
    """Whether two values are equal in the sense of the comparison; nothing equals `UNRESOLVED`."""
    if one is UNRESOLVED or other is UNRESOLVED:
        return False
    if compare is Compare.PRESENT:
        return bool(one) == bool(other)
    return canonical.dumps(normal(one, compare)) == canonical.dumps(normal(other, compare))


def q(value: str) -> str:
    """A text as a JMESPath literal, safe to paste into an expression."""
    return "`" + json.dumps(value).replace("`", "\\`") + "`"


_UNORDERED = frozenset({"Action", "NotAction", "Resource", "NotResource", "AWS", "Service", "Federated"})


def _policy(document: Any) -> Any:
    """An IAM document without the differences that mean nothing: one-member lists, order of members."""
    if not isinstance(document, dict):
        return document
    normalised: dict[str, Any] = {}
    for key, value in document.items():
        if key == "Statement":
            statements = value if isinstance(value, list) else [value]
            normalised[key] = [_policy(statement) for statement in statements]
        elif key == "Condition" and isinstance(value, dict):
            normalised[key] = {
                operator: {name: _members(member) for name, member in operands.items()}
                if isinstance(operands, dict)
                else operands
                for operator, operands in value.items()
            }
        elif key in _UNORDERED:
            normalised[key] = _members(value)
        else:
            normalised[key] = _policy(value)
    return normalised


def _members(value: Any) -> Any:
    if not isinstance(value, list):
        return value
    return value[0] if len(value) == 1 else sorted(value, key=canonical.dumps)
