"""Before the first call: is it the approved plan, is AWS still as it was, may we, and are we alone?"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from cases.models import Action
from cases.words import ActionStatus
from containment import (
    approvals,
    consequences,
    failpoints,
    guardrails,
    journal,
    locks,
    planning,
    preflight,
    watching,
)
from containment.actions import UnknownType, action_type
from containment.expecting import brief
from containment.journal import LostLease, Story
from containment.looking import same
from containment.models import StepState, Watch
from containment.turn import FINISHED, Turn
from containment.types import CHANGING, Refused, plain, plan_of
from containment.undo import REVERTIBLE
from containment.wire import Eyes, NotDeclared
from estate.queries import account_of
from lib import clock
from lib.aws import AwsError, NoAnswer, WrongAccount

GIVE_UP = timedelta(minutes=10)
AGAIN = timedelta(seconds=3)


def start(turn: Turn) -> datetime | None:
    """Take an approved action to `applying`, or end it; the moment to try again if AWS cannot be read.

    Nothing is sent but dry runs, so that everything may be done over again by another worker.
    """
    action = turn.action
    stored = planning.hash_of(action, action.plan or {})
    if stored != action.plan_hash or stored != action.approved_hash:
        turn.end(ActionStatus.PLANNED, "the stored plan is not the approved one", act="action.tampered")
        return None
    if not guardrails.may_act(account_of(action.target["account"])):
        turn.end(ActionStatus.REFUSED, "the account is in observe mode")
        return None
    if not _is_approved(turn):
        return None
    try:
        return _start_undo(turn) if turn.is_undo else _start_forward(turn)
    except (NoAnswer, AwsError) as failure:
        if action.approved_at and clock.now() > action.approved_at + GIVE_UP:
            turn.end(ActionStatus.FAILED, f"AWS could not be read: {failure}")
            return None
        return clock.now() + AGAIN


def _is_approved(turn: Turn) -> bool:
    """Whether whoever approved still may; else the plan waits for approval again."""
    lost = approvals.standing(turn.action, clock.now())
    if lost:
        turn.end(ActionStatus.PLANNED, lost, act="action.approval-lost")
    return not lost


def _start_forward(turn: Turn) -> datetime | None:
    action = turn.action
    try:
        again = _plan_again(action)
    except UnknownType:
        turn.end(ActionStatus.REFUSED, f"the type {action.type} does not exist any more")
        return None
    except (Refused, planning.CannotRead, NotDeclared, WrongAccount) as reason:
        turn.end(ActionStatus.REFUSED, str(reason))
        return None
    if again.digest != action.plan_hash:
        _drift(action, again)
        return None
    asks = Eyes(names=turn.names, allowed=preflight.READS | watching.asks(action))
    found = preflight.check(turn.plan, hand=turn.hand, eyes=asks)
    needed = locks.needed_by(turn.plan, besides=action)
    if needed:
        turn.end(ActionStatus.REFUSED, f"action {needed.holder.ulid} is under way and needs {needed.key}")
        return None
    denied = [one for one in found if one.answer == preflight.DENIED]
    if denied:
        turn.end(ActionStatus.FAILED, f"not permitted: {denied[0].call}: {denied[0].detail}")
        return None
    if any(row.state != StepState.PENDING for row in turn.rows):
        # An earlier approval found things changed before anything was sent.
        planning.write_journal(action, turn.plan)
        turn.reload_rows()
    if _is_approved(turn):  # planning and dry runs took their time
        _take(turn, watching.begin(action, asks), preflight=[plain(one) for one in found])
    return None


def _plan_again(action: Action) -> planning.Planned:
    declared = action_type(action.type)
    objection = guardrails.of_action(action, declared, account_of(action.target["account"]))
    if objection:
        raise Refused(objection)
    return planning.make_plan(action, declared)


def _take(turn: Turn, watch: Watch | None, **values: Any) -> None:
    """Take the locks and start, in one transaction: from here on it is in force."""
    action = turn.action
    story = Story(act="action.started", title=f"Applying: {planning.title_of(action)}")
    try:
        with transaction.atomic():
            locks.take_own(action, turn.plan)
            if watch:
                watching.save(watch)
            journal.move(action, ActionStatus.APPLYING, story=story, started_at=clock.now(), **values)
    except locks.Held as held:
        turn.end(ActionStatus.REFUSED, f"{held.key} is already held by action {held.holder.ulid}")
        return
    failpoints.reach("started")


def _drift(action: Action, again: planning.Planned) -> None:
    """AWS changed since the approval: keep the new plan and ask again."""
    lines = difference(action.plan or {}, again.plan)
    story = Story(
        act="action.drifted",
        title=f"Changed since approval: {planning.title_of(action)}",
        detail="\n".join(lines),
    )
    with transaction.atomic():
        journal.move(
            action,
            ActionStatus.DRIFTED,
            story=story,
            plan=again.plan,
            plan_hash=again.digest,
            tier=planning.tier_of(action, again),
            approved_hash="",
            drift=lines,
            note="AWS changed between approval and start; nothing was sent",
            due_at=None,
        )
        planning.write_journal(action, plan_of(again.plan))


def _start_undo(turn: Turn) -> datetime | None:
    """Look at every guard before the first undo call; one mismatch and nothing is sent."""
    action, original = turn.action, turn.original()
    if original.status not in REVERTIBLE:
        turn.end(ActionStatus.REFUSED, f"the action is {original.status}")
        return None
    settled = consequences.settled_at(original)
    if settled > clock.now():
        return settled
    conflicts = _conflicts(turn)
    with transaction.atomic():
        if not original.move(ActionStatus.REVERTING):
            raise LostLease(original.ulid)
        journal.move(
            action,
            ActionStatus.APPLYING,
            story=None if conflicts else Story(act="action.reverting", title=planning.title_of(action)),
            started_at=clock.now(),
        )
        if conflicts:
            note = "; ".join(conflicts)
            turn.end(ActionStatus.CONFLICT, note)
            original.move(ActionStatus.CONFLICT, note=note)
            return None
    failpoints.reach("started")
    return None


def _conflicts(turn: Turn) -> list[str]:
    """For each thing: what it was, what we made of it, what is there now, where these disagree."""
    found: list[str] = []
    for step, row in turn.pairs():
        if step.kind not in CHANGING or row.state in FINISHED or step.seen is None:
            continue
        now = turn.look(step.seen)
        if not any(same(now, value, step.seen.compare) for value in (step.seen.equals, step.was)):
            was, ours = brief(step.seen.equals), brief(step.was)
            found.append(f"{step.changes}: was {was}, we made it {ours}, now it is {brief(now)}")
    return found


def difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What differs between two plans, in short sentences."""
    before = {step["name"]: step for step in old.get("steps", [])}
    after = {step["name"]: step for step in new.get("steps", [])}
    lines = [f"step {name} is no longer needed" for name in before if name not in after]
    lines += [f"step {name} is new" for name in after if name not in before]
    for name, step in before.items():
        if name in after and step != after[name]:
            was, now = step.get("was"), after[name].get("was")
            said = f"was {brief(was)}, is now {brief(now)}" if was != now else "has changed"
            lines.append(f"{step.get('changes') or name} {said}")
    if not lines and old.get("facts") != new.get("facts"):
        lines.append("the facts it stands on have changed")
    return lines or ["its sentences have changed"]
