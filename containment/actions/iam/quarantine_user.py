"""https://docs.aws.amazon.com/aws-managed-policy/latest/reference/AWSCompromisedKeyQuarantineV3.html"""

from __future__ import annotations

import re
from collections.abc import Iterator

from containment.actions import register
from containment.actions.iam import attached, principals
from containment.describing import ActionType, Context, Steps
from containment.types import Affected, Category, Plan, Refused

QUARANTINE = re.compile(r"AWSCompromisedKeyQuarantine(?:V(\d+))?")


@register
class QuarantineUser(ActionType):
    """Attach AWS's own quarantine policy for leaked keys to an IAM user, in its newest version.

    Does not stop: assuming roles; reading secrets, tables, queues and databases; writing objects;
    sessions of roles that the user assumed before. It caps fraud while the owner is asked, and is no
    containment by itself.
    """

    id = "iam.quarantine-user"
    title = "Quarantine user"
    target = "user"
    category = Category.TECHNIQUE
    tier = 1
    order = 21
    pairs_with = ("iam.deactivate-access-key", "iam.deny-user")
    reads = (
        "iam:GetAccountSummary",
        "iam:GetUser",
        "iam:ListAccessKeys",
        "iam:ListAttachedUserPolicies",
        "iam:ListPolicies",
    )
    writes = ("iam:AttachUserPolicy", "iam:DetachUserPolicy")
    fallback = (
        (
            "aws iam list-policies --scope AWS --query"
            " \"Policies[?starts_with(PolicyName,'AWSCompromisedKeyQuarantine')].Arn\""
        ),
        "aws iam attach-user-policy --user-name USER --policy-arn ARN",
    )

    def plan(self, ctx: Context) -> Plan:
        user = principals.user(ctx, ctx.target.id)
        newest = _newest(ctx)
        steps = Steps(ctx)
        attached.attach(ctx, steps, user, newest)
        listing = ctx.read(user.read(ctx, "ListAttached{}Policies"))["AttachedPolicies"]
        theirs = sorted(
            str(one["PolicyName"])
            for one in listing
            if QUARANTINE.fullmatch(one["PolicyName"]) and one["PolicyArn"] != newest
        )
        return steps.plan(
            facts={"newest": newest},
            changes=(f"User {user.name} is kept from what leaked keys are abused for, by {newest}",),
            warnings=tuple(
                f"{name} is attached already, by AWS or someone else, and stays" for name in theirs
            ),
        )

    def affects(self, ctx: Context) -> Iterator[Affected]:
        user = principals.user(ctx, ctx.target.id)
        yield from principals.affected(
            ctx, user, then="cannot start instances, create functions, change IAM or read objects any more"
        )


def _newest(ctx: Context) -> str:
    """The ARN of the newest quarantine policy that the partition has."""
    found = ctx.read(ctx.aws("iam").read("ListPolicies", Scope="AWS"))["Policies"]
    versions: dict[int, str] = {}
    for one in found:
        matched = QUARANTINE.fullmatch(one["PolicyName"])
        if matched:
            versions[int(matched[1] or 1)] = str(one["Arn"])
    if not versions:
        raise Refused("AWS has no quarantine policy in this partition; use iam.deny-user")
    return versions[max(versions)]
