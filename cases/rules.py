"""Triage rules: which alerts open an incident by themselves, and which join one that is open."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db.models import F

from audit.record import record as audit
from cases import linking, triage
from cases.models import Alert, Incident, TriageRule
from cases.priority import kind_of
from cases.words import AlertStatus, Phase
from identity.actors import Actor
from identity.models import Team

CORRELATING = frozenset(
    {
        "access_key",
        "session_key",
        "user",
        "role",
        "role_session",
        "instance",
        "bucket",
        "function",
        "eks_cluster",
        "ecs_cluster",
        "db_instance",
    }
)
"""Kinds of resources by which two alerts are about one thing; interfaces and the like hang on these."""


def apply(*, alert: Alert, by: Actor, at: datetime) -> Incident | None:
    """Do to one due alert what the first fitting rule of its team says, in the caller's transaction.

    The incident that it opened or joined; None where no rule fits, or another worker was faster.
    Samples, archived findings and alerts that someone has in hand are left alone.
    """
    rule = _rule_for(alert)
    if rule is None:
        return None
    # Alerts of one team are looked at one after another: two of the same kind, at the same moment,
    # would otherwise each find no open incident.
    Team.objects.filter(pk=alert.team_id).update(name=F("name"))
    alert.refresh_from_db()
    if alert.status != AlertStatus.NEW:
        return None
    incident = _open_one(alert, rule)
    if incident is None:
        incident = triage.open_by_rule(alert=alert, kind=kind_of(alert.type), by=by, at=at)
    else:
        incident = triage.escalate(alerts=[alert], incident=incident, by=by, at=at)
    audit(
        act="rule.applied",
        by=by,
        at=at,
        on=("rule", rule.ulid),
        details={"alert": alert.ulid, "incident": incident.ref},
    )
    return incident


def fits(rule: TriageRule, alert: Alert) -> bool:
    """Whether a rule speaks of this alert; a type ending in `*` fits all that begin so."""
    if rule.source and rule.source != alert.source:
        return False
    if alert.severity < rule.min_severity:
        return False
    if rule.type.endswith("*"):
        return alert.type.startswith(rule.type[:-1])
    return rule.type in ("", alert.type)


def correlates(alert: Alert, other: Alert) -> bool:
    """Whether two alerts of one account are about the same principal or resource.

    Alerts without any resource that could tell are about the same when their type is.
    """
    if alert.account != other.account:
        return False
    mine, theirs = _subjects(alert), _subjects(other)
    return bool(mine & theirs) if mine or theirs else alert.type == other.type


def _rule_for(alert: Alert) -> TriageRule | None:
    if alert.status != AlertStatus.NEW or alert.is_sample or alert.is_archived:
        return None
    rules = TriageRule.objects.filter(team_id=alert.team_id, is_on=True).order_by("pk")
    return next((rule for rule in rules if fits(rule, alert)), None)


def _open_one(alert: Alert, rule: TriageRule) -> Incident | None:
    """The open incident, newest first, that holds an alert about the same thing within the window."""
    near = Alert.objects.filter(
        team_id=alert.team_id,
        account=alert.account,
        status=AlertStatus.ESCALATED,
        incident__is_exercise=False,
        detected_at__range=(alert.detected_at - rule.window, alert.detected_at + rule.window),
    ).exclude(incident__status=Phase.CLOSED)
    for other in near.select_related("incident").order_by("-detected_at", "-pk")[:500]:
        if correlates(alert, other):
            return other.incident
    return None


def _subjects(alert: Alert) -> set[tuple[Any, Any]]:
    pairs = {(one.get("type"), one.get("id")) for one in alert.resources if isinstance(one, dict)}
    return {pair for pair in pairs if pair[0] in CORRELATING}


def relearn(*, alert: Alert, by: Actor, at: datetime) -> None:
    """Let an open incident learn from an alert of its own that has changed, in the caller's transaction."""
    incident = alert.incident
    if alert.status != AlertStatus.ESCALATED or incident is None:
        return
    if Incident.objects.filter(pk=incident.pk).exclude(status=Phase.CLOSED).update(updated_at=at):
        incident.refresh_from_db()
        linking.learn(incident=incident, by=by, at=at)
