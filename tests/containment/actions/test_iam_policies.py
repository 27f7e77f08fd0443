"""What the types plan that act on users and roles alike, or on policies, and what they refuse."""

from __future__ import annotations

from typing import Any

import pytest

from containment.actions.techniques import SETS
from containment.types import Plan, Refused
from lib.errors import Invalid
from tests.containment.actions.iam_answers import ACCOUNT, MARK, SID, Iam, affects, planned, text

pytestmark = pytest.mark.fast

GOV = "aws-us-gov"


# --- deny-technique ----------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["user/eve", "role/web"])
def test_a_technique_is_denied_by_an_inline_policy_of_our_name(target: str) -> None:
    plan = planned(
        "iam.deny-technique", Iam(partition=GOV), target, techniques=["org-escape"], actions=["s3:Get*"]
    )
    (step,) = plan.steps
    assert step.call
    assert step.seen
    assert step.call.name == f"iam:Put{target.split('/', maxsplit=1)[0].capitalize()}Policy"
    assert step.call.params["PolicyName"] == f"{MARK}-deny-technique"
    assert step.seen.equals["Statement"] == [
        {
            "Sid": SID,
            "Effect": "Deny",
            "Action": sorted([*SETS["org-escape"], "s3:Get*"]),
            "Resource": "*",
        }
    ]
    assert step.undo_after == 0
    assert "arn:aws:" not in text(plan)


def test_the_order_of_techniques_changes_nothing() -> None:
    def plan(*techniques: str) -> Plan:
        return planned("iam.deny-technique", Iam(), "role/web", techniques=list(techniques))

    assert plan("ransomware", "persistence") == plan("persistence", "ransomware")


@pytest.mark.parametrize("target", ["eve", "group/admins", "role/path/web", "user/", "role/*"])
def test_a_principal_is_named_in_one_form(target: str) -> None:
    with pytest.raises(Refused, match="user/NAME or role/NAME"):
        planned("iam.deny-technique", Iam(), target, techniques=["ransomware"])


@pytest.mark.parametrize(
    "params", [{"techniques": ["mischief"]}, {"actions": ["*"]}, {"actions": ["s3:Get Object"]}]
)
def test_only_known_techniques_and_actions_of_one_service(params: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        planned("iam.deny-technique", Iam(), "role/web", **params)


def test_a_set_too_large_for_a_user_says_what_to_do_instead() -> None:
    everything = sorted(SETS)

    with pytest.raises(Refused, match=r"IAM takes 2048; attach a managed policy \(iam.deny-user\)"):
        planned("iam.deny-technique", Iam(), "user/eve", techniques=everything)
    assert planned("iam.deny-technique", Iam(), "role/web", techniques=everything).steps


# --- set-boundary ------------------------------------------------------------------------------------


def bounded(aws: Iam, arn: str) -> Iam:
    aws.answers["GetUser"]["User"]["PermissionsBoundary"] = {
        "PermissionsBoundaryType": "Policy",
        "PermissionsBoundaryArn": arn,
    }
    return aws


@pytest.mark.parametrize(("target", "seconds"), [("user/eve", 129_600), ("role/web", 7200)])
def test_a_boundary_where_there_was_none_is_deleted_on_undo(target: str, seconds: int) -> None:
    plan = planned("iam.set-boundary", Iam(partition=GOV), target)
    (step,) = plan.steps
    kind = target.split("/", maxsplit=1)[0].capitalize()

    assert step.call
    assert step.undo
    assert step.call.name == f"iam:Put{kind}PermissionsBoundary"
    assert step.call.params["PermissionsBoundary"] == f"arn:{GOV}:iam::aws:policy/AWSDenyAll"
    assert step.undo.name == f"iam:Delete{kind}PermissionsBoundary"
    assert step.undo_after == seconds
    assert "arn:aws:" not in text(plan)


def test_the_boundary_that_was_there_is_put_back_on_undo() -> None:
    was = f"arn:aws:iam::{ACCOUNT}:policy/developers"
    (step,) = planned("iam.set-boundary", bounded(Iam(), was), "user/eve").steps

    assert step.was == was
    assert step.undo
    assert step.undo.params["PermissionsBoundary"] == was


def test_a_boundary_is_not_replaced_by_one_that_could_allow_more() -> None:
    wide = {"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    arn = f"arn:aws:iam::{ACCOUNT}:policy/wide"
    aws = Iam(answers={"GetPolicyVersion": {"PolicyVersion": {"Document": wide}}})

    (step,) = planned("iam.set-boundary", aws, "user/eve", policy_arn=arn).steps
    assert step.undo_after == 0
    with pytest.raises(Refused, match="could allow more"):
        planned(
            "iam.set-boundary",
            bounded(aws, f"arn:aws:iam::{ACCOUNT}:policy/developers"),
            "user/eve",
            policy_arn=arn,
        )


# --- restore-policy-version --------------------------------------------------------------------------


def versioned(aws: Iam, *, default: str, versions: tuple[str, ...]) -> Iam:
    aws.answers["GetPolicy"] = {"Policy": {"DefaultVersionId": default}}
    aws.answers["ListPolicyVersions"] = {"Versions": [{"VersionId": one} for one in versions]}
    return aws


@pytest.mark.parametrize("partition", ["aws", GOV])
def test_an_earlier_version_becomes_the_default_and_undo_puts_back_the_later(partition: str) -> None:
    aws = versioned(Iam(partition=partition), default="v10", versions=("v10", "v9", "v2"))
    arn = f"arn:{partition}:iam::{ACCOUNT}:policy/team/deploy"
    plan = planned("iam.restore-policy-version", aws, arn, version="v9")
    (step,) = plan.steps

    assert step.call
    assert step.undo
    assert step.call.params == {"PolicyArn": arn, "VersionId": "v9"}
    assert step.undo.params == {"PolicyArn": arn, "VersionId": "v10"}
    assert sorted(plan.facts["documents"]) == ["v10", "v9"]
    assert partition == "aws" or "arn:aws:" not in text(plan)


@pytest.mark.parametrize(
    ("target", "version", "reason"),
    [
        ("arn:aws:iam::aws:policy/ReadOnlyAccess", "v1", "keeps itself"),
        ("arn:aws:iam::999900001111:policy/deploy", "v1", "keeps itself"),
        ("deploy", "v1", "keeps itself"),
        (f"arn:aws:iam::{ACCOUNT}:policy/deploy", "v4", "has no version v4; it has v1, v2, v10"),
    ],
)
def test_what_is_no_version_of_ones_own_policy_is_refused(target: str, version: str, reason: str) -> None:
    aws = versioned(Iam(), default="v2", versions=("v10", "v2", "v1"))

    with pytest.raises(Refused, match=reason):
        planned("iam.restore-policy-version", aws, target, version=version)


def test_a_younger_version_may_be_restored_with_a_warning() -> None:
    arn = f"arn:aws:iam::{ACCOUNT}:policy/deploy"
    aws = versioned(Iam(), default="v2", versions=("v10", "v2"))

    plan = planned("iam.restore-policy-version", aws, arn, version="v10")

    assert "v10 is younger than v2" in plan.warnings[0]
    assert planned("iam.restore-policy-version", aws, arn, version="v2").warnings == ()


def test_who_has_the_policy_is_told() -> None:
    entities = {
        "PolicyUsers": [{"UserName": "eve"}, {"UserName": "bob"}],
        "PolicyRoles": [{"RoleName": "web"}],
        "PolicyGroups": [],
    }
    told = affects(
        "iam.restore-policy-version",
        Iam(answers={"ListEntitiesForPolicy": entities}),
        f"arn:aws:iam::{ACCOUNT}:policy/deploy",
        version="v1",
    )

    assert told == ["role web", "user bob", "user eve"]
