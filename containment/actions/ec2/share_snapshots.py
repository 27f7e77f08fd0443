"""https://docs.aws.amazon.com/ebs/latest/userguide/ebs-modifying-snapshot-permissions.html

What is encrypted with the account's default key cannot be shared. Such a snapshot is first copied
under a key that can be; then it is shared, and copied once more in the forensic account under a key
that only that account has. A copy that lacks a key's permission fails later, as its state.
https://docs.aws.amazon.com/ebs/latest/userguide/ebs-copy-snapshot.html
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from containment.actions import register
from containment.actions.ec2.instances import instance_of, volumes_of
from containment.describing import ActionType, Context, Ref, Service, Steps, filters
from containment.looking import q
from containment.parameters import param
from containment.types import Affected, Category, Check, Plan, Refused

KEY = r"(arn:[a-z-]+:kms:[a-z0-9-]+:\d{12}:)?((key/)?[0-9a-f-]{36}|mrk-[0-9a-f]{32}|alias/[\w/-]{1,250})"
DAY = 24 * 3600
AT_ONCE = 20
"""Snapshot copies under way at once to one region.
https://docs.aws.amazon.com/general/latest/gr/ebs-service.html"""


@dataclass(frozen=True, kw_only=True)
class Params:
    forensic_key_id: str = param(
        "the forensic account's own KMS key, for the copies that stay there", pattern=KEY
    )
    kms_key_id: str = param(
        "a customer managed key that the forensic account may use, for what the default key encrypts",
        default="",
        pattern=f"({KEY})?",
    )
    snapshot_ids: tuple[str, ...] = param(
        "these snapshots; without any, the newest completed one of each of the instance's volumes",
        default=(),
        pattern=r"snap-[0-9a-f]{8,17}",
        maximum=AT_ONCE,
    )


@register
class ShareSnapshots(ActionType):
    """Copy the snapshots of an instance into the forensic account, under a key of its own.

    Does not stop: anything; it brings evidence where the attacker does not reach. Whoever may use the
    source account's key can still read the snapshots there. A key that is disabled meanwhile spoils
    the copies under way.
    """

    id = "ec2.share-snapshots"
    title = "Copy snapshots to the forensic account"
    target = "instance"
    category = Category.EVIDENCE
    tier = 0
    order = 12
    params = Params
    pairs_with = ("ec2.snapshot-volumes", "ec2.terminate-instance")
    reads = (
        "ec2:DescribeInstances",
        "ec2:DescribeSnapshotAttribute",
        "ec2:DescribeSnapshots",
        "kms:DescribeKey",
    )
    writes = ("ec2:CopySnapshot", "ec2:ModifySnapshotAttribute")
    fallback = (
        (
            "aws ec2 copy-snapshot --source-snapshot-id SNAPSHOT --source-region REGION"
            " --encrypted --kms-key-id KEY"
        ),
        (
            "aws ec2 modify-snapshot-attribute --snapshot-id COPY --attribute createVolumePermission"
            " --operation-type add --user-ids FORENSIC"
        ),
        "in the forensic account: the same copy-snapshot of COPY under its own key",
    )

    def plan(self, ctx: Context) -> Plan:
        ec2, steps = ctx.aws("ec2"), Steps(ctx)
        forensic = ctx.at("forensic").account
        if forensic == ctx.target.account:
            raise Refused("the instance is in the forensic account already")
        snapshots = self._snapshots(ctx, ec2)
        locked = [one["SnapshotId"] for one in snapshots if self._has_default_key(ctx, one)]
        keys = self._keys(ctx, snapshots, locked)
        shared = {one["SnapshotId"]: self._shareable(ec2, steps, one, locked) for one in snapshots}
        for snapshot, what in shared.items():
            self._share(ec2, steps, snapshot, what, forensic)
        for snapshot, what in shared.items():
            self._bring_home(ctx, steps, snapshot, what)
        for snapshot in shared:
            self._completed(ctx.aws("ec2", "forensic"), steps, "kept", snapshot)
        return steps.plan(
            facts={"snapshots": list(shared), "forensic": forensic, "uses": keys},
            changes=tuple(self._sentences(snapshots, locked, forensic)),
            warnings=tuple(
                f"{key} must let account {forensic} use it (kms:DescribeKey, Decrypt, CreateGrant, ReEncrypt)"
                for key in keys[:-1]
            ),
        )

    def affects(self, ctx: Context) -> Iterator[Affected]:
        forensic = ctx.at("forensic").account
        for one in self._snapshots(ctx, ctx.aws("ec2")):
            size = one.get("VolumeSize", 0)
            yield Affected(
                what=f"{one['SnapshotId']}, {size} GiB",
                then=f"can be read by account {forensic} from then on",
            )

    # --- what is there --------------------------------------------------------------------------------

    def _snapshots(self, ctx: Context, ec2: Service) -> list[dict[str, Any]]:
        """What is to be copied, by id. Raises `Refused` where one is not there or not complete."""
        asked = sorted(set(ctx.params.snapshot_ids))
        if asked:
            read = ec2.read(
                "DescribeSnapshots",
                OwnerIds=["self"],
                SnapshotIds=asked,
                missing=("InvalidSnapshot.NotFound",),
            )
            found = (ctx.read(read) or {}).get("Snapshots") or []
            absent = sorted(set(asked) - {one["SnapshotId"] for one in found})
            if absent:
                raise Refused(f"the account owns no snapshot {', '.join(absent)}")
        else:
            found = self._newest(ctx, ec2)
        unfinished = sorted(one["SnapshotId"] for one in found if one["State"] != "completed")
        if unfinished:
            raise Refused(f"{', '.join(unfinished)} is not completed yet")
        return sorted(found, key=itemgetter("SnapshotId"))

    def _newest(self, ctx: Context, ec2: Service) -> list[dict[str, Any]]:
        """The newest completed snapshot of each volume of the instance."""
        volumes = sorted(volume for _, volume in volumes_of(instance_of(ctx, ec2)))
        if not volumes:
            raise Refused(f"{ctx.target.id} has no EBS volume")
        if len(volumes) > AT_ONCE:
            raise Refused(
                f"{len(volumes)} volumes, and AWS copies {AT_ONCE} at once: name them in snapshot_ids"
            )
        by = [{"Name": "status", "Values": ["completed"]}, {"Name": "volume-id", "Values": volumes}]
        answer = ctx.read(ec2.read("DescribeSnapshots", OwnerIds=["self"], Filters=by))["Snapshots"]
        newest = {one["VolumeId"]: one for one in sorted(answer, key=itemgetter("StartTime", "SnapshotId"))}
        bare = [volume for volume in volumes if volume not in newest]
        if bare:
            raise Refused(
                f"no completed snapshot of {', '.join(bare)}: take one first (ec2.snapshot-volumes)"
            )
        return [newest[volume] for volume in volumes]

    def _has_default_key(self, ctx: Context, snapshot: dict[str, Any]) -> bool:
        """Whether the snapshot is encrypted with a key that AWS manages, and so cannot be shared."""
        if not snapshot.get("Encrypted"):
            return False
        return bool(self._key(ctx, str(snapshot["KmsKeyId"]), "target")["KeyManager"] == "AWS")

    def _key(self, ctx: Context, key: str, where: str) -> dict[str, Any]:
        """A key as its account describes it. Raises `Refused` where there is none, or it is not enabled."""
        read = ctx.aws("kms", where).read("DescribeKey", KeyId=key, missing=("NotFoundException",))
        answer = ctx.read(read)
        if answer is None:
            raise Refused(f"there is no key {key} in account {ctx.at(where).account}")
        found: dict[str, Any] = answer["KeyMetadata"]
        if found["KeyState"] != "Enabled":
            raise Refused(f"key {key} is {found['KeyState']}: nothing can be copied with it")
        return found

    def _keys(self, ctx: Context, snapshots: list[dict[str, Any]], locked: list[str]) -> list[str]:
        """ARNs of the keys that the copies need, the forensic account's last."""
        used = set()
        if locked:
            used.add(self._sharing_key(ctx, locked))
        for one in snapshots:
            if one.get("Encrypted") and one["SnapshotId"] not in locked:
                used.add(str(self._key(ctx, str(one["KmsKeyId"]), "target")["Arn"]))
        return [*sorted(used), str(self._key(ctx, ctx.params.forensic_key_id, "forensic")["Arn"])]

    def _sharing_key(self, ctx: Context, locked: list[str]) -> str:
        if not ctx.params.kms_key_id:
            raise Refused(
                f"{', '.join(locked)} is encrypted with the account's default key, which cannot be shared:"
                " give kms_key_id, a customer managed key that the forensic account may use"
            )
        key = self._key(ctx, ctx.params.kms_key_id, "target")
        if key["KeyManager"] == "AWS":
            raise Refused(f"{ctx.params.kms_key_id} is managed by AWS and cannot be shared either")
        return str(key["Arn"])

    # --- steps ----------------------------------------------------------------------------------------

    def _shareable(
        self, ec2: Service, steps: Steps, snapshot: dict[str, Any], locked: list[str]
    ) -> str | Ref:
        """What can be shared: the snapshot itself, or a copy of it under a key that is not the default."""
        name = snapshot["SnapshotId"]
        if name not in locked:
            return str(name)
        made = self._copy(ec2, steps, "unlocked", name, name, key=steps.ctx.params.kms_key_id)
        self._completed(ec2, steps, "unlocked", name)
        return made

    def _copy(
        self, ec2: Service, steps: Steps, stage: str, snapshot: str, source: str | Ref, *, key: str
    ) -> Ref:
        """A copy under our mark; its tags say of which snapshot."""
        ctx, step = steps.ctx, f"{stage}-{snapshot}"
        marks = {"tag:quell:action": ctx.id, "tag:quell:copy": step}
        return steps.create(
            step,
            changes=f"ec2:snapshot/{ctx.mark}/{step}",
            lane=snapshot,
            find=ec2.read("DescribeSnapshots", OwnerIds=["self"], Filters=filters(**marks)),
            select="Snapshots[0].SnapshotId",
            answer="SnapshotId",
            call=ec2.call(
                "CopySnapshot",
                SourceSnapshotId=source,
                SourceRegion=ctx.target.region,
                Encrypted=True,
                KmsKeyId=key,
                Description=f"{ctx.mark} {step}",
                TagSpecifications=[
                    {
                        "ResourceType": "snapshot",
                        "Tags": [*ctx.tags, {"Key": "quell:copy", "Value": step}],
                    }
                ],
            ),
            settle=60,
            within=1800,
        )

    def _completed(self, ec2: Service, steps: Steps, stage: str, snapshot: str) -> None:
        steps.wait(
            f"{stage}-completed-{snapshot}",
            seen=Check(
                read=ec2.read("DescribeSnapshots", SnapshotIds=[Ref({"$ref": f"{stage}-{snapshot}"})]),
                select="Snapshots[0].State",
                equals="completed",
            ),
            within=DAY,
            fails=("error",),
            lane=snapshot,
        )

    def _share(self, ec2: Service, steps: Steps, snapshot: str, what: str | Ref, account: str) -> None:
        shared: dict[str, Any] = {"SnapshotId": what, "Attribute": "createVolumePermission"}
        changed = f"{steps.ctx.mark}/{snapshot}" if isinstance(what, Ref) else snapshot
        more: dict[str, Any] = {"was": None} if isinstance(what, Ref) else {}

        def call(way: str) -> Any:
            return ec2.call("ModifySnapshotAttribute", OperationType=way, UserIds=[account], **shared)

        steps.set(
            f"share-{snapshot}",
            changes=f"ec2:snapshot/{changed}/shared-with/{account}",
            lane=snapshot,
            call=call("add"),
            seen=Check(
                read=ec2.read("DescribeSnapshotAttribute", **shared),
                select=f"CreateVolumePermissions[?UserId=={q(account)}].UserId | [0]",
                equals=account,
            ),
            undo=call("remove"),
            **more,
        )

    def _bring_home(self, ctx: Context, steps: Steps, snapshot: str, what: str | Ref) -> None:
        key = ctx.params.forensic_key_id
        self._copy(ctx.aws("ec2", "forensic"), steps, "kept", snapshot, what, key=key)

    def _sentences(self, snapshots: list[dict[str, Any]], locked: list[str], forensic: str) -> Iterator[str]:
        for one in snapshots:
            name = one["SnapshotId"]
            if name in locked:
                yield f"{name} is copied under a key that can be shared"
            yield f"{name} is shared with account {forensic} and copied there under its own key"
