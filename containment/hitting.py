"""Whether a plan would cut off the very principals that have to be able to undo it. Pure.

`exempt` are ARNs of Quell's own roles and of the account's break-glass principals. A plan hits one if it
changes that principal itself, or writes a resource policy or SCP whose Deny covers it.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

from containment.types import CHANGING, Call, Plan, Step

NAMED_BY = ("RoleName", "UserName")
EXEMPTING = frozenset({"arnnotlike", "arnnotequals", "stringnotlike", "stringnotequals"})
NAMING = frozenset({"arnlike", "arnequals", "stringlike", "stringequals"})
PRINCIPAL = "aws:principalarn"


def hits(plan: Plan, exempt: Iterable[str]) -> list[str]:
    """The exempt principals that a plan would hit, in sentences; sorted."""
    own = sorted(exempt)
    found = {said for step in plan.steps if step.kind in CHANGING for said in _of_step(step, own)}
    return sorted(found)


def name_of(arn: str) -> str:
    """The bare name of a role or user, without its path; of a session, its role's."""
    resource = arn.split(":", 5)[-1]
    if resource.startswith("assumed-role/"):
        return resource.split("/")[1]
    return resource.rsplit("/", 1)[-1]


def account_in(arn: str) -> str:
    """The account that an ARN names; empty where it names none."""
    parts = arn.split(":")
    return parts[4] if len(parts) > 5 else ""


def _of_step(step: Step, exempt: list[str]) -> Iterator[str]:
    for call in (step.call, step.undo):
        if call:
            yield from _of_call(call, exempt)
    if step.edit and step.call and step.call.service != "iam":
        yield from _of_statements(step.edit.add, exempt)


def _of_call(call: Call, exempt: list[str]) -> Iterator[str]:
    if call.service == "iam":
        named = {str(call.params[key]) for key in NAMED_BY if key in call.params}
        for arn in exempt:
            if name_of(arn) in named and account_in(arn) in ("", call.at.account):
                yield f"{call.name} would change {arn}, which has to stay as it is"
        return
    for document in _documents(call.params):
        statements = document["Statement"]
        yield from _of_statements(statements if isinstance(statements, list) else [statements], exempt)


def _documents(value: Any) -> Iterator[Mapping[str, Any]]:
    """Every policy document in the parameters, as a structure or as JSON text."""
    if isinstance(value, str) and value.startswith("{"):
        try:
            value = json.loads(value)
        except ValueError:
            return
    if isinstance(value, Mapping):
        if "Statement" in value:
            yield value
            return
        for member in value.values():
            yield from _documents(member)
    elif isinstance(value, list | tuple):
        for member in value:
            yield from _documents(member)


def _of_statements(statements: Iterable[Any], exempt: list[str]) -> Iterator[str]:
    for statement in statements:
        if isinstance(statement, Mapping) and statement.get("Effect") == "Deny":
            yield from (
                f"a Deny would also hit {arn}, which has to be able to undo it"
                for arn in exempt
                if _covers(statement, arn)
            )


def _covers(statement: Mapping[str, Any], arn: str) -> bool:
    if not _is_meant(statement, arn):
        return False
    for operator, operands in (statement.get("Condition") or {}).items():
        kind = operator.lower().removesuffix("ifexists")
        if not isinstance(operands, Mapping):
            continue
        for key, values in operands.items():
            if key.lower() != PRINCIPAL:
                continue
            is_named = any(fnmatchcase(arn, str(one)) for one in _listed(values))
            if (kind in EXEMPTING and is_named) or (kind in NAMING and not is_named):
                return False
    return True


def _is_meant(statement: Mapping[str, Any], arn: str) -> bool:
    """Whether the statement's principal element covers the ARN; an SCP, which has none, covers everyone."""
    if "NotPrincipal" in statement:
        return arn not in _principals(statement["NotPrincipal"])
    if "Principal" not in statement:
        return True
    named = _principals(statement["Principal"])
    account = account_in(arn)
    return bool({"*", arn, account} & named) or any(one.endswith(f":iam::{account}:root") for one in named)


def _principals(element: Any) -> set[str]:
    if isinstance(element, Mapping):
        return {str(one) for one in _listed(element.get("AWS", []))}
    return {str(one) for one in _listed(element)}


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]
