"""What rules do by themselves: four effects, what they never touch, and that nothing is done twice."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit.models import AuditEvent
from cases import ingest, rules, sweeps
from cases.models import Alert, Incident, TriageRule
from cases.words import AlertStatus, RuleEffect, Verdict
from identity.actors import SYSTEM
from lib import clock
from tests import make
from tests.cases.test_ingest import finding, program

pytestmark = pytest.mark.django_db

KEY = [{"type": "access_key", "id": "AKIAQUELLTESTKEY0001", "arn": "", "role": "target"}]
SEQUENCE = "AttackSequence:IAM/CompromisedCredentials"
NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def due(**values: Any) -> Alert:
    return make.alert(**{"due_at": clock.now(), "resources": KEY, "severity": 50, **values})


def suppression(**values: Any) -> TriageRule:
    end = clock.now() + timedelta(days=9)
    given = {"effect": "suppress", "reason": "known scanner", "expires_at": end, "is_on": True}
    return make.rule(**{**given, **values})


def swept(*alerts: Alert) -> None:
    sweeps.sweep_alerts()
    for alert in alerts:
        alert.refresh_from_db()


@pytest.mark.fast
class TestSuppression:
    def test_dismisses_with_its_reason_and_says_so_on_the_alert(self) -> None:
        rule, alert = suppression(), due()

        swept(alert)

        assert (alert.status, alert.verdict) == (AlertStatus.DISMISSED, Verdict.SUPPRESSED)
        assert (alert.verdict_reason, alert.suppressed_by, alert.due_at) == ("known scanner", rule, None)
        assert [(note["rule"], note["effect"]) for note in alert.context["rules"]] == [
            (rule.ulid, "suppress")
        ]
        assert AuditEvent.objects.filter(act="alert.dismissed", object_id=alert.ulid).count() == 1
        assert AuditEvent.objects.filter(act="rule.applied", object_id=rule.ulid).count() == 1

    def test_leaves_what_is_critical_and_sequences_unless_it_says_so(self) -> None:
        suppression()
        critical, sequence = due(severity=95), due(severity=80, type=SEQUENCE)
        shifted = due(severity=60, told_severity=95, severity_shift=-35)
        swept(critical, sequence, shifted)
        assert {critical.status, sequence.status, shifted.status} == {AlertStatus.NEW}

        suppression(conditions={"includes_critical": True})
        Alert.objects.update(due_at=clock.now())
        swept(critical, sequence)

        assert {critical.verdict, sequence.verdict} == {Verdict.SUPPRESSED}

    @pytest.mark.parametrize(
        "values", [{"is_on": False}, {"expires_at": clock.now() - timedelta(minutes=1)}, {"team": "red"}]
    )
    def test_off_ended_or_foreign_it_does_nothing(self, values: dict[str, Any]) -> None:
        suppression(**values)
        alert = due()
        swept(alert)
        assert (alert.status, alert.due_at) == (AlertStatus.NEW, None)

    def test_leaves_alone_what_somebody_has_in_hand(self, analyst: Any) -> None:
        suppression()
        alert = due(assignee_id=analyst.person_id, acknowledged_at=clock.now())
        swept(alert)
        assert alert.status == AlertStatus.NEW

    def test_what_comes_after_its_end_is_the_next_episode(self) -> None:
        by = program()
        rule = suppression(expires_at=clock.now() + timedelta(hours=1))
        at = clock.now()
        ingest.receive(source="guardduty", body=json.dumps(finding(seen=at)).encode(), by=by, at=at)
        sweeps.sweep_alerts()
        assert Alert.objects.get().verdict == Verdict.SUPPRESSED

        later = at + timedelta(minutes=5)
        body = json.dumps(finding(seen=later, count=9)).encode()
        ingest.receive(source="guardduty", body=body, by=by, at=later)
        assert (Alert.objects.get().episode, Alert.objects.get().status) == (1, AlertStatus.DISMISSED)

        TriageRule.objects.filter(pk=rule.pk).update(expires_at=at - timedelta(seconds=1))
        later = at + timedelta(minutes=10)
        body = json.dumps(finding(seen=later, count=12)).encode()
        ingest.receive(source="guardduty", body=body, by=by, at=later)

        alert = Alert.objects.get()
        assert (alert.episode, alert.status, alert.verdict) == (2, AlertStatus.NEW, "")
        assert alert.suppressed_by is None


@pytest.mark.fast
class TestAdjustment:
    def test_shifts_once_however_often_it_is_looked_at(self) -> None:
        make.rule(effect="adjust", shift=-20, is_on=True)
        alert = due(severity=80, told_severity=80)
        for _ in range(3):
            Alert.objects.update(due_at=clock.now())
            swept(alert)

        assert (alert.severity, alert.told_severity, alert.severity_shift) == (60, 80, -20)
        assert alert.severity_band == "medium"
        assert AuditEvent.objects.filter(act="rule.applied").count() == 1

    def test_comes_before_the_others_and_is_taken_back_with_its_rule(self) -> None:
        raised = make.rule(effect="adjust", shift=25, is_on=True)
        make.rule(is_on=True, min_severity=70)
        alert, other = due(), due(resources=[], type="Recon:EC2/Portscan", severity=10)
        swept(alert, other)
        assert (alert.severity, alert.status) == (75, AlertStatus.ESCALATED)
        assert other.severity == 35

        TriageRule.objects.filter(pk=raised.pk).update(is_on=False)
        Alert.objects.update(due_at=clock.now())
        swept(other)

        assert (other.severity, other.severity_shift) == (10, 0)

    def test_two_sweeps_with_the_same_reading_shift_once(self) -> None:
        make.rule(effect="adjust", shift=-20, is_on=True)
        due(severity=80, told_severity=80)
        at = clock.now()
        first, second = sweeps._due(at), sweeps._due(at)

        assert sweeps._batch(first, at=at)[0] == 1
        assert sweeps._batch(second, at=at)[0] == 0

        assert Alert.objects.get().severity == 60


@pytest.mark.fast
class TestRouting:
    def test_moves_once_and_the_other_team_decides_next(self) -> None:
        red, blue = make.team("red"), make.team()
        make.rule(effect="route", route_to=red, is_on=True)
        make.rule(team="red", effect="route", route_to=blue, is_on=True)
        suppression(team="red", reason="red knows")
        alert = due()
        swept(alert)

        assert (alert.team, alert.due_at, alert.verdict_reason) == (red, None, "red knows")
        assert [note["effect"] for note in alert.context["rules"]] == ["route", "suppress"]
        Alert.objects.update(due_at=clock.now())
        swept(alert)
        assert alert.team == red

    def test_takes_nothing_along_that_only_the_first_team_may_know(self) -> None:
        secret = "only blue knows why"
        earlier = make.alert(
            resources=KEY,
            status="dismissed",
            verdict="benign",
            verdict_reason=secret,
            dismissed_at=clock.now(),
        )
        make.rule(effect="route", route_to=make.team("red"), is_on=True)
        alert = due()
        Alert.objects.filter(pk=alert.pk).update(fingerprint=earlier.fingerprint)
        swept(alert)
        assert alert.team.slug == "red"
        assert secret not in json.dumps(alert.context)


@pytest.mark.fast
class TestWhatIsOver:
    def test_below_high_and_untouched_it_is_dismissed(self, analyst: Any) -> None:
        over = clock.now() - timedelta(minutes=2)
        low, high = due(resolved_at=over), due(severity=80, resolved_at=over)
        held = due(resolved_at=over, assignee_id=analyst.person_id, acknowledged_at=over)
        swept(low, high, held)

        assert (low.verdict, low.verdict_reason) == (Verdict.BENIGN, "Resolved at its source")
        assert low.dismissed_at == over
        assert {high.status, held.status} == {AlertStatus.NEW}


@pytest.mark.fast
class TestAutomation:
    @pytest.mark.parametrize(
        ("values", "may"),
        [
            ({}, True),
            ({"is_sample": True}, False),
            ({"is_archived": True}, False),
            ({"received_at": clock.now() + timedelta(hours=2)}, False),
        ],
    )
    def test_is_for_what_is_real_and_fresh(self, values: dict[str, Any], may: bool) -> None:
        assert rules.may_automate(make.alert(**values)) is may

    def test_is_not_for_exercises(self) -> None:
        assert rules.may_automate(make.alert(incident=make.incident()))
        assert not rules.may_automate(make.alert(incident=make.incident(is_exercise=True)))

    def test_stale_ones_still_open_and_are_marked(self) -> None:
        make.rule(is_on=True)
        stale = due(at=clock.now() - timedelta(hours=5), received_at=clock.now())
        sample = due(is_sample=True, resources=[])
        swept(stale, sample)
        assert (stale.status, stale.context["stale"]) == (AlertStatus.ESCALATED, True)
        assert sample.status == AlertStatus.NEW


@pytest.mark.django_db(transaction=True)
def test_sweeps_at_once_apply_each_rule_once() -> None:
    make.rule(effect="adjust", shift=-20, is_on=True)
    red = make.team("red")
    make.rule(effect="route", route_to=red, is_on=True, type="Recon:*")
    suppression(type="Known:*")
    for _ in range(10):
        due(severity=80, told_severity=80)
        due(type="Recon:EC2/Portscan")
        due(type="Known:Scanner")
    failures: list[BaseException] = []
    barrier = threading.Barrier(2)

    def run() -> None:
        try:
            barrier.wait(10)
            sweeps.sweep_alerts()
        except BaseException as failure:  # noqa: BLE001 - handed to the test
            failures.append(failure)
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    Alert.objects.filter(due_at__isnull=False).update(due_at=clock.now())  # what was put off, if any
    sweeps.sweep_alerts()

    assert failures == []
    assert (
        list(Alert.objects.filter(type__startswith="Unauth").values_list("severity", flat=True)) == [60] * 10
    )
    assert Alert.objects.filter(team=red).count() == 10
    assert Alert.objects.filter(verdict=Verdict.SUPPRESSED).count() == 10
    told = AuditEvent.objects.filter(act="rule.applied")
    # Every alert was adjusted once, ten were routed and ten suppressed.
    assert [one.details["effect"] for one in told].count(RuleEffect.ROUTE) == 10
    assert [one.details["effect"] for one in told].count(RuleEffect.SUPPRESS) == 10
    assert [one.details["effect"] for one in told].count(RuleEffect.ADJUST) == 30


@pytest.mark.slow
def test_what_is_critical_overtakes_a_backlog_of_five_thousand() -> None:
    at = clock.now()
    one = due(severity=10, due_at=at - timedelta(hours=1))
    names = [
        f.attname
        for f in Alert._meta.concrete_fields
        if f.attname not in ("id", "ulid", "external_id", "finding_key")
    ]
    values = {name: getattr(one, name) for name in names}
    Alert.objects.bulk_create(
        [
            Alert(**{**values, "external_id": f"backlog-{n}", "finding_key": f"backlog-{n}"})
            for n in range(4_999)
        ],
        batch_size=500,
    )
    assert Alert.objects.filter(due_at__lte=at).count() == 5_000
    live = due(severity=95)
    make.rule(is_on=True, min_severity=90)

    now = clock.now()
    chosen = sweeps._due(now)
    assert chosen[0].pk == live.pk
    assert len(chosen) == sweeps.BATCH
    sweeps._batch(chosen, at=now)

    live.refresh_from_db()
    assert live.incident_id is not None
    assert Alert.objects.filter(due_at__isnull=False).count() == 5_001 - sweeps.BATCH


# --- in whatever order ---------------------------------------------------------------------------------

COMPARED = (
    "first_seen_at",
    "last_seen_at",
    "detected_at",
    "severity",
    "told_severity",
    "title",
    "is_archived",
    "is_sample",
    "episode",
    "status",
)
"""What must not depend on the order; `count` may, for sources that tell no number."""


def told(minute: int, **changes: Any) -> bytes:
    return json.dumps(finding(seen=NOON + timedelta(minutes=minute), count=minute + 1, **changes)).encode()


def relayed(body: bytes) -> bytes:
    envelope = {"detail-type": "GuardDuty Finding", "source": "aws.guardduty", "detail": json.loads(body)}
    return json.dumps(envelope).encode()


EVENTS = [
    told(0),
    told(3, severity=7.0, title="Worse"),
    told(6, severity=4.0, title="Calmer"),
    told(9, severity=8.0, title="Worst"),
    json.dumps(
        {"detail-type": "GuardDuty Finding", "source": "aws.guardduty", "detail": json.loads(told(12))}
    ).encode(),
    told(15, archived=True, title="Last"),
]


def state_after(events: list[bytes]) -> dict[str, Any]:
    with transaction.atomic():
        by = program()
        for number, body in enumerate(events):
            at = NOON + timedelta(minutes=30 + number)
            ingest.receive(source="auto", body=body, by=by, at=at)
        alert = Alert.objects.get()
        found = {name: getattr(alert, name) for name in COMPARED}
        found["resources"] = sorted(json.dumps(one, sort_keys=True) for one in alert.resources)
        found["count"] = alert.count
        transaction.set_rollback(True)
    return found


@pytest.mark.slow
@settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(order=st.permutations(range(len(EVENTS))), again=st.lists(st.integers(0, len(EVENTS) - 1), max_size=3))
def test_documents_in_any_order_and_repeated_end_alike(db: None, order: list[int], again: list[int]) -> None:
    wanted = state_after(EVENTS)
    assert (wanted["severity"], wanted["title"], wanted["is_archived"]) == (80, "Last", True)

    assert state_after([EVENTS[n] for n in (*order, *again)]) == wanted


@pytest.mark.fast
def test_nothing_opens_without_a_rule() -> None:
    alert = due(severity=95)
    swept(alert)
    assert rules.apply(alert=alert, by=SYSTEM, at=clock.now()) is None
    assert not Incident.objects.exists()
