"""https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateSnapshots.html"""

from __future__ import annotations

from collections.abc import Iterator

from containment.actions import register
from containment.describing import ActionType, Context, Steps, filters
from containment.types import Affected, Category, Check, Compare, Plan, Refused

SIX_HOURS = 6 * 3600


@register
class SnapshotVolumes(ActionType):
    """Take one crash-consistent set of snapshots of every EBS volume of an instance.

    Does not stop: anything; it preserves the disks as they are. Memory and instance store volumes
    are not in it.
    """

    id = "ec2.snapshot-volumes"
    title = "Snapshot volumes"
    target = "instance"
    category = Category.EVIDENCE
    tier = 0
    order = 10
    pairs_with = ("ec2.isolate-instance",)
    reads = ("ec2:DescribeInstances", "ec2:DescribeSnapshots")
    writes = ("ec2:CreateSnapshots",)
    fallback = ("aws ec2 create-snapshots --instance-specification InstanceId=INSTANCE",)

    def plan(self, ctx: Context) -> Plan:
        ec2, instance = ctx.aws("ec2"), ctx.target.id
        found = ctx.read(
            ec2.read("DescribeInstances", InstanceIds=[instance], missing=("InvalidInstanceID.NotFound",))
        )
        if not found or not found["Reservations"]:
            raise Refused(f"there is no instance {instance}")
        host = found["Reservations"][0]["Instances"][0]
        volumes = sorted(b["Ebs"]["VolumeId"] for b in host.get("BlockDeviceMappings", []) if "Ebs" in b)
        if not volumes:
            raise Refused(f"{instance} has no EBS volume")
        steps = Steps(ctx)
        made = steps.create(
            "snapshots",
            changes=f"ec2:instance/{instance}/snapshots/{ctx.mark}",
            find=ec2.read(
                "DescribeSnapshots", OwnerIds=["self"], Filters=filters(**{"tag:quell:action": ctx.id})
            ),
            select="sort(Snapshots[].SnapshotId)",
            answer="sort(Snapshots[].SnapshotId)",
            call=ec2.call(
                "CreateSnapshots",
                InstanceSpecification={"InstanceId": instance},
                Description=ctx.mark,
                CopyTagsFromSource="volume",
                TagSpecifications=[{"ResourceType": "snapshot", "Tags": ctx.tags}],
            ),
            # Tags of new snapshots can take longer to be found by filter than other changes.
            settle=60,
        )
        steps.wait(
            "completed",
            seen=Check(
                read=ec2.read("DescribeSnapshots", SnapshotIds=made),
                select="Snapshots[].State",
                equals=["completed"] * len(volumes),
                compare=Compare.SET,
            ),
            within=SIX_HOURS,
            fails=("error",),
        )
        return steps.plan(
            facts={"volumes": volumes},
            changes=tuple(f"A snapshot of volume {volume} is taken" for volume in volumes),
        )

    def affects(self, ctx: Context) -> Iterator[Affected]:  # noqa: ARG002 - nothing to read
        yield Affected(
            what="the instance and whatever runs on it", then="goes on; its volumes may be slower meanwhile"
        )
