"""The metrics of the demo's history, against an independent calculation over what the API exports."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from identity.actors import of_user
from identity.models import User
from lib import clock
from tests import make
from tests.metrics import recompute
from tests.metrics.test_history import assert_page_tells, of_period
from tests.soc.test_demo import _password, load, simulator

__all__ = ["_password", "simulator"]  # fixtures of the module next door

pytestmark = [pytest.mark.slow, pytest.mark.django_db]


def exported(browser: Client) -> list[dict[str, Any]]:
    """Every incident as `GET /api/v1/incidents` gives it, page by page."""
    found: list[dict[str, Any]] = []
    address: str | None = "/api/v1/incidents"
    while address:
        page = browser.get(address).json()
        found += page["results"]
        address = page["next"]
    for incident in found:
        told = incident["milestones"]
        incident["milestones"] = {kind: said for kind, said in told.items() if said["at"]}
    return found


def test_figures_of_the_demo_equal_a_calculation_over_its_exported_milestones(simulator: str) -> None:
    load(simulator)
    now = clock.now()
    period = {
        "from": (now - timedelta(days=95)).date().isoformat(),
        "to": (now.date() + timedelta(days=1)).isoformat(),
    }
    with clock.using(clock.ManualClock(now)):
        browser = make.browser(of_user(User.objects.get(username="lead")))
        incidents = exported(browser)
        summary = browser.get("/api/v1/metrics/summary", period).json()
        page = browser.get("/measures/", period).content.decode()

    cohort = of_period(incidents, period["from"], period["to"])
    expected = recompute.figures(cohort, as_of=now)
    told = {key: {name: summary["metrics"][key][name] for name in expected[key]} for key in expected}

    assert len(cohort) > 100
    assert expected["time_to_contain"]["n"] > 40
    assert told == expected
    assert_page_tells(page, expected)
