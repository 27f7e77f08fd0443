"""https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_boundaries.html"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from containment.actions import register
from containment.actions.iam import attached, principals
from containment.actions.iam.principals import Principal
from containment.describing import ActionType, Context, Steps
from containment.parameters import param
from containment.types import Affected, Call, Category, Check, Plan, Refused


@dataclass(frozen=True, kw_only=True)
class Params:
    policy_arn: str = param(
        "ARN of the managed policy that becomes the boundary; empty for AWSDenyAll, which leaves nothing",
        default="",
        pattern=r"(arn:[a-z-]+:iam::(aws|\d{12}):policy/[\w+=,.@/-]{1,512})?",
    )


@register
class SetBoundary(ActionType):
    """Set the permissions boundary of a user or role, beyond which none of its policies reaches.

    Does not stop: what a resource's policy grants to the user's own ARN or to a session's ARN, unless
    the boundary denies it in words; other roles that were assumed before.
    """

    id = "iam.set-boundary"
    title = "Set permissions boundary"
    target = "principal"
    category = Category.TECHNIQUE
    tier = 2
    order = 26
    params = Params
    pairs_with = ("iam.deactivate-access-key", "iam.revoke-role-sessions")
    reads = (
        "iam:GetPolicy",
        "iam:GetPolicyVersion",
        "iam:GetRole",
        "iam:GetUser",
        "iam:ListAccessKeys",
        "iam:ListInstanceProfilesForRole",
    )
    writes = (
        "iam:DeleteRolePermissionsBoundary",
        "iam:DeleteUserPermissionsBoundary",
        "iam:PutRolePermissionsBoundary",
        "iam:PutUserPermissionsBoundary",
    )
    fallback = (
        "aws iam put-user-permissions-boundary --user-name USER --permissions-boundary POLICY_ARN",
        "aws iam put-role-permissions-boundary --role-name ROLE --permissions-boundary POLICY_ARN",
    )

    def plan(self, ctx: Context) -> Plan:
        one = principals.principal(ctx)
        policy = attached.managed_policy(ctx, ctx.params.policy_arn)
        was = (one.about.get("PermissionsBoundary") or {}).get("PermissionsBoundaryArn")
        is_total = attached.denies_everything(policy["document"])
        if was and was != policy["arn"] and not is_total:
            raise Refused(
                f"{one.label} has the boundary {was}; in its place {policy['arn']} could allow more. "
                "Name a policy that denies everything"
            )
        steps = Steps(ctx)
        steps.set(
            "bound",
            changes=f"iam:{one.kind}/{one.name}/boundary",
            call=one.call(ctx, "Put{}PermissionsBoundary", PermissionsBoundary=policy["arn"]),
            seen=Check(
                read=one.read(ctx, "Get{}"),
                select=f"{one.noun}.PermissionsBoundary.PermissionsBoundaryArn",
                equals=policy["arn"],
            ),
            undo=_undo(ctx, one, was),
            undo_after=one.session_seconds if is_total else 0,
        )
        return steps.plan(facts={"policy": policy, "boundary": was}, changes=(_sentence(one, policy, was),))

    def affects(self, ctx: Context) -> Iterator[Affected]:
        one = principals.principal(ctx)
        yield from principals.affected(ctx, one, then="is refused whatever the boundary does not allow")


def _undo(ctx: Context, one: Principal, was: str | None) -> Call:
    if was:
        return one.call(ctx, "Put{}PermissionsBoundary", PermissionsBoundary=was)
    return one.call(ctx, "Delete{}PermissionsBoundary")


def _sentence(one: Principal, policy: dict[str, str], was: str | None) -> str:
    instead = f" instead of {was}" if was else ""
    return f"{one.label.capitalize()} gets the permissions boundary {policy['arn']}{instead}"
