"""Undo: a second action, built from the journal of the first (CONTRACT §5)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from audit.record import record
from cases.models import Action
from cases.words import ActionStatus
from containment import consequences, planning
from containment.editing import reversed_edit
from containment.expecting import expected_in_force, results_of
from containment.looking import UNRESOLVED, resolve, resolved_call, resolved_check, select
from containment.models import Step as Row
from containment.models import StepState
from containment.types import CHANGING, Check, Compare, Kind, Plan, Refused, Step, plain, plan_of
from containment.wire import Eyes, Names
from identity.actors import Actor
from lib import clock, doorbell
from lib.aws import AwsError, NoAnswer
from lib.canonical import JSON
from lib.errors import Conflict, Invalid

REVERTIBLE = frozenset(
    {
        ActionStatus.APPLIED,
        ActionStatus.VERIFIED,
        ActionStatus.PARTIAL,
        ActionStatus.UNKNOWN,
        ActionStatus.CONFLICT,
    }
)
OURS = frozenset({StepState.APPLIED, StepState.INTENT, StepState.UNKNOWN})
OPEN = (
    ActionStatus.PROPOSED,
    ActionStatus.PLANNED,
    ActionStatus.DRIFTED,
    ActionStatus.APPROVED,
    ActionStatus.APPLYING,
    ActionStatus.APPLIED,
)


def propose_revert(*, action: Action, reason: str, by: Actor, at: datetime) -> Action:
    """Ask for the undo of an action; the worker plans it from the journal.

    Raises `Conflict` when there is nothing to undo or an undo is under way, and `Invalid` when no
    reason is given although undoing now would revive what the action stopped.
    """
    if action.reverts_id:
        raise Conflict("This is an undo already; plan the action again instead.")
    if action.status not in REVERTIBLE:
        raise Conflict(f"It is {action.status}; only what is in force can be undone.")
    plan = plan_of(action.plan or {})
    rows = list(Row.objects.filter(action=action).order_by("seq"))
    if not any(_undoable(step, row) for step, row in zip(plan.steps, rows, strict=True)):
        raise Conflict("There is nothing to undo: what it made is kept, or nothing was changed.")
    early = too_early(plan, rows, at)
    if early and not reason.strip():
        raise Invalid(f"{early[0]}. Give a reason to undo it all the same.", pointer="/reason")
    with transaction.atomic():
        # Taking the original's row lock makes two people's requests queue up.
        Action.objects.filter(pk=action.pk).update(updated_at=at)
        if Action.objects.filter(reverts=action, status__in=OPEN).exists():
            raise Conflict("An undo of this action is already asked for.")
        undo = Action.objects.create(
            incident=action.incident,
            type=action.type,
            target=action.target,
            params=action.params,
            category=action.category,
            tier=action.tier,
            contract=action.contract,
            does_not_stop="",
            reason=reason,
            requested_by_id=by.person_id,
            requested_label=by.label,
            requested_at=at,
            reverts=action,
            due_at=at,
            updated_at=at,
        )
        record(
            act="action.undo-proposed",
            by=by,
            at=at,
            on=("action", undo.ulid),
            details={"reverts": action.ulid, "incident": action.incident.ref},
        )
        doorbell.ring(planning.TOPIC)
    return undo


def plan_claimed(undo: Action) -> datetime | None:
    """Plan a claimed request for undo from the original's journal; the moment to try again, if any.

    AWS is read only for objects that the original may have made without hearing of it.
    """
    original = Action.objects.select_related("incident").get(reversions=undo)
    if original.status not in REVERTIBLE:
        return planning.refuse(undo, f"the action is {original.status}")
    settled = consequences.settled_at(original)
    if settled > clock.now():
        return settled
    try:
        plan = build(original, at=clock.now())
    except Refused as refused:
        return planning.refuse(undo, str(refused))
    except (AwsError, NoAnswer) as failure:
        if clock.now() > undo.requested_at + planning.GIVE_UP:
            return planning.refuse(undo, f"AWS could not be read: {failure}")
        return clock.now() + planning.AGAIN
    stored = plain(plan)
    assert isinstance(stored, dict)
    made = planning.Planned(plan=stored, digest=planning.hash_of(undo, stored))
    planning.store(undo, made, affects={"found": [], "incomplete": ""})
    return clock.now() if undo.status == ActionStatus.APPROVED else None


def build(original: Action, *, at: datetime) -> Plan:
    """The plan of the undo: last change first, one restore for each thing, from ours to what was first.

    Raises `Refused` when nothing of it can be undone, `lib.aws.AwsError` and `lib.aws.NoAnswer`.
    """
    plan = plan_of(original.plan or {})
    rows = list(Row.objects.filter(action=original).order_by("seq"))
    results = _with_unheard(original, plan, rows)
    steps = [step for made in _restores(plan, rows, results) for step in made]
    if not steps:
        raise Refused("there is nothing to undo")
    return Plan(
        steps=tuple(steps),
        facts={"reverts": original.ulid},
        changes=tuple(
            f"{step.changes} goes back to {_words(step.seen.equals)}"
            for step in steps
            if step.kind in CHANGING and step.seen
        ),
        warnings=tuple(too_early(plan, rows, at)),
    )


def too_early(plan: Plan, rows: list[Row], at: datetime) -> list[str]:
    """The steps whose undo now would revive what they stopped, in sentences."""
    early: list[str] = []
    for step, row in zip(plan.steps, rows, strict=True):
        if not step.undo_after or row.state not in OURS:
            continue
        since = row.finished_at or row.intent_at
        until = since + timedelta(seconds=step.undo_after) if since else None
        if until and at < until:
            when = f"{until:%Y-%m-%d %H:%M} UTC"
            early.append(f"Undoing {step.changes} before {when} would let what it stopped live again")
    return early


def _with_unheard(original: Action, plan: Plan, rows: list[Row]) -> dict[str, JSON]:
    """The journal's values, those of objects that were asked for without an answer, looked up, and each
    `value` as it is now: an association may have got another id since (CONTRACT §1)."""
    results = results_of(rows)
    eyes = Eyes.of(plan, names=Names.of(original), results=results)
    for step, row in zip(plan.steps, rows, strict=True):
        if step.kind is Kind.CREATE and step.seen and row.state in OURS and row.result is None:
            check = resolved_check(step.seen, results=results)
            found = select(check.select, eyes.read(check.read))
            if found is not None:
                results[step.name] = found
        if step.value and step.seen and row.state in OURS:
            read = resolved_check(step.seen, results=results).read
            present = select(step.value, eyes.read(read))
            if present is not None:
                results[step.name] = present
    return results


def _undoable(step: Step, row: Row) -> bool:
    return step.kind in CHANGING and row.state in OURS and (step.undo is not None or step.edit is not None)


def _restores(plan: Plan, rows: list[Row], results: Mapping[str, JSON]) -> Iterator[list[Step]]:
    pairs = list(zip(plan.steps, rows, strict=True))
    done: set[str] = set()
    for step, row in reversed(pairs):
        if not _undoable(step, row) or step.changes in done:
            continue
        if _needs_unmade(step, results):
            continue
        done.add(step.changes)
        first, first_row = next(
            (s, r) for s, r in pairs if s.changes == step.changes and s.kind in CHANGING and r.state in OURS
        )
        yield _restore(step, row, first, first_row, results)


def _needs_unmade(step: Step, results: Mapping[str, JSON]) -> bool:
    """Whether the step's own object was never made, so that there is nothing to undo."""
    try:
        assert step.seen
        resolved_check(step.seen, results=results)
        if step.undo:
            resolved_call(step.undo, results=results)
    except LookupError:
        return True
    return False


def _restore(step: Step, row: Row, first: Step, first_row: Row, results: Mapping[str, JSON]) -> list[Step]:
    assert step.seen
    check = resolved_check(step.seen, results=results)
    before = first_row.before["value"] if first_row.before else resolve(first.was, results=results)
    ours = expected_in_force(step, row, results)
    if ours is UNRESOLVED:
        ours = results.get(step.name)
    compare = Compare.VALUE if step.kind is Kind.CREATE else check.compare
    undo = Step(
        name=f"undo-{step.name}",
        kind=Kind.EDIT if step.kind is Kind.EDIT else Kind.SET,
        changes=step.changes,
        call=_undo_call(step, results),
        edit=_undo_edit(step, results),
        seen=replace(check, equals=before, compare=compare),
        was=ours,
        unless=_resolved_unless(step, results),
        lane=None,
        settle=step.settle,
        within=step.within,
    )
    if step.undo_seen is None:
        return [undo]
    seen = resolved_check(step.undo_seen, results=results)
    return [undo, Step(name=f"wait-{undo.name}", kind=Kind.WAIT, seen=seen, within=900)]


def _undo_call(step: Step, results: Mapping[str, JSON]) -> Any:
    call = step.undo or step.call
    assert call
    return resolved_call(call, results=results)


def _undo_edit(step: Step, results: Mapping[str, JSON]) -> Any:
    if step.edit is None:
        return None
    opposite = reversed_edit(step.edit)
    return replace(
        opposite, read=replace(opposite.read, params=resolve(opposite.read.params, results=results))
    )


def _resolved_unless(step: Step, results: Mapping[str, JSON]) -> Check | None:
    return resolved_check(step.unless, results=results) if step.unless else None


def _words(value: Any) -> str:
    if value is None:
        return "not being there"
    if isinstance(value, list):
        return ", ".join(str(one) for one in value)
    return str(value)[:200]
