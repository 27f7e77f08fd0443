"""The commonest request, one alert sent with a key, with as little around it as possible.

`POST /api/v1/alerts` of a program goes this way: its key and its team are known for a second, the body
is read by the same decoder, and the alert, its raw copy and its receipt are one statement that commits.
Whatever is not that (another method, a person's session, anything to refuse) is left to the view that
serves every case, and an alert that is there already to the general way of storing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import wraps

import orjson
from django.http import HttpRequest, HttpResponse, HttpResponseBase

from cases import decoding, ingest
from cases.decoding import Unreadable
from cases.sources import native
from cases.sources.types import AlertDraft
from identity import keys
from identity.actors import Actor, of_key
from identity.models import ApiKey, Team
from identity.permissions import Permission
from identity.requests import bind, client_ip, request_id
from lib import clock
from lib.remembered import Remembered
from soc import throttling
from soc.api import alerts, problems

View = Callable[[HttpRequest], HttpResponseBase]

SHORT = orjson.OPT_UTC_Z
"""Times as the API's other answers spell them."""

_keys: Remembered[ApiKey | None] = Remembered(seconds=1.0)
_teams: Remembered[Team | None] = Remembered(seconds=1.0)


@dataclass(frozen=True, kw_only=True)
class _Post:
    """A request that may go the short way: who sends, what it is, and as which bytes it came."""

    actor: Actor
    draft: AlertDraft
    body: bytes
    at: datetime


def alerts_door(rest: View) -> View:
    """The view of `/api/v1/alerts`: the short way where it leads to the end, else `rest`."""

    @wraps(rest)  # what finds REST framework's views by their marks, the schema for one, finds this one
    def door(request: HttpRequest) -> HttpResponseBase:
        try:
            post = _post(request)
            if post is None:
                return rest(request)
            bind(request, post.actor)
            throttling.admit(request, principal=post.actor.principal, per_minute=post.actor.per_minute)
            return _take_in(post)
        except Exception as failure:  # noqa: BLE001 - the API's own handler: it knows, or logs and says 500
            return problems.handle(failure, {"request": request})

    return door


def _post(request: HttpRequest) -> _Post | None:
    """What is sent, if it is plainly one alert, without fault, by a program that may send alerts."""
    if request.method != "POST" or not _is_plain(request):
        return None
    actor = _actor(request)
    if actor is None or not actor.may(Permission.WRITE_ALERTS):
        return None
    at = clock.now()
    try:
        [draft] = [ingest.checked(draft, at=at) for draft in native.parse(decoding.decode(request.body))]
    except Unreadable:
        return None
    return _Post(actor=actor, draft=draft, body=request.body, at=at)


def _is_plain(request: HttpRequest) -> bool:
    """Whether it is JSON, wants JSON, and asks for nothing else."""
    accepts = request.META.get("HTTP_ACCEPT", "*/*")
    return (
        request.META.get("CONTENT_TYPE") == "application/json"
        and ("*/*" in accepts or "application/json" in accepts)
        and "HTTP_IDEMPOTENCY_KEY" not in request.META
    )


def _actor(request: HttpRequest) -> Actor | None:
    """The program behind the key, as of a second ago: so long may a revoked key still be used."""
    scheme, _, secret = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
    if scheme.lower() != "bearer" or not secret.isascii():
        return None
    now = clock.now()
    key = _keys.get(keys.digest(secret), lambda: keys.find(secret, at=now))
    if key is None or (key.expires_at is not None and key.expires_at <= now):
        return None
    return of_key(key, ip=client_ip(request), request_id=request_id(request))


def _take_in(post: _Post) -> HttpResponse:
    alert = ingest.receive_new(draft=post.draft, body=post.body, by=post.actor, at=post.at)
    if alert is None:
        status, answer = alerts.take_in(post.draft, by=post.actor, at=post.at)
    else:
        alert.team = _team(alert.team_id)
        status, answer = 201, alerts.answered(alert, post.actor, raw=post.draft.raw) | {"deduplicated": False}
    return HttpResponse(orjson.dumps(answer, option=SHORT), status=status, content_type="application/json")


def _team(pk: int) -> Team:
    found = _teams.get(str(pk), lambda: Team.objects.filter(pk=pk).first())
    if found is None:
        raise Team.DoesNotExist
    return found
