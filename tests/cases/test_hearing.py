"""When each source last spoke for each account and region: noted cheaply, forward only, for its team."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext

from cases import hearing, ingest
from cases.hearing import NOTED_EVERY
from cases.models import Alert, Heard, Quarantined
from identity.actors import system
from tests import make

pytestmark = pytest.mark.django_db

FIXTURES = Path(__file__).parent / "fixtures"
START = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)
STEP = NOTED_EVERY
VOICE = ("guardduty", make.ACCOUNT, "eu-west-1")


@pytest.fixture(autouse=True)
def _nothing_noted() -> Iterator[None]:
    hearing.forget()
    yield
    hearing.forget()


def receive(body: Any, *, source: str = "auto", at: datetime = START, team: str = "blue") -> ingest.Received:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return ingest.receive(source=source, body=data, by=system("test"), at=at, team=make.team(team))


def event(
    number: int = 1, *, account: str = make.ACCOUNT, region: str = "eu-west-1", severity: Any = 5
) -> dict[str, Any]:
    uid = f"{number:032x}"
    return {
        "schemaVersion": "2.0",
        "accountId": account,
        "region": region,
        "id": uid,
        "arn": f"arn:aws:guardduty:{region}:{account}:detector/d/finding/{uid}",
        "type": "Recon:IAMUser/UserPermissions",
        "resource": {"resourceType": "AccessKey"},
        "service": {"serviceName": "guardduty", "count": 1},
        "severity": severity,
        "createdAt": "2026-11-20T09:00:00.000Z",
        "updatedAt": "2026-11-20T09:00:00.000Z",
        "title": f"Finding {number}",
        "description": "A finding.",
    }


def heartbeat(account: str = make.ACCOUNT, region: str = "eu-west-1") -> dict[str, Any]:
    told = {"source": "quell.heartbeat", "detail-type": "Quell Heartbeat", "detail": {}}
    return {**told, "account": account, "region": region, "time": "2026-11-24T02:00:00Z"}


def rows() -> dict[tuple[str, str, str], tuple[datetime | None, datetime | None]]:
    return {(row.source, row.account, row.region): (row.first_at, row.last_at) for row in Heard.objects.all()}


def note(at: datetime, *voices: tuple[str, str, str], team: str = "blue") -> None:
    hearing.heard(voices or [VOICE], team=make.team(team).pk, at=at)


# --- what counts as speaking -------------------------------------------------------------------------------


def test_each_source_account_and_region_is_a_voice_of_its_own() -> None:
    receive([event(1), event(2), event(3, region="us-east-1"), event(4, account="444455556666")])
    receive(heartbeat(), at=START + STEP)

    assert rows() == {
        VOICE: (START, START),
        ("guardduty", make.ACCOUNT, "us-east-1"): (START, START),
        ("guardduty", "444455556666", "eu-west-1"): (START, START),
        ("heartbeat", make.ACCOUNT, "eu-west-1"): (START + STEP, START + STEP),
    }


def test_a_heartbeat_and_a_notice_of_nothing_are_heard_though_they_are_no_alert() -> None:
    received = receive((FIXTURES / "health" / "nothing-alarming.json").read_bytes())
    beat = receive(heartbeat())

    assert (received.passed, beat.passed, len(beat.quarantined)) == (3, 1, 0)
    assert not Alert.objects.exists()
    assert set(rows()) == {
        ("health", make.ACCOUNT, "us-east-1"),
        ("heartbeat", make.ACCOUNT, "eu-west-1"),
    }


def test_what_is_known_already_is_heard_all_the_same() -> None:
    receive(event())
    again = receive(event(), at=START + timedelta(hours=1))

    assert [one.outcome for one in again.alerts] == ["repeated"]
    assert rows()[VOICE] == (START, START + timedelta(hours=1))


@pytest.mark.parametrize(
    "body", [b"{", {"note": "of nobody"}, event(severity="high"), heartbeat("x"), heartbeat(region="")]
)
def test_what_cannot_be_read_proves_nothing(body: Any) -> None:
    assert receive(body).quarantined
    assert Quarantined.objects.exists()
    assert rows() == {}


def test_what_quell_and_people_say_themselves_is_no_source() -> None:
    note(START, ("quell", make.ACCOUNT, "eu-west-1"), ("report", "", ""))

    assert rows() == {}


def test_a_finding_that_another_service_relays_is_heard_of_the_relay() -> None:
    """Security Hub told it, so Security Hub speaks; that says nothing about GuardDuty's own events."""
    receive((FIXTURES / "security_hub" / "guardduty-imported.json").read_bytes())

    assert Alert.objects.get().source == "guardduty"
    assert {source for source, _, _ in rows()} == {"security_hub"}


# --- whose it is -------------------------------------------------------------------------------------------


def test_a_voice_is_its_accounts_teams_and_else_the_senders() -> None:
    make.account(team="green")

    receive([event(1), event(2, account="999988887777")])

    assert sorted(Heard.objects.values_list("account", "team__slug")) == [
        (make.ACCOUNT, "green"),
        ("999988887777", "blue"),
    ]


def test_an_account_that_changes_teams_is_heard_for_its_new_one() -> None:
    account = make.account(team="green")
    note(START)
    account.team = make.team("red")
    account.save()

    note(START + STEP)

    assert sorted(Heard.objects.values_list("team__slug", "last_at")) == [
        ("green", START),
        ("red", START + STEP),
    ]


# --- how it is noted ---------------------------------------------------------------------------------------


def test_within_half_a_minute_nothing_is_written_and_nothing_is_asked() -> None:
    note(START)
    team = make.team().pk
    with CaptureQueriesContext(connection) as asked:
        for second in range(30):
            hearing.heard([VOICE], team=team, at=START + timedelta(seconds=second))

    assert len(asked) == 0
    assert rows()[VOICE] == (START, START)
    note(START + STEP)
    assert rows()[VOICE] == (START, START + STEP)


def test_a_clock_that_goes_back_takes_nothing_back_and_going_on_is_noted() -> None:
    note(START)
    for back in (timedelta(seconds=1), timedelta(days=2), timedelta(hours=1)):
        note(START - back)
        assert rows()[VOICE] == (START, START)

    note(START + timedelta(seconds=1))
    assert rows()[VOICE] == (START, START + timedelta(seconds=1))


def test_a_process_with_a_late_clock_takes_nothing_from_one_with_a_right_one() -> None:
    note(START)
    hearing.forget()  # another process has noted nothing
    note(START - timedelta(minutes=5))

    assert rows()[VOICE] == (START, START)


def test_a_voice_that_was_waited_for_has_then_been_heard_first() -> None:
    row = Heard.objects.create(
        source="heartbeat",
        account=make.ACCOUNT,
        region="eu-west-1",
        team=make.team(),
        expected_since=START - timedelta(hours=1),
        silent_after=timedelta(minutes=15),
    )

    receive(heartbeat())

    row.refresh_from_db()
    assert (row.first_at, row.last_at) == (START, START)
    assert row.silent_after == timedelta(minutes=15)
    assert Heard.objects.count() == 1


def test_who_invents_accounts_does_not_fill_the_table_and_known_ones_are_heard_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(hearing, "MOST_PLACES", 3)
    with caplog.at_level(logging.WARNING):
        note(START, *(("native", f"{number:012}", "eu-west-1") for number in range(10)))

    assert Heard.objects.count() == 3
    assert [one.msg for one in caplog.records] == ["hearing.full"] * 7
    note(START + STEP, ("native", "000000000000", "eu-west-1"))
    assert rows()["native", "000000000000", "eu-west-1"] == (START, START + STEP)
    note(START, team="green")
    assert Heard.objects.filter(team__slug="green").count() == 1, "another team has room of its own"


def test_a_note_that_cannot_be_written_costs_no_alert_and_is_written_with_the_next(
    caplog: pytest.LogCaptureFixture,
) -> None:
    table = connection.ops.quote_name(Heard._meta.db_table)
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {table} RENAME TO gone_for_a_while")
    received = receive(event(1))
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE gone_for_a_while RENAME TO {table}")

    assert [one.outcome for one in received.alerts] == ["created"]
    assert Alert.objects.count() == 1
    assert "hearing.failed" in [one.msg for one in caplog.records]
    receive(event(2), at=START + timedelta(seconds=1))
    assert rows()[VOICE] == (START + timedelta(seconds=1), START + timedelta(seconds=1))


@pytest.mark.django_db(transaction=True)
def test_many_who_hear_it_at_once_note_it_once() -> None:
    team = make.team().pk
    start, failed = threading.Barrier(8), []

    def go(number: int) -> None:
        try:
            start.wait(30)
            for second in range(5):
                hearing.forget()  # as if each were a process of its own
                hearing.heard([VOICE], team=team, at=START + timedelta(seconds=10 * second + number))
        except Exception as failure:  # noqa: BLE001 - told below
            failed.append(failure)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=go, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert failed == []
    assert Heard.objects.count() == 1
    assert rows()[VOICE][1] == START + timedelta(seconds=47)
