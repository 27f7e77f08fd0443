"""What the types about IAM roles plan, and what they refuse."""

from __future__ import annotations

import json
from typing import Any

import pytest

from containment import editing
from containment.types import Call, Kind, Refused
from lib import clock
from lib.errors import Invalid
from simulator import policy
from simulator.policy import Caller
from tests.containment.actions.iam_answers import ACCOUNT, MARK, SID, TRUST, Iam, affects, planned, text

pytestmark = pytest.mark.fast

WEB = "web"
GOV = "aws-us-gov"


def ours(partition: str = "aws") -> tuple[str, ...]:
    return (f"arn:{partition}:iam::{ACCOUNT}:role/quell-contain",)


# --- any of them -------------------------------------------------------------------------------------

EACH: dict[str, dict[str, Any]] = {
    "iam.deny-role": {},
    "iam.deny-role-session": {"session_name": "attacker"},
    "iam.lock-role-trust": {},
    "iam.revoke-role-sessions": {},
}


@pytest.mark.parametrize("type_id", sorted(EACH))
def test_roles_that_aws_keeps_are_refused(type_id: str) -> None:
    aws = Iam()
    aws.answers["GetRole"] = aws.role(path="/aws-service-role/ec2.amazonaws.com/")
    with pytest.raises(Refused, match="service-linked role"):
        planned(type_id, aws, WEB, exempt=ours(), **EACH[type_id])

    aws.answers["GetRole"] = aws.role(path="/aws-reserved/sso.amazonaws.com/eu-west-1/")
    with pytest.raises(Refused, match="change its permission set instead"):
        planned(type_id, aws, WEB, exempt=ours(), **EACH[type_id])


@pytest.mark.parametrize("type_id", sorted(EACH))
def test_our_own_roles_and_break_glass_are_refused_whatever_the_target_says(type_id: str) -> None:
    with pytest.raises(Refused, match="break-glass"):
        planned(type_id, Iam(), WEB, exempt=(f"arn:aws:iam::{ACCOUNT}:role/web",), **EACH[type_id])
    with pytest.raises(Refused, match="Quell's own"):
        planned(type_id, Iam(), "quell-read", exempt=ours(), **EACH[type_id])


@pytest.mark.parametrize("type_id", sorted(EACH))
def test_nothing_of_another_partition_is_in_the_plan(type_id: str) -> None:
    plan = planned(type_id, Iam(partition=GOV), WEB, exempt=ours(GOV), **EACH[type_id])

    assert "arn:aws:" not in text(plan)
    assert all(step.call and step.call.at.region == "us-gov-west-1" for step in plan.steps)


def test_who_else_uses_the_role_is_told() -> None:
    told = affects("iam.deny-role", Iam(), WEB)

    assert told == [
        "ec2.amazonaws.com, which may assume this role",
        "every instance with the instance profile web",
    ]


# --- deny-role, revoke-role-sessions -----------------------------------------------------------------


def test_denying_a_role_waits_as_long_as_its_sessions_live() -> None:
    (step,) = planned("iam.deny-role", Iam(), WEB).steps

    assert step.call
    assert step.call.params == {"RoleName": WEB, "PolicyArn": "arn:aws:iam::aws:policy/AWSDenyAll"}
    assert step.undo_after == 7200


def test_a_roles_inline_policies_have_10240_characters() -> None:
    answers = {
        "ListRolePolicies": {"PolicyNames": ["big"]},
        "GetRolePolicy:big": {"PolicyDocument": {"Statement": "x" * 10_200}},
    }
    with pytest.raises(Refused, match=r"and IAM takes 10240; attach a managed policy \(iam.deny-role\)"):
        planned("iam.revoke-role-sessions", Iam(answers=answers), WEB)


# --- deny-role-session -------------------------------------------------------------------------------


def test_one_session_is_denied_by_its_principal_id_and_its_source_identity() -> None:
    plan = planned("iam.deny-role-session", Iam(), WEB, session_name="attacker", source_identity="mallory")
    (step,) = plan.steps
    assert step.seen
    document = step.seen.equals

    keys = {"aws:userid": "AROAWEB:attacker"}
    assert policy.decide(document, action="s3:GetObject", context=keys) == "Deny"
    for session in ("AROAWEB:attacker2", "AROAWEB:Attacker", "AROAOTHER:attacker"):
        assert policy.decide(document, action="s3:GetObject", context={"aws:userid": session}) == ""
    by_source = {"aws:userid": "AROAWEB:x", "aws:SourceIdentity": "mallory"}
    assert policy.decide(document, action="s3:GetObject", context=by_source) == "Deny"
    assert plan.facts["principal_id"] == "AROAWEB:attacker"
    assert step.call
    assert step.call.params["PolicyName"] == f"{MARK}-deny-session"
    assert step.undo_after == 7200


def test_a_pattern_is_no_session_name() -> None:
    with pytest.raises(Invalid, match="session_name"):
        planned("iam.deny-role-session", Iam(), WEB, session_name="*")


def test_an_instances_own_session_names_the_instance() -> None:
    told = affects("iam.deny-role-session", Iam(), WEB, session_name="i-0a1b2c3d4e5f60718")

    assert "instance i-0a1b2c3d4e5f60718" in told[1]


# --- lock-role-trust ---------------------------------------------------------------------------------


def locked(aws: Iam) -> dict[str, Any]:
    """The trust policy as it would be stored."""
    plan = planned("iam.lock-role-trust", aws, WEB, exempt=ours(aws.partition))
    (step,) = plan.steps
    assert step.kind is Kind.EDIT
    assert step.edit
    assert step.call
    call: Call = editing.edited(step.edit, step.call, eyes=aws, results={}, at=clock.now())
    document: dict[str, Any] = json.loads(call.params["PolicyDocument"])
    return document


def test_the_lock_is_added_to_what_was_there_and_spares_only_the_exempt() -> None:
    document = locked(Iam())

    assert document["Statement"][:-1] == TRUST["Statement"]
    lock = document["Statement"][-1]
    assert lock["Sid"] == SID
    assert lock["Condition"] == {"ArnNotLike": {"aws:PrincipalArn": list(ours())}}

    def decided(arn: str, action: str) -> str:
        caller = Caller(ACCOUNT, frozenset({arn}))
        return policy.decide(document, action=action, context={"aws:PrincipalArn": arn}, caller=caller)

    assert decided(f"arn:aws:iam::{ACCOUNT}:user/eve", "sts:AssumeRole") == "Deny"
    assert decided(f"arn:aws:iam::{ACCOUNT}:user/eve", "sts:AssumeRoleWithWebIdentity") == "Deny"
    assert decided(ours()[0], "sts:AssumeRole") == ""


def test_the_lock_stands_in_a_policy_whose_one_statement_is_no_list() -> None:
    aws = Iam()
    aws.answers["GetRole"] = aws.role(trust={"Version": "2012-10-17", "Statement": TRUST["Statement"][0]})

    assert [one.get("Sid") for one in locked(aws)["Statement"]] == [None, SID]


def test_a_trust_policy_has_as_many_characters_as_the_account_allows() -> None:
    long = {
        **TRUST,
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"AWS": "arn:aws:iam::1:user/" + "x" * 1900},
                "Action": "sts:AssumeRole",
            }
        ],
    }
    aws = Iam()
    aws.answers["GetRole"] = aws.role(trust=long)
    with pytest.raises(Refused, match="and the account allows 2048"):
        planned("iam.lock-role-trust", aws, WEB, exempt=ours())

    aws.answers["GetAccountSummary"] = {"SummaryMap": {"AssumeRolePolicySizeQuota": 4096}}
    assert planned("iam.lock-role-trust", aws, WEB, exempt=ours()).steps


def test_a_trust_policy_with_a_deleted_principal_cannot_be_stored_again() -> None:
    aws = Iam()
    gone = {"Effect": "Allow", "Principal": {"AWS": "AIDA0123456789ABCDEFG"}, "Action": "sts:AssumeRole"}
    aws.answers["GetRole"] = aws.role(trust={**TRUST, "Statement": [gone]})

    with pytest.raises(Refused, match="names AIDA0123456789ABCDEFG, a principal that was deleted"):
        planned("iam.lock-role-trust", aws, WEB, exempt=ours())


def test_a_lock_that_would_spare_nobody_is_refused() -> None:
    with pytest.raises(Refused, match="no break-glass principal to spare"):
        planned("iam.lock-role-trust", Iam(), WEB)
