"""Faults of the network and of AWS itself, ordered from the simulated AWS, met by a real worker."""

from __future__ import annotations

from typing import Any

import pytest

from tests.containment.subjects import SUBJECTS
from tests.faults.site import Site, fresh

pytestmark = pytest.mark.slow

KEY = "iam.deactivate-access-key"
CUTS: dict[str, dict[str, Any]] = {
    "cut before it arrived": {"status": 0, "when": "before"},
    "cut after it was done": {"status": 0, "when": "after"},
}
OTHERS: dict[str, dict[str, Any]] = {
    "done eight seconds later": {"late": 8},
    "throttled three times": {"status": 400, "code": "Throttling", "times": 3},
    "an error after it was done": {"status": 500, "code": "ServiceFailure", "when": "after"},
    "an error before it arrived": {"status": 503, "code": "ServiceUnavailable", "when": "before"},
}


@pytest.mark.parametrize("faults", [CUTS, pytest.param(OTHERS, marks=pytest.mark.exhaustive)], ids=len)
def test_one_worker_meets_the_faults_of_the_wire(site: Site, faults: dict[str, dict[str, Any]]) -> None:
    """In apply and in undo: done once in effect, however the answer was lost."""
    subject = SUBJECTS[KEY]
    before = subject.look(site.world)
    site.worker()
    after: Any = None
    for name, fault in faults.items():
        site.far.faults({"match": "iam:UpdateAccessKey", **fault})
        action = site.propose(KEY)
        assert site.see_through(action) == []
        assert fresh(action).status == "verified", (name, site.why(action))
        assert site.far.faults_left() == [], f"{name}: it did not happen"
        assert site.effects(action) == ["iam:UpdateAccessKey"], name
        after = after or subject.look(site.world)
        assert subject.look(site.world) == after
        assert after != before

        site.far.faults({"match": "iam:UpdateAccessKey", **fault})
        back = site.ask_to_undo(action)
        assert site.see_through(back) == []
        assert fresh(action).status == "reverted", (name, site.why(back))
        assert site.far.faults_left() == [], f"{name}: it did not happen in undo"
        assert site.effects(back) == ["iam:UpdateAccessKey"], name
        assert subject.look(site.world) == before
