"""https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifySnapshotAttribute.html"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from containment.actions import register
from containment.actions.ec2.sharing import SHARED_WITH_ALL, chosen, grantee, said
from containment.describing import ActionType, Context, Service, Steps
from containment.looking import q
from containment.parameters import param
from containment.types import Affected, Category, Check, Plan, Read, Refused

SNAPSHOT_ID = re.compile(r"snap-[0-9a-f]{8}(?:[0-9a-f]{9})?")
MEMBERS = ("Group", "UserId")


@dataclass(frozen=True, kw_only=True)
class Params:
    accounts: tuple[str, ...] = param(
        "only these accounts, or `all` for the public; without any, everyone but the forensic account",
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
        ec2, steps, snapshot = ctx.aws("ec2"), Steps(ctx), ctx.target.id
        shared = self._shared(ctx, ec2)
        ending = chosen(ctx, shared, ctx.params.accounts)
        if not ending:
            raise Refused(f"{snapshot} is shared with nobody whose permission could be taken back")
        for who in ending:
            self._end(ec2, steps, who)
        staying = tuple(f"{snapshot} stays shared with {said(one)}" for one in shared if one not in ending)
        return steps.plan(
            facts={"shared_with": shared},
            changes=tuple(f"{snapshot} is no longer shared with {said(who)}" for who in ending),
            warnings=("Copies made while it was shared stay with whoever made them", *staying),
        )

    def affects(self, ctx: Context) -> Iterator[Affected]:
        for who in chosen(ctx, self._shared(ctx, ctx.aws("ec2")), ctx.params.accounts):
            yield Affected(what=said(who), then="can no longer copy it or make volumes of it")

    def _permissions(self, ec2: Service, snapshot: str) -> Read:
        return ec2.read(
            "DescribeSnapshotAttribute",
            SnapshotId=snapshot,
            Attribute="createVolumePermission",
            missing=("InvalidSnapshot.NotFound",),
        )

    def _shared(self, ctx: Context, ec2: Service) -> list[str]:
        """Whom it is shared with, sorted. Raises `Refused` where there is no such snapshot."""
        if not SNAPSHOT_ID.fullmatch(ctx.target.id):
            raise Refused(f"{ctx.target.id} is not the id of a snapshot (snap-…)")
        answer = ctx.read(self._permissions(ec2, ctx.target.id))
        if answer is None:
            raise Refused(f"there is no snapshot {ctx.target.id} in {ctx.target.region}")
        return sorted(grantee(one, MEMBERS) for one in answer.get("CreateVolumePermissions") or [])

    def _end(self, ec2: Service, steps: Steps, who: str) -> None:
        snapshot, is_public = steps.ctx.target.id, who == SHARED_WITH_ALL
        member = "Group" if is_public else "UserId"

        def call(way: str) -> Any:
            named = {"GroupNames": [who]} if is_public else {"UserIds": [who]}
            return ec2.call(
                "ModifySnapshotAttribute",
                SnapshotId=snapshot,
                Attribute="createVolumePermission",
                OperationType=way,
                **named,
            )

        steps.set(
            f"unshare-{who}",
            changes=f"ec2:snapshot/{snapshot}/shared-with/{who}",
            lane=who,
            call=call("remove"),
            seen=Check(
                read=self._permissions(ec2, snapshot),
                select=f"CreateVolumePermissions[?{member}=={q(who)}].{member} | [0]",
                equals=None,
            ),
            undo=call("add"),
        )
