"""A step that changes something: look, save, commit the intent, send once, record (CONTRACT §4)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import jmespath

from containment import consequences, editing, failpoints, journal, locks
from containment.deciding import Decision, Look, decide
from containment.expecting import brief, expected, sent
from containment.looking import (
    UNRESOLVED,
    Missing,
    refs,
    resolve,
    resolved_call,
    resolved_check,
    resolved_or_not,
    same,
)
from containment.models import Step as Row
from containment.models import StepState
from containment.refusals import Refusal, classify, told
from containment.turn import Later, Outcome, Turn
from containment.types import CHANGING, Call, Check, Kind, Step, plain
from lib import clock
from lib.aws import AwsError, NoAnswer, WrongAccount
from lib.canonical import JSON

RETRIED = frozenset({Refusal.THROTTLED, Refusal.BUSY, Refusal.STALE})


def change(turn: Turn, seq: int) -> Outcome:
    """Take a changing step as far as one look allows."""
    step, row = turn.plan.steps[seq], turn.rows[seq]
    assert step.seen
    try:
        check = resolved_check(step.seen, results=turn.results())
        found = turn.look(check)
    except Missing as missing:
        return turn.lose(seq, StepState.FAILED, f"it needs {missing.step}, which was not made")
    except NoAnswer as silence:
        return turn.unread(seq, str(silence))
    except AwsError as refusal:
        if _may_be_invisible(turn, seq, refusal) or classify(refusal) is Refusal.THROTTLED:
            return turn.unread(seq, str(refusal))
        state = StepState.UNKNOWN if row.attempt else StepState.FAILED
        return turn.lose(seq, state, f"cannot be read: {told(refusal)}")
    return _act_on(turn, seq, decide(_facts(turn, seq, found)), check, found)


def _act_on(turn: Turn, seq: int, decision: Decision, check: Check, found: JSON) -> Outcome:
    step = turn.plan.steps[seq]
    if decision in (Decision.OURS, Decision.APPLIED) and step.content:
        foreign = _foreign_content(turn, seq, found)
        if foreign:
            return foreign
    if decision is Decision.ALREADY:
        return turn.finish(seq, StepState.ALREADY, found, before={"value": found})
    if decision is Decision.OURS:
        return turn.finish(seq, StepState.APPLIED, found, before={"value": None})
    if decision is Decision.APPLIED:
        return turn.finish(seq, StepState.APPLIED, found)
    if decision is Decision.LOOK_AGAIN:
        return Later(seconds=min(2.0, max(1.0, step.settle / 10)))
    if decision is Decision.SEND:
        return _send(turn, seq, check, found)
    return _give_up(turn, seq, decision, check, found)


def _give_up(turn: Turn, seq: int, decision: Decision, check: Check, found: JSON) -> Outcome:
    step, row = turn.plan.steps[seq], turn.rows[seq]
    foreign = f"found {brief(found)}, neither what it was nor what it becomes"
    if decision is Decision.DRIFTED:
        return turn.lose(seq, StepState.CONFLICT if turn.is_undo else StepState.FAILED, foreign)
    if same(found, step.was, check.compare) or (step.kind is Kind.CREATE and not found):
        return turn.lose(seq, StepState.UNKNOWN, f"sent {row.attempt} times and not seen")
    return turn.lose(seq, StepState.CONFLICT if turn.is_undo else StepState.UNKNOWN, foreign)


def _send(turn: Turn, seq: int, check: Check, found: JSON) -> Outcome:
    step, row = turn.plan.steps[seq], turn.rows[seq]
    if turn.is_undo and step.unless and row.state != StepState.INTENT:
        stays = _stays(turn, seq)
        if stays:
            return stays
    if step.edit and not locks.take_document(turn.action, step.edit):
        return Later(seconds=1.0)
    if row.before is None:
        turn.put(seq, before={"value": found})
    failpoints.reach("saved", step.name)
    now = clock.now()
    try:
        call, equals = _resolved(turn, seq, now)
        turn.hand.ready(call, turn.run_from(seq))
    except Missing as missing:
        return turn.lose(seq, StepState.FAILED, f"it needs {missing.step}, which was not made")
    except NoAnswer as silence:
        return turn.unread(seq, str(silence))
    except AwsError as refusal:
        if classify(refusal) is Refusal.THROTTLED:
            return turn.unread(seq, str(refusal))
        return turn.lose(seq, StepState.FAILED, told(refusal))
    except WrongAccount as wrong:
        return turn.lose(seq, StepState.FAILED, str(wrong))
    # The lease must outlast the call's time-outs, so that nobody else sends while we wait.
    journal.renew(turn.action)
    attempt = {
        "attempt": row.attempt + 1,
        "at": now.isoformat(),
        "params": plain(call.params),
        "equals": equals,
    }
    turn.put(
        seq,
        state=StepState.INTENT,
        attempt=row.attempt + 1,
        intent_at=now,
        attempts=[*row.attempts, attempt],
    )
    failpoints.reach("intent", step.name)
    return _call(turn, seq, call, check, equals)


def _call(turn: Turn, seq: int, call: Call, check: Check, equals: Any) -> Outcome:
    """The one request. Its outcome is recorded, or the step stays `intent` and is looked at."""
    step, row = turn.plan.steps[seq], turn.rows[seq]
    try:
        answer = turn.hand.send(call)
    except NoAnswer as silence:
        turn.put(seq, attempts=_said(row, "no answer"), error=f"no answer: {silence}"[:500])
        return Later(seconds=1.0)
    except AwsError as refusal:
        return _refused(turn, seq, refusal, check, equals)
    failpoints.reach("called", step.name)
    value = jmespath.search(step.answer, answer.body) if step.answer else equals
    if step.kind is Kind.CREATE and not value:
        return Later(seconds=1.0)
    return turn.finish(seq, StepState.APPLIED, value, attempts=_said(row, "done", answer.request_id))


def _refused(turn: Turn, seq: int, error: AwsError, check: Check, equals: Any) -> Outcome:
    """AWS said no. Some of these mean "not now", some "never", and some "it is so already"."""
    step, row, now = turn.plan.steps[seq], turn.rows[seq], clock.now()
    kind, attempts = _class_of(step, error), _said(row, f"refused {error.code}", error.request_id)
    if kind is Refusal.DENIED:
        turn.put(seq, attempts=attempts)
        return turn.lose(seq, StepState.FAILED, told(error))
    if kind in RETRIED:
        until = row.until or now + timedelta(seconds=step.within)
        _retry(turn, seq, error, attempts, until=until)
        if now > until:
            return turn.lose(seq, StepState.FAILED, f"busy for {step.within} s: {told(error)}")
        return Later(seconds=0.0 if kind is Refusal.STALE else min(30.0, 2.0 ** min(row.tries - 1, 5)))
    if _may_be_invisible(turn, seq, error):
        _retry(turn, seq, error, attempts)
        return Later(seconds=2.0)
    try:
        found = turn.look(check)
    except (NoAnswer, AwsError):
        _retry(turn, seq, error, attempts)
        return Later(seconds=2.0)
    if same(found, equals, check.compare):
        return turn.finish(seq, StepState.APPLIED, found, attempts=attempts)
    turn.put(seq, attempts=attempts)
    return turn.lose(seq, StepState.FAILED, told(error))


def _class_of(step: Step, error: AwsError) -> Refusal:
    """The class of a refusal of this step's call.

    Where an edit names the version it read, "there is no such document" is also what DynamoDB says of
    any other version. https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_PutResourcePolicy.html
    """
    kind = classify(error)
    return Refusal.STALE if kind is Refusal.ABSENT and step.edit and step.edit.token else kind


def _retry(
    turn: Turn,
    seq: int,
    error: AwsError,
    attempts: list[dict[str, Any]],
    *,
    until: datetime | None = None,
) -> None:
    """Known not to have been applied: to be sent again, without using up an attempt."""
    row = turn.rows[seq]
    turn.put(
        seq,
        state=StepState.RETRY,
        attempt=row.attempt - 1,
        tries=row.tries + 1,
        attempts=attempts,
        error=told(error),
        until=until or row.until,
    )


def _resolved(turn: Turn, seq: int, now: datetime) -> tuple[Call, Any]:
    """The call and what it makes, with every run-time value filled in at this moment."""
    step, results = turn.plan.steps[seq], turn.results()
    assert step.call
    assert step.seen
    call = resolved_call(step.call, results=results, at=now)
    if step.edit:
        call = editing.edited(step.edit, call, eyes=turn.eyes, results=results, at=now)
    return call, resolve(step.seen.equals, results=results, at=now)


def _facts(turn: Turn, seq: int, found: JSON) -> Look:
    step, row = turn.plan.steps[seq], turn.rows[seq]
    assert step.seen
    results, now, attempts = turn.results(), clock.now(), sent(row)
    planned = (resolved_or_not(value, results=results) for value in (step.was, *step.also))
    older, last = _ours_before(turn, seq)
    return Look(
        kind=step.kind,
        compare=step.seen.compare,
        found=found,
        want=attempts[-1]["equals"] if attempts else resolved_or_not(step.seen.equals, results=results),
        was=(*planned, *(attempt["equals"] for attempt in attempts[:-1])),
        older=older,
        attempt=row.attempt,
        is_outstanding=row.state == StepState.INTENT,
        intent_age=(now - row.intent_at).total_seconds() if row.intent_at else None,
        own_age=(now - last).total_seconds() if last else None,
        settle=step.settle,
    )


def _ours_before(turn: Turn, seq: int) -> tuple[tuple[Any, ...], datetime | None]:
    """Older values of ours on the same thing, and when we last changed it."""
    changes, results = turn.plan.steps[seq].changes, turn.results()
    values: list[Any] = []
    last: datetime | None = None
    for step, row in turn.pairs()[:seq]:
        if step.changes == changes and step.kind in CHANGING and row.state == StepState.APPLIED:
            values += [resolved_or_not(step.was, results=results), expected(step, row, results)]
            last = row.finished_at
    if turn.is_undo:
        older, when = consequences.values_of(turn.original(), changes)
        values, last = values + older, last or when
    return tuple(value for value in values if value is not UNRESOLVED), last


def _stays(turn: Turn, seq: int) -> Outcome:
    """Whether something still needs the object: then it stays, with the reason."""
    unless = turn.plan.steps[seq].unless
    assert unless
    check = resolved_check(unless, results=turn.results())
    try:
        found = turn.look(check)
    except (NoAnswer, AwsError) as failure:
        return turn.unread(seq, str(failure))
    if not same(found, check.equals, check.compare):
        return None
    turn.put(seq, state=StepState.KEPT, error=f"{brief(found)} still uses it", finished_at=clock.now())
    # Taken up again at once, and then found finished.
    return Later(seconds=0.0)


def _foreign_content(turn: Turn, seq: int, found: JSON) -> Outcome:
    """An object of our name that is not what we meant is not adopted."""
    step = turn.plan.steps[seq]
    assert step.content
    results = {**turn.results(), step.name: found}
    check = resolved_check(step.content, results=results)
    try:
        content = turn.look(check)
    except (NoAnswer, AwsError) as failure:
        return turn.unread(seq, str(failure))
    if same(content, resolve(check.equals, results=results), check.compare):
        return None
    return turn.lose(seq, StepState.FAILED, "an object of our name has other content")


def _may_be_invisible(turn: Turn, seq: int, error: AwsError) -> bool:
    """Whether "not found" may only mean that AWS does not show yet what an earlier step made."""
    if classify(error) is not Refusal.ABSENT:
        return False
    now = clock.now()
    return any(
        row.finished_at is not None and now - row.finished_at < timedelta(seconds=settle)
        for settle, row in _made_for(turn, seq)
    )


def _made_for(turn: Turn, seq: int) -> Iterator[tuple[int, Row]]:
    """The objects that a step needs, as made by earlier steps, with how long AWS may hide them."""
    step = turn.plan.steps[seq]
    needed = set(refs(step.call.params if step.call else {})) | set(
        refs(step.seen.read.params if step.seen else {})
    )
    for other, row in turn.pairs():
        if other.name in needed and other.kind is Kind.CREATE:
            yield other.settle, row


def _said(row: Row, outcome: str, request_id: str = "") -> list[dict[str, Any]]:
    """The attempts, with the outcome of the last one filled in."""
    *earlier, last = row.attempts
    return [*earlier, {**last, "outcome": outcome, "request_id": request_id}]
