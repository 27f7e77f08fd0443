"""https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_TerminateInstances.html"""

from __future__ import annotations

from collections.abc import Iterator
from operator import itemgetter
from typing import Any

from containment.actions import register
from containment.actions.ec2.instances import (
    STATE,
    attribute_of,
    described,
    host_disks,
    instance_of,
    scaling_group_of,
    set_attribute,
    volumes_of,
)
from containment.describing import ActionType, Context, Service, Steps
from containment.types import Affected, Category, Check, Plan, Refused

ENDED = f'contains(`["shutting-down", "terminated"]`, {STATE})'


@register
class TerminateInstance(ActionType):
    """Terminate an instance for good, once a completed snapshot of each of its volumes exists.

    Does not stop: credentials already taken from it; its Auto Scaling group, which launches another
    from the same image; whatever else was started by whoever took it over.
    """

    id = "ec2.terminate-instance"
    title = "Terminate instance"
    target = "instance"
    category = Category.ERADICATION
    tier = 3
    order = 85
    pairs_with = ("ec2.snapshot-volumes", "ec2.share-snapshots", "ec2.capture-instance")
    reads = ("ec2:DescribeInstances", "ec2:DescribeInstanceAttribute", "ec2:DescribeSnapshots")
    writes = ("ec2:ModifyInstanceAttribute", "ec2:TerminateInstances")
    fallback = (
        "aws ec2 modify-instance-attribute --instance-id INSTANCE --no-disable-api-termination",
        "aws ec2 terminate-instances --instance-ids INSTANCE",
        "aws ec2 modify-instance-attribute --instance-id INSTANCE --disable-api-termination, if it stays",
    )

    def plan(self, ctx: Context) -> Plan:
        ec2, steps, instance = ctx.aws("ec2"), Steps(ctx), ctx.target.id
        host = instance_of(ctx, ec2)
        kept = self._kept(ctx, ec2, host)
        changes = [f"{instance} is terminated and does not come back"]
        if attribute_of(ctx, ec2, "disableApiTermination"):
            self._allow(ec2, steps)
            changes.insert(0, "Its protection from termination is taken away")
        here = described(ec2, instance)
        steps.set(
            "terminate",
            changes=f"ec2:instance/{instance}/existence",
            call=ec2.call("TerminateInstances", InstanceIds=[instance]),
            seen=Check(read=here, select=ENDED, equals=True),
        )
        steps.wait("terminated", seen=Check(read=here, select=STATE, equals="terminated"), within=900)
        return steps.plan(
            facts={
                "snapshots": {volume: one["SnapshotId"] for volume, one in kept.items()},
                "deleted": self._deleted(host),
            },
            notes={"state": host["State"]["Name"]},
            changes=(*changes, *(_stays(volume, one) for volume, one in kept.items())),
            warnings=tuple(self._warnings(host)),
        )

    def affects(self, ctx: Context) -> Iterator[Affected]:
        host = instance_of(ctx, ctx.aws("ec2"))
        yield Affected(what="whatever runs on the instance", then="ends for good")
        for volume in self._deleted(host):
            yield Affected(what=f"volume {volume}", then="is deleted; its snapshot stays")
        for one in sorted(host.get("NetworkInterfaces") or [], key=itemgetter("NetworkInterfaceId")):
            if (one.get("Attachment") or {}).get("DeleteOnTermination"):
                then = "is deleted, and its private address is free for others"
                yield Affected(what=f"interface {one['NetworkInterfaceId']}", then=then)

    def _allow(self, ec2: Service, steps: Steps) -> None:
        """Not undone: an instance that is gone needs no protection, and cannot be given any."""
        name = "disableApiTermination"
        set_attribute(steps, ec2, "allow-termination", attribute=name, value=False, was=True, undone=False)

    def _kept(self, ctx: Context, ec2: Service, host: dict[str, Any]) -> dict[str, dict[str, Any]]:
        """The newest completed snapshot of each volume. Raises `Refused` where a volume has none."""
        volumes = sorted(volume for _, volume in volumes_of(host))
        if not volumes:
            return {}
        by = [{"Name": "status", "Values": ["completed"]}, {"Name": "volume-id", "Values": volumes}]
        found = ctx.read(ec2.read("DescribeSnapshots", OwnerIds=["self"], Filters=by))["Snapshots"]
        newest = {one["VolumeId"]: one for one in sorted(found, key=itemgetter("StartTime", "SnapshotId"))}
        bare = [volume for volume in volumes if volume not in newest]
        if bare:
            raise Refused(
                f"no completed snapshot of {', '.join(bare)}: take one first (ec2.snapshot-volumes)"
            )
        return {volume: newest[volume] for volume in volumes}

    def _deleted(self, host: dict[str, Any]) -> list[str]:
        """The volumes that go with the instance, sorted."""
        return sorted(
            one["Ebs"]["VolumeId"] for one in host_disks(host) if one["Ebs"].get("DeleteOnTermination")
        )

    def _warnings(self, host: dict[str, Any]) -> Iterator[str]:
        yield "This cannot be undone"
        yield "Memory and instance store volumes are lost"
        for volume in self._deleted(host):
            yield f"Volume {volume} is deleted with it"
        group = scaling_group_of(host)
        if group:
            yield f"Auto Scaling group {group} launches another from the same image"


def _stays(volume: str, snapshot: dict[str, Any]) -> str:
    return f"Volume {volume} stays as snapshot {snapshot['SnapshotId']} of {snapshot['StartTime']}"
