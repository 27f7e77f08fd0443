"""Security groups that isolation makes: under our mark, deleted on undo when nothing uses them any more.

https://docs.aws.amazon.com/vpc/latest/userguide/default-custom-security-groups.html
"""

from __future__ import annotations

from typing import Any

from containment.describing import Context, Ref, Service, Steps, filters, ref
from containment.types import Check, Compare

V4 = {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
V6 = {"IpProtocol": "-1", "Ipv6Ranges": [{"CidrIpv6": "::/0"}]}
ALL = ["0.0.0.0/0", "::/0"]
CIDRS = "SecurityGroups[0].{}[].[IpRanges[].CidrIp, Ipv6Ranges[].CidrIpv6][][]"
RULES = "[length(SecurityGroups[0].IpPermissions), length(SecurityGroups[0].IpPermissionsEgress)]"


def born_with(ctx: Context, ec2: Service, vpc: str) -> list[str]:
    """The egress that AWS gives a new group: to every IPv6 address too, where the VPC has IPv6."""
    found = ctx.read(ec2.read("DescribeVpcs", VpcIds=[vpc]))["Vpcs"][0]
    states = {
        (one.get("Ipv6CidrBlockState") or {}).get("State")
        for one in found.get("Ipv6CidrBlockAssociationSet") or []
    }
    return ALL if "associated" in states else ["0.0.0.0/0"]


def make_group(ctx: Context, ec2: Service, steps: Steps, name: str, vpc: str) -> Ref:
    """Add the step that makes a group; `name` is the step's, and the end of the group's own."""
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


def open_to_all(ec2: Service, steps: Steps, group: Ref, born: list[str]) -> None:
    """Let everything pass in both directions: flows under such rules are not tracked."""
    _rules(ec2, steps, "in", group, "AuthorizeSecurityGroupIngress", [V4, V6], was=None, becomes=ALL)
    if born != ALL:
        _rules(ec2, steps, "out", group, "AuthorizeSecurityGroupEgress", [V6], was=born, becomes=ALL)


def without_rules(ec2: Service, steps: Steps, group: Ref, born: list[str]) -> None:
    """Take away the egress that the group was born with, so that it has no rule at all."""
    _rules(
        ec2,
        steps,
        "none",
        group,
        "RevokeSecurityGroupEgress",
        [V4, V6] if born == ALL else [V4],
        was=born,
        becomes=None,
        also=(["0.0.0.0/0"],) if born == ALL else (),
    )


def has_no_rule(ec2: Service, group: Ref) -> Check:
    """What must hold of a group without rules for as long as it is in use."""
    return Check(read=ec2.read("DescribeSecurityGroups", GroupIds=[group]), select=RULES, equals=[0, 0])


def _rules(
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
        changes=f"ec2:group/{steps.ctx.mark}-{group.name}/{way}",
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
