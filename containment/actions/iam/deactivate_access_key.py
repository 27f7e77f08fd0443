"""https://docs.aws.amazon.com/IAM/latest/APIReference/API_UpdateAccessKey.html"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from containment.actions import register
from containment.actions.iam import principals
from containment.describing import ActionType, Context, Steps
from containment.looking import q
from containment.parameters import param
from containment.types import Affected, Category, Check, Plan, Refused


@dataclass(frozen=True, kw_only=True)
class Params:
    user: str = param("name of the IAM user that the key belongs to", pattern=r"[\w+=,.@-]{1,64}")


@register
class DeactivateAccessKey(ActionType):
    """Set one IAM user access key to Inactive.

    Does not stop: temporary credentials already issued from the key, which live for up to 36 hours;
    other keys and the console password of the user; new keys made by whoever may call
    iam:CreateAccessKey.
    """

    id = "iam.deactivate-access-key"
    title = "Deactivate access key"
    target = "access_key"
    category = Category.TECHNIQUE
    tier = 1
    order = 20
    params = Params
    pairs_with = ("iam.revoke-user-sessions", "iam.revoke-role-sessions", "iam.remove-console-access")
    reads = ("iam:GetAccessKeyLastUsed", "iam:GetUser", "iam:ListAccessKeys")
    writes = ("iam:UpdateAccessKey",)
    fallback = ("aws iam update-access-key --user-name USER --access-key-id KEY --status Inactive",)

    def plan(self, ctx: Context) -> Plan:
        owner, key = principals.user(ctx, ctx.params.user), ctx.target.id
        user, listing = owner.name, owner.read(ctx, "ListAccessKeys")
        keys = {k["AccessKeyId"]: k["Status"] for k in ctx.read(listing)["AccessKeyMetadata"]}
        if key not in keys:
            raise Refused(f"{user} has no access key {key}")
        steps = Steps(ctx)
        steps.set(
            "deactivate",
            changes=f"iam:user/{user}/access-key/{key}",
            call=owner.call(ctx, "UpdateAccessKey", AccessKeyId=key, Status="Inactive"),
            seen=Check(
                read=listing,
                select=f"AccessKeyMetadata[?AccessKeyId=={q(key)}].Status | [0]",
                equals="Inactive",
            ),
            undo=owner.call(ctx, "UpdateAccessKey", AccessKeyId=key, Status="Active"),
        )
        others = sorted(k for k, status in keys.items() if k != key and status == "Active")
        return steps.plan(
            changes=(f"Access key {key} of user {user} becomes Inactive",),
            warnings=tuple(f"{user} has another active key, {other}" for other in others),
        )

    def affects(self, ctx: Context) -> Iterator[Affected]:
        used = ctx.read(ctx.aws("iam").read("GetAccessKeyLastUsed", AccessKeyId=ctx.target.id))
        last = used.get("AccessKeyLastUsed") or {}
        service, region = last.get("ServiceName", "N/A"), last.get("Region", "N/A")
        if service != "N/A":
            yield Affected(
                what=f"whatever uses this key; last seen at {service} in {region}", then="is refused"
            )
        else:
            yield Affected(what="whatever uses this key; AWS knows of no use", then="is refused")
