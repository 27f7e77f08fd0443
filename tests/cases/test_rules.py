"""Triage rules and the sweep that applies them to what is due."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection

from audit.models import AuditEvent
from cases import rules, sweeps, triage
from cases.models import Alert, Incident, TriageRule
from cases.words import Verdict
from identity.actors import Actor
from lib import clock
from lib.errors import Invalid
from tests import make

pytestmark = [pytest.mark.fast, pytest.mark.django_db]

KEY = [{"type": "access_key", "id": "AKIAQUELLTESTKEY0001", "arn": "", "role": "target"}]
HOST = [{"type": "instance", "id": "i-0abc123def4567890", "arn": "", "role": "target"}]


def rule(**values: Any) -> TriageRule:
    given = {"window": timedelta(hours=24), "is_on": True, "min_severity": 70, **values}
    number = TriageRule.objects.count()
    return TriageRule.objects.create(name=f"rule {number}", team=make.team(), **given)


def due(**values: Any) -> Alert:
    at = clock.now()
    return make.alert(**{"due_at": at, "resources": KEY, **values})


def test_a_fitting_alert_opens_an_incident_that_nobody_has_acknowledged() -> None:
    rule()
    alert = due()

    assert sweeps.sweep_alerts() == 1

    incident = Incident.objects.get()
    alert.refresh_from_db()
    assert (alert.incident_id, alert.status, alert.due_at) == (incident.pk, "escalated", None)
    assert (incident.detected_at, incident.first_ioc_at) == (alert.detected_at, alert.first_seen_at)
    assert (incident.received_at, incident.acknowledged_at) == (alert.received_at, None)
    assert incident.kind == "compromised_credentials"
    assert AuditEvent.objects.filter(act="rule.applied").exists()
    assert sweeps.sweep_alerts() == 0


def test_alerts_about_the_same_thing_join_within_the_window() -> None:
    rule(window=timedelta(hours=2))
    now = clock.now()
    due(at=now - timedelta(minutes=90))
    due(at=now)
    due(at=now - timedelta(hours=9))
    due(at=now, resources=HOST)
    due(at=now, account="999988887777")

    sweeps.sweep_alerts()

    sizes = sorted(incident.alerts.count() for incident in Incident.objects.all())
    assert sizes == [1, 1, 1, 2]


def test_a_closed_incident_is_joined_by_nothing(analyst: Actor) -> None:
    rule()
    due()
    sweeps.sweep_alerts()
    triage.close(
        incident=Incident.objects.get(),
        verdict=Verdict.BENIGN,
        resolution="x",
        by=analyst,
        at=clock.now(),
    )

    due()
    sweeps.sweep_alerts()

    assert Incident.objects.count() == 2


@pytest.mark.parametrize(
    ("rule_values", "alert_values"),
    [
        ({"is_on": False}, {}),
        ({"min_severity": 90}, {"severity": 89}),
        ({"source": "splunk"}, {}),
        ({"type": "Recon:*"}, {}),
        ({"type": "UnauthorizedAccess:IAMUser/InstanceCredentialExfiltration"}, {}),
        ({}, {"is_sample": True}),
        ({}, {"is_archived": True}),
        ({}, {"status": "acknowledged"}),
        ({}, {"team": "other"}),
    ],
)
def test_what_does_not_fit_is_left_alone(rule_values: dict[str, Any], alert_values: dict[str, Any]) -> None:
    rule(**rule_values)
    alert = due(**alert_values)

    assert sweeps.sweep_alerts() == 1

    alert.refresh_from_db()
    assert (alert.incident_id, alert.due_at) == (None, None)
    assert not Incident.objects.exists()


@pytest.mark.parametrize("kind", ["UnauthorizedAccess:*", "*", ""])
def test_a_type_may_end_in_a_star_or_be_empty(kind: str) -> None:
    assert rules.fits(rule(type=kind), make.alert())


def test_what_is_not_due_yet_waits() -> None:
    rule()
    due(due_at=clock.now() + timedelta(minutes=5))

    assert sweeps.sweep_alerts() == 0


def test_an_alert_that_changed_teaches_its_incident(analyst: Actor) -> None:
    at = clock.now()
    alert = make.alert(at=at)
    incident = triage.escalate(alerts=[alert], incident=None, by=analyst, at=at)
    earlier = at - timedelta(days=2)
    Alert.objects.filter(pk=alert.pk).update(first_seen_at=earlier, due_at=at)

    assert sweeps.sweep_alerts() == 1

    incident.refresh_from_db()
    assert incident.first_ioc_at == earlier


def test_one_that_fails_holds_up_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    rule()
    bad, good = due(title="bad"), due(title="good", resources=HOST)
    whole = rules.apply

    def apply(*, alert: Alert, by: Actor, at: datetime) -> Incident | None:
        if alert.pk == bad.pk:
            raise RuntimeError("planted")
        return whole(alert=alert, by=by, at=at)

    monkeypatch.setattr(rules, "apply", apply)

    assert sweeps.sweep_alerts() == 1

    bad.refresh_from_db()
    good.refresh_from_db()
    assert good.incident_id is not None
    assert bad.incident_id is None
    assert bad.due_at is not None
    assert bad.due_at > clock.now()


@pytest.mark.django_db(transaction=True)
def test_two_sweeps_at_once_open_one_incident_for_one_thing() -> None:
    rule()
    for _ in range(8):
        due()
    for _ in range(4):
        due(resources=HOST)
    counts: list[int] = []
    failures: list[BaseException] = []
    barrier = threading.Barrier(3)

    def run() -> None:
        try:
            barrier.wait(10)
            counts.append(sweeps.sweep_alerts())
        except BaseException as failure:  # noqa: BLE001 - handed to the test
            failures.append(failure)
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert failures == []
    assert sorted(incident.alerts.count() for incident in Incident.objects.all()) == [4, 8]
    assert sum(counts) == 12
    assert not Alert.objects.filter(due_at__isnull=False).exists()
    refs = sorted(Incident.objects.values_list("ref", flat=True))
    assert [int(ref.rsplit("-", maxsplit=1)[-1]) for ref in refs] == [1, 2]


@pytest.mark.django_db(transaction=True)
def test_references_have_no_gaps_and_no_doubles_whoever_draws_them() -> None:
    team, by = make.team(), make.person("analyst")
    failures: list[BaseException] = []
    barrier = threading.Barrier(5)

    def run(number: int) -> None:
        try:
            barrier.wait(10)
            for turn in range(4):
                alerts = [make.alert(team="other")] if (number + turn) % 3 == 0 else []
                try:  # every third one fails after it has drawn its number
                    triage.open_incident(
                        title="x", severity=1, team=team, by=by, at=clock.now(), alerts=alerts
                    )
                except Invalid:
                    continue
        except BaseException as failure:  # noqa: BLE001 - handed to the test
            failures.append(failure)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert failures == []
    numbers = sorted(int(ref.rsplit("-", 1)[-1]) for ref in Incident.objects.values_list("ref", flat=True))
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) in (13, 14)
