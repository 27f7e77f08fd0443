"""Where IAM is enforced for real, containment blocks the attacker and nobody else."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lib import clock
from simulator.enforcing import ACCOUNT, ROOT_KEY, EnforcingSimulator, NotInstalledError
from tests.simulator.conftest import client, code, session_key

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def enforcing() -> Iterator[EnforcingSimulator]:
    try:
        simulator = EnforcingSimulator().start()
    except NotInstalledError as error:
        pytest.skip(f"the enforcing simulator is not installed: {error}")
    yield simulator
    simulator.stop()


@pytest.fixture
def iam(enforcing: EnforcingSimulator) -> Any:
    enforcing.reset()
    return client(enforcing.url, "iam", ROOT_KEY, "us-east-1")


def allow_all() -> str:
    return json.dumps(
        {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    )


def user_key(iam: Any, name: str) -> dict[str, str]:
    """A user who may do everything, and the key."""
    iam.create_user(UserName=name)
    iam.put_user_policy(UserName=name, PolicyName="all", PolicyDocument=allow_all())
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return {"access_key_id": key["AccessKeyId"], "secret_access_key": key["SecretAccessKey"]}


def refused(call: Any, **arguments: Any) -> str:
    with pytest.raises(ClientError) as error:
        call(**arguments)
    return code(error)


def test_the_attackers_key_works_before_and_is_refused_after(enforcing: EnforcingSimulator, iam: Any) -> None:
    key = user_key(iam, "ci-deploy")
    attacker = client(enforcing.url, "s3", key, "us-east-1")
    identity = client(enforcing.url, "sts", key, "us-east-1")
    attacker.list_buckets()
    assert identity.get_caller_identity()["Arn"].endswith(":user/ci-deploy")

    iam.update_access_key(UserName="ci-deploy", AccessKeyId=key["access_key_id"], Status="Inactive")
    assert refused(attacker.list_buckets) == "InvalidAccessKeyId"
    assert refused(identity.get_caller_identity) == "InvalidClientTokenId"

    iam.update_access_key(UserName="ci-deploy", AccessKeyId=key["access_key_id"], Status="Active")
    attacker.list_buckets()


def test_an_old_role_session_is_refused_and_a_new_one_allowed(
    enforcing: EnforcingSimulator, iam: Any
) -> None:
    hub = client(enforcing.url, "sts", user_key(iam, "hub"), "us-east-1")
    trust = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:user/hub"},
                "Action": "sts:AssumeRole",
                "Condition": {"StringEquals": {"sts:ExternalId": "right"}},
            }
        ],
    }
    role = iam.create_role(RoleName="data-export", AssumeRolePolicyDocument=json.dumps(trust))["Role"]
    iam.put_role_policy(RoleName="data-export", PolicyName="all", PolicyDocument=allow_all())
    asked = {"RoleArn": role["Arn"], "RoleSessionName": "attacker"}
    assert refused(hub.assume_role, **asked) == "AccessDenied"
    assert refused(hub.assume_role, **asked, ExternalId="wrong") == "AccessDenied"

    old = client(enforcing.url, "s3", session_key(hub.assume_role(**asked, ExternalId="right")), "us-east-1")
    old.list_buckets()
    time.sleep(1.1)  # TokenIssueTime has whole seconds
    cutoff = clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")
    deny = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Deny",
                "Action": ["*"],
                "Resource": ["*"],
                "Condition": {"DateLessThan": {"aws:TokenIssueTime": cutoff}},
            }
        ],
    }
    iam.put_role_policy(
        RoleName="data-export", PolicyName="AWSRevokeOlderSessions", PolicyDocument=json.dumps(deny)
    )
    assert refused(old.list_buckets) == "AccessDenied"
    time.sleep(1.1)
    new = client(enforcing.url, "s3", session_key(hub.assume_role(**asked, ExternalId="right")), "us-east-1")
    new.list_buckets()
    iam.delete_role_policy(RoleName="data-export", PolicyName="AWSRevokeOlderSessions")
    old.list_buckets()
