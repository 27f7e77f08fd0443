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
class DenyRole(ActionType):
    """Attach a policy to a role that denies everything to all its sessions, present and future.

    Does not stop: other roles that its sessions assumed before; resources that are open to everyone;
    an attacker who detaches the policy in the seconds until AWS enforces it everywhere.
    """

    id = "iam.deny-role"
    title = "Deny role everything"
    target = "role"
    category = Category.TECHNIQUE
    tier = 2
    order = 31
    params = Params
    pairs_with = ("iam.lock-role-trust", "iam.deactivate-access-key")
    reads = (
        "iam:GetRole",
        "iam:ListAttachedRolePolicies",
        "iam:ListInstanceProfilesForRole",
        *attached.POLICY_READS,
    )
    writes = ("iam:AttachRolePolicy", "iam:DetachRolePolicy")
    fallback = (
        "aws iam attach-role-policy --role-name ROLE --policy-arn arn:PARTITION:iam::aws:policy/AWSDenyAll",
    )

    def plan(self, ctx: Context) -> Plan:
        role = principals.role(ctx, ctx.target.id)
        policy = attached.denying_policy(ctx, ctx.params.policy_arn)
        steps = Steps(ctx)
        attached.attach(ctx, steps, role, policy["arn"], undo_after=role.session_seconds)
        return steps.plan(
            facts={"policy": policy, "max_session_seconds": role.session_seconds},
            changes=(f"All sessions of role {role.name} are denied everything by {policy['arn']}",),
        )

    def affects(self, ctx: Context) -> Iterator[Affected]:
        yield from principals.affected(ctx, principals.role(ctx, ctx.target.id), then="is refused")
