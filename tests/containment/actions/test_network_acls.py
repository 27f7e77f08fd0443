from __future__ import annotations

from typing import Any

import pytest

from containment.types import Refused
from tests.containment.actions.network_reader import planned

pytestmark = pytest.mark.fast

SUBNET, ACL, VPC = "subnet-0a", "acl-0a", "vpc-0a"


def rule(number: int, block: str = "0.0.0.0/0", action: str = "allow", *, egress: bool = False) -> Any:
    kind = "Ipv6CidrBlock" if ":" in block else "CidrBlock"
    return {"RuleNumber": number, "RuleAction": action, "Egress": egress, "Protocol": "-1", kind: block}


def both(number: int, block: str = "0.0.0.0/0", action: str = "allow") -> list[Any]:
    return [rule(number, block, action), rule(number, block, action, egress=True)]


def world(*rules: Any, public: str = "", shared: bool = False, acls: int = 1) -> dict[str, Any]:
    links = [{"SubnetId": SUBNET, "NetworkAclAssociationId": "aclassoc-1"}]
    links += [{"SubnetId": "subnet-0b", "NetworkAclAssociationId": "aclassoc-2"}] if shared else []
    acl = {"NetworkAclId": ACL, "VpcId": VPC, "Associations": links, "Entries": list(rules)}
    interface = {"NetworkInterfaceId": "eni-1", "Association": {"PublicIp": public}}
    return {
        "ec2:DescribeSubnets": {"Subnets": [{"SubnetId": SUBNET, "VpcId": VPC}]},
        "ec2:DescribeNetworkAcls": {"NetworkAcls": [acl] * acls},
        "ec2:DescribeVpcs": {
            "Vpcs": [
                {
                    "CidrBlock": "10.4.0.0/16",
                    "CidrBlockAssociationSet": [{"CidrBlock": "10.5.0.0/16"}],
                    "Ipv6CidrBlockAssociationSet": [{"Ipv6CidrBlock": "2001:db8:4::/56"}],
                }
            ]
        },
        "ec2:DescribeNetworkInterfaces": {"NetworkInterfaces": [interface] if public else []},
    }


DEFAULTS = [*both(100), *both(32767, action="deny")]


def test_the_deny_stands_right_before_the_first_allow_both_ways() -> None:
    plan = planned("vpc.deny-address", SUBNET, world(*DEFAULTS), {"address": "203.0.113.9"})

    assert [step.call.params for step in plan.steps if step.call] == [
        {
            "NetworkAclId": ACL,
            "RuleNumber": 99,
            "Egress": egress,
            "Protocol": "-1",
            "RuleAction": "deny",
            "CidrBlock": "203.0.113.9/32",
        }
        for egress in (False, True)
    ]
    assert [step.undo.params for step in plan.steps if step.undo] == [
        {"NetworkAclId": ACL, "RuleNumber": 99, "Egress": egress} for egress in (False, True)
    ]


def test_an_address_of_the_new_family_goes_into_its_own_parameter() -> None:
    plan = planned("vpc.deny-address", SUBNET, world(*DEFAULTS), {"address": "2001:db8:9::1"})

    assert plan.steps[0].call
    assert plan.steps[0].call.params["Ipv6CidrBlock"] == "2001:db8:9::1/128"
    assert "CidrBlock" not in plan.steps[0].call.params


def test_a_taken_number_is_passed_over_and_the_same_rule_is_found_again() -> None:
    taken = [*DEFAULTS, rule(99, "198.51.100.0/24", "deny"), rule(70, "203.0.113.9/32", "deny", egress=True)]

    plan = planned("vpc.deny-address", SUBNET, world(*taken), {"address": "203.0.113.9"})

    assert [step.call.params["RuleNumber"] for step in plan.steps if step.call] == [98, 70]
    assert [step.was for step in plan.steps] == [None, ["deny", "-1", "203.0.113.9/32"]]


def test_a_rule_behind_the_allow_does_not_count() -> None:
    late = [*DEFAULTS, *both(200, "203.0.113.9/32", "deny")]

    plan = planned("vpc.deny-address", SUBNET, world(*late), {"address": "203.0.113.9"})

    assert {step.call.params["RuleNumber"] for step in plan.steps if step.call} == {99}


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("0.0.0.0/0", "too wide"),
        ("::/0", "too wide"),
        ("169.254.169.254", "metadata"),
        ("10.4.3.2", "of vpc-0a itself"),
        ("10.5.0.0/17", "of vpc-0a itself"),
        ("10.0.0.0/8", "of vpc-0a itself"),
        ("2001:db8:4::1", "of vpc-0a itself"),
        ("198.51.100.7", "of vpc-0a itself"),
    ],
)
def test_what_would_cut_off_the_vpc_itself_is_refused(address: str, reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        planned("vpc.deny-address", SUBNET, world(*DEFAULTS, public="198.51.100.7"), {"address": address})


def test_a_full_network_acl_is_refused_with_the_figure() -> None:
    full = [*DEFAULTS, *[rule(number, f"198.51.{number}.0/24", "deny") for number in range(1, 19)]]

    with pytest.raises(Refused, match="has 20 rules from addresses of this kind; the quota is 20"):
        planned("vpc.deny-address", SUBNET, world(*full), {"address": "203.0.113.9"})
    raised = planned("vpc.deny-address", SUBNET, world(*full), {"address": "203.0.113.9", "quota": 40})
    assert len(raised.steps) == 2
    other_family = planned("vpc.deny-address", SUBNET, world(*full), {"address": "2001:db8:9::1"})
    assert len(other_family.steps) == 2


def test_without_a_number_before_the_first_allow_it_is_refused() -> None:
    with pytest.raises(Refused, match="no free rule number before its first allow, 1"):
        planned("vpc.deny-address", SUBNET, world(*both(1)), {"address": "203.0.113.9"})


def test_subnets_that_share_the_acl_are_named() -> None:
    plan = planned("vpc.deny-address", SUBNET, world(*DEFAULTS, shared=True), {"address": "203.0.113.9"})

    assert "subnet-0b" in plan.warnings[0]
    assert plan.facts["sharing"] == ["subnet-0b"]


def test_the_way_back_of_an_isolated_subnet_uses_the_new_association() -> None:
    plan = planned("vpc.isolate-subnet", SUBNET, world(*DEFAULTS))

    made, moved = plan.steps
    assert made.call
    assert made.call.params["VpcId"] == VPC
    assert moved.call
    assert moved.call.params == {"AssociationId": "aclassoc-1", "NetworkAclId": {"$ref": "closed"}}
    assert moved.undo
    assert moved.undo.params == {"AssociationId": {"$ref": "isolate"}, "NetworkAclId": ACL}
    assert moved.value
    assert "NetworkAclAssociationId" in moved.value
    assert plan.holds[0].equals == 0


def test_a_vpc_full_of_network_acls_is_refused() -> None:
    with pytest.raises(Refused, match="has 200 network ACLs"):
        planned("vpc.isolate-subnet", SUBNET, world(*DEFAULTS, acls=200))


@pytest.mark.parametrize("type_id", ["vpc.deny-address", "vpc.isolate-subnet"])
def test_an_unknown_subnet_is_refused(type_id: str) -> None:
    params = {"address": "203.0.113.9"} if "deny" in type_id else {}
    with pytest.raises(Refused, match="there is no subnet subnet-0a"):
        planned(type_id, SUBNET, {**world(), "ec2:DescribeSubnets": None}, params)
