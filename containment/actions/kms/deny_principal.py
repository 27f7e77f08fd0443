"""https://docs.aws.amazon.com/kms/latest/developerguide/key-policies.html"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from containment.actions import denials, register
from containment.actions.denials import Holder
from containment.actions.kms import keys
from containment.describing import ActionType, Context, Steps
from containment.parameters import param
from containment.types import Affected, Category, Plan, Refused

POLICY_BYTES = 32_768
"""https://docs.aws.amazon.com/kms/latest/developerguide/resource-limits.html"""

PRINCIPAL = re.compile(r"arn:(?P<partition>[a-z-]+):iam::\d{12}:(user|role)/(?P<path>[\w+=,.@/-]+)")


@dataclass(frozen=True, kw_only=True)
class Params:
    principal: str = param(
        "ARN of the user or role that is denied; of a session, the ARN of its role",
        pattern=r"arn:[a-z-]+:iam::\d{12}:(user|role)/[\w+=,.@/-]{1,576}",
    )


@register
class DenyPrincipal(ActionType):
    """Deny one user or role everything with a key, by a statement in the key's policy.

    Does not stop: what the principal decrypted before; data keys that it keeps in memory; other roles
    that it may assume; AWS services that use the key by a grant for another principal.
    """

    id = "kms.deny-principal"
    title = "Deny principal the key"
    target = "kms_key"
    category = Category.DESTINATION
    tier = 2
    order = 62
    params = Params
    pairs_with = ("iam.deny-role", "iam.deny-user")
    reads = ("kms:DescribeKey", "kms:GetKeyPolicy", "kms:ListGrants")
    writes = ("kms:PutKeyPolicy",)
    fallback = (
        "aws kms get-key-policy --key-id KEY --policy-name default --query Policy --output text",
        "to Statement: Effect Deny, Principal *, Action kms:*, Resource *, ArnEquals aws:PrincipalArn X",
        "aws kms put-key-policy --key-id KEY --policy-name default --policy file://policy.json",
    )

    def plan(self, ctx: Context) -> Plan:
        key, principal = keys.found(ctx), ctx.params.principal
        named = PRINCIPAL.fullmatch(principal)
        if named is None or named["partition"] != ctx.partition:
            raise Refused(f"{principal[:120]} is no user or role of the partition {ctx.partition}")
        if named["path"].startswith("aws-service-role/"):
            raise Refused(
                f"{principal} is a service-linked role: AWS itself would be denied; disable the key instead"
            )
        if principal in denials.spared(ctx):
            raise Refused(f"{principal} is one of Quell's own roles or a break-glass principal")
        holder = Holder(
            what=f"key {key.id}",
            changes=f"{key.key}/policy",
            read=key.kms.read("GetKeyPolicy", KeyId=key.id, PolicyName="default", decode=("Policy",)),
            call=key.kms.call("PutKeyPolicy", KeyId=key.id, PolicyName="default"),
            at="Policy",
            into="Policy",
            limit=POLICY_BYTES,
        )
        statement = denials.everyone_but_exempt(ctx, actions=["kms:*"], resources="*")
        # By condition and not as `Principal`: KMS refuses a policy that names one who does not exist any
        # more, and the last thing an intruder leaves behind is often a deleted user.
        statement["Condition"] = {
            "ArnEquals": {"aws:PrincipalArn": principal},
            "ArnNotLike": {"aws:PrincipalArn": denials.spared(ctx)},
        }
        steps = Steps(ctx)
        denials.add(steps, "deny", holder=holder, statement=statement)
        return steps.plan(changes=(f"Everything with key {key.id} is denied to {principal}",))

    def affects(self, ctx: Context) -> Iterator[Affected]:
        key, principal = keys.found(ctx), ctx.params.principal
        yield Affected(what=f"whatever {principal} encrypts or decrypts with key {key.id}", then="is denied")
        grants = ctx.read(key.kms.read("ListGrants", KeyId=key.id, GranteePrincipal=principal))
        for one in grants.get("Grants", []):
            yield Affected(what=f"grant {one['GrantId']} of {principal}", then="is without effect")
