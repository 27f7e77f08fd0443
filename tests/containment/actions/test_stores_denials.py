"""Statements in policies of buckets, keys, secrets, tables, queues and topics: planned, refused, undone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from containment.actions import action_type
from containment.editing import edited, reversed_edit
from containment.types import Edit, Kind, Plan, Refused
from simulator import policy
from tests.containment.actions.network_reader import ACCOUNT, EXEMPT, Answers, context, planned, said

pytestmark = pytest.mark.fast

KEY = "1234abcd-12ab-34cd-56ef-1234567890ab"
QUEUE_URL = f"https://sqs.eu-west-1.amazonaws.com/{ACCOUNT}/orders"
AT = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)
THEIRS = {"Sid": "Theirs", "Effect": "Allow", "Principal": "*", "Action": "x:y", "Resource": "*"}

Case = tuple[str, str, dict[str, Any], dict[str, Any]]


def _policy(*statements: Mapping[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def _cases(text: str | None, *, partition: str = "aws") -> dict[str, Case]:
    """For each type: id of its target, answers with the policy's text, and parameters."""
    arn = f"arn:{partition}"
    attributes = {"Attributes": {"Policy": text} if text else {}}
    named = {"ResourcePolicy": text} if text else {}
    return {
        "s3.restrict-bucket": (
            "s3.restrict-bucket",
            "manifests",
            {
                "s3:GetBucketLocation": {"LocationConstraint": "eu-west-1"},
                "s3:GetBucketPolicy": {"Policy": text} if text else None,
            },
            {},
        ),
        "s3.deny-address": (
            "s3.deny-address",
            "manifests",
            {
                "s3:GetBucketLocation": {"LocationConstraint": "eu-west-1"},
                "s3:GetBucketPolicy": {"Policy": text} if text else None,
            },
            {"addresses": ["203.0.113.9"]},
        ),
        "kms.deny-principal": (
            "kms.deny-principal",
            KEY,
            {
                "kms:DescribeKey": {
                    "KeyMetadata": {"KeyId": KEY, "Arn": f"{arn}:kms:key/{KEY}", "KeyState": "Enabled"}
                },
                "kms:GetKeyPolicy": {"Policy": text or _policy()},
            },
            {"principal": f"{arn}:iam::{ACCOUNT}:role/app/tracking-api"},
        ),
        "secretsmanager.restrict-secret": (
            "secretsmanager.restrict-secret",
            "carrier-api",
            {
                "secretsmanager:DescribeSecret": {
                    "Name": "carrier-api",
                    "ARN": f"{arn}:secret:carrier-x",
                },
                "secretsmanager:GetResourcePolicy": {"Name": "carrier-api", **named},
            },
            {},
        ),
        "dynamodb.restrict-table": (
            "dynamodb.restrict-table",
            "labels",
            {
                "dynamodb:DescribeTable": {"Table": {"TableArn": f"{arn}:dynamodb:table/labels"}},
                "dynamodb:GetResourcePolicy": {"Policy": text, "RevisionId": "7"} if text else None,
            },
            {},
        ),
        "sqs.restrict-queue": (
            "sqs.restrict-queue",
            "orders",
            {"sqs:GetQueueUrl": {"QueueUrl": QUEUE_URL}, "sqs:GetQueueAttributes": attributes},
            {},
        ),
        "sns.restrict-topic": (
            "sns.restrict-topic",
            "news",
            {"sns:GetTopicAttributes": {"Attributes": {"Policy": text or _policy()}}},
            {},
        ),
    }


TYPES = sorted(_cases(None))
LIMITS = {
    "dynamodb.restrict-table": 20_480,
    "kms.deny-principal": 32_768,
    "s3.deny-address": 20_480,
    "s3.restrict-bucket": 20_480,
    "secretsmanager.restrict-secret": 20_480,
    "sns.restrict-topic": 30_720,
    "sqs.restrict-queue": 8_192,
}


def _plan(type_id: str, text: str | None = None, **more: Any) -> Plan:
    partition = more.get("partition", "aws")
    name, target, table, params = _cases(text, partition=partition)[type_id]
    return planned(name, target, table, {**params, **more.pop("params", {})}, **more)


def _statement(plan: Plan) -> dict[str, Any]:
    (step,) = plan.steps
    assert step.kind is Kind.EDIT
    assert step.edit
    (statement,) = step.edit.add
    return dict(statement)


def _edit(plan: Plan) -> Edit:
    edit = plan.steps[0].edit
    assert edit
    return edit


@pytest.mark.parametrize("type_id", TYPES)
def test_the_statement_denies_and_spares_the_exempt_and_the_services(type_id: str) -> None:
    statement = _statement(_plan(type_id))

    assert statement["Effect"] == "Deny"
    assert statement["Principal"] == "*"
    assert statement["Condition"]["ArnNotLike"] == {"aws:PrincipalArn": sorted(EXEMPT)}
    if type_id != "kms.deny-principal":
        assert statement["Condition"]["BoolIfExists"]["aws:PrincipalIsAWSService"] == "false"


@pytest.mark.parametrize("type_id", TYPES)
def test_without_anybody_exempt_it_is_refused(type_id: str) -> None:
    with pytest.raises(Refused, match="lock out"):
        _plan(type_id, exempt=())


@pytest.mark.parametrize("type_id", TYPES)
def test_in_another_partition_no_arn_is_of_the_first(type_id: str) -> None:
    assert "arn:aws:" not in said(_plan(type_id, partition="aws-us-gov"))


@pytest.mark.parametrize("type_id", TYPES)
def test_a_policy_that_would_be_too_large_is_refused_with_its_size_and_the_largest_is_not(
    type_id: str,
) -> None:
    limit = LIMITS[type_id]
    ours = len(json.dumps(_statement(_plan(type_id)), separators=(",", ":"), sort_keys=True)) + 1
    frame = len(_policy({**THEIRS, "Resource": ""}).replace(" ", ""))

    def padded(size: int) -> str:
        return _policy({**THEIRS, "Resource": "r" * (size - frame - ours)})

    _plan(type_id, padded(limit))
    with pytest.raises(Refused, match=f"{limit + 1:,} bytes; AWS accepts {limit:,}"):
        _plan(type_id, padded(limit + 1))


@pytest.mark.parametrize("type_id", TYPES)
def test_the_edit_adds_our_statement_and_the_opposite_takes_it_away_alone(type_id: str) -> None:
    name, target, table, params = _cases(_policy(THEIRS))[type_id]
    plan = planned(name, target, table, params)
    step, edit = plan.steps[0], _edit(plan)
    assert step.call

    made = edited(edit, step.call, eyes=Answers(table), results={}, at=AT)
    text = _text(made.params, edit.into)
    assert [one["Sid"] for one in json.loads(text)["Statement"]] == ["Theirs", edit.add[0]["Sid"]]

    after = _cases(text)[type_id][2]
    back = edited(reversed_edit(edit), step.call, eyes=Answers(after), results={}, at=AT)
    assert json.loads(_text(back.params, edit.into)) == json.loads(_policy(THEIRS))


def _text(params: Mapping[str, Any], into: str) -> str:
    value: Any = params
    for part in into.split("."):
        value = value[part]
    return str(value)


@pytest.mark.parametrize(
    ("type_id", "operation", "params"),
    [
        ("s3.restrict-bucket", "DeleteBucketPolicy", {"Bucket": "manifests", "ExpectedBucketOwner": ACCOUNT}),
        (
            "secretsmanager.restrict-secret",
            "DeleteResourcePolicy",
            {"SecretId": "arn:aws:secret:carrier-x"},
        ),
        (
            "dynamodb.restrict-table",
            "DeleteResourcePolicy",
            {"ResourceArn": "arn:aws:dynamodb:table/labels", "ExpectedRevisionId": "7"},
        ),
        ("sqs.restrict-queue", "SetQueueAttributes", {"QueueUrl": QUEUE_URL, "Attributes": {"Policy": ""}}),
    ],
)
def test_a_policy_with_nothing_left_in_it_is_deleted(
    type_id: str, operation: str, params: dict[str, Any]
) -> None:
    plan = _plan(type_id)
    step, edit = plan.steps[0], _edit(plan)
    assert step.call

    after = _cases(_policy(edit.add[0]))[type_id][2]
    back = edited(reversed_edit(edit), step.call, eyes=Answers(after), results={}, at=AT)

    assert (back.operation, dict(back.params)) == (operation, params)


def test_a_table_policy_is_written_on_the_revision_that_was_read_or_on_none() -> None:
    name, target, table, params = _cases(None)["dynamodb.restrict-table"]
    plan = planned(name, target, table, params)
    assert plan.steps[0].call

    on_none = edited(_edit(plan), plan.steps[0].call, eyes=Answers(table), results={}, at=AT)
    there = _cases(_policy(THEIRS))["dynamodb.restrict-table"][2]
    on_seven = edited(_edit(plan), plan.steps[0].call, eyes=Answers(there), results={}, at=AT)

    assert on_none.params["ExpectedRevisionId"] == "NO_POLICY"
    assert on_seven.params["ExpectedRevisionId"] == "7"


def test_a_queue_takes_twenty_statements() -> None:
    small = {"Effect": "Allow", "Principal": "*", "Action": "sqs:x", "Resource": "*"}
    _plan("sqs.restrict-queue", _policy(*[{**small, "Sid": f"S{n}"} for n in range(19)]))

    with pytest.raises(Refused, match="has 20 statements; AWS accepts 20"):
        _plan("sqs.restrict-queue", _policy(*[{**small, "Sid": f"S{n}"} for n in range(20)]))


def test_a_topics_policy_names_each_action_because_sns_takes_no_wildcard() -> None:
    actions = _statement(_plan("sns.restrict-topic"))["Action"]

    assert "sns:Publish" in actions
    assert not any("*" in one for one in actions)


# --- who is denied, by the statement's own words -----------------------------------------------------


def _denied(statement: Mapping[str, Any], action: str, resource: str, **context_of: str) -> bool:
    spelled = {name.replace("_", ":", 1): value for name, value in context_of.items()}
    return (
        policy.decide({"Statement": [statement]}, action=action, context=spelled, resource=resource) == "Deny"
    )


@pytest.mark.parametrize(
    ("type_id", "action", "resource"),
    [
        ("s3.restrict-bucket", "s3:GetObject", "arn:aws:s3:::manifests/a"),
        ("dynamodb.restrict-table", "dynamodb:GetItem", "arn:aws:dynamodb:table/labels"),
        ("dynamodb.restrict-table", "dynamodb:Query", "arn:aws:dynamodb:table/labels/index/by-day"),
        ("sqs.restrict-queue", "sqs:SendMessage", f"arn:aws:sqs:eu-west-1:{ACCOUNT}:orders"),
        ("sns.restrict-topic", "sns:Publish", f"arn:aws:sns:eu-west-1:{ACCOUNT}:news"),
        ("secretsmanager.restrict-secret", "secretsmanager:GetSecretValue", "arn:aws:secret:x"),
    ],
)
def test_strangers_and_the_anonymous_are_denied_the_responders_and_services_are_not(
    type_id: str, action: str, resource: str
) -> None:
    statement = _statement(_plan(type_id))
    attacker = f"arn:aws:iam::{ACCOUNT}:user/ci-deploy"

    assert _denied(statement, action, resource, aws_PrincipalArn=attacker)
    assert _denied(statement, action, resource)
    assert not _denied(statement, action, resource, aws_PrincipalArn=EXEMPT[0])
    assert not _denied(
        statement, action, resource, aws_PrincipalArn=attacker, aws_PrincipalIsAWSService="true"
    )


def test_only_the_address_is_denied_and_not_a_service_that_acts_for_a_caller() -> None:
    statement = _statement(_plan("s3.deny-address"))
    there = ("s3:GetObject", "arn:aws:s3:::manifests/a")

    assert _denied(statement, *there, aws_SourceIp="203.0.113.9")
    assert not _denied(statement, *there, aws_SourceIp="203.0.113.10")
    assert not _denied(statement, *there)
    assert not _denied(statement, *there, aws_SourceIp="203.0.113.9", aws_ViaAWSService="true")
    assert not _denied(statement, *there, aws_SourceIp="203.0.113.9", aws_PrincipalArn=EXEMPT[1])


def test_an_address_inside_a_vpc_goes_by_another_key_and_not_with_one_outside() -> None:
    inside = _statement(_plan("s3.deny-address", params={"addresses": ["10.20.0.9", "fd12::/64"]}))
    assert inside["Condition"]["IpAddress"] == {"aws:VpcSourceIp": ["10.20.0.9/32", "fd12::/64"]}

    with pytest.raises(Refused, match="make an action for each"):
        _plan("s3.deny-address", params={"addresses": ["10.20.0.9", "203.0.113.9"]})
    with pytest.raises(Refused, match="too wide"):
        _plan("s3.deny-address", params={"addresses": ["0.0.0.0/0"]})


def test_a_part_of_a_bucket_is_denied_and_the_rest_is_not() -> None:
    statement = _statement(_plan("s3.restrict-bucket", params={"prefix": "finance/", "deny": "changes"}))

    assert _denied(statement, "s3:DeleteObject", "arn:aws:s3:::manifests/finance/a")
    assert not _denied(statement, "s3:GetObject", "arn:aws:s3:::manifests/finance/a")
    assert not _denied(statement, "s3:DeleteObject", "arn:aws:s3:::manifests/public/a")


def test_one_principal_is_denied_a_key_and_no_other() -> None:
    statement = _statement(_plan("kms.deny-principal"))

    assert _denied(
        statement, "kms:Decrypt", "k", aws_PrincipalArn=f"arn:aws:iam::{ACCOUNT}:role/app/tracking-api"
    )
    assert not _denied(
        statement, "kms:Decrypt", "k", aws_PrincipalArn=f"arn:aws:iam::{ACCOUNT}:role/app/other"
    )


@pytest.mark.parametrize(
    ("principal", "why"),
    [
        (EXEMPT[0], "one of Quell's own"),
        ("arn:aws-cn:iam::111122223333:user/x", "no user or role of the partition aws"),
        (
            "arn:aws:iam::111122223333:role/aws-service-role/rds.amazonaws.com/AWSServiceRoleForRDS",
            "AWS itself",
        ),
    ],
)
def test_a_principal_that_must_not_be_denied_a_key_is_refused(principal: str, why: str) -> None:
    with pytest.raises(Refused, match=why):
        _plan("kms.deny-principal", params={"principal": principal})


# --- targets ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("type_id", "target", "answers", "why"),
    [
        ("s3.restrict-bucket", "arn:aws:s3:::manifests", {}, "give the name alone"),
        ("s3.restrict-bucket", "fast--use1-az4--x-s3", {}, "directory bucket"),
        ("s3.restrict-bucket", "manifests", {"s3:GetBucketLocation": None}, "there is no bucket"),
        ("kms.deny-principal", "alias/shipping", {}, "aliases can be moved"),
        ("kms.deny-principal", KEY, {"kms:DescribeKey": None}, "there is no key"),
        (
            "kms.deny-principal",
            KEY,
            {"kms:DescribeKey": {"KeyMetadata": {"KeyId": KEY, "KeyManager": "AWS"}}},
            "managed by AWS",
        ),
        ("secretsmanager.restrict-secret", "no such name!", {}, "neither name nor ARN"),
        (
            "secretsmanager.restrict-secret",
            "carrier-api",
            {"secretsmanager:DescribeSecret": None},
            "there is no secret",
        ),
        (
            "secretsmanager.restrict-secret",
            "carrier-api",
            {"secretsmanager:DescribeSecret": {"Name": "carrier-api", "DeletedDate": "2026-11-30"}},
            "scheduled for deletion",
        ),
        (
            "secretsmanager.restrict-secret",
            "carrier-api",
            {"secretsmanager:DescribeSecret": {"Name": "carrier-api", "PrimaryRegion": "us-east-1"}},
            "replica of the secret in us-east-1",
        ),
        ("dynamodb.restrict-table", "arn:aws:dynamodb:x:1:table/y", {}, "give the name alone"),
        ("dynamodb.restrict-table", "labels", {"dynamodb:DescribeTable": None}, "there is no table"),
        ("sqs.restrict-queue", QUEUE_URL, {}, "give the name alone"),
        ("sqs.restrict-queue", "orders", {"sqs:GetQueueUrl": None}, "there is no queue"),
        ("sns.restrict-topic", "arn:aws:sns:x:1:news", {}, "give the name alone"),
        ("sns.restrict-topic", "news", {"sns:GetTopicAttributes": None}, "there is no topic"),
    ],
)
def test_what_is_no_target_is_refused_with_the_reason(
    type_id: str, target: str, answers: dict[str, Any], why: str
) -> None:
    _, _, table, params = _cases(None)[type_id]
    with pytest.raises(Refused, match=why):
        planned(type_id, target, {**table, **answers}, params)


def test_a_bucket_is_asked_in_the_region_where_it_is() -> None:
    _, target, table, params = _cases(None)["s3.restrict-bucket"]
    for said_by_s3, region in ((None, "us-east-1"), ("EU", "eu-west-1"), ("ap-south-1", "ap-south-1")):
        answers = {**table, "s3:GetBucketLocation": {"LocationConstraint": said_by_s3}}
        (step,) = planned("s3.restrict-bucket", target, answers, params).steps
        assert step.call
        assert step.call.at.region == region


def test_a_plan_says_whom_it_touches_beside_the_bucket() -> None:
    _, target, table, params = _cases(None)["s3.restrict-bucket"]
    rule = {"Status": "Enabled", "Destination": {"Bucket": "arn:aws:s3:::copy"}}
    answers = {
        **table,
        "s3:GetBucketWebsite": {"IndexDocument": {"Suffix": "index.html"}},
        "s3:GetBucketReplication": {"ReplicationConfiguration": {"Rules": [rule]}},
    }
    made = context("s3.restrict-bucket", target, answers, params)

    found = [one.what for one in action_type("s3.restrict-bucket")().affects(made)]

    assert found == [
        "everyone who uses bucket manifests",
        "the website in bucket manifests",
        "replication to arn:aws:s3:::copy",
    ]
