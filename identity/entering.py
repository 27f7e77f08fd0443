"""A browser's way in: between first and second factor, signed in, and still signed in after a change."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth import HASH_SESSION_KEY, login
from django.http import HttpRequest
from django.utils.crypto import constant_time_compare
from django.utils.dateparse import parse_datetime

from identity import sessions
from identity.actors import Actor, of_user
from identity.factors import must_have
from identity.models import User
from identity.requests import SIGNED_IN_AT, client_ip, request_id

BACKEND = "django.contrib.auth.backends.ModelBackend"
HALF_IN = "half_signed_in"
FACTOR = "second_factor"
HALF_IN_FOR = timedelta(minutes=5)


@dataclass(frozen=True, kw_only=True)
class HalfIn:
    """Somebody whose second factor is waited for."""

    user: User
    next: str


def wait_for_factor(request: HttpRequest, user: User, *, next_page: str, at: datetime) -> None:
    """Remember in the session who has shown the first factor. Nobody is signed in by it."""
    request.session.cycle_key()
    request.session[HALF_IN] = {
        "user": user.ulid,
        "at": at.isoformat(),
        "next": next_page,
        "hash": user.get_session_auth_hash(),
    }


def half_in(request: HttpRequest, *, at: datetime) -> HalfIn | None:
    """Whose second factor this browser may show, for five minutes."""
    kept: Any = request.session.get(HALF_IN)
    began = parse_datetime(kept["at"]) if kept else None
    if began is None or not began <= at < began + HALF_IN_FOR:
        return None
    user = User.objects.filter(ulid=kept["user"], is_active=True).first()
    if user is None or not constant_time_compare(kept["hash"], user.get_session_auth_hash()):
        return None
    return HalfIn(user=user, next=kept["next"])


def enter(request: HttpRequest, user: User, *, factor: str, at: datetime) -> None:
    """Sign the login in here, in a session of a new key. `factor` is empty for a password alone."""
    before = request.session.session_key or ""
    login(request, user, backend=BACKEND)
    request.session.cycle_key()  # a new session, too, for the one who signs in again
    request.session.pop(HALF_IN, None)
    request.session[SIGNED_IN_AT] = at.isoformat()
    request.session[FACTOR] = factor
    sessions.begin(
        user=user,
        key=str(request.session.session_key),
        replaces=before,
        ip=client_ip(request),
        browser=_browser(request),
        at=at,
    )


def stay(request: HttpRequest, user: User, *, factor: str | None = None) -> None:
    """Keep this browser signed in after its owner ended the others; `factor` says what was set up."""
    request.session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    if factor is not None:
        request.session[FACTOR] = factor


def note(request: HttpRequest, user: User, *, at: datetime) -> None:
    """Note that the browser of this request is in use."""
    sessions.seen(
        user=user,
        key=str(request.session.session_key),
        ip=client_ip(request),
        browser=_browser(request),
        at=at,
    )


def lacks_factor(request: HttpRequest, user: User) -> bool:
    """Whether this person has to set up a second factor before anything else."""
    if request.session.get(FACTOR):
        return False
    return must_have(actor_behind(request, user))


def actor_behind(request: HttpRequest, user: User) -> Actor:
    """The actor of a login, without saying that the request is theirs: a key may still come to light."""
    return of_user(user, ip=client_ip(request), request_id=request_id(request))


def _browser(request: HttpRequest) -> str:
    return str(request.META.get("HTTP_USER_AGENT", ""))
