"""https://docs.aws.amazon.com/aws-managed-policy/latest/reference/AWSDenyAll.html"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from containment.actions import register
from containment.actions.iam import attached, principals
from containment.describing import ActionType, Context, Steps
from containment.types import Affected, Category, Plan


@dataclass(frozen=True, kw_only=True)
class Params:
    policy_arn: str = attached.policy_param()


@register
class DenyUser(ActionType):
    """Attach a policy to an IAM user that denies everything.

    Does not stop: sessions of roles that the user assumed before; resources that are open to everyone;
    an attacker who detaches the policy in the seconds until AWS enforces it everywhere.
    """

    id = "iam.deny-user"
    title = "Deny user everything"
    target = "user"
    category = Category.TECHNIQUE
    tier = 1
    order = 22
    params = Params
    pairs_with = ("iam.deactivate-access-key", "iam.revoke-role-sessions", "iam.remove-console-access")
    reads = ("iam:GetUser", "iam:ListAccessKeys", "iam:ListAttachedUserPolicies", *attached.POLICY_READS)
    writes = ("iam:AttachUserPolicy", "iam:DetachUserPolicy")
    fallback = (
        "aws iam attach-user-policy --user-name USER --policy-arn arn:PARTITION:iam::aws:policy/AWSDenyAll",
    )

    def plan(self, ctx: Context) -> Plan:
        user = principals.user(ctx, ctx.target.id)
        policy = attached.denying_policy(ctx, ctx.params.policy_arn)
        steps = Steps(ctx)
        attached.attach(ctx, steps, user, policy["arn"], undo_after=user.session_seconds)
        return steps.plan(
            facts={"policy": policy},
            changes=(f"User {user.name} is denied everything by {policy['arn']}",),
        )

    def affects(self, ctx: Context) -> Iterator[Affected]:
        user = principals.user(ctx, ctx.target.id)
        yield from principals.affected(ctx, user, then="is refused")
        yield Affected(what="the person, if any, who signs in as this user", then="can do nothing")
