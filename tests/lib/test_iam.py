"""Session policies: short, and allowing what their statements allow, no more and no less."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib import iam
from simulator import policy

pytestmark = pytest.mark.fast

ACTIONS = ["iam:GetUser", "iam:ListAccessKeys", "s3:GetBucketPolicy", "ec2:StopInstances"]
RESOURCES = [
    "*",
    "arn:aws:iam::444455556666:user/ada",
    "arn:aws:iam::444455556666:user/bob",
    "arn:aws:s3:::b",
]
REGIONS = ["", "eu-west-1", "us-east-1"]
WHERE = {"partition": "aws", "account": "444455556666", "region": "eu-west-1"}


def _statement(actions: list[str], resources: list[str], region: str) -> dict[str, Any]:
    made: dict[str, Any] = {"Effect": "Allow", "Action": sorted(actions), "Resource": sorted(resources)}
    if region:
        made["Condition"] = {"StringEquals": {"aws:RequestedRegion": region}}
    return made


some = st.builds(
    _statement,
    st.lists(st.sampled_from(ACTIONS), min_size=1, unique=True),
    st.lists(st.sampled_from(RESOURCES), min_size=1, unique=True),
    st.sampled_from(REGIONS),
)


def allowed(document: Any) -> set[tuple[str, str, str]]:
    """Everything that a document allows, of these actions on these resources in these regions."""
    return {
        (action, resource, region)
        for action in ACTIONS
        for resource in [*RESOURCES[1:], "arn:aws:iam::444455556666:user/eve"]
        for region in REGIONS[1:]
        if policy.decide(document, action=action, resource=resource, context={"aws:RequestedRegion": region})
        == "Allow"
    }


@given(st.lists(some, min_size=1, max_size=5))
def test_putting_statements_together_allows_neither_more_nor_less(found: list[dict[str, Any]]) -> None:
    assert allowed(json.loads(iam.document(found))) == allowed({"Statement": found})


@given(st.lists(some, min_size=1, max_size=5), st.randoms())
def test_the_order_makes_no_other_policy(found: list[dict[str, Any]], chance: Any) -> None:
    other = list(found)
    chance.shuffle(other)

    assert allowed(json.loads(iam.document(other))) == allowed(json.loads(iam.document(found)))


@given(st.lists(some, min_size=1, max_size=4), st.lists(some, min_size=1, max_size=2))
def test_what_is_said_to_be_allowed_is(given_: list[dict[str, Any]], wanted: list[dict[str, Any]]) -> None:
    if iam.allow(given_, wanted):
        assert allowed({"Statement": wanted}) <= allowed({"Statement": given_})


def test_what_is_allowed_already_is_seen() -> None:
    wide = _statement(["iam:GetUser", "iam:ListAccessKeys"], ["*"], "")
    narrow = _statement(["iam:GetUser"], RESOURCES[1:2], "")
    regional = _statement(["iam:GetUser"], ["*"], "eu-west-1")

    assert iam.allow([wide], [narrow])
    assert not iam.allow([narrow], [wide])
    assert not iam.allow([wide], [regional]), "another condition is compared with nothing"


def test_calls_on_several_things_share_a_statement() -> None:
    calls = [
        ("iam:UpdateAccessKey", {"UserName": name, "AccessKeyId": "AKIA", "Status": "Inactive"})
        for name in ("ada", "bob")
    ]

    (statement,) = json.loads(iam.session_policy(calls, **WHERE))["Statement"]

    assert statement["Action"] == ["iam:UpdateAccessKey"]
    assert {one.rsplit("/")[-1] for one in statement["Resource"]} == {"ada", "bob"}


def test_what_a_call_is_about_has_a_star_for_what_is_not_known() -> None:
    known = {"UserName": "ada"}

    assert iam.about("iam:GetUser", known, **WHERE) == "arn:aws:iam::444455556666:user/ada"
    assert (
        iam.about("iam:GetUser", {"UserName": {"$ref": "x"}}, **WHERE) == "arn:aws:iam::444455556666:user/*"
    )
    assert iam.about("iam:ListPolicies", {}, **WHERE) == "*"


def test_a_policy_that_sts_would_not_take_is_refused() -> None:
    calls = [("iam:GetUser", {"UserName": "x" * 60 + str(number)}) for number in range(20)]

    with pytest.raises(ValueError, match="STS accepts 2048"):
        iam.session_policy(calls, **WHERE)
