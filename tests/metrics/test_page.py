"""The metrics page as a person reads it."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.test import Client

from identity.actors import Actor
from identity.models import Role
from lib import clock
from metrics import chart
from metrics.chart import Reading
from tests import make

pytestmark = [pytest.mark.fast, pytest.mark.django_db]

HOSTILE = '<img src=x onerror="alert(1)">'


def page(client: Client, **query: str) -> str:
    answer = client.get("/measures/", query)
    assert answer.status_code == 200, answer.content
    return answer.content.decode()


def incident(hours: float = 1, **values: object) -> str:
    at = clock.now() - timedelta(days=2)
    times = {"detected_at": at, "contained_at": at + timedelta(hours=hours)}
    return make.incident(**{"milestones": times, **values}).ref  # type: ignore[arg-type]


def test_an_empty_desk_says_where_figures_come_from(viewer: Actor) -> None:
    html = page(make.browser(viewer))

    assert "No incident to measure between these dates" in html
    assert "import_incidents" in html
    assert html.count('class="fig" data-none') == 8


def test_a_desk_of_exercises_says_why_there_is_nothing(viewer: Actor) -> None:
    incident(is_exercise=True)

    html = page(make.browser(viewer))

    assert "1 was detected, but none counts" in html
    assert "1 exercise" in html


def test_names_stand_on_tiles_and_acronyms_beside_the_mean(viewer: Actor) -> None:
    at = clock.now() - timedelta(days=2)
    kinds = ("acknowledged_at", "responded_at", "contained_at", "recovered_at")
    make.incident(milestones={"first_ioc_at": at, "detected_at": at} | dict.fromkeys(kinds, at))

    html = page(make.browser(viewer))

    for name in (
        "Time to detect",
        "Time to acknowledge",
        "Time to respond",
        "Time to contain",
        "Time to recover",
    ):
        assert re.search(rf"<h3><a [^>]*>{name}</a></h3>", html)
    for acronym in ("MTTD", "MTTA", "MTTR (respond)", "MTTC", "MTTR (recover)"):
        assert f"mean, {acronym}" in html
    assert not re.search(r"MTTR(?! \((respond|recover)\))", html)


def test_what_is_open_is_marked_and_never_ended_now(viewer: Actor) -> None:
    incident()
    make.incident(milestones={"detected_at": clock.now() - timedelta(days=5)})

    html = page(make.browser(viewer))
    tile = html[html.index('data-metric="time_to_contain"') :]

    assert "p90 at least" in tile
    assert "1 open, oldest" in tile
    assert 'value="3600"' in tile


def test_every_count_leads_to_its_incidents(viewer: Actor) -> None:
    ref = make.incident(milestones={"detected_at": clock.now() - timedelta(days=5)}, title=HOSTILE).ref
    browser = make.browser(viewer)
    html = page(browser)

    link = re.search(r'<a href="([^"]+)">1 open', html[html.index('data-metric="time_to_contain"') :])
    assert link is not None
    behind = browser.get(link[1].replace("&amp;", "&")).content.decode()

    assert ref in behind
    assert HOSTILE not in behind
    assert "Not there yet" in behind


@pytest.mark.parametrize(
    "state", ["all", "finished", "missing", "open", "negative", "excluded", "no_verdict"]
)
@pytest.mark.parametrize("metric", ["time_to_detect", "time_to_contain", "dwell_time", "receive_latency"])
def test_every_list_of_incidents_can_be_read(viewer: Actor, metric: str, state: str) -> None:
    at = clock.now() - timedelta(days=2)
    incident()
    incident(verdict="false_positive")
    make.incident(milestones={"detected_at": at, "first_ioc_at": at + timedelta(hours=1), "closed_at": at})
    make.incident(
        milestones={"detected_at": at, "attacker_access_at": at, "contained_at": at},
        estimated=["attacker_access_at"],
    )

    answer = make.browser(viewer).get("/measures/incidents/", {"metric": metric, "state": state})

    assert answer.status_code == 200
    html = answer.content.decode()
    for row in re.findall(r'<td class="cell2">(.*?)</td>', html):
        assert row.strip(), "an empty cell is a fault"


def test_no_page_carries_style_or_script_of_its_own(viewer: Actor) -> None:
    for n in range(12):
        incident(hours=n + 1)
    browser = make.browser(viewer)

    for html in (page(browser), browser.get("/measures/incidents/?metric=dwell_time").content.decode()):
        assert "style=" not in html
        assert not re.search(r"<style|<script(?! [^>]*src=)|\son\w+=", html)


def test_the_chart_says_its_finding_and_stands_beside_a_table(viewer: Actor) -> None:
    incident()

    html = page(make.browser(viewer), interval="month")

    assert re.search(
        r'<title id="trend-title">Median time to contain by month: 1 h \(\w+ \d+\)\. 1 finished', html
    )
    assert "in figures</h2>" in html


def test_wrong_dates_are_said_and_the_last_ninety_days_shown(viewer: Actor) -> None:
    incident()

    answer = make.browser(viewer).get("/measures/", {"from": "2026-11-24", "to": "2026-11-01"})

    assert answer.status_code == 422
    assert "These dates cannot be used" in answer.content.decode()
    assert "1 incident detected" in answer.content.decode()


def test_filters_are_shown_and_can_be_removed(viewer: Actor) -> None:
    incident(severity=80)
    incident(severity=20)

    html = page(make.browser(viewer), severity="high")

    assert "1 incident detected" in html
    assert "remove this filter" in html


def test_restricted_incidents_are_counted_for_those_who_may_not_see_them(viewer: Actor, lead: Actor) -> None:
    ref = incident(named=[lead])
    assert "1 restricted incident is left out" in page(make.browser(viewer))

    incident()
    html = page(make.browser(viewer))

    assert ref not in html
    assert "<b>1</b> restricted incident" in html


def test_a_login_without_a_role_is_refused(db: None) -> None:
    assert make.browser(make.person()).get("/measures/").status_code == 403


def test_the_outsider_reads_nothing_of_ours(outsider: Actor) -> None:
    ref = incident()

    assert (
        ref not in make.browser(outsider).get("/measures/incidents/?metric=time_to_contain").content.decode()
    )


@pytest.mark.parametrize("role", list(Role))
def test_every_role_may_read_the_figures(db: None, role: Role) -> None:
    assert "Response metrics" in page(make.browser(make.person(role)))


# --- drawing --------------------------------------------------------------------------------------


def test_a_step_without_figures_is_a_gap_and_not_a_zero() -> None:
    steps = [60, 120, None, 240, 480]
    drawn = chart.draw(
        [Reading(label=str(n), median=s, p90=s and s * 2, is_moving=n == 4) for n, s in enumerate(steps)]
    )

    assert drawn is not None
    assert len(drawn.lines) == len(drawn.bands) == 2
    assert [dot.is_hollow for dot in drawn.dots] == [False, False, False, True]


def test_nothing_finished_draws_nothing() -> None:
    assert chart.draw([Reading(label="Nov", median=None, p90=None, is_moving=True)]) is None


@pytest.mark.parametrize("seconds", [0, 1, 59, 3600, 86400 * 400])
def test_every_length_stays_on_the_paper(seconds: int) -> None:
    drawn = chart.draw([Reading(label="Nov", median=seconds, p90=seconds, is_moving=False)] * 3)

    assert drawn is not None
    for mark in (*drawn.dots, *drawn.ticks, *drawn.labels):
        assert 0 <= mark.x <= chart.WIDTH
        assert 0 <= mark.y <= chart.HEIGHT
