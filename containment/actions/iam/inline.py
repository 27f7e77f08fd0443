"""Inline policies of our own on a user or role.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from containment.actions.iam.principals import Principal
from containment.describing import Context, Steps
from containment.types import Check, Compare, Refused
from lib import canonical

QUOTAS = {"user": 2048, "role": 10_240}
"""Characters of all inline policies of one principal together; white space does not count."""

USER_READS = ("iam:GetUser", "iam:GetUserPolicy", "iam:ListUserPolicies")
USER_WRITES = ("iam:DeleteUserPolicy", "iam:PutUserPolicy")
ROLE_READS = ("iam:GetRole", "iam:GetRolePolicy", "iam:ListRolePolicies")
ROLE_WRITES = ("iam:DeleteRolePolicy", "iam:PutRolePolicy")


def put(
    ctx: Context, steps: Steps, one: Principal, *, suffix: str, statements: list[dict[str, Any]], **more: Any
) -> None:
    """Add the step that puts an inline policy of our name, and takes it away again on undo.

    Raises `Refused` when IAM would not take it for its size.
    """
    named = {"PolicyName": f"{ctx.mark}-{suffix}"}
    document = {"Version": "2012-10-17", "Statement": statements}
    _fits(ctx, one, named["PolicyName"], document)
    steps.set(
        suffix,
        changes=f"iam:{one.kind}/{one.name}/policy/{named['PolicyName']}",
        call=one.call(ctx, "Put{}Policy", **named, PolicyDocument={"$json": document}),
        seen=Check(
            read=one.read(ctx, "Get{}Policy", missing=("NoSuchEntity",), **named),
            select="PolicyDocument",
            equals=document,
            compare=Compare.POLICY,
        ),
        undo=one.call(ctx, "Delete{}Policy", **named),
        **more,
    )


def older_sessions(sid: str, margin: int) -> dict[str, Any]:
    """The statement that denies everything to sessions issued until `margin` seconds after the call.

    A long-term key has no time of issue, so that the condition never holds for it.
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html#condition-keys-tokenissuetime
    """
    return {
        "Sid": sid,
        "Effect": "Deny",
        "Action": "*",
        "Resource": "*",
        "Condition": {"DateLessThan": {"aws:TokenIssueTime": {"$now": margin}}},
    }


def _fits(ctx: Context, one: Principal, ours: str, document: Mapping[str, Any]) -> None:
    names = ctx.read(one.read(ctx, "List{}Policies"))["PolicyNames"]
    taken = sum(
        _length(ctx.read(one.read(ctx, "Get{}Policy", PolicyName=name))["PolicyDocument"])
        for name in sorted(names)
        if name != ours
    )
    wanted = _length(document)
    if taken + wanted > QUOTAS[one.kind]:
        raise Refused(
            f"the inline policies of {one.label} would have {taken + wanted} characters, and IAM takes "
            f"{QUOTAS[one.kind]}; attach a managed policy (iam.deny-{one.kind}) or set a boundary instead"
        )


def _length(document: Any) -> int:
    """Characters without white space, with the moment of the call in place of what stands for it."""
    text = canonical.dumps(_dated(document))
    return sum(1 for character in text if not character.isspace())


def _dated(value: Any) -> Any:
    if isinstance(value, Mapping):
        if set(value) == {"$now"}:
            return "2026-11-24T02:00:00Z"
        return {key: _dated(member) for key, member in value.items()}
    return [_dated(member) for member in value] if isinstance(value, list | tuple) else value
