"""Signing in with a password: one answer to everything wrong, and a lock after too many tries.

The lock counts per login and address, so that nobody can lock a colleague out from elsewhere, and it
lives in the database, so that all web processes agree and a restart forgives nothing.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.contrib.auth import authenticate
from django.db import transaction
from django.utils.crypto import salted_hmac

from audit.record import record
from identity.actors import Actor, of_user
from identity.models import SignInFailure, User
from lib.errors import AppError

TRIES = 10
WINDOW = timedelta(minutes=15)


class Refused(AppError):
    """The login or the password is wrong."""

    status = 403
    code = "sign-in-refused"


class LockedOut(AppError):
    """Too many attempts with this login from here. Wait, or ask an administrator."""

    status = 429
    code = "locked-out"

    def __init__(self, *, until: datetime) -> None:
        super().__init__()
        self.until = until


def sign_in(*, login: str, password: str, ip: str, request_id: str, at: datetime) -> User:
    """The user whose login and password these are. Raises `Refused` or `LockedOut`; all is audited.

    The attempt is counted before the password is looked at, so that many at once are not more than
    many in a row.
    """
    attempted = _digest(login, ip)
    tries = _count_attempt(attempted, at=at)
    user = authenticate(username=login, password=password)
    if not isinstance(user, User):
        nobody = Actor(kind="anonymous", label="", ip=ip, request_id=request_id)
        act = "sign-in-locked" if tries == TRIES else "sign-in-failed"
        with transaction.atomic():
            record(act=act, by=nobody, at=at, on=("login", attempted[:26]), details={"tries": tries})
        raise Refused
    with transaction.atomic():
        SignInFailure.objects.filter(attempted=attempted).delete()
        actor = of_user(user, ip=ip, request_id=request_id)
        record(act="signed-in", by=actor, at=at, on=("login", user.ulid))
    return user


def sign_out(*, user: User, ip: str, request_id: str, at: datetime) -> None:
    """Note that a person left; ending the session is the web's business."""
    with transaction.atomic():
        actor = of_user(user, ip=ip, request_id=request_id)
        record(act="signed-out", by=actor, at=at, on=("login", user.ulid))


def _count_attempt(attempted: str, *, at: datetime) -> int:
    """How many attempts this one makes. Raises `LockedOut`, and counts nothing more, beyond `TRIES`."""
    SignInFailure.objects.filter(at__lte=at - WINDOW).delete()
    attempt = SignInFailure.objects.create(attempted=attempted, at=at)
    earlier = SignInFailure.objects.filter(attempted=attempted, pk__lt=attempt.pk)
    times = list(earlier.order_by("pk").values_list("at", flat=True)[:TRIES])
    if len(times) < TRIES:
        return len(times) + 1
    attempt.delete()
    raise LockedOut(until=times[0] + WINDOW)


def _digest(login: str, ip: str) -> str:
    normal = User.normalize_username(login).casefold()
    return salted_hmac("quell.sign-in", f"{normal}\n{ip}", algorithm="sha256").hexdigest()
