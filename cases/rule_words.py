"""What a triage rule says, in words: what it does, and to which alerts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from cases.conditions import Conditions
from cases.models import TriageRule
from cases.words import GroupBy, RuleEffect
from lib import durations
from lib.errors import Invalid

MOST_SHOWN = 4

EFFECTS = {
    RuleEffect.ADJUST: "Shift the severity",
    RuleEffect.ROUTE: "Give to another team",
    RuleEffect.SUPPRESS: "Suppress for a time",
    RuleEffect.OPEN: "Open an incident",
}
"""In the order in which rules are looked at; of each effect the first that fits counts."""

GROUPINGS = {
    GroupBy.SUBJECT: "about the same principal or resource",
    GroupBy.PRINCIPAL: "by the same principal",
    GroupBy.RESOURCE: "about the same resource",
    GroupBy.TYPE: "of the same type",
    GroupBy.NOTHING: "none: one incident for each alert",
}
ALIKE = {
    "accounts": "account",
    "ou_paths": "organizational unit",
    "environments": "environment",
    "regions": "region",
    "resources": "resource",
    "principals": "principal",
    "observables": "indicator",
    "tags": "tag",
    "techniques": "technique",
}
FIELDS = {
    "expires_at": "end",
    "min_severity": "least severity",
    "max_severity": "greatest severity",
    "group_by": "grouping",
    "route_to": "team",
}
"""Names of what a rule says that are not words by themselves."""


@dataclass(frozen=True, kw_only=True)
class Clause:
    """One condition: its words, and the values of which any may fit. Without values the words say it all."""

    words: str
    values: tuple[str, ...] = ()

    @property
    def shown(self) -> tuple[str, ...]:
        """As many values as a line holds."""
        return self.values[:MOST_SHOWN]

    @property
    def more(self) -> int:
        """How many are not shown."""
        return len(self.values) - len(self.shown)


def clauses(rule: TriageRule) -> list[Clause]:
    """The conditions of a rule, all of which must fit; none for a rule that fits every alert."""
    found = []
    if rule.source:
        found.append(Clause(words="source", values=(rule.source,)))
    if rule.type:
        found.append(Clause(words="type", values=(rule.type,)))
    if severity := _severity(rule):
        found.append(Clause(words=severity))
    try:
        return found + _narrowing(Conditions.of(rule.conditions))
    except Invalid as failure:
        return [Clause(words="nothing, as its conditions cannot be read", values=(failure.detail,))]


def effect_of(rule: TriageRule) -> str:
    """What it does with an alert that fits."""
    if rule.effect == RuleEffect.ADJUST:
        return f"{'Raises' if rule.shift > 0 else 'Lowers'} the severity by {abs(rule.shift)}"
    if rule.effect == RuleEffect.ROUTE:
        return f"Gives them to {rule.route_to.name}" if rule.route_to else "Gives them to nobody"
    if rule.effect == RuleEffect.SUPPRESS:
        return "Dismisses them as suppressed"
    if rule.group_by == GroupBy.NOTHING:
        return "Opens an incident for each"
    return (
        f"Opens an incident, joined by others {GROUPINGS[GroupBy(rule.group_by)]} within {span(rule.window)}"
    )


def field_word(name: str) -> str:
    """The name of something that a rule says."""
    return FIELDS.get(name, name.replace("_", " "))


def span(window: timedelta) -> str:
    """A window as people say it: `24 h` rather than `1 d`."""
    hours = window.total_seconds() / 3600
    return f"{hours:.0f} h" if hours == int(hours) and hours <= 48 else durations.in_words(window)


def _severity(rule: TriageRule) -> str:
    least, most = rule.min_severity, rule.max_severity
    if (least, most) == (0, 100):
        return ""
    if most == 100:
        return f"severity {least} or more"
    return f"severity {most} or less" if least == 0 else f"severity {least} to {most}"


def _narrowing(conditions: Conditions) -> list[Clause]:
    found = [
        Clause(words=word, values=values)
        for name, word in ALIKE.items()
        if (values := getattr(conditions, name))
    ]
    found += [Clause(words=f"AWS tag {key}", values=(pattern,)) for key, pattern in conditions.labels]
    if conditions.title:
        found.append(Clause(words="title", values=(conditions.title,)))
    if conditions.is_sample is not None:
        found.append(Clause(words="only samples" if conditions.is_sample else "no samples"))
    if conditions.is_posture is not None:
        found.append(Clause(words="only weaknesses" if conditions.is_posture else "no mere weaknesses"))
    if conditions.includes_critical:
        found.append(Clause(words="also critical alerts and attack sequences"))
    return found
