"""https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifyImageAttribute.html"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from containment.actions import register
from containment.actions.ec2.sharing import chosen, grantee, said
from containment.describing import ActionType, Context, Service, Steps
from containment.looking import q
from containment.parameters import param
from containment.types import Affected, Category, Check, Plan, Read, Refused

IMAGE_ID = re.compile(r"ami-[0-9a-f]{8}(?:[0-9a-f]{9})?")
MEMBERS = ("Group", "UserId", "OrganizationArn", "OrganizationalUnitArn")


@dataclass(frozen=True, kw_only=True)
class Params:
    grantees: tuple[str, ...] = param(
        (
            "only these accounts, ARNs of organizations or units, or `all` for the public;"
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
        ec2, steps, image = ctx.aws("ec2"), Steps(ctx), ctx.target.id
        shared = self._shared(ctx, ec2)
        ending = chosen(ctx, shared, ctx.params.grantees)
        if not ending:
            raise Refused(f"{image} is shared with nobody whose permission could be taken back")
        for who in ending:
            self._end(ec2, steps, who, shared[who])
        staying = tuple(f"{image} stays shared with {said(one)}" for one in shared if one not in ending)
        return steps.plan(
            facts={"shared_with": list(shared)},
            changes=tuple(f"{image} is no longer shared with {said(who)}" for who in ending),
            warnings=("Copies made while it was shared stay with whoever made them", *staying),
        )

    def affects(self, ctx: Context) -> Iterator[Affected]:
        for who in chosen(ctx, self._shared(ctx, ctx.aws("ec2")), ctx.params.grantees):
            yield Affected(what=said(who), then="can no longer launch or copy it")

    def _permissions(self, ec2: Service, image: str) -> Read:
        return ec2.read("DescribeImageAttribute", ImageId=image, Attribute="launchPermission")

    def _shared(self, ctx: Context, ec2: Service) -> dict[str, str]:
        """Whom it is shared with, sorted, and by which member. Raises `Refused` where it is not ours."""
        if not IMAGE_ID.fullmatch(ctx.target.id):
            raise Refused(f"{ctx.target.id} is not the id of an image (ami-…)")
        own = ec2.read(
            "DescribeImages", ImageIds=[ctx.target.id], Owners=["self"], missing=("InvalidAMIID.NotFound",)
        )
        if not (ctx.read(own) or {}).get("Images"):
            raise Refused(f"the account owns no image {ctx.target.id} in {ctx.target.region}")
        permissions = ctx.read(self._permissions(ec2, ctx.target.id)).get("LaunchPermissions") or []
        members = {grantee(one, MEMBERS): one for one in permissions}
        return {who: next(name for name in MEMBERS if members[who].get(name)) for who in sorted(members)}

    def _end(self, ec2: Service, steps: Steps, who: str, member: str) -> None:
        image = steps.ctx.target.id

        def call(way: str) -> Any:
            return ec2.call("ModifyImageAttribute", ImageId=image, LaunchPermission={way: [{member: who}]})

        steps.set(
            f"unshare-{who}",
            changes=f"ec2:image/{image}/shared-with/{who}",
            lane=who,
            call=call("Remove"),
            seen=Check(
                read=self._permissions(ec2, image),
                select=f"LaunchPermissions[?{member}=={q(who)}].{member} | [0]",
                equals=None,
            ),
            undo=call("Add"),
        )
