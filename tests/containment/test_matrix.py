"""Faults and deaths, in-process on the fast clock (issue: every journal point × step × fault)."""

from __future__ import annotations

import pytest

from tests import evidence
from tests.containment.matrix import Verdict, base, cases_of, run_case, sample, summary
from tests.containment.subjects import SUBJECTS
from tests.containment.world import World

SEED = 20261124
SAMPLE = 8
WHOLE = 30
"""For the two types whose matrix has to find planted defects (`tests/defects`): each fault and point."""

SAMPLES = {"iam.deactivate-access-key": WHOLE, "ec2.snapshot-volumes": WHOLE}


def bad(verdicts: list[Verdict]) -> list[str]:
    """The verdicts that break the promise, in words."""
    return [
        f"{verdict.case}: {verdict.end} {verdict.status}, undo {verdict.back}, {verdict.note}"
        for verdict in verdicts
        if verdict.end in ("lie", "stuck") or verdict.back in ("lie", "stuck")
    ]


@pytest.mark.parametrize("type_id", sorted(SUBJECTS))
def test_a_sample_of_the_matrix(world: World, type_id: str) -> None:
    fault_free = base(world, type_id)
    chosen = sample(list(cases_of(type_id, fault_free)), most=SAMPLES.get(type_id, SAMPLE), seed=SEED)

    verdicts = [run_case(world, fault_free, case) for case in chosen]

    assert bad(verdicts) == []
    assert all(verdict.extra == 0 for verdict in verdicts), verdicts


@pytest.mark.exhaustive
@pytest.mark.parametrize("type_id", sorted(SUBJECTS))
def test_the_whole_matrix(world: World, type_id: str) -> None:
    fault_free = base(world, type_id)
    verdicts = [run_case(world, fault_free, case) for case in cases_of(type_id, fault_free)]

    evidence.write("4", f"matrix.{type_id}", summary(verdicts))
    assert bad(verdicts) == []
    assert all(verdict.extra == 0 for verdict in verdicts)
