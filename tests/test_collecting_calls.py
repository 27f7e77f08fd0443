"""What a process may do in AWS under its own name (docs/adr/0015-collecting-calls.md)."""

from __future__ import annotations

import re

import pytest

from launcher import layout
from lib import aws

pytestmark = pytest.mark.fast

CALL = re.compile(r"\baws\.own(?:_object)?\(|from lib\.aws import [^\n]*\bown")


@pytest.mark.parametrize(
    ("service", "operation"),
    [
        ("iam", "UpdateAccessKey"),
        ("ec2", "ModifyInstanceAttribute"),
        ("s3", "GetObject"),  # own_object, which has a limit, is the way
        ("s3", "DeleteObject"),
        ("sqs", "PurgeQueue"),
        ("sqs", "SendMessage"),
        ("sts", "AssumeRole"),
        ("SQS", "ReceiveMessage"),
        ("sqs", "receive_message"),
        ("sqs:ReceiveMessage", ""),
    ],
)
def test_every_other_operation_is_refused_before_anything_is_sent(service: str, operation: str) -> None:
    with pytest.raises(aws.NotOwn):
        aws.own(region="eu-west-1", service=service, operation=operation, params={})


def test_the_list_can_change_no_account() -> None:
    changing = {name for name in aws.OWN if not name.split(":")[1].startswith(("Get", "Receive"))}
    assert {name.split(":")[0] for name in changing} == {"sqs", "sns"}
    assert {name.split(":")[1] for name in changing} == {
        "ChangeMessageVisibility",
        "ChangeMessageVisibilityBatch",
        "ConfirmSubscription",
        "DeleteMessage",
        "DeleteMessageBatch",
    }


def test_only_intake_calls_under_the_own_name() -> None:
    callers = {
        path.relative_to(layout.ROOT).parts[0]
        for package in layout.packages()
        if package not in {"tests", "simulator", "launcher"}
        for path in (layout.ROOT / package).rglob("*.py")
        if CALL.search(path.read_text(encoding="utf-8"))
    }
    assert callers <= {"cases"}
