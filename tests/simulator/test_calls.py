"""The log of calls reads as CloudTrail would."""

import pytest

from tests.simulator.conftest import Stage, client, get

pytestmark = pytest.mark.fast


def test_a_session_is_followed_from_issue_to_use(aws: Stage) -> None:
    key = aws.assume("contain", RoleSessionName="INC-2026-0001.a1", SourceIdentity="quell-worker")
    issued = aws.calls("AssumeRole")[-1]
    assert issued["userIdentity"]["type"] == "IAMUser"
    assert issued["userIdentity"]["userName"] == "quell-hub"
    assert issued["responseElements"]["credentials"]["accessKeyId"] == key["access_key_id"]
    assert set(issued["responseElements"]["credentials"]) == {"accessKeyId", "expiration"}
    assert issued["requestParameters"]["roleSessionName"] == "INC-2026-0001.a1"
    assert issued["resources"][0]["accountId"] == "444455556666"
    assert issued["readOnly"] is True

    user = aws.user("ci-deploy")
    client(aws.url, "iam", key).update_access_key(
        UserName="ci-deploy", AccessKeyId=user["access_keys"][0]["access_key_id"], Status="Inactive"
    )
    used = aws.calls("UpdateAccessKey")[-1]
    who = used["userIdentity"]
    assert (who["type"], who["accessKeyId"], who["accountId"]) == (
        "AssumedRole",
        key["access_key_id"],
        "444455556666",
    )
    assert who["sessionContext"]["sourceIdentity"] == "quell-worker"
    assert who["sessionContext"]["sessionIssuer"]["userName"] == "quell-contain"
    assert who["principalId"].startswith("AROA")
    assert who["principalId"].endswith(":INC-2026-0001.a1")
    assert used["requestParameters"]["status"] == "Inactive"
    assert used["readOnly"] is False
    assert used["recipientAccountId"] == "444455556666"
    for member in (
        "eventVersion",
        "eventID",
        "eventTime",
        "eventSource",
        "awsRegion",
        "sourceIPAddress",
        "requestID",
    ):
        assert used[member]


def test_rest_calls_carry_their_operations_names(aws: Stage) -> None:
    s3, functions = aws.root("s3"), aws.root("lambda")
    s3.put_object(Bucket="nf-prod-labels", Key="a folder/new.txt", Body=b"secret text")
    s3.get_object(Bucket="nf-prod-labels", Key="a folder/new.txt")
    s3.list_objects_v2(Bucket="nf-prod-labels")
    s3.put_public_access_block(
        Bucket="nf-prod-labels", PublicAccessBlockConfiguration={"BlockPublicAcls": True}
    )
    functions.put_function_concurrency(FunctionName="label-render", ReservedConcurrentExecutions=0)
    functions.list_functions()
    names = [call["eventName"] for call in aws.simulator.calls()]
    assert names == [
        "PutObject",
        "GetObject",
        "ListObjectsV2",
        "PutPublicAccessBlock",
        "PutFunctionConcurrency",
        "ListFunctions",
    ]
    put = aws.calls("PutObject")[0]
    assert put["requestParameters"]["bucketName"] == "nf-prod-labels"
    assert put["requestParameters"]["key"] == "a folder/new.txt"
    assert "secret text" not in str(put)
    assert aws.calls("PutFunctionConcurrency")[0]["requestParameters"]["functionName"] == "label-render"


def test_secrets_never_reach_the_log(aws: Stage) -> None:
    iam = aws.root("iam")
    iam.create_login_profile(UserName="ci-deploy", Password="correct-horse-1A!")
    key = iam.create_access_key(UserName="ci-deploy")["AccessKey"]
    text = str(aws.simulator.calls())
    assert "correct-horse" not in text
    assert key["AccessKeyId"] in text
    assert key["SecretAccessKey"] not in text


def test_since_continues_and_survives_a_reset(aws: Stage) -> None:
    aws.root("sts").get_caller_identity()
    first = get(f"{aws.url}/_sim/calls?since=0")
    assert first["calls"][-1]["seq"] == first["next"]
    aws.root("sts").get_caller_identity()
    assert [call["seq"] for call in get(f"{aws.url}/_sim/calls?since={first['next']}")["calls"]] == [
        first["next"] + 1
    ]
    aws.simulator.reset()
    assert get(f"{aws.url}/_sim/calls?since=0") == {"calls": [], "next": first["next"] + 1}
    aws.root("sts").get_caller_identity()
    assert len(get(f"{aws.url}/_sim/calls?since={first['next'] + 1}")["calls"]) == 1


def test_errors_of_aws_are_logged_with_their_code(aws: Stage) -> None:
    iam = aws.root("iam")
    with pytest.raises(iam.exceptions.NoSuchEntityException):
        iam.get_user(UserName="nobody")
    record = aws.simulator.calls()[-1]
    assert record["errorCode"] == "NoSuchEntity"
    assert record["responseElements"] is None
