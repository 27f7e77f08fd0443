"""Every place at which a worker is killed, and how a run is judged that went through one.

A case names its step by a pattern, since names hold ids of the estate. `way`: where the worker
that has to die takes over: `plan` (it sees the action from the start) or `start` (another worker
has planned it already).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from audit.models import AuditEvent
from cases.models import Action
from containment.actions import action_type
from containment.types import Kind
from tests.containment.matrix import judge
from tests.containment.subjects import SUBJECTS
from tests.faults.site import Death, Site, fresh, steps_of

CALLING = ("saved", "intent", "called", "recorded")
ACTION_POINTS = (
    ("claimed", "plan"),
    ("claimed", "start"),
    ("started", "plan"),
    ("applied", "plan"),
    ("verified", "plan"),
)

KINDS_OF_STEP: dict[tuple[str, str], tuple[tuple[str, Kind], ...]] = {
    ("iam.deactivate-access-key", "apply"): (("deactivate", Kind.SET),),
    ("iam.deactivate-access-key", "undo"): (("undo-deactivate", Kind.SET),),
    ("iam.revoke-role-sessions", "apply"): (("revoke", Kind.SET),),
    ("iam.revoke-role-sessions", "undo"): (("undo-revoke", Kind.SET),),
    ("ec2.snapshot-volumes", "apply"): (("snapshots", Kind.CREATE), ("completed", Kind.WAIT)),
    ("ec2.isolate-instance", "apply"): (
        ("untrack-vpc-*", Kind.CREATE),
        ("isolate-vpc-*", Kind.CREATE),
        ("in-untrack-*", Kind.SET),
        ("none-isolate-*", Kind.SET),
        ("untrack-eni-*", Kind.SET),
        ("let-flows-pass", Kind.PAUSE),
        ("isolate-eni-*", Kind.SET),
    ),
    ("ec2.isolate-instance", "undo"): (
        ("undo-isolate-eni-*", Kind.SET),
        ("undo-isolate-vpc-*", Kind.SET),
        ("undo-untrack-vpc-*", Kind.SET),
    ),
}
"""The steps of each type, one entry for each kind of step: object made, rule set, interface left open,
pause, interface closed, interface put back, object removed."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One death: of the worker that carries out (or undoes) a type, at one point of one step."""

    type_id: str
    phase: str
    point: str
    step: str = ""
    way: str = "plan"

    def __str__(self) -> str:
        return f"{self.type_id} {self.phase} {self.point}@{self.step or self.way}"


@dataclass(frozen=True, kw_only=True)
class Base:
    """The run without a death: the worlds before, after and after undo, the calls, the journal's states."""

    before: Any
    after: Any
    undone: Any
    sent: list[str]
    sent_undo: list[str]
    steps: dict[str, str]
    steps_undo: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """How a run ended: `ok`, `shown`, `lie` or `stuck`, and how much more was sent than was needed.

    `differs` lists the steps whose journal ended in another state than without a death: a step that
    was ours and is kept as `already` would never be undone.
    """

    case: str
    end: str
    status: str
    extra: int
    differs: tuple[str, ...]
    deaths: tuple[Death, ...]


def cases() -> Iterator[Case]:
    """Every case: each journal point of each kind of step, and the points between the steps."""
    for (type_id, phase), steps in KINDS_OF_STEP.items():
        for step, kind in steps:
            for point in ("waited",) if kind in (Kind.WAIT, Kind.PAUSE) else CALLING:
                yield Case(type_id=type_id, phase=phase, point=point, step=step)
        for point, way in ACTION_POINTS:
            if way == "start" and action_type(type_id).tier == 0:
                continue  # nobody approves evidence, so planning and carrying out are one claim
            yield Case(type_id=type_id, phase=phase, point=point, way=way)


def base_of(site: Site, type_id: str) -> Base:
    """Apply and undo with one worker that nobody kills."""
    subject = SUBJECTS[type_id]
    before = subject.look(site.world)
    site.worker()
    action = site.propose(type_id)
    assert site.see_through(action) == []
    assert fresh(action).status == "verified", site.why(action)
    after = undone = subject.look(site.world)
    steps, sent_undo, steps_undo = states_of(action), list[str](), dict[str, str]()
    if subject.has_undo:
        back = site.ask_to_undo(action)
        assert site.see_through(back) == []
        assert fresh(back).status == "verified", site.why(back)
        undone = subject.look(site.world)
        sent_undo, steps_undo = site.effects(back), states_of(back)
    return Base(
        before=before,
        after=after,
        undone=undone,
        sent=site.effects(action),
        sent_undo=sent_undo,
        steps=steps,
        steps_undo=steps_undo,
    )


def run(site: Site, case: Case, base: Base, *, plant: str = "") -> Verdict:
    """Carry out (or undo) with a worker that dies at the case's point, and fresh ones after it.

    With `plant` they have that defect of `tests.defects.plants`.
    """
    site.plant = plant
    failpoint = _failpoint(case, base)
    if case.phase == "undo":
        action = site.ask_to_undo(_carried_out(site, case, failpoint))
    else:
        site.worker(failpoint="" if case.way == "start" else failpoint)
        action = site.propose(case.type_id)
    if case.way == "start":
        site.planned(action)
        site.workers[-1].kill()
        site.worker(failpoint=failpoint)
    deaths = site.see_through(action)
    return verdict_of(site, str(case), case.phase, base, action, deaths)


def verdict_of(site: Site, name: str, phase: str, base: Base, action: Action, deaths: list[Death]) -> Verdict:
    """Judge an action that has ended, by AWS's own log and by the state of the world."""
    want, sent, steps = (
        (base.undone, base.sent_undo, base.steps_undo)
        if phase == "undo"
        else (base.after, base.sent, base.steps)
    )
    status = fresh(action).status
    end = judge(status, as_wanted=SUBJECTS[action.type].look(site.world) == want)
    told = AuditEvent.objects.filter(act="action.verified", object_id=action.ulid).count()
    assert told == (1 if status == "verified" else 0), f"said {told} times that it was verified"
    return Verdict(
        case=name,
        end=end,
        status=status,
        extra=max(0, len(site.effects(action)) - len(sent)),
        differs=tuple(
            f"{name}: {state}" for name, state in states_of(action).items() if state != steps.get(name)
        ),
        deaths=tuple(deaths),
    )


def states_of(action: Action) -> dict[str, str]:
    """The state of each step, by name."""
    return {row.name: row.state for row in steps_of(action)}


def _failpoint(case: Case, base: Base) -> str:
    if not case.step:
        return case.point
    names = base.steps_undo if case.phase == "undo" else base.steps
    return f"{case.point}@{next(name for name in names if fnmatchcase(name, case.step))}"


def _carried_out(site: Site, case: Case, failpoint: str) -> Action:
    """An action in force, and a worker running that will die in its undo."""
    # A step of the undo is not met before; a point between steps would be met in the apply as well.
    worker = site.worker(failpoint=failpoint if case.step else "")
    original = site.propose(case.type_id)
    assert site.see_through(original) == []
    assert fresh(original).status == "verified", site.why(original)
    if not case.step and case.way == "plan":
        worker.kill()
        site.worker(failpoint=failpoint)
    return original
