"""https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_temp_control-access_disable-perms.html"""

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
class RevokeUserSessions(ActionType):
    """Deny everything to the temporary sessions that an IAM user's credentials fetched before now.

    Does not stop: the access keys and the password themselves, which can fetch new sessions; sessions
    of roles that the user assumed before.
    """

    id = "iam.revoke-user-sessions"
    title = "Revoke user sessions"
    target = "user"
    category = Category.TECHNIQUE
    tier = 1
    order = 24
    params = Params
    pairs_with = ("iam.deactivate-access-key", "iam.remove-console-access", "iam.revoke-role-sessions")
    reads = inline.USER_READS
    writes = inline.USER_WRITES
    fallback = (
        (
            "aws iam put-user-policy --user-name USER --policy-name RevokeOlderSessions --policy-document"
            ' \'{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"*","Resource":"*",'
            '"Condition":{"DateLessThan":{"aws:TokenIssueTime":"NOW, AS 2026-11-24T02:00:00Z"}}}]}\''
        ),
    )

    def plan(self, ctx: Context) -> Plan:
        user = principals.user(ctx, ctx.target.id)
        steps, margin = Steps(ctx), ctx.params.margin
        inline.put(
            ctx,
            steps,
            user,
            suffix="revoke",
            statements=[inline.older_sessions(ctx.sid, margin)],
            undo_after=user.session_seconds,
        )
        return steps.plan(
            changes=(f"Sessions of user {user.name} issued until {margin} s after the call are denied all",),
            warnings=("The user's access keys go on working; deactivate them as well",),
        )

    def affects(self, ctx: Context) -> Iterator[Affected]:  # noqa: ARG002 - the user alone is touched
        yield Affected(
            what="the console session and programs with a session of this user",
            then="must sign in or fetch a session again",
        )
