"""Which calls of Quell's own roles were Quell's: asked by whoever reads a trail.

A session names its action (`wire.Names`), and the journal has an intent for each call before it is sent. So
a call stands in the journal when the action that its session names sent that operation at that time, or
reads with it: some reads are no reads to a trail.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from cases.models import Action
from cases.sources.types import RoleCall
from containment import keeping_out, preflight, watching
from containment.actions import UnknownType, action_type
from containment.models import Step as Row
from containment.types import Step, plan_of
from containment.wire import Names

CLOCKS = timedelta(seconds=60)
"""How far our clock and AWS's may differ."""

NAMED = re.compile(r".+-(?P<ulid>[0-9A-Z]{26})")
VERSION = re.compile(r"\d{8}(?:v\d+)?\Z")
"""Lambda's trail names the version of the API after the operation: `AddPermission20150331v2`."""

RENAMED: Mapping[str, str] = {
    "DeleteAccountPublicAccessBlock": "DeletePublicAccessBlock",
    "DeleteBucketPublicAccessBlock": "DeletePublicAccessBlock",
    "PutAccountPublicAccessBlock": "PutPublicAccessBlock",
    "PutBucketLifecycle": "PutBucketLifecycleConfiguration",
    "PutBucketObjectLockConfiguration": "PutObjectLockConfiguration",
    "PutBucketPublicAccessBlock": "PutPublicAccessBlock",
}
"""What S3's trail calls otherwise than its API.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/cloudtrail-logging-s3-info.html"""


def is_journalled(call: RoleCall) -> bool:
    """Whether an action of ours made this call."""
    action = _action_of(call)
    if action is None or call.at is None:
        return False
    operation = RENAMED.get(call.operation, VERSION.sub("", call.operation))
    if operation in _reads(action):
        return True
    return any(_is_sent(step, row, operation, call.at) for step, row in _journal(action, call.account))


def _action_of(call: RoleCall) -> Action | None:
    """The action that a session names, at the end of its name and as its source identity.

    The incident in the name is left alone: an action may have been handed over since.
    """
    named = NAMED.fullmatch(call.session)
    if named is None:
        return None
    action = Action.objects.select_related("incident").filter(ulid=named["ulid"]).first()
    if action is None or call.source_identity not in ("", Names.of(action).source_identity):
        return None
    return action


def _reads(action: Action) -> frozenset[str]:
    """The operations that an action's sessions read with, whatever a trail calls them."""
    names = preflight.READS | watching.READS
    try:
        declared = action_type(action.type)
    except UnknownType:
        pass
    else:
        names |= {*declared.reads, *keeping_out.reads_for(declared)}
    return frozenset(name.partition(":")[2] for name in names)


def _journal(action: Action, account: str) -> Iterator[tuple[Step, Row]]:
    """The steps with their journal that send something into an account."""
    if not action.plan:
        return
    rows = {row.name: row for row in Row.objects.filter(action=action)}
    for step in plan_of(action.plan).steps:
        if step.name in rows and step.call and step.call.at.account == account:
            yield step, rows[step.name]


def _is_sent(step: Step, row: Row, operation: str, at: datetime) -> bool:
    """Whether the step sent that operation, not long before that moment."""
    late = timedelta(seconds=step.settle) + CLOCKS
    for attempt in row.attempts:
        since = datetime.fromisoformat(attempt["at"])
        if operation in _operations(step, attempt) and since - CLOCKS <= at <= since + late:
            return True
    return False


def _operations(step: Step, attempt: Mapping[str, Any]) -> set[str]:
    """What an attempt may have sent: the undo where it put back, else the call, or that for nothing left."""
    empty = step.edit.empty if step.edit else None
    sent = (step.undo,) if attempt.get("undo") else (step.call, empty)
    return {call.operation for call in sent if call}
