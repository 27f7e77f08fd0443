"""Looking again at what is in force: the second look after `settle`, and then every few minutes.

The reconciler looks and never fights. The one call it makes re-asserts the journalled value where an
older one of our own, a request that came late, has taken its place (CONTRACT §4).
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import F, Q

from cases.models import Action
from cases.words import ActionStatus
from containment import consequences, journal, planning
from containment.expecting import brief, expected_in_force, in_force_compare, last_of_each_change, results_of
from containment.journal import Story
from containment.looking import Missing, resolved_call, resolved_check, same, select
from containment.models import Step as Row
from containment.models import StepState
from containment.types import CHANGING, Kind, Plan, Step, plan_of
from containment.wire import Eyes, Hand, Names, writes_of
from lib import clock
from lib.aws import AwsError, NoAnswer, WrongAccount
from lib.canonical import JSON

log = logging.getLogger(__name__)

EVERY = timedelta(minutes=5)
IN_FORCE = (ActionStatus.VERIFIED, ActionStatus.PARTIAL, ActionStatus.UNKNOWN)


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What one look at an action in force found."""

    alarms: tuple[str, ...] = ()
    reasserted: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    appeared: tuple[str, ...] = ()


def due() -> list[int]:
    """The actions whose look is due: the confirming one after `settle`, the others every five minutes."""
    now = clock.now()
    confirm = Q(status=ActionStatus.VERIFIED, confirmed_at__isnull=True, looked_at__isnull=True)
    again = Q(looked_at__lt=now - EVERY) | Q(looked_at__isnull=True, updated_at__lt=now - EVERY)
    confirm_again = Q(status=ActionStatus.UNKNOWN, looked_at__isnull=True)
    rows = (
        Action.objects.filter(status__in=IN_FORCE, reverts__isnull=True)
        .filter(confirm | confirm_again | again)
        .filter(Q(lease_until__isnull=True) | Q(lease_until__lt=now))
        .only("pk", "plan", "verified_at", "status", "looked_at", "confirmed_at", "updated_at")
        .order_by(F("looked_at").asc(nulls_first=True), "pk")[:50]
    )
    return [action.pk for action in rows if _is_time(action, now)]


def look_at(pk: int) -> Seen | None:
    """Take the action, look at everything that it holds, and write down what was found."""
    action = _claim(pk)
    if action is None:
        return None
    try:
        plan = plan_of(action.plan or {})
        rows = list(Row.objects.filter(action=action).order_by("seq"))
        seen = _look(action, plan, rows)
        _conclude(action, rows, seen)
    except journal.LostLease:
        return None
    except Exception as failure:  # the boundary of a look: one bad action must not hide the others
        log.exception("action.look-fault", extra={"action": action.ulid})
        journal.release(action, due_at=action.due_at, alarm=journal.fault(failure), looked_at=clock.now())
        return None
    journal.release(action, due_at=action.due_at)
    return seen


def _is_time(action: Action, now: datetime) -> bool:
    if action.confirmed_at or action.status != ActionStatus.VERIFIED or not action.verified_at:
        return True
    if action.looked_at:
        return True
    stored = (action.plan or {}).get("steps", [])
    settle = max([int(step["settle"]) for step in stored if step["kind"] in CHANGING], default=0)
    return now >= action.verified_at + timedelta(seconds=settle)


def _claim(pk: int) -> Action | None:
    now = clock.now()
    rows = (
        Action.objects.filter(pk=pk, status__in=IN_FORCE)
        .filter(Q(lease_until__isnull=True) | Q(lease_until__lt=now))
        .update(owner=journal.me(), lease_until=now + journal.LEASE, fence=F("fence") + 1)
    )
    if rows != 1:
        return None
    return Action.objects.select_related("incident").get(pk=pk)


def _look(action: Action, plan: Plan, rows: list[Row]) -> Seen:
    results = results_of(rows)
    eyes = Eyes.of(plan, names=Names.of(action), results=results)
    seen: dict[str, list[str]] = {"alarms": [], "reasserted": [], "unread": [], "appeared": []}
    for step, row in last_of_each_change(plan, rows):
        if row.state not in (StepState.APPLIED, StepState.ALREADY, StepState.UNKNOWN):
            continue
        assert step.seen
        try:
            check = resolved_check(step.seen, results=results)
            found = select(check.select, eyes.read(check.read))
        except (Missing, NoAnswer, AwsError, WrongAccount) as failure:
            seen["unread"].append(f"{step.changes}: {failure}")
            continue
        _judge(action, plan, step, row, found, results, seen)
    for hold in plan.holds:
        try:
            check = resolved_check(hold, results=results)
            found = select(check.select, eyes.read(check.read))
        except (Missing, NoAnswer, AwsError, WrongAccount) as failure:
            seen["unread"].append(f"{hold.read.name}: {failure}")
            continue
        if not same(found, check.equals, check.compare):
            seen["alarms"].append(f"{check.read.name} no longer shows what must hold: {brief(found)}")
    return Seen(**{name: tuple(found) for name, found in seen.items()})


def _judge(
    action: Action,
    plan: Plan,
    step: Step,
    row: Row,
    found: JSON,
    results: dict[str, JSON],
    seen: dict[str, list[str]],
) -> None:
    if row.state == StepState.UNKNOWN and row.result is None and step.kind is Kind.CREATE:
        if found is not None:
            journal.put(action, row, state=StepState.APPLIED, result={"value": found}, error="")
            seen["appeared"].append(step.changes)
        return
    if same(found, expected_in_force(step, row, results), in_force_compare(step)):
        if row.state == StepState.UNKNOWN:
            journal.put(action, row, state=StepState.APPLIED, result={"value": found}, error="")
            seen["appeared"].append(step.changes)
        return
    if row.state == StepState.UNKNOWN:
        return
    older = step.kind is Kind.SET and _is_older_of_ours(row, found, step)
    if older and _reassert(action, plan, step, row, results):
        seen["reasserted"].append(step.changes)
        return
    if step.kind is Kind.CREATE and isinstance(found, list):
        extra = sorted(set(map(str, found)) - set(map(str, row.result["value"] if row.result else [])))
        if extra:
            seen["alarms"].append(f"made twice: {step.changes} also has {', '.join(extra)}")
            return
    lifted = same(found, step.was, step.seen.compare) if step.seen else False
    what = "was lifted by someone" if lifted else f"was changed by someone to {brief(found)}"
    seen["alarms"].append(f"{step.changes} {what}")


def _is_older_of_ours(row: Row, found: JSON, step: Step) -> bool:
    assert step.seen
    return any(
        same(found, one["equals"], step.seen.compare) for one in row.attempts[:-1] if not one.get("undo")
    )


def _reassert(action: Action, plan: Plan, step: Step, row: Row, results: dict[str, JSON]) -> bool:
    """Send the last journalled call once more; True when AWS took it."""
    assert step.call
    hand = Hand(names=Names.of(action), allowed=writes_of(plan))
    call = replace(
        resolved_call(step.call, results=results, at=clock.now()), params=row.attempts[-1]["params"]
    )
    sent = {**row.attempts[-1], "at": clock.now().isoformat(), "reasserted": True}
    journal.put(action, row, attempts=[*row.attempts, sent])
    try:
        hand.send(call)
    except (NoAnswer, AwsError, WrongAccount) as failure:
        journal.put(action, row, error=f"re-asserting: {failure}"[:500])
        return False
    return True


def _conclude(action: Action, rows: list[Row], seen: Seen) -> None:
    now = clock.now()
    if seen.alarms:
        alarm = "; ".join(seen.alarms)
        if action.status == ActionStatus.VERIFIED:
            if not consequences.withdrawn_from_force(action, alarm=alarm):
                raise journal.LostLease(action.ulid)
        elif action.alarm != alarm[:300]:
            _note(action, alarm=alarm[:300])
        _note(action, looked_at=now)
        return
    if seen.unread:
        # Nothing was seen, so nothing is said; it is looked at again in the next round.
        _note(action, looked_at=now - EVERY + timedelta(seconds=30))
        return
    if action.status == ActionStatus.VERIFIED:
        first = action.confirmed_at is None
        _note(action, looked_at=now, confirmed_at=now, alarm="")
        if first:
            _say_confirmed(action)
        return
    _note(action, looked_at=now)
    if action.status == ActionStatus.UNKNOWN and _is_whole(rows):
        with transaction.atomic():
            title = f"Verified after all, read back: {planning.title_of(action)}"
            journal.move(
                action,
                ActionStatus.VERIFIED,
                story=Story(act="action.verified", title=title),
                verified_at=now,
                confirmed_at=now,
                alarm="",
                note="",
            )
            consequences.contained(action)


def _is_whole(rows: list[Row]) -> bool:
    whole = (StepState.APPLIED, StepState.ALREADY, StepState.DONE, StepState.KEPT)
    return all(row.state in whole for row in rows)


def _say_confirmed(action: Action) -> None:
    with transaction.atomic():
        title = f"Confirmed again: {planning.title_of(action)}"
        journal.tell(action, Story(act="action.confirmed-again", title=title))


def _note(action: Action, **values: Any) -> None:
    held = Action.objects.filter(pk=action.pk, owner=action.owner, fence=action.fence)
    if held.update(**values) != 1:
        raise journal.LostLease(action.ulid)
    for name, value in values.items():
        setattr(action, name, value)
