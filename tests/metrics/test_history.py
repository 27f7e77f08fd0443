"""One history, four answers: API, command, page, and a calculation over the exported milestones."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from io import StringIO
from itertools import pairwise
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client

from cases.models import Incident, Milestone
from estate.models import Environment
from identity.actors import Actor
from lib import clock
from tests import make
from tests.metrics import history, recompute

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 11, 24, 2, 51, 7, tzinfo=UTC)
PERIOD = {"from": "2026-08-27", "to": "2026-11-25"}


@pytest.fixture
def desk(lead: Actor) -> Client:
    """A browser of the lead, with ninety days of history posted as a program would."""
    for number, account in enumerate(history.ACCOUNTS):
        make.account(account, environment=list(Environment)[number])
    program = make.program(make.key("incidents:write"))
    with clock.using(clock.ManualClock(NOW)):
        for days, seed in ((89, 1), (179, 2)):
            told = history.lines(90, before=NOW, days=days, seed=seed, prefix=f"OLD-{seed}")
            answer = program.post("/api/v1/incidents/import", history.ndjson(told), "application/x-ndjson")
            assert answer.json()["failed"] == 0, answer.content
    return make.browser(lead, signed_in_at=NOW)


def exported() -> list[dict[str, Any]]:
    """Every incident with the statements that count, in the shape of `GET /api/v1/incidents`."""
    incidents = []
    for incident in Incident.objects.all():
        milestones: dict[str, Any] = {}
        for said in Milestone.objects.filter(incident=incident).order_by("pk"):
            at = said.at.isoformat() if said.at else None
            milestones[said.kind] = {
                "at": at, "estimated": said.estimated, "source": said.source, "basis": said.basis
            }  # fmt: skip
        incidents.append(
            {
                "ref": incident.ref,
                "severity_band": incident.severity_band,
                "account": incident.account,
                "is_exercise": incident.is_exercise,
                "verdict": incident.verdict,
                "milestones": {kind: told for kind, told in milestones.items() if told["at"]},
            }
        )
    return incidents


def of_period(incidents: list[dict[str, Any]], start: str, end: str) -> list[dict[str, Any]]:
    first, last = (datetime.fromisoformat(day).replace(tzinfo=UTC) for day in (start, end))
    return [
        i for i in incidents if first <= datetime.fromisoformat(i["milestones"]["detected_at"]["at"]) < last
    ]


def figures_of(answer: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The part of an answer that the calculation speaks of."""
    names = [*next(iter(recompute.figures([], as_of=NOW).values()))]
    return {key: {name: told[name] for name in names} for key, told in answer["metrics"].items()}


def test_api_command_page_and_calculation_agree(desk: Client) -> None:
    expected = recompute.figures(of_period(exported(), PERIOD["from"], PERIOD["to"]), as_of=NOW)
    with clock.using(clock.ManualClock(NOW)):
        summary = desk.get("/api/v1/metrics/summary", PERIOD).json()
        printed = StringIO()
        call_command(
            "metrics", "--from", PERIOD["from"], "--to", PERIOD["to"], "--format", "json", stdout=printed
        )
        page = desk.get("/measures/", PERIOD)

    assert figures_of(summary) == expected
    assert json.loads(printed.getvalue()) == summary
    assert expected["time_to_contain"]["n"] > 50
    assert expected["time_to_contain"]["open"] > 0
    assert expected["time_to_detect"]["negative"] > 0
    assert_page_tells(page.content.decode(), expected)


def assert_page_tells(html: str, expected: dict[str, dict[str, Any]]) -> None:
    """Each tile has the exact seconds in its elements, and the counts in its links."""
    tiles = dict(
        re.findall(r'<article class="tile"[^>]*data-metric="(\w+)">(.*?)</article>', html, re.DOTALL)
    )
    assert list(tiles) == list(expected)
    for key, tile in tiles.items():
        told = expected[key]
        exact = [int(value) for value in re.findall(r'<data value="(\d+)"', tile)]
        for name in ("median_seconds", "p90_seconds", "mean_seconds"):
            assert told[name] in exact, (key, name)
        assert f">n {told['n']}<" in tile
        assert f">{told['missing']} missing<" in tile
        assert f">{told['open']} open" in tile
        assert ("at least" in tile) == told["at_least"]


def test_the_population_is_told_with_those_left_out(desk: Client) -> None:
    cohort = of_period(exported(), PERIOD["from"], PERIOD["to"])
    out: dict[str, int] = {}
    for incident in cohort:
        if reason := recompute.reason_out(incident):
            out[reason] = out.get(reason, 0) + 1

    with clock.using(clock.ManualClock(NOW)):
        population = desk.get("/api/v1/metrics/summary", PERIOD).json()["population"]

    assert population["excluded"] == out
    assert {"exercise", "false_positive"} <= set(out)
    assert population["incidents"] == len(cohort) - sum(out.values())
    counted = [i for i in cohort if recompute.reason_out(i) is None]
    assert population["no_verdict"] == sum(not i["verdict"] for i in counted)


def test_slices_divide_the_whole(desk: Client) -> None:
    for by in ("severity", "kind", "account", "environment", "team", "source", "owner", "month"):
        with clock.using(clock.ManualClock(NOW)):
            answer = desk.get("/api/v1/metrics/summary", {**PERIOD, "by": by}).json()

        groups = answer["groups"]
        assert answer["by"] == by
        assert sum(g["population"]["incidents"] for g in groups) == answer["population"]["incidents"], by
        for key, whole in answer["metrics"].items():
            for name in ("n", "missing", "open", "negative"):
                assert sum(group["metrics"][key][name] for group in groups) == whole[name], (by, key)


def test_a_slice_equals_the_calculation_over_its_incidents(desk: Client) -> None:
    cohort = of_period(exported(), PERIOD["from"], PERIOD["to"])
    with clock.using(clock.ManualClock(NOW)):
        answer = desk.get("/api/v1/metrics/summary", {**PERIOD, "by": "severity"}).json()
        alone = desk.get("/api/v1/metrics/summary", {**PERIOD, "severity": "high"}).json()

    for group in answer["groups"]:
        of_band = [i for i in cohort if i["severity_band"] == group["value"]]
        assert figures_of(group) == recompute.figures(of_band, as_of=NOW)
    high = next(group for group in answer["groups"] if group["value"] == "high")
    assert figures_of(alone) == figures_of(high)
    assert [group["value"] for group in answer["groups"]] == ["critical", "high", "medium", "low"]


def test_the_trend_covers_the_period_and_equals_the_calculation(desk: Client) -> None:
    incidents = exported()
    for interval in ("day", "week", "month"):
        with clock.using(clock.ManualClock(NOW)):
            steps = desk.get("/api/v1/metrics/trend", {**PERIOD, "interval": interval}).json()["steps"]

        assert steps[0]["from"] == "2026-08-27T00:00:00Z"
        assert steps[-1]["to"] == "2026-11-25T00:00:00Z"
        for step, following in pairwise(steps):
            assert step["to"] == following["from"]
        for step in steps:
            cohort = of_period(incidents, step["from"][:10], step["to"][:10])
            assert figures_of(step) == recompute.figures(cohort, as_of=NOW)


def test_any_figure_opens_exactly_its_incidents(desk: Client) -> None:
    with clock.using(clock.ManualClock(NOW)):
        metrics = desk.get("/api/v1/metrics/summary", PERIOD).json()["metrics"]
        for metric, told in metrics.items():
            behind = {
                state: _all_pages(desk, {**PERIOD, "metric": metric, "state": state, "limit": "40"})
                for state in ("finished", "missing", "open", "negative")
            }

            assert len(behind["finished"]) == told["n"]
            for state in ("missing", "open", "negative"):
                assert len(behind[state]) == told[state], (metric, state)
            lengths = [line["seconds"] for line in behind["finished"]]
            assert lengths == sorted(lengths, reverse=True)
            refs = [line["ref"] for lines in behind.values() for line in lines]
            assert len(refs) == len(set(refs))


def _all_pages(desk: Client, query: dict[str, str]) -> list[dict[str, Any]]:
    answer = desk.get("/api/v1/metrics/incidents", query).json()
    found = list(answer["results"])
    while answer["next"]:
        answer = desk.get(answer["next"]).json()
        found += answer["results"]
    return found


def test_a_change_is_told_against_the_period_before(lead: Actor) -> None:
    program = make.program(make.key("incidents:write"))
    documents = [
        {
            "external_id": f"C-{n}",
            "title": "x",
            "severity": 80,
            "milestones": {
                "detected_at": (at := NOW - timedelta(days=days)).isoformat(),
                "contained_at": (at + timedelta(minutes=minutes + n)).isoformat(),
            },
        }
        for n, (days, minutes) in enumerate([(40, 100)] * 15 + [(10, 30)] * 15)
    ]
    with clock.using(clock.ManualClock(NOW)):
        program.post("/api/v1/incidents/import", history.ndjson(documents), "application/x-ndjson")
        desk = make.browser(lead, signed_in_at=NOW)
        period = {"from": "2026-10-25", "to": "2026-11-24"}
        metrics = desk.get("/api/v1/metrics/summary", period).json()["metrics"]
        page = desk.get("/measures/", period).content.decode()

    assert metrics["time_to_contain"]["change_seconds"] == -(100 - 30 - 15) * 60
    assert metrics["time_to_respond"]["change_seconds"] is None
    assert re.search(r'data-dir="better">↓ <data value="3300"[^>]*>55 min</data> shorter', page)
    assert "too few to tell" in page
