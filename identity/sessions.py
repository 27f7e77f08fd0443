"""The browsers in which a login is signed in: which there are, and ending them at once.

A session ends twice over: its row is deleted, and the login's epoch moves on, which each session carries a
digest of. The second also ends what is just being written, and what no list knows.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.contrib.sessions.models import Session
from django.db import transaction
from django.db.models import F

from audit.record import record
from identity.actors import Actor
from identity.models import BrowserSession, Person, User
from lib.errors import NotFound
from lib.remembered import Remembered

SEEN_EVERY = timedelta(minutes=1)

_seen: Remembered[bool] = Remembered(seconds=SEEN_EVERY.total_seconds())


def begin(*, user: User, key: str, replaces: str, ip: str, browser: str, at: datetime) -> None:
    """Note that a login is signed in under this session key; `replaces` is the key it had before."""
    BrowserSession.objects.filter(session_key__in=[key, replaces]).delete()
    BrowserSession.objects.create(
        user=user, session_key=key, ip=ip, browser=browser[:200], began_at=at, seen_at=at
    )


def seen(*, user: User, key: str, ip: str, browser: str, at: datetime) -> None:
    """Note that a session is in use, at most once a minute in a process."""

    def note() -> bool:
        current = {"user": user, "ip": ip, "browser": browser[:200], "seen_at": at}
        BrowserSession.objects.update_or_create(
            session_key=key, defaults=current, create_defaults=current | {"began_at": at}
        )
        return True

    _seen.get(f"{user.pk}:{key}", note)


def sessions_of(user: User, *, at: datetime) -> list[BrowserSession]:
    """Where the login is signed in, seen last first. Forgets what has run out."""
    rows = list(BrowserSession.objects.filter(user=user).order_by("-seen_at", "-pk"))
    alive = set(
        Session.objects.filter(session_key__in=[row.session_key for row in rows], expire_date__gt=at)
        .order_by()
        .values_list("session_key", flat=True)
    )
    gone = [row.pk for row in rows if row.session_key not in alive]
    BrowserSession.objects.filter(pk__in=gone).delete()
    return [row for row in rows if row.session_key in alive]


def end(*, user: User, ulid: str, by: Actor, at: datetime) -> None:
    """End one session at once. Raises `NotFound`."""
    row = BrowserSession.objects.filter(user=user, ulid=ulid).first()
    if row is None:
        raise NotFound
    with transaction.atomic():
        Session.objects.filter(session_key=row.session_key).delete()
        row.delete()
        record(act="session-ended", by=by, at=at, on=("login", user.ulid), details={"session": ulid})


def end_all(*, user: User, why: str, by: Actor, at: datetime, keep: str = "") -> int:
    """End the login's sessions at once, and say how many were known; `keep` is the key of one that stays.

    The one that stays needs the new epoch's digest (`identity.entering.stay`).
    """
    with transaction.atomic():
        User.objects.filter(pk=user.pk).update(epoch=F("epoch") + 1)
        ending = BrowserSession.objects.filter(user=user).exclude(session_key=keep)
        keys = list(ending.values_list("session_key", flat=True))
        Session.objects.filter(session_key__in=keys).delete()
        ending.delete()
        details = {"why": why, "sessions": len(keys)}
        record(act="sessions-ended", by=by, at=at, on=("login", user.ulid), details=details)
    user.refresh_from_db(fields=["epoch"])
    return len(keys)


def end_all_of(person: Person, *, why: str, by: Actor, at: datetime) -> None:
    """End the sessions of every login of a person."""
    for user in person.logins.order_by("pk"):
        end_all(user=user, why=why, by=by, at=at)
