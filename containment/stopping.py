"""When something failed: leave nothing open, then say plainly what is in force (CONTRACT §6).

Containment is not rolled back by itself: half isolated is better than not. But nothing may be left in
a state that is worse than before.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from django.db import transaction

from cases.words import ActionStatus
from containment import collecting
from containment.looking import resolved_call, resolved_check, same
from containment.models import Step as Row
from containment.models import StepState
from containment.turn import IN_EFFECT, LOST, PATIENCE, Later, Outcome, Turn, may_be_in_effect
from containment.types import CHANGING, Check, plain
from lib import clock
from lib.aws import AwsError, NoAnswer

Carry = Callable[[Turn, int], Outcome]
NOT_DONE = (StepState.PENDING, StepState.RETRY, StepState.INTENT)


def stop(turn: Turn, carry: Carry) -> None:
    """End a turn in which a step was lost. `carry` takes one step as far as it goes."""
    left = [changes for changes in turn.open_changes() if not _close(turn, changes, carry)]
    lost = [row for row in turn.rows if row.state in LOST]
    reasons = [f"{row.name}: {row.error}" for row in lost] + [f"LEFT OPEN {changes}" for changes in left]
    note, states = "; ".join(reasons), {row.state for row in turn.rows}
    if turn.is_undo:
        _stop_undo(turn, states, note)
    elif left or StepState.UNKNOWN in states:
        turn.end(ActionStatus.UNKNOWN, note)
    elif StepState.APPLIED in states or collecting.has_collected(turn):
        turn.end(ActionStatus.PARTIAL, note)
    elif all(_found_changed(row) for row in lost):
        turn.end(ActionStatus.DRIFTED, note)
    else:
        turn.end(ActionStatus.FAILED, note)


def _found_changed(row: Row) -> bool:
    """Whether the first look found something else, so that nothing was sent."""
    return row.error.startswith("found ") and not row.attempts


def _stop_undo(turn: Turn, states: set[str], note: str) -> None:
    to = ActionStatus.PARTIAL
    if StepState.CONFLICT in states:
        to = ActionStatus.CONFLICT
    elif StepState.UNKNOWN in states:
        to = ActionStatus.UNKNOWN
    original = turn.original()
    with transaction.atomic():
        turn.end(to, note)
        original.move(to, note=f"undo: {note}")


def _close(turn: Turn, changes: str, carry: Carry) -> bool:
    """Close one open thing: by its next step, else by putting back what was."""
    seqs = [seq for seq, step in enumerate(turn.plan.steps) if step.changes == changes]
    opened = max(seq for seq in seqs if may_be_in_effect(turn.plan.steps[seq], turn.rows[seq]))
    for seq in seqs:
        if seq > opened and turn.rows[seq].state in NOT_DONE and _insist(turn, seq, carry):
            return True
    return _put_back(turn, opened)


def _insist(turn: Turn, seq: int, carry: Carry) -> bool:
    """Take a step to its end, staying with it for a while; whether it is in effect then."""
    until = clock.now() + PATIENCE
    while clock.now() < until:
        outcome = carry(turn, seq)
        if not isinstance(outcome, Later):
            return turn.rows[seq].state in IN_EFFECT
        turn.wait(max(1.0, outcome.seconds))
    return False


def _put_back(turn: Turn, seq: int) -> bool:
    """Restore what was before the first change; journalled with the step that opened it."""
    step, row = turn.plan.steps[seq], turn.rows[seq]
    first = next(s for s in turn.plan.steps if s.changes == step.changes and s.kind in CHANGING)
    if step.undo is None or step.seen is None:
        return False
    results = turn.results()
    call = resolved_call(step.undo, results=results)
    check = replace(resolved_check(step.seen, results=results), equals=first.was)
    for _ in range(3):
        sent = {
            "attempt": 0,
            "at": clock.now().isoformat(),
            "params": plain(call.params),
            "equals": first.was,
            "undo": True,
        }
        turn.put(seq, attempts=[*row.attempts, sent])
        try:
            turn.hand.send(call)
        except (NoAnswer, AwsError) as failure:
            turn.put(seq, error=f"putting back: {failure}"[:500])
        if _is_back(turn, check):
            turn.put(seq, state=StepState.UNDONE, error="put back", finished_at=clock.now())
            return True
        turn.wait(2.0)
    return False


def _is_back(turn: Turn, check: Check) -> bool:
    try:
        return same(turn.look(check), check.equals, check.compare)
    except (NoAnswer, AwsError):
        return False
