"""Subnets and their network ACLs, as planning reads them. Pure.

https://docs.aws.amazon.com/vpc/latest/userguide/vpc-network-acls.html
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from containment.describing import Context, Service, filters
from containment.types import Affected, Read, Refused

DEFAULT_RULES = 32767
"""From this rule number on stand the rules that AWS makes itself, which deny everything."""

READS = ("ec2:DescribeNetworkAcls", "ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets")


@dataclass(frozen=True, kw_only=True)
class Subnet:
    """A subnet with the network ACL that is in force for it."""

    id: str
    vpc: str
    acl: str
    association: str
    entries: tuple[dict[str, Any], ...]
    sharing: tuple[str, ...]


def acl_of(ec2: Service, subnet: str) -> Read:
    """The read that finds the network ACL of a subnet."""
    return ec2.read("DescribeNetworkAcls", Filters=filters(**{"association.subnet-id": subnet}))


def subnet_of(ctx: Context, ec2: Service) -> Subnet:
    """The target; raises `Refused` for a subnet that is not there."""
    name = ctx.target.id
    found = ctx.read(ec2.read("DescribeSubnets", SubnetIds=[name], missing=("InvalidSubnetID.NotFound",)))
    if not found or not found["Subnets"]:
        raise Refused(f"there is no subnet {name}")
    acls = ctx.read(acl_of(ec2, name))["NetworkAcls"]
    if not acls:
        raise Refused(f"{name} has no network ACL that can be read")
    acl = acls[0]
    links = {one["SubnetId"]: one["NetworkAclAssociationId"] for one in acl["Associations"]}
    return Subnet(
        id=name,
        vpc=found["Subnets"][0]["VpcId"],
        acl=acl["NetworkAclId"],
        association=links[name],
        entries=tuple(acl["Entries"]),
        sharing=tuple(sorted(other for other in links if other != name)),
    )


def interfaces_of(ctx: Context, ec2: Service, *subnets: str) -> list[dict[str, Any]]:
    """The network interfaces of subnets, by id."""
    asked = [{"Name": "subnet-id", "Values": sorted(subnets)}]
    found = ctx.read(ec2.read("DescribeNetworkInterfaces", Filters=asked))["NetworkInterfaces"]
    return sorted(found, key=lambda one: str(one["NetworkInterfaceId"]))


def hosts_of(ctx: Context, ec2: Service, *subnets: str, then: str) -> Iterator[Affected]:
    """Every interface of subnets as something that an ACL touches."""
    for one in interfaces_of(ctx, ec2, *subnets):
        host = (one.get("Attachment") or {}).get("InstanceId") or one.get("Description") or "no host"
        address = one.get("PrivateIpAddress", "no address")
        yield Affected(what=f"{one['NetworkInterfaceId']}, {address}, of {host}", then=then)
