"""Session policies, and the one table behind them and behind the roles: `lib.operations`."""

from __future__ import annotations

import json
import string
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lib import operations
from lib.operations.needs import Need

OPERATIONS: dict[str, Need] = operations.table()

POLICY_LIMIT = 2048
"""Characters of a session policy that STS accepts.
https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html"""

Statement = Mapping[str, Any]


def session_policy(
    calls: Iterable[tuple[str, Mapping[str, Any]]], *, partition: str, account: str, region: str
) -> str:
    """A session policy that allows exactly these calls (`service:Operation`, resolved parameters).

    Raises `KeyError` for an operation that the table does not know, and `ValueError` above the
    2,048 characters that STS accepts.
    """
    found: list[Statement] = []
    for operation, params in calls:
        found += statements(operation, params, partition=partition, account=account, region=region)
    return document(found)


def statements(
    operation: str, params: Mapping[str, Any], *, partition: str, account: str, region: str
) -> list[Statement]:
    """What one call needs. A parameter that is no text yet makes its resource `*`. Raises `KeyError`."""
    need = OPERATIONS[operation]
    values = {"partition": partition, "account": account, "region": region}
    values |= {key: value for key, value in params.items() if isinstance(value, str)}
    made: dict[str, Any] = {
        "Effect": "Allow",
        "Action": sorted(need.actions),
        "Resource": sorted({_filled(template, values) for template in need.resources}),
    }
    if operation.startswith("ec2:"):
        made["Condition"] = {"StringEquals": {"aws:RequestedRegion": region}}
    if not need.dependents:
        return [made]
    return [made, {"Effect": "Allow", "Action": sorted(need.dependents), "Resource": "*"}]


def document(found: Iterable[Statement]) -> str:
    """Statements as one session policy, in as few words as allow the same.

    Raises `ValueError` above the 2,048 characters that STS accepts.
    """
    said = _together(_together(found, by="Resource", what="Action"), by="Action", what="Resource")
    said.sort(key=json.dumps)  # the same session serves those who ask for the same in another order
    text = json.dumps({"Version": "2012-10-17", "Statement": said}, separators=(",", ":"))
    if len(text) > POLICY_LIMIT:
        raise ValueError(f"a session policy of {len(text)} characters; STS accepts {POLICY_LIMIT}")
    return text


def allow(given: Sequence[Statement], wanted: Iterable[Statement]) -> bool:
    """Whether statements allow all that others allow, each of these by a single one of them."""
    return all(any(_allows(one, want) for one in given) for want in wanted)


def about(operation: str, params: Mapping[str, Any], *, partition: str, account: str, region: str) -> str:
    """The ARN of what a call acts on, with `*` for each value that is no text yet; `*` where any will do.

    Where there are several forms of it, the first. Raises `KeyError`.
    """
    template, *_ = OPERATIONS[operation].resources
    known = {"partition": partition, "account": account, "region": region}
    known |= {key: value for key, value in params.items() if isinstance(value, str)}
    return template.format(**{**dict.fromkeys(tells_resource(operation), "*"), **known})


def tells_resource(operation: str) -> frozenset[str]:
    """The parameters of an operation that say what it acts on, as far as policies can tell."""
    names = {
        name
        for template in OPERATIONS[operation].resources
        for _, name, _, _ in string.Formatter().parse(template)
        if name
    }
    return frozenset(names - {"partition", "account", "region"})


def _allows(given: Statement, wanted: Statement) -> bool:
    if given.get("Condition") != wanted.get("Condition"):
        return False
    resources = set(_listed(given["Resource"]))
    return set(_listed(given["Action"])) >= set(_listed(wanted["Action"])) and (
        "*" in resources or resources >= set(_listed(wanted["Resource"]))
    )


def _together(found: Iterable[Statement], *, by: str, what: str) -> list[Statement]:
    """Statements that agree in `by` and in their condition as one: this allows nothing more."""
    merged: dict[str, dict[str, Any]] = {}
    for one in found:
        key = json.dumps([_listed(one[by]), one.get("Condition")], sort_keys=True)
        same = merged.setdefault(key, dict(one))
        said = {*_listed(same[what]), *_listed(one[what])}
        same[what] = ["*"] if "*" in said else sorted(said)
    return list(merged.values())


def _listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def _filled(template: str, values: Mapping[str, str]) -> str:
    """A resource with the call's values in it; everything where a value is not known as text."""
    wanted = {name for _, name, _, _ in string.Formatter().parse(template) if name}
    return template.format(**values) if wanted <= set(values) else "*"
