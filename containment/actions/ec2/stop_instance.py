"""https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_StopInstances.html"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from containment.actions import register
from containment.actions.ec2.instances import (
    STATE,
    attribute_of,
    automatic_addresses_of,
    described,
    instance_of,
    scaling_group_of,
    set_attribute,
)
from containment.describing import ActionType, Context, Service, Steps
from containment.parameters import param
from containment.types import Affected, Category, Check, Plan, Refused

RESTS = (
    f'(contains(`["stopping", "stopped"]`, {STATE}) && \'stopped\')'
    f' || (contains(`["pending", "running"]`, {STATE}) && \'running\') || {STATE}'
)
HALF_AN_HOUR = 1800


@dataclass(frozen=True, kw_only=True)
class Params:
    hibernate: bool = param(
        "write the memory to the root volume first; only where the instance was launched for it",
        default=False,
    )


@register
class StopInstance(ActionType):
    """Stop an instance; its EBS volumes stay, its memory is lost unless it hibernates.

    Does not stop: credentials already taken from it; whoever may start it again; its Auto Scaling
    group, which replaces it. Memory that was not acquired before is gone.
    """

    id = "ec2.stop-instance"
    title = "Stop instance"
    target = "instance"
    category = Category.DESTINATION
    tier = 2
    order = 55
    params = Params
    pairs_with = ("ec2.acquire-memory", "ec2.snapshot-volumes", "autoscaling.detach-instance")
    reads = (
        "ec2:DescribeInstances",
        "ec2:DescribeInstanceAttribute",
        "ec2:DescribeSpotInstanceRequests",
    )
    writes = ("ec2:StopInstances", "ec2:StartInstances", "ec2:ModifyInstanceAttribute")
    fallback = ("aws ec2 stop-instances --instance-ids INSTANCE [--hibernate]",)

    def plan(self, ctx: Context) -> Plan:
        ec2, steps, instance = ctx.aws("ec2"), Steps(ctx), ctx.target.id
        host = instance_of(ctx, ec2)
        self._stoppable(ctx, ec2, host)
        changes = [f"{instance} stops" + (" after writing its memory to disk" * ctx.params.hibernate)]
        if attribute_of(ctx, ec2, "disableApiStop"):
            set_attribute(steps, ec2, "allow-stop", attribute="disableApiStop", value=False, was=True)
            changes.insert(0, "Its protection from being stopped is taken away")
        here = described(ec2, instance)
        more = {"Hibernate": True} if ctx.params.hibernate else {}
        steps.set(
            "stop",
            changes=f"ec2:instance/{instance}/state",
            call=ec2.call("StopInstances", InstanceIds=[instance], **more),
            seen=Check(read=here, select=RESTS, equals="stopped"),
            undo=ec2.call("StartInstances", InstanceIds=[instance]),
            undo_seen=Check(read=here, select=STATE, equals="running"),
            within=600,
        )
        steps.wait(
            "stopped",
            seen=Check(read=here, select=STATE, equals="stopped"),
            within=HALF_AN_HOUR,
            fails=("shutting-down", "terminated"),
        )
        return steps.plan(changes=tuple(changes), warnings=tuple(self._warnings(ctx, host)))

    def affects(self, ctx: Context) -> Iterator[Affected]:
        host = instance_of(ctx, ctx.aws("ec2"))
        yield Affected(what="whatever runs on the instance", then="ends")
        for one in sorted(host.get("NetworkInterfaces") or [], key=lambda e: str(e["NetworkInterfaceId"])):
            address = one.get("PrivateIpAddress", "no address")
            yield Affected(what=f"{one['NetworkInterfaceId']}, {address}", then="answers no more")

    def _stoppable(self, ctx: Context, ec2: Service, host: dict[str, Any]) -> None:
        """Raise `Refused` where AWS cannot stop the instance, or only by losing it."""
        if host.get("RootDeviceType") == "instance-store":
            raise Refused("its root is an instance store: it can be terminated, not stopped")
        request = host.get("SpotInstanceRequestId")
        if request:
            read = ec2.read("DescribeSpotInstanceRequests", SpotInstanceRequestIds=[request])
            if ctx.read(read)["SpotInstanceRequests"][0]["Type"] == "one-time":
                raise Refused("it is a one-time Spot instance: it can be terminated, not stopped")
        if ctx.params.hibernate and not (host.get("HibernationOptions") or {}).get("Configured"):
            raise Refused("it was not launched for hibernation; stop it without, or acquire memory first")

    def _warnings(self, ctx: Context, host: dict[str, Any]) -> Iterator[str]:
        if not ctx.params.hibernate:
            yield "Its memory is lost: acquire it first if it matters"
        yield "Data on instance store volumes, if it has any, is lost"
        for address in automatic_addresses_of(host):
            yield f"Its public address {address} does not come back when it starts again"
        group = scaling_group_of(host)
        if group:
            yield f"Auto Scaling group {group} will terminate and replace it: detach it first"
