"""https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_managed-versioning.html"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from containment.actions import register
from containment.describing import ActionType, Context, Steps
from containment.parameters import param
from containment.types import Affected, Category, Check, Plan, Refused


@dataclass(frozen=True, kw_only=True)
class Params:
    version: str = param("version that becomes the default again, such as v3", pattern=r"v[1-9]\d{0,5}")


@register
class RestorePolicyVersion(ActionType):
    """Make another stored version of a managed policy of the account its default again.

    Does not stop: a further version, for whoever may call iam:CreatePolicyVersion; sessions go on, with
    the rights of the restored version. The other version stays stored, as evidence.
    """

    id = "iam.restore-policy-version"
    title = "Restore policy version"
    target = "policy"
    category = Category.ERADICATION
    tier = 2
    order = 82
    params = Params
    pairs_with = ("iam.deny-technique",)
    reads = (
        "iam:GetPolicy",
        "iam:GetPolicyVersion",
        "iam:ListEntitiesForPolicy",
        "iam:ListPolicyVersions",
    )
    writes = ("iam:SetDefaultPolicyVersion",)
    fallback = ("aws iam set-default-policy-version --policy-arn POLICY_ARN --version-id VERSION",)

    def plan(self, ctx: Context) -> Plan:
        iam, arn, wanted = ctx.aws("iam"), ctx.target.id, ctx.params.version
        if not arn.startswith(ctx.arn("iam", "policy/")):
            raise Refused(
                f"name the policy by the ARN of one that account {ctx.target.account} keeps itself, "
                f"{ctx.arn('iam', 'policy/NAME')}"
            )
        policy = iam.read("GetPolicy", PolicyArn=arn, missing=("NoSuchEntity",))
        found = ctx.read(policy)
        if found is None:
            raise Refused(f"there is no policy {arn}")
        now = found["Policy"]["DefaultVersionId"]
        versions = {
            one["VersionId"]: one
            for one in ctx.read(iam.read("ListPolicyVersions", PolicyArn=arn))["Versions"]
        }
        if wanted not in versions:
            raise Refused(f"{arn} has no version {wanted}; it has {', '.join(sorted(versions, key=_number))}")
        documents = {
            version: ctx.read(iam.read("GetPolicyVersion", PolicyArn=arn, VersionId=version))[
                "PolicyVersion"
            ]["Document"]
            for version in sorted({wanted, now})
        }
        steps = Steps(ctx)
        steps.set(
            "restore",
            changes=f"iam:policy/{arn}/default-version",
            call=iam.call("SetDefaultPolicyVersion", PolicyArn=arn, VersionId=wanted),
            seen=Check(read=policy, select="Policy.DefaultVersionId", equals=wanted),
            undo=iam.call("SetDefaultPolicyVersion", PolicyArn=arn, VersionId=now),
        )
        return steps.plan(
            facts={"documents": documents},
            changes=(f"Version {wanted} of {arn} becomes the default again, instead of {now}",),
            warnings=_younger(wanted, now),
        )

    def affects(self, ctx: Context) -> Iterator[Affected]:
        found = ctx.read(ctx.aws("iam").read("ListEntitiesForPolicy", PolicyArn=ctx.target.id))
        for kind in ("Group", "Role", "User"):
            for name in sorted(str(one[f"{kind}Name"]) for one in found.get(f"Policy{kind}s", [])):
                yield Affected(what=f"{kind.lower()} {name}", then=f"has the rights of {ctx.params.version}")


def _younger(wanted: str, now: str) -> tuple[str, ...]:
    """An attacker may have set an old version as well as written a new one; both can be put right."""
    if _number(wanted) <= _number(now):
        return ()
    return (f"{wanted} is younger than {now}, the default now: make sure that the attacker did not write it",)


def _number(version: str) -> int:
    return int(version[1:])
