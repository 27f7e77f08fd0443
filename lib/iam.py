"""Session policies, and the one table behind them and behind the roles: `lib.operations`."""

from __future__ import annotations

import json
import string
from collections.abc import Iterable, Mapping
from typing import Any

from lib import operations
from lib.operations.needs import Need

OPERATIONS: dict[str, Need] = operations.table()

POLICY_LIMIT = 2048
"""Characters of a session policy that STS accepts.
https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html"""


def session_policy(
    calls: Iterable[tuple[str, Mapping[str, Any]]], *, partition: str, account: str, region: str
) -> str:
    """A session policy that allows exactly these calls (`service:Operation`, resolved parameters).

    Raises `KeyError` for an operation that the table does not know, and `ValueError` above the
    2,048 characters that STS accepts.
    """
    statements: list[dict[str, Any]] = []
    for operation, params in calls:
        need = OPERATIONS[operation]
        values = {"partition": partition, "account": account, "region": region}
        values |= {key: value for key, value in params.items() if isinstance(value, str)}
        statement: dict[str, Any] = {
            "Effect": "Allow",
            "Action": sorted(need.actions),
            "Resource": sorted({_filled(template, values) for template in need.resources}),
        }
        if operation.startswith("ec2:"):
            statement["Condition"] = {"StringEquals": {"aws:RequestedRegion": region}}
        made = [statement]
        if need.dependents:
            made.append({"Effect": "Allow", "Action": sorted(need.dependents), "Resource": "*"})
        statements += [one for one in made if one not in statements]
    text = json.dumps({"Version": "2012-10-17", "Statement": statements}, separators=(",", ":"))
    if len(text) > POLICY_LIMIT:
        raise ValueError(f"a session policy of {len(text)} characters; STS accepts {POLICY_LIMIT}")
    return text


def _filled(template: str, values: Mapping[str, str]) -> str:
    """A resource with the call's values in it; everything where a value is not known as text."""
    wanted = {name for _, name, _, _ in string.Formatter().parse(template) if name}
    return template.format(**values) if wanted <= set(values) else "*"
