"""Asking beforehand covers the calls that are sent only when nothing is left of a document."""

from __future__ import annotations

import json
from typing import Any

import pytest

from containment import preflight
from containment.types import Call, Check, Duty, Edit, Kind, Place, Plan, Read, Step
from simulator.enforcing import ACCOUNT
from tests.containment.enforcing_world import REGION, Blocked, blocked, document, enforcing

__all__ = ["blocked", "enforcing"]

AT = Place(account="1" * 12, region="eu-west-1", duty=Duty.CONTAIN)
READ = Read(at=AT, service="s3", operation="GetBucketPolicy")


def call(operation: str) -> Call:
    return Call(at=AT, service="s3", operation=operation, params={"Bucket": "b"})


def plan_of(*, undo: Call | None = None, empty: Call | None = None, **members: Any) -> Plan:
    edit = Edit(read=READ, at="Policy.Statement", into="Policy", id="Sid", text=True, empty=empty, **members)
    step = Step(
        name="one",
        kind=Kind.EDIT,
        changes="x",
        call=call("PutBucketPolicy"),
        edit=edit,
        undo=undo,
        seen=Check(read=READ, select="x", equals=1),
    )
    return Plan(steps=(step,))


PUT, DELETE = "s3:PutBucketPolicy", "s3:DeleteBucketPolicy"
OURS = ({"Sid": "Quell"},)


@pytest.mark.fast
@pytest.mark.parametrize(
    ("plan", "asked"),
    [
        # What we add may be all there is when it is taken out again.
        (
            plan_of(add=OURS, empty=call("DeleteBucketPolicy")),
            [("call", PUT), ("undo", PUT), ("undo", DELETE)],
        ),
        # What we take out may be all there is now; putting it back leaves something.
        (
            plan_of(remove=OURS, empty=call("DeleteBucketPolicy")),
            [("call", PUT), ("call", DELETE), ("undo", PUT)],
        ),
        # What is replaced is never nothing.
        (
            plan_of(add=OURS, remove=({"Sid": "old"},), empty=call("DeleteBucketPolicy")),
            [("call", PUT), ("undo", PUT)],
        ),
        (plan_of(add=OURS), [("call", PUT), ("undo", PUT)]),
        # The same operation with an empty document is asked about once.
        (plan_of(add=OURS, empty=call("PutBucketPolicy")), [("call", PUT), ("undo", PUT)]),
        (plan_of(add=OURS, undo=call("DeleteBucketPolicy")), [("call", PUT), ("undo", DELETE)]),
    ],
)
def test_every_call_that_an_edit_may_end_in_is_asked_about(plan: Plan, asked: list[tuple[str, str]]) -> None:
    assert [(part, one.name) for _, part, one in preflight.calls_of(plan)] == asked


@pytest.fixture
def bucket(blocked: Blocked) -> str:
    blocked.admin("s3").create_bucket(Bucket="invoices")
    return "invoices"


@pytest.mark.slow
def test_the_answers_name_what_undoing_would_end_in(blocked: Blocked, bucket: str) -> None:
    action = blocked.apply("s3.restrict-bucket", {"type": "bucket", "id": bucket})

    found = {(one["part"], one["call"]): one["answer"] for one in action.preflight}
    assert found == {
        ("call", PUT): preflight.PERMITTED,
        ("undo", PUT): preflight.PERMITTED,
        ("undo", DELETE): preflight.PERMITTED,
    }


@pytest.mark.slow
def test_a_role_that_could_not_take_the_last_statement_out_again_begins_nothing(
    blocked: Blocked, bucket: str
) -> None:
    """Undoing the only statement deletes the whole policy, which this role may not."""
    denied = document(
        {"Effect": "Allow", "Action": "*", "Resource": "*"},
        {"Effect": "Deny", "Action": "s3:DeleteBucketPolicy", "Resource": "*"},
    )
    blocked.admin("iam").put_role_policy(RoleName="quell-contain", PolicyName="own", PolicyDocument=denied)
    target = {"type": "bucket", "account": ACCOUNT, "region": REGION, "id": bucket}
    blocked._to_real_time()

    action = blocked.world.apply("s3.restrict-bucket", target)

    assert action.status == "failed"
    assert action.note == f"not permitted: {DELETE}: the role does not allow {DELETE}"
    with pytest.raises(blocked.admin("s3").exceptions.ClientError):
        json.loads(blocked.admin("s3").get_bucket_policy(Bucket=bucket)["Policy"])
