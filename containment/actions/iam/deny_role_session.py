"""https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_revoke-sessions.html"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from containment.actions import register
from containment.actions.iam import inline, principals
from containment.describing import ActionType, Context, Steps
from containment.parameters import param
from containment.types import Affected, Category, Plan


@dataclass(frozen=True, kw_only=True)
class Params:
    session_name: str = param(
        "name of the session: what stands after the colon of its principal id, AROA…:NAME",
        pattern=r"[\w+=,.@-]{2,64}",
    )
    source_identity: str = param(
        "source identity whose sessions of this role are denied as well, under whatever name; or empty",
        default="",
        pattern=r"([\w+=,.@-]{2,64})?",
    )


@register
class DenyRoleSession(ActionType):
    """Deny everything to the sessions of a role that have one name, and leave all others alone.

    Does not stop: a session under another name, for whoever may still assume the role; other roles
    that the session assumed before.
    """

    id = "iam.deny-role-session"
    title = "Deny one role session"
    target = "role"
    category = Category.TECHNIQUE
    tier = 1
    order = 29
    params = Params
    pairs_with = ("iam.revoke-role-sessions", "iam.lock-role-trust")
    reads = inline.ROLE_READS
    writes = inline.ROLE_WRITES
    fallback = (
        "aws iam get-role --role-name ROLE --query Role.RoleId",
        (
            "aws iam put-role-policy --role-name ROLE --policy-name DenySession --policy-document"
            ' \'{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"*","Resource":"*",'
            '"Condition":{"StringEquals":{"aws:userid":"ROLEID:SESSION"}}}]}\''
        ),
    )

    def plan(self, ctx: Context) -> Plan:
        role, params = principals.role(ctx, ctx.target.id), ctx.params
        who = f"{role.about['RoleId']}:{params.session_name}"
        denied = [_denied(ctx.sid, "aws:userid", who)]
        changes = [f"Sessions of role {role.name} with the name {params.session_name} are denied all"]
        if params.source_identity:
            denied.append(_denied(f"{ctx.sid}Source", "aws:SourceIdentity", params.source_identity))
            changes.append(
                f"Sessions of role {role.name} with source identity {params.source_identity} are denied all"
            )
        steps = Steps(ctx)
        inline.put(
            ctx, steps, role, suffix="deny-session", statements=denied, undo_after=role.session_seconds
        )
        return steps.plan(
            facts={"principal_id": who, "max_session_seconds": role.session_seconds}, changes=tuple(changes)
        )

    def affects(self, ctx: Context) -> Iterator[Affected]:
        name = ctx.params.session_name
        yield Affected(what=f"whoever else calls a session of this role {name}", then="is refused")
        if name.startswith("i-"):
            yield Affected(
                what=f"instance {name}, whose sessions are all called so",
                then="is refused until this is undone",
            )


def _denied(sid: str, key: str, value: str) -> dict[str, Any]:
    return {
        "Sid": sid,
        "Effect": "Deny",
        "Action": "*",
        "Resource": "*",
        "Condition": {"StringEquals": {key: value}},
    }
