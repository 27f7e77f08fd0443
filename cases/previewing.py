"""What a rule would have done over the last 30 days, before it is switched on.

Computed from the alerts as they are now, and only from those that whoever asks may read. At most 100,000
are looked at, the newest first; the answer says when there were more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

from django.db.models import Q, QuerySet

from cases import access, correlation, rules
from cases.conditions import Conditions
from cases.correlation import Subject
from cases.enrichment import closed_at
from cases.models import Alert, TriageRule
from cases.words import Band, GroupBy, RuleEffect
from estate.models import Account
from identity.actors import Actor
from lib.errors import Forbidden

SPAN = timedelta(days=30)
MOST_SCANNED = 100_000
CHUNK = 1_000
EXAMPLES = 20

COLUMNS = (
    "ulid",
    "source",
    "type",
    "title",
    "severity",
    "severity_shift",
    "told_severity",
    "account",
    "region",
    "team_id",
    "resources",
    "observables",
    "techniques",
    "tags",
    "labels",
    "detected_at",
    "received_at",
    "status",
    "verdict",
    "dismissed_at",
    "is_sample",
    "is_archived",
    "incident__status",
    "incident__verdict",
    "incident__closed_at",
)


@dataclass(kw_only=True)
class Preview:
    """What a rule would have done between two moments.

    `opened` incidents would have begun and `joined` alerts would have gone into one of those;
    `suppressed`, `moved` and `changed` count alerts; `protected` ones fit but are left alone, because
    they are critical, attack sequences, samples or archived. `verdicts` say how those that fit were
    closed, `open` how many were not. `days` counts those that fit, the oldest day first. `is_cut`: there
    were more alerts than were looked at, all older than `since`.
    """

    since: datetime
    until: datetime
    scanned: int = 0
    is_cut: bool = False
    fitting: int = 0
    opened: int = 0
    joined: int = 0
    suppressed: int = 0
    moved: int = 0
    changed: int = 0
    protected: int = 0
    open: int = 0
    verdicts: dict[str, int] = field(default_factory=dict)
    days: list[tuple[date, int]] = field(default_factory=list)
    examples: list[Alert] = field(default_factory=list)

    @property
    def true_positives(self) -> int:
        """How many of those that fit were real attacks."""
        return self.verdicts.get("true_positive", 0)

    @property
    def busiest(self) -> int:
        """The most that fitted on one day."""
        return max((count for _, count in self.days), default=0)


def preview(*, rule: TriageRule, by: Actor, at: datetime) -> Preview:
    """What the rule, stored or not, would have done in the 30 days before `at`.

    `Forbidden` for whoever may not read the alerts of the rule's team.
    """
    if by.kind != "system" and not any(seat.team == rule.team_id for seat in by.seats):
        raise Forbidden
    conditions = Conditions.of(rule.conditions)
    found = Preview(since=at - SPAN, until=at)
    accounts = {
        one.account_id: one for one in Account.objects.select_related("ou").filter(team_id=rule.team_id)
    }
    tally = _Tally(rule=rule, conditions=conditions, found=found)
    for alert in _alerts(rule, conditions, found, by=by, at=at):
        severity = rules.told_severity(alert) if rule.effect == RuleEffect.ADJUST else None
        account = accounts.get(alert.account)
        if rules.fits_with(rule, conditions, alert, account=account, severity=severity):
            tally.add(alert)
    tally.close()
    return found


def _alerts(
    rule: TriageRule, conditions: Conditions, found: Preview, *, by: Actor, at: datetime
) -> Iterator[Alert]:
    """Those that may fit, newest first, in chunks; counts them, and says when there were too many."""
    rows = _narrowed(access.alerts_for(by), rule, conditions)
    rows = rows.filter(received_at__gte=at - SPAN, received_at__lte=at)
    rows = rows.select_related("incident").only(*COLUMNS).order_by("-received_at", "-pk")
    behind = Q()
    while True:
        chunk = list(rows.filter(behind)[:CHUNK])
        for alert in chunk:
            if found.scanned >= MOST_SCANNED:
                found.is_cut, found.since = True, alert.received_at
                return
            found.scanned += 1
            yield alert
        if len(chunk) < CHUNK:
            return
        last = chunk[-1]
        behind = Q(received_at__lte=last.received_at) & (
            Q(received_at__lt=last.received_at) | Q(pk__lt=last.pk)
        )


def _narrowed(rows: QuerySet[Alert], rule: TriageRule, conditions: Conditions) -> QuerySet[Alert]:
    """What the database can leave out by itself."""
    rows = rows.filter(team_id=rule.team_id)
    if rule.source:
        rows = rows.filter(source=rule.source)
    if rule.type.endswith("*"):
        rows = rows.filter(type__startswith=rule.type[:-1])
    elif rule.type:
        rows = rows.filter(type=rule.type)
    if rule.effect != RuleEffect.ADJUST:
        rows = rows.filter(severity__gte=rule.min_severity, severity__lte=rule.max_severity)
    if conditions.accounts:
        rows = rows.filter(account__in=conditions.accounts)
    if conditions.regions:
        rows = rows.filter(region__in=conditions.regions)
    return rows


@dataclass(kw_only=True)
class _Tally:
    """Adds up what fits, one alert at a time: of each only what is needed stays in memory."""

    rule: TriageRule
    conditions: Conditions
    found: Preview
    days: Counter[date] = field(default_factory=Counter)
    verdicts: Counter[str] = field(default_factory=Counter)
    gathered: list[tuple[datetime, int, str, frozenset[Subject]]] = field(default_factory=list)

    def add(self, alert: Alert) -> None:
        found = self.found
        found.fitting += 1
        if len(found.examples) < EXAMPLES:
            found.examples.append(alert)
        self.days[alert.received_at.astimezone(UTC).date()] += 1
        if closed_at(alert) is None:
            found.open += 1
        else:
            self.verdicts[(alert.incident.verdict if alert.incident else alert.verdict) or "none"] += 1
        self._judge(alert)

    def close(self) -> None:
        """Finish what needs all of them."""
        found = self.found
        found.verdicts = dict(self.verdicts.most_common())
        first, last = found.since.astimezone(UTC).date(), found.until.astimezone(UTC).date()
        span = [first + timedelta(days=number) for number in range((last - first).days + 1)]
        found.days = [(day, self.days[day]) for day in span]
        self._gather()

    def _judge(self, alert: Alert) -> None:
        """What the effect would have been. What people have closed is judged as if it were new."""
        rule, found = self.rule, self.found
        if rule.effect == RuleEffect.OPEN:
            if alert.is_sample or alert.is_archived:
                found.protected += 1
            else:
                keys = correlation.gathered_by(alert, rule.group_by)
                self.gathered.append((alert.detected_at, alert.pk, alert.account, keys))
        elif rule.effect == RuleEffect.SUPPRESS:
            is_left = rules.is_protected(alert) and not self.conditions.includes_critical
            found.protected += is_left
            found.suppressed += not is_left
        elif rule.effect == RuleEffect.ROUTE:
            found.moved += 1
        else:
            told = rules.told_severity(alert)
            found.changed += Band.of(told) != Band.of(min(max(told + rule.shift, 0), 100))

    def _gather(self) -> None:
        """Into how many incidents they would have gone, had none been open and none been closed."""
        rule, last = self.rule, dict[tuple[str, Subject], datetime]()
        for at, _, account, subjects in sorted(self.gathered, key=lambda one: one[:2]):
            keys = [(account, subject) for subject in subjects]
            is_near = any(key in last and at - last[key] <= rule.window for key in keys)
            if rule.group_by != GroupBy.NOTHING and is_near:
                self.found.joined += 1
            else:
                self.found.opened += 1
            last |= dict.fromkeys(keys, at)
