"""Organization, Identity Center, EKS, VPC and the edge."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.containment.subjects.subject import Subject
from tests.containment.world import REGION, SHIPPING, World

Aim = tuple[Mapping[str, Any], Mapping[str, Any]]
ATTACKER = "203.0.113.77"


def network(world: World) -> Mapping[str, Any]:
    """The estate's network that the subjects lie in."""
    found: Mapping[str, Any] = next(
        one for one in world.estate["networks"] if one["account"] == SHIPPING and one["region"] == REGION
    )
    return found


def subnet(world: World) -> str:
    """A subnet with hosts in it."""
    return str(min(network(world)["subnets"].values()))


# --- network ACLs -----------------------------------------------------------------------------------


def _deny_aim(world: World) -> Aim:
    target = {"type": "subnet", "account": SHIPPING, "region": REGION, "id": subnet(world)}
    return target, {"address": ATTACKER}


def acl(world: World) -> Mapping[str, Any]:
    """The network ACL of the subnet."""
    found: Mapping[str, Any] = world.admin("ec2").describe_network_acls(
        Filters=[{"Name": "association.subnet-id", "Values": [subnet(world)]}]
    )["NetworkAcls"][0]
    return found


def entries(found: Mapping[str, Any]) -> list[tuple[bool, int, str, str]]:
    """The rules of a network ACL: egress, number, action, block."""
    return sorted(
        (
            one["Egress"],
            one["RuleNumber"],
            one["RuleAction"],
            one.get("CidrBlock") or one.get("Ipv6CidrBlock"),
        )
        for one in found["Entries"]
    )


def _entry(world: World, number: int, address: str, *, egress: bool) -> None:
    world.admin("ec2").create_network_acl_entry(
        NetworkAclId=acl(world)["NetworkAclId"],
        RuleNumber=number,
        Protocol="-1",
        RuleAction="deny",
        Egress=egress,
        CidrBlock=address,
    )


def _deny_already(world: World) -> None:
    for egress in (False, True):
        _entry(world, 99, f"{ATTACKER}/32", egress=egress)


def _rewrite_entry(world: World) -> None:
    world.admin("ec2").replace_network_acl_entry(
        NetworkAclId=acl(world)["NetworkAclId"],
        RuleNumber=99,
        Protocol="-1",
        RuleAction="deny",
        Egress=False,
        CidrBlock="198.51.100.0/24",
    )


def _take_the_number(world: World) -> None:
    _entry(world, 99, "198.51.100.0/24", egress=False)


def _unrelated_entry(world: World) -> None:
    _entry(world, 42, "198.51.100.0/24", egress=False)


def _isolate_aim(world: World) -> Aim:
    return {"type": "subnet", "account": SHIPPING, "region": REGION, "id": subnet(world)}, {}


def _acls(world: World) -> Any:
    """Every ACL of the VPC by its rules and its subnets, without the ids of what we make."""
    found = world.admin("ec2").describe_network_acls(
        Filters=[{"Name": "vpc-id", "Values": [network(world)["vpc"]]}]
    )["NetworkAcls"]
    return sorted(
        (sorted(link["SubnetId"] for link in one["Associations"]), entries(one), bool(one.get("Tags")))
        for one in found
    )


def _another_acl(world: World) -> str:
    made = world.admin("ec2").create_network_acl(VpcId=network(world)["vpc"])["NetworkAcl"]
    return str(made["NetworkAclId"])


def _move_subnet(world: World) -> None:
    found = acl(world)
    link = next(one for one in found["Associations"] if one["SubnetId"] == subnet(world))
    world.admin("ec2").replace_network_acl_association(
        AssociationId=link["NetworkAclAssociationId"], NetworkAclId=_another_acl(world)
    )


def _unrelated_acl(world: World) -> None:
    _another_acl(world)


SUBJECTS: dict[str, Subject] = {
    "vpc.deny-address": Subject(
        aim=_deny_aim,
        look=lambda world: entries(acl(world)),
        disturb=_rewrite_entry,
        drift=_take_the_number,
        unrelated=_unrelated_entry,
        already=_deny_already,
    ),
    "vpc.isolate-subnet": Subject(
        aim=_isolate_aim,
        look=_acls,
        disturb=_move_subnet,
        drift=_move_subnet,
        unrelated=_unrelated_acl,
    ),
}
