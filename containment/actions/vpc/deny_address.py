"""https://docs.aws.amazon.com/vpc/latest/userguide/nacl-rules.html

A network ACL is stateless, so a deny cuts flows that are already open. Rules are tried by rising
number, and the first that fits decides: the deny must stand before the first allow.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from containment.actions import register
from containment.actions.addresses import network_of, outside
from containment.actions.vpc.acls import DEFAULT_RULES, READS, Subnet, acl_of, hosts_of, subnet_of
from containment.describing import ActionType, Context, Service, Steps, filters
from containment.parameters import param
from containment.types import Affected, Category, Check, Plan, Refused

WAYS = (("from", False), ("to", True))


@dataclass(frozen=True, kw_only=True)
class Params:
    address: str = param("IP address or network in CIDR form, IPv4 or IPv6", pattern=r"[0-9A-Fa-f.:/]{2,49}")
    quota: int = param(
        "rules that the account may have in one direction of a network ACL, AWS's default rule included",
        default=20,
        minimum=20,
        maximum=40,
    )


@register
class DenyAddress(ActionType):
    """Deny an address, both ways, in the network ACL of a subnet.

    Does not stop: traffic inside the subnet; instance metadata, the VPC's DNS and DHCP, which no network
    ACL filters; the same attacker from another address, or behind a load balancer or NAT that hides it.
    """

    id = "vpc.deny-address"
    title = "Deny address"
    target = "subnet"
    category = Category.SOURCE
    tier = 2
    order = 44
    params = Params
    pairs_with = ("waf.block-address", "network-firewall.block-address", "dns-firewall.block-domain")
    reads = (*READS, "ec2:DescribeVpcs")
    writes = ("ec2:CreateNetworkAclEntry", "ec2:DeleteNetworkAclEntry")
    fallback = (
        "aws ec2 describe-network-acls --filters Name=association.subnet-id,Values=SUBNET",
        "for both --ingress and --egress, with a number N below the first allow:",
        (
            "aws ec2 create-network-acl-entry --network-acl-id ACL --rule-number N --protocol -1 --ingress"
            " --rule-action deny --cidr-block ADDRESS/32"
        ),
    )

    def plan(self, ctx: Context) -> Plan:
        ec2 = ctx.aws("ec2")
        subnet = subnet_of(ctx, ec2)
        address = outside(
            ctx.params.address, self._own(ctx, ec2, subnet.vpc), whose=f"of {subnet.vpc} itself"
        )
        family = "Ipv6CidrBlock" if network_of(address).version == 6 else "CidrBlock"
        steps = Steps(ctx)
        for way, egress in WAYS:
            rules = [one for one in subnet.entries if one["Egress"] == egress]
            number = self._number(rules, address, family, way=way, subnet=subnet, quota=ctx.params.quota)
            self._entry(ec2, steps, subnet, way, egress, number, {family: address})
        others = f"; it is also the network ACL of {', '.join(subnet.sharing)}" if subnet.sharing else ""
        return steps.plan(
            facts={"acl": subnet.acl, "sharing": list(subnet.sharing)},
            changes=tuple(
                f"{subnet.acl}, of {subnet.id}, denies all traffic {way} {address}" for way, _ in WAYS
            ),
            warnings=(f"{subnet.acl} is meant{others}",) if others else (),
        )

    def affects(self, ctx: Context) -> Iterator[Affected]:
        ec2 = ctx.aws("ec2")
        subnet = subnet_of(ctx, ec2)
        for other in subnet.sharing:
            yield Affected(what=f"{other}, which shares the network ACL", then="loses the address too")
        then = f"exchanges nothing with {ctx.params.address} any more"
        yield from hosts_of(ctx, ec2, subnet.id, *subnet.sharing, then=then)

    def _own(self, ctx: Context, ec2: Service, vpc: str) -> list[str]:
        """The VPC's own ranges, and the public addresses by which it is reached and goes out."""
        found = ctx.read(ec2.read("DescribeVpcs", VpcIds=[vpc]))["Vpcs"][0]
        ranges = [found["CidrBlock"]]
        ranges += [one["CidrBlock"] for one in found.get("CidrBlockAssociationSet") or []]
        ranges += [one["Ipv6CidrBlock"] for one in found.get("Ipv6CidrBlockAssociationSet") or []]
        of_vpc = ec2.read("DescribeNetworkInterfaces", Filters=filters(**{"vpc-id": vpc}))
        for one in ctx.read(of_vpc)["NetworkInterfaces"]:
            public = (one.get("Association") or {}).get("PublicIp")
            ranges += [public] if public else []
        return ranges

    def _number(
        self,
        rules: list[dict[str, Any]],
        address: str,
        family: str,
        *,
        way: str,
        subnet: Subnet,
        quota: int,
    ) -> int:
        """The number of the rule: of one that says the same already, else the highest free one in front."""
        allows = [one["RuleNumber"] for one in rules if one["RuleAction"] == "allow"]
        first = min(allows, default=DEFAULT_RULES)
        in_front = [one for one in rules if one["RuleNumber"] < first]
        for one in sorted(in_front, key=lambda one: int(one["RuleNumber"])):
            if one["RuleAction"] == "deny" and one["Protocol"] == "-1" and one.get(family) == address:
                return int(one["RuleNumber"])
        used = sum(1 for one in rules if one.get(family))
        if used >= quota:
            raise Refused(f"{subnet.acl} has {used} rules {way} addresses of this kind; the quota is {quota}")
        taken = {one["RuleNumber"] for one in in_front}
        number = next((one for one in range(first - 1, 0, -1) if one not in taken), 0)
        if not number:
            raise Refused(f"{subnet.acl} has no free rule number before its first allow, {first}")
        return number

    def _entry(
        self,
        ec2: Service,
        steps: Steps,
        subnet: Subnet,
        way: str,
        egress: bool,
        number: int,
        block: dict[str, str],
    ) -> None:
        named: dict[str, Any] = {"NetworkAclId": subnet.acl, "RuleNumber": number, "Egress": egress}
        mine = f"RuleNumber==`{number}` && Egress==`{'true' if egress else 'false'}`"
        steps.set(
            f"deny-{way}",
            changes=f"ec2:acl/{subnet.acl}/{'egress' if egress else 'ingress'}/{number}",
            call=ec2.call("CreateNetworkAclEntry", **named, Protocol="-1", RuleAction="deny", **block),
            seen=Check(
                read=acl_of(ec2, subnet.id),
                select="NetworkAcls[0].Entries"
                f"[?{mine}] | [0].[RuleAction, Protocol, CidrBlock || Ipv6CidrBlock]",
                equals=["deny", "-1", *block.values()],
            ),
            undo=ec2.call("DeleteNetworkAclEntry", **named),
        )
