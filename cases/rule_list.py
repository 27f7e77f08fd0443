"""Triage rules as a page shows them: the list with hits, and one rule's history."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

from django.db.models import Case, IntegerField, OuterRef, Subquery, Value, When
from django.http import QueryDict

from audit.models import AuditEvent
from cases import access, rule_words, ruling
from cases.models import Alert, TriageRule
from cases.rule_words import Clause
from cases.words import RuleEffect
from identity.actors import Actor

RECENT = timedelta(days=30)
MOST_HITS = 1000
"""Counted exactly up to here: a rule that acts on everything must not make its page slow."""

SOON = timedelta(days=7)
PAGE = 200
NEWEST = 10
MOST_HISTORY = 50
ORDER = tuple(rule_words.EFFECTS)
ACTS = {
    "rule.created": "Made, switched off",
    "rule.changed": "Changed",
    "rule.switched_on": "Switched on",
    "rule.switched_off": "Switched off",
}


@dataclass(frozen=True, kw_only=True)
class Line:
    """One rule in the list. `state` is `on`, `off` or `ended`; `hits` of the last 30 days."""

    rule: TriageRule
    does: str
    clauses: list[Clause]
    state: str
    left: timedelta | None = None
    hits: int = 0

    @property
    def hits_shown(self) -> str:
        """The count, or that there were more than are counted."""
        return f"{MOST_HITS:,}+" if self.hits > MOST_HITS else f"{self.hits:,}"

    @property
    def ends_soon(self) -> bool:
        """Whether it is on and ends within a week."""
        return self.state == "on" and self.left is not None and self.left < SOON


@dataclass(frozen=True, kw_only=True)
class Listed:
    """One page of rules by effect, in the order in which they are looked at, with the views there are."""

    view: str
    views: list[tuple[str, str, int]]
    groups: list[tuple[str, list[Line]]]
    total: int
    next_page: int | None = None
    is_first: bool = True
    teams: int = 1


@dataclass(frozen=True, kw_only=True)
class Event:
    """One line of a rule's history."""

    at: datetime
    says: str
    by: str
    fields: list[str] = field(default_factory=list)


class _Recent(Subquery):
    """How many of the newest events of a rule are hits; reads at most `MOST_HITS` and one of them."""

    template = "(SELECT COALESCE(SUM(newest.hit), 0) FROM (%(subquery)s) newest)"
    output_field = IntegerField()


def page(actor: Actor, asked: QueryDict, *, at: datetime) -> Listed:
    """The rules that the actor may read. Three queries, however many there are."""
    lines = sorted(
        (line_of(rule, at=at) for rule in ruling.rules_for(actor)),
        key=lambda line: (ORDER.index(RuleEffect(line.rule.effect)), line.rule.team.name, line.rule.position),
    )
    states = {
        "all": ("All", lines),
        "on": ("In force", [line for line in lines if line.state == "on"]),
        "off": ("Switched off", [line for line in lines if line.state == "off"]),
        "ended": ("Ended", [line for line in lines if line.state == "ended"]),
    }
    view = asked.get("view", "all")
    view = view if view in states else "all"
    chosen = states[view][1]
    number = int(told) if (told := asked.get("page", "")[:4]).isdecimal() and told.isascii() else 0
    shown = _with_hits(chosen[number * PAGE : (number + 1) * PAGE], at=at)
    return Listed(
        view=view,
        views=[(word, label, len(found)) for word, (label, found) in states.items()],
        groups=[
            (rule_words.EFFECTS[RuleEffect(effect)], list(found))
            for effect, found in groupby(shown, key=lambda line: line.rule.effect)
        ],
        total=len(chosen),
        next_page=number + 1 if len(chosen) > (number + 1) * PAGE else None,
        is_first=number == 0,
        teams=len({line.rule.team_id for line in lines}),
    )


def line_of(rule: TriageRule, *, at: datetime) -> Line:
    """The rule in words, its hits not counted."""
    left = rule.expires_at - at if rule.expires_at else None
    state = "on" if rule.is_on else "off"
    return Line(
        rule=rule,
        does=rule_words.effect_of(rule),
        clauses=rule_words.clauses(rule),
        state="ended" if left is not None and left <= timedelta(0) else state,
        left=left,
    )


def counted(rule: TriageRule, *, at: datetime) -> Line:
    """The rule in words, with its hits."""
    return _with_hits([line_of(rule, at=at)], at=at)[0]


def history(rule: TriageRule) -> list[Event]:
    """Who made, changed and switched it, the newest first; from the ledger."""
    events = AuditEvent.objects.filter(object_type="rule", object_id=rule.ulid, act__in=ACTS)
    return [
        Event(at=one.at, says=ACTS[one.act], by=one.actor, fields=_fields(one.details))
        for one in events.order_by("-seq")[:MOST_HISTORY]
    ]


def last_change(rule: TriageRule) -> Event | None:
    """The newest line of its history."""
    return next(iter(history(rule)), None)


def applied_to(actor: Actor, rule: TriageRule) -> list[tuple[Alert, datetime]]:
    """The newest alerts that it acted on and the actor may read, each with the time."""
    events = AuditEvent.objects.filter(object_type="rule", object_id=rule.ulid, act="rule.applied")
    told: dict[str, datetime] = {}
    for details, at in events.order_by("-seq").values_list("details", "at")[:NEWEST]:
        told.setdefault(str(details.get("alert")), at)
    alerts = access.alerts_for(actor).select_related("incident").filter(ulid__in=told)
    found = {alert.ulid: alert for alert in alerts}
    return [(found[ulid], at) for ulid, at in told.items() if ulid in found]


def _fields(details: dict[str, Any]) -> list[str]:
    told = details.get("fields")
    return [rule_words.field_word(str(name)) for name in told] if isinstance(told, list) else []


def _with_hits(lines: Iterable[Line], *, at: datetime) -> list[Line]:
    lines = list(lines)
    is_hit = When(act="rule.applied", at__gte=at - RECENT, then=Value(1))
    newest = (
        AuditEvent.objects.filter(object_type="rule", object_id=OuterRef("ulid"))
        .annotate(hit=Case(is_hit, default=Value(0), output_field=IntegerField()))
        .order_by("-seq")
        .values("hit")[: MOST_HITS + 1]
    )
    rules = TriageRule.objects.filter(pk__in=[line.rule.pk for line in lines]).order_by()
    hits = dict(rules.annotate(hits=_Recent(newest)).values_list("pk", "hits")) if lines else {}
    return [replace(line, hits=hits.get(line.rule.pk, 0)) for line in lines]
