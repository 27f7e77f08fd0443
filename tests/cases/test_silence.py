"""Silence: never heard, fell silent, heard again, and regions that nobody named."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cases import hearing, ingest, silence, triage
from cases.models import Alert, Heard, Quarantined
from cases.words import AlertStatus, Verdict
from estate.models import Environment
from identity.actors import SYSTEM
from tests import make

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.fixture(autouse=True)
def _anew() -> Iterator[None]:
    hearing.forget()
    yield
    hearing.forget()


def beat(at: datetime, *, account: str = make.ACCOUNT, region: str = "eu-west-1", **more: Any) -> Any:
    event = {
        "source": "quell.heartbeat",
        "detail-type": "Quell Heartbeat",
        "account": account,
        "region": region,
        "detail": {},
        **more,
    }
    return ingest.receive(source="auto", body=json.dumps(event).encode(), by=SYSTEM, at=at, team=make.team())


def test_a_heartbeat_makes_no_alert_and_is_heard_of_its_place() -> None:
    received = beat(NOW)

    assert (received.alerts, received.quarantined, received.passed) == ((), (), 1)
    row = Heard.objects.get()
    assert (row.source, row.account, row.region) == ("heartbeat", make.ACCOUNT, "eu-west-1")
    assert row.last_at == NOW


@pytest.mark.parametrize("wrong", [{"account": "12"}, {"region": "<b>"}, {"account": None}])
def test_a_heartbeat_from_nowhere_proves_nothing(wrong: dict[str, Any]) -> None:
    received = beat(NOW, **wrong)

    assert len(received.quarantined) == 1
    assert not Heard.objects.exists()
    assert Quarantined.objects.count() == 1


def test_fell_silent_heard_again_and_silent_again() -> None:
    make.account()
    beat(NOW)
    silence.look(at=NOW)
    assert silence.look(at=NOW + 14 * MINUTE).moved == 0

    assert silence.look(at=NOW + 16 * MINUTE).raised == 1
    assert silence.look(at=NOW + 17 * MINUTE).moved == 0
    alert = Alert.objects.get()
    assert (alert.type, alert.account, alert.region) == (
        "Quell:Intake/FellSilent",
        make.ACCOUNT,
        "eu-west-1",
    )
    assert (alert.severity, alert.source, alert.resolved_at) == (80, "quell", None)
    assert alert.first_seen_at == NOW
    assert alert.detected_at == NOW + 15 * MINUTE

    beat(NOW + 20 * MINUTE)
    assert silence.look(at=NOW + 21 * MINUTE).lifted == 1
    alert.refresh_from_db()
    assert alert.resolved_at == NOW + 20 * MINUTE
    triage.dismiss(
        alert=alert, verdict=Verdict.TRUE_POSITIVE, reason="fixed", by=SYSTEM, at=NOW + 22 * MINUTE
    )

    assert silence.look(at=NOW + 40 * MINUTE).raised == 1
    alert = Alert.objects.get()
    assert (alert.episode, alert.status, alert.resolved_at) == (2, AlertStatus.NEW, None)
    assert alert.detected_at == NOW + 35 * MINUTE


def test_dismissed_while_silent_stays_dismissed_when_heard_again() -> None:
    make.account()
    beat(NOW)
    silence.look(at=NOW)
    silence.look(at=NOW + 16 * MINUTE)
    triage.dismiss(
        alert=Alert.objects.get(), verdict=Verdict.BENIGN, reason="x", by=SYSTEM, at=NOW + 17 * MINUTE
    )

    beat(NOW + 30 * MINUTE)
    silence.look(at=NOW + 31 * MINUTE)

    alert = Alert.objects.get()
    assert (alert.status, alert.episode) == (AlertStatus.DISMISSED, 1)


def test_never_heard_is_told_once_for_each_region_and_over_when_heard() -> None:
    make.account(regions=["eu-west-1", "eu-north-1"])
    make.account("444455556666", environment=Environment.SANDBOX, team="other")
    beat(NOW)
    silence.look(at=NOW)

    beat(NOW + 15 * MINUTE)
    assert silence.look(at=NOW + 16 * MINUTE).raised == 2
    found = {(a.account, a.region): a for a in Alert.objects.all()}
    assert {a.type for a in found.values()} == {"Quell:Intake/NeverHeard"}
    assert found[make.ACCOUNT, "eu-north-1"].severity == 80
    sandbox = found["444455556666", "eu-west-1"]
    assert (sandbox.severity, sandbox.team.slug) == (50, "other")

    beat(NOW + 17 * MINUTE, region="eu-north-1")
    assert silence.look(at=NOW + 18 * MINUTE).lifted == 1
    assert Alert.objects.get(region="eu-north-1").resolved_at == NOW + 17 * MINUTE


def test_nothing_is_expected_before_the_first_heartbeat_unless_set(settings: Any) -> None:
    make.account()
    silence.look(at=NOW)
    assert silence.look(at=NOW + timedelta(days=1)).moved == 0
    assert not Heard.objects.exists()

    settings.QUELL_EXPECT_HEARTBEAT = True
    silence.look(at=NOW)
    assert silence.look(at=NOW + 16 * MINUTE).raised == 1


def test_a_crash_between_mark_and_alarm_loses_neither(monkeypatch: pytest.MonkeyPatch) -> None:
    make.account()
    beat(NOW)
    silence.look(at=NOW)
    with monkeypatch.context() as patched:
        patched.setattr(ingest, "receive_drafts", lambda **_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            silence.look(at=NOW + 16 * MINUTE)
    assert Heard.objects.get().alarmed_at is None

    assert silence.look(at=NOW + 17 * MINUTE).raised == 1
    assert Alert.objects.count() == 1


def test_a_region_that_nobody_named_is_told_of_once() -> None:
    make.account()
    beat(NOW)
    beat(NOW, region="ap-southeast-3")
    beat(NOW, region="us-east-1")

    assert silence.look(at=NOW).regions == 1
    assert silence.look(at=NOW + MINUTE).moved == 0
    alert = Alert.objects.get()
    assert (alert.type, alert.region) == ("Quell:Intake/NewRegion", "ap-southeast-3")


def test_what_is_no_longer_expected_is_over() -> None:
    account = make.account()
    beat(NOW)
    silence.look(at=NOW)
    silence.look(at=NOW + 16 * MINUTE)
    account.regions = ["eu-central-1"]
    account.save()

    assert silence.look(at=NOW + 17 * MINUTE).lifted == 1
    assert Alert.objects.get(region="eu-west-1", type="Quell:Intake/FellSilent").resolved_at is not None


def test_an_alarm_of_our_own_is_not_taken_for_a_voice() -> None:
    make.account()
    beat(NOW)
    silence.look(at=NOW)
    silence.look(at=NOW + 16 * MINUTE)

    assert set(Heard.objects.values_list("source", flat=True)) == {"heartbeat"}


def test_many_accounts_cost_few_queries(django_assert_max_num_queries: Any) -> None:
    regions = [f"eu-test-{n}" for n in range(10)] + [f"ap-test-{n}" for n in range(5)]
    for number in range(200):
        make.account(f"{number:012d}", regions=regions)
    beat(NOW, account="0" * 12, region="eu-test-1")

    with django_assert_max_num_queries(60):
        silence.look(at=NOW)
    assert Heard.objects.count() == 3000
    with django_assert_max_num_queries(8):
        silence.look(at=NOW + MINUTE)
    with django_assert_max_num_queries(30 * 15):
        silence.look(at=NOW + 16 * MINUTE)
    assert Alert.objects.count() == 3000
