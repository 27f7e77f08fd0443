"""Keeping people: who works here as what, and what is done when a telephone or a person is gone.

An administrator sees the people of their teams, and those who are in no team yet. What concerns a login as a
whole (its sessions, its factors, whether it may sign in) is done by who administers every team of the person.
Nobody changes their own access.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.db.models import Q, QuerySet

from audit.record import record
from identity import factors, sessions, signing_in
from identity.actors import Actor
from identity.models import BrowserSession, Membership, Person, Role, Team, User
from identity.permissions import Permission
from lib.errors import Forbidden, Invalid, NotFound


@dataclass(frozen=True, kw_only=True)
class Login:
    """One login as the list shows it."""

    user: User
    roles: tuple[str, ...]
    factors: tuple[str, ...]
    session: BrowserSession | None


def logins_for(actor: Actor, *, at: datetime) -> list[Login]:
    """The logins that this administrator looks after, by name. Raises `Forbidden`."""
    teams = teams_of(actor)
    found = _visible(actor).select_related("person").prefetch_related("person__memberships")
    return [_login(user, teams, at=at) for user in found.order_by("person__name", "username")]


def login_for(actor: Actor, ulid: str) -> User:
    """One of these logins. Raises `Forbidden` and `NotFound`."""
    user = _visible(actor).select_related("person").filter(ulid=ulid).first()
    if user is None:
        raise NotFound
    return user


def teams_of(actor: Actor) -> list[Team]:
    """The teams whose people this actor keeps. Raises `Forbidden`."""
    seats = [seat.team for seat in actor.seats_for(Permission.KEEP_PEOPLE) if seat.is_whole]
    if not seats:
        raise Forbidden
    return list(Team.objects.filter(pk__in=seats).order_by("name"))


def may_change(actor: Actor, user: User) -> bool:
    """Whether the actor administers all that the person is in, and is not that person."""
    if user.person is None:
        return True
    mine = {team.pk for team in teams_of(actor)}
    theirs = set(user.person.memberships.values_list("team", flat=True))
    return user.person_id != actor.person_id and theirs <= mine


def end_sessions(*, user: User, by: Actor, at: datetime) -> None:
    """Sign a login out everywhere, at once."""
    _whole(by, user)
    sessions.end_all(user=user, why="administrator", by=by, at=at)


def end_session(*, user: User, ulid: str, by: Actor, at: datetime) -> None:
    """End one session of a login. Raises `NotFound`."""
    _whole(by, user)
    sessions.end(user=user, ulid=ulid, by=by, at=at)


def set_active(*, user: User, is_active: bool, by: Actor, at: datetime) -> None:
    """Let a login sign in, or no longer; its sessions end with it."""
    _whole(by, user)
    with transaction.atomic():
        user.is_active = is_active
        user.save(update_fields=["is_active"])
        act = "login-activated" if is_active else "login-deactivated"
        record(act=act, by=by, at=at, on=("login", user.ulid))


def reset_factors(*, user: User, by: Actor, at: datetime) -> None:
    """Forget the second factors of who lost them, lift the lock on codes, and end all sessions."""
    _whole(by, user)
    with transaction.atomic():
        factors.remove_all(user=user, by=by, at=at)
        signing_in.forgive_codes(user)
        sessions.end_all(user=user, why="factors-reset", by=by, at=at)


def give_role(*, user: User, team: str, role: str, by: Actor, at: datetime) -> None:
    """Give the person a role in one of the administrator's teams, named by its ulid. Raises `Invalid`."""
    person, where = _placed(by, user, team)
    if role not in Role.values:
        raise Invalid("There is no such role.", pointer="/role")
    with transaction.atomic():
        _, is_new = Membership.objects.get_or_create(person=person, team=where, role=role)
        if is_new:
            details = {"team": where.ulid, "role": role}
            record(act="role-given", by=by, at=at, on=("login", user.ulid), details=details)


def take_role(*, user: User, team: str, role: str, by: Actor, at: datetime) -> None:
    """Take a role away; with the last one the person's sessions end. Raises `NotFound`."""
    person, where = _placed(by, user, team)
    held = Membership.objects.filter(person=person, team=where, role=role).first()
    if held is None:
        raise NotFound
    with transaction.atomic():
        held.delete()
        details = {"team": where.ulid, "role": role}
        record(act="role-taken", by=by, at=at, on=("login", user.ulid), details=details)


def _visible(actor: Actor) -> QuerySet[User]:
    mine = [team.pk for team in teams_of(actor)]
    of_mine = Q(person__in=Membership.objects.filter(team__in=mine).values("person"))
    placed = Q(person__in=Membership.objects.values("person"))
    return User.objects.filter(of_mine | Q(person=None) | ~placed)


def _login(user: User, teams: list[Team], *, at: datetime) -> Login:
    mine = {team.pk for team in teams}
    held = user.person.memberships.all() if user.person else []
    live = sessions.sessions_of(user, at=at)
    return Login(
        user=user,
        roles=tuple(Role(one.role).label for one in held if one.team_id in mine),
        factors=tuple(factor.name for factor in factors.factors_of(user)),
        session=live[0] if live else None,
    )


def _whole(by: Actor, user: User) -> None:
    if not may_change(by, user):
        raise Forbidden("This is for who administers every team of this person, and never for oneself.")


def _placed(by: Actor, user: User, ulid: str) -> tuple[Person, Team]:
    where = next((team for team in teams_of(by) if team.ulid == ulid), None)
    if where is None:
        raise NotFound
    if user.person is None or user.person_id == by.person_id:
        raise Forbidden("Nobody changes their own roles.")
    return user.person, where
