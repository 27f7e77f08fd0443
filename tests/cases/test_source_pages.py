"""The pages of sources: what is said of each, from which rows, to whom, and at what cost."""

from __future__ import annotations

import random
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from cases import silence, source_health, source_words
from cases.models import Alert, Heard, RawDocument, SourceHour
from cases.source_health import Health, Hearing, SourceRow
from estate.models import Account
from identity.actors import Actor
from lib import clock
from tests import make
from tests.cases.test_pages import MARKER, read, tags_of

pytestmark = pytest.mark.django_db

OTHER = "444455556666"
QUARTER = timedelta(minutes=15)
QUERIES = 18


def told(actor: Actor, source: str = "guardduty") -> SourceRow:
    found = source_health.overview(actor, at=clock.now())
    return next(row for row in found.rows if row.source == source)


def why(actor: Actor, source: str = "guardduty") -> str:
    found = source_health.overview(actor, at=clock.now())
    row = next(row for row in found.rows if row.source == source)
    return " ".join(source_words.reasons(row, found.names, at=found.at))


def hour(source: str = "guardduty", *, back: int = 0, team: str = "blue", **counts: int) -> SourceHour:
    this = clock.now().astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    return SourceHour.objects.create(
        source=source, team=make.team(team), hour=this - timedelta(hours=back), **counts
    )


def opened(latency: float, *, source: str = "guardduty", at: datetime | None = None) -> Alert:
    """An alert with the document that began it, received so many seconds after detection."""
    received = at or clock.now() - timedelta(seconds=1)
    alert = make.alert(at=received - timedelta(seconds=latency), received_at=received)
    RawDocument.objects.create(alert=alert, digest="d", body={}, source=source, received_at=received)
    return alert


# --- how a source is -------------------------------------------------------------------------------------


def test_a_source_that_speaks_where_it_should_is_healthy(analyst: Actor) -> None:
    make.heard(silent_after=QUARTER)
    make.heard(region="eu-west-2", silent_after=QUARTER)

    assert told(analyst).health is Health.HEALTHY
    assert "Heard wherever it is expected: 2 places." in why(analyst)


def test_one_silent_place_makes_it_silent_and_says_where_and_how_long(analyst: Actor) -> None:
    make.account(name="prod-shipping")
    make.heard(silent_after=QUARTER)
    make.heard(region="eu-west-2", silent_after=QUARTER, last_at=clock.now() - timedelta(minutes=95))

    row = told(analyst)

    assert (row.health, row.silent, row.never, row.expected) == (Health.SILENT, 1, 0, 2)
    said = why(analyst)
    assert "Silent in 1 of 2 places" in said
    assert "prod-shipping in eu-west-2, for 1 h 35 min instead of 15 min at most." in said


def test_what_was_expected_and_never_came_is_said_so(analyst: Actor) -> None:
    make.heard(
        first_at=None, last_at=None, silent_after=QUARTER, expected_since=clock.now() - timedelta(hours=2)
    )

    row = told(analyst)

    assert (row.health, row.never) == (Health.NEVER, 1)
    assert f"Never heard in 1 of 1 place where it is expected; {make.ACCOUNT} in eu-west-1 for 2 h." in why(
        analyst
    )


def test_what_is_expected_since_a_moment_ago_has_time_left(analyst: Actor) -> None:
    make.heard(silent_after=QUARTER)
    make.heard(
        region="eu-west-2", first_at=None, last_at=None, silent_after=QUARTER, expected_since=clock.now()
    )

    assert (told(analyst).health, told(analyst).never) == (Health.HEALTHY, 0)
    assert "Heard in 1 of 2 places; the others have time left." in why(analyst)


def test_a_source_nobody_expects_is_never_called_silent(analyst: Actor) -> None:
    make.heard("wazuh", last_at=clock.now() - timedelta(days=9))

    assert told(analyst, "wazuh").health is Health.QUIET
    assert "Nothing for 9 d. No alarm: nobody said how long it may be silent." in why(analyst, "wazuh")


def test_a_source_fails_when_a_tenth_cannot_be_read_and_some_of_it_waits(analyst: Actor) -> None:
    make.heard()
    counted = hour(documents=90, quarantined=10)
    item = make.quarantined(source="guardduty")

    assert told(analyst).health is Health.FAILING
    assert "10 of 100 documents of 24 h could not be read; 1 wait in quarantine." in why(analyst)
    item.discarded_at = clock.now()
    item.save()
    assert told(analyst).health is Health.HEALTHY
    make.quarantined(source="guardduty")
    counted.documents = 91
    counted.save()
    assert told(analyst).health is Health.HEALTHY


def test_the_worst_comes_first(analyst: Actor) -> None:
    make.heard("wazuh", last_at=clock.now() - timedelta(days=9))
    make.heard("macie")
    make.heard("heartbeat", silent_after=QUARTER, last_at=clock.now() - timedelta(hours=1))
    hour("splunk", documents=1, quarantined=1)
    make.quarantined(source="splunk")

    page = read(make.browser(analyst), "sources")

    order = [page.index(f'data-row="{source}"') for source in ("splunk", "heartbeat", "macie", "wazuh")]
    assert order == sorted(order)
    assert "/quarantine?source=splunk" in page
    assert "q=heartbeat+fell+silent" in page


def test_the_link_of_a_silent_place_leads_to_its_alarm(analyst: Actor) -> None:
    make.account(name="prod-shipping", regions=["eu-west-1"])
    make.heard("heartbeat", silent_after=QUARTER, last_at=clock.now() - timedelta(hours=1))
    make.heard("heartbeat", region="eu-west-2", silent_after=QUARTER, last_at=clock.now())
    silence.look(at=clock.now())
    [alarm] = Alert.objects.filter(source="quell", type="Quell:Intake/FellSilent")
    client = make.browser(analyst)
    for path in ("/sources", "/sources/heartbeat"):
        page = client.get(path).content.decode()
        links = [link for name, link in tags_of(page).attributes if name == "href" and "fell+silent" in link]
        assert links
        for link in links:
            assert alarm.ulid in client.get(link).content.decode(), link


# --- what the figures are from ---------------------------------------------------------------------------


def test_hours_are_counted_once_each_for_the_teams_that_one_sees_whole(analyst: Actor) -> None:
    make.heard()
    hour(documents=5, quarantined=1)
    hour(back=23, documents=7)
    hour(back=24, documents=100)
    hour(back=1, team="other", documents=1000)

    row = told(analyst)

    assert (row.documents, row.quarantined) == (12, 1)
    assert [(one.documents, one.quarantined) for one in (row.hours[0], row.hours[22], row.hours[23])] == [
        (7, 0),
        (0, 0),
        (5, 1),
    ]
    bars = source_words.bars(row)
    assert [bar.height for bar in bars if bar.height] == [20.0, 17.1]
    assert "6, from" not in source_words.finding(row)
    assert "the most, 7, from" in source_words.finding(row)


def test_latency_names_how_many_documents_it_is_of(analyst: Actor) -> None:
    make.heard()
    hour(documents=40, latency_count=4, latency_sum_ms=100_000, latency_max_ms=70_000)
    for seconds in range(1, 22):
        opened(seconds)
    RawDocument.objects.create(
        alert=Alert.objects.all()[0], digest="e", body={}, source="guardduty", received_at=clock.now()
    )

    row = told(analyst)

    assert row.latency is not None
    assert (row.latency.n, row.latency.mean, row.latency.longest) == (4, 25.0, 70.0)
    assert (row.latency.sampled, row.latency.median, row.latency.p95) == (21, 11.0, 20.0)
    assert row.opened == 21
    page = read(make.browser(analyst), "sources")
    assert '<span class="muted">median</span> 11 s' in page
    assert '<span class="muted">p95</span> 20 s' in page
    assert "n 21, longest 1 min 10 s" in page


def test_quantiles_say_so_when_they_are_of_the_newest_alone(
    analyst: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source_health, "SAMPLE", 3)
    make.heard()
    for seconds in (10, 20, 30, 40):
        opened(seconds, at=clock.now() - timedelta(minutes=seconds))

    found = source_health.overview(analyst, at=clock.now())

    assert found.is_sample_cut
    assert found.rows[0].latency is not None
    assert found.rows[0].latency.median == 20.0
    assert "the newest" in read(make.browser(analyst), "sources")


def test_the_database_finds_what_fault_of_finds(analyst: Actor) -> None:
    """The same rule in SQL and in Python, over many rows, on both engines."""
    at, rnd = clock.now(), random.Random(11)
    back = [None, None, None, *(timedelta(seconds=n) for n in (0, 1, 899, 900, 901, 5000))]

    def some() -> datetime | None:
        passed = rnd.choice(back)
        return None if passed is None else at - passed

    rows = [
        Heard(
            source="heartbeat",
            account=f"{number:012d}",
            region="eu-west-1",
            team=make.team(),
            last_at=some(),
            expected_since=some(),
            silent_after=rnd.choice([None, QUARTER, timedelta(seconds=1), timedelta(days=2)]),
        )
        for number in range(180)
    ]
    Heard.objects.bulk_create(rows)
    faults = [silence.fault_of(row, at=at) for row in Heard.objects.all()]

    [row] = source_health.overview(analyst, at=at).rows

    assert (row.silent, row.never) == (faults.count(silence.Fault.FELL), faults.count(silence.Fault.NEVER))
    assert min(row.silent, row.never) >= 10
    cells = {
        one.account: one.cells[0].hearing for one in source_health.matrix(analyst, at=at).rows if one.cells
    }
    for heard in Heard.objects.filter(account__in=cells):
        fault = silence.fault_of(heard, at=at)
        expected = {silence.Fault.FELL: Hearing.SILENT, silence.Fault.NEVER: Hearing.NEVER}.get(fault)  # type: ignore[arg-type]
        assert cells[heard.account] is expected or (expected is None and not _is_faulty(cells[heard.account]))


def _is_faulty(hearing: Hearing) -> bool:
    return hearing in (Hearing.SILENT, Hearing.NEVER)


# --- accounts by regions ---------------------------------------------------------------------------------


def test_a_cell_says_how_an_account_is_heard_in_a_region(analyst: Actor) -> None:
    regions = ["ap-south-1", "eu-west-1", "eu-west-2", "us-east-1", "us-west-2"]
    make.account(name="prod", regions=regions)
    make.account(OTHER, name="small", regions=["eu-west-1"])
    late = clock.now() - timedelta(hours=3)
    make.heard("heartbeat", region="eu-west-1", silent_after=QUARTER)
    make.heard("guardduty", region="eu-west-1", last_at=clock.now() - timedelta(hours=9))
    make.heard("heartbeat", region="eu-west-2", silent_after=QUARTER, last_at=late)
    make.heard("guardduty", region="eu-west-2")
    never: dict[str, Any] = {"first_at": None, "last_at": None, "silent_after": QUARTER}
    make.heard("heartbeat", region="us-east-1", expected_since=late, **never)
    make.heard("heartbeat", region="us-west-2", expected_since=clock.now(), **never)

    matrix = source_health.matrix(analyst, at=clock.now())

    assert matrix.regions == regions
    prod, small = matrix.rows
    assert [cell.hearing.value for cell in prod.cells] == ["unheard", "heard", "silent", "never", "waiting"]
    assert [cell.hearing.value for cell in small.cells] == ["unused", "unheard", "unused", "unused", "unused"]
    assert (prod.heard, prod.used, small.heard, small.used) == (1, 5, 0, 1)
    page = read(make.browser(analyst), "sources")
    assert page.count('data-cell="') == 10
    assert "Silent 3 h" in page
    only = source_health.matrix(analyst, at=clock.now(), source="guardduty")
    assert [cell.hearing.value for cell in only.rows[0].cells] == [
        "unheard",
        "heard",
        "heard",
        "unheard",
        "unheard",
    ]


def test_accounts_are_found_by_name_and_id(analyst: Actor) -> None:
    make.account(name="prod-shipping")
    make.account(OTHER, name="other")
    make.heard(account="999900001111")

    def shown(q: str) -> list[str]:
        return [row.name for row in source_health.matrix(analyst, at=clock.now(), q=q).rows]

    assert shown("ship") == ["prod-shipping"]
    assert shown("44445") == ["other"]
    assert shown("9999") == ["999900001111"]
    assert "No account matches" in read(make.browser(analyst), "sources", query={"q": "nothing"})


def test_regions_that_senders_invent_make_no_columns(analyst: Actor) -> None:
    make.account(regions=["eu-west-1"])
    for number in range(50):
        make.heard(region=f"zz-{'abcde'[number // 10]}-{number % 10}")
    make.heard(region=MARKER[:30])

    matrix = source_health.matrix(analyst, at=clock.now())

    assert len(matrix.regions) == source_health.MOST_REGIONS
    assert matrix.regions_left_out == 11
    assert not any("<" in region for region in matrix.regions)


def test_names_from_outside_stay_text(analyst: Actor) -> None:
    make.account(name=f"{MARKER} account")
    make.heard("heartbeat", silent_after=QUARTER, last_at=clock.now() - timedelta(hours=1))
    make.heard(MARKER[:40])
    client = make.browser(analyst)

    for path in ("/sources", "/sources/heartbeat", f"/sources?q={MARKER}"):
        tags = tags_of(client.get(path).content.decode())
        assert "img" not in tags.elements
        assert "style" not in {name for name, _ in tags.attributes}
        assert not [name for name, _ in tags.attributes if name.startswith("on")]


# --- who sees what ---------------------------------------------------------------------------------------


def test_a_seat_for_some_accounts_sees_their_places_and_no_counts() -> None:
    make.account()
    make.account(OTHER, name="not-mine")
    make.heard()
    make.heard(account=OTHER)
    make.heard("macie", account=OTHER)
    hour(documents=5, quarantined=5)
    make.quarantined(source="guardduty")
    opened(10)
    limited = make.person("analyst", accounts=[make.ACCOUNT])

    [row] = source_health.overview(limited, at=clock.now()).rows

    assert (row.source, row.places, row.hours, row.documents, row.latency) == ("guardduty", 1, [], None, None)
    assert (row.waiting, row.health) == (0, Health.HEALTHY)
    page = read(make.browser(limited), "sources")
    assert OTHER not in page
    assert "not-mine" not in page
    assert "what was counted for the whole team is hidden" in page
    assert "Quarantine</a>" not in page
    assert make.browser(limited).get(reverse("source", args=["macie"])).status_code == 404


def test_an_organizational_unit_opens_its_accounts() -> None:
    make.account(ou_path="Root/Production")
    make.account(OTHER, ou_path="Root/Sandbox")
    make.heard()
    make.heard(account=OTHER)
    limited = make.person("analyst", ou_paths=["Root/Production"])

    assert told(limited).places == 1


def test_another_team_sees_nothing(outsider: Actor) -> None:
    make.account(name="not-yours")
    make.heard()
    hour(documents=5)
    client = make.browser(outsider)

    page = read(client, "sources")

    assert "Nothing was heard yet" in page
    assert make.ACCOUNT not in page
    assert client.get(reverse("source", args=["guardduty"])).status_code == 404


def test_what_quell_says_of_itself_is_no_source(analyst: Actor) -> None:
    hour("quell", documents=5)
    hour("report", documents=5)
    hour("", documents=5)

    assert source_health.overview(analyst, at=clock.now()).rows == []
    assert "Nothing was heard yet" in read(make.browser(analyst), "sources")


# --- what it costs ---------------------------------------------------------------------------------------


def _fill(accounts: int, regions: int) -> None:
    team, at = make.team(), clock.now()
    names = [f"eu-west-{number}" for number in range(1, regions + 1)]
    for number in range(accounts):
        make.account(f"{number:012d}", name=f"account-{number:04d}", regions=names)
    rows: list[Any] = [
        Heard(
            source=source,
            account=f"{number:012d}",
            region=region,
            team=team,
            first_at=at,
            last_at=at - (timedelta(hours=1) if number % 7 == 0 else timedelta(0)),
            silent_after=QUARTER if source == "heartbeat" else None,
        )
        for source in ("heartbeat", "guardduty")
        for number in range(accounts)
        for region in names
    ]
    Heard.objects.bulk_create(rows, batch_size=500)


def _cost(client: Client, path: str) -> tuple[int, float, str]:
    began = time.monotonic()
    with CaptureQueriesContext(connection) as queries:
        page = client.get(path)
    assert page.status_code == 200
    return len(queries), time.monotonic() - began, page.content.decode()


def test_two_hundred_accounts_in_fifteen_regions_cost_the_queries_of_two(analyst: Actor) -> None:
    client = make.browser(analyst)
    _fill(2, 2)
    small, _, _ = _cost(client, "/sources")
    Heard.objects.all().delete()
    Account.objects.all().delete()

    _fill(201, 15)
    many, seconds, page = _cost(client, "/sources")

    assert small == many <= QUERIES
    assert page.count('data-cell="') == 3000
    assert "1 more: filter by name" in page
    assert seconds < 1.5  # 0.3 s where nothing else runs beside it
    assert _cost(client, "/sources/heartbeat")[0] <= QUERIES
