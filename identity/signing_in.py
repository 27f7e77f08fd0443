"""Signing in: one answer to everything wrong, and a lock after too many tries.

The lock on passwords counts per login and address, so that nobody can lock a colleague out from elsewhere.
The lock on second factors counts per login, wherever from: only who has the password gets there. Both live
in the database, so that all web processes agree and a restart forgives nothing; the right password forgives
no wrong code.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.contrib.auth import authenticate
from django.db import transaction
from django.utils.crypto import salted_hmac

from audit.record import record
from identity import factors
from identity.actors import Actor, of_user
from identity.models import SignInFailure, User
from lib.errors import AppError, TooManyRequests

TRIES = 10
WINDOW = timedelta(minutes=15)
CODE_LIMITS = ((10, WINDOW), (30, timedelta(days=30)))
"""Wrong codes that lock, and for how long each counts: who knows a password gets thirty guesses a month."""


class Refused(AppError):
    """The login or the password is wrong."""

    status = 403
    code = "sign-in-refused"


class WrongCode(AppError):
    """This code is wrong, or was used already."""

    status = 403
    code = "code-refused"


class LockedOut(AppError):
    """Too many attempts with this login from here. Wait, or ask an administrator."""

    status = 429
    code = "locked-out"

    def __init__(self, *, until: datetime) -> None:
        super().__init__()
        self.until = until


@dataclass(frozen=True, kw_only=True)
class Recognised:
    """Whose password it was, and whether a second factor has to follow before they are in."""

    user: User
    needs_factor: bool


def sign_in(*, login: str, password: str, ip: str, request_id: str, at: datetime) -> Recognised:
    """Whose login and password these are. Raises `Refused` or `LockedOut`; all is audited. `TooManyRequests`
    where too many passwords are looked at already.

    The attempt is counted before the password is looked at, so that many at once are not more than
    many in a row.
    """
    attempted = _digest(login, ip)
    tries = _count_attempt(attempted, at=at)
    try:
        user = authenticate(username=login, password=password)
    except TooManyRequests:  # nothing was looked at, so nothing counts
        SignInFailure.objects.filter(attempted=attempted, at=at).delete()
        raise
    if not isinstance(user, User):
        nobody = Actor(kind="anonymous", label="", ip=ip, request_id=request_id)
        act = "sign-in-locked" if tries == TRIES else "sign-in-failed"
        with transaction.atomic():
            record(act=act, by=nobody, at=at, on=("login", attempted[:26]), details={"tries": tries})
        raise Refused
    return recognise(user=user, way="password", is_strong=False, ip=ip, request_id=request_id, at=at)


def recognise(*, user: User, way: str, is_strong: bool, ip: str, request_id: str, at: datetime) -> Recognised:
    """Let somebody in who has shown who they are, unless a second factor has to follow.

    `is_strong` where whoever recognised them asked for a second factor already.
    """
    needs_factor = factors.has_factor(user) and not is_strong
    with transaction.atomic():
        SignInFailure.objects.filter(attempted=_digest(user.get_username(), ip)).delete()
        actor = of_user(user, ip=ip, request_id=request_id)
        details = {} if way == "password" else {"way": way}
        act = "first-factor-accepted" if needs_factor else "signed-in"
        record(act=act, by=actor, at=at, on=("login", user.ulid), details=details)
    return Recognised(user=user, needs_factor=needs_factor)


def show_factor(*, user: User, code: str, credential: str, ip: str, request_id: str, at: datetime) -> str:
    """Which second factor was shown, after the first. Raises `WrongCode` or `LockedOut`; all is audited."""
    count_code_attempt(user, at=at)
    shown = factors.take(user=user, code=code, credential=credential, at=at)
    actor = of_user(user, ip=ip, request_id=request_id)
    if not shown:
        with transaction.atomic():
            record(act="second-factor-failed", by=actor, at=at, on=("login", user.ulid))
        raise WrongCode
    with transaction.atomic():
        SignInFailure.objects.filter(attempted=_code_of(user)).delete()
        record(act="signed-in", by=actor, at=at, on=("login", user.ulid), details={"factor": shown})
    return shown


def count_code_attempt(user: User, *, at: datetime) -> None:
    """Count a try of a code before it is looked at. Raises `LockedOut`.

    All tries that were written are counted, also later ones: of many at once the one that counts last
    has seen every other.
    """
    attempted = _code_of(user)
    SignInFailure.objects.filter(attempted=attempted, at__lte=at - CODE_LIMITS[-1][1]).delete()
    attempt = SignInFailure.objects.create(attempted=attempted, at=at)
    tries = SignInFailure.objects.filter(attempted=attempted)
    for most, window in CODE_LIMITS:
        times = list(tries.filter(at__gt=at - window).order_by("at", "pk").values_list("at", flat=True))
        if len(times) > most:
            attempt.delete()
            raise LockedOut(until=times[-most - 1] + window)


def forgive_codes(user: User) -> None:
    """Lift the lock on second factors, for an administrator who knows that it was the owner."""
    SignInFailure.objects.filter(attempted=_code_of(user)).delete()


def sign_out(*, user: User, ip: str, request_id: str, at: datetime) -> None:
    """Note that a person left; ending the session is the web's business."""
    with transaction.atomic():
        actor = of_user(user, ip=ip, request_id=request_id)
        record(act="signed-out", by=actor, at=at, on=("login", user.ulid))


def _count_attempt(attempted: str, *, at: datetime) -> int:
    """How many attempts this one makes. Raises `LockedOut`, and counts nothing more, beyond `TRIES`."""
    SignInFailure.objects.filter(at__lte=at - WINDOW).exclude(attempted__startswith="code:").delete()
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


def _code_of(user: User) -> str:
    return f"code:{user.ulid}"
