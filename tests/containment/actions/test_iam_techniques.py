"""The named sets of denied actions."""

from __future__ import annotations

import json
from fnmatch import fnmatchcase

import boto3
import pytest

from containment.actions.techniques import SETS, TECHNIQUES, actions_of, deny
from containment.types import Refused
from simulator import policy

pytestmark = pytest.mark.fast

NAMED_OTHERWISE = frozenset(
    {
        # S3's permissions are not called as its operations are.
        # https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html
        "s3:PutEncryptionConfiguration",
        "s3:PutLifecycleConfiguration",
        "s3:PutBucketPublicAccessBlock",
        "s3:PutReplicationConfiguration",
        "s3:PutAccessPointPolicy",
        "bedrock:InvokeModel*",
        "servicequotas:RequestServiceQuotaIncrease",
        "account:StartPrimaryEmailUpdate",
        "account:PutContactInformation",
    }
)
CLIENTS = {"servicequotas": "service-quotas", "bedrock": "bedrock-runtime"}


@pytest.mark.parametrize("technique", TECHNIQUES)
def test_every_action_of_a_set_is_an_operation_that_aws_has(technique: str) -> None:
    for action in SETS[technique]:
        service, name = action.split(":")
        if action in NAMED_OTHERWISE and service == "s3":
            continue
        model = boto3.client(
            CLIENTS.get(service, service),
            region_name="us-east-1",
            aws_access_key_id="x",
            aws_secret_access_key="x",
        ).meta.service_model
        assert any(fnmatchcase(known, name) for known in model.operation_names), action


@pytest.mark.parametrize("technique", TECHNIQUES)
def test_a_set_is_sorted_and_fits_into_a_users_inline_policies(technique: str) -> None:
    assert list(SETS[technique]) == sorted(set(SETS[technique]))
    document = {"Version": "2012-10-17", "Statement": [deny("Quell" + "0" * 26, SETS[technique])]}
    assert len(json.dumps(document, separators=(",", ":"))) <= 1024


def test_a_wider_pattern_takes_the_place_of_what_it_covers() -> None:
    assert actions_of(("ransomware",), ("s3:*", "S3:deleteobject*", "ec2:RunInstances"))[-1] == "s3:*"
    assert "ec2:RunInstances" in actions_of((), ("ec2:RunInstances", "s3:*"))
    assert actions_of(("exfil-sharing", "ransomware")) == actions_of(("ransomware", "exfil-sharing"))


def test_nothing_to_deny_is_refused() -> None:
    with pytest.raises(Refused, match="name a technique"):
        actions_of(())


def test_the_exempted_are_spared_and_nobody_else() -> None:
    ours = "arn:aws-us-gov:iam::444455556666:role/quell/Contain"
    document = {
        "Version": "2012-10-17",
        "Statement": [deny("S", SETS["org-escape"], exempt=(ours, "arn:aws:iam::1:user/z"))],
    }

    def decided(principal: str, action: str) -> str | None:
        context = {"aws:PrincipalArn": principal}
        return policy.decide(document, action=action, context=context)

    assert decided(ours, "organizations:LeaveOrganization") != "Deny"
    assert decided("arn:aws:iam::1:user/a", "organizations:LeaveOrganization") == "Deny"
    assert decided("arn:aws:iam::1:user/a", "s3:GetObject") != "Deny"
