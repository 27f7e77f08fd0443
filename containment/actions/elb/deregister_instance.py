"""https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DeregisterTargets.html

An instance is behind a target group by its id or by one of its private addresses, perhaps on several
ports, and behind a classic load balancer by its id.
"""

from __future__ import annotations

from collections.abc import Iterator
from operator import itemgetter
from typing import Any

from containment.actions import register
from containment.actions.ec2.instances import instance_of
from containment.describing import ActionType, Context, Steps
from containment.looking import q
from containment.types import Affected, Category, Check, Plan, Read, Refused

DELAY = "deregistration_delay.timeout_seconds"
BY_INSTANCE = frozenset({"instance", "ip"})
MARGIN = 120
"""Seconds beyond the deregistration delay until which a target is waited for."""


@register
class DeregisterInstance(ActionType):
    """Take an instance out of every target group and classic load balancer that sends it traffic.

    Does not stop: connections that are open until the deregistration delay is over; traffic that does
    not come through a load balancer; an ECS service, a controller or an Auto Scaling group that
    registers it again; Global Accelerator endpoints.
    """

    id = "elb.deregister-instance"
    title = "Take out of load balancers"
    target = "instance"
    category = Category.DESTINATION
    tier = 2
    order = 39
    pairs_with = ("autoscaling.detach-instance", "ec2.isolate-instance", "ec2.remove-public-address")
    reads = (
        "ec2:DescribeInstances",
        "elb:DescribeLoadBalancers",
        "elbv2:DescribeTargetGroupAttributes",
        "elbv2:DescribeTargetGroups",
        "elbv2:DescribeTargetHealth",
    )
    writes = (
        "elb:DeregisterInstancesFromLoadBalancer",
        "elb:RegisterInstancesWithLoadBalancer",
        "elbv2:DeregisterTargets",
        "elbv2:RegisterTargets",
    )
    fallback = (
        "aws elbv2 deregister-targets --target-group-arn GROUP --targets Id=INSTANCE,Port=PORT",
        "aws elb deregister-instances-from-load-balancer --load-balancer-name NAME --instances INSTANCE",
    )

    def plan(self, ctx: Context) -> Plan:
        steps, instance = Steps(ctx), ctx.target.id
        targets, classic = self._targets(ctx), self._classic(ctx)
        if not targets and not classic:
            raise Refused(f"no target group and no classic load balancer sends traffic to {instance}")
        for group, target in targets:
            self._take_out(ctx, steps, group, target)
        for name in classic:
            self._take_out_of_classic(ctx, steps, name)
        for group, target in targets:
            self._drain(ctx, steps, group, target)
        return steps.plan(
            facts={"targets": [_label(group, target) for group, target in targets], "classic": classic},
            changes=(
                *(f"{_label(group, target)} gets no new traffic" for group, target in targets),
                *(f"Classic load balancer {name} sends {instance} no new traffic" for name in classic),
            ),
            warnings=("Connections that are open stay until the deregistration delay is over",),
        )

    def affects(self, ctx: Context) -> Iterator[Affected]:
        for group, target in self._targets(ctx):
            answer = ctx.read(self._health(ctx, group))["TargetHealthDescriptions"]
            left = sum(1 for one in answer if one["Target"] != target)
            for balancer in sorted(group.get("LoadBalancerArns") or []):
                yield Affected(
                    what=f"{balancer} by {group['TargetGroupName']}", then=f"has {left} other targets there"
                )

    def _groups(self, ctx: Context, vpc: str) -> list[dict[str, Any]]:
        """The target groups that could hold the instance, by ARN."""
        found = ctx.read(ctx.aws("elbv2").read("DescribeTargetGroups"))["TargetGroups"]
        fitting = [
            one for one in found if one.get("TargetType") in BY_INSTANCE and one.get("VpcId") in (vpc, None)
        ]
        return sorted(fitting, key=itemgetter("TargetGroupArn"))

    def _health(self, ctx: Context, group: dict[str, Any]) -> Read:
        return ctx.aws("elbv2").read("DescribeTargetHealth", TargetGroupArn=group["TargetGroupArn"])

    def _targets(self, ctx: Context) -> list[tuple[dict[str, Any], dict[str, Any]]]:
        """Each target group and target by which traffic reaches the instance."""
        host = instance_of(ctx, ctx.aws("ec2"))
        names = {ctx.target.id, *_private_addresses(host)}
        found: list[tuple[dict[str, Any], dict[str, Any]]] = []
        for group in self._groups(ctx, str(host.get("VpcId", ""))):
            targets = ctx.read(self._health(ctx, group))["TargetHealthDescriptions"]
            live = (one["Target"] for one in targets if one["TargetHealth"]["State"] != "draining")
            found += [(group, target) for target in live if target["Id"] in names]
        return sorted(found, key=lambda pair: _label(*pair))

    def _classic(self, ctx: Context) -> list[str]:
        """The classic load balancers that hold the instance, sorted."""
        answer = ctx.read(ctx.aws("elb").read("DescribeLoadBalancers"))
        return sorted(
            one["LoadBalancerName"]
            for one in answer["LoadBalancerDescriptions"]
            if any(member["InstanceId"] == ctx.target.id for member in one.get("Instances") or [])
        )

    def _take_out(self, ctx: Context, steps: Steps, group: dict[str, Any], target: dict[str, Any]) -> None:
        elbv2, arn = ctx.aws("elbv2"), group["TargetGroupArn"]
        steps.set(
            f"take-out-{_label(group, target)}",
            changes=f"elb:target-group/{arn}/target/{target['Id']}:{target.get('Port', '')}",
            lane=_label(group, target),
            call=elbv2.call("DeregisterTargets", TargetGroupArn=arn, Targets=[target]),
            seen=Check(
                read=self._health(ctx, group),
                select=(
                    f"TargetHealthDescriptions[?{_is(target)} && TargetHealth.State!='draining']"
                    ".Target.Id | [0]"
                ),
                equals=None,
            ),
            undo=elbv2.call("RegisterTargets", TargetGroupArn=arn, Targets=[target]),
        )

    def _drain(self, ctx: Context, steps: Steps, group: dict[str, Any], target: dict[str, Any]) -> None:
        read = ctx.aws("elbv2").read("DescribeTargetGroupAttributes", TargetGroupArn=group["TargetGroupArn"])
        attributes = {one["Key"]: one["Value"] for one in ctx.read(read)["Attributes"]}
        steps.wait(
            f"drained-{_label(group, target)}",
            seen=Check(
                read=self._health(ctx, group),
                select=f"TargetHealthDescriptions[?{_is(target)}].TargetHealth.State | [0]",
                equals=None,
            ),
            within=int(attributes.get(DELAY, "300")) + MARGIN,
            lane=_label(group, target),
        )

    def _take_out_of_classic(self, ctx: Context, steps: Steps, name: str) -> None:
        elb, instance = ctx.aws("elb"), ctx.target.id
        member = {"LoadBalancerName": name, "Instances": [{"InstanceId": instance}]}
        steps.set(
            f"take-out-of-{name}",
            changes=f"elb:load-balancer/{name}/instance/{instance}",
            lane=f"classic/{name}",
            call=elb.call("DeregisterInstancesFromLoadBalancer", **member),
            seen=Check(
                read=elb.read("DescribeLoadBalancers", LoadBalancerNames=[name]),
                select=(
                    f"LoadBalancerDescriptions[0].Instances[?InstanceId=={q(instance)}].InstanceId | [0]"
                ),
                equals=None,
            ),
            undo=elb.call("RegisterInstancesWithLoadBalancer", **member),
        )


def _is(target: dict[str, Any]) -> str:
    """JMESPath: whether a description is about this target and port."""
    port = f" && Target.Port==`{target['Port']}`" if target.get("Port") is not None else ""
    return f"Target.Id=={q(target['Id'])}{port}"


def _label(group: dict[str, Any], target: dict[str, Any]) -> str:
    return f"{group['TargetGroupName']}/{target['Id']}:{target.get('Port', '')}"


def _private_addresses(host: dict[str, Any]) -> set[str]:
    """Every private address of the instance, IPv6 too."""
    found: set[str] = set()
    for one in host.get("NetworkInterfaces") or []:
        found |= {address["PrivateIpAddress"] for address in one.get("PrivateIpAddresses") or []}
        found |= {address["Ipv6Address"] for address in one.get("Ipv6Addresses") or []}
    return found
