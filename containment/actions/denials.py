"""Statements that deny in a resource's own policy, and the edit that puts one there. Pure.

Each has the action's own Sid, so that several actions, and other people, can have statements in one
policy. Each spares the principals in `ctx.exempt`, and whatever AWS services do in their own name:
without the first Quell locks itself out, without the second log delivery and notifications stop.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from containment.describing import Context, Steps
from containment.looking import Reader, q
from containment.types import Call, Check, Compare, Edit, Read, Refused
from lib import canonical

VERSION = {"Version": "2012-10-17"}

Statement = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Holder:
    """Where a resource keeps its policy, and how much of one it takes.

    `at` is the policy's place in the answer of `read`, `into` its place in the parameters of `call`,
    `limit` the most that AWS accepts, in bytes, and `most` the most statements, where there is such a limit.
    """

    what: str
    changes: str
    read: Read
    call: Call
    at: str
    into: str
    limit: int
    most: int | None = None
    empty: Call | None = None
    token: Mapping[str, str] | None = None


def everyone_but_exempt(ctx: Context, *, actions: list[str], resources: list[str] | str) -> Statement:
    """A statement that denies the actions to all principals, anonymous ones too, but the exempt ones.

    Raises `Refused` when nobody is exempt.
    """
    return {
        "Sid": ctx.sid,
        "Effect": "Deny",
        "Principal": "*",
        "Action": actions[0] if len(actions) == 1 else sorted(actions),
        "Resource": sorted(resources) if isinstance(resources, list) else resources,
        "Condition": {
            "ArnNotLike": {"aws:PrincipalArn": spared(ctx)},
            # Anonymous requests do not have this key, and have to be denied all the same.
            "BoolIfExists": {"aws:PrincipalIsAWSService": "false"},
        },
    }


def spared(ctx: Context) -> list[str]:
    """The principals that a deny must not hit. Raises `Refused` when there are none."""
    if not ctx.exempt:
        raise Refused(
            "the estate names neither Quell's roles nor a break-glass principal in this account: "
            "a deny for everyone would lock out those who have to lift it"
        )
    return sorted(ctx.exempt)


def add(steps: Steps, name: str, *, holder: Holder, statement: Statement) -> None:
    """Add the step that puts the statement into the holder's policy; raises `Refused` where it does not fit.

    One statement for each plan and policy: where reads lag behind, a second edit would be of the policy
    as it was before the first, and would lose it.
    """
    sid = steps.ctx.sid
    _check_room(steps.ctx.reader, holder, statement)
    steps.edit(
        name,
        changes=f"{holder.changes}#{sid}",
        call=holder.call,
        seen=Check(
            read=holder.read,
            select=f"{holder.at}.Statement[?Sid=={q(sid)}] | [0]",
            equals=statement,
            compare=Compare.POLICY,
        ),
        edit=Edit(
            read=holder.read,
            at=f"{holder.at}.Statement",
            into=holder.into,
            add=(statement,),
            id="Sid",
            token=holder.token or {},
            text=True,
            seed=VERSION,
            empty=holder.empty,
        ),
    )


def _check_room(reader: Reader, holder: Holder, statement: Statement) -> None:
    """Raise `Refused` where the policy with the statement would be more than AWS takes."""
    answer: Any = reader.read(holder.read)
    policy = answer or {}
    for part in holder.at.split("."):
        policy = policy.get(part) or {}
    present = policy.get("Statement", [])
    members = present if isinstance(present, list) else [present]
    others = [one for one in members if one.get("Sid") != statement["Sid"]]
    size = len(canonical.dumps({**(policy or VERSION), "Statement": [*others, statement]}).encode())
    if size > holder.limit:
        raise Refused(
            f"the policy of {holder.what} would have {size:,} bytes; AWS accepts {holder.limit:,}: "
            "take a statement out of it, or deny in the principals' own policies"
        )
    if holder.most and len(others) + 1 > holder.most:
        raise Refused(f"the policy of {holder.what} has {len(others)} statements; AWS accepts {holder.most}")
