"""The fault matrix: every journal point × step, and every kind of fault × call, in apply and in undo.

A run is judged by the world, not by what the product says: it must end as it would have without the
fault, or show that it did not. `lie` is a run that claims `verified` (or `reverted`) over another world.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.db import transaction

from cases.models import Action
from containment.models import Lock
from lib import aws, clock
from lib.aws import AwsError
from tests import make
from tests.containment.subjects import SUBJECTS
from tests.containment.subjects.subject import Subject
from tests.containment.world import START, World, dying

FAULTS = ("lost", "cut", "late", "throttled")
STEP_POINTS = ("saved", "intent", "called", "recorded", "waited")
ACTION_POINTS = ("claimed", "started", "applied", "verified")
SHOWN = frozenset({"unknown", "failed", "partial", "conflict", "drifted"})


@dataclass(frozen=True, kw_only=True)
class Case:
    """One run with one fault: `how` is `wire` or `die`."""

    type_id: str
    phase: str
    how: str
    what: str
    at: str

    def __str__(self) -> str:
        return f"{self.type_id} {self.phase} {self.what}@{self.at}"


@dataclass(frozen=True, kw_only=True)
class Base:
    """The run without a fault: the worlds before, after and after undo, and how many calls it took."""

    before: Any
    after: Any
    undone: Any
    sent: int
    sent_undo: int
    steps: tuple[str, ...]
    steps_undo: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """How a case ended: `ok`, `shown`, `lie`, `stuck` or `not reached`; extra effects; the undo after it."""

    case: Case
    end: str
    status: str
    extra: int
    back: str
    note: str


class RolledBack(Exception):
    """Ends a run's transaction, so that the next one finds the database as it was."""


def fresh(world: World) -> None:
    """The world as at the start, for the next run of the same test."""
    world.simulator.reset()
    aws.forget_sessions()
    world.clock.move_to(START)
    wire = world.wire
    wire.faults.clear()
    wire.sent.clear()
    wire.landed.clear()
    wire.late.clear()
    wire._kept.clear()
    wire.stale = 0.0


def base(world: World, type_id: str) -> Base:
    """Run once without a fault; fails the test if even that does not work."""
    subject = SUBJECTS[type_id]
    found: list[Base] = []

    def run() -> None:
        if subject.arrange:
            subject.arrange(world)
        before = subject.look(world)
        target, params = subject.aim(world)
        action = world.apply(type_id, target, params)
        assert action.status == "verified", action.note
        sent, after = len(world.wire.sent), subject.look(world)
        steps = tuple(step.name for step in world.steps(action))
        undone, sent_undo, steps_undo = after, 0, tuple[str, ...]()
        if subject.has_undo:
            back = world.revert(action)
            assert back.status == "verified", back.note
            undone, sent_undo = subject.look(world), len(world.wire.sent) - sent
            steps_undo = tuple(step.name for step in world.steps(back))
        found.append(
            Base(
                before=before,
                after=after,
                undone=undone,
                sent=sent,
                sent_undo=sent_undo,
                steps=steps,
                steps_undo=steps_undo,
            )
        )

    isolated(world, run)
    return found[0]


def isolated(world: World, run: Any) -> None:
    """Run in a transaction that is rolled back, on a fresh world with a fresh incident."""
    fresh(world)
    kept = world.incident
    try:
        with transaction.atomic():
            world.incident = make.incident()
            run()
            raise RolledBack
    except RolledBack:
        pass
    finally:
        world.incident = kept


def cases_of(type_id: str, base: Base) -> Iterator[Case]:
    """Every case of a type."""
    phases = [("apply", base.sent, base.steps)]
    if base.sent_undo:
        phases.append(("undo", base.sent_undo, base.steps_undo))
    for phase, sent, steps in phases:
        for call in range(1, sent + 1):
            for fault in FAULTS:
                yield Case(type_id=type_id, phase=phase, how="wire", what=fault, at=str(call))
        for step in steps:
            for point in STEP_POINTS:
                yield Case(type_id=type_id, phase=phase, how="die", what=point, at=step)
        for point in ACTION_POINTS:
            yield Case(type_id=type_id, phase=phase, how="die", what=point, at="")


def sample(cases: list[Case], *, most: int, seed: int) -> list[Case]:
    """A fixed choice of cases, of as many faults and points as there is room for, then at random."""
    chooser = random.Random(seed)
    shuffled = chooser.sample(cases, len(cases))
    first = {(case.phase, case.what): case for case in shuffled}
    rest = [case for case in shuffled if case not in first.values()]
    return [*first.values(), *rest][:most]


def run_case(world: World, base: Base, case: Case) -> Verdict:
    """Run one case and judge it."""
    found: list[Verdict] = []
    isolated(world, lambda: found.append(_run(world, base, case, SUBJECTS[case.type_id])))
    return found[0]


def _run(world: World, base: Base, case: Case, subject: Subject) -> Verdict:
    if subject.arrange:
        subject.arrange(world)
    target, params = subject.aim(world)
    original: Action | None = None
    if case.phase == "undo":
        original = world.apply(case.type_id, target, params)
        assert original.status == "verified", original.note
    offset, landed = len(world.wire.sent), len(world.wire.landed)
    if case.how == "wire":
        fault = AwsError("Throttling", "Rate exceeded") if case.what == "throttled" else case.what
        world.wire.faults[offset + int(case.at)] = fault

    def here(point: str, step: str) -> bool:
        return case.how == "die" and point == case.what and step == case.at

    with dying(here) as died:
        if original is None:
            action = _patiently_apply(world, case.type_id, target, params)
        else:
            action = _patiently_revert(world, original)
    reached = bool(died) or (case.how == "wire" and not world.wire.faults)
    world.clock.advance(20)
    world.wire.deliver()
    want = base.after if case.phase == "apply" else base.undone
    now = subject.look(world)
    end = judge(action.status, as_wanted=now == want)
    expected = base.sent if case.phase == "apply" else base.sent_undo
    extra = max(0, _effects(world, landed) - expected)
    back = ""
    if case.phase == "apply" and subject.has_undo and reached:
        back = _undo_afterwards(world, base, subject, action)
    if action.status == "verified" and case.phase == "apply":
        held = {
            key.split("/", 1)[1] for key in Lock.objects.filter(mode="document").values_list("key", flat=True)
        }
        assert not held, f"document locks left behind: {held}"
    return Verdict(
        case=case,
        end=end if reached else "not reached",
        status=action.status,
        extra=extra,
        back=back,
        note=action.note,
    )


def judge(status: str, *, as_wanted: bool) -> str:
    """`ok` when done and so; `lie` when said to be done and not so; `shown` when shown not to be done."""
    if status == "verified":
        return "ok" if as_wanted else "lie"
    return "shown" if status in SHOWN else "stuck"


def _effects(world: World, since: int) -> int:
    return sum(1 for name, _ in world.wire.landed[since:] if name != "refused late")


def _patiently_apply(world: World, type_id: str, target: Any, params: Any) -> Action:
    """Propose, approve and drive, whatever dies on the way."""
    from containment import planning
    from tests.containment.world import Death

    action = planning.propose(
        incident=world.incident,
        type_id=type_id,
        target=target,
        params=params,
        by=world.asks,
        at=clock.now(),
    )
    for _ in range(5):
        try:
            return world.drive(world.approve(_plan(world, action)))
        except Death:
            aws.forget_sessions()
            world.clock.advance(100)
    raise AssertionError("it died five times")


def _plan(world: World, action: Action) -> Action:
    from containment import sweeps

    for _ in range(10):
        sweeps.run_due_actions()
        action = world.fresh(action)
        if action.status != "proposed":
            return action
        world.clock.advance(100)
    raise AssertionError("it was never planned")


def _patiently_revert(world: World, original: Action) -> Action:
    from containment import undo

    asked = undo.propose_revert(action=world.fresh(original), reason="test", by=world.asks, at=clock.now())
    from tests.containment.world import Death

    for _ in range(5):
        try:
            return world.drive(world.approve(_plan(world, asked)))
        except Death:
            aws.forget_sessions()
            world.clock.advance(100)
    raise AssertionError("it died five times")


def _undo_afterwards(world: World, base: Base, subject: Subject, action: Action) -> str:
    """After the faulted apply: does undo bring the first world back, or say that it did not?"""
    if action.status not in ("verified", "unknown", "partial"):
        return f"none:{action.status}"
    back = world.revert(action)
    as_wanted = subject.look(world) == base.undone
    return judge(back.status, as_wanted=as_wanted)


def summary(verdicts: list[Verdict]) -> dict[str, Any]:
    """Figures of a matrix, for evidence."""
    reached = [verdict for verdict in verdicts if verdict.end != "not reached"]
    return {
        "runs": len(reached),
        "ends": dict(Counter(verdict.end for verdict in reached)),
        "backs": dict(Counter(verdict.back for verdict in reached if verdict.back)),
        "extra_effects": sum(verdict.extra for verdict in reached),
        "not_reached": len(verdicts) - len(reached),
    }
