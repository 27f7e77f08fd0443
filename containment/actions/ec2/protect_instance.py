"""https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_ChangingDisableAPITermination.html"""

from __future__ import annotations

from typing import Any

from containment.actions import register
from containment.actions.ec2.instances import (
    attribute_of,
    deletes_on_termination,
    described,
    host_disks,
    instance_of,
    scaling_group_of,
    set_attribute,
)
from containment.describing import ActionType, Context, Service, Steps
from containment.types import Category, Check, Plan


@register
class ProtectInstance(ActionType):
    """Keep an instance and its disks from being lost before evidence is taken.

    Does not stop: termination by its Auto Scaling group, a Spot interruption or a scheduled
    retirement; whoever may change the same attributes; a volume that is deleted by itself after it was
    detached; the loss of memory and instance store volumes when it is stopped.
    """

    id = "ec2.protect-instance"
    title = "Protect instance from loss"
    target = "instance"
    category = Category.EVIDENCE
    tier = 0
    order = 6
    pairs_with = ("autoscaling.detach-instance", "ec2.snapshot-volumes")
    reads = ("ec2:DescribeInstances", "ec2:DescribeInstanceAttribute")
    writes = ("ec2:ModifyInstanceAttribute",)
    fallback = (
        "aws ec2 modify-instance-attribute --instance-id INSTANCE --disable-api-termination",
        (
            "aws ec2 modify-instance-attribute --instance-id INSTANCE"
            " --instance-initiated-shutdown-behavior stop"
        ),
        (
            "aws ec2 modify-instance-attribute --instance-id INSTANCE --block-device-mappings"
            ' \'[{"DeviceName":"DEVICE","Ebs":{"DeleteOnTermination":false}}]\''
        ),
    )

    def plan(self, ctx: Context) -> Plan:
        ec2, steps, changes = ctx.aws("ec2"), Steps(ctx), list[str]()
        host = instance_of(ctx, ec2)
        is_spot = host.get("InstanceLifecycle") == "spot"
        if not is_spot:
            self._keep(ctx, ec2, steps)
            changes.append("API calls cannot terminate the instance")
        if host.get("RootDeviceType") != "instance-store" and not is_spot:
            self._stop_on_shutdown(ctx, ec2, steps)
            changes.append("A shutdown from inside stops the instance and does not terminate it")
        for disk in host_disks(host):
            self._keep_volume(ctx, ec2, steps, disk)
            changes.append(f"Volume {disk['Ebs']['VolumeId']} outlives the instance")
        return steps.plan(changes=tuple(changes), warnings=self._warnings(host, is_spot=is_spot))

    def _keep(self, ctx: Context, ec2: Service, steps: Steps) -> None:
        name = "disableApiTermination"
        was = bool(attribute_of(ctx, ec2, name))
        set_attribute(steps, ec2, "refuse-termination", attribute=name, value=True, was=was, lane=name)

    def _stop_on_shutdown(self, ctx: Context, ec2: Service, steps: Steps) -> None:
        name = "instanceInitiatedShutdownBehavior"
        was = attribute_of(ctx, ec2, name)
        set_attribute(steps, ec2, "stop-on-shutdown", attribute=name, value="stop", was=was, lane=name)

    def _keep_volume(self, ctx: Context, ec2: Service, steps: Steps, disk: dict[str, Any]) -> None:
        device, volume = disk["DeviceName"], disk["Ebs"]["VolumeId"]

        def call(*, deletes: bool) -> Any:
            mapping = {"DeviceName": device, "Ebs": {"DeleteOnTermination": deletes}}
            return ec2.call(
                "ModifyInstanceAttribute", InstanceId=ctx.target.id, BlockDeviceMappings=[mapping]
            )

        steps.set(
            f"keep-{volume}",
            changes=f"ec2:instance/{ctx.target.id}/volume/{volume}/delete-on-termination",
            lane=volume,
            call=call(deletes=False),
            seen=Check(
                read=described(ec2, ctx.target.id), select=deletes_on_termination(device), equals=False
            ),
            undo=call(deletes=bool(disk["Ebs"].get("DeleteOnTermination"))),
        )

    def _warnings(self, host: dict[str, Any], *, is_spot: bool) -> tuple[str, ...]:
        warnings = []
        group = scaling_group_of(host)
        if group:
            warnings.append(f"Auto Scaling group {group} can terminate it all the same: detach it first")
        if is_spot:
            warnings.append("A Spot instance cannot be protected from termination; only its volumes are kept")
        return tuple(warnings)
