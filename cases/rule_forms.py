"""The form of a triage rule: fields, rows of conditions, and the way from there to a wording and back.

A row is a field, an operator and a value. Rows of one field are joined by "or", different fields by "and";
operators are how people write the patterns that conditions are made of.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.http import QueryDict

from cases import rule_words
from cases.conditions import Conditions
from cases.forms import FULL_FORMATS, parsed
from cases.models import TriageRule
from cases.ruling import Wording
from cases.words import GroupBy, RuleEffect
from identity.models import Team
from lib.defang import refang
from lib.errors import Invalid

MOST_ROWS = 100
ENDING_DAY = "%Y-%m-%d"
UNITS = {"minutes": timedelta(minutes=1), "hours": timedelta(hours=1), "days": timedelta(days=1)}

WHOLE = {
    "accounts": "AWS account id",
    "environments": "Environment",
    "ou_paths": "Organizational unit, with those below",
    "regions": "Region",
    "techniques": "ATT&CK technique, with its sub-techniques",
}
"""Compared as a whole; several values stand in one row, with commas."""

PATTERNS = {
    "principals": "Principal, by id or ARN",
    "resources": "Resource, by id or ARN",
    "observables": "Indicator, or network such as 198.51.100.0/24",
    "title": "Title",
    "tags": "Tag of the alert",
    "labels": "AWS tag, as key=value",
}
FLAGS = {
    "is_sample": "Is a sample finding, yes or no",
    "is_posture": "Is a weakness and no attack, yes or no",
}
FIELDS = {**WHOLE, **PATTERNS, **FLAGS}
OPERATORS = {
    "is": "is",
    "begins": "begins with",
    "ends": "ends with",
    "contains": "contains",
    "like": "is like, * for anything",
}
AROUND = {"begins": ("", "*"), "ends": ("*", ""), "contains": ("*", "*")}
YES = {"yes": True, "no": False}


@dataclass(kw_only=True)
class Row:
    """One condition as it stands in the form, with what is wrong with it."""

    field: str = ""
    operator: str = "is"
    value: str = ""
    error: str = ""

    @property
    def is_blank(self) -> bool:
        """Whether nothing was written into it."""
        return not self.value.strip()


def rows_of(conditions: Mapping[str, Any]) -> list[Row]:
    """The rows that say what stored conditions say."""
    found: list[Row] = []
    for name in FIELDS:
        value = conditions.get(name)
        if value in (None, [], "", {}):
            continue
        if name in FLAGS:
            found.append(Row(field=name, value="yes" if value else "no"))
        elif name in WHOLE:
            found.append(Row(field=name, value=", ".join(value)))
        elif name == "labels":
            found += [_row_of(name, pattern, before=f"{key}=") for key, pattern in value.items()]
        else:
            found += [_row_of(name, one) for one in ([value] if name == "title" else value)]
    return found


def _row_of(name: str, pattern: str, *, before: str = "") -> Row:
    inner = pattern.strip("*")
    for operator, (left, right) in AROUND.items():
        if inner and "*" not in inner and pattern == f"{left}{inner}{right}":
            return Row(field=name, operator=operator, value=before + inner)
    return Row(field=name, operator="like" if "*" in pattern else "is", value=before + pattern)


def rows_from(data: QueryDict) -> list[Row]:
    """The rows that were sent, at most `MOST_ROWS`."""
    sent = zip(data.getlist("field"), data.getlist("operator"), data.getlist("value"), strict=False)
    return [Row(field=name, operator=how, value=value) for name, how, value in list(sent)[:MOST_ROWS]]


class _Reader:
    """Makes conditions of rows; remembers which row each value came from."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self.conditions: dict[str, Any] = {}
        self._origins: dict[str, list[Row]] = {}
        for row in rows:
            if not row.is_blank:
                row.error = self._take(row)

    def blame(self, pointer: str, says: str) -> None:
        """Put what was refused beside the row that it came from (`/conditions/accounts/1`)."""
        _, _, name, *rest = [*pointer.split("/"), "0"]
        rows = self._origins[name]
        at = int(rest[0]) if rest[0].isdecimal() else 0
        rows[min(at, len(rows) - 1)].error = says

    def _take(self, row: Row) -> str:
        value = row.value.strip()
        if row.field not in FIELDS or row.operator not in OPERATORS:
            return "Choose what is compared, and how."
        if row.field in FLAGS:
            if value.casefold() not in YES:
                return "Write yes or no."
            return self._put(row, YES[value.casefold()])
        if row.field in WHOLE:
            if row.operator != "is":
                return "This is compared as a whole; choose “is”."
            values = [one.strip() for one in value.split(",") if one.strip()]
            return self._add(row, values) if values else "Write at least one."
        if row.field == "labels":
            return self._label(row, value)
        pattern = _pattern(row.operator, refang(value) if row.field == "observables" else value)
        if not pattern:
            return "A * stands for anything only where the condition “is like”."
        return self._put(row, pattern) if row.field == "title" else self._add(row, [pattern])

    def _label(self, row: Row, value: str) -> str:
        key, found, pattern = value.partition("=")
        known = self.conditions.setdefault("labels", {})
        if not found or not key.strip() or not pattern.strip():
            return "Write the tag's key, =, and its value."
        if key.strip() in known:
            return "This key has a condition above."
        spelled = _pattern(row.operator, pattern.strip())
        if not spelled:
            return "A * stands for anything only where the condition “is like”."
        known[key.strip()] = spelled
        self._origins.setdefault("labels", []).append(row)
        return ""

    def _put(self, row: Row, value: Any) -> str:
        if row.field in self.conditions:
            return "This has a condition above."
        self.conditions[row.field] = value
        self._origins[row.field] = [row]
        return ""

    def _add(self, row: Row, values: list[str]) -> str:
        self.conditions.setdefault(row.field, []).extend(values)
        self._origins.setdefault(row.field, []).extend([row] * len(values))
        return ""


def _pattern(operator: str, value: str) -> str:
    """The pattern that an operator and a value stand for; empty for a `*` where it would mean itself."""
    if operator == "like":
        return value
    left, right = AROUND.get(operator, ("", ""))
    return "" if "*" in value else f"{left}{value}{right}"


class EndField(forms.CharField):
    """When a rule ends, in UTC; a date alone means the end of that day."""

    def to_python(self, value: object) -> datetime | None:  # type: ignore[override]
        text = str(value or "").strip().removesuffix("UTC").removesuffix("Z").strip()
        if not text:
            return None
        for written in FULL_FORMATS:
            if found := parsed(text, written):
                return found
        if found := parsed(text, ENDING_DAY):
            return found + timedelta(days=1, seconds=-1)
        raise forms.ValidationError("Give a date such as 2026-12-24, or 2026-12-24 18:00, in UTC.")

    def run_validators(self, value: object) -> None:
        """The text validators of the parent do not apply to a time."""


UNREADABLE = "Some conditions cannot be read."
ANCHORS = {
    "name": "rule-name",
    "team": "rule-team",
    "position": "rule-position",
    "source": "rule-source",
    "type": "rule-type",
    "min_severity": "rule-min",
    "max_severity": "rule-max",
    "window": "rule-window",
    "group_by": "rule-group",
    "shift": "rule-shift",
    "route_to": "rule-route",
    "reason": "rule-reason",
    "expires_at": "rule-end",
}
"""Ids of the fields on the page."""

PLAIN = ("name", "position", "source", "type", "min_severity", "max_severity", "reason")
NUMBER = {"invalid": "Give a whole number.", "required": "Give a whole number."}


class RuleForm(forms.Form):
    """What a rule says. Only the fields of the chosen effect count; the others may hold anything."""

    name = forms.CharField(
        max_length=120, strip=True, error_messages={"required": "Give it a name that says what it is for."}
    )
    team = forms.ChoiceField(required=False)
    effect = forms.ChoiceField(
        choices=[(effect.value, says) for effect, says in rule_words.EFFECTS.items()],
        error_messages={"required": "Choose what it does."},
    )
    position = forms.IntegerField(min_value=0, max_value=100_000, error_messages=NUMBER)
    source = forms.CharField(max_length=40, required=False, strip=True)
    type = forms.CharField(max_length=200, required=False, strip=True)
    min_severity = forms.IntegerField(min_value=0, max_value=100, error_messages=NUMBER)
    max_severity = forms.IntegerField(min_value=0, max_value=100, error_messages=NUMBER)
    window = forms.CharField(max_length=9, required=False)
    unit = forms.ChoiceField(choices=[(name, name) for name in UNITS], required=False)
    group_by = forms.ChoiceField(
        choices=[(one.value, says.capitalize()) for one, says in rule_words.GROUPINGS.items()], required=False
    )
    shift = forms.CharField(max_length=5, required=False)
    route_to = forms.CharField(max_length=80, required=False)
    reason = forms.CharField(max_length=500, required=False, strip=True)
    expires_at = EndField(required=False)
    includes_critical = forms.BooleanField(required=False)

    def __init__(self, data: QueryDict | None, *, teams: list[Team], rule: TriageRule | None = None) -> None:
        """`teams` are those whose rules the person keeps; `rule` is the one that is changed."""
        super().__init__(data, initial=initial_of(rule))
        self.rule = rule
        self.rows = rows_from(data) if data is not None else rows_of(rule.conditions if rule else {})
        self.destinations = Team.objects.order_by("name")
        self._reader: _Reader | None = None
        choices = [(team.slug, team.name) for team in teams]
        self.fields["team"] = forms.ChoiceField(choices=choices, required=len(teams) > 1 and rule is None)
        self.fields["team"].error_messages["required"] = "Choose whose alerts it looks at."

    def padded(self, more: int = 0) -> list[Row]:
        """The rows with at least one to write into."""
        blank = max(more, 0 if self.rows and self.rows[-1].is_blank else 1)
        return [*self.rows, *(Row() for _ in range(min(blank, MOST_ROWS - len(self.rows))))]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        self.rows = [row for row in self.rows if not row.is_blank]
        self._reader = _Reader(self.rows)
        effect = cleaned.get("effect")
        if effect == RuleEffect.SUPPRESS:
            self._clean_suppression(cleaned)
        elif effect == RuleEffect.OPEN:
            cleaned["window"] = self._window(cleaned)
        elif effect == RuleEffect.ADJUST:
            cleaned["shift"] = self._shift(cleaned)
        elif effect == RuleEffect.ROUTE and not cleaned.get("route_to"):
            self.add_error("route_to", "Choose the team that gets them.")
        self._check_rows()
        return cleaned

    def wording(self) -> Wording:
        """What a valid form says."""
        said = self.cleaned_data
        effect = RuleEffect(said["effect"])
        conditions = dict(self._reader.conditions) if self._reader else {}
        own: dict[str, Any] = {}
        if self.rule is not None:
            own = {"window": self.rule.window, "group_by": self.rule.group_by}
        if effect is RuleEffect.OPEN:
            own = {"window": said["window"], "group_by": said["group_by"] or GroupBy.SUBJECT}
        elif effect is RuleEffect.ADJUST:
            own |= {"shift": said["shift"]}
        elif effect is RuleEffect.ROUTE:
            own |= {"route_to": said["route_to"]}
        elif said["includes_critical"]:
            conditions["includes_critical"] = True
        plain = {name: said[name] for name in PLAIN}
        return Wording(
            effect=effect, conditions=conditions, expires_at=self._end(said["expires_at"]), **plain, **own
        )

    def refused(self, failure: Invalid) -> None:
        """Put what the use-case refused beside the field that it speaks of."""
        name = failure.pointer.split("/")[1] if failure.pointer.count("/") else ""
        self.add_error(name if name in self.fields else None, failure.detail)

    def troubles(self) -> list[tuple[str, str]]:
        """What is wrong, each with the id of the field that it is about; nothing for the form as a whole."""
        named = [
            (ANCHORS.get(name, ""), str(says)) for name, errors in self.errors.items() for says in errors
        ]
        rows = [(f"row-{number}", row.error) for number, row in enumerate(self.rows, 1) if row.error]
        return [one for one in named if one[1] != UNREADABLE] + rows

    def _check_rows(self) -> None:
        """Put what is wrong with a condition beside its row."""
        if self._reader is not None and not any(row.error for row in self.rows):
            try:
                Conditions.of(self._reader.conditions)
            except Invalid as failure:
                self._reader.blame(failure.pointer, failure.detail)
        if any(row.error for row in self.rows):
            self.add_error(None, UNREADABLE)

    def _end(self, written: datetime | None) -> datetime | None:
        """An end that was left as it is keeps the fractions of a second that no field shows."""
        known = self.rule.expires_at if self.rule else None
        return known if known is not None and known.replace(microsecond=0) == written else written

    def _clean_suppression(self, cleaned: dict[str, Any]) -> None:
        if not cleaned.get("reason") and "reason" not in self.errors:
            self.add_error("reason", "Say why these need no work.")
        if cleaned.get("expires_at") is None and "expires_at" not in self.errors:
            self.add_error("expires_at", "A suppression ends; give a date within 366 days.")

    def _window(self, cleaned: dict[str, Any]) -> timedelta:
        text, unit = str(cleaned.get("window") or ""), str(cleaned.get("unit") or "hours")
        if text.isascii() and text.isdecimal() and 0 < int(text) <= 200_000:
            return int(text) * UNITS[unit]
        self.add_error("window", "Give a whole number.")
        return timedelta(0)

    def _shift(self, cleaned: dict[str, Any]) -> int:
        text = str(cleaned.get("shift") or "").strip().replace("−", "-")
        digits = text.lstrip("+-")
        if len(text) - len(digits) <= 1 and digits.isascii() and digits.isdecimal():
            return int(text)
        self.add_error("shift", "Give a number from -100 to 100, such as 15 or -20.")
        return 0


def initial_of(rule: TriageRule | None) -> dict[str, Any]:
    """The values of a form about this rule; of a new one what most rules want."""
    if rule is None:
        return {
            "effect": RuleEffect.SUPPRESS.value,
            "position": 100,
            "min_severity": 0,
            "max_severity": 100,
            "window": "24",
            "unit": "hours",
            "group_by": GroupBy.SUBJECT.value,
        }
    number, unit = _counted(rule.window)
    return {
        **{name: getattr(rule, name) for name in (*PLAIN, "effect", "group_by")},
        "team": rule.team.slug,
        "window": number,
        "unit": unit,
        "shift": f"{rule.shift:+d}" if rule.shift else "",
        "route_to": rule.route_to.slug if rule.route_to else "",
        "expires_at": f"{rule.expires_at:%Y-%m-%d %H:%M:%S}" if rule.expires_at else "",
        "includes_critical": rule.conditions.get("includes_critical") is True,
    }


def _counted(window: timedelta) -> tuple[str, str]:
    """The largest unit of which it is a whole number; `24 hours` stays hours."""
    if window > timedelta(days=2) and not window % UNITS["days"]:
        return str(window // UNITS["days"]), "days"
    if not window % UNITS["hours"]:
        return str(window // UNITS["hours"]), "hours"
    return str(window // UNITS["minutes"]), "minutes"
