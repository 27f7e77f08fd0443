"""kill -9 for every type that can be undone: after its first call reached AWS, and after its undo's first.

A fresh process takes over each time. In the end the world is compared, byte for byte, with what it was
before anything began; names and ids that no two runs share are left out by each type's own look.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from cases.models import Action
from containment.models import StepState
from containment.types import CHANGING
from tests import evidence
from tests.containment.subjects import SUBJECTS
from tests.containment.subjects.subject import Subject
from tests.faults.site import RATE, Death, Site, fresh, steps_of

pytestmark = pytest.mark.slow

REVERSIBLE = sorted(type_id for type_id, subject in SUBJECTS.items() if subject.has_undo)
SAMPLE = ("ec2.protect-instance", "rds.isolate-instance", "s3.restrict-bucket")
"""Several things set one after the other; an object made, used and waited for; a document edited."""

POINT = "called"


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """How a type went through two deaths.

    `extra`: calls that AWS carried out beyond one for each step, in apply and in undo.
    """

    type_id: str
    ends: tuple[str, str]
    deaths: tuple[Death, ...]
    extra: tuple[int, int]
    had_effect: bool
    is_byte_equal: bool


@dataclass
class Tally:
    """The verdicts of this session."""

    verdicts: list[Verdict] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)

    def figures(self) -> dict[str, Any]:
        return {
            "clock_rate": RATE,
            "types": len(self.verdicts),
            "kills": sum(len(verdict.deaths) for verdict in self.verdicts),
            "kills_in_the_middle": sum(d.in_middle for verdict in self.verdicts for d in verdict.deaths),
            "byte_equal": sum(verdict.is_byte_equal for verdict in self.verdicts),
            "extra_effects": sum(sum(verdict.extra) for verdict in self.verdicts),
            "seconds": round(time.monotonic() - self.began),
        }


@pytest.fixture(scope="module")
def tally() -> Iterator[Tally]:
    """What was found, to be written down when every type was asked for."""
    kept = Tally()
    yield kept
    if len(kept.verdicts) == len(REVERSIBLE):
        evidence.write("4", "kill9_of_every_type", kept.figures())


@pytest.mark.parametrize(
    "type_id",
    [pytest.param(one, marks=() if one in SAMPLE else pytest.mark.exhaustive) for one in REVERSIBLE],
)
def test_killed_in_the_middle_of_apply_and_of_undo(site: Site, tally: Tally, type_id: str) -> None:
    verdict = _killed_twice(site, type_id)

    tally.verdicts.append(verdict)
    assert verdict.ends == ("reverted", "verified"), verdict
    assert [death.in_middle for death in verdict.deaths] == [True, True], verdict
    assert verdict.extra == (0, 0), verdict
    assert verdict.had_effect, "apply changed nothing that the look can see"
    assert verdict.is_byte_equal, verdict


@pytest.mark.exhaustive
def test_an_effect_that_is_doubled_is_found(site: Site) -> None:
    site.plant = "a-look-skipped"

    verdict = _killed_twice(site, "ec2.protect-instance")

    assert verdict.extra[0] > 0, verdict


@pytest.mark.exhaustive
def test_an_undo_that_forgets_one_thing_is_found(site: Site) -> None:
    site.plant = "an-undo-dropped"

    verdict = _killed_twice(site, "ec2.protect-instance")

    assert verdict.ends == ("reverted", "verified"), verdict
    assert not verdict.is_byte_equal, verdict


def _killed_twice(site: Site, type_id: str) -> Verdict:
    subject, world = SUBJECTS[type_id], site.world
    if subject.arrange:
        subject.arrange(world)
    before = _bytes(subject, subject.look(world))
    site.failpoint = POINT
    site.worker()
    action = site.propose(type_id)
    deaths = site.see_through(action)
    between = _bytes(subject, subject.look(world))
    if fresh(action).status != "verified":
        return _verdict(site, action, None, deaths, had_effect=between != before, is_byte_equal=False)
    _forget_death(site)
    undo = site.ask_to_undo(action)
    deaths += site.see_through(undo)
    after = _bytes(subject, subject.look(world))
    return _verdict(site, action, undo, deaths, had_effect=between != before, is_byte_equal=after == before)


def _verdict(
    site: Site,
    action: Action,
    undo: Action | None,
    deaths: list[Death],
    *,
    had_effect: bool,
    is_byte_equal: bool,
) -> Verdict:
    return Verdict(
        type_id=action.type,
        ends=(_end(action), _end(undo) if undo else "not asked for"),
        deaths=tuple(deaths),
        extra=(_extra(site, action), _extra(site, undo) if undo else 0),
        had_effect=had_effect,
        is_byte_equal=is_byte_equal,
    )


def _end(action: Action) -> str:
    now = fresh(action)
    return f"{now.status}: {now.note}" if now.note else now.status


def _extra(site: Site, action: Action) -> int:
    """How many more calls AWS carried out than steps were applied; what a step finds so is not sent."""
    done = (StepState.APPLIED, StepState.UNDONE)
    steps = [row for row in steps_of(action) if row.kind in CHANGING and row.state in done]
    return max(0, len(site.effects(action)) - len(steps))


def _bytes(subject: Subject, look: Any) -> bytes:
    """What undo has to bring back, in one spelling."""
    kept = subject.restored(look) if subject.restored else look
    return json.dumps(kept, sort_keys=True, default=repr).encode()


def _forget_death(site: Site) -> None:
    """A failpoint is met once in each data directory: let it be met once more."""
    (site.data.path / f"failpoint-{POINT}").unlink()
