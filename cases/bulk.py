"""One verb for many alerts: what can be done is done, what cannot is counted and said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from cases import access, triage
from cases.models import Alert, Incident
from cases.words import Verdict
from identity.actors import Actor
from identity.permissions import Permission
from lib.errors import AppError, Invalid


@dataclass(frozen=True, kw_only=True)
class Take:
    """Make them mine."""

    past: str = "Taken"


@dataclass(frozen=True, kw_only=True)
class Dismiss:
    """Close them with one verdict."""

    verdict: Verdict
    reason: str
    past: str = "Dismissed"


@dataclass(frozen=True, kw_only=True)
class Escalate:
    """Put them into one incident; None opens a new one."""

    incident: Incident | None
    past: str = "Escalated"


Verb = Take | Dismiss | Escalate


@dataclass(frozen=True, kw_only=True)
class Done:
    """How many were changed, why others were not, and the incident they are in now."""

    past: str
    count: int
    left: dict[str, int] = field(default_factory=dict)
    incident: Incident | None = None

    @property
    def sentence(self) -> str:
        """`Dismissed 125 of 128. 3: It has changed meanwhile.`"""
        total = self.count + sum(self.left.values())
        if not self.left:
            return f"{self.past} {self.count}."
        reasons = " ".join(f"{number}: {reason}" for reason, number in self.left.items())
        return f"{self.past} {self.count} of {total}. {reasons}"


def apply(*, actor: Actor, ulids: Sequence[str], verb: Verb, at: datetime) -> Done:
    """Do it to each alert that allows it. Escalation is one step: all go into one incident, or none.

    Raises `Invalid` when nothing was chosen, and for escalation whatever `triage.escalate` raises.
    """
    if not ulids:
        raise Invalid("Select at least one alert.")
    if isinstance(verb, Escalate):
        return _escalate(actor=actor, ulids=ulids, verb=verb, at=at)
    left: Counter[str] = Counter()
    count = 0
    for ulid in ulids:
        try:
            alert = access.alert_for(actor, ulid, permission=Permission.TRIAGE_ALERTS)
            _one(alert, verb=verb, actor=actor, at=at)
            count += 1
        except AppError as refused:
            left[refused.detail] += 1
    return Done(past=verb.past, count=count, left=dict(left))


def _one(alert: Alert, *, verb: Take | Dismiss, actor: Actor, at: datetime) -> None:
    if isinstance(verb, Take):
        triage.acknowledge(alert=alert, by=actor, at=at)
        return
    triage.dismiss(alert=alert, verdict=verb.verdict, reason=verb.reason, by=actor, at=at)


def _escalate(*, actor: Actor, ulids: Sequence[str], verb: Escalate, at: datetime) -> Done:
    alerts = [access.alert_for(actor, ulid, permission=Permission.TRIAGE_ALERTS) for ulid in ulids]
    incident = triage.escalate(alerts=alerts, incident=verb.incident, by=actor, at=at)
    return Done(past=verb.past, count=len(alerts), incident=incident)
