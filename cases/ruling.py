"""Keeping triage rules: making, changing, switching and removing them. They are made switched off.

A rule reaches the whole team, so whoever keeps it must hold the permission for the whole team: a seat
for some accounts is not enough, neither to keep rules nor to read them.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import ProtectedError, QuerySet

from audit.record import record as audit
from cases.conditions import Conditions
from cases.models import TriageRule
from cases.words import GroupBy, RuleEffect
from identity.actors import Actor
from identity.models import Team
from identity.permissions import Permission
from lib.errors import Conflict, Forbidden, Invalid, NotFound

LONGEST_SUPPRESSION = timedelta(days=366)
SHORTEST_WINDOW, LONGEST_WINDOW = timedelta(minutes=1), timedelta(days=90)
MOST_RULES = 200
"""Of one team: every due alert is compared with each."""


class NameTaken(Conflict):
    """The team has a rule of this name already."""


class Stale(Conflict):
    """Somebody changed this rule since you loaded it. Look at it as it is now, then decide again."""


@dataclass(frozen=True, kw_only=True)
class Wording:
    """What a rule says, as a person or program wrote it; checked by `checked`."""

    name: str
    effect: str = RuleEffect.OPEN
    position: int = 100
    source: str = ""
    type: str = ""
    min_severity: int = 0
    max_severity: int = 100
    conditions: Any = None
    window: timedelta = timedelta(hours=24)
    group_by: str = GroupBy.SUBJECT
    shift: int = 0
    route_to: str = ""
    reason: str = ""
    expires_at: datetime | None = None

    @classmethod
    def of(cls, rule: TriageRule) -> Wording:
        """What a stored rule says."""
        values = {one.name: getattr(rule, one.name) for one in fields(cls) if one.name != "route_to"}
        return cls(**values, route_to=rule.route_to.slug if rule.route_to else "")


def rules_for(actor: Actor) -> QuerySet[TriageRule]:
    """The rules that the actor may read, in the order in which they are looked at."""
    rules = TriageRule.objects.select_related("team", "route_to").order_by("team", "effect", "position", "pk")
    if actor.kind == "system":
        return rules
    teams = {seat.team for seat in actor.seats_for(Permission.READ_ALERTS) if seat.is_whole}
    return rules.filter(team_id__in=teams)


def rule_for(actor: Actor, ulid: str, *, permission: Permission = Permission.READ_ALERTS) -> TriageRule:
    """One rule; `NotFound` or `Forbidden`."""
    rule = rules_for(actor).filter(ulid=ulid).first()
    if rule is None:
        raise NotFound("There is no such rule, or it is not yours to see.")
    if permission is not Permission.READ_ALERTS and not may_keep(actor, rule.team_id):
        raise Forbidden
    return rule


def version_of(rule: TriageRule) -> str:
    """What tells two states of a rule apart: whoever changes it says which one they looked at."""
    return (rule.changed_at or rule.created_at).isoformat()


def may_keep(actor: Actor, team: int) -> bool:
    """Whether the actor keeps the rules of a team: a person, for the whole of it."""
    if actor.kind == "system":
        return True
    return any(seat.team == team and seat.is_whole for seat in actor.seats_for(Permission.KEEP_RULES))


def teams_kept_by(actor: Actor) -> list[Team]:
    """The teams whose rules the actor keeps."""
    ids = [seat.team for seat in actor.seats_for(Permission.KEEP_RULES) if seat.is_whole]
    return list(Team.objects.filter(pk__in=ids).order_by("name"))


def team_for(actor: Actor, slug: str) -> Team:
    """The team for a new rule: the one named, else the only one there is. `Forbidden`, or `Invalid`."""
    teams = teams_kept_by(actor)
    if not teams:
        raise Forbidden
    if not slug and len(teams) == 1:
        return teams[0]
    for team in teams:
        if team.slug == slug:
            return team
    raise Invalid("Name one of your teams: " + ", ".join(team.slug for team in teams) + ".", pointer="/team")


# --- use-cases -----------------------------------------------------------------------------------------


@transaction.atomic
def create(*, wording: Wording, team: Team, by: Actor, at: datetime) -> TriageRule:
    """Make a rule, switched off. `Invalid` for what cannot be, `Conflict` for a name that is taken."""
    _demand(by, team.pk)
    if TriageRule.objects.filter(team=team).count() >= MOST_RULES:
        raise Conflict(f"A team has at most {MOST_RULES} rules; remove one first.")
    rule = drafted(wording, team=team, at=at)
    rule.created_at, rule.created_by = at, by.label[:80]
    try:
        with transaction.atomic():
            rule.save(force_insert=True)
    except IntegrityError as failure:
        raise NameTaken from failure
    details = {"effect": rule.effect, "team": team.ulid}
    audit(act="rule.created", by=by, at=at, on=("rule", rule.ulid), details=details)
    return rule


@transaction.atomic
def change(*, rule: TriageRule, wording: Wording, by: Actor, at: datetime, seen: str = "") -> list[str]:
    """Change what a rule says; the names of what is different now. The effect stays what it is.

    `seen`: the version that was looked at, where that is not the rule as given; `Stale` for another one.
    """
    _demand(by, rule.team_id, rule=rule, seen=seen)
    if wording.effect != rule.effect:
        raise Invalid("A rule keeps its effect; make another rule.", pointer="/effect")
    new = drafted(wording, team=rule.team, at=at, before=rule)
    names = ["route_to_id" if one.name == "route_to" else one.name for one in fields(Wording)]
    values = {name: getattr(new, name) for name in names if getattr(new, name) != getattr(rule, name)}
    if not values:
        return []
    _update(rule, {**values, "changed_at": at}, at=at)
    told = sorted(name.removesuffix("_id") for name in values)
    audit(act="rule.changed", by=by, at=at, on=("rule", rule.ulid), details={"fields": told})
    return told


@transaction.atomic
def switch(*, rule: TriageRule, on: bool, by: Actor, at: datetime, seen: str = "") -> None:
    """Switch a rule on or off. `Conflict` for one that has ended; `seen` as for `change`."""
    _demand(by, rule.team_id, rule=rule, seen=seen)
    if rule.is_on == on:
        return
    if on and rule.expires_at is not None and rule.expires_at <= at:
        raise Conflict("It has ended; give it a later end first.")
    if on:
        Conditions.of(rule.conditions)
    _update(rule, {"is_on": on, "changed_at": at}, at=at)
    act = "rule.switched_on" if on else "rule.switched_off"
    audit(act=act, by=by, at=at, on=("rule", rule.ulid), details={"effect": rule.effect})


@transaction.atomic
def remove(*, rule: TriageRule, by: Actor, at: datetime, seen: str = "") -> None:
    """Remove a rule. `Conflict` for one that suppressed alerts, which name it: switch that off.

    `seen` as for `change`.
    """
    _demand(by, rule.team_id, rule=rule, seen=seen)
    details = {"effect": rule.effect, "team": rule.team.ulid}
    ulid = rule.ulid
    try:
        rule.delete()
    except ProtectedError as failure:
        raise Conflict(
            "Alerts that it suppressed name it. Switch it off; it stays for the record."
        ) from failure
    audit(act="rule.removed", by=by, at=at, on=("rule", ulid), details=details)


def _update(rule: TriageRule, values: dict[str, Any], *, at: datetime) -> None:
    """Change the row if it is as it was read, else `Conflict`."""
    del at
    try:
        with transaction.atomic():
            held = TriageRule.objects.filter(pk=rule.pk, is_on=rule.is_on, changed_at=rule.changed_at)
            if rule.changed_at is None:
                held = TriageRule.objects.filter(pk=rule.pk, is_on=rule.is_on, changed_at__isnull=True)
            if held.update(**values) != 1:
                raise Conflict
    except IntegrityError as failure:
        raise NameTaken from failure
    for name, value in values.items():
        setattr(rule, name, value)


def _demand(by: Actor, team: int, *, rule: TriageRule | None = None, seen: str = "") -> None:
    if not may_keep(by, team):
        raise Forbidden("Rules reach the whole team; they are kept by leads of the whole team.")
    if rule is not None and seen not in ("", version_of(rule)):
        raise Stale


# --- checking ------------------------------------------------------------------------------------------


def drafted(wording: Wording, *, team: Team, at: datetime, before: TriageRule | None = None) -> TriageRule:
    """The rule that the wording makes, not stored. `Invalid`, with a pointer, for what cannot be."""
    _check_plain(wording)
    conditions = Conditions.of({} if wording.conditions is None else wording.conditions)
    if conditions.includes_critical and wording.effect != RuleEffect.SUPPRESS:
        raise Invalid("Only a suppression needs it.", pointer="/conditions/includes_critical")
    rule = TriageRule(
        name=wording.name.strip(),
        team=team,
        effect=wording.effect,
        position=wording.position,
        source=wording.source.strip(),
        type=wording.type.strip(),
        min_severity=wording.min_severity,
        max_severity=wording.max_severity,
        conditions=conditions.written(),
        window=wording.window,
        group_by=wording.group_by,
        reason=wording.reason.strip(),
    )
    if wording.effect == RuleEffect.SUPPRESS:
        rule.expires_at = _end(wording, at=at, before=before)
    elif wording.expires_at is not None:
        rule.expires_at = wording.expires_at
    if wording.effect == RuleEffect.ROUTE:
        rule.route_to = _destination(wording, team)
    if wording.effect == RuleEffect.ADJUST:
        if wording.shift == 0 or not -100 <= wording.shift <= 100:
            raise Invalid("A shift from -100 to 100, and not 0.", pointer="/shift")
        rule.shift = wording.shift
    return rule


def _check_plain(wording: Wording) -> None:
    lengths = {"name": 120, "source": 40, "type": 200, "reason": 500}
    for name, most in lengths.items():
        value = getattr(wording, name)
        if len(value) > most or "\0" in value:
            raise Invalid(f"At most {most} characters.", pointer=f"/{name}")
    if not wording.name.strip():
        raise Invalid("A rule has a name.", pointer="/name")
    if "*" in wording.type[:-1]:
        raise Invalid("A whole type, or a beginning and one * at its end.", pointer="/type")
    if wording.effect not in set(RuleEffect):
        raise Invalid(f"One of {', '.join(RuleEffect)}.", pointer="/effect")
    if wording.group_by not in set(GroupBy):
        raise Invalid(f"One of {', '.join(GroupBy)}.", pointer="/group_by")
    if not 0 <= wording.min_severity <= wording.max_severity <= 100:
        raise Invalid("Severities from 0 to 100, the least first.", pointer="/min_severity")
    if not 0 <= wording.position <= 100_000:
        raise Invalid("A number from 0 to 100,000.", pointer="/position")
    if not SHORTEST_WINDOW <= wording.window <= LONGEST_WINDOW:
        raise Invalid("A window from one minute to 90 days.", pointer="/window")


def _end(wording: Wording, *, at: datetime, before: TriageRule | None) -> datetime:
    """A suppression ends, within a year, and says why it is there."""
    if not wording.reason.strip():
        raise Invalid("Say why these need no work.", pointer="/reason")
    if wording.expires_at is None:
        raise Invalid("A suppression ends; say when.", pointer="/expires_at")
    is_same = before is not None and before.expires_at == wording.expires_at
    if not is_same and not at < wording.expires_at <= at + LONGEST_SUPPRESSION:
        raise Invalid("An end in the future, at most a year from now.", pointer="/expires_at")
    return wording.expires_at


def _destination(wording: Wording, team: Team) -> Team:
    found = Team.objects.filter(slug=wording.route_to).first() if wording.route_to else None
    if found is None:
        raise Invalid("There is no such team.", pointer="/route_to")
    if found.pk == team.pk:
        raise Invalid("They are this team's already.", pointer="/route_to")
    return found
