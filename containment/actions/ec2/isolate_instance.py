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
from containment.describing import ActionType, Context, Ref, Service, Steps, filters, ref
from containment.parameters import param
from containment.types import Affected, Category, Check, Compare, Plan, Refused

V4 = {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
V6 = {"IpProtocol": "-1", "Ipv6Ranges": [{"CidrIpv6": "::/0"}]}
ALL = ["0.0.0.0/0", "::/0"]
CIDRS = "SecurityGroups[0].{}[].[IpRanges[].CidrIp, Ipv6Ranges[].CidrIpv6][][]"
RULES = "[length(SecurityGroups[0].IpPermissions), length(SecurityGroups[0].IpPermissionsEgress)]"

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
            born = self._born_with(ctx, ec2, vpc)
            for stage in stages:
                groups[stage, vpc] = self._group(ctx, ec2, steps, f"{stage}-{vpc}", vpc)
            if "untrack" in stages:
                self._open_to_all(ec2, steps, groups["untrack", vpc], born)
            self._without_rules(ec2, steps, groups["isolate", vpc], born)
        for stage in stages:
            for one in interfaces:
                self._move(ec2, steps, stage, one, groups[stage, one["VpcId"]])
            if stage == "untrack":
                steps.pause("let-flows-pass", ctx.params.pause)
        shut = tuple(
            Check(read=ec2.read("DescribeSecurityGroups", GroupIds=[group]), select=RULES, equals=[0, 0])
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

    def _born_with(self, ctx: Context, ec2: Service, vpc: str) -> list[str]:
        """The egress that AWS gives a new group: to every IPv6 address too, where the VPC has IPv6."""
        found = ctx.read(ec2.read("DescribeVpcs", VpcIds=[vpc]))["Vpcs"][0]
        states = {
            (one.get("Ipv6CidrBlockState") or {}).get("State")
            for one in found.get("Ipv6CidrBlockAssociationSet") or []
        }
        return ALL if "associated" in states else ["0.0.0.0/0"]

    def _group(self, ctx: Context, ec2: Service, steps: Steps, name: str, vpc: str) -> Ref:
        full, me = f"{ctx.mark}-{name}", ref(name)
        return steps.create(
            name,
            changes=f"ec2:vpc/{vpc}/group/{full}",
            answer="GroupId",
            find=ec2.read(
                "DescribeSecurityGroups",
                Filters=filters(**{"vpc-id": vpc, "group-name": full, "tag:quell:action": ctx.id}),
            ),
            select="SecurityGroups[0].GroupId",
            call=ec2.call(
                "CreateSecurityGroup",
                GroupName=full,
                VpcId=vpc,
                Description=f"Quell containment {ctx.id}",
                TagSpecifications=[{"ResourceType": "security-group", "Tags": ctx.tags}],
            ),
            undo=ec2.call("DeleteSecurityGroup", GroupId=me),
            unless=Check(
                read=ec2.read("DescribeNetworkInterfaces", Filters=filters(**{"group-id": me})),
                select="NetworkInterfaces[0].NetworkInterfaceId",
                equals=True,
                compare=Compare.PRESENT,
            ),
        )

    def _open_to_all(self, ec2: Service, steps: Steps, group: Ref, born: list[str]) -> None:
        self._rules(ec2, steps, "in", group, "AuthorizeSecurityGroupIngress", [V4, V6], was=None, becomes=ALL)
        if born != ALL:
            self._rules(ec2, steps, "out", group, "AuthorizeSecurityGroupEgress", [V6], was=born, becomes=ALL)

    def _without_rules(self, ec2: Service, steps: Steps, group: Ref, born: list[str]) -> None:
        given = [V4, V6] if born == ALL else [V4]
        self._rules(
            ec2,
            steps,
            "none",
            group,
            "RevokeSecurityGroupEgress",
            given,
            was=born,
            becomes=None,
            also=(["0.0.0.0/0"],) if born == ALL else (),
        )

    def _rules(
        self,
        ec2: Service,
        steps: Steps,
        name: str,
        group: Ref,
        operation: str,
        permissions: list[dict[str, Any]],
        *,
        was: list[str] | None,
        becomes: list[str] | None,
        also: tuple[Any, ...] = (),
    ) -> None:
        way = "IpPermissions" if "Ingress" in operation else "IpPermissionsEgress"
        steps.set(
            f"{name}-{group.name}",
            changes=f"ec2:group/{group.name}/{way}",
            was=was,
            also=also,
            call=ec2.call(operation, GroupId=group, IpPermissions=permissions),
            seen=Check(
                read=ec2.read("DescribeSecurityGroups", GroupIds=[group]),
                select=CIDRS.format(way),
                equals=becomes,
                compare=Compare.SET,
            ),
        )

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
