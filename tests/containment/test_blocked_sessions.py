"""Where IAM is enforced, a session of Quell's does what it was opened for, and AWS refuses it the rest.

All of it is ministack, which evaluates session policies with their resources. The roles themselves may do
more than any session here, so that what is refused is refused by the session's policy.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cases.models import Action
from containment.actions import action_type
from containment.types import Call, Duty, Place, plan_of
from containment.wire import Eyes, Hand, Names, NotDeclared
from lib import aws
from lib.aws import AwsError
from simulator.enforcing import ACCOUNT
from tests.containment.enforcing_world import REGION, Blocked, blocked, enforcing

pytestmark = pytest.mark.slow

__all__ = ["blocked", "enforcing"]

TYPE = "iam.deactivate-access-key"
NAMES = Names(session="INC-2026-0001-test", source_identity="quell-test")
CONTAIN = Place(account=ACCOUNT, region=REGION, duty=Duty.CONTAIN)


@pytest.fixture
def contained(blocked: Blocked) -> Action:
    """An action in force on one user's key; another user is there as well."""
    blocked.user("etl-runner")
    key = blocked.user("ci-deploy")
    aim = {"type": "access_key", "id": key["access_key_id"]}
    return blocked.apply(TYPE, aim, {"user": "ci-deploy"})


def ask(role: aws.Role, service: str, operation: str, **params: Any) -> Any:
    """A read in a session, past the list of what may be read."""
    return aws.read(role, region=REGION, service=service, operation=operation, params=params)


def refused(role: aws.Role, service: str, operation: str, **params: Any) -> bool:
    """Whether AWS denies a read; any other refusal fails the test."""
    try:
        ask(role, service, operation, **params)
    except AwsError as refusal:
        if not refusal.code.startswith("AccessDenied"):
            raise
        return True
    return False


def the_session(eyes: Eyes) -> tuple[aws.Role, aws.Role]:
    """The one session that was opened to read, and the role behind it without a policy."""
    (shared,) = eyes.sessions.opened
    return replace(shared.base, policy=shared.policy), shared.base


def test_while_planning_aws_refuses_a_read_that_the_type_does_not_declare(
    blocked: Blocked, contained: Action
) -> None:
    eyes = Eyes(names=NAMES, allowed=frozenset(action_type(TYPE).reads))
    seen = plan_of(contained.plan or {}).steps[0].seen
    assert seen
    eyes.read(seen.read)
    session, role = the_session(eyes)

    assert not refused(session, "iam", "ListAccessKeys", UserName="etl-runner")
    assert refused(session, "iam", "ListUsers")
    assert refused(session, "s3", "ListBuckets")
    assert not refused(role, "iam", "ListUsers")
    assert not refused(role, "s3", "ListBuckets")
    with pytest.raises(NotDeclared):
        eyes.read(replace(seen.read, operation="ListUsers", params={}))


def test_while_carrying_out_aws_refuses_a_read_about_anything_else(
    blocked: Blocked, contained: Action
) -> None:
    plan = plan_of(contained.plan or {})
    eyes = Eyes.of(plan, names=NAMES, results={})
    seen = plan.steps[0].seen
    assert seen
    eyes.read(seen.read)
    session, role = the_session(eyes)

    assert not refused(session, "iam", "ListAccessKeys", UserName="ci-deploy")
    assert refused(session, "iam", "ListAccessKeys", UserName="etl-runner")
    assert not refused(role, "iam", "ListAccessKeys", UserName="etl-runner")


def test_a_run_of_calls_shares_a_session_that_does_these_and_no_others(blocked: Blocked) -> None:
    names = ("ci-deploy", "etl-runner", "reporting")
    keys = {name: blocked.user(name)["access_key_id"] for name in names}
    calls = [
        Call(
            at=CONTAIN,
            service="iam",
            operation="UpdateAccessKey",
            params={"UserName": name, "AccessKeyId": keys[name], "Status": "Inactive"},
        )
        for name in names
    ]
    hand = Hand(names=NAMES, allowed=frozenset({"iam:UpdateAccessKey"}))
    hand.ready(calls[0], calls[1:2])
    (shared,) = hand.sessions.opened
    session = replace(shared.base, policy=shared.policy)

    def send(call: Call) -> None:
        aws.send(session, region=REGION, service="iam", operation=call.operation, params=call.params)

    send(calls[0])
    send(calls[1])
    with pytest.raises(AwsError, match="AccessDenied"):
        send(calls[2])
    hand.send(calls[2])
    assert len(hand.sessions.opened) == 2
    assert {_status(blocked, name) for name in names} == {"Inactive"}


def _status(blocked: Blocked, name: str) -> str:
    (key,) = blocked.admin("iam").list_access_keys(UserName=name)["AccessKeyMetadata"]
    return str(key["Status"])
