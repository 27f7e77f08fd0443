"""The executor: takes an approved action as far as it goes, from the stored plan and its journal alone.

It never plans again once anything was sent, never calls before it has looked, commits its intent
before each call, and sends each request once (CONTRACT §4–§7). A death at any point is made good by
whoever claims the action next.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import jmespath
from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet

from cases.models import Action
from cases.words import ActionStatus
from containment import consequences, editing, failpoints, guardrails, journal, locks, planning, preflight
from containment.actions import UnknownType, action_type
from containment.deciding import Decision, Look, decide
from containment.journal import LostLease, Story
from containment.looking import (
    UNRESOLVED,
    Missing,
    holds_form,
    refs,
    resolve,
    resolved_call,
    resolved_check,
    resolved_or_not,
    same,
    select,
)
from containment.models import Step as Row
from containment.models import StepState
from containment.refusals import Refusal, classify, told
from containment.types import CHANGING, Call, Check, Compare, Kind, Plan, Refused, Step, plain, plan_of
from containment.wire import Eyes, Hand, Names, NotDeclared, reads_of, writes_of
from estate.queries import account_of
from lib import canonical, clock
from lib.aws import AwsError, NoAnswer, WrongAccount
from lib.canonical import JSON

PATIENCE = timedelta(seconds=40)
SHORT = 5.0
GIVE_UP = timedelta(minutes=10)

FINISHED = frozenset(
    {
        StepState.APPLIED,
        StepState.ALREADY,
        StepState.DONE,
        StepState.SKIPPED,
        StepState.UNDONE,
        StepState.KEPT,
    }
)
LOST = frozenset({StepState.FAILED, StepState.UNKNOWN, StepState.CONFLICT})
IN_EFFECT = frozenset({StepState.APPLIED, StepState.UNKNOWN, StepState.INTENT})


@dataclass(frozen=True, kw_only=True)
class Later:
    """Nothing more can be done now; look again after that many seconds."""

    seconds: float
    release: bool = False


@dataclass(frozen=True, kw_only=True)
class Lost:
    """The step did not succeed; its journal says how."""

    state: StepState
    reason: str


Outcome = Later | Lost | None
"""What became of a step's turn; None: it is finished, go on with the next."""


def advance(action: Action) -> datetime | None:
    """Take a claimed action as far as it goes; the moment it wants to be looked at next, if any.

    Raises `LostLease` when another worker has taken over.
    """
    run = Run(action)
    if action.status == ActionStatus.APPROVED:
        due = run.start()
        if action.status != ActionStatus.APPLYING:
            return due
    return run.carry_out()


class Run:
    """One worker's turn with one action."""

    def __init__(self, action: Action) -> None:
        self.action = action
        self.plan: Plan = plan_of(action.plan or {})
        self.rows: list[Row] = list(Row.objects.filter(action=action).order_by("seq"))
        self.is_undo = action.reverts_id is not None
        names = Names.of(action)
        self.eyes = Eyes(names=names, allowed=reads_of(self.plan))
        self.hand = Hand(names=names, allowed=writes_of(self.plan))
        self.began = clock.now()

    # --- before the first call --------------------------------------------------------------------

    def start(self) -> datetime | None:
        """Check, plan again once, take the locks. Nothing is sent here but dry runs."""
        action = self.action
        stored = planning.hash_of(action, action.plan or {})
        if stored != action.plan_hash or stored != action.approved_hash:
            self._end(ActionStatus.PLANNED, "the stored plan is not the approved one", act="action.tampered")
            return None
        if not guardrails.may_act(account_of(action.target["account"])):
            self._end(ActionStatus.REFUSED, "the account is in observe mode")
            return None
        try:
            due = self._start_undo() if self.is_undo else self._start_forward()
        except (NoAnswer, AwsError) as failure:
            if action.approved_at and clock.now() > action.approved_at + GIVE_UP:
                self._end(ActionStatus.FAILED, f"AWS could not be read: {failure}")
                return None
            return clock.now() + timedelta(seconds=3)
        return due

    def _start_forward(self) -> datetime | None:
        action = self.action
        try:
            declared = action_type(action.type)
            objection = guardrails.of_action(action, declared, account_of(action.target["account"]))
            if objection:
                raise Refused(objection)
            again = planning.make_plan(action, declared)
        except UnknownType:
            self._end(ActionStatus.REFUSED, f"the type {action.type} does not exist any more")
            return None
        except (Refused, planning.CannotRead, NotDeclared, WrongAccount) as reason:
            self._end(ActionStatus.REFUSED, str(reason))
            return None
        if again.digest != action.plan_hash:
            self._drift(again)
            return None
        found = preflight.check(self.plan, hand=self.hand, names=self.hand.names)
        denied = [one for one in found if one.answer == preflight.DENIED]
        if denied:
            self._end(ActionStatus.FAILED, f"not permitted: {denied[0].call}: {denied[0].detail}")
            return None
        if any(row.state != StepState.PENDING for row in self.rows):
            # An earlier approval found things changed before anything was sent.
            planning.write_journal(action, self.plan)
            self.rows = list(Row.objects.filter(action=action).order_by("seq"))
        self._take(preflight=[plain(one) for one in found])
        return clock.now()

    def _take(self, **values: Any) -> None:
        """Take the locks and start, in one transaction: from here on it is in force."""
        action = self.action
        try:
            with transaction.atomic():
                locks.take_own(action, self.plan)
                journal.move(
                    action,
                    ActionStatus.APPLYING,
                    story=Story(act="action.started", title=f"Applying: {planning.title_of(action)}"),
                    started_at=clock.now(),
                    **values,
                )
        except locks.Held as held:
            self._end(ActionStatus.REFUSED, f"{held.key} is already held by action {held.holder.ulid}")
            return
        failpoints.reach("started")

    def _drift(self, again: planning.Planned) -> None:
        """AWS changed since the approval: show the new plan and ask again."""
        action = self.action
        lines = planning_difference(action.plan or {}, again.plan)
        with transaction.atomic():
            journal.move(
                action,
                ActionStatus.DRIFTED,
                story=Story(
                    act="action.drifted",
                    title=f"Changed since approval: {planning.title_of(action)}",
                    detail="\n".join(lines),
                ),
                plan=again.plan,
                plan_hash=again.digest,
                approved_hash="",
                drift=lines,
                note="AWS changed between approval and start; nothing was sent",
                due_at=None,
            )
            planning.write_journal(action, plan_of(again.plan))

    def _start_undo(self) -> datetime | None:
        """Look at every guard before the first undo call; one mismatch and nothing is sent."""
        action, original = self.action, self._original()
        if original.status not in REVERTIBLE:
            self._end(ActionStatus.REFUSED, f"the action is {original.status}")
            return None
        ready = consequences.settled_at(original)
        if ready > clock.now():
            return ready
        conflicts = self._conflicts()
        with transaction.atomic():
            if not original.move(ActionStatus.REVERTING):
                raise LostLease(original.ulid)
            if conflicts:
                self._end(ActionStatus.CONFLICT, "; ".join(conflicts), from_applying=True)
                original.move(ActionStatus.CONFLICT, note="; ".join(conflicts))
                return None
            journal.move(
                action,
                ActionStatus.APPLYING,
                story=Story(act="action.reverting", title=planning.title_of(action)),
                started_at=clock.now(),
            )
        failpoints.reach("started")
        return clock.now()

    def _conflicts(self) -> list[str]:
        """For each thing: what it was, what we made of it, what is there now, where these disagree."""
        found: list[str] = []
        for step, row in self._pairs():
            if step.kind not in CHANGING or row.state in FINISHED or step.seen is None:
                continue
            now = self._look(step.seen)
            if not any(same(now, value, step.seen.compare) for value in (step.seen.equals, step.was)):
                found.append(
                    f"{step.changes}: was {_brief(step.seen.equals)}, we made it {_brief(step.was)}, "
                    f"now it is {_brief(now)}"
                )
        return found

    # --- the steps --------------------------------------------------------------------------------

    def carry_out(self) -> datetime | None:
        """Go through the steps, then verify."""
        for seq, (step, row) in enumerate(self._pairs()):
            if row.state in FINISHED:
                continue
            if row.state in LOST:
                if self._goes_on_after(step):
                    continue
                break
            if step.lane and step.lane in self._stopped_lanes():
                continue
            if self.action.status == ActionStatus.APPLYING and self._only_waits_from(seq):
                self._applied()
            outcome = self._turn(seq)
            if isinstance(outcome, Later):
                return clock.now() + timedelta(seconds=outcome.seconds)
            if outcome and not self._goes_on_after(step):
                break
        if any(row.state in LOST for row in self.rows):
            self._stop()
            return None
        if self.action.status == ActionStatus.APPLYING:
            self._applied()
        return self._verify()

    def _turn(self, seq: int) -> Outcome:
        """One step until it is finished, lost, or would take too long to wait for here."""
        while True:
            outcome = self._step(seq)
            if not isinstance(outcome, Later) or outcome.release or not self._may_wait(outcome.seconds):
                return outcome
            clock.sleep(outcome.seconds)
            journal.renew(self.action)

    def _may_wait(self, seconds: float) -> bool:
        return seconds <= SHORT and clock.now() - self.began < PATIENCE

    def _step(self, seq: int) -> Outcome:
        if self.rows[seq].state in FINISHED:
            return None
        kind = self.plan.steps[seq].kind
        if kind is Kind.PAUSE:
            return self._pause(seq)
        if kind is Kind.WAIT:
            return self._wait(seq)
        if kind is Kind.COLLECT:
            return self._lose(seq, StepState.FAILED, "this version of Quell collects no artefacts")
        return self._change(seq)

    def _pause(self, seq: int) -> Outcome:
        step, row = self.plan.steps[seq], self.rows[seq]
        if row.until is None:
            until = clock.now() + timedelta(seconds=step.within)
            journal.put(self.action, row, state=StepState.WAITING, until=until)
            failpoints.reach("waited", step.name)
        assert row.until
        left = (row.until - clock.now()).total_seconds()
        if left > 0 and not self._open_changes():
            return Later(seconds=left, release=True)
        while left > 0:
            # Something stands open until the next step, so the worker stays with it.
            clock.sleep(min(left, SHORT))
            journal.renew(self.action)
            left = (row.until - clock.now()).total_seconds()
        journal.put(self.action, row, state=StepState.DONE, finished_at=clock.now())
        return None

    def _wait(self, seq: int) -> Outcome:
        step, row = self.plan.steps[seq], self.rows[seq]
        assert step.seen
        now = clock.now()
        if row.until is None:
            until = now + timedelta(seconds=step.within)
            journal.put(self.action, row, state=StepState.WAITING, until=until, intent_at=now)
            failpoints.reach("waited", step.name)
        assert row.until
        found: Any = UNRESOLVED
        try:
            found = self._look(resolved_check(step.seen, results=self._results()))
        except (Missing, NoAnswer, AwsError) as failure:
            journal.put(self.action, row, error=str(failure)[:500])
        want = resolved_or_not(step.seen.equals, results=self._results())
        if same(found, want, step.seen.compare):
            journal.put(self.action, row, state=StepState.DONE, error="", finished_at=clock.now())
            return None
        bad = [
            value for value in step.fails if found == value or (isinstance(found, list) and value in found)
        ]
        if bad:
            return self._lose(seq, StepState.FAILED, f"AWS says {bad[0]}")
        if now >= row.until:
            return self._lose(seq, StepState.UNKNOWN, f"not within {step.within} s")
        journal.put(self.action, row, tries=row.tries + 1)
        return Later(seconds=min(300.0, step.every * 2 ** min(row.tries - 1, 8)), release=True)

    def _change(self, seq: int) -> Outcome:
        step, row = self.plan.steps[seq], self.rows[seq]
        assert step.seen
        try:
            check = resolved_check(step.seen, results=self._results())
        except Missing as missing:
            return self._lose(seq, StepState.FAILED, f"it needs {missing.step}, which was not made")
        try:
            found = self._look(check)
        except NoAnswer as silence:
            return self._unread(seq, str(silence))
        except AwsError as refusal:
            if self._may_be_invisible(seq, refusal) or classify(refusal) is Refusal.THROTTLED:
                return self._unread(seq, str(refusal))
            return self._lose(seq, self._worse(row), f"cannot be read: {told(refusal)}")
        decision = decide(self._facts(seq, found))
        return self._act_on(decision, seq, check, found)

    def _act_on(self, decision: Decision, seq: int, check: Check, found: JSON) -> Outcome:
        step, row = self.plan.steps[seq], self.rows[seq]
        if decision in (Decision.OURS, Decision.APPLIED) and step.kind is Kind.CREATE:
            wrong = self._foreign_content(seq, found)
            if wrong:
                return wrong
        if decision is Decision.ALREADY:
            return self._finish(seq, StepState.ALREADY, found, before={"value": found})
        if decision is Decision.OURS:
            return self._finish(seq, StepState.APPLIED, found, before={"value": None})
        if decision is Decision.APPLIED:
            return self._finish(seq, StepState.APPLIED, found)
        if decision is Decision.LOOK_AGAIN:
            return Later(seconds=min(2.0, max(1.0, step.settle / 10)))
        if decision is Decision.SEND:
            return self._send(seq, check, found)
        text = f"found {_brief(found)}, neither what it was nor what it becomes"
        if decision is Decision.DRIFTED:
            return self._lose(seq, StepState.CONFLICT if self.is_undo else StepState.FAILED, text)
        if self.is_undo and not same(found, step.was, check.compare):
            return self._lose(seq, StepState.CONFLICT, text)
        as_before = same(found, step.was, check.compare) or (step.kind is Kind.CREATE and not found)
        text = f"sent {row.attempt} times and not seen" if as_before else text
        return self._lose(seq, StepState.UNKNOWN, text)

    def _send(self, seq: int, check: Check, found: JSON) -> Outcome:
        step, row = self.plan.steps[seq], self.rows[seq]
        if self.is_undo and step.unless and row.state != StepState.INTENT:
            kept = self._keeps(seq)
            if kept is not None:
                return kept
        if step.edit and not locks.take_document(self.action, step.edit):
            return Later(seconds=1.0)
        if row.before is None:
            journal.put(self.action, row, before={"value": found})
        failpoints.reach("saved", step.name)
        now = clock.now()
        try:
            call, equals = self._resolved(seq, now)
            self.hand.ready(call)
        except Missing as missing:
            return self._lose(seq, StepState.FAILED, f"it needs {missing.step}, which was not made")
        except NoAnswer as silence:
            return self._unread(seq, str(silence))
        except AwsError as refusal:
            if classify(refusal) is Refusal.THROTTLED:
                return self._unread(seq, str(refusal))
            return self._lose(seq, StepState.FAILED, told(refusal))
        except WrongAccount as wrong:
            return self._lose(seq, StepState.FAILED, str(wrong))
        journal.renew(self.action)
        attempt = {
            "attempt": row.attempt + 1,
            "at": now.isoformat(),
            "params": plain(call.params),
            "equals": equals,
        }
        journal.put(
            self.action,
            row,
            state=StepState.INTENT,
            attempt=row.attempt + 1,
            intent_at=now,
            attempts=[*row.attempts, attempt],
        )
        failpoints.reach("intent", step.name)
        return self._call(seq, call, check, equals)

    def _call(self, seq: int, call: Call, check: Check, equals: Any) -> Outcome:
        """The one request. Its outcome is recorded, or the step stays `intent` and is looked at."""
        step, row = self.plan.steps[seq], self.rows[seq]
        try:
            answer = self.hand.send(call)
        except NoAnswer as silence:
            journal.put(
                self.action, row, attempts=_said(row, "no answer"), error=f"no answer: {silence}"[:500]
            )
            return Later(seconds=1.0)
        except AwsError as refusal:
            return self._refused(seq, refusal, check, equals)
        failpoints.reach("called", step.name)
        value = jmespath.search(step.answer, answer.body) if step.answer else equals
        if step.kind is Kind.CREATE and not value:
            return Later(seconds=1.0)
        journal.put(self.action, row, attempts=_said(row, "done", answer.request_id))
        return self._finish(seq, StepState.APPLIED, value)

    def _refused(self, seq: int, error: AwsError, check: Check, equals: Any) -> Outcome:
        step, row = self.plan.steps[seq], self.rows[seq]
        kind, now = classify(error), clock.now()
        retry: dict[str, Any] = {
            "state": StepState.RETRY,
            "attempt": row.attempt - 1,
            "tries": row.tries + 1,
            "attempts": _said(row, f"refused {error.code}", error.request_id),
            "error": told(error),
            "until": row.until or now + timedelta(seconds=step.within),
        }
        if kind is Refusal.DENIED:
            journal.put(self.action, row, attempts=retry["attempts"])
            return self._lose(seq, StepState.FAILED, told(error))
        if kind in (Refusal.THROTTLED, Refusal.BUSY, Refusal.STALE):
            journal.put(self.action, row, **retry)
            if now > retry["until"]:
                return self._lose(seq, StepState.FAILED, f"busy for {step.within} s: {told(error)}")
            return Later(seconds=0.0 if kind is Refusal.STALE else min(30.0, 2.0 ** min(row.tries - 1, 5)))
        if kind is Refusal.ABSENT and self._may_be_invisible(seq, error):
            journal.put(self.action, row, **retry)
            return Later(seconds=2.0)
        try:
            found = self._look(check)
        except (NoAnswer, AwsError):
            journal.put(self.action, row, **retry)
            return Later(seconds=2.0)
        journal.put(self.action, row, attempts=retry["attempts"])
        if same(found, equals, check.compare):
            return self._finish(seq, StepState.APPLIED, found)
        return self._lose(seq, StepState.FAILED, told(error))

    # --- a step's parts ---------------------------------------------------------------------------

    def _resolved(self, seq: int, now: datetime) -> tuple[Call, Any]:
        """The call and what it makes, with every run-time value filled in at this moment."""
        step, results = self.plan.steps[seq], self._results()
        assert step.call and step.seen
        call = resolved_call(step.call, results=results, at=now)
        if step.edit:
            call = editing.edited(step.edit, call, eyes=self.eyes, results=results, at=now)
        return call, resolve(step.seen.equals, results=results, at=now)

    def _facts(self, seq: int, found: JSON) -> Look:
        step, row = self.plan.steps[seq], self.rows[seq]
        assert step.seen
        results, now = self._results(), clock.now()
        sent = [one for one in row.attempts if not str(one.get("outcome", "")).startswith("refused")]
        want = sent[-1]["equals"] if sent else resolved_or_not(step.seen.equals, results=results)
        was = tuple(resolved_or_not(value, results=results) for value in (step.was, *step.also))
        older, last = self._ours_before(seq)
        return Look(
            kind=step.kind,
            compare=step.seen.compare,
            found=found,
            want=want,
            was=(*was, *(one["equals"] for one in sent[:-1])),
            older=older,
            attempt=row.attempt,
            is_outstanding=row.state == StepState.INTENT,
            intent_age=(now - row.intent_at).total_seconds() if row.intent_at else None,
            own_age=(now - last).total_seconds() if last else None,
            settle=step.settle,
        )

    def _ours_before(self, seq: int) -> tuple[tuple[Any, ...], datetime | None]:
        """Older values of ours on the same thing, and when we last changed it."""
        changes, results = self.plan.steps[seq].changes, self._results()
        values: list[Any] = []
        last: datetime | None = None
        for step, row in list(self._pairs())[:seq]:
            if (
                step.changes == changes
                and step.kind in CHANGING
                and row.state == StepState.APPLIED
                and step.seen
            ):
                values += [resolved_or_not(step.was, results=results), _expected(step, row, results)]
                last = row.finished_at
        if self.is_undo:
            older, when = consequences.values_of(self._original(), changes)
            values, last = values + older, last or when
        return tuple(value for value in values if value is not UNRESOLVED), last

    def _keeps(self, seq: int) -> Outcome:
        """Whether something still needs the object: then it stays, with the reason."""
        step = self.plan.steps[seq]
        assert step.unless
        check = resolved_check(step.unless, results=self._results())
        try:
            found = self._look(check)
        except (NoAnswer, AwsError) as failure:
            return self._unread(seq, str(failure))
        if not same(found, check.equals, check.compare):
            return None
        row = self.rows[seq]
        journal.put(
            self.action,
            row,
            state=StepState.KEPT,
            error=f"{_brief(found)} still uses it",
            finished_at=clock.now(),
        )
        # Taken up again at once, and then found finished.
        return Later(seconds=0.0)

    def _foreign_content(self, seq: int, found: JSON) -> Outcome:
        """An object of our name that is not what we meant is not adopted."""
        step = self.plan.steps[seq]
        if step.content is None:
            return None
        results = {**self._results(), step.name: found}
        check = resolved_check(step.content, results=results)
        try:
            content = self._look(check)
        except (NoAnswer, AwsError) as failure:
            return self._unread(seq, str(failure))
        if same(content, resolve(check.equals, results=results), check.compare):
            return None
        return self._lose(seq, StepState.FAILED, "an object of our name has other content")

    def _finish(self, seq: int, state: StepState, value: JSON, **more: Any) -> None:
        step, row = self.plan.steps[seq], self.rows[seq]
        if step.value and step.seen:
            read = resolved_check(step.seen, results={**self._results(), step.name: value}).read
            value = select(step.value, self.eyes.read(read))
        journal.put(
            self.action, row, state=state, result={"value": value}, error="", finished_at=clock.now(), **more
        )
        failpoints.reach("recorded", step.name)

    def _lose(self, seq: int, state: StepState, reason: str) -> Lost:
        journal.put(self.action, self.rows[seq], state=state, error=reason[:1000], finished_at=clock.now())
        return Lost(state=state, reason=reason)

    def _unread(self, seq: int, why: str) -> Outcome:
        """AWS did not tell; try until the step's deadline, then say what that means."""
        step, row = self.plan.steps[seq], self.rows[seq]
        now = clock.now()
        until = row.until or now + timedelta(seconds=step.within)
        if now > until:
            return self._lose(seq, self._worse(row), f"AWS could not be read for {step.within} s: {why}")
        journal.put(self.action, row, until=until, error=why[:500])
        return Later(seconds=3.0)

    def _worse(self, row: Row) -> StepState:
        return StepState.UNKNOWN if row.attempt else StepState.FAILED

    def _may_be_invisible(self, seq: int, error: AwsError) -> bool:
        """Whether "not found" may only mean that AWS does not show yet what an earlier step made."""
        step = self.plan.steps[seq]
        if classify(error) is not Refusal.ABSENT:
            return False
        needed = set(refs(step.call.params if step.call else {})) | set(
            refs(step.seen.read.params if step.seen else {})
        )
        for other, row in self._pairs():
            if other.name in needed and row.finished_at and other.kind is Kind.CREATE:
                if clock.now() - row.finished_at < timedelta(seconds=other.settle):
                    return True
        return False

    # --- the end ----------------------------------------------------------------------------------

    def _applied(self) -> None:
        """Every step before the trailing waits is done; what was changed can now be verified."""
        settle = max([step.settle for step in self.plan.steps if step.kind in CHANGING], default=30)
        now = clock.now()
        with transaction.atomic():
            journal.move(
                self.action,
                ActionStatus.APPLIED,
                story=None,
                applied_at=now,
                verify_by=now + timedelta(seconds=max(60, 2 * settle)),
            )
            consequences.responded(self.action, self.rows)
        failpoints.reach("applied")

    def _verify(self) -> datetime | None:
        """Look at what each change ended in, and at what must hold; only then say verified."""
        while True:
            differs = self._differences()
            if not differs:
                self._verified()
                return None
            if self.action.verify_by and clock.now() > self.action.verify_by:
                self._end(ActionStatus.UNKNOWN, differs[0])
                return None
            if not self._may_wait(1.0):
                return clock.now() + timedelta(seconds=2)
            clock.sleep(1.0)
            journal.renew(self.action)

    def _differences(self) -> list[str]:
        """What is not as it should be, in sentences; a failed read counts as not seen."""
        differs: list[str] = []
        results = self._results()
        for step, row in self._last_of_each_change():
            assert step.seen
            if row.state not in (StepState.APPLIED, StepState.ALREADY):
                continue
            try:
                found = self._look(resolved_check(step.seen, results=results))
            except (NoAnswer, AwsError) as failure:
                differs.append(f"{step.name}: {failure}")
                continue
            if not same(found, expected_in_force(step, row, results), in_force_compare(step)):
                differs.append(f"{step.changes} is {_brief(found)}")
        for hold in self.plan.holds:
            try:
                check = resolved_check(hold, results=results)
                found = self._look(check)
            except (Missing, NoAnswer, AwsError) as failure:
                differs.append(f"{hold.select}: {failure}")
                continue
            if not same(found, check.equals, check.compare):
                differs.append(f"{check.select} of {check.read.name} is {_brief(found)}")
        return differs

    def _verified(self) -> None:
        action, now = self.action, clock.now()
        changed = any(row.state == StepState.APPLIED for row in self.rows)
        detail = "; ".join(self.plan.changes) if changed else "nothing changed: it was already so"
        title = f"Verified, read back: {planning.title_of(action)}"
        with transaction.atomic():
            journal.move(
                action,
                ActionStatus.VERIFIED,
                story=Story(act="action.verified", title=title, detail=detail),
                verified_at=now,
                review_at=None if self.is_undo else now + settings.QUELL_REVIEW_AFTER,
                due_at=None,
                note="" if changed else "nothing changed: it was already so",
            )
            if self.is_undo:
                consequences.reverted(action, self._original(), self.rows, self.plan)
            else:
                consequences.contained(action)
        failpoints.reach("verified")

    def _stop(self) -> None:
        """Something failed: leave nothing open, then say plainly what is in force."""
        left = self._close_open()
        lost = [row for row in self.rows if row.state in LOST]
        reasons = [f"{row.name}: {row.error}" for row in lost] + [f"LEFT OPEN {changes}" for changes in left]
        note = "; ".join(reasons)
        states = {row.state for row in self.rows}
        if self.is_undo:
            self._stop_undo(states, note)
            return
        if left or StepState.UNKNOWN in states:
            self._end(ActionStatus.UNKNOWN, note)
        elif any(row.state == StepState.APPLIED for row in self.rows):
            self._end(ActionStatus.PARTIAL, note)
        elif self._drifted(lost):
            self._end(ActionStatus.DRIFTED, note, act="action.drifted")
        else:
            self._end(ActionStatus.FAILED, note)

    def _drifted(self, lost: list[Row]) -> bool:
        return all(row.error.startswith("found ") and not row.attempts for row in lost)

    def _stop_undo(self, states: set[str], note: str) -> None:
        to = ActionStatus.PARTIAL
        if StepState.CONFLICT in states:
            to = ActionStatus.CONFLICT
        elif StepState.UNKNOWN in states:
            to = ActionStatus.UNKNOWN
        original = self._original()
        with transaction.atomic():
            self._end(to, note)
            original.move(to, note=f"undo: {note}")

    def _end(self, to: ActionStatus, note: str, *, act: str = "", from_applying: bool = False) -> None:
        """End the turn in a state that needs a person, and give up the locks where nothing is in force."""
        action = self.action
        if from_applying and action.status == ActionStatus.APPROVED:
            journal.move(action, ActionStatus.APPLYING, story=None)
        story = Story(
            act=act or f"action.{to.value}",
            title=f"{to.value.capitalize()}: {planning.title_of(action)}",
            detail=note,
        )
        with transaction.atomic():
            values: dict[str, Any] = {"note": note, "due_at": None}
            if to == ActionStatus.PLANNED:
                values["approved_hash"] = ""
            if to == ActionStatus.DRIFTED:
                values["approved_hash"] = ""
                values["drift"] = [note]
            journal.move(action, to, story=story, **values)
            if to in (ActionStatus.DRIFTED, ActionStatus.FAILED, ActionStatus.REFUSED):
                locks.free_own(action)
            if to in (ActionStatus.PARTIAL, ActionStatus.UNKNOWN) and not self.is_undo:
                consequences.responded(action, self.rows)

    # --- open states ------------------------------------------------------------------------------

    def _open_changes(self) -> list[str]:
        """The things whose last applied step leaves them worse off than before."""
        last: dict[str, Step] = {}
        for step, row in self._pairs():
            if row.state in (StepState.APPLIED, StepState.ALREADY) and step.kind in CHANGING:
                last[step.changes] = step
        return [changes for changes, step in last.items() if step.open]

    def _close_open(self) -> list[str]:
        """For each open thing: its next step, else what was, else it is left open and said so."""
        return [changes for changes in self._open_changes() if not self._close(changes)]

    def _close(self, changes: str) -> bool:
        seqs = [seq for seq, step in enumerate(self.plan.steps) if step.changes == changes]
        opened = max(seq for seq in seqs if self.rows[seq].state in (StepState.APPLIED, StepState.ALREADY))
        for seq in seqs:
            if seq > opened and self.rows[seq].state in (
                StepState.PENDING,
                StepState.RETRY,
                StepState.INTENT,
            ):
                if self._insist(seq) and self.rows[seq].state in (StepState.APPLIED, StepState.ALREADY):
                    return True
        return self._put_back(opened)

    def _insist(self, seq: int) -> bool:
        """Take a step to its end, staying with it for as long as a lease lasts."""
        until = clock.now() + PATIENCE
        while clock.now() < until:
            outcome = self._step(seq)
            if not isinstance(outcome, Later):
                return outcome is None
            clock.sleep(max(1.0, outcome.seconds))
            journal.renew(self.action)
        return False

    def _put_back(self, seq: int) -> bool:
        """Restore what was before the first change; journalled as an intent of the open step."""
        step, row = self.plan.steps[seq], self.rows[seq]
        first = next(s for s in self.plan.steps if s.changes == step.changes and s.kind in CHANGING)
        if step.undo is None or step.seen is None:
            return False
        results = self._results()
        call = resolved_call(step.undo, results=results)
        check = replace(resolved_check(step.seen, results=results), equals=first.was)
        for _ in range(3):
            now = clock.now()
            sent = {
                "attempt": 0,
                "at": now.isoformat(),
                "params": plain(call.params),
                "equals": first.was,
                "undo": True,
            }
            journal.put(self.action, row, attempts=[*row.attempts, sent])
            journal.renew(self.action)
            try:
                self.hand.send(call)
            except (NoAnswer, AwsError) as failure:
                journal.put(self.action, row, error=f"putting back: {failure}"[:500])
            if self._is_back(check):
                journal.put(
                    self.action, row, state=StepState.UNDONE, error="put back", finished_at=clock.now()
                )
                return True
            clock.sleep(2.0)
        return False

    def _is_back(self, check: Check) -> bool:
        try:
            return same(self._look(check), check.equals, check.compare)
        except (NoAnswer, AwsError):
            return False

    # --- small things -----------------------------------------------------------------------------

    def _look(self, check: Check) -> JSON:
        return select(check.select, self.eyes.read(check.read))

    def _pairs(self) -> list[tuple[Step, Row]]:
        return list(zip(self.plan.steps, self.rows, strict=True))

    def _results(self) -> Mapping[str, JSON]:
        return results_of(self.rows)

    def _last_of_each_change(self) -> list[tuple[Step, Row]]:
        return last_of_each_change(self.plan, self.rows)

    def _stopped_lanes(self) -> set[str]:
        return {s.lane for s, row in self._pairs() if s.lane and row.state in LOST}

    def _goes_on_after(self, step: Step) -> bool:
        """A failure in a lane stops that lane; one outside stops everything after it."""
        return step.lane is not None and not self.is_undo

    def _only_waits_from(self, seq: int) -> bool:
        rest = self.plan.steps[seq:]
        return all(step.kind is Kind.WAIT for step in rest) and not any(r.state in LOST for r in self.rows)

    def _original(self) -> Action:
        original = Action.objects.select_related("incident").get(pk=self.action.reverts_id)
        return original


REVERTIBLE = frozenset(
    {
        ActionStatus.APPLIED,
        ActionStatus.VERIFIED,
        ActionStatus.PARTIAL,
        ActionStatus.UNKNOWN,
        ActionStatus.CONFLICT,
    }
)


def results_of(rows: list[Row] | QuerySet[Row]) -> dict[str, JSON]:
    """The values of finished steps, by step name, for `$ref`."""
    return {row.name: row.result["value"] for row in rows if row.result is not None}


def last_of_each_change(plan: Plan, rows: list[Row]) -> list[tuple[Step, Row]]:
    """For each thing a plan changes, the last step on it that took part."""
    last: dict[str, tuple[Step, Row]] = {}
    for step, row in zip(plan.steps, rows, strict=True):
        if step.kind in CHANGING and row.state not in (StepState.SKIPPED, StepState.PENDING):
            last[step.changes] = (step, row)
    return list(last.values())


def _expected(step: Step, row: Row, results: Mapping[str, JSON]) -> Any:
    """What a step made of its thing: as journalled at its last attempt, else as planned."""
    sent = [
        one
        for one in row.attempts
        if not one.get("undo") and not str(one.get("outcome", "")).startswith("refused")
    ]
    if sent:
        return sent[-1]["equals"]
    assert step.seen
    if holds_form(step.seen.equals, "$now"):
        return row.result["value"] if row.result else UNRESOLVED
    return resolved_or_not(step.seen.equals, results=results)


def expected_in_force(step: Step, row: Row, results: Mapping[str, JSON]) -> Any:
    """What a look must find while the step is in force: for an object, exactly the one that was made."""
    if step.kind is Kind.CREATE and not step.value:
        return row.result["value"] if row.result else UNRESOLVED
    return _expected(step, row, results)


def in_force_compare(step: Step) -> Compare:
    """How the found value is compared while in force."""
    assert step.seen
    return Compare.VALUE if step.kind is Kind.CREATE and not step.value else step.seen.compare


def planning_difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What differs between two plans, in short sentences."""
    lines: list[str] = []
    before = {step["name"]: step for step in old.get("steps", [])}
    after = {step["name"]: step for step in new.get("steps", [])}
    lines += [f"step {name} is no longer needed" for name in before if name not in after]
    lines += [f"step {name} is new" for name in after if name not in before]
    for name in before:
        if name in after and before[name] != after[name]:
            was, now = before[name].get("was"), after[name].get("was")
            said = f"was {_brief(was)}, is now {_brief(now)}" if was != now else "has changed"
            lines.append(f"{before[name].get('changes') or name} {said}")
    if not lines and old.get("facts") != new.get("facts"):
        lines.append("the facts it stands on have changed")
    return lines or ["its sentences have changed"]


def _said(row: Row, outcome: str, request_id: str = "") -> list[dict[str, Any]]:
    """The attempts, with the outcome of the last one filled in."""
    *earlier, last = row.attempts
    return [*earlier, {**last, "outcome": outcome, "request_id": request_id}]


def _brief(value: Any) -> str:
    text = canonical.dumps(value) if value is not UNRESOLVED else "?"
    return text if len(text) <= 200 else text[:199] + "…"
