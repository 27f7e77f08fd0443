from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from containment.actions.techniques import SETS
from containment.types import Refused
from tests.containment.actions.network_reader import ACCOUNT, EXEMPT, MANAGEMENT, planned, said

pytestmark = pytest.mark.fast

OU = "ou-abcd-quarantine1"
DENY, MOVE = "organizations.deny-technique", "organizations.quarantine-account"


def world(
    *, attached: int = 1, parent: str = OU, enabled: bool = True, unit: Any = True, policies: Any = None
) -> dict[str, Any]:
    status = "ENABLED" if enabled else "PENDING_DISABLE"
    on_target = [{"Id": f"p-{number:08}", "Name": f"theirs-{number}"} for number in range(attached)]
    return {
        "organizations:DescribeOrganization": {"Organization": {"MasterAccountId": MANAGEMENT}},
        "organizations:DescribeOrganizationalUnit": {"OrganizationalUnit": {"Name": "Quarantine"}}
        if unit
        else None,
        "organizations:ListParents": {"Parents": [{"Id": parent}]} if parent else {"Parents": []},
        "organizations:ListPoliciesForTarget": {"Policies": on_target if policies is None else policies},
        "organizations:ListRoots": {
            "Roots": [{"PolicyTypes": [{"Type": "SERVICE_CONTROL_POLICY", "Status": status}]}]
        },
    }


def statement(plan: Any) -> Mapping[str, Any]:
    document = plan.steps[0].call.params["Content"]["$json"]
    found: Mapping[str, Any] = document["Statement"][0]
    return found


def test_the_policy_denies_the_set_to_all_but_the_exempted() -> None:
    plan = planned(DENY, ACCOUNT, world(), {"techniques": ["org-escape"]})

    assert statement(plan) == {
        "Sid": "Quell01M85MG280RBTKVD0GPK58FM2V",
        "Effect": "Deny",
        "Action": sorted(SETS["org-escape"]),
        "Resource": "*",
        "Condition": {"ArnNotLike": {"aws:PrincipalArn": sorted(EXEMPT)}},
    }
    attach = plan.steps[1]
    assert attach.call
    assert attach.call.params == {"PolicyId": {"$ref": "policy"}, "TargetId": ACCOUNT}
    assert attach.call.at.account == MANAGEMENT


def test_for_a_unit_the_exempted_are_spared_in_every_account() -> None:
    plan = planned(DENY, ACCOUNT, world(), {"actions": ["ec2:RunInstances"], "ou_id": OU})

    assert statement(plan)["Condition"]["ArnNotLike"]["aws:PrincipalArn"] == [
        "arn:aws:iam::*:role/quell-contain",
        "arn:aws:iam::*:user/break-glass",
    ]
    assert plan.steps[1].call
    assert plan.steps[1].call.params["TargetId"] == OU


@pytest.mark.parametrize("partition", ["aws-us-gov", "aws-cn"])
def test_no_partition_is_taken_for_granted(partition: str) -> None:
    for params in ({"techniques": ["ransomware"]}, {"techniques": ["ransomware"], "ou_id": OU}):
        plan = planned(DENY, ACCOUNT, world(), params, partition=partition)
        assert "arn:aws:" not in said(plan)
        assert f"arn:{partition}:iam::" in said(plan)


@pytest.mark.parametrize(
    ("given", "params", "reason"),
    [
        (
            world(attached=10),
            {"techniques": ["org-escape"]},
            "has 10 service control policies; AWS allows 10",
        ),
        (world(enabled=False), {"techniques": ["org-escape"]}, "not turned on"),
        (world(parent=""), {"techniques": ["org-escape"]}, "not a member"),
        (world(), {}, "name a technique"),
        (world(parent="ou-abcd-elsewhere1"), {"techniques": ["org-escape"], "ou_id": OU}, "lies in"),
        (world(unit=None), {"techniques": ["org-escape"], "ou_id": OU}, "no organizational unit"),
    ],
)
def test_what_would_not_work_is_refused_with_the_figure(given: Any, params: Any, reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        planned(DENY, ACCOUNT, given, params)


def test_without_anybody_to_exempt_it_is_refused() -> None:
    with pytest.raises(Refused, match="lock Quell out"):
        planned(DENY, ACCOUNT, world(), {"techniques": ["org-escape"]}, exempt=())


def test_a_policy_that_is_too_long_is_refused_with_its_size() -> None:
    many = [f"ec2:Action{number:04}{'x' * 90}" for number in range(100)]

    with pytest.raises(Refused, match="characters; AWS takes 10240"):
        planned(DENY, ACCOUNT, world(), {"actions": many})
    halved = planned(DENY, ACCOUNT, world(), {"actions": many[:60]})
    assert "older quota takes 5120" in " ".join(halved.warnings)


@pytest.mark.parametrize("type_id", [DENY, MOVE])
def test_the_management_account_is_refused(type_id: str) -> None:
    table = world()
    table["organizations:DescribeOrganization"] = {"Organization": {"MasterAccountId": ACCOUNT}}
    params = {"techniques": ["org-escape"]} if type_id == DENY else {"ou_id": OU}

    with pytest.raises(Refused, match="is the management account"):
        planned(type_id, ACCOUNT, table, params)


def test_an_account_moves_and_the_way_back_is_its_parent() -> None:
    plan = planned(MOVE, ACCOUNT, world(parent="ou-abcd-production"), {"ou_id": OU})

    (move,) = plan.steps
    assert move.call
    assert move.undo
    assert move.call.params == {
        "AccountId": ACCOUNT,
        "SourceParentId": "ou-abcd-production",
        "DestinationParentId": OU,
    }
    assert move.undo.params == {
        "AccountId": ACCOUNT,
        "SourceParentId": OU,
        "DestinationParentId": "ou-abcd-production",
    }
    assert plan.holds[0].equals == ["p-00000000"]
    assert "StackSets" in plan.warnings[0]
    assert len(plan.warnings) == 1


def test_a_unit_that_denies_nothing_is_told_of() -> None:
    plan = planned(MOVE, ACCOUNT, world(parent="r-abcd", policies=[{"Id": "p-FullAWSAccess"}]), {"ou_id": OU})

    assert "the move alone denies nothing" in plan.warnings[1]
    assert json.loads(said(plan))["facts"]["parent"] == "r-abcd"


def test_an_unknown_unit_is_refused() -> None:
    with pytest.raises(Refused, match=f"no organizational unit {OU}"):
        planned(MOVE, ACCOUNT, world(unit=None), {"ou_id": OU})
