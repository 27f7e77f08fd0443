"""What the types about IAM users plan, and what they refuse."""

from __future__ import annotations

from typing import Any

import pytest

from containment.types import Kind, Refused
from tests.containment.actions.iam_answers import MARK, SID, Iam, affects, planned, text

pytestmark = pytest.mark.fast

EVE = "eve"
QUARANTINES = [
    "AWSCompromisedKeyQuarantine",
    "AWSCompromisedKeyQuarantineV9",
    "AWSCompromisedKeyQuarantineV10",
]


def keys(**statuses: str) -> dict[str, Any]:
    return {
        "AccessKeyMetadata": [
            {"AccessKeyId": key, "Status": status, "CreateDate": "2026-01-01"}
            for key, status in statuses.items()
        ]
    }


def aws_policies(aws: Iam, *names: str) -> dict[str, Any]:
    return {"Policies": [{"PolicyName": name, "Arn": aws.arn(f"policy/{name}", "aws")} for name in names]}


def attached(aws: Iam, *names: str) -> dict[str, Any]:
    return {
        "AttachedPolicies": [
            {"PolicyName": name, "PolicyArn": aws.arn(f"policy/{name}", "aws")} for name in names
        ]
    }


# --- deny-user ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("partition", ["aws", "aws-us-gov", "aws-cn"])
def test_deny_user_attaches_the_partitions_own_policy(partition: str) -> None:
    plan = planned("iam.deny-user", Iam(partition=partition), EVE)

    (step,) = plan.steps
    assert step.call
    assert step.undo
    assert step.call.name == "iam:AttachUserPolicy"
    assert step.call.params == {
        "UserName": EVE,
        "PolicyArn": f"arn:{partition}:iam::aws:policy/AWSDenyAll",
    }
    assert step.undo.name == "iam:DetachUserPolicy"
    assert step.undo_after == 36 * 3600
    assert partition == "aws" or "arn:aws:" not in text(plan)


def test_deny_user_takes_a_policy_that_was_rolled_out_before() -> None:
    plan = planned("iam.deny-user", Iam(), EVE, policy_arn="arn:aws:iam::444455556666:policy/soc/DenyAll")

    assert plan.steps[0].call
    assert plan.steps[0].call.params["PolicyArn"].endswith(":policy/soc/DenyAll")


@pytest.mark.parametrize(
    "statement",
    [
        {"Effect": "Allow", "Action": "*", "Resource": "*"},
        {"Effect": "Deny", "Action": "s3:*", "Resource": "*"},
        {"Effect": "Deny", "Action": "*", "Resource": "arn:aws:s3:::one"},
        {"Effect": "Deny", "NotAction": "iam:*", "Resource": "*"},
    ],
)
def test_deny_user_refuses_a_policy_that_does_not_deny_everything(statement: dict[str, str]) -> None:
    document = {"PolicyVersion": {"Document": {"Statement": [statement]}}}

    with pytest.raises(Refused, match="does not deny everything"):
        planned("iam.deny-user", Iam(answers={"GetPolicyVersion": document}), EVE)


@pytest.mark.parametrize(
    "arn",
    [
        "arn:aws:iam::999900001111:policy/DenyAll",
        "arn:aws-cn:iam::444455556666:policy/DenyAll",
        "arn:aws-cn:iam::aws:policy/AWSDenyAll",
    ],
)
def test_deny_user_refuses_a_policy_that_cannot_be_attached_here(arn: str) -> None:
    with pytest.raises(Refused, match="neither account 444455556666's own policy nor AWS's"):
        planned("iam.deny-user", Iam(), EVE, policy_arn=arn)


def test_deny_user_refuses_at_the_accounts_own_quota_but_not_when_it_is_attached_already() -> None:
    aws = Iam()
    full = attached(aws, *(f"Policy{n}" for n in range(10)))
    with pytest.raises(Refused, match=r"has 10 managed policies attached, and the account allows 10"):
        planned("iam.deny-user", Iam(answers={"ListAttachedUserPolicies": full}), EVE)

    full["AttachedPolicies"][3] = attached(aws, "AWSDenyAll")["AttachedPolicies"][0]
    plan = planned("iam.deny-user", Iam(answers={"ListAttachedUserPolicies": full}), EVE)
    assert plan.steps[0].was == "arn:aws:iam::aws:policy/AWSDenyAll"

    more = {"SummaryMap": {"AttachedPoliciesPerUserQuota": 20}}
    full["AttachedPolicies"].pop(3)
    answers = {"ListAttachedUserPolicies": full, "GetAccountSummary": more}
    assert planned("iam.deny-user", Iam(answers=answers), EVE).steps


@pytest.mark.parametrize(
    ("answers", "exempt", "reason"),
    [
        ({"GetUser": None}, (), "there is no user eve"),
        ({}, ("arn:aws:iam::444455556666:user/eve",), "break-glass"),
        ({"GetPolicy": None}, (), "there is no managed policy"),
    ],
)
def test_deny_user_says_why_it_cannot(answers: dict[str, Any], exempt: tuple[str, ...], reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        planned("iam.deny-user", Iam(answers=answers), EVE, exempt=exempt)


def test_deny_user_tells_which_keys_it_stops() -> None:
    aws = Iam(answers={"ListAccessKeys": keys(AKIA2="Active", AKIA1="Inactive")})

    assert affects("iam.deny-user", aws, EVE)[0] == "whatever uses access key AKIA2"


# --- quarantine-user ---------------------------------------------------------------------------------


@pytest.mark.parametrize("partition", ["aws", "aws-us-gov"])
def test_quarantine_takes_the_newest_version_by_number(partition: str) -> None:
    aws = Iam(partition=partition)
    aws.answers["ListPolicies"] = aws_policies(aws, *QUARANTINES, "AWSCompromisedKeyQuarantineV10Other")

    plan = planned("iam.quarantine-user", aws, EVE)

    assert plan.facts == {"newest": f"arn:{partition}:iam::aws:policy/AWSCompromisedKeyQuarantineV10"}
    assert plan.steps[0].was is None


def test_quarantine_leaves_what_aws_attached_and_says_so() -> None:
    aws = Iam()
    aws.answers["ListPolicies"] = aws_policies(aws, *QUARANTINES)
    aws.answers["ListAttachedUserPolicies"] = attached(aws, "AWSCompromisedKeyQuarantineV9")
    plan = planned("iam.quarantine-user", aws, EVE)
    assert plan.warnings == (
        "AWSCompromisedKeyQuarantineV9 is attached already, by AWS or someone else, and stays",
    )
    assert plan.steps[0].undo
    assert plan.steps[0].undo.params["PolicyArn"].endswith("V10")

    aws.answers["ListAttachedUserPolicies"] = attached(aws, "AWSCompromisedKeyQuarantineV10")
    step = planned("iam.quarantine-user", aws, EVE).steps[0]
    assert step.seen
    assert step.was == step.seen.equals  # the executor calls that `already`, and never undoes it


def test_quarantine_is_refused_where_the_partition_has_none() -> None:
    with pytest.raises(Refused, match="no quarantine policy in this partition"):
        planned("iam.quarantine-user", Iam(answers={"ListPolicies": {"Policies": []}}), EVE)


# --- revoke-user-sessions ----------------------------------------------------------------------------


def test_revoking_a_users_sessions_spares_the_key_and_waits_for_the_longest_session() -> None:
    plan = planned("iam.revoke-user-sessions", Iam(), EVE, margin=45)

    (step,) = plan.steps
    assert step.call
    assert step.seen
    assert step.call.params["PolicyName"] == f"{MARK}-revoke"
    assert step.seen.equals["Statement"] == [
        {
            "Sid": SID,
            "Effect": "Deny",
            "Action": "*",
            "Resource": "*",
            "Condition": {"DateLessThan": {"aws:TokenIssueTime": {"$now": 45}}},
        }
    ]
    assert step.undo_after == 129_600


def test_a_users_inline_policies_have_2048_characters_without_white_space() -> None:
    def with_own(characters: int) -> Iam:
        document = {"Statement": "x" * (characters - len('{"Statement":""}'))}
        return Iam(
            answers={
                "ListUserPolicies": {"PolicyNames": ["own"]},
                "GetUserPolicy:own": {"PolicyDocument": document},
            }
        )

    ours = len(
        f'{{"Statement":[{{"Action":"*","Condition":{{"DateLessThan":{{"aws:TokenIssueTime":'
        f'"2026-11-24T02:00:00Z"}}}},"Effect":"Deny","Resource":"*","Sid":"{SID}"}}],"Version":"2012-10-17"}}'
    )
    assert planned("iam.revoke-user-sessions", with_own(2048 - ours), EVE).steps
    with pytest.raises(Refused, match="would have 2049 characters, and IAM takes 2048"):
        planned("iam.revoke-user-sessions", with_own(2049 - ours), EVE)


# --- remove-console-access ---------------------------------------------------------------------------


def test_removing_a_password_has_no_undo_and_keeps_no_secret() -> None:
    aws = Iam(
        answers={
            "GetLoginProfile": {"LoginProfile": {"UserName": EVE, "CreateDate": "2026-01-01"}},
            "ListMFADevices": {"MFADevices": [{"SerialNumber": "b"}, {"SerialNumber": "a"}]},
        }
    )
    plan = planned("iam.remove-console-access", aws, EVE)

    (step,) = plan.steps
    assert step.call
    assert step.call.name == "iam:DeleteLoginProfile"
    assert step.undo is None
    assert step.was == EVE
    assert "cannot be undone" in plan.warnings[0]
    assert plan.notes["mfa_devices"] == ["a", "b"]
    assert "CreateLoginProfile" not in text(plan)


# --- keys and other credentials ----------------------------------------------------------------------


def test_an_active_key_is_not_deleted() -> None:
    aws = Iam(answers={"ListAccessKeys": keys(AKIA1="Active")})

    with pytest.raises(Refused, match="AKIA1 is Active; deactivate it first"):
        planned("iam.delete-access-key", aws, "AKIA1", user=EVE)
    with pytest.raises(Refused, match="has no access key AKIA2"):
        planned("iam.delete-access-key", aws, "AKIA2", user=EVE)


def test_deleting_a_key_has_no_undo_and_keeps_when_it_was_last_used() -> None:
    last = {"AccessKeyLastUsed": {"ServiceName": "s3", "Region": "eu-west-1"}}
    aws = Iam(answers={"ListAccessKeys": keys(AKIA1="Inactive"), "GetAccessKeyLastUsed": last})
    plan = planned("iam.delete-access-key", aws, "AKIA1", user=EVE)

    (step,) = plan.steps
    assert step.call
    assert step.call.params == {"UserName": EVE, "AccessKeyId": "AKIA1"}
    assert step.undo is None
    assert step.was == "Inactive"
    assert plan.notes["last_used"] == last["AccessKeyLastUsed"]


def test_a_key_of_break_glass_is_not_deactivated() -> None:
    aws = Iam(answers={"ListAccessKeys": keys(AKIA1="Active")})

    with pytest.raises(Refused, match="break-glass"):
        planned(
            "iam.deactivate-access-key",
            aws,
            "AKIA1",
            user=EVE,
            exempt=("arn:aws:iam::444455556666:user/eve",),
        )


def test_each_service_credential_is_a_lane_of_its_own_and_an_expired_one_is_left() -> None:
    aws = Iam(
        answers={
            "ListSSHPublicKeys": {"SSHPublicKeys": [{"SSHPublicKeyId": "APKA2", "Status": "Active"}]},
            "ListServiceSpecificCredentials": {
                "ServiceSpecificCredentials": [
                    {
                        "ServiceSpecificCredentialId": "ACCA2",
                        "Status": "Expired",
                        "ServiceName": "bedrock.amazonaws.com",
                    },
                    {
                        "ServiceSpecificCredentialId": "ACCA1",
                        "Status": "Inactive",
                        "ServiceName": "bedrock.amazonaws.com",
                    },
                ]
            },
            "ListSigningCertificates": {"Certificates": [{"CertificateId": "CERT", "Status": "Active"}]},
        }
    )
    plan = planned("iam.deactivate-service-credentials", aws, EVE)

    assert [(step.lane, step.was) for step in plan.steps] == [
        ("APKA2", "Active"),
        ("ACCA1", "Inactive"),
        ("CERT", "Active"),
    ]
    assert all(step.kind is Kind.SET and step.undo for step in plan.steps)
    assert plan.changes[1] == (
        "The service credential ACCA1 for bedrock.amazonaws.com of user eve becomes Inactive"
    )


def test_a_user_without_such_credentials_is_refused() -> None:
    none: dict[str, Any] = {
        "ListSSHPublicKeys": {"SSHPublicKeys": []},
        "ListServiceSpecificCredentials": {"ServiceSpecificCredentials": []},
        "ListSigningCertificates": {"Certificates": []},
    }
    with pytest.raises(Refused, match="has no SSH key, service credential or signing certificate"):
        planned("iam.deactivate-service-credentials", Iam(answers=none), EVE)
