from __future__ import annotations

from typing import Any

import pytest

from containment.types import Refused
from tests.containment.actions.network_reader import ACCOUNT, EXEMPT, MANAGEMENT, planned, said

pytestmark = pytest.mark.fast

# --- EKS --------------------------------------------------------------------------------------------

EKS = "eks.revoke-access"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/team/deployer"
POLICY = "arn:aws:eks::aws:cluster-access-policy/AmazonEKSEditPolicy"
USERNAME = f"arn:aws:sts::{ACCOUNT}:assumed-role/deployer/{{{{SessionName}}}}"


def cluster(
    *,
    mode: str = "API",
    kind: str = "STANDARD",
    username: str = USERNAME,
    entry: bool = True,
    policies: bool = True,
    exists: bool = True,
) -> dict[str, Any]:
    said_of = {
        "principalArn": ROLE,
        "kubernetesGroups": ["ops", "dev"],
        "username": username,
        "type": kind,
        "tags": {"team": "freight"},
    }
    scope = {"type": "namespace", "namespaces": ["web", "api"]}
    listed = [{"policyArn": POLICY, "accessScope": scope}] if policies else []
    return {
        "eks:DescribeCluster": {"cluster": {"accessConfig": {"authenticationMode": mode}}}
        if exists
        else None,
        "eks:DescribeAccessEntry": {"accessEntry": said_of} if entry else None,
        "eks:ListAssociatedAccessPolicies": {"associatedAccessPolicies": listed},
    }


def test_undo_makes_the_entry_again_and_gives_each_policy_back_where_it_applied() -> None:
    plan = planned(EKS, "freight", cluster(), {"principal_arn": ROLE})

    off, deleted = plan.steps
    assert off.was == ["namespace", ["api", "web"]]
    assert off.undo
    assert off.undo.params == {
        "clusterName": "freight",
        "principalArn": ROLE,
        "policyArn": POLICY,
        "accessScope": {"type": "namespace", "namespaces": ["api", "web"]},
    }
    assert deleted.undo
    assert deleted.undo.params == {
        "clusterName": "freight",
        "principalArn": ROLE,
        "type": "STANDARD",
        "tags": {"team": "freight"},
        "kubernetesGroups": ["dev", "ops"],
    }


def test_a_user_name_of_ones_own_goes_back_and_the_one_that_eks_gives_does_not() -> None:
    plan = planned(EKS, "freight", cluster(username="ops:freight"), {"principal_arn": ROLE})

    assert plan.steps[-1].undo
    assert plan.steps[-1].undo.params["username"] == "ops:freight"


def test_the_entry_can_stay_without_its_policies() -> None:
    plan = planned(EKS, "freight", cluster(), {"principal_arn": ROLE, "keep_entry": True})

    assert [step.name for step in plan.steps] == ["take-off-AmazonEKSEditPolicy"]
    assert "groups dev, ops stay" in plan.warnings[0]


def test_the_other_way_in_is_told_of() -> None:
    plan = planned(EKS, "freight", cluster(mode="API_AND_CONFIG_MAP"), {"principal_arn": ROLE})

    assert "aws-auth" in plan.warnings[0]


@pytest.mark.parametrize(
    ("table", "params", "reason"),
    [
        (cluster(mode="CONFIG_MAP"), {"principal_arn": ROLE}, "knows no access entries"),
        (cluster(kind="EC2_LINUX"), {"principal_arn": ROLE}, "how nodes join"),
        (cluster(entry=False), {"principal_arn": ROLE}, "has no access entry in freight"),
        (cluster(exists=False), {"principal_arn": ROLE}, "there is no cluster freight"),
        (cluster(policies=False), {"principal_arn": ROLE, "keep_entry": True}, "has no access policy"),
        (cluster(), {"principal_arn": EXEMPT[0]}, "one of Quell's own roles"),
    ],
)
def test_what_would_hit_nobody_or_the_wrong_ones_is_refused(table: Any, params: Any, reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        planned(EKS, "freight", table, params)


def test_a_user_name_of_another_partition_is_known_too() -> None:
    role = ROLE.replace("arn:aws:", "arn:aws-us-gov:")
    username = USERNAME.replace("arn:aws:", "arn:aws-us-gov:")
    table = cluster(username=username, policies=False)

    plan = planned(EKS, "freight", table, {"principal_arn": role}, partition="aws-us-gov")

    assert plan.steps[-1].undo
    assert "username" not in plan.steps[-1].undo.params


# --- Identity Center --------------------------------------------------------------------------------

IDENTITY = "identity-center.remove-assignments"
INSTANCE, STORE, USER = "arn:aws:sso:::instance/ssoins-1", "d-1", "user-1"
SETS = [f"arn:aws:sso:::permissionSet/ssoins-1/ps-{number}" for number in (2, 1)]


def directory(*, sets: Any = tuple(SETS), groups: Any = ("group-b", "group-a"), user: bool = True) -> Any:
    def assignments(params: Any) -> Any:
        named = {"PrincipalId": USER, "PrincipalType": "USER"}
        if "PermissionSetArn" in params:
            return {"AccountAssignments": [named]}
        of_group = {
            "AccountId": ACCOUNT,
            "PermissionSetArn": SETS[0],
            "PrincipalId": "group-a",
            "PrincipalType": "GROUP",
        }
        own = [{"AccountId": ACCOUNT, "PermissionSetArn": arn, **named} for arn in sets]
        return {"AccountAssignments": [*own, of_group]}

    return {
        "sso-admin:ListInstances": {"Instances": [{"InstanceArn": INSTANCE, "IdentityStoreId": STORE}]},
        "sso-admin:ListAccountAssignments": assignments,
        "sso-admin:ListAccountAssignmentsForPrincipal": assignments,
        "identitystore:DescribeUser": {"UserName": "mallory"} if user else None,
        "identitystore:ListGroupMembershipsForMember": {
            "GroupMemberships": [{"GroupId": one, "MembershipId": f"m-{one}"} for one in groups]
        },
    }


def test_every_own_assignment_and_membership_is_a_lane_of_its_own() -> None:
    plan = planned(IDENTITY, USER, directory())

    changing = [step for step in plan.steps if step.call]
    assert [step.name for step in changing] == [
        f"unassign-{ACCOUNT}-ps-1",
        f"unassign-{ACCOUNT}-ps-2",
        "leave-group-a",
        "leave-group-b",
    ]
    assert len({step.lane for step in changing}) == 4
    assert {step.call.at.account for step in changing if step.call} == {MANAGEMENT}
    first = changing[0]
    assert first.call
    assert first.undo
    assert first.undo_seen
    assert first.call.params == first.undo.params
    assert first.call.params["PermissionSetArn"] == SETS[1]
    assert first.undo_seen.equals == USER
    assert changing[2].undo
    assert changing[2].undo.params == {
        "IdentityStoreId": STORE,
        "GroupId": "group-a",
        "MemberId": {"UserId": USER},
    }


def test_groups_can_be_left_alone() -> None:
    plan = planned(IDENTITY, USER, directory(), {"groups": False})

    assert not any(step.name.startswith("leave") for step in plan.steps)
    assert plan.warnings == ()


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        (directory(user=False), "there is no Identity Center user user-1"),
        (directory(sets=(), groups=()), "mallory has no assignment of its own and is in no group"),
        (directory(groups=[f"g-{n}" for n in range(120)]), "has 122 assignments and groups; at most 100"),
    ],
)
def test_a_user_with_nothing_to_take_or_far_too_much_is_refused(table: Any, reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        planned(IDENTITY, USER, table)


# --- flow logs --------------------------------------------------------------------------------------

LOGS, BUCKET = "logs.start-flow-logs", "arn:aws:s3:::records"


def vpc(*flow_logs: Any, exists: bool = True, subnet_in: str = "vpc-0a") -> dict[str, Any]:
    def found(params: Any) -> Any:
        by_tag = params["Filter"][0]["Name"].startswith("tag:")
        return {"FlowLogs": [] if by_tag else list(flow_logs)}

    return {
        "ec2:DescribeVpcs": {"Vpcs": [{"VpcId": "vpc-0a"}]} if exists else None,
        "ec2:DescribeSubnets": {"Subnets": [{"VpcId": subnet_in}]} if subnet_in else None,
        "ec2:DescribeFlowLogs": found,
    }


def flow_log(number: int, kind: str = "ALL", to: str = "arn:aws:s3:::elsewhere") -> dict[str, Any]:
    return {"FlowLogId": f"fl-{number}", "TrafficType": kind, "LogDestination": to, "Tags": []}


def test_all_flows_are_recorded_each_minute_under_the_actions_own_token() -> None:
    plan = planned(LOGS, "vpc-0a", vpc(flow_log(1)), {"destination": BUCKET})

    assert plan.steps[0].call
    assert plan.steps[0].call.params == {
        "ClientToken": "quell-01m85mg280rbtkvd0gpk58fm2v",
        "ResourceType": "VPC",
        "ResourceIds": ["vpc-0a"],
        "TrafficType": "ALL",
        "MaxAggregationInterval": 60,
        "LogDestinationType": "s3",
        "LogDestination": BUCKET,
        "TagSpecifications": [
            {
                "ResourceType": "vpc-flow-log",
                "Tags": [{"Key": "quell:action", "Value": "01M85MG280RBTKVD0GPK58FM2V"}],
            }
        ],
    }
    assert plan.facts["present"] == ["fl-1"]


def test_a_log_group_needs_the_role_that_writes_into_it() -> None:
    group = "arn:aws:logs:eu-west-1:111122223333:log-group:flows"
    role = "arn:aws:iam::111122223333:role/flow-logs"

    plan = planned(LOGS, "vpc-0a", vpc(), {"destination": group, "role_arn": role})

    assert plan.steps[0].call
    assert plan.steps[0].call.params["DeliverLogsPermissionArn"] == role
    with pytest.raises(Refused, match="needs role_arn"):
        planned(LOGS, "vpc-0a", vpc(), {"destination": group})
    with pytest.raises(Refused, match="a bucket needs no role_arn"):
        planned(LOGS, "vpc-0a", vpc(), {"destination": BUCKET, "role_arn": role})


@pytest.mark.parametrize(
    ("table", "params", "reason"),
    [
        (vpc(flow_log(1, to=BUCKET)), {}, "fl-1 records all flows of vpc-0a there already"),
        (vpc(*[flow_log(n, "REJECT") for n in range(10)]), {}, "has 10 flow logs; AWS allows 10"),
        (vpc(exists=False), {}, "there is no VPC vpc-0a"),
        (vpc(subnet_in="vpc-0b"), {"resource": "subnet-1"}, "there is no subnet-1 in vpc-0a"),
        (vpc(subnet_in=""), {"resource": "subnet-1"}, "there is no subnet-1 in vpc-0a"),
    ],
)
def test_a_flow_log_that_adds_nothing_is_refused(table: Any, params: Any, reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        planned(LOGS, "vpc-0a", table, {"destination": BUCKET, **params})


def test_a_destination_of_another_partition_is_refused() -> None:
    with pytest.raises(Refused, match="not in the partition of the target, aws-us-gov"):
        planned(LOGS, "vpc-0a", vpc(), {"destination": BUCKET}, partition="aws-us-gov")
    there = planned(
        LOGS, "vpc-0a", vpc(), {"destination": "arn:aws-us-gov:s3:::records"}, partition="aws-us-gov"
    )
    assert "arn:aws:" not in said(there)
