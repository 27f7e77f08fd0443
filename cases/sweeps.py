"""The due work of the record: what intake leaves to be done after the answer.

Alerts are taken in batches. What rules leave alone is enriched and done in one transaction for all of
them; each of the others has its own. Every change is made only if the alert is still as it was read.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.db import transaction

from lib import clock, doorbell
from lib.errors import Conflict

if TYPE_CHECKING:  # the registry is not filled when this module is read
    from cases.correlation import Sequence as AttackSequence
    from cases.models import Alert
    from cases.rules import Decision

log = logging.getLogger(__name__)

SETTLED = "alerts-settled"
"""The bell of alerts that rules are done with: for whoever above waits for them."""

BATCH = 100
OVERTAKING = 75
"""How many in a batch may be severe ones; the oldest get the rest, and none waits for ever."""

SEVERE = 70
LATER = timedelta(minutes=1)
TICK = timedelta(microseconds=1)


@dataclass(frozen=True, kw_only=True)
class _Work:
    """One due alert, what changes in it, and whether an incident has to be looked at as well."""

    alert: Alert
    values: dict[str, Any]
    decision: Decision
    sequence: AttackSequence | None
    is_more: bool


def register() -> None:
    """Register the sweeps of this package. Called once, when the models are loaded."""
    doorbell.register(doorbell.Sweep(topic="alerts", queue="general", run=sweep_alerts))


def sweep_alerts() -> int:
    """Enrich every due alert and apply the rules to it; how many there were. Safe when run twice at once.

    An alert is claimed by clearing its `due_at`. One that fails is logged, put off by a minute and
    holds up no other.
    """
    done = 0
    while True:
        now = clock.now()
        claimed, moved = _batch(_due(now), at=now)
        done += claimed
        if claimed:
            doorbell.ring_now(SETTLED)
        if not claimed and not moved:
            return done


def _due(at: datetime) -> list[Alert]:
    """The next alerts: what is severe before what waits longer, but never only that."""
    from cases.models import Alert

    due = Alert.objects.filter(due_at__lte=at)
    first = due.filter(severity__gte=SEVERE).order_by("-severity", "due_at").values_list("pk", flat=True)
    rest = due.order_by("due_at", "pk").values_list("pk", flat=True)
    chosen = list(dict.fromkeys([*first[:OVERTAKING], *rest[:BATCH]]))[:BATCH]
    found = {alert.pk: alert for alert in due.select_related("incident", "team").filter(pk__in=chosen)}
    return [found[pk] for pk in chosen if pk in found]


def _batch(alerts: Sequence[Alert], *, at: datetime) -> tuple[int, int]:
    """Do the alerts; how many were done, and how many went on to another team and are due again."""
    work = _work(alerts, at=at)
    plain = [one for one in work if not one.is_more and not one.decision.events]
    other = [one for one in work if one.is_more or one.decision.events]
    claimed = _all_at_once(plain, at=at)
    claimed += sum(_one(one, at=at) for one in other if not one.decision.is_moved)
    return claimed, sum(_one(one, at=at) for one in other if one.decision.is_moved)


def _work(alerts: Sequence[Alert], *, at: datetime) -> list[_Work]:
    """What has to be done, worked out with few questions for all of them."""
    from cases import correlation, rules
    from cases.enrichment import Enricher

    if not alerts:
        return []
    teams = {alert.team_id for alert in alerts}
    enricher, book = Enricher(alerts, at=at), rules.Rulebook(teams, at=at)
    sequences = correlation.sequences(teams)
    work = []
    for alert in alerts:
        try:
            work.append(_work_on(alert, enricher, book, sequences, at=at))
        except Exception:  # one alert must not hold up the others, whatever is wrong with it
            log.exception("alert.sweep_failed", extra={"alert": alert.pk})
            _put_off(alert, at=at)
    return work


def _work_on(
    alert: Alert, enricher: Any, book: Any, sequences: Sequence[AttackSequence], *, at: datetime
) -> _Work:
    from cases import rules
    from cases.words import AlertStatus, RuleEffect

    account, found = enricher.account_of(alert), enricher.enrich(alert)
    read = {name: getattr(alert, name) for name in (*found.columns, "context")}
    for name, value in found.columns.items():
        setattr(alert, name, value)
    decision = rules.decide(alert, account=account, book=book, at=at)
    context = found.context
    if decision.is_moved:  # what one team knew is not told to the next, whose turn to look comes now
        context = {name: one for name, one in context.items() if name not in ("principal", "seen_before")}
    if notes := [*rules.notes_of(alert), *decision.notes][-rules.MOST_TOLD :]:
        context = {**context, "rules": notes}
    told = {**found.columns, "context": context}
    values = {name: value for name, value in told.items() if value != read[name]} | decision.values
    sequence, is_more = None, alert.status == AlertStatus.ESCALATED
    if rules.is_openable(alert) and not decision.is_moved and not decision.is_closed:
        sequence = next((one for one in sequences if one.holds(alert)), None)
        is_more = sequence is not None or book.first(RuleEffect.OPEN, alert, account=account) is not None
    return _Work(alert=alert, values=values, decision=decision, sequence=sequence, is_more=is_more)


def _all_at_once(work: Sequence[_Work], *, at: datetime) -> int:
    """Alerts that need no more than their own columns, in the order in which everybody locks rows."""
    try:
        with transaction.atomic():
            return sum(_write(one, at=at) for one in sorted(work, key=lambda one: one.alert.pk))
    except Exception:  # whichever it was, it shows itself when they are done one by one
        log.exception("alerts.sweep_failed", extra={"alerts": len(work)})
        return sum(_one(one, at=at) for one in work)


def _one(work: _Work, *, at: datetime) -> bool:
    """Do one alert; whether it was ours to do."""
    try:
        with transaction.atomic():
            if not _write(work, at=at):
                return False
        return not work.is_more or _do(work, at=at)
    except Conflict:  # a person was faster; if there is still something to do, it is still due
        return False
    except Exception:  # as above
        log.exception("alert.sweep_failed", extra={"alert": work.alert.pk})
        _put_off(work.alert, at=at)
        return False


def _put_off(alert: Alert, *, at: datetime) -> None:
    from cases.models import Alert

    Alert.objects.filter(pk=alert.pk, due_at=alert.due_at).update(due_at=at + LATER)


def _write(work: _Work, *, at: datetime) -> bool:
    """Change the alert if it is still as it was read, with the audit events of that; whether it was.

    Stays due where an incident has to be looked at yet, or another team's rules.
    """
    from audit.record import record as audit
    from cases.models import Alert
    from identity.actors import system

    alert, values = work.alert, dict(work.values)
    if values:
        values["updated_at"] = max(at, alert.updated_at + TICK)
    if not work.is_more and not work.decision.is_moved:
        values["due_at"] = None
    if not values:
        return True
    held = Alert.objects.filter(
        pk=alert.pk, due_at=alert.due_at, updated_at=alert.updated_at, episode=alert.episode
    )
    # A person acknowledges without a new document; what they have in hand is theirs.
    if held.filter(status=alert.status, assignee=alert.assignee_id).update(**values) != 1:
        return False
    for act, on, details in work.decision.events:
        audit(act=act, by=system("triage-rules"), at=at, on=on, details=details)
    return True


@transaction.atomic
def _do(work: _Work, *, at: datetime) -> bool:
    """What concerns an incident: joining one, opening one, or teaching the one that the alert is in."""
    from cases import rules
    from cases.models import Alert
    from identity.actors import system

    by, due_at = system("triage-rules"), work.alert.due_at
    alert = Alert.objects.select_related("incident", "team").get(pk=work.alert.pk)
    sequence = work.sequence
    if sequence is not None and rules.join(alert=alert, incident=sequence.incident, by=by, at=at):
        return True
    if rules.apply(alert=alert, by=by, at=at) is not None:
        return True
    rules.gather(alert=alert, by=by, at=at)
    rules.relearn(alert=alert, by=by, at=at)
    # Claimed last, as alerts are locked after incidents everywhere; whoever comes second finds the
    # row changed, and what it did is undone with its transaction.
    if Alert.objects.filter(pk=alert.pk, due_at=due_at).update(due_at=None) != 1:
        transaction.set_rollback(True)
        return False
    return True
