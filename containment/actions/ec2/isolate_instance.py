"""https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/security-group-connection-tracking.html

A flow that a security group tracks lives on after the group's rules are gone. So each interface goes
first into a group that lets everything pass, whose flows are not tracked, and only then into the
group without rules: what is not tracked is cut at once. A pause of 0 leaves the open group out: the host
is open to all at no moment, and flows that are tracked live on until they time out.
https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from containment.actions import register
from containment.actions.ec2 import isolation_groups
from containment.describing import ActionType, Context, Ref, Service, Steps, filters
from containment.parameters import param
from containment.types import Affected, Category, Check, Compare, Plan, Refused

GROUPS = 2500
"""Security groups of a region, where the quota was not raised."""


@dataclass(frozen=True, kw_only=True)
class Params:
    pause: int = param(
        (
            "seconds between the two groups, in which traffic passes and stops being tracked;"
            " 0 leaves the open group out, and lets tracked flows live on"
        ),
        default=15,
        minimum=0,
        maximum=45,
    )


@register
class IsolateInstance(ActionType):
    """Move every network interface of an instance into a security group without rules.

    Does not stop: tracked flows through NAT gateways, network load balancers or endpoints; DNS to the
    VPC resolver and instance metadata (IMDS); credentials already taken from the instance; interfaces
    attached later.
    """

    id = "ec2.isolate-instance"
    title = "Isolate instance"
    target = "instance"
    category = Category.SOURCE
    tier = 2
    order = 40
    params = Params
    pairs_with = ("ec2.snapshot-volumes", "iam.revoke-role-sessions")
    reads = ("ec2:DescribeNetworkInterfaces", "ec2:DescribeSecurityGroups", "ec2:DescribeVpcs")
    writes = (
        "ec2:CreateSecurityGroup",
        "ec2:DeleteSecurityGroup",
        "ec2:AuthorizeSecurityGroupIngress",
        "ec2:AuthorizeSecurityGroupEgress",
        "ec2:RevokeSecurityGroupEgress",
        "ec2:ModifyNetworkInterfaceAttribute",
    )
    fallback = (
        "make a security group without any rule in the instance's VPC",
        "aws ec2 modify-network-interface-attribute --network-interface-id ENI --groups GROUP",
    )

    def plan(self, ctx: Context) -> Plan:
        ec2, steps, groups = ctx.aws("ec2"), Steps(ctx), dict[tuple[str, str], Ref]()
        interfaces, stages = self._interfaces(ctx, ec2), self._stages(ctx)
        for vpc in sorted({one["VpcId"] for one in interfaces}):
            born = isolation_groups.born_with(ctx, ec2, vpc)
            for stage in stages:
                groups[stage, vpc] = isolation_groups.make_group(ctx, ec2, steps, f"{stage}-{vpc}", vpc)
            if "untrack" in stages:
                isolation_groups.open_to_all(ec2, steps, groups["untrack", vpc], born)
            isolation_groups.without_rules(ec2, steps, groups["isolate", vpc], born)
        for stage in stages:
            for one in interfaces:
                self._move(ec2, steps, stage, one, groups[stage, one["VpcId"]])
            if stage == "untrack":
                steps.pause("let-flows-pass", ctx.params.pause)
        shut = tuple(
            isolation_groups.has_no_rule(ec2, group)
            for (stage, _), group in groups.items()
            if stage == "isolate"
        )
        return steps.plan(
            facts={"interfaces": [one["NetworkInterfaceId"] for one in interfaces]},
            notes={"interfaces": [_brief(one) for one in interfaces]},
            holds=shut,
            changes=tuple(
                f"{one['NetworkInterfaceId']}: {', '.join(sorted(_groups(one)))}"
                " replaced by a group without rules"
                for one in interfaces
            ),
            warnings=self._warnings(ctx, ec2, groups=len(groups)),
        )

    def affects(self, ctx: Context) -> Iterator[Affected]:
        for one in self._interfaces(ctx, ctx.aws("ec2")):
            address = one.get("PrivateIpAddress", "no address")
            then = "loses every connection"
            yield Affected(what=f"{one['NetworkInterfaceId']}, {address}", then=then)
            public = (one.get("Association") or {}).get("PublicIp")
            if public:
                yield Affected(what=f"public address {public}", then="is no longer answered")

    def _stages(self, ctx: Context) -> tuple[str, ...]:
        """Through which groups each interface goes."""
        return ("untrack", "isolate") if ctx.params.pause else ("isolate",)

    def _warnings(self, ctx: Context, ec2: Service, *, groups: int) -> tuple[str, ...]:
        """What a person should know before; the quota can be raised, so that it is no refusal."""
        warnings = []
        if not ctx.params.pause:
            warnings.append("Connections that are open and tracked are not cut: they can live on for days")
        present = len(ctx.read(ec2.read("DescribeSecurityGroups"))["SecurityGroups"])
        if present + groups > GROUPS:
            warnings.append(
                f"More than {GROUPS} security groups in the region: AWS refuses unless the quota was raised"
            )
        return tuple(warnings)

    def _interfaces(self, ctx: Context, ec2: Service) -> list[dict[str, Any]]:
        of_host = filters(**{"attachment.instance-id": ctx.target.id})
        found = ctx.read(ec2.read("DescribeNetworkInterfaces", Filters=of_host))["NetworkInterfaces"]
        interfaces = sorted(
            (one for one in found if not one.get("RequesterManaged")), key=itemgetter("NetworkInterfaceId")
        )
        if not interfaces:
            raise Refused(f"{ctx.target.id} has no network interface that can be changed")
        return interfaces

    def _move(self, ec2: Service, steps: Steps, stage: str, one: dict[str, Any], group: Ref) -> None:
        eni, was = one["NetworkInterfaceId"], sorted(_groups(one))
        steps.set(
            f"{stage}-{eni}",
            changes=f"ec2:eni/{eni}/groups",
            lane=eni,
            open=stage == "untrack",
            call=ec2.call("ModifyNetworkInterfaceAttribute", NetworkInterfaceId=eni, Groups=[group]),
            seen=Check(
                read=ec2.read("DescribeNetworkInterfaces", NetworkInterfaceIds=[eni]),
                select="NetworkInterfaces[0].Groups[].GroupId",
                equals=[group],
                compare=Compare.SET,
            ),
            undo=ec2.call("ModifyNetworkInterfaceAttribute", NetworkInterfaceId=eni, Groups=was),
        )


def _groups(interface: dict[str, Any]) -> list[str]:
    return [group["GroupId"] for group in interface.get("Groups", [])]


def _brief(interface: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": interface["NetworkInterfaceId"],
        "vpc": interface["VpcId"],
        "subnet": interface.get("SubnetId", ""),
        "address": interface.get("PrivateIpAddress", ""),
        "groups": [
            f"{group['GroupId']} {group.get('GroupName', '')}" for group in interface.get("Groups", [])
        ],
    }
