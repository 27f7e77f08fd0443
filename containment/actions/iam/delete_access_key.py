"""https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeleteAccessKey.html"""

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
class DeleteAccessKey(ActionType):
    """Delete an access key that is Inactive already. It cannot be brought back.

    Does not stop: temporary credentials already issued from the key, which live for up to 36 hours;
    other keys of the user. AWS no longer says afterwards when the key was last used.
    """

    id = "iam.delete-access-key"
    title = "Delete access key"
    target = "access_key"
    category = Category.ERADICATION
    tier = 3
    order = 85
    params = Params
    pairs_with = ("iam.revoke-user-sessions",)
    reads = ("iam:GetAccessKeyLastUsed", "iam:GetUser", "iam:ListAccessKeys")
    writes = ("iam:DeleteAccessKey",)
    fallback = ("aws iam delete-access-key --user-name USER --access-key-id KEY",)

    def plan(self, ctx: Context) -> Plan:
        user, key = principals.user(ctx, ctx.params.user), ctx.target.id
        listing = user.read(ctx, "ListAccessKeys")
        keys = {one["AccessKeyId"]: one for one in ctx.read(listing)["AccessKeyMetadata"]}
        if key not in keys:
            raise Refused(f"{user.name} has no access key {key}")
        if keys[key]["Status"] != "Inactive":
            raise Refused(f"{key} is Active; deactivate it first, and see for a while that nothing misses it")
        used = ctx.read(ctx.aws("iam").read("GetAccessKeyLastUsed", AccessKeyId=key))
        steps = Steps(ctx)
        steps.set(
            "delete",
            changes=f"iam:user/{user.name}/access-key/{key}",
            call=user.call(ctx, "DeleteAccessKey", AccessKeyId=key),
            seen=Check(
                read=listing,
                select=f"AccessKeyMetadata[?AccessKeyId=={q(key)}].Status | [0]",
                equals=None,
            ),
        )
        return steps.plan(
            facts={"created": str(keys[key].get("CreateDate", ""))},
            notes={"last_used": used.get("AccessKeyLastUsed")},
            changes=(f"Access key {key} of user {user.name} is deleted",),
            warnings=("This cannot be undone; take its last use down as evidence first",),
        )

    def affects(self, ctx: Context) -> Iterator[Affected]:
        used = ctx.read(ctx.aws("iam").read("GetAccessKeyLastUsed", AccessKeyId=ctx.target.id))
        last = used.get("AccessKeyLastUsed") or {}
        service, region = last.get("ServiceName", "N/A"), last.get("Region", "N/A")
        seen = f"last seen at {service} in {region}" if service != "N/A" else "AWS knows of no use"
        yield Affected(what=f"whatever was set up with this key; {seen}", then="needs another key for good")
