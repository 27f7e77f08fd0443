"""Faults arrive in each protocol's shape, and do to the state what they say."""

import time
import urllib.error
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError

from tests.simulator.conftest import Stage, code, get, post

SHAPES: dict[str, tuple[str, dict[str, Any]]] = {
    "sts": ("get_caller_identity", {}),
    "iam": ("list_users", {}),
    "ec2": ("describe_instances", {}),
    "s3": ("list_buckets", {}),
    "kms": ("list_keys", {}),
    "lambda": ("list_functions", {}),
    "sqs": ("list_queues", {}),
    "cloudwatch": ("describe_alarms", {}),
    "route53": ("list_hosted_zones", {}),
}


def status_of(aws: Stage, key_id: str) -> str:
    keys = aws.root("iam").list_access_keys(UserName="ci-deploy")["AccessKeyMetadata"]
    return str(next(key["Status"] for key in keys if key["AccessKeyId"] == key_id))


def switch_off(aws: Stage) -> tuple[Any, dict[str, str]]:
    key_id = aws.user("ci-deploy")["access_keys"][0]["access_key_id"]
    return aws.root("iam").update_access_key, {
        "UserName": "ci-deploy",
        "AccessKeyId": key_id,
        "Status": "Inactive",
    }


@pytest.mark.fast
@pytest.mark.parametrize("service", SHAPES)
def test_a_fault_reads_as_that_error_in_every_protocol(aws: Stage, service: str) -> None:
    method, arguments = SHAPES[service]
    call = getattr(aws.root(service), method)
    call(**arguments)
    post(
        f"{aws.url}/_sim/faults", [{"match": "*", "times": 1, "status": 503, "code": "ServiceUnavailable<&>"}]
    )
    with pytest.raises(ClientError) as error:
        call(**arguments)
    assert code(error) == "ServiceUnavailable<&>"
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503
    call(**arguments)


@pytest.mark.fast
def test_a_rule_fires_so_often_and_shows_what_is_left(aws: Stage) -> None:
    post(
        f"{aws.url}/_sim/faults",
        [{"match": "iam:List*", "times": 2}, {"match": "ec2:StopInstances", "times": 5}],
    )
    iam = aws.root("iam")
    for _ in range(2):
        with pytest.raises(ClientError) as error:
            iam.list_users()
        assert code(error) == "Throttling"
    iam.list_users()
    left = get(f"{aws.url}/_sim/faults")
    assert [(rule["match"], rule["times"]) for rule in left] == [("ec2:StopInstances", 5)]
    assert post(f"{aws.url}/_sim/faults", []) == []


@pytest.mark.fast
@pytest.mark.parametrize(
    "rule",
    [
        {"times": 1},
        {"match": "*", "unknown": 1},
        {"match": "*", "when": "never"},
        {"match": "*", "status": 200},
    ],
)
def test_a_rule_that_cannot_be_read_is_refused(aws: Stage, rule: dict[str, Any]) -> None:
    with pytest.raises(urllib.error.HTTPError) as error:
        post(f"{aws.url}/_sim/faults", [rule])
    assert error.value.code == 400
    error.value.close()


@pytest.mark.fast
@pytest.mark.parametrize(("when", "expected"), [("before", "Active"), ("after", "Inactive")])
def test_an_error_before_or_after_the_change(aws: Stage, when: str, expected: str) -> None:
    call, arguments = switch_off(aws)
    aws.simulator.faults(
        [{"match": "iam:UpdateAccessKey", "status": 500, "code": "InternalFailure", "when": when}]
    )
    with pytest.raises(ClientError) as error:
        call(**arguments)
    assert code(error) == "InternalFailure"
    assert status_of(aws, arguments["AccessKeyId"]) == expected
    record = aws.calls("UpdateAccessKey")[0]
    assert record["fault"]["when"] == when
    assert record.get("errorCode") == ("InternalFailure" if when == "before" else None)


@pytest.mark.fast
@pytest.mark.parametrize(("when", "expected"), [("before", "Active"), ("after", "Inactive")])
def test_a_lost_call_has_no_answer(aws: Stage, when: str, expected: str) -> None:
    call, arguments = switch_off(aws)
    aws.simulator.faults([{"match": "iam:UpdateAccessKey", "status": 0, "when": when}])
    with pytest.raises(ConnectionClosedError):
        call(**arguments)
    assert status_of(aws, arguments["AccessKeyId"]) == expected
    assert aws.calls("UpdateAccessKey")[0].get("errorCode") == (
        "SimulatedConnectionLost" if when == "before" else None
    )
    call(**arguments)


def test_a_late_call_is_applied_later(aws: Stage) -> None:
    call, arguments = switch_off(aws)
    aws.simulator.faults([{"match": "iam:UpdateAccessKey", "late": 0.4}])
    with pytest.raises(ConnectionClosedError):
        call(**arguments)
    assert status_of(aws, arguments["AccessKeyId"]) == "Active"
    assert not aws.calls("UpdateAccessKey")
    time.sleep(0.8)
    assert status_of(aws, arguments["AccessKeyId"]) == "Inactive"
    assert aws.calls("UpdateAccessKey")[0]["fault"]["late"] == 0.4


def test_a_reset_forgets_late_calls(aws: Stage) -> None:
    call, arguments = switch_off(aws)
    aws.simulator.faults([{"match": "iam:UpdateAccessKey", "late": 0.3}])
    with pytest.raises(ConnectionClosedError):
        call(**arguments)
    post(f"{aws.url}/_sim/reset", {})
    time.sleep(0.6)
    assert status_of(aws, arguments["AccessKeyId"]) == "Active"


def test_a_delay_holds_the_call_back_and_nobody_else(aws: Stage) -> None:
    aws.simulator.faults([{"match": "sts:GetCallerIdentity", "delay": 0.5, "status": 400}])
    started = time.monotonic()
    with pytest.raises(ClientError):
        aws.root("sts").get_caller_identity()
    assert 0.5 <= time.monotonic() - started < 2


@pytest.mark.fast
def test_a_rule_may_be_for_one_accounts_credentials(aws: Stage) -> None:
    aws.simulator.faults([{"match": "sts:*", "account": "444455556666"}])
    aws.root("sts", "sandbox").get_caller_identity()
    with pytest.raises(ClientError):
        aws.root("sts").get_caller_identity()


@pytest.mark.fast
def test_reset_undoes_everything(aws: Stage) -> None:
    before = aws.estate
    call, arguments = switch_off(aws)
    call(**arguments)
    aws.root("s3").create_bucket(
        Bucket="new-one", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
    )
    aws.simulator.faults([{"match": "*", "times": 9}])
    started = time.monotonic()
    assert post(f"{aws.url}/_sim/reset", {}) == {"reset": True}
    assert time.monotonic() - started < 0.5
    assert get(f"{aws.url}/_sim/faults") == []
    assert aws.estate == before
    assert status_of(aws, arguments["AccessKeyId"]) == "Active"
    aws.root("s3").create_bucket(
        Bucket="new-one", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
    )
