"""https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifyImageAttribute.html"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from containment.actions import register
from containment.actions.ec2 import sharing
from containment.describing import ActionType, Context
from containment.parameters import param
from containment.types import Affected, Call, Category, Plan, Refused

IMAGE_ID = re.compile(r"ami-[0-9a-f]{8}(?:[0-9a-f]{9})?")


@dataclass(frozen=True, kw_only=True)
class Params:
    grantees: tuple[str, ...] = param(
        (
            "only these accounts, ARNs of organizations or units, or all for the public;"
            " without any, everyone but the forensic account"
        ),
        default=(),
        pattern=r"\d{12}|all|arn:[a-z-]+:organizations::\d{12}:(organization|ou)/[a-z0-9/-]+",
    )


@register
class UnshareImage(ActionType):
    """Take back the permission of other accounts, and of the public, to launch an image.

    Does not stop: instances launched and copies made while it was shared; sharing of the image's
    snapshots, which have permissions of their own.
    """

    id = "ec2.unshare-image"
    title = "Stop sharing image"
    target = "image"
    category = Category.DESTINATION
    tier = 1
    order = 63
    params = Params
    pairs_with = ("ec2.unshare-snapshot",)
    reads = ("ec2:DescribeImages", "ec2:DescribeImageAttribute")
    writes = ("ec2:ModifyImageAttribute",)
    fallback = (
        (
            "aws ec2 modify-image-attribute --image-id IMAGE"
            ' --launch-permission "Remove=[{UserId=ACCOUNT}]" (or Group=all)'
        ),
    )

    def plan(self, ctx: Context) -> Plan:
        return sharing.end(ctx, _sharing(ctx), ctx.params.grantees)

    def affects(self, ctx: Context) -> Iterator[Affected]:
        for who in sharing.losers(ctx, _sharing(ctx), ctx.params.grantees):
            yield Affected(what=who, then="can no longer launch or copy it")


def _sharing(ctx: Context) -> sharing.Sharing:
    """How the target is shared. Raises `Refused` where it is no image of the account's own."""
    ec2, image = ctx.aws("ec2"), ctx.target.id
    if not IMAGE_ID.fullmatch(image):
        raise Refused(f"{image} is not the id of an image (ami-…)")
    own = ec2.read("DescribeImages", ImageIds=[image], Owners=["self"], missing=("InvalidAMIID.NotFound",))
    if not (ctx.read(own) or {}).get("Images"):
        raise Refused(f"the account owns no image {image} in {ctx.target.region}")

    def call(way: str, member: str, who: str) -> Call:
        change = {way.capitalize(): [{member: who}]}
        return ec2.call("ModifyImageAttribute", ImageId=image, LaunchPermission=change)

    return sharing.Sharing(
        kind="image",
        read=ec2.read("DescribeImageAttribute", ImageId=image, Attribute="launchPermission"),
        listed="LaunchPermissions",
        members=("Group", "UserId", "OrganizationArn", "OrganizationalUnitArn"),
        call=call,
    )
