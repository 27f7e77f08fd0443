"""The executor: takes an approved action as far as it goes, from the stored plan and its journal alone.

It never plans again once anything was sent, never calls before it has looked, commits its intent
before each call, and sends each request once (CONTRACT §4–§7). A death at any point is made good by
whoever claims the action next.

    starting    is it the approved plan, is AWS as it was, are we alone      approved → applying
    changing    one step: look, save, intent, call, record
    stopping    leave nothing open, say what is in force                     → partial, failed, unknown
    here        the order of steps, waits, and the looks that say verified   → applied → verified
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction

from cases.models import Action
from cases.words import ActionStatus
from containment import (
    changing,
    collecting,
    consequences,
    failpoints,
    journal,
    planning,
    starting,
    stopping,
    watching,
)
from containment.expecting import brief, expected_in_force, in_force_compare, last_of_each_change
from containment.journal import Story
from containment.looking import UNRESOLVED, Missing, resolved_check, resolved_or_not, same
from containment.models import StepState
from containment.turn import FINISHED, LOST, SHORT, Later, Outcome, Turn
from containment.types import CHANGING, Kind
from lib import clock
from lib.aws import AwsError, NoAnswer


def advance(action: Action) -> datetime | None:
    """Take a claimed action as far as it goes; the moment it wants to be looked at next, if any.

    Raises `journal.LostLease` when another worker has taken over.
    """
    turn = Turn(action)
    if action.status == ActionStatus.APPROVED:
        due = starting.start(turn)
        if action.status != ActionStatus.APPLYING:
            return due
    return _carry_out(turn)


def _carry_out(turn: Turn) -> datetime | None:
    """Go through the steps, then verify."""
    for seq, (step, row) in enumerate(turn.pairs()):
        if row.state in FINISHED or (step.lane and step.lane in turn.stopped_lanes()):
            continue
        if row.state in LOST:
            break
        if turn.action.status == ActionStatus.APPLYING and _only_waits_from(turn, seq):
            _applied(turn)
        outcome = _stay_with(turn, seq)
        if isinstance(outcome, Later):
            return clock.now() + timedelta(seconds=outcome.seconds)
        if outcome and not _goes_on_after_loss(turn, seq):
            break
    if any(row.state in LOST for row in turn.rows):
        stopping.stop(turn, _carry)
        return None
    if turn.action.status == ActionStatus.APPLYING:
        _applied(turn)
    return _verify(turn)


def _stay_with(turn: Turn, seq: int) -> Outcome:
    """One step until it is finished, lost, or would take too long to wait for here."""
    while True:
        outcome = _carry(turn, seq)
        if not isinstance(outcome, Later) or outcome.release or not turn.may_wait(outcome.seconds):
            return outcome
        turn.wait(outcome.seconds)


def _carry(turn: Turn, seq: int) -> Outcome:
    if turn.rows[seq].state in FINISHED:
        return None
    kind = turn.plan.steps[seq].kind
    if kind is Kind.PAUSE:
        return _pause(turn, seq)
    if kind is Kind.WAIT:
        return _wait(turn, seq)
    if kind is Kind.COLLECT:
        return collecting.collect(turn, seq)
    return changing.change(turn, seq)


def _goes_on_after_loss(turn: Turn, seq: int) -> bool:
    """A failure in a lane stops that lane; one outside, and any in an undo, stops everything after it."""
    return turn.plan.steps[seq].lane is not None and not turn.is_undo


def _only_waits_from(turn: Turn, seq: int) -> bool:
    rest = turn.plan.steps[seq:]
    return all(step.kind is Kind.WAIT for step in rest) and not any(row.state in LOST for row in turn.rows)


def _pause(turn: Turn, seq: int) -> Outcome:
    """Let traffic pass. While something stands open until the next step, the worker stays with it."""
    step, row = turn.plan.steps[seq], turn.rows[seq]
    if row.until is None:
        turn.put(seq, state=StepState.WAITING, until=clock.now() + timedelta(seconds=step.within))
        failpoints.reach("waited", step.name)
    assert row.until
    turn.let_go_of_sessions()
    while (left := (row.until - clock.now()).total_seconds()) > 0:
        if not turn.open_changes():
            return Later(seconds=left, release=True)
        turn.wait(min(left, SHORT))
    turn.put(seq, state=StepState.DONE, finished_at=clock.now())
    return None


def _wait(turn: Turn, seq: int) -> Outcome:
    """Poll once; in between nobody holds the action."""
    step, row, now = turn.plan.steps[seq], turn.rows[seq], clock.now()
    assert step.seen
    if row.until is None:
        until = now + timedelta(seconds=step.within)
        turn.put(seq, state=StepState.WAITING, until=until, intent_at=now)
        failpoints.reach("waited", step.name)
    assert row.until
    found: Any = UNRESOLVED
    try:
        found = turn.look(resolved_check(step.seen, results=turn.results()))
    except (Missing, NoAnswer, AwsError) as failure:
        turn.put(seq, error=str(failure)[:500])
    want = resolved_or_not(step.seen.equals, results=turn.results())
    if same(found, want, step.seen.compare):
        turn.put(seq, state=StepState.DONE, error="", finished_at=clock.now())
        return None
    bad = [value for value in step.fails if value == found or (isinstance(found, list) and value in found)]
    if bad:
        return turn.lose(seq, StepState.FAILED, f"AWS says {bad[0]}")
    if now >= row.until:
        return turn.lose(seq, StepState.UNKNOWN, f"not within {step.within} s")
    turn.put(seq, tries=row.tries + 1)
    turn.let_go_of_sessions()
    return Later(seconds=min(300.0, step.every * 2 ** min(row.tries - 1, 8)), release=True)


def _applied(turn: Turn) -> None:
    """Every step before the trailing waits is done; what was changed can now be verified."""
    settle = max([step.settle for step in turn.plan.steps if step.kind in CHANGING], default=30)
    now = clock.now()
    with transaction.atomic():
        journal.move(
            turn.action,
            ActionStatus.APPLIED,
            story=None,
            applied_at=now,
            verify_by=now + timedelta(seconds=max(60, 2 * settle)),
        )
        consequences.responded(turn.action, turn.rows)
    failpoints.reach("applied")


def _verify(turn: Turn) -> datetime | None:
    """Look at what each change ended in, and at what must hold; only then say verified."""
    action = turn.action
    while True:
        differs = _differences(turn)
        if not differs:
            _verified(turn)
            return None
        if action.verify_by and clock.now() > action.verify_by:
            turn.end(ActionStatus.UNKNOWN, differs[0])
            return None
        if not turn.may_wait(1.0):
            return clock.now() + timedelta(seconds=2)
        turn.wait(1.0)


def _differences(turn: Turn) -> list[str]:
    """What is not as it should be, in sentences; a failed read counts as not seen."""
    differs: list[str] = []
    results = turn.results()
    for step, row in last_of_each_change(turn.plan, turn.rows):
        if row.state not in (StepState.APPLIED, StepState.ALREADY):
            continue
        assert step.seen
        try:
            found = turn.look(resolved_check(step.seen, results=results))
        except (Missing, NoAnswer, AwsError) as failure:
            differs.append(f"{step.name}: {failure}")
            continue
        if not same(found, expected_in_force(step, row, results), in_force_compare(step)):
            differs.append(f"{step.changes} is {brief(found)}")
    for hold in turn.plan.holds:
        try:
            check = resolved_check(hold, results=results)
            found = turn.look(check)
        except (Missing, NoAnswer, AwsError) as failure:
            differs.append(f"{hold.read.name}: {failure}")
            continue
        if not same(found, check.equals, check.compare):
            differs.append(f"{check.read.name} does not show what must hold: {brief(found)}")
    return differs


def _verified(turn: Turn) -> None:
    action, now = turn.action, clock.now()
    changed = any(row.state == StepState.APPLIED for row in turn.rows) or collecting.has_collected(turn)
    unchanged = "" if changed else "nothing changed: it was already so"
    story = Story(
        act="action.verified",
        title=f"Verified, read back: {planning.title_of(action)}",
        detail=unchanged or "; ".join(turn.plan.changes),
    )
    with transaction.atomic():
        journal.move(
            action,
            ActionStatus.VERIFIED,
            story=story,
            verified_at=now,
            review_at=None if turn.is_undo else now + settings.QUELL_REVIEW_AFTER,
            due_at=None,
            note=unchanged,
        )
        if turn.is_undo:
            consequences.reverted(turn.original(), turn.rows, turn.plan)
        else:
            consequences.contained(action)
            watching.verified(action, at=now)
    failpoints.reach("verified")
