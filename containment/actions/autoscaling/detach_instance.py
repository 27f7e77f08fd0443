"""https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-detach-attach-instances.html"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from containment.actions import register
from containment.actions.ec2.instances import INSTANCE_ID
from containment.describing import ActionType, Context, Service, Steps
from containment.types import Affected, Category, Check, Plan, Read, Refused

MEMBER_OF = "AutoScalingInstances[?!starts_with(LifecycleState, 'Detach')].AutoScalingGroupName | [0]"
CAN_LEAVE = frozenset({"InService", "Standby"})


@register
class DetachInstance(ActionType):
    """Take an instance out of its Auto Scaling group, which launches another in its place.

    Does not stop: the instance itself, its connections and credentials; the replacement, which comes
    from the same image and may fall the same way; a scale-in that was decided before.
    """

    id = "autoscaling.detach-instance"
    title = "Detach from Auto Scaling"
    target = "instance"
    category = Category.DESTINATION
    tier = 2
    order = 38
    pairs_with = ("ec2.protect-instance", "elb.deregister-instance", "ec2.isolate-instance")
    reads = ("autoscaling:DescribeAutoScalingGroups", "autoscaling:DescribeAutoScalingInstances")
    writes = ("autoscaling:AttachInstances", "autoscaling:DetachInstances")
    fallback = (
        (
            "aws autoscaling detach-instances --instance-ids INSTANCE --auto-scaling-group-name GROUP"
            " --no-should-decrement-desired-capacity"
        ),
    )

    def plan(self, ctx: Context) -> Plan:
        scaling, steps, instance = ctx.aws("autoscaling"), Steps(ctx), ctx.target.id
        group = self._group(ctx, scaling)
        here = self._membership(scaling, instance)
        steps.set(
            "detach",
            changes=f"autoscaling:instance/{instance}/group",
            call=scaling.call(
                "DetachInstances",
                InstanceIds=[instance],
                AutoScalingGroupName=group,
                ShouldDecrementDesiredCapacity=False,
            ),
            seen=Check(read=here, select=MEMBER_OF, equals=None),
            undo=scaling.call("AttachInstances", InstanceIds=[instance], AutoScalingGroupName=group),
            within=600,
        )
        steps.wait(
            "detached",
            seen=Check(read=here, select="AutoScalingInstances[0].LifecycleState", equals=None),
            within=1800,
        )
        return steps.plan(
            facts={"group": group},
            changes=(f"{instance} leaves Auto Scaling group {group}, which launches another",),
            warnings=(
                "The replacement comes from the same image and launch template",
                (
                    f"Undo puts it back beside its replacement: {group} is then one larger, and refuses"
                    " where that is above its maximum"
                ),
            ),
        )

    def affects(self, ctx: Context) -> Iterator[Affected]:
        scaling = ctx.aws("autoscaling")
        group = self._group(ctx, scaling)
        read = scaling.read("DescribeAutoScalingGroups", AutoScalingGroupNames=[group])
        found: list[dict[str, Any]] = ctx.read(read)["AutoScalingGroups"]
        for one in found:
            balancers = [*(one.get("TargetGroupARNs") or []), *(one.get("LoadBalancerNames") or [])]
            for balancer in sorted(balancers):
                yield Affected(what=balancer, then="sends it no more traffic: it is deregistered with it")
            others = [m for m in one.get("Instances") or [] if m["InstanceId"] != ctx.target.id]
            yield Affected(what=f"{len(others)} other instances of {group}", then="stay in the group")

    def _membership(self, scaling: Service, instance: str) -> Read:
        return scaling.read("DescribeAutoScalingInstances", InstanceIds=[instance])

    def _group(self, ctx: Context, scaling: Service) -> str:
        """The target's group. Raises `Refused` where it is in none, or cannot leave it now."""
        instance = ctx.target.id
        if not INSTANCE_ID.fullmatch(instance):
            raise Refused(f"{instance} is not the id of an instance (i- and 8 or 17 hexadecimal digits)")
        found = ctx.read(self._membership(scaling, instance))["AutoScalingInstances"]
        if not found:
            raise Refused(f"{instance} is in no Auto Scaling group")
        state = found[0]["LifecycleState"]
        if state not in CAN_LEAVE:
            raise Refused(f"{instance} is {state} in its group; only InService and Standby can be detached")
        return str(found[0]["AutoScalingGroupName"])
