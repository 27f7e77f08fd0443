"""Making people: a person, their login and their role in a team."""

from __future__ import annotations

from datetime import datetime

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import transaction

from audit.record import record
from identity import sessions
from identity.actors import Actor
from identity.models import Membership, Person, Role, Team, User
from lib.errors import Conflict, Invalid


def add_person(
    *,
    login: str,
    name: str,
    password: str,
    roles: frozenset[Role],
    team: Team,
    by: Actor,
    at: datetime,
    email: str = "",
) -> User:
    """A new person with one login and these roles in the team, for all of the team's accounts.

    Raises `Conflict` for a login that exists and `Invalid` for one that cannot be, or for a password
    that is too easy.
    """
    user = User(username=User.normalize_username(login), email=email)
    try:
        user.clean_fields(exclude=["password", "person"])
        validate_password(password, user)
    except ValidationError as failure:
        raise Invalid(" ".join(failure.messages)) from failure
    if User.objects.filter(username=user.username).exists():
        raise Conflict(f"There is a login {login} already.")
    user.set_password(password)
    with transaction.atomic():
        user.person = Person.objects.create(name=name, email=email)
        user.save()
        for role in sorted(roles):
            Membership.objects.create(person=user.person, team=team, role=role)
        details = {"team": team.ulid, "roles": sorted(roles)}
        record(act="person-added", by=by, at=at, on=("login", user.ulid), details=details)
    return user


def change_password(*, user: User, old: str, new: str, by: Actor, at: datetime, keep: str = "") -> None:
    """Give a login another password and end its sessions, except that of the key `keep`. Raises `Invalid`."""
    if not user.check_password(old):
        raise Invalid("This is not the password so far.", pointer="/old")
    try:
        validate_password(new, user)
    except ValidationError as failure:
        raise Invalid(" ".join(failure.messages), pointer="/new") from failure
    user.set_password(new)
    with transaction.atomic():
        user.save(update_fields=["password"])
        sessions.end_all(user=user, why="password-changed", by=by, at=at, keep=keep)


def team_named(slug: str) -> Team:
    """The team with this slug, made when it is new."""
    return Team.objects.get_or_create(slug=slug, defaults={"name": f"{slug.capitalize()} team"})[0]


def first_team() -> Team | None:
    """The team that was there first: whose installation this is, where nothing else is said."""
    return Team.objects.order_by("pk").first()
