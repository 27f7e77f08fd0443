"""kill -9 of real containment workers: at each journal point of each kind of step, and at random moments.

The action must end verified (or reverted) once in effect, or be shown not to be. The judge is the
simulated AWS: its log of calls and its state.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests import evidence
from tests.containment.world import TERMINAL
from tests.faults.deaths import Base, Verdict, base_of, cases, run, verdict_of
from tests.faults.site import RATE, Death, Site, death_of, fresh

pytestmark = pytest.mark.slow

SEED = 20261124
RANDOM_RUNS = 12
MOST_KILLS = 4
"""In one random run; the next worker is left alone."""

ALL = {str(case): case for case in cases()}
SAMPLE = (
    "iam.deactivate-access-key apply called@deactivate",
    "iam.deactivate-access-key undo intent@undo-deactivate",
    "ec2.isolate-instance apply called@untrack-vpc-*",
    "ec2.isolate-instance apply intent@untrack-eni-*",
)
"""An object made whose making was not recorded, an interface left open, a call not sent, an undo."""


@dataclass
class Tally:
    """The verdicts of this session, and the runs without a death that they are compared with."""

    bases: dict[str, Base] = field(default_factory=dict)
    verdicts: list[Verdict] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)

    def figures(self) -> dict[str, Any]:
        deaths = [death for verdict in self.verdicts for death in verdict.deaths]
        return {
            "clock_rate": RATE,
            "runs": len(self.verdicts),
            "kills": len(deaths),
            "kills_in_the_middle": sum(1 for death in deaths if death.in_middle),
            "kills_by_status": dict(Counter(death.status for death in deaths)),
            "ends": dict(Counter(f"{verdict.end}: {verdict.status}" for verdict in self.verdicts)),
            "false_verified": sum(1 for verdict in self.verdicts if verdict.end == "lie"),
            "extra_effects": sum(verdict.extra for verdict in self.verdicts),
            "seed": SEED,
            "seconds": round(time.monotonic() - self.began),
        }


@pytest.fixture(scope="module")
def tally() -> Iterator[Tally]:
    """What was found, to be written down when the whole grid was asked for."""
    kept = Tally()
    yield kept
    if len(kept.verdicts) > len(SAMPLE):
        evidence.write("2", "kill9", kept.figures())


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in SAMPLE else pytest.mark.exhaustive) for name in ALL]
)
def test_killed_at_a_point_of_the_journal(site: Site, tally: Tally, name: str) -> None:
    case = ALL[name]
    base = _base(site, tally, case.type_id)

    verdict = run(site, case, base)

    tally.verdicts.append(verdict)
    assert len(verdict.deaths) == 1, "the worker was to die once"
    assert (verdict.end, verdict.extra, verdict.differs) == ("ok", 0, ()), verdict


@pytest.mark.exhaustive
@pytest.mark.parametrize("number", range(RANDOM_RUNS))
def test_killed_at_random_moments(site: Site, tally: Tally, number: int) -> None:
    chance = random.Random(SEED + number)
    type_id, phase = "ec2.isolate-instance", "undo" if number % 3 == 2 else "apply"
    base = _base(site, tally, type_id)
    site.worker()
    action = site.propose(type_id)
    if phase == "undo":
        assert site.see_through(action) == []
        action = site.ask_to_undo(action)
    site.planned(action)
    site.approve(action)

    deaths = [death for _ in range(MOST_KILLS) for death in _kill_while_at_work(site, action, chance)]
    deaths += site.see_through(action)

    verdict = verdict_of(site, f"random {number}", phase, base, action, deaths)
    tally.verdicts.append(verdict)
    assert verdict.end in ("ok", "shown"), verdict
    assert verdict.extra == 0, verdict


@pytest.mark.exhaustive
def test_the_judge_sees_a_call_that_is_repeated_without_a_look(site: Site, tally: Tally) -> None:
    case = ALL["iam.deactivate-access-key apply called@deactivate"]

    verdict = run(site, case, _base(site, tally, case.type_id), plant="a-look-skipped")

    assert verdict.extra == 1, verdict


@pytest.mark.exhaustive
def test_the_judge_sees_an_intent_that_was_written_too_late(site: Site, tally: Tally) -> None:
    case = ALL["iam.deactivate-access-key apply called@deactivate"]

    verdict = run(site, case, _base(site, tally, case.type_id), plant="intent-written-after-the-call")

    assert verdict.differs == ("deactivate: already",), verdict


@pytest.mark.exhaustive
@pytest.mark.django_db(transaction=True)  # else it would not be run in its place
def test_enough_was_killed_in_the_middle(tally: Tally) -> None:
    """Last of this file: the grid as a whole."""
    if len(tally.verdicts) < len(ALL) + RANDOM_RUNS:
        pytest.skip("only a part of the grid was run")
    figures = tally.figures()
    assert figures["kills_in_the_middle"] >= 60
    assert figures["false_verified"] == 0


def _base(site: Site, tally: Tally, type_id: str) -> Base:
    if type_id not in tally.bases:
        tally.bases[type_id] = base_of(site, type_id)
        site.start_again()
    return tally.bases[type_id]


def _kill_while_at_work(site: Site, action: Any, chance: random.Random) -> list[Death]:
    """Wait until the worker has the action, then a random while, then kill -9; a fresh worker follows."""
    worker = site.workers[-1]

    def has_it() -> bool:
        now = fresh(action)
        return now.status in TERMINAL or f":{worker.pid}:" in now.owner

    site.until(has_it, action)
    time.sleep(chance.uniform(0, 1.2))
    if fresh(action).status in TERMINAL:
        return []
    worker.kill()
    death = death_of(fresh(action))
    site.worker()
    return [death]
