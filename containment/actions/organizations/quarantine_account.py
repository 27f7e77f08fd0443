"""https://docs.aws.amazon.com/organizations/latest/APIReference/API_MoveAccount.html"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from containment.actions import register
from containment.actions.organizations.members import (
    FULL_ACCESS,
    READS,
    member,
    parents_of,
    policies_on,
    unit,
)
from containment.describing import ActionType, Context, Steps
from containment.parameters import param
from containment.types import Affected, Category, Check, Compare, Plan


@dataclass(frozen=True, kw_only=True)
class Params:
    ou_id: str = param(
        "the quarantine unit, whose service control policies do the work",
        pattern=r"ou-[0-9a-z]{4,32}-[0-9a-z]{8,32}",
    )


@register
class QuarantineAccount(ActionType):
    """Move an account into a quarantine unit, under whose service control policies it then stands.

    Does not stop: what the unit's policies allow; service-linked roles, which no service control policy
    restricts; what already runs in the account; principals of other accounts whom a resource policy
    lets in.
    """

    id = "organizations.quarantine-account"
    title = "Quarantine account"
    target = "account"
    category = Category.TECHNIQUE
    tier = 2
    order = 29
    params = Params
    pairs_with = ("organizations.deny-technique",)
    reads = READS
    writes = ("organizations:MoveAccount",)
    fallback = (
        "aws organizations list-parents --child-id ACCOUNT",
        (
            "aws organizations move-account --account-id ACCOUNT --source-parent-id PARENT"
            " --destination-parent-id OU"
        ),
    )

    def plan(self, ctx: Context) -> Plan:
        organizations, account = ctx.aws("organizations", "management"), ctx.target.id
        parent, ou = member(ctx, organizations), ctx.params.ou_id
        name = unit(ctx, organizations, ou)
        found: Any = ctx.read(policies_on(organizations, ou))
        policies = sorted(one["Id"] for one in found["Policies"])
        steps = Steps(ctx)
        steps.set(
            "move",
            changes=f"organizations:account/{account}/parent",
            call=organizations.call(
                "MoveAccount", AccountId=account, SourceParentId=parent, DestinationParentId=ou
            ),
            seen=Check(read=parents_of(organizations, account), select="Parents[0].Id", equals=ou),
            undo=organizations.call(
                "MoveAccount", AccountId=account, SourceParentId=ou, DestinationParentId=parent
            ),
        )
        kept = Check(
            read=policies_on(organizations, ou),
            select="Policies[].Id",
            equals=policies,
            compare=Compare.SET,
        )
        return steps.plan(
            holds=(kept,) if policies else (),
            facts={"parent": parent, "policies": policies},
            changes=(f"Account {account} moves from {parent} to {name}, {ou}",),
            warnings=tuple(_warnings(name, policies)),
        )

    def affects(self, ctx: Context) -> Iterator[Affected]:
        yield Affected(
            what=f"everybody and everything in account {ctx.target.id}",
            then="stands under the quarantine unit's policies, and no longer under those of its old unit",
        )
        yield Affected(
            what="stacks that StackSets deployed by unit", then="may be removed, Quell's own roles among them"
        )


def _warnings(name: str, policies: list[str]) -> Iterator[str]:
    yield (
        "StackSets that deploy by unit take their stacks away from an account that leaves it, unless they"
        " retain them; Quell's own roles may be among them"
    )
    if set(policies) <= {FULL_ACCESS}:
        yield f"{name} has no service control policy of its own: the move alone denies nothing"
