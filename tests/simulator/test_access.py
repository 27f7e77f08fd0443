"""Who is let in: keys, sessions, trust policies, explicit denies."""

import json
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lib import clock
from tests.simulator.conftest import Stage, client, code, session_key

pytestmark = pytest.mark.fast

KEY_REFUSED: dict[str, tuple[str, dict[str, Any], str, int]] = {
    "sts": ("get_caller_identity", {}, "InvalidClientTokenId", 403),
    "iam": ("list_users", {}, "InvalidClientTokenId", 403),
    "ec2": ("describe_instances", {}, "AuthFailure", 401),
    "s3": ("list_buckets", {}, "InvalidAccessKeyId", 403),
    "kms": ("list_keys", {}, "UnrecognizedClientException", 400),
    "lambda": ("list_functions", {}, "UnrecognizedClientException", 403),
}
DENIED: dict[str, tuple[str, dict[str, Any], str]] = {
    "iam": ("list_users", {}, "AccessDenied"),
    "ec2": ("describe_instances", {}, "UnauthorizedOperation"),
    "s3": ("list_buckets", {}, "AccessDenied"),
    "kms": ("list_keys", {}, "AccessDeniedException"),
    "lambda": ("list_functions", {}, "AccessDeniedException"),
}


def refused(call: Any, **arguments: Any) -> str:
    with pytest.raises(ClientError) as error:
        call(**arguments)
    return code(error)


@pytest.mark.parametrize("service", KEY_REFUSED)
def test_an_inactive_key_is_refused_and_works_again(aws: Stage, service: str) -> None:
    method, arguments, expected, status = KEY_REFUSED[service]
    attacker, user = aws.as_user(service, "ci-deploy"), aws.user("ci-deploy")
    getattr(attacker, method)(**arguments)
    iam = aws.root("iam")
    key_id = user["access_keys"][0]["access_key_id"]
    iam.update_access_key(UserName="ci-deploy", AccessKeyId=key_id, Status="Inactive")
    with pytest.raises(ClientError) as error:
        getattr(attacker, method)(**arguments)
    assert (code(error), error.value.response["ResponseMetadata"]["HTTPStatusCode"]) == (expected, status)
    record = aws.simulator.calls()[-1]
    assert record["errorCode"] == expected
    assert record["userIdentity"]["arn"] == user["arn"]
    assert record["decidedBy"] == f"access key {key_id} of {user['arn']} is Inactive"
    iam.update_access_key(UserName="ci-deploy", AccessKeyId=key_id, Status="Active")
    getattr(attacker, method)(**arguments)


def test_an_unknown_key_is_refused(aws: Stage) -> None:
    stranger = {"access_key_id": "AKIAQ3EGXMZJ7WLV5TNA", "secret_access_key": "x"}
    assert refused(client(aws.url, "sts", stranger).get_caller_identity) == "InvalidClientTokenId"


def test_a_session_does_no_more_than_its_policy_says(aws: Stage) -> None:
    statement = {"Effect": "Allow", "Action": ["iam:ListUsers", "s3:GetEncryptionConfiguration"]}
    limited = {"Statement": [{**statement, "Resource": "arn:aws:iam::*:user/none"}]}
    narrow = aws.assume("read", Policy=json.dumps(limited))
    client(aws.url, "iam", narrow).list_users()  # its resources are not evaluated
    client(aws.url, "sts", narrow).get_caller_identity()
    assert refused(client(aws.url, "iam", narrow).list_roles) == "AccessDenied"
    assert aws.simulator.calls()[-1]["decidedBy"].startswith("session policy of arn:aws:sts::")
    with pytest.raises(ClientError) as error:
        client(aws.url, "s3", narrow).get_bucket_encryption(Bucket="nobodys")
    assert code(error) != "AccessDenied", "the operation's action is named otherwise"

    client(aws.url, "iam", aws.assume("read")).list_roles()


def test_a_session_key_needs_its_token(aws: Stage) -> None:
    key = aws.assume("read")
    client(aws.url, "sts", key).get_caller_identity()
    assert (
        refused(client(aws.url, "iam", {**key, "session_token": "other"}).list_users)
        == "InvalidClientTokenId"
    )


def test_the_hub_assumes_a_responder_role_with_the_external_id_only(aws: Stage) -> None:
    identity = client(aws.url, "sts", aws.assume("contain")).get_caller_identity()
    assert identity["Account"] == "444455556666"
    assert identity["Arn"] == "arn:aws:sts::444455556666:assumed-role/quell-contain/test"
    for wrong in (None, "wrong", aws.account("sandbox")["external_id"]):
        with pytest.raises(ClientError) as error:
            aws.assume("contain", ExternalId=wrong)
        assert code(error) == "AccessDenied"
    assert aws.simulator.calls()[-1]["decidedBy"].startswith("trust policy of ")


def test_nobody_else_assumes_a_responder_role(aws: Stage) -> None:
    place = aws.account("prod-shipping")
    asked = {
        "RoleArn": place["roles"]["contain"],
        "RoleSessionName": "other",
        "ExternalId": place["external_id"],
    }
    assert refused(aws.as_user("sts", "ci-deploy").assume_role, **asked) == "AccessDenied"
    assert refused(aws.root("sts").assume_role, **asked) == "AccessDenied"
    asked["RoleArn"] = "arn:aws:iam::444455556666:role/none"
    assert refused(client(aws.url, "sts", aws.estate["hub"]).assume_role, **asked) == "AccessDenied"


def test_a_trust_policy_has_to_name_source_identity_and_the_account(aws: Stage) -> None:
    iam = aws.root("iam")
    trust: dict[str, Any] = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"AWS": "arn:aws:iam::444455556666:root"},
                "Action": "sts:AssumeRole",
            }
        ],
    }
    iam.create_role(RoleName="own", AssumeRolePolicyDocument=json.dumps(trust))
    sts, asked = (
        aws.as_user("sts", "ci-deploy"),
        {"RoleArn": "arn:aws:iam::444455556666:role/own", "RoleSessionName": "other"},
    )
    sts.assume_role(**asked)
    assert refused(sts.assume_role, **asked, SourceIdentity="someone") == "AccessDenied"
    assert refused(aws.as_user("sts", "etl-runner").assume_role, **asked) == "AccessDenied"
    trust["Statement"].append({"Effect": "Deny", "Principal": "*", "Action": "sts:*"})
    iam.update_assume_role_policy(RoleName="own", PolicyDocument=json.dumps(trust))
    assert refused(sts.assume_role, **asked) == "AccessDenied"


def test_session_durations_have_limits(aws: Stage) -> None:
    with pytest.raises(ClientError) as error:
        aws.assume("read", DurationSeconds=7200)
    assert code(error) == "ValidationError"


def deny_older(moment: Any) -> str:
    return json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Deny",
                    "Action": ["*"],
                    "Resource": ["*"],
                    "Condition": {
                        "DateLessThan": {"aws:TokenIssueTime": moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")}
                    },
                }
            ],
        }
    )


@pytest.mark.parametrize("service", DENIED)
def test_a_revoked_session_is_refused_and_a_new_one_is_not(aws: Stage, service: str) -> None:
    method, arguments, expected = DENIED[service]
    old = client(aws.url, service, aws.assume("contain"))
    getattr(old, method)(**arguments)
    aws.root("iam").put_role_policy(
        RoleName="quell-contain", PolicyName="Revoke", PolicyDocument=deny_older(clock.now())
    )
    assert refused(getattr(old, method), **arguments) == expected
    assert (
        aws.simulator.calls()[-1]["decidedBy"]
        == "policy Revoke of arn:aws:iam::444455556666:role/quell-contain"
    )
    getattr(client(aws.url, service, aws.assume("contain")), method)(**arguments)
    aws.root("iam").delete_role_policy(RoleName="quell-contain", PolicyName="Revoke")
    getattr(old, method)(**arguments)


def test_a_revoked_session_cannot_dry_run_but_may_ask_who_it_is(aws: Stage) -> None:
    key, machine = aws.assume("contain"), aws.instance("tracking-api")
    aws.root("iam").put_role_policy(
        RoleName="quell-contain", PolicyName="Revoke", PolicyDocument=deny_older(clock.now())
    )
    ec2 = client(aws.url, "ec2", key)
    assert refused(ec2.stop_instances, InstanceIds=[machine["id"]], DryRun=True) == "UnauthorizedOperation"
    client(aws.url, "sts", key).get_caller_identity()


def test_an_expired_session_is_refused(aws: Stage) -> None:
    key = aws.assume("read", DurationSeconds=900)
    with clock.using(clock.ManualClock(clock.now() + timedelta(seconds=899))):
        client(aws.url, "iam", key).list_users()
    with clock.using(clock.ManualClock(clock.now() + timedelta(seconds=901))):
        assert refused(client(aws.url, "iam", key).list_users) == "ExpiredToken"
        assert refused(client(aws.url, "ec2", key).describe_instances) == "RequestExpired"
        assert refused(client(aws.url, "s3", key).list_buckets) == "ExpiredToken"
        assert refused(client(aws.url, "kms", key).list_keys) == "ExpiredTokenException"


@pytest.mark.parametrize("policy", ["AWSDenyAll", "AWSCompromisedKeyQuarantineV3"])
def test_a_managed_deny_holds_a_user(aws: Stage, policy: str) -> None:
    iam, user = aws.root("iam"), aws.as_user("iam", "ci-deploy")
    user.list_users()
    iam.attach_user_policy(UserName="ci-deploy", PolicyArn=f"arn:aws:iam::aws:policy/{policy}")
    assert refused(user.create_user, UserName="back-door") == "AccessDenied"


def test_made_up_sessions_are_not_handed_out(aws: Stage) -> None:
    assert refused(aws.as_user("sts", "ci-deploy").get_session_token) == "NotImplementedBySimulator"


def test_a_role_session_of_a_role_may_be_chained(aws: Stage) -> None:
    iam = aws.root("iam")
    arn = aws.account("prod-shipping")["roles"]["read"]
    iam.create_role(
        RoleName="next",
        AssumeRolePolicyDocument=json.dumps(
            {
                "Version": "2012-10-17",
                "Statement": [
                    {
                        "Effect": "Allow",
                        "Principal": {"AWS": arn},
                        "Action": ["sts:AssumeRole", "sts:SetSourceIdentity"],
                    }
                ],
            }
        ),
    )
    sts = client(aws.url, "sts", aws.assume("read", SourceIdentity="analyst"))
    given = sts.assume_role(RoleArn="arn:aws:iam::444455556666:role/next", RoleSessionName="second")
    assert client(aws.url, "sts", session_key(given)).get_caller_identity()["Arn"].endswith("/next/second")
