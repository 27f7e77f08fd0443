"""https://docs.aws.amazon.com/whitepapers/latest/aws-security-incident-response-guide/technique-and-access-containment.html"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from containment.actions import register
from containment.actions.iam import inline, principals
from containment.actions.techniques import ACTION_PATTERN, TECHNIQUES, actions_of, deny
from containment.describing import ActionType, Context, Steps
from containment.parameters import param
from containment.types import Affected, Category, Plan


@dataclass(frozen=True, kw_only=True)
class Params:
    techniques: tuple[str, ...] = param(
        "techniques whose actions are denied", default=(), choices=TECHNIQUES, maximum=6
    )
    actions: tuple[str, ...] = param(
        "IAM actions that are denied besides, such as s3:DeleteObject*",
        default=(),
        pattern=ACTION_PATTERN,
        maximum=60,
    )


@register
class DenyTechnique(ActionType):
    """Deny a user or role the actions of named techniques, and let it go on with everything else.

    Does not stop: anything that is not on the list; other principals; what a session of another role,
    assumed before or through this one, may do.
    """

    id = "iam.deny-technique"
    title = "Deny technique"
    target = "principal"
    category = Category.TECHNIQUE
    tier = 1
    order = 25
    params = Params
    pairs_with = ("organizations.deny-technique", "iam.deactivate-access-key", "iam.revoke-role-sessions")
    reads = (
        *inline.USER_READS,
        *inline.ROLE_READS,
        "iam:ListAccessKeys",
        "iam:ListInstanceProfilesForRole",
    )
    writes = (*inline.USER_WRITES, *inline.ROLE_WRITES)
    fallback = (
        (
            "aws iam put-user-policy --user-name USER --policy-name DenyTechnique --policy-document"
            ' \'{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":["ACTION"],"Resource":"*"}]}\''
        ),
        "aws iam put-role-policy --role-name ROLE … for a role",
    )

    def plan(self, ctx: Context) -> Plan:
        one = principals.principal(ctx)
        actions = actions_of(ctx.params.techniques, ctx.params.actions)
        steps = Steps(ctx)
        inline.put(ctx, steps, one, suffix="deny-technique", statements=[deny(ctx.sid, actions)])
        named = ", ".join(sorted(ctx.params.techniques)) or "chosen actions"
        return steps.plan(
            changes=(f"{one.label.capitalize()} is denied {named}: {', '.join(actions)}",),
        )

    def affects(self, ctx: Context) -> Iterator[Affected]:
        one = principals.principal(ctx)
        yield from principals.affected(ctx, one, then="is refused these actions, and these only")
