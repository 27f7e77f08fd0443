"""https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_update-role-trust-policy.html"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from containment.actions import register
from containment.actions.iam import principals
from containment.actions.iam.principals import Principal
from containment.describing import ActionType, Context, Steps
from containment.looking import q
from containment.types import Affected, Category, Check, Compare, Edit, Plan, Refused
from lib import canonical

TRUST = "Role.AssumeRolePolicyDocument"
QUOTA = 2048
"""Characters of a trust policy, where the account's summary does not say; white space does not count.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html"""

ASSUMING = ["sts:AssumeRole", "sts:AssumeRoleWithSAML", "sts:AssumeRoleWithWebIdentity"]
GONE = re.compile(r"A(IDA|ROA)[A-Z0-9]{16,}")
"""What IAM shows in place of the ARN of a principal that was deleted.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html"""


@register
class LockRoleTrust(ActionType):
    """Let nobody assume a role any more, but Quell's own roles and break-glass.

    Does not stop: sessions that were issued before, which live for up to 12 hours.
    """

    id = "iam.lock-role-trust"
    title = "Lock role trust"
    target = "role"
    category = Category.TECHNIQUE
    tier = 2
    order = 28
    pairs_with = ("iam.revoke-role-sessions",)
    reads = ("iam:GetAccountSummary", "iam:GetRole", "iam:ListInstanceProfilesForRole")
    writes = ("iam:UpdateAssumeRolePolicy",)
    fallback = (
        "aws iam get-role --role-name ROLE --query Role.AssumeRolePolicyDocument > trust.json",
        'add to its statements: {"Effect":"Deny","Principal":"*","Action":"sts:AssumeRole"}',
        "aws iam update-assume-role-policy --role-name ROLE --policy-document file://trust.json",
    )

    def plan(self, ctx: Context) -> Plan:
        role = principals.role(ctx, ctx.target.id)
        if not ctx.exempt:
            raise Refused(
                f"account {ctx.target.account} names no role of Quell and no break-glass principal to spare"
            )
        statement = {
            "Sid": ctx.sid,
            "Effect": "Deny",
            "Principal": "*",
            "Action": ASSUMING,
            "Condition": {"ArnNotLike": {"aws:PrincipalArn": list(ctx.exempt)}},
        }
        _can_be_stored(ctx, role, statement)
        trust = role.read(ctx, "GetRole")
        steps = Steps(ctx)
        steps.edit(
            "lock",
            changes=f"iam:role/{role.name}/trust#{ctx.sid}",
            call=role.call(ctx, "UpdateAssumeRolePolicy"),
            seen=Check(
                read=trust,
                select=f"{TRUST}.Statement[?Sid=={q(ctx.sid)}] | [0]",
                equals=statement,
                compare=Compare.POLICY,
            ),
            edit=Edit(
                read=trust,
                at=f"{TRUST}.Statement",
                into="PolicyDocument",
                add=(statement,),
                id="Sid",
                text=True,
            ),
        )
        return steps.plan(
            notes={"trust": role.about["AssumeRolePolicyDocument"]},
            changes=(f"Nobody can assume role {role.name} but {', '.join(ctx.exempt)}",),
        )

    def affects(self, ctx: Context) -> Iterator[Affected]:
        yield from principals.affected(
            ctx, principals.role(ctx, ctx.target.id), then="gets no new session of this role"
        )


def _can_be_stored(ctx: Context, role: Principal, statement: dict[str, Any]) -> None:
    """Raises `Refused` where IAM would not take the policy: for its size, or for whom it names."""
    document = role.about["AssumeRolePolicyDocument"]
    gone = sorted(who for who in principals.named_in_trust(role) if GONE.fullmatch(who))
    if gone:
        raise Refused(
            f"the trust policy of {role.name} names {gone[0]}, a principal that was deleted, and IAM stores "
            "it in that form no more; use iam.deny-role and iam.revoke-role-sessions"
        )
    grown = {**document, "Statement": [*principals.statements(document), statement]}
    size = sum(1 for character in canonical.dumps(grown) if not character.isspace())
    summary = ctx.read(ctx.aws("iam").read("GetAccountSummary"))["SummaryMap"]
    quota = int(summary.get("AssumeRolePolicySizeQuota") or QUOTA)
    if size > quota:
        raise Refused(
            f"the trust policy of {role.name} would have {size} characters, and the account allows {quota}; "
            "use iam.deny-role and iam.revoke-role-sessions"
        )
