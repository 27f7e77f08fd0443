"""A reader of IAM policies, as far as the simulated AWS enforces them.

Pure functions over policy documents. Evaluated: Effect, Action and NotAction, Principal and
NotPrincipal, and the condition operators below. Resources are matched only when the caller names
one; see `statement_applies`.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, in the spellings a Principal element may use."""

    account: str
    arns: frozenset[str]


def read_document(text: str) -> Document:
    """A policy document from JSON, also from the URL-encoded form that IAM stores."""
    document: Document = json.loads(text if text.lstrip().startswith("{") else unquote(text))
    return document


def statements(document: Document) -> list[Document]:
    """The statements of a document; one statement may stand without a list."""
    found = document.get("Statement", [])
    return [found] if isinstance(found, Mapping) else list(found)


def statement_applies(
    statement: Document,
    *,
    action: str,
    context: Mapping[str, str],
    caller: Caller | None = None,
    resource: str | None = None,
) -> bool:
    """Whether a statement speaks about this call.

    A statement limited to certain resources applies only if `resource` is given and matches: the
    simulator names no resource for most calls, and a deny that might not match must not block.
    """
    if not _action_matches(statement, action):
        return False
    if caller is not None and not _principal_matches(statement, caller):
        return False
    if not _resource_matches(statement, resource):
        return False
    return conditions_hold(statement.get("Condition", {}), context)


def decide(
    document: Document,
    *,
    action: str,
    context: Mapping[str, str],
    caller: Caller | None = None,
    resource: str | None = None,
) -> str:
    """`Deny`, `Allow` or `` (says nothing), for one document; an explicit deny wins."""
    effects = {
        str(statement.get("Effect"))
        for statement in statements(document)
        if statement_applies(statement, action=action, context=context, caller=caller, resource=resource)
    }
    if "Deny" in effects:
        return "Deny"
    return "Allow" if "Allow" in effects else ""


def _as_list(value: Any) -> list[str]:
    if value is None:
        return []
    return [str(item) for item in value] if isinstance(value, list | tuple) else [str(value)]


@lru_cache(maxsize=4096)
def _pattern(wildcard: str, ignore_case: bool) -> re.Pattern[str]:
    parts = [
        ".*" if part == "*" else "." if part == "?" else re.escape(part)
        for part in re.split(r"([*?])", wildcard)
    ]
    return re.compile("".join(parts) + r"\Z", re.DOTALL | (re.IGNORECASE if ignore_case else 0))


def _like(wildcard: str, value: str, *, ignore_case: bool = False) -> bool:
    return _pattern(wildcard, ignore_case).match(value) is not None


def _action_matches(statement: Document, action: str) -> bool:
    if "NotAction" in statement:
        return not any(_like(item, action, ignore_case=True) for item in _as_list(statement["NotAction"]))
    return any(_like(item, action, ignore_case=True) for item in _as_list(statement.get("Action")))


def _resource_matches(statement: Document, resource: str | None) -> bool:
    if "NotResource" in statement:
        return resource is not None and not any(
            _like(item, resource) for item in _as_list(statement["NotResource"])
        )
    wanted = _as_list(statement.get("Resource", "*"))
    if "*" in wanted:
        return True
    return resource is not None and any(_like(item, resource) for item in wanted)


def _principal_matches(statement: Document, caller: Caller) -> bool:
    if "NotPrincipal" in statement:
        return not _names(statement["NotPrincipal"], caller)
    return _names(statement.get("Principal"), caller)


def _names(principal: Any, caller: Caller) -> bool:
    if principal == "*":
        return True
    if not isinstance(principal, Mapping):
        return False
    return any(_names_one(item, caller) for item in _as_list(principal.get("AWS")))


def _names_one(item: str, caller: Caller) -> bool:
    if item in ("*", caller.account) or item in caller.arns:
        return True
    return re.fullmatch(rf"arn:[a-z-]+:iam::{caller.account}:root", item) is not None


def conditions_hold(conditions: Mapping[str, Any], context: Mapping[str, str]) -> bool:
    """Whether every condition holds. An operator this reader does not know never holds."""
    lowered = {key.lower(): value for key, value in context.items()}
    return all(
        _condition_holds(operator, key.lower(), _as_list(wanted), lowered)
        for operator, tests in conditions.items()
        for key, wanted in tests.items()
    )


def _condition_holds(operator: str, key: str, wanted: list[str], context: Mapping[str, str]) -> bool:
    if operator == "Null":
        return (key not in context) is (wanted[0].lower() == "true")
    if_exists = operator.endswith("IfExists")
    name = operator.removesuffix("IfExists")
    negated = name in NEGATED
    if key not in context:
        # A missing key fails a test, unless the test is negated or says IfExists.
        return if_exists or negated
    test = TESTS.get(NEGATED.get(name, name))
    if test is None:
        return False
    try:
        matched = any(test(item, context[key]) for item in wanted)
    except ValueError:  # a date that is none: AWS stores such a policy and never matches it
        return False
    return matched is not negated


def _moment(text: str) -> datetime:
    if text.isdigit():
        return datetime.fromtimestamp(int(text), UTC)
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _in_network(network: str, address: str) -> bool:
    try:
        return ipaddress.ip_address(address) in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False


TESTS: Mapping[str, Callable[[str, str], bool]] = {
    "StringEquals": lambda wanted, value: wanted == value,
    "StringEqualsIgnoreCase": lambda wanted, value: wanted.lower() == value.lower(),
    "StringLike": _like,
    "ArnEquals": _like,
    "ArnLike": _like,
    "Bool": lambda wanted, value: wanted.lower() == value.lower(),
    "IpAddress": _in_network,
    "DateEquals": lambda wanted, value: _moment(value) == _moment(wanted),
    "DateLessThan": lambda wanted, value: _moment(value) < _moment(wanted),
    "DateLessThanEquals": lambda wanted, value: _moment(value) <= _moment(wanted),
    "DateGreaterThan": lambda wanted, value: _moment(value) > _moment(wanted),
    "DateGreaterThanEquals": lambda wanted, value: _moment(value) >= _moment(wanted),
}
NEGATED: Mapping[str, str] = {
    "StringNotEquals": "StringEquals",
    "StringNotEqualsIgnoreCase": "StringEqualsIgnoreCase",
    "StringNotLike": "StringLike",
    "ArnNotEquals": "ArnEquals",
    "ArnNotLike": "ArnLike",
    "NotIpAddress": "IpAddress",
    "DateNotEquals": "DateEquals",
}
