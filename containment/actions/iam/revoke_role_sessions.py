"""https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_revoke-sessions.html"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from containment.actions import register
from containment.describing import ActionType, Context, Steps
from containment.parameters import param
from containment.types import Affected, Category, Check, Compare, Plan, Refused

AWS_MANAGED_PATHS = ("/aws-service-role/", "/aws-reserved/")


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
    pairs_with = ("iam.deactivate-access-key",)
    reads = ("iam:GetRole", "iam:GetRolePolicy")
    writes = ("iam:PutRolePolicy", "iam:DeleteRolePolicy")
    fallback = ("IAM console, role, Revoke sessions, Revoke active sessions",)

    def plan(self, ctx: Context) -> Plan:
        iam, role = ctx.aws("iam"), ctx.target.id
        found = ctx.read(iam.read("GetRole", RoleName=role, missing=("NoSuchEntity",)))
        if found is None:
            raise Refused(f"there is no role {role}")
        if found["Role"]["Path"].startswith(AWS_MANAGED_PATHS):
            raise Refused(f"{role} is managed by AWS; its policies cannot be changed")
        named: dict[str, Any] = {"RoleName": role, "PolicyName": f"{ctx.mark}-revoke"}
        document = {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Sid": ctx.sid,
                    "Effect": "Deny",
                    "Action": "*",
                    "Resource": "*",
                    "Condition": {"DateLessThan": {"aws:TokenIssueTime": {"$now": ctx.params.margin}}},
                }
            ],
        }
        lasts = int(found["Role"].get("MaxSessionDuration") or 3600)
        steps = Steps(ctx)
        steps.set(
            "revoke",
            changes=f"iam:role/{role}/policy/{named['PolicyName']}",
            call=iam.call("PutRolePolicy", **named, PolicyDocument={"$json": document}),
            seen=Check(
                read=iam.read("GetRolePolicy", **named, missing=("NoSuchEntity",)),
                select="PolicyDocument",
                equals=document,
                compare=Compare.POLICY,
            ),
            undo=iam.call("DeleteRolePolicy", **named),
            undo_after=lasts,
        )
        return steps.plan(
            facts={"max_session_seconds": lasts},
            notes={"role": {"arn": found["Role"]["Arn"], "path": found["Role"]["Path"]}},
            changes=(
                f"Sessions of role {role} issued until {ctx.params.margin} s after the call are denied all",
            ),
        )

    def affects(self, ctx: Context) -> Iterator[Affected]:
        found = ctx.read(ctx.aws("iam").read("GetRole", RoleName=ctx.target.id))
        for statement in _statements(found["Role"].get("AssumeRolePolicyDocument")):
            principal = statement.get("Principal")
            if isinstance(principal, dict) and "Service" in principal:
                services = principal["Service"]
                for service in sorted([services] if isinstance(services, str) else services):
                    yield Affected(
                        what=f"{service}, which assumes this role",
                        then="is denied until it gets a new session",
                    )
        yield Affected(
            what="people and programs with a session of this role", then="must assume the role again"
        )


def _statements(document: object) -> list[dict[str, object]]:
    if not isinstance(document, dict):
        return []
    statements = document.get("Statement")
    return (
        statements if isinstance(statements, list) else [statements] if isinstance(statements, dict) else []
    )
