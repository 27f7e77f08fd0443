"""Triage rules: what is done by itself with alerts that fit, and what may never be.

Four effects, in this order, of each the first rule that fits: `adjust` shifts the severity, `route` gives
the alert to another team, `suppress` dismisses it for a time, `open` opens an incident or joins one.
`decide` works out the first three without the database; `apply` does the fourth.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db.models import F

from audit.record import record as audit
from cases import correlation, linking, triage
from cases.conditions import Conditions
from cases.correlation import correlates
from cases.enrichment import is_stale
from cases.models import Alert, Incident, TriageRule
from cases.priority import kind_of
from cases.words import AlertStatus, Band, Phase, RuleEffect, Verdict
from estate.models import Account
from estate.queries import account_of
from identity.actors import Actor
from identity.models import Team
from lib.errors import Invalid

__all__ = ["Decision", "Rulebook", "apply", "correlates", "decide", "fits", "may_automate", "relearn"]

log = logging.getLogger(__name__)

CRITICAL = 90
"""From here on no suppression acts unless its rule says that it means what is critical."""

HIGH = 70
"""Below it, what is over at its source and was touched by nobody is dismissed."""

MOST_TOLD = 20
RESOLVED = "Resolved at its source"
SETTLED = "settled"
"""What the notes call a dismissal because it was over at its source."""


def may_automate(alert: Alert) -> bool:
    """Whether anything may be done in AWS because of the alert without asking a person.

    Never for a sample, for what was archived at its source, for old news (received more than an hour
    after its last activity), or in an exercise.
    """
    is_drill = alert.incident is not None and alert.incident.is_exercise
    return not (alert.is_sample or alert.is_archived or is_drill or is_stale(alert))


# --- fitting -------------------------------------------------------------------------------------------


def fits(
    rule: TriageRule, alert: Alert, *, account: Account | None = None, severity: int | None = None
) -> bool:
    """Whether a rule speaks of this alert; a type ending in `*` fits all that begin so.

    `account` is the alert's, as the estate knows it; `severity` counts in place of the alert's own.
    A rule whose conditions cannot be read fits nothing.
    """
    conditions = _conditions(rule)
    return conditions is not None and fits_with(rule, conditions, alert, account=account, severity=severity)


def fits_with(
    rule: TriageRule,
    conditions: Conditions,
    alert: Alert,
    *,
    account: Account | None,
    severity: int | None = None,
) -> bool:
    """The same with conditions that were read before."""
    severity = alert.severity if severity is None else severity
    if rule.source and rule.source != alert.source:
        return False
    if not rule.min_severity <= severity <= rule.max_severity:
        return False
    if rule.type.endswith("*"):
        is_type = alert.type.startswith(rule.type[:-1])
    else:
        is_type = rule.type in ("", alert.type)
    return is_type and conditions.fit(alert, account=account)


def _conditions(rule: TriageRule) -> Conditions | None:
    try:
        return Conditions.of(rule.conditions)
    except Invalid as failure:
        log.warning("rule.unreadable", extra={"rule": rule.ulid, "reason": failure.detail})
        return None


class Rulebook:
    """The rules in force at a moment, by team and effect, each in its order. One question for all teams."""

    def __init__(self, teams: Iterable[int], *, at: datetime) -> None:
        self._rules: dict[tuple[int, str], list[tuple[TriageRule, Conditions]]] = {}
        for rule in _in_force(teams, at=at):
            if (conditions := _conditions(rule)) is not None:
                self._rules.setdefault((rule.team_id, rule.effect), []).append((rule, conditions))

    def first(
        self, effect: RuleEffect, alert: Alert, *, account: Account | None, severity: int | None = None
    ) -> TriageRule | None:
        """The first rule of this effect, of the alert's team, that fits."""
        for rule, conditions in self._rules.get((alert.team_id, effect), ()):
            if effect is RuleEffect.SUPPRESS and is_protected(alert) and not conditions.includes_critical:
                continue
            if fits_with(rule, conditions, alert, account=account, severity=severity):
                return rule
        return None


def _in_force(teams: Iterable[int], *, at: datetime) -> list[TriageRule]:
    """Those that are on and have not ended, in their order."""
    rules = TriageRule.objects.filter(team_id__in=list(teams), is_on=True).order_by("position", "pk")
    return [rule for rule in rules if rule.expires_at is None or at < rule.expires_at]


def is_protected(alert: Alert) -> bool:
    """Whether only a rule that says so may suppress it: what was told or is critical, and sequences."""
    return max(told_severity(alert), alert.severity) >= CRITICAL or correlation.is_sequence(alert)


def told_severity(alert: Alert) -> int:
    """The severity as it was told, before rules and people."""
    return alert.severity if alert.told_severity is None else alert.told_severity


def is_openable(alert: Alert) -> bool:
    """Whether an incident may be opened for it by itself."""
    return alert.status == AlertStatus.NEW and not alert.is_sample and not alert.is_archived


# --- deciding: adjust, route, suppress -----------------------------------------------------------------


@dataclass(kw_only=True)
class Decision:
    """What rules change in one alert: columns, the audit events that go with them, and the notes kept.

    `is_moved`: the alert is another team's now, whose own rules have yet to look at it.
    """

    values: dict[str, Any] = field(default_factory=dict)
    events: list[tuple[str, tuple[str, str], dict[str, Any]]] = field(default_factory=list)
    notes: list[dict[str, Any]] = field(default_factory=list)
    is_moved: bool = False

    @property
    def is_closed(self) -> bool:
        """Whether the alert is dismissed by it."""
        return self.values.get("status") == AlertStatus.DISMISSED

    def note(self, rule: TriageRule, alert: Alert, *, at: datetime, **more: Any) -> None:
        """Write down that a rule was applied: for the ledger, and for whoever looks at the alert."""
        told = {"rule": rule.ulid, "effect": rule.effect, "episode": alert.episode, "at": at.isoformat()}
        self.notes.append({**told, **more})
        self.events.append(
            ("rule.applied", ("rule", rule.ulid), {"alert": alert.ulid, "effect": rule.effect, **more})
        )


def decide(alert: Alert, *, account: Account | None, book: Rulebook, at: datetime) -> Decision:
    """What the rules of the alert's team change in it. Nothing where somebody has it in hand.

    Deciding again about an alert that was changed accordingly changes nothing.
    """
    decision = Decision()
    if alert.status != AlertStatus.NEW or alert.assignee_id is not None:
        return decision
    _adjust(alert, decision, account=account, book=book, at=at)
    if _route(alert, decision, account=account, book=book, at=at):
        return decision
    if not _settle(alert, decision, at=at):
        _suppress(alert, decision, account=account, book=book, at=at)
    return decision


def _adjust(
    alert: Alert, decision: Decision, *, account: Account | None, book: Rulebook, at: datetime
) -> None:
    """Shift what was told, never what was shifted. A severity that a person set stays as it is."""
    told = told_severity(alert)
    if alert.severity != _clamped(told + alert.severity_shift):
        return
    rule = book.first(RuleEffect.ADJUST, alert, account=account, severity=told)
    shift = rule.shift if rule is not None else 0
    if shift == alert.severity_shift:
        return
    before, severity = alert.severity, _clamped(told + shift)
    values = {
        "told_severity": told,
        "severity_shift": shift,
        "severity": severity,
        "severity_band": Band.of(severity),
    }
    decision.values |= values
    if rule is not None:
        decision.note(rule, alert, at=at, shift=shift, severity=severity, before=before)
    else:
        decision.events.append(("alert.unadjusted", ("alert", alert.ulid), {"from": before, "to": severity}))
    alert.severity, alert.severity_shift, alert.told_severity = severity, shift, told


def _route(
    alert: Alert, decision: Decision, *, account: Account | None, book: Rulebook, at: datetime
) -> bool:
    """Once in an episode, so that two teams never send an alert to and fro."""
    if _was(RuleEffect.ROUTE, alert):
        return False
    rule = book.first(RuleEffect.ROUTE, alert, account=account)
    if rule is None or rule.route_to_id in (None, alert.team_id):
        return False
    decision.values["team_id"] = rule.route_to_id
    decision.is_moved = True
    decision.note(rule, alert, at=at)
    return True


def _settle(alert: Alert, decision: Decision, *, at: datetime) -> bool:
    """Dismiss what is over at its source, below high, and was touched by nobody."""
    if alert.resolved_at is None or alert.acknowledged_at is not None or alert.severity >= HIGH:
        return False
    if correlation.is_sequence(alert) or _was(SETTLED, alert):
        return False
    decision.notes.append({"effect": SETTLED, "episode": alert.episode, "at": at.isoformat()})
    # It ended when its source said so: what happens after that is its next episode, however late we look.
    _dismiss(alert, decision, verdict=Verdict.BENIGN, reason=RESOLVED, at=min(at, alert.resolved_at))
    return True


def _suppress(
    alert: Alert, decision: Decision, *, account: Account | None, book: Rulebook, at: datetime
) -> None:
    rule = book.first(RuleEffect.SUPPRESS, alert, account=account)
    if rule is None or _was(RuleEffect.SUPPRESS, alert):  # a person has taken it back
        return
    _dismiss(alert, decision, verdict=Verdict.SUPPRESSED, reason=rule.reason, at=at)
    decision.values["suppressed_by_id"] = rule.pk
    decision.note(rule, alert, at=at)


def _dismiss(alert: Alert, decision: Decision, *, verdict: Verdict, reason: str, at: datetime) -> None:
    decision.values |= {
        "status": AlertStatus.DISMISSED,
        "verdict": verdict,
        "verdict_reason": reason[:500],
        "dismissed_at": at,
    }
    details = {"verdict": verdict.value, "episode": alert.episode}
    decision.events.append(("alert.dismissed", ("alert", alert.ulid), details))


def notes_of(alert: Alert, *, episode: int | None = None) -> list[dict[str, Any]]:
    """What rules were applied to an alert, oldest first; of one episode where asked for."""
    told = alert.context.get("rules") if isinstance(alert.context, dict) else None
    notes = [one for one in told if isinstance(one, dict)] if isinstance(told, list) else []
    return [one for one in notes if episode is None or one.get("episode") == episode]


def _was(effect: str, alert: Alert) -> bool:
    """Whether that was done to the alert in its present episode already."""
    return any(note.get("effect") == effect for note in notes_of(alert, episode=alert.episode))


def _clamped(severity: int) -> int:
    return min(max(severity, 0), 100)


# --- opening -------------------------------------------------------------------------------------------


def apply(*, alert: Alert, by: Actor, at: datetime) -> Incident | None:
    """Open or join an incident as the first fitting rule of the alert's team says.

    In the caller's transaction.

    The incident that it opened or joined; None where no rule fits, or another worker was faster.
    Samples, archived findings and alerts that someone has in hand are left alone.
    """
    rule = _open_rule_for(alert, at=at)
    if rule is None:
        return None
    _one_after_another(alert)
    if alert.status != AlertStatus.NEW:
        return None
    incident = correlation.open_incident_for(alert, window=rule.window, group_by=rule.group_by)
    if incident is None:
        incident = triage.open_by_rule(alert=alert, kind=kind_of(alert.type), by=by, at=at)
    else:
        incident = triage.escalate(alerts=[alert], incident=incident, by=by, at=at)
    details = {"alert": alert.ulid, "incident": incident.ref, "effect": RuleEffect.OPEN.value}
    audit(act="rule.applied", by=by, at=at, on=("rule", rule.ulid), details=details)
    note = {
        "rule": rule.ulid,
        "effect": RuleEffect.OPEN.value,
        "episode": alert.episode,
        "at": at.isoformat(),
        "incident": incident.ref,
    }
    context = {**alert.context, "rules": [*notes_of(alert), note][-MOST_TOLD:]}
    Alert.objects.filter(pk=alert.pk).update(context=context)
    return incident


def join(*, alert: Alert, incident: Incident, by: Actor, at: datetime) -> bool:
    """Put a new alert into the incident of the attack sequence that holds it; whether it was still free."""
    _one_after_another(alert)
    incident.refresh_from_db()
    if not is_openable(alert) or incident.status == Phase.CLOSED:
        return False
    triage.escalate(alerts=[alert], incident=incident, by=by, at=at)
    return True


def gather(*, alert: Alert, by: Actor, at: datetime) -> list[Alert]:
    """Pull into the open incident of an attack sequence the new alerts that it holds; which ones."""
    incident = alert.incident
    if incident is None or alert.status != AlertStatus.ESCALATED or not correlation.is_sequence(alert):
        return []
    Team.objects.filter(pk=alert.team_id).update(name=F("name"))
    incident.refresh_from_db()
    if incident.status == Phase.CLOSED:
        return []
    children = correlation.children_of(correlation.sequence_of(alert, incident))
    if children:
        triage.escalate(alerts=children, incident=incident, by=by, at=at)
    return children


def relearn(*, alert: Alert, by: Actor, at: datetime) -> None:
    """Let an open incident learn from an alert of its own that has changed, in the caller's transaction."""
    incident = alert.incident
    if alert.status != AlertStatus.ESCALATED or incident is None:
        return
    if Incident.objects.filter(pk=incident.pk).exclude(status=Phase.CLOSED).update(updated_at=at):
        incident.refresh_from_db()
        linking.learn(incident=incident, by=by, at=at)


def _open_rule_for(alert: Alert, *, at: datetime) -> TriageRule | None:
    if not is_openable(alert):
        return None
    account = account_of(alert.account) if alert.account else None
    return Rulebook([alert.team_id], at=at).first(RuleEffect.OPEN, alert, account=account)


def _one_after_another(alert: Alert) -> None:
    """Alerts of one team are looked at one after another: two of the same kind, at the same moment,
    would otherwise each find no open incident."""
    Team.objects.filter(pk=alert.team_id).update(name=F("name"))
    alert.refresh_from_db()
