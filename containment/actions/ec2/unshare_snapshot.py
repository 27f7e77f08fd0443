"""https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifySnapshotAttribute.html"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from containment.actions import register
from containment.actions.ec2 import sharing
from containment.describing import ActionType, Context
from containment.parameters import param
from containment.types import Affected, Call, Category, Plan, Refused

SNAPSHOT_ID = re.compile(r"snap-[0-9a-f]{8}(?:[0-9a-f]{9})?")


@dataclass(frozen=True, kw_only=True)
class Params:
    accounts: tuple[str, ...] = param(
        "only these accounts, or all for the public; without any, everyone but the forensic account",
        default=(),
        pattern=r"\d{12}|all",
    )


@register
class UnshareSnapshot(ActionType):
    """Take back the permission of other accounts, and of the public, to make volumes of a snapshot.

    Does not stop: copies and volumes made while it was shared; they belong to whoever made them.
    Treat what the snapshot holds as taken.
    """

    id = "ec2.unshare-snapshot"
    title = "Stop sharing snapshot"
    target = "snapshot"
    category = Category.DESTINATION
    tier = 1
    order = 62
    params = Params
    pairs_with = ("iam.deny-technique", "ec2.unshare-image")
    reads = ("ec2:DescribeSnapshotAttribute",)
    writes = ("ec2:ModifySnapshotAttribute",)
    fallback = (
        (
            "aws ec2 modify-snapshot-attribute --snapshot-id SNAPSHOT --attribute createVolumePermission"
            " --operation-type remove --user-ids ACCOUNT (or --group-names all)"
        ),
    )

    def plan(self, ctx: Context) -> Plan:
        return sharing.end(ctx, _sharing(ctx), ctx.params.accounts)

    def affects(self, ctx: Context) -> Iterator[Affected]:
        for who in sharing.losers(ctx, _sharing(ctx), ctx.params.accounts):
            yield Affected(what=who, then="can no longer copy it or make volumes of it")


def _sharing(ctx: Context) -> sharing.Sharing:
    """How the target is shared. Raises `Refused` where it is no snapshot."""
    ec2, snapshot = ctx.aws("ec2"), ctx.target.id
    if not SNAPSHOT_ID.fullmatch(snapshot):
        raise Refused(f"{snapshot} is not the id of a snapshot (snap-…)")
    named: dict[str, Any] = {"SnapshotId": snapshot, "Attribute": "createVolumePermission"}

    def call(way: str, member: str, who: str) -> Call:
        list_of = {"Group": "GroupNames", "UserId": "UserIds"}[member]
        return ec2.call("ModifySnapshotAttribute", **named, OperationType=way, **{list_of: [who]})

    return sharing.Sharing(
        kind="snapshot",
        read=ec2.read("DescribeSnapshotAttribute", **named, missing=("InvalidSnapshot.NotFound",)),
        listed="CreateVolumePermissions",
        members=("Group", "UserId"),
        call=call,
    )
