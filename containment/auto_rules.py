"""Keeping automation: its rules, which two persons stand behind, its switch, and the mode of accounts.

A rule reaches a whole team and is written by its leads; somebody else who approves plans there approves
it. Automation has one switch for the installation: any responder may pull it, a lead resets it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import F, QuerySet

from audit.record import record
from cases.access import permits
from containment import automation
from containment.actions import UnknownType, action_type
from containment.automation_models import Automation, AutoRule
from estate import modes
from estate.models import Account, Environment, Mode
from estate.queries import accounts_for
from identity.actors import Actor
from identity.models import Team
from identity.permissions import Permission
from identity.requests import NotFresh
from lib.errors import Conflict, Forbidden, Invalid, NotFound
from notify import outbox

LONGEST = timedelta(days=366)
MOST_RULES = 50
MOST_PER_HOUR = 100
NEVER = frozenset({Environment.MANAGEMENT.value, Environment.SECURITY.value})
SUBJECT = ("automation", "1")


class Stale(Conflict):
    """Somebody changed this rule since you loaded it. Look at it as it is now, then decide again."""


@dataclass(frozen=True, kw_only=True)
class Wording:
    """What a rule says, as a person wrote it; checked by `checked`."""

    name: str
    type: str
    expires_at: datetime
    environments: tuple[str, ...]
    action_types: tuple[str, ...]
    min_severity: int = 70
    max_tier: int = 1
    per_hour: int = 5
    per_account: int = 3

    @classmethod
    def of(cls, rule: AutoRule) -> Wording:
        """What a stored rule says."""
        values: dict[str, Any] = {one.name: getattr(rule, one.name) for one in fields(cls)}
        frozen: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in values.items()
        }
        return cls(**frozen)

    def columns(self) -> dict[str, Any]:
        """The same as column values."""
        return {
            name: sorted(set(value)) if isinstance(value, tuple) else value
            for name, value in asdict(self).items()
        }


def rules_for(actor: Actor) -> QuerySet[AutoRule]:
    """The rules of the teams whose actions the actor may read, whole teams only."""
    teams = {seat.team for seat in actor.seats_for(Permission.READ_ACTIONS) if seat.is_whole}
    found = AutoRule.objects.select_related("team", "written_by", "approved_by")
    return found.filter(team_id__in=teams, removed_at__isnull=True).order_by("team", "name", "pk")


def rule_for(actor: Actor, ulid: str, *, permission: Permission = Permission.READ_ACTIONS) -> AutoRule:
    """One rule; `NotFound` or `Forbidden`."""
    rule = rules_for(actor).filter(ulid=ulid).first()
    if rule is None:
        raise NotFound("There is no such rule, or it is not yours to see.")
    if not _holds(actor, permission, rule.team_id):
        raise Forbidden
    return rule


def may_keep(actor: Actor, team: int) -> bool:
    """Whether the actor writes the automation rules of a team: a person, for the whole of it."""
    return actor.kind == "person" and _holds(actor, Permission.KEEP_RULES, team)


def may_approve(actor: Actor, rule: AutoRule) -> bool:
    """Whether the actor could be the second person behind a rule."""
    return (
        actor.kind == "person"
        and rule.approved_by_id is None
        and actor.person_id != rule.written_by_id
        and _holds(actor, Permission.APPROVE_ACTIONS, rule.team_id)
    )


def teams_kept_by(actor: Actor) -> list[Team]:
    """The teams whose rules the actor writes."""
    if actor.kind != "person":
        return []
    ids = [seat.team for seat in actor.seats_for(Permission.KEEP_RULES) if seat.is_whole]
    return list(Team.objects.filter(pk__in=ids).order_by("name"))


def team_for(actor: Actor, slug: str) -> Team:
    """The team for a new rule: the one named, else the only one there is. `Forbidden`, or `Invalid`."""
    teams = teams_kept_by(actor)
    if not teams:
        raise Forbidden("Automation reaches a whole team; its rules are kept by leads of the whole team.")
    if not slug and len(teams) == 1:
        return teams[0]
    for team in teams:
        if team.slug == slug:
            return team
    raise Invalid("Name one of your teams: " + ", ".join(team.slug for team in teams) + ".", pointer="/team")


def checked(wording: Wording, *, at: datetime) -> Wording:
    """The wording, if a rule can be meant so; else `Invalid`, which names the field."""
    if not wording.name.strip() or len(wording.name) > 120:
        raise Invalid("A rule has a name of at most 120 characters.", pointer="/name")
    if not wording.type.rstrip("*").strip() or "*" in wording.type[:-1] or len(wording.type) > 200:
        raise Invalid("Name a finding type; only its end may be left open, by one *.", pointer="/type")
    for name, least, most in (
        ("min_severity", 1, 100),
        ("max_tier", 0, 2),
        ("per_hour", 1, MOST_PER_HOUR),
        ("per_account", 1, MOST_PER_HOUR),
    ):
        if not least <= getattr(wording, name) <= most:
            raise Invalid(f"A number from {least} to {most}.", pointer=f"/{name}")
    if not at < wording.expires_at <= at + LONGEST:
        raise Invalid("A rule ends within 366 days.", pointer="/expires_at")
    known = {one.value for one in Environment} - NEVER
    if not wording.environments or set(wording.environments) - known:
        raise Invalid(f"Choose from {', '.join(sorted(known))}.", pointer="/environments")
    if not wording.action_types:
        raise Invalid("Name at least one action type.", pointer="/action_types")
    for type_id in wording.action_types:
        _check_type(type_id)
    return wording


# --- use-cases -----------------------------------------------------------------------------------------


@transaction.atomic
def create(*, wording: Wording, team: Team, by: Actor, at: datetime) -> AutoRule:
    """Write a rule; it does nothing until a second person approves it.

    Raises `Forbidden`, `Invalid` for what cannot be meant, `Conflict` for a name that is taken.
    """
    if by.person_id is None or not may_keep(by, team.pk):
        raise Forbidden
    if AutoRule.objects.filter(team=team, removed_at__isnull=True).count() >= MOST_RULES:
        raise Conflict(f"A team has at most {MOST_RULES} automation rules; remove one first.")
    values = checked(wording, at=at).columns()
    try:
        with transaction.atomic():
            rule = AutoRule.objects.create(team=team, written_by_id=by.person_id, written_at=at, **values)
    except IntegrityError as taken:
        raise Conflict("The team has an automation rule of this name already.") from taken
    _audit("automation.rule-written", rule, by=by, at=at)
    return rule


@transaction.atomic
def change(*, rule: AutoRule, wording: Wording, seen: int, by: Actor, at: datetime) -> AutoRule:
    """Write the next version of a rule; it is not live until somebody else approves that.

    `seen` is the version that was looked at: `Stale` when there is a newer one.
    """
    if not may_keep(by, rule.team_id):
        raise Forbidden
    values = checked(wording, at=at).columns() | {
        "version": F("version") + 1,
        "written_by_id": by.person_id,
        "written_at": at,
        "approved_by": None,
        "approved_at": None,
    }
    try:
        with transaction.atomic():
            changed = AutoRule.objects.filter(pk=rule.pk, version=seen, removed_at__isnull=True)
            if changed.update(**values) != 1:
                raise Stale
    except IntegrityError as taken:
        raise Conflict("The team has an automation rule of this name already.") from taken
    rule.refresh_from_db()
    _audit("automation.rule-changed", rule, by=by, at=at)
    return rule


@transaction.atomic
def approve(*, rule: AutoRule, seen: int, by: Actor, at: datetime, is_fresh: bool) -> AutoRule:
    """Be the second person behind this version: from now on it acts. The writer is refused."""
    if by.kind != "person" or not _holds(by, Permission.APPROVE_ACTIONS, rule.team_id):
        raise Forbidden("A rule is approved by an approver or lead of the whole team.")
    if by.person_id == rule.written_by_id:
        raise Forbidden("You wrote this version; someone else must approve it.")
    if not is_fresh:
        raise NotFresh
    waiting = AutoRule.objects.filter(
        pk=rule.pk, version=seen, approved_by__isnull=True, removed_at__isnull=True, expires_at__gt=at
    )
    try:
        with transaction.atomic():
            if waiting.update(approved_by_id=by.person_id, approved_at=at) != 1:
                raise Stale
    except IntegrityError as refused:
        raise Stale from refused
    rule.refresh_from_db()
    _audit("automation.rule-approved", rule, by=by, at=at)
    return rule


@transaction.atomic
def withdraw(*, rule: AutoRule, by: Actor, at: datetime) -> AutoRule:
    """Take a rule out of force; it has to be approved again. What it did stays in force."""
    if not may_keep(by, rule.team_id):
        raise Forbidden
    live = AutoRule.objects.filter(pk=rule.pk, approved_by__isnull=False, removed_at__isnull=True)
    if live.update(approved_by=None, approved_at=None) != 1:
        raise Conflict("It is not in force.")
    rule.refresh_from_db()
    _audit("automation.rule-withdrawn", rule, by=by, at=at)
    return rule


@transaction.atomic
def remove(*, rule: AutoRule, by: Actor, at: datetime) -> None:
    """Remove a rule; what it authorised keeps naming it."""
    if not may_keep(by, rule.team_id):
        raise Forbidden
    there = AutoRule.objects.filter(pk=rule.pk, removed_at__isnull=True)
    if there.update(removed_at=at, approved_by=None, approved_at=None) != 1:
        raise Conflict("It was removed already.")
    _audit("automation.rule-removed", rule, by=by, at=at)


@transaction.atomic
def stop(*, reason: str, by: Actor, at: datetime) -> Automation:
    """Pull the kill switch: nothing starts by itself any more, in any team. Twice changes nothing."""
    if not may_stop(by):
        raise Forbidden("Automation is stopped by a responder or lead.")
    if not reason.strip():
        raise Invalid("Say why automation is stopped.", pointer="/reason")
    state = automation.lock(at)
    if state.stopped_at is not None:
        return state
    state.stopped_at, state.stopped_by_id, state.stop_reason = at, by.person_id, reason.strip()[:500]
    state.save(update_fields=["stopped_at", "stopped_by", "stop_reason"])
    seq = record(act="automation.stopped", by=by, at=at, on=SUBJECT)
    outbox.ring(
        kind="automation.stopped",
        subject="automation:stopped",
        title=f"{by.name or by.label} stopped automation",
        detail=state.stop_reason,
        link="/automation",
        severity=70,
        to=automation.leads(at=at),
        key=f"automation.stopped:{seq}",
        at=at,
    )
    return state


@transaction.atomic
def resume(*, reason: str, by: Actor, at: datetime, is_fresh: bool) -> Automation:
    """Reset the kill switch and close the breaker, with a reason. `Conflict` when automation runs."""
    if not may_resume(by):
        raise Forbidden("Automation is let go again by a lead.")
    if not is_fresh:
        raise NotFresh
    if not reason.strip():
        raise Invalid("Say why automation may go on.", pointer="/reason")
    state = automation.lock(at)
    if state.is_running:
        raise Conflict("Automation is running.")
    details = {"was_stopped": state.stopped_at is not None, "breaker": state.breaker_opened_at is not None}
    state.stopped_at, state.stopped_by_id, state.stop_reason = None, None, ""
    state.breaker_opened_at, state.breaker_reason = None, ""
    state.save(
        update_fields=["stopped_at", "stopped_by", "stop_reason", "breaker_opened_at", "breaker_reason"]
    )
    record(act="automation.resumed", by=by, at=at, on=SUBJECT, details=details)
    return state


def may_stop(actor: Actor) -> bool:
    """Whether the actor may pull the kill switch: any responder, any lead."""
    return actor.kind == "person" and actor.may(Permission.CONFIRM_ACTIONS)


def may_resume(actor: Actor) -> bool:
    """Whether the actor may let automation go on: a lead of a whole team."""
    return bool(teams_kept_by(actor))


def set_mode(*, account_id: str, mode: str, reason: str, by: Actor, at: datetime, is_fresh: bool) -> Account:
    """Say how far containment may go in an account. `NotFound`, `Forbidden`, `NotFresh`, `Invalid`.

    Going back to `observe` needs no fresh sign-in: it takes rights away.
    """
    account = accounts_for(by).filter(account_id=account_id).first()
    if account is None:
        raise NotFound("There is no such account, or it is not yours to see.")
    if by.kind != "person" or not permits(
        by, Permission.KEEP_RULES, team=account.team_id, account=account.account_id
    ):
        raise Forbidden("The mode of an account is set by a lead.")
    if mode not in Mode.values:
        raise Invalid(f"A mode is one of {', '.join(Mode.values)}.", pointer="/mode")
    if not reason.strip():
        raise Invalid("Say why the mode is changed.", pointer="/reason")
    if mode != Mode.OBSERVE and not is_fresh:
        raise NotFresh
    return modes.set_mode(account=account, mode=Mode(mode), reason=reason.strip(), by=by, at=at)


def _check_type(type_id: str) -> None:
    try:
        declared = action_type(type_id)
    except UnknownType:
        raise Invalid(f"There is no action type {type_id[:60]!r}.", pointer="/action_types") from None
    if declared.tier > 2:
        raise Invalid(f"{type_id} is tier {declared.tier}: never automatic.", pointer="/action_types")
    if declared.target in automation.FROM_TEXT:
        raise Invalid(
            f"{type_id} aims at what only an alert's text names: never automatic.", pointer="/action_types"
        )


def _holds(actor: Actor, permission: Permission, team: int) -> bool:
    return any(seat.team == team and seat.is_whole for seat in actor.seats_for(permission))


def _audit(act: str, rule: AutoRule, *, by: Actor, at: datetime) -> None:
    details: Mapping[str, Any] = {
        "version": rule.version,
        "max_tier": rule.max_tier,
        "action_types": list(rule.action_types),
        "team": rule.team.ulid,
    }
    record(act=act, by=by, at=at, on=("auto-rule", rule.ulid), details=dict(details))
