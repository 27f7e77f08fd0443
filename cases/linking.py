"""Alerts and the incident they belong to: putting them in, and what the incident learns from them.

Locks are taken in one order everywhere, so that nobody waits in a circle: team, incident, alerts,
ledger. Callers change the incident's row before they come here.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db.models import Max, Min

from cases import milestones, timeline
from cases.correlation import is_sequence
from cases.models import Alert, Incident, Milestone
from cases.priority import priority_of
from cases.words import AlertStatus, Band, MilestoneKind, MilestoneSource
from estate.queries import account_of
from identity.actors import Actor
from lib.errors import Conflict, Invalid

OPEN = (AlertStatus.NEW, AlertStatus.ACKNOWLEDGED)


def link(*, incident: Incident, alerts: Sequence[Alert], by: Actor, at: datetime) -> list[Alert]:
    """Put open alerts into an incident, with their timeline entries; those that were not yet in it.

    In the caller's transaction. Raises `Conflict` when one is in another incident, dismissed, or was
    changed by someone faster, and `Invalid` when one is of another team: then nothing is put in.
    """
    linked: list[Alert] = []
    for alert in sorted(alerts, key=lambda one: one.pk):
        if alert.team_id != incident.team_id:
            raise Invalid("An incident holds alerts of its own team only.", pointer="/alerts")
        if alert.status == AlertStatus.ESCALATED and alert.incident_id == incident.pk:
            continue
        _take_in(alert, incident=incident, by=by, at=at)
        linked.append(alert)
    for alert in linked:
        timeline.add(
            incident=incident,
            kind="alert",
            at=alert.first_seen_at or alert.detected_at,
            title=alert.title,
            detail=alert.summary,
            by=by,
            recorded_at=at,
            links={"alert": alert.ulid},
            techniques=alert.techniques,
        )
    return linked


def _take_in(alert: Alert, *, incident: Incident, by: Actor, at: datetime) -> None:
    values: dict[str, Any] = {
        "status": AlertStatus.ESCALATED,
        "incident": incident,
        "updated_at": at,
        # An attack sequence has yet to pull in what it names (`cases.rules.gather`).
        "due_at": at if is_sequence(alert) else None,
    }
    if by.kind == "person" and alert.acknowledged_at is None:
        values |= {"acknowledged_at": at, "assignee_id": alert.assignee_id or by.person_id}
    held = Alert.objects.filter(pk=alert.pk, status__in=OPEN, episode=alert.episode)
    if alert.status not in OPEN or held.update(**values) != 1:
        raise Conflict("This alert is in an incident, was dismissed, or has changed meanwhile.")
    for name, value in values.items():
        setattr(alert, name, value)


def learn(*, incident: Incident, by: Actor, at: datetime) -> None:
    """Set from the incident's alerts what they know best: first sign, detection, receipt, severity.

    In the caller's transaction. A time only ever moves earlier, and never over what a person said.
    """
    inside = incident.alerts.filter(status=AlertStatus.ESCALATED)
    known = inside.aggregate(
        first_ioc_at=Min("first_seen_at"), detected_at=Min("detected_at"), received_at=Min("received_at")
    )
    for kind in (MilestoneKind.FIRST_IOC, MilestoneKind.DETECTED, MilestoneKind.RECEIVED):
        moment = known[kind.value]
        current = getattr(incident, kind.value)
        if moment is None or (current is not None and current <= moment) or _is_a_persons(incident, kind):
            continue
        milestones.record(
            incident=incident, kind=kind, at=moment, source=MilestoneSource.ALERT, by=by, recorded_at=at
        )
    _worsen(incident, inside.aggregate(worst=Max("severity"))["worst"] or 0)


def _worsen(incident: Incident, severity: int) -> None:
    """As bad as its worst alert, until a person has weighed it."""
    if incident.prioritised_at is not None or severity <= incident.severity:
        return
    values: dict[str, Any] = {
        "severity": severity,
        "severity_band": Band.of(severity),
        "highest_severity": max(severity, incident.highest_severity),
        "priority": priority_of(severity=severity, account=account_of(incident.account)),
    }
    Incident.objects.filter(pk=incident.pk).update(**values)
    for name, value in values.items():
        setattr(incident, name, value)


def _is_a_persons(incident: Incident, kind: MilestoneKind) -> bool:
    newest = Milestone.objects.filter(incident=incident, kind=kind).order_by("-pk").first()
    return newest is not None and newest.source == MilestoneSource.PERSON
