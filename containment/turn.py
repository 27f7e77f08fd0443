"""One worker's turn with one action: what it holds in its hands, and how it writes things down."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from cases.models import Action
from cases.words import ActionStatus
from containment import consequences, failpoints, journal, locks, planning
from containment.expecting import results_of
from containment.journal import Story
from containment.looking import resolved_check, select
from containment.models import Step as Row
from containment.models import StepState
from containment.sessions import as_far_as_known, is_settled
from containment.types import CHANGING, Call, Check, Plan, Step, plan_of
from containment.wire import Eyes, Hand, Names, writes_of
from lib import aws, clock
from lib.canonical import JSON

PATIENCE = timedelta(seconds=40)
SHORT = 5.0

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
IN_EFFECT = frozenset({StepState.APPLIED, StepState.ALREADY})
LOST = frozenset({StepState.FAILED, StepState.UNKNOWN, StepState.CONFLICT})


@dataclass(frozen=True, kw_only=True)
class Later:
    """Nothing more can be done now; look again after that many seconds, letting go if `release`."""

    seconds: float
    release: bool = False


@dataclass(frozen=True, kw_only=True)
class Lost:
    """The step did not succeed; its journal says how."""

    state: StepState
    reason: str


Outcome = Later | Lost | None
"""What became of a step's turn; None: it is finished, go on with the next."""


def may_be_in_effect(step: Step, row: Row) -> bool:
    """Whether a step has to be reckoned with: one that opens also when nobody knows, one that shuts not."""
    return row.state in IN_EFFECT or (step.open and row.state == StepState.UNKNOWN)


def _calls_of(step: Step) -> Iterator[Call]:
    """What a step may send: where it only takes members away, the call for when nothing is left as well."""
    if step.call:
        yield step.call
    if step.edit and step.edit.empty and not step.edit.add:
        yield step.edit.empty


class Turn:
    """A claimed action, its plan and journal, and the session names it acts under."""

    def __init__(self, action: Action) -> None:
        self.action = action
        self.plan: Plan = plan_of(action.plan or {})
        self.rows = self._rows()
        self.is_undo = action.reverts_id is not None
        self.names = Names.of(action)
        self.began = clock.now()
        self._look_and_act()

    def _look_and_act(self) -> None:
        self.eyes = Eyes.of(self.plan, names=self.names, results=self.results())
        self.hand = Hand(names=self.names, allowed=writes_of(self.plan))

    def reload_rows(self) -> None:
        """Read the journal again, after it was written anew."""
        self.rows = self._rows()

    def _rows(self) -> list[Row]:
        return list(Row.objects.filter(action=self.action).order_by("seq"))

    # --- reading ----------------------------------------------------------------------------------

    def pairs(self) -> list[tuple[Step, Row]]:
        """Steps with their rows, in order."""
        return list(zip(self.plan.steps, self.rows, strict=True))

    def results(self) -> dict[str, JSON]:
        """The values of finished steps, for `$ref`."""
        return results_of(self.rows)

    def look(self, check: Check) -> JSON:
        """What a resolved check selects now. Raises `lib.aws.AwsError`, `lib.aws.NoAnswer`."""
        return select(check.select, self.eyes.read(check.read))

    def run_from(self, seq: int) -> Iterator[Call]:
        """The calls of the steps after this one that may share its session: up to the next wait, and up to
        the first of which it is not known yet what it acts on (docs/adr/0026)."""
        results = self.results()
        for step, row in self.pairs()[seq + 1 :]:
            if step.kind not in CHANGING:
                return
            if row.state in FINISHED or row.state in LOST:
                continue
            for call in _calls_of(step):
                if not is_settled(step, call, results=results):
                    return
                yield as_far_as_known(call, results=results)

    def let_go_of_sessions(self) -> None:
        """Forget every session: none is kept over a wait."""
        aws.forget_sessions(self.names.source_identity)
        self._look_and_act()

    def original(self) -> Action:
        """What this undo undoes."""
        return Action.objects.select_related("incident").get(reversions=self.action)

    def may_wait(self, seconds: float) -> bool:
        """Whether waiting is better than letting go: briefly, and not for a whole lease."""
        return seconds <= SHORT and clock.now() - self.began < PATIENCE

    def wait(self, seconds: float) -> None:
        """Wait, and keep the lease."""
        clock.sleep(seconds)
        journal.renew(self.action)

    def stopped_lanes(self) -> set[str]:
        """The lanes in which a step was lost."""
        return {step.lane for step, row in self.pairs() if step.lane and row.state in LOST}

    def open_changes(self) -> list[str]:
        """The things whose last step in effect leaves them worse off than before."""
        last: dict[str, Step] = {}
        for step, row in self.pairs():
            if step.kind in CHANGING and may_be_in_effect(step, row):
                last[step.changes] = step
        return [changes for changes, step in last.items() if step.open]

    # --- writing ----------------------------------------------------------------------------------

    def put(self, seq: int, **values: Any) -> None:
        """Write a step's row."""
        journal.put(self.action, self.rows[seq], **values)

    def finish(self, seq: int, state: StepState, value: JSON, **more: Any) -> Outcome:
        """Write that a step is in effect, with the value that later steps refer to; go on (None)."""
        step = self.plan.steps[seq]
        if step.value and step.seen:
            read = resolved_check(step.seen, results={**self.results(), step.name: value}).read
            value = select(step.value, self.eyes.read(read))
        self.put(seq, state=state, result={"value": value}, error="", finished_at=clock.now(), **more)
        failpoints.reach("recorded", step.name)
        return None

    def lose(self, seq: int, state: StepState, reason: str) -> Lost:
        """Write that a step did not succeed."""
        self.put(seq, state=state, error=reason[:1000], finished_at=clock.now())
        return Lost(state=state, reason=reason)

    def unread(self, seq: int, why: str) -> Outcome:
        """AWS did not tell: try until the step's deadline, then say what that means."""
        step, row, now = self.plan.steps[seq], self.rows[seq], clock.now()
        until: datetime = row.until or now + timedelta(seconds=step.within)
        if now > until:
            state = StepState.UNKNOWN if row.attempt else StepState.FAILED
            return self.lose(seq, state, f"AWS could not be read for {step.within} s: {why}")
        self.put(seq, until=until, error=why[:500])
        return Later(seconds=3.0)

    def end(self, to: ActionStatus, note: str, *, act: str = "") -> None:
        """End the turn in a state that needs a person; gives up the locks where nothing is in force."""
        action = self.action
        story = Story(
            act=act or f"action.{to.value}",
            title=f"{to.value.capitalize()}: {planning.title_of(action)}",
            detail=note,
        )
        values: dict[str, Any] = {"note": note, "due_at": None}
        if to in (ActionStatus.PLANNED, ActionStatus.DRIFTED):
            values["approved_hash"] = ""
        if to == ActionStatus.DRIFTED:
            values["drift"] = [note]
        with transaction.atomic():
            journal.move(action, to, story=story, **values)
            if to in (ActionStatus.DRIFTED, ActionStatus.FAILED, ActionStatus.REFUSED):
                locks.free_own(action)
            if to in (ActionStatus.PARTIAL, ActionStatus.UNKNOWN):
                consequences.responded(action, self.rows)
