"""Every write to an action's journal, under its lease and fence.

A worker that lost its lease finds out at its next write: the write changes no row, and `LostLease`
ends its work. Row and story (timeline, audit) are written in one transaction.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Case, DateTimeField, F, Q, Value, When

from audit.record import record
from cases import timeline
from cases.models import Action
from cases.words import ActionStatus
from containment import locks, voiding
from containment.models import Step, StepState
from identity.actors import Actor, system
from lib import clock

LEASE = timedelta(seconds=90)
WORKER = system("worker-containment")

CLAIMABLE = (ActionStatus.PROPOSED, ActionStatus.APPROVED, ActionStatus.APPLYING, ActionStatus.APPLIED)


class LostLease(Exception):
    """Another worker holds the action now; nothing more is written."""


@dataclass(frozen=True, kw_only=True)
class Story:
    """One thing to be told on the timeline and in the audit chain."""

    act: str
    title: str
    detail: str = ""
    by: Actor = WORKER


def me() -> str:
    """This worker's name: process and thread."""
    return f"{os.uname().nodename[:40]}:{os.getpid()}:{threading.get_ident()}"


def claim(pk: int, *, owner: str) -> Action | None:
    """Take an action that is due and that nobody holds; None when there is nothing to take."""
    now = clock.now()
    rows = (
        Action.objects.filter(pk=pk, status__in=CLAIMABLE, due_at__lte=now)
        .filter(Q(lease_until__isnull=True) | Q(lease_until__lt=now))
        .update(owner=owner, lease_until=now + LEASE, fence=F("fence") + 1)
    )
    if rows != 1:
        return None
    return Action.objects.select_related("incident", "reverts__incident").get(pk=pk)


def renew(action: Action) -> None:
    """Make the lease last its full length again; raises `LostLease`."""
    _held(action, lease_until=clock.now() + LEASE)


def release(action: Action, *, due_at: datetime | None, **values: Any) -> None:
    """Let go, and say when the action should be looked at next (None: nothing is left to do).

    Somebody may have approved between our last write and this one: what they made due stays due, or
    nobody would ever come for it.
    """
    as_we_left_it = When(status=action.status, then=Value(due_at, output_field=DateTimeField()))
    Action.objects.filter(pk=action.pk, owner=action.owner, fence=action.fence).update(
        owner="", lease_until=None, due_at=Case(as_we_left_it, default=F("due_at")), **values
    )


def fault(failure: Exception) -> str:
    """What a screen says of a failure of the program itself; the log has the rest."""
    return (
        f"a fault of Quell's own, {type(failure).__name__}; it is tried again, and the worker's log says more"
    )


def put(action: Action, step: Step, **values: Any) -> None:
    """Write a step's row; frees the action's document lock when the step leaves `intent`."""
    state = values.get("state")
    with transaction.atomic():
        _held(action)
        Step.objects.filter(pk=step.pk).update(**values)
        if state is not None and state != StepState.INTENT:
            locks.free_document(action)
    for name, value in values.items():
        setattr(step, name, value)


def move(action: Action, to: ActionStatus, *, story: Story | None, **values: Any) -> None:
    """Change a held action's status and tell of it, in one transaction; raises `LostLease`.

    What goes back to be decided again takes its approvals with it: none of them counts any more.
    """
    with transaction.atomic():
        before = action.status
        if not action.move(to, owner=action.owner, **values):
            raise LostLease(action.ulid)
        if to in (ActionStatus.PLANNED, ActionStatus.DRIFTED):
            voiding.void_all(action, why=str(values.get("note") or "it was planned again"), at=clock.now())
        if story:
            tell(action, story, before=before)


def tell(action: Action, story: Story, *, before: str = "") -> None:
    """Write the timeline entry and the audit event of a change. Inside a transaction."""
    now = clock.now()
    timeline.add(
        incident=action.incident,
        kind=story.act,
        at=now,
        title=story.title[:500],
        by=story.by,
        recorded_at=now,
        detail=story.detail,
        links={"action": action.ulid},
    )
    details: Mapping[str, Any] = {
        "type": action.type,
        "incident": action.incident.ref,
        "from": before,
        "to": action.status,
        "plan_hash": action.plan_hash,
    }
    record(act=story.act, by=story.by, at=now, on=("action", action.ulid), details=dict(details))


def _held(action: Action, **values: Any) -> None:
    """Lock and check the action's row: it must still be ours, under our fence."""
    values = values or {"updated_at": clock.now()}
    held = Action.objects.filter(pk=action.pk, owner=action.owner, fence=action.fence)
    if held.update(**values) != 1:
        raise LostLease(action.ulid)
    for name, value in values.items():
        setattr(action, name, value)
