"""What the actions on an instance read of it. No action type of its own.

https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_Instance.html
"""

from __future__ import annotations

import re
from typing import Any

from containment.describing import Context, Ref, Service, Steps
from containment.looking import q
from containment.types import Check, Read, Refused

INSTANCE_ID = re.compile(r"i-[0-9a-f]{8}(?:[0-9a-f]{9})?")
GONE = frozenset({"shutting-down", "terminated"})
STATE = "Reservations[0].Instances[0].State.Name"


def instance_of(ctx: Context, ec2: Service) -> dict[str, Any]:
    """The target as AWS describes it. Raises `Refused` where there is none, or none any more."""
    if not INSTANCE_ID.fullmatch(ctx.target.id):
        raise Refused(f"{ctx.target.id} is not the id of an instance (i- and 8 or 17 hexadecimal digits)")
    answer = ctx.read(described(ec2, ctx.target.id, missing=("InvalidInstanceID.NotFound",)))
    if not answer or not answer["Reservations"]:
        raise Refused(f"there is no instance {ctx.target.id} in {ctx.target.region}")
    host: dict[str, Any] = answer["Reservations"][0]["Instances"][0]
    if host["State"]["Name"] in GONE:
        raise Refused(f"{ctx.target.id} is {host['State']['Name']}")
    return host


def described(ec2: Service, instance: str, *, missing: tuple[str, ...] = ()) -> Read:
    """The read that describes one instance."""
    return ec2.read("DescribeInstances", InstanceIds=[instance], missing=missing)


def volumes_of(host: dict[str, Any]) -> list[tuple[str, str]]:
    """Device and volume of each EBS volume that is attached, by device."""
    return sorted((one["DeviceName"], one["Ebs"]["VolumeId"]) for one in host_disks(host))


def host_disks(host: dict[str, Any]) -> list[dict[str, Any]]:
    """The attached EBS volumes as AWS lists them, by device."""
    disks = [one for one in host.get("BlockDeviceMappings") or [] if "Ebs" in one]
    return sorted(disks, key=lambda one: str(one["DeviceName"]))


def scaling_group_of(host: dict[str, Any]) -> str:
    """The Auto Scaling group that keeps the instance, by the tag that AWS reserves for it; or empty.

    https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-tagging.html
    """
    tags = {tag["Key"]: tag["Value"] for tag in host.get("Tags") or []}
    return str(tags.get("aws:autoscaling:groupName", ""))


def automatic_addresses_of(host: dict[str, Any]) -> list[str]:
    """The public IPv4 addresses that AWS assigned and does not give again, sorted."""
    found = []
    for one in host.get("NetworkInterfaces") or []:
        association = one.get("Association") or {}
        if association.get("PublicIp") and association.get("IpOwnerId") == "amazon":
            found.append(str(association["PublicIp"]))
    return sorted(found)


def set_attribute(
    steps: Steps,
    ec2: Service,
    name: str,
    *,
    attribute: str,
    value: Any,
    was: Any,
    lane: str | None = None,
    undone: bool = True,
) -> Ref:
    """A step that sets one attribute of the target; AWS takes one in each call.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifyInstanceAttribute.html
    """
    instance = steps.ctx.target.id
    member = attribute[0].upper() + attribute[1:]

    def call(to: Any) -> Any:
        return ec2.call("ModifyInstanceAttribute", InstanceId=instance, **{member: {"Value": to}})

    return steps.set(
        name,
        changes=f"ec2:instance/{instance}/{attribute}",
        call=call(value),
        seen=Check(
            read=ec2.read("DescribeInstanceAttribute", InstanceId=instance, Attribute=attribute),
            select=f"{member}.Value",
            equals=value,
        ),
        undo=call(was) if undone else None,
        lane=lane,
    )


def attribute_of(ctx: Context, ec2: Service, attribute: str) -> Any:
    """The present value of one attribute of the target."""
    read = ec2.read("DescribeInstanceAttribute", InstanceId=ctx.target.id, Attribute=attribute)
    answer = ctx.read(read)
    return answer[attribute[0].upper() + attribute[1:]].get("Value")


def deletes_on_termination(device: str) -> str:
    """JMESPath: whether the volume on a device is deleted together with its instance."""
    disks = "Reservations[0].Instances[0].BlockDeviceMappings"
    return f"{disks}[?DeviceName=={q(device)}].Ebs.DeleteOnTermination | [0]"
