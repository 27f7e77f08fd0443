"""https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_revoke-sessions.html"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from containment.actions import register
from containment.actions.iam import inline, principals
from containment.describing import ActionType, Context, Steps
from containment.parameters import param
from containment.types import Affected, Category, Plan


@dataclass(frozen=True, kw_only=True)
class Params:
    margin: int = param(
        "seconds after the call up to which new sessions are denied as well, for AWS's own delay",
        default=30,
        minimum=0,
        maximum=900,
    )


@register
class RevokeRoleSessions(ActionType):
    """Deny everything to all sessions of a role that were issued before now.

    Does not stop: new sessions, for whoever may still assume the role; services that act through
    their own sessions get new ones by themselves; resources that grant access to everyone.
    """

    id = "iam.revoke-role-sessions"
    title = "Revoke role sessions"
    target = "role"
    category = Category.TECHNIQUE
    tier = 2
    order = 30
    params = Params
    pairs_with = ("iam.deactivate-access-key", "iam.lock-role-trust", "ec2.replace-instance-profile")
    reads = (*inline.ROLE_READS, "iam:ListInstanceProfilesForRole")
    writes = inline.ROLE_WRITES
    fallback = ("IAM console, role, Revoke sessions, Revoke active sessions",)

    def plan(self, ctx: Context) -> Plan:
        role = principals.role(ctx, ctx.target.id)
        steps, margin = Steps(ctx), ctx.params.margin
        inline.put(
            ctx,
            steps,
            role,
            suffix="revoke",
            statements=[inline.older_sessions(ctx.sid, margin)],
            undo_after=role.session_seconds,
        )
        return steps.plan(
            facts={"max_session_seconds": role.session_seconds},
            notes={"role": {"arn": role.arn, "path": role.about["Path"]}},
            changes=(f"Sessions of role {role.name} issued until {margin} s after the call are denied all",),
        )

    def affects(self, ctx: Context) -> Iterator[Affected]:
        role = principals.role(ctx, ctx.target.id)
        yield from principals.affected(ctx, role, then="is denied until it gets a new session")
        yield Affected(
            what="people and programs with a session of this role", then="must assume the role again"
        )
