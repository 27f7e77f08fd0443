"""Where IAM is enforced, the generated roles do what they are for, and nothing else gets in or done.

The member stack is made by ministack's CloudFormation. Three things are different there, and said where
they are: `sts:SourceIdentity` is in no context of its trust policies, so that condition is left out of
them here and tried in `test_role_stacks.py`; `iam:PolicyARN` is in none either; and of some services it
knows nothing, or names their resources otherwise (`UNKNOWN`). For those the same policies are evaluated in
`tests/docs/test_catalog.py`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from botocore.exceptions import ClientError

from containment import grants, stacks
from estate.models import Account
from estate.queries import Duty
from identity.actors import system
from lib import aws, clock
from lib.clock import SystemClock
from readiness import entering
from simulator.enforcing import ACCOUNT
from tests.containment.enforcing_world import REFUSALS, REGION, Blocked, Key, blocked, enforcing
from tests.simulator.conftest import session_key

pytestmark = pytest.mark.slow

__all__ = ["blocked", "enforcing"]

PREFIX = "Jw2xTq8RnLk5VbYc"
EXTERNAL_ID = f"{PREFIX}-{ACCOUNT}"
HUB = f"arn:aws:iam::{ACCOUNT}:user/quell-hub"
NO_UUID = "11111111-2222-3333-4444-555555555555"

UNKNOWN = frozenset({"guardduty", "network-firewall", "route53resolver", "securityhub", "wafv2"})
"""ministack has none of the first four, and takes each IP set of the last for a web ACL."""

CALLS: dict[str, tuple[str, str, dict[str, Any]]] = {
    # IAM's prefix: service of boto3, method, and parameters about things that are mostly not there.
    "autoscaling": (
        "autoscaling",
        "detach_instances",
        {"AutoScalingGroupName": "web", "InstanceIds": ["i-1"], "ShouldDecrementDesiredCapacity": False},
    ),
    "cloudtrail": ("cloudtrail", "start_logging", {"Name": "all"}),
    "dynamodb": (
        "dynamodb",
        "delete_resource_policy",
        {"ResourceArn": f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/orders"},
    ),
    "ec2": ("ec2", "create_security_group", {"GroupName": "quell-test", "Description": "Quell"}),
    "eks": ("eks", "create_access_entry", {"clusterName": "web", "principalArn": HUB}),
    "elasticloadbalancing": (
        "elbv2",
        "deregister_targets",
        {
            "TargetGroupArn": f"arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}:targetgroup/web/abc",
            "Targets": [{"Id": "i-1"}],
        },
    ),
    "iam": (
        "iam",
        "update_access_key",
        {"UserName": "ci-deploy", "AccessKeyId": "AKIAQ3EGXMZJ7WLV5TNA", "Status": "Inactive"},
    ),
    "kms": ("kms", "disable_key", {"KeyId": NO_UUID}),
    "lambda": (
        "lambda",
        "put_function_concurrency",
        {"FunctionName": "orders", "ReservedConcurrentExecutions": 0},
    ),
    "rds": ("rds", "modify_db_instance", {"DBInstanceIdentifier": "orders"}),
    "s3": ("s3", "delete_bucket_policy", {"Bucket": "orders"}),
    "secretsmanager": ("secretsmanager", "delete_resource_policy", {"SecretId": "orders"}),
    "sns": (
        "sns",
        "set_topic_attributes",
        {
            "TopicArn": f"arn:aws:sns:{REGION}:{ACCOUNT}:orders",
            "AttributeName": "Policy",
            "AttributeValue": "{}",
        },
    ),
    "sqs": ("sqs", "set_queue_attributes", {"QueueUrl": "", "Attributes": {"VisibilityTimeout": "1"}}),
}


@dataclass(frozen=True)
class Deployed:
    """An account with the generated roles, and the hub's key."""

    blocked: Blocked
    hub: Key

    def assume(self, role: str, **asked: str) -> Key:
        """A session of a role as the hub asks for it; raises `ClientError`."""
        sts = self.blocked.as_(self.hub, "sts")
        arn = f"arn:aws:iam::{ACCOUNT}:role/{role}"
        return session_key(sts.assume_role(RoleArn=arn, RoleSessionName="INC-2026-0001-test", **asked))

    def is_let_in(self, role: str, **asked: str) -> bool:
        try:
            self.assume(role, **asked)
        except ClientError as refusal:
            if refusal.response["Error"]["Code"] != "AccessDenied":
                raise
            return False
        return True

    def may(self, key: Key, prefix: str) -> bool:
        """Whether IAM lets a session make its call of a service; that the thing is not there is no denial."""
        service, method, given = CALLS[prefix]
        asked = {**given, "QueueUrl": f"{self.blocked.url}/{ACCOUNT}/orders"} if prefix == "sqs" else given
        try:
            getattr(self.blocked.as_(key, service), method)(**asked)
        except ClientError as refusal:
            return refusal.response["Error"]["Code"] not in REFUSALS
        return True


@pytest.fixture
def deployed(blocked: Blocked) -> Iterator[Deployed]:
    """The member stack at the level `contain`, in place of the roles that other tests make by hand."""
    iam = blocked.admin("iam")
    for name in ("quell-read", "quell-evidence", "quell-contain"):
        iam.delete_role_policy(RoleName=name, PolicyName="own")
        iam.delete_role(RoleName=name)
    formation = blocked.admin("cloudformation")
    parameters = {"HubRoleArn": HUB, "ExternalIdPrefix": PREFIX, "Trust": grants.CONTAIN}
    formation.create_stack(
        StackName="quell",
        TemplateBody=json.dumps(_without_source_identity(stacks.cloudformation(stacks.MEMBER))),
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
        Capabilities=["CAPABILITY_NAMED_IAM"],
    )
    formation.get_waiter("stack_create_complete").wait(
        StackName="quell", WaiterConfig={"Delay": 1, "MaxAttempts": 30}
    )
    Account.objects.filter(account_id=ACCOUNT).update(external_id=EXTERNAL_ID, organization_role="")
    blocked.user("ci-deploy")
    blocked.admin("s3").create_bucket(Bucket="orders")
    yield Deployed(blocked=blocked, hub=blocked.another_key("quell-hub"))
    formation.delete_stack(StackName="quell")


def _without_source_identity(template: dict[str, Any]) -> dict[str, Any]:
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::IAM::Role":
            for statement in resource["Properties"]["AssumeRolePolicyDocument"]["Statement"]:
                assert statement["Condition"].pop("StringLike") == {"sts:SourceIdentity": "quell-*"}
    return template


def services_of(level: str) -> set[str]:
    """The prefixes of a level's actions, without those that only come with others'."""
    return {action.partition(":")[0] for document in grants.policies(level) for action in _actions(document)}


def _actions(document: Mapping[str, Any]) -> list[str]:
    return [action for statement in document["Statement"] for action in statement["Action"]]


# --- the external id ----------------------------------------------------------------------------------


def test_without_its_external_id_no_role_is_given_and_with_it_each_is(deployed: Deployed) -> None:
    for role in ("quell-read", "quell-evidence", "quell-contain"):
        assert not deployed.is_let_in(role)
        assert not deployed.is_let_in(role, ExternalId=f"{PREFIX}-111122223333")
        assert deployed.is_let_in(role, ExternalId=EXTERNAL_ID)


def test_the_check_of_an_account_finds_the_generated_roles_sound(deployed: Deployed) -> None:
    found = entering.check(accounts=Account.objects.all(), by=system("test"), at=clock.now())

    assert [(one.duty, one.problems) for one in found] == [
        (Duty.READ, ()),
        (Duty.EVIDENCE, ()),
        (Duty.CONTAIN, ()),
    ]


def test_the_check_of_an_account_finds_a_role_that_lets_anybody_in(deployed: Deployed) -> None:
    trust = {"Effect": "Allow", "Principal": {"AWS": HUB}, "Action": "sts:*"}
    deployed.blocked.admin("iam").update_assume_role_policy(
        RoleName="quell-contain",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]}),
    )

    found = entering.check(accounts=Account.objects.all(), by=system("test"), at=clock.now())

    (open_one,) = [one for one in found if not one.is_sound]
    assert open_one.duty is Duty.CONTAIN
    assert "without an external id" in open_one.problems[0]


# --- what the roles may do ----------------------------------------------------------------------------


def test_every_service_of_the_level_is_tried_or_named() -> None:
    assert services_of(grants.CONTAIN) == set(CALLS) | UNKNOWN


def test_the_role_may_do_something_in_each_service_and_a_reader_may_not(deployed: Deployed) -> None:
    contain = deployed.assume("quell-contain", ExternalId=EXTERNAL_ID)
    reader = deployed.assume("quell-read", ExternalId=EXTERNAL_ID)

    assert {prefix: deployed.may(contain, prefix) for prefix in CALLS} == dict.fromkeys(CALLS, True)
    assert {prefix: deployed.may(reader, prefix) for prefix in CALLS} == dict.fromkeys(CALLS, False)


@pytest.mark.parametrize(
    ("method", "asked"),
    [
        ("create_user", {"UserName": "mallory"}),
        ("create_access_key", {"UserName": "ci-deploy"}),
        ("create_role", {"RoleName": "mallory", "AssumeRolePolicyDocument": "{}"}),
        (
            "put_role_policy",
            {"RoleName": "quell-read", "PolicyName": "more", "PolicyDocument": "{}"},
        ),
        (
            "attach_user_policy",
            {"UserName": "ci-deploy", "PolicyArn": "arn:aws:iam::aws:policy/AdministratorAccess"},
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_role_makes_nobody_and_gives_nothing(
    deployed: Deployed, method: str, asked: dict[str, Any]
) -> None:
    contain = deployed.blocked.as_(deployed.assume("quell-contain", ExternalId=EXTERNAL_ID), "iam")

    with pytest.raises(ClientError, match="AccessDenied"):
        getattr(contain, method)(**asked)


def test_the_guard_denies_whatever_else_allows_it(deployed: Deployed) -> None:
    everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    deployed.blocked.admin("iam").put_role_policy(
        RoleName="quell-contain",
        PolicyName="planted",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [everything]}),
    )
    iam = deployed.blocked.as_(deployed.assume("quell-contain", ExternalId=EXTERNAL_ID), "iam")

    iam.list_users()
    with pytest.raises(ClientError, match="AccessDenied"):
        iam.create_user(UserName="mallory")
    with pytest.raises(ClientError, match="AccessDenied"):
        iam.delete_role_policy(RoleName="quell-contain", PolicyName="planted")


def test_the_preflight_asks_about_what_a_call_is_about(deployed: Deployed) -> None:
    """The policies name resources: asked about everything, the policy simulator denies what is allowed."""
    action = deployed.blocked.apply("iam.deactivate-access-key", *_key(deployed.blocked))

    assert {(one["call"], one["answer"], one["detail"]) for one in action.preflight} == {
        ("iam:UpdateAccessKey", "permitted", "policy simulator")
    }


def test_the_preflight_stops_what_the_role_may_not(deployed: Deployed) -> None:
    """The account's row says more than was deployed: `contain` writes no documents of IAM."""
    world = deployed.blocked.world
    aim = {"type": "user", "id": "ci-deploy", "account": ACCOUNT, "region": REGION}
    world.clock.move_to(SystemClock().now())

    action = world.apply("iam.revoke-user-sessions", aim)

    assert action.status == "failed"
    assert "the role does not allow iam:PutUserPolicy" in action.note
    assert deployed.blocked.admin("iam").list_user_policies(UserName="ci-deploy")["PolicyNames"] == ["own"]


# --- the product under them ---------------------------------------------------------------------------


def _key(blocked: Blocked) -> tuple[dict[str, Any], dict[str, Any]]:
    key = blocked.another_key("ci-deploy")
    return {"type": "access_key", "id": key["access_key_id"]}, {"user": "ci-deploy"}


def _bucket(blocked: Blocked) -> tuple[dict[str, Any], dict[str, Any]]:
    blocked.admin("s3").delete_public_access_block(Bucket="orders")
    return {"type": "bucket", "id": "orders"}, {}


def _kms_key(blocked: Blocked) -> tuple[dict[str, Any], dict[str, Any]]:
    made = blocked.admin("kms").create_key()["KeyMetadata"]["KeyId"]
    return {"type": "kms_key", "id": made}, {}


@pytest.mark.parametrize(
    ("type_id", "aim"),
    [
        ("iam.deactivate-access-key", _key),
        ("s3.block-public-access", _bucket),
        ("kms.disable-key", _kms_key),
    ],
    ids=["iam", "s3", "kms"],
)
def test_an_action_is_carried_out_and_undone_by_the_generated_roles(
    deployed: Deployed, type_id: str, aim: Any
) -> None:
    aws.forget_sessions()
    action = deployed.blocked.apply(type_id, *aim(deployed.blocked))
    deployed.blocked.revert(action)
