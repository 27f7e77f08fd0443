"""What people do with alerts and incidents, and what each deed leaves behind."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

import pytest
from django.db import transaction

from audit.models import AuditEvent
from cases import milestones, triage
from cases.models import Alert, Incident, Milestone
from cases.words import AlertStatus, Band, MilestoneKind, MilestoneSource, Phase, Verdict
from estate.models import Environment
from identity.actors import SYSTEM, Actor, system
from identity.models import Person
from lib import clock
from lib.errors import Conflict, Invalid
from tests import make

pytestmark = [pytest.mark.fast, pytest.mark.django_db]


def human(actor: Actor) -> Person:
    return Person.objects.get(ulid=actor.person_ulid)


def acts(ref: str) -> list[str]:
    return list(AuditEvent.objects.filter(object_id=ref).order_by("seq").values_list("act", flat=True))


def told(incident: Incident) -> list[str]:
    return list(incident.timeline.order_by("pk").values_list("kind", flat=True))


class TestAlerts:
    def test_taking_an_alert_makes_it_mine(self, analyst: Actor) -> None:
        alert, at = make.alert(), clock.now()

        triage.acknowledge(alert=alert, by=analyst, at=at)

        alert.refresh_from_db()
        assert (alert.status, alert.assignee_id, alert.acknowledged_at) == (
            "acknowledged",
            analyst.person_id,
            at,
        )
        assert acts(alert.ulid) == ["alert.acknowledged"]

    def test_taking_it_again_changes_nothing_and_another_is_too_late(
        self, analyst: Actor, responder: Actor
    ) -> None:
        alert, at = make.alert(), clock.now()
        stale = Alert.objects.get(pk=alert.pk)
        triage.acknowledge(alert=alert, by=analyst, at=at)

        triage.acknowledge(alert=alert, by=analyst, at=at + timedelta(minutes=1))
        for late in (stale, Alert.objects.get(pk=alert.pk)):
            with pytest.raises(Conflict):
                triage.acknowledge(alert=late, by=responder, at=at)

        alert.refresh_from_db()
        assert (alert.acknowledged_at, alert.assignee_id) == (at, analyst.person_id)

    def test_a_dismissal_needs_no_incident_and_can_be_undone(self, analyst: Actor) -> None:
        alert, at = make.alert(due_at=clock.now()), clock.now()

        triage.dismiss(alert=alert, verdict=Verdict.BENIGN, reason="planned test", by=analyst, at=at)

        alert.refresh_from_db()
        assert (alert.status, alert.verdict, alert.verdict_reason) == ("dismissed", "benign", "planned test")
        assert (alert.acknowledged_at, alert.due_at) == (at, None)
        with pytest.raises(Conflict):
            triage.dismiss(alert=alert, verdict=Verdict.DUPLICATE, reason="", by=analyst, at=at)
        with pytest.raises(Conflict):
            triage.escalate(alerts=[alert], incident=None, by=analyst, at=at)

        triage.restore(alert=alert, by=analyst, at=at)

        alert.refresh_from_db()
        assert (alert.status, alert.verdict) == ("acknowledged", "")
        assert acts(alert.ulid) == ["alert.dismissed", "alert.restored"]

    def test_an_alert_of_an_earlier_episode_is_not_changed(self, analyst: Actor) -> None:
        alert = make.alert()
        Alert.objects.filter(pk=alert.pk).update(episode=2)

        with pytest.raises(Conflict):
            triage.dismiss(alert=alert, verdict=Verdict.BENIGN, reason="", by=analyst, at=clock.now())


class TestEscalation:
    def test_an_incident_takes_name_weight_and_times_from_its_alerts(self, analyst: Actor) -> None:
        make.account(environment=Environment.PRODUCTION)
        at = clock.now()
        older = make.alert(severity=50, at=at - timedelta(hours=2), acknowledged_at=at - timedelta(hours=1))
        worse = make.alert(severity=92, at=at - timedelta(hours=1), title="Credentials used outside")

        incident = triage.escalate(alerts=[worse, older], incident=None, by=analyst, at=at)

        incident.refresh_from_db()
        assert re.fullmatch(r"INC-\d{4}-\d{4,}", incident.ref)
        assert (incident.title, incident.severity, incident.priority) == ("Credentials used outside", 92, 1)
        assert (incident.kind, incident.account) == ("compromised_credentials", make.ACCOUNT)
        assert incident.owner_id == analyst.person_id
        assert incident.detected_at == older.detected_at
        assert incident.first_ioc_at == older.first_seen_at
        assert incident.received_at == older.received_at
        assert incident.acknowledged_at == at - timedelta(hours=1)
        assert incident.prioritised_at is None
        statuses = set(incident.alerts.values_list("status", flat=True))
        assert statuses == {"escalated"}
        assert told(incident).count("alert") == 2
        assert acts(incident.ref)[-1] == "incident.opened"

    def test_a_rule_opens_without_a_person_and_who_takes_it_acknowledges(self, analyst: Actor) -> None:
        at = clock.now()
        incident = triage.open_by_rule(alert=make.alert(), kind="crypto_mining", by=system("rule"), at=at)
        assert (incident.acknowledged_at, incident.owner_id) == (None, None)

        triage.assign(
            incident=incident,
            person=human(analyst),
            by=analyst,
            at=at + timedelta(minutes=4),
        )

        incident.refresh_from_db()
        assert incident.acknowledged_at == at + timedelta(minutes=4)
        assert incident.owner_id == analyst.person_id

    def test_being_given_an_incident_is_not_taking_it(self, analyst: Actor, lead: Actor) -> None:
        at = clock.now()
        incident = triage.open_by_rule(alert=make.alert(), kind="", by=SYSTEM, at=at)

        triage.assign(incident=incident, person=human(analyst), by=lead, at=at)

        incident.refresh_from_db()
        assert (incident.owner_id, incident.acknowledged_at) == (analyst.person_id, None)

    def test_only_people_of_the_team_can_own_it(self, lead: Actor, outsider: Actor) -> None:
        incident = make.incident()

        with pytest.raises(Invalid):
            triage.assign(
                incident=incident,
                person=human(outsider),
                by=lead,
                at=clock.now(),
            )

    def test_a_late_older_alert_moves_the_start_earlier_as_a_new_statement(self, analyst: Actor) -> None:
        at = clock.now()
        incident = triage.escalate(alerts=[make.alert(at=at)], incident=None, by=analyst, at=at)
        older = make.alert(at=at - timedelta(days=1))

        triage.escalate(alerts=[older], incident=incident, by=analyst, at=at)

        incident.refresh_from_db()
        assert incident.detected_at == older.detected_at
        stated = Milestone.objects.filter(incident=incident, kind=MilestoneKind.DETECTED).order_by("pk")
        assert [m.at for m in stated] == [at, older.detected_at]
        assert stated[1].supersedes == stated[0]

    def test_what_a_person_said_is_not_moved_by_an_alert(self, analyst: Actor, lead: Actor) -> None:
        at = clock.now()
        incident = triage.escalate(alerts=[make.alert(at=at)], incident=None, by=analyst, at=at)
        with transaction.atomic():
            milestones.record(
                incident=incident,
                kind=MilestoneKind.FIRST_IOC,
                at=at - timedelta(hours=1),
                source=MilestoneSource.PERSON,
                by=lead,
                recorded_at=at,
                reason="seen in the logs",
            )

        triage.escalate(alerts=[make.alert(at=at - timedelta(days=3))], incident=incident, by=analyst, at=at)

        incident.refresh_from_db()
        assert incident.first_ioc_at == at - timedelta(hours=1)

    def test_alerts_of_two_teams_go_into_no_incident_together(self, analyst: Actor) -> None:
        ours, theirs = make.alert(), make.alert(team="other")

        with pytest.raises(Invalid):
            triage.escalate(alerts=[ours, theirs], incident=None, by=analyst, at=clock.now())

        assert not Incident.objects.exists()
        assert Alert.objects.filter(status=AlertStatus.NEW).count() == 2

    def test_an_alert_goes_into_one_incident_once(self, analyst: Actor) -> None:
        at, alert = clock.now(), make.alert()
        stale = Alert.objects.get(pk=alert.pk)
        incident = triage.escalate(alerts=[alert], incident=None, by=analyst, at=at)

        triage.escalate(alerts=[alert], incident=incident, by=analyst, at=at)
        with pytest.raises(Conflict):
            triage.escalate(alerts=[stale], incident=None, by=analyst, at=at)

        assert Incident.objects.count() == 1
        assert told(incident).count("alert") == 1

    def test_nothing_goes_into_a_closed_incident(self, analyst: Actor) -> None:
        incident = make.incident(status=Phase.CLOSED)

        with pytest.raises(Conflict):
            triage.escalate(alerts=[make.alert()], incident=incident, by=analyst, at=clock.now())

    def test_an_incident_of_sample_findings_is_a_drill(self, analyst: Actor) -> None:
        incident = triage.escalate(
            alerts=[make.alert(is_sample=True)], incident=None, by=analyst, at=clock.now()
        )

        assert incident.is_exercise

    def test_worse_alerts_raise_the_severity_until_a_person_has_weighed_it(self, analyst: Actor) -> None:
        at = clock.now()
        incident = triage.open_by_rule(alert=make.alert(severity=50), kind="", by=SYSTEM, at=at)
        triage.escalate(alerts=[make.alert(severity=80)], incident=incident, by=analyst, at=at)
        assert (incident.severity, incident.severity_band) == (80, Band.HIGH)

        triage.set_severity(incident=incident, severity=40, by=analyst, at=at)
        triage.escalate(alerts=[make.alert(severity=95)], incident=incident, by=analyst, at=at)

        incident.refresh_from_db()
        assert (incident.severity, incident.highest_severity) == (40, 80)

    def test_opening_by_hand_is_acknowledged_weighed_and_detected(self, analyst: Actor) -> None:
        at = clock.now()

        incident = triage.open_incident(title="A call", severity=70, team=make.team(), by=analyst, at=at)

        incident.refresh_from_db()
        assert {incident.acknowledged_at, incident.prioritised_at, incident.detected_at} == {at}
        assert incident.first_ioc_at is None


class TestWeight:
    def test_setting_severity_again_prioritises_once(self, analyst: Actor) -> None:
        at, incident = clock.now(), make.incident(severity=80)

        triage.set_severity(incident=incident, severity=95, by=analyst, at=at)
        triage.set_severity(incident=incident, severity=20, by=analyst, at=at + timedelta(hours=1))

        incident.refresh_from_db()
        assert (incident.severity, incident.highest_severity, incident.severity_band) == (20, 95, "low")
        assert incident.prioritised_at == at
        assert told(incident).count("severity") == 2

    @pytest.mark.parametrize(
        ("environment", "is_critical", "severity", "priority"),
        [
            (Environment.PRODUCTION, False, 95, 1),
            (Environment.PRODUCTION, False, 80, 2),
            (Environment.PRODUCTION, True, 80, 1),
            (Environment.SANDBOX, False, 95, 3),
            (Environment.SANDBOX, False, 10, 4),
            (Environment.MANAGEMENT, True, 95, 1),
        ],
    )
    def test_priority_comes_from_the_matrix(
        self, analyst: Actor, environment: Environment, is_critical: bool, severity: int, priority: int
    ) -> None:
        make.account(environment=environment, is_critical=is_critical)
        incident = make.incident()

        triage.set_severity(incident=incident, severity=severity, by=analyst, at=clock.now())

        incident.refresh_from_db()
        assert incident.priority == priority


def at_phases(incident: Incident, by: Actor, start: datetime, *phases: Phase) -> None:
    for number, phase in enumerate(phases):
        triage.move_phase(incident=incident, to=phase, by=by, at=start + timedelta(hours=number))


class TestPhases:
    def test_leaving_eradication_and_recovery_forwards_states_them(self, analyst: Actor) -> None:
        start, incident = clock.now(), make.incident()

        at_phases(
            incident, analyst, start, Phase.CONTAINMENT, Phase.ERADICATION, Phase.RECOVERY, Phase.REVIEW
        )

        incident.refresh_from_db()
        assert incident.contained_at is None
        assert incident.eradicated_at == start + timedelta(hours=2)
        assert incident.recovered_at == start + timedelta(hours=3)

    def test_skipping_a_phase_states_nothing_about_it(self, analyst: Actor) -> None:
        incident = make.incident()

        at_phases(incident, analyst, clock.now(), Phase.REVIEW)

        incident.refresh_from_db()
        assert (incident.eradicated_at, incident.recovered_at) == (None, None)

    def test_going_back_is_recorded_and_takes_back_what_is_no_longer_so(self, analyst: Actor) -> None:
        start, incident = clock.now(), make.incident()
        at_phases(incident, analyst, start, Phase.ERADICATION, Phase.RECOVERY, Phase.REVIEW)

        triage.move_phase(
            incident=incident, to=Phase.CONTAINMENT, by=analyst, at=start, reason="a second key"
        )

        incident.refresh_from_db()
        assert (incident.status, incident.eradicated_at, incident.recovered_at) == ("containment", None, None)
        assert incident.timeline.filter(kind="phase").last().text.detail == "a second key"  # type: ignore[union-attr]

    def test_who_read_an_older_phase_is_told(self, analyst: Actor, responder: Actor) -> None:
        incident = make.incident()
        stale = Incident.objects.get(pk=incident.pk)
        at_phases(incident, analyst, clock.now(), Phase.CONTAINMENT)

        with pytest.raises(Conflict):
            triage.move_phase(incident=stale, to=Phase.REVIEW, by=responder, at=clock.now())

    def test_closing_needs_a_resolution_and_reopening_takes_it_back(self, analyst: Actor) -> None:
        at = clock.now()
        incident = make.incident(status=Phase.RECOVERY)
        with pytest.raises(Invalid):
            triage.close(incident=incident, verdict=Verdict.TRUE_POSITIVE, resolution=" ", by=analyst, at=at)

        triage.close(
            incident=incident, verdict=Verdict.TRUE_POSITIVE, resolution="key rotated", by=analyst, at=at
        )
        incident.refresh_from_db()
        assert (incident.status, incident.verdict) == ("closed", "true_positive")
        assert (incident.closed_at, incident.recovered_at) == (at, at)

        triage.move_phase(incident=incident, to=Phase.CONTAINMENT, by=analyst, at=at + timedelta(hours=1))
        incident.refresh_from_db()
        assert (incident.status, incident.verdict, incident.reopened) == ("containment", "", 1)
        assert (incident.closed_at, incident.recovered_at) == (None, None)

        triage.close(
            incident=incident,
            verdict=Verdict.BENIGN,
            resolution="a test",
            by=analyst,
            at=at + timedelta(hours=2),
        )
        incident.refresh_from_db()
        assert incident.closed_at == at + timedelta(hours=2)
        statements = Milestone.objects.filter(incident=incident, kind="closed_at").order_by("pk")
        assert [m.at for m in statements] == [at, None, at + timedelta(hours=2)]
        assert acts(incident.ref)[-1] == "incident.closed"

    def test_closing_by_the_phase_door_is_refused(self, analyst: Actor) -> None:
        with pytest.raises(Invalid):
            triage.move_phase(incident=make.incident(), to=Phase.CLOSED, by=analyst, at=clock.now())

    @pytest.mark.parametrize(
        "status", ["applying", "applied", "verified", "unknown", "approved", "reverting"]
    )
    def test_nothing_is_closed_over_a_containment_in_force(self, analyst: Actor, status: str) -> None:
        at, incident = clock.now(), make.incident()
        action = incident.actions.create(
            type="iam.deactivate-access-key",
            target={"account": make.ACCOUNT},
            category="technique",
            tier=0,
            status=status,
            requested_label="x",
            requested_at=at,
            updated_at=at,
        )
        for keep in ([], ["01ARZ3NDEKTSV4RRFFQ69G5FAV"]):
            with pytest.raises(Conflict, match=action.ulid):
                triage.close(
                    incident=Incident.objects.get(pk=incident.pk),
                    verdict=Verdict.TRUE_POSITIVE,
                    resolution="done",
                    by=analyst,
                    at=at,
                    keep=keep,
                    keep_reason="x",
                )
        incident.refresh_from_db()
        assert (incident.status, incident.closed_at) == ("triage", None)

        triage.close(
            incident=incident,
            verdict=Verdict.TRUE_POSITIVE,
            resolution="done",
            by=analyst,
            at=at,
            keep=[action.ulid],
            keep_reason="the key is deleted next week",
        )

        incident.refresh_from_db()
        assert incident.status == "closed"
        entry = incident.timeline.get(kind="kept")
        assert (entry.links, entry.text.detail) == ({"action": action.ulid}, "the key is deleted next week")

    @pytest.mark.parametrize(("category", "status"), [("evidence", "verified"), ("technique", "reverted")])
    def test_evidence_and_lifted_measures_keep_nothing_open(
        self, analyst: Actor, category: str, status: str
    ) -> None:
        at, incident = clock.now(), make.incident()
        incident.actions.create(
            type="x", target={}, category=category, tier=0, status=status, requested_label="x",
            requested_at=at, updated_at=at,
        )  # fmt: skip

        triage.close(incident=incident, verdict=Verdict.BENIGN, resolution="done", by=analyst, at=at)

        incident.refresh_from_db()
        assert incident.status == "closed"


def test_a_note_keeps_the_time_of_the_event_and_the_one_of_writing(analyst: Actor) -> None:
    at, incident = clock.now(), make.incident()

    entry = triage.note(
        incident=incident,
        text="Called the owner.\nShe knew nothing of it.",
        at=at - timedelta(hours=3),
        by=analyst,
        recorded_at=at,
    )

    entry.refresh_from_db()
    assert (entry.at, entry.recorded_at) == (at - timedelta(hours=3), at)
    assert (entry.text.title, entry.text.detail) == ("Called the owner.", "She knew nothing of it.")
    with pytest.raises(Invalid):
        triage.note(incident=incident, text="x", at=at + timedelta(hours=1), by=analyst, recorded_at=at)
