"""Whom figures speak of: periods, permissions, restricted incidents, and what it costs to ask."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from cases import access
from identity.actors import SYSTEM, Actor
from identity.models import Role
from lib import clock
from lib.errors import Invalid
from metrics import queries
from metrics.definitions import BY_KEY
from metrics.queries import By, Every, Period, Shown
from tests import make

pytestmark = [pytest.mark.fast, pytest.mark.django_db]

NOW = datetime(2026, 11, 24, 2, 51, 7, tzinfo=UTC)
DAY = timedelta(days=1)
WEEK = Period(start=NOW - 7 * DAY, end=NOW)


@pytest.fixture(autouse=True)
def stopped_clock() -> Iterator[None]:
    with clock.using(clock.ManualClock(NOW)):
        yield


def detected(days: float = 1, *, team: str = "blue", **values: object) -> str:
    at = NOW - days * DAY
    times = {"detected_at": at, "contained_at": at + timedelta(hours=1)}
    return make.incident(team=team, milestones=times, **values).ref  # type: ignore[arg-type]


def counted(actor: Actor, period: Period = WEEK, **values: object) -> int:
    found = queries.summary(actor=actor, period=period, as_of=NOW, **values)  # type: ignore[arg-type]
    return found.population.incidents


def test_by_default_the_last_ninety_days_with_today() -> None:
    found = queries.period(since=None, until=None, now=NOW)

    assert found.end == datetime(2026, 11, 25, tzinfo=UTC)
    assert found.days == 90
    assert found.before.end == found.start


@pytest.mark.parametrize(
    ("since", "until"),
    [
        ("yesterday", None),
        ("2026-13-01", None),
        ("2026-11-24", "2026-11-24"),
        ("2026-11-24", "2026-11-01"),
        ("2010-01-01", "2026-01-01"),
        ("2026-11-01T00:00:00", None),
        ("0001-01-01", "0002-01-01"),
        ("9999-12-30", "9999-12-31"),
        ("2026-11-01T00:00:00+99:00", None),
    ],
)
def test_a_period_that_is_none_is_refused(since: str, until: str | None) -> None:
    with pytest.raises(Invalid):
        queries.period(since=since, until=until, now=NOW)


def test_the_end_of_a_period_is_not_in_it(lead: Actor) -> None:
    detected(7)
    detected(0)

    assert counted(lead) == 1


def test_weeks_begin_on_monday_and_months_on_the_first(lead: Actor) -> None:
    period = queries.period(since="2026-10-29", until="2026-11-24", now=NOW)

    weeks = queries.trend(actor=lead, period=period, every=Every.WEEK, as_of=NOW)
    months = queries.trend(actor=lead, period=period, every=Every.MONTH, as_of=NOW)

    assert [f"{step.period.start:%m-%d}" for step in weeks] == ["10-29", "11-02", "11-09", "11-16", "11-23"]
    assert [f"{step.period.start:%m-%d}" for step in months] == ["10-29", "11-01"]


# --- who sees what --------------------------------------------------------------------------------


def test_the_outsider_sees_figures_of_the_own_team_only(lead: Actor, outsider: Actor) -> None:
    ours = detected(team="blue")
    theirs = detected(team="other")

    assert counted(lead) == counted(outsider) == 1
    assert counted(SYSTEM) == 2
    for actor, ref in ((lead, ours), (outsider, theirs)):
        lines = queries.drill_down(
            actor=actor, period=WEEK, metric=BY_KEY["time_to_contain"], shown=Shown.ALL, as_of=NOW
        )
        assert [line.case.ref for line in lines] == [ref]


def test_a_seat_for_some_accounts_sees_figures_of_those_accounts(db: None) -> None:
    limited = make.person(Role.VIEWER, accounts=["222233334444"])
    detected(account="222233334444")
    detected(account="111122223333")

    assert counted(limited) == 1


def test_a_restricted_incident_is_left_out_and_counted_as_left_out(lead: Actor, admin: Actor) -> None:
    detected(named=[lead])
    detected()

    for_lead = queries.summary(actor=lead, period=WEEK, as_of=NOW).population
    for_admin = queries.summary(actor=admin, period=WEEK, as_of=NOW).population

    assert (for_lead.incidents, for_lead.restricted) == (2, 0)
    assert (for_admin.incidents, for_admin.restricted) == (1, 1)
    assert queries.summary(actor=SYSTEM, period=WEEK, as_of=NOW).population.restricted == 0


def test_hidden_incidents_of_another_team_are_not_even_counted(lead: Actor, outsider: Actor) -> None:
    detected(named=[lead])

    assert queries.summary(actor=outsider, period=WEEK, as_of=NOW).population.restricted == 0
    assert not access.hidden_incidents(outsider).exists()


def test_somebody_without_a_seat_sees_nothing(db: None) -> None:
    detected()

    assert counted(make.person()) == 0


def test_a_key_needs_the_scope_and_needs_no_other() -> None:
    detected()
    may, may_not = make.program(make.key("metrics:read")), make.program(make.key("incidents:read"))

    for url in ("summary", "trend", "incidents?metric=time_to_contain"):
        assert may_not.get(f"/api/v1/metrics/{url}").status_code == 403
    assert may.get("/api/v1/metrics/summary").json()["population"]["incidents"] == 1
    line = may.get("/api/v1/metrics/incidents?metric=time_to_contain").json()["results"][0]
    assert line["title"] is None
    assert line["seconds"] == 3600


def test_without_sign_in_there_is_nothing() -> None:
    assert Client().get("/api/v1/metrics/summary").status_code == 401
    assert Client().get("/measures/").status_code == 302
    assert Client().get("/measures/incidents/?metric=time_to_contain").status_code == 302


# --- what is counted apart ------------------------------------------------------------------------


def test_an_incident_without_a_time_of_detection_is_told_apart(lead: Actor) -> None:
    ref = make.incident(opened_at=NOW - DAY).ref

    population = queries.summary(actor=lead, period=WEEK, as_of=NOW).population
    lines = queries.drill_down(
        actor=lead, period=WEEK, metric=BY_KEY["time_to_close"], shown=Shown.UNDATED, as_of=NOW
    )

    assert (population.incidents, population.undated) == (0, 1)
    assert [line.case.ref for line in lines] == [ref]


def test_estimates_and_investigated_starts_are_told_apart(lead: Actor) -> None:
    at = NOW - DAY
    times = {
        "attacker_access_at": at - timedelta(hours=3),
        "first_ioc_at": at - timedelta(hours=2),
        "detected_at": at,
        "contained_at": at + timedelta(hours=1),
    }
    make.incident(milestones=times, estimated=["attacker_access_at"])
    make.incident(milestones={**times, "attacker_access_at": at - timedelta(hours=1)})

    metrics = queries.summary(actor=lead, period=WEEK, as_of=NOW).metrics

    dwell = metrics["dwell_time"]
    assert dwell.starts == {"estimated": 1, "known": 1}
    assert dwell.figures.median_seconds == 3 * 3600
    assert dwell.without_estimates is not None
    assert (dwell.without_estimates.n, dwell.without_estimates.median_seconds) == (1, 2 * 3600)
    assert metrics["time_to_detect"].starts == {"investigated": 2, "from_alert": 0}
    assert metrics["time_to_contain"].by_basis == {"by_quell": 2}


def test_the_source_of_a_slice_is_that_of_the_first_alert(lead: Actor) -> None:
    incident = make.incident(milestones={"detected_at": NOW - DAY})
    make.alert(incident=incident, source="native", at=NOW - DAY / 2)
    make.alert(incident=incident, source="guardduty", at=NOW - DAY)
    detected()

    found = queries.summary(actor=lead, period=WEEK, as_of=NOW, by=By.SOURCE)

    assert {(group.value, group.label) for group in found.groups} == {
        ("guardduty", "guardduty"),
        ("", "No alert"),
    }
    assert counted(lead, filters={By.SOURCE: "guardduty"}) == 1
    assert counted(lead, filters={By.SOURCE: ""}) == 1


def test_the_longest_not_contained_come_first(lead: Actor) -> None:
    refs = [make.incident(milestones={"detected_at": NOW - n * DAY}).ref for n in range(1, 7)]

    found = queries.summary(actor=lead, period=WEEK, as_of=NOW)

    assert [line.case.ref for line in found.not_contained] == list(reversed(refs))[:5]


def test_one_incident_shows_its_own_figures(lead: Actor, django_assert_num_queries: Any) -> None:
    at = NOW - DAY
    incident = make.incident(milestones={"detected_at": at, "contained_at": at + timedelta(minutes=52)})

    with django_assert_num_queries(0):
        figures = queries.of_incident(incident, as_of=NOW)

    assert figures["time_to_contain"] == 52 * 60
    assert [key for key, seconds in figures.items() if seconds is not None] == ["time_to_contain"]


# --- cost -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 12])
def test_a_summary_takes_two_queries_however_many_incidents(lead: Actor, n: int) -> None:
    for _ in range(n):
        detected()

    with CaptureQueriesContext(
        connection,
    ) as asked:
        queries.summary(actor=lead, period=WEEK, as_of=NOW, by=By.OWNER, filters={By.ENVIRONMENT: ""})

    assert len(asked) == 2


def test_trend_and_drill_down_take_one_query(lead: Actor) -> None:
    detected()
    with CaptureQueriesContext(connection) as asked:
        queries.trend(actor=lead, period=WEEK, every=Every.DAY, as_of=NOW)
    assert len(asked) == 1
    with CaptureQueriesContext(connection) as asked:
        queries.drill_down(
            actor=lead, period=WEEK, metric=BY_KEY["time_to_contain"], shown=Shown.ALL, as_of=NOW
        )
    assert len(asked) == 1


@pytest.mark.parametrize(
    "query",
    [
        "summary?by=colour",
        "summary?from=never",
        "summary?from=2026-11-24&to=2026-11-01",
        "trend?interval=decade",
        "incidents",
        "incidents?metric=mttr",
        "incidents?metric=dwell_time&state=lost",
        "incidents?metric=dwell_time&limit=0",
        "incidents?metric=dwell_time&cursor=x",
    ],
)
def test_a_question_that_is_none_is_answered_with_what_would_be_one(lead: Actor, query: str) -> None:
    answer = make.browser(lead).get(f"/api/v1/metrics/{query}")

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"]
