"""Who asks: from a Django or REST request to an `Actor`, and how long ago a person signed in.

What is found out about a request once is kept in its WSGI environment (`request.META`), which a REST
request shares with the Django request inside it. Header names there begin with `HTTP_`, so nothing
a client sends can take the place of these keys.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import wraps
from ipaddress import ip_address, ip_network
from typing import Concatenate, ParamSpec
from urllib.parse import urlencode, urlsplit

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import resolve_url
from django.utils.dateparse import parse_datetime
from django.utils.http import url_has_allowed_host_and_scheme
from django_htmx.http import HttpResponseClientRedirect

from identity.actors import Actor, of_user
from identity.models import User
from lib import clock
from lib.errors import AppError

ACTOR = "quell.actor"
REQUEST_ID = "quell.request_id"
SIGNED_IN_AT = "signed_in_at"

P = ParamSpec("P")
PageView = Callable[Concatenate[HttpRequest, P], HttpResponseBase]


class NotSignedIn(AppError):
    """Sign in, or send a key in the Authorization header."""

    status = 401
    code = "not-signed-in"


class NotFresh(AppError):
    """This needs a sign-in of the last few minutes. Sign in again."""

    status = 403
    code = "sign-in-again"


def actor_of(request: HttpRequest) -> Actor:
    """The actor behind a request: a person by session, or a key. `NotSignedIn` when there is none."""
    known = request.META.get(ACTOR)
    if isinstance(known, Actor):
        return known
    user = request.user  # on a REST request this authenticates, and so may find a key's actor
    known = request.META.get(ACTOR)
    if isinstance(known, Actor):
        return known
    if not isinstance(user, User):  # nobody, or on a REST request None
        raise NotSignedIn
    actor = of_user(user, ip=client_ip(request), request_id=request_id(request))
    bind(request, actor)
    return actor


def bind(request: HttpRequest, actor: Actor) -> None:
    """Say whose request this is."""
    request.META[ACTOR] = actor


def request_id(request: HttpRequest) -> str:
    """The request's id as answered in `X-Request-Id`; empty outside the middleware."""
    return str(request.META.get(REQUEST_ID, ""))


def client_ip(request: HttpRequest) -> str:
    """The address of the client, or of the nearest hop that `QUELL_TRUSTED_PROXIES` does not name.

    `X-Forwarded-For` is read from the right and only as far as trusted proxies wrote it: whatever a
    client claims about itself stands further left. Empty behind a Unix socket.
    """
    hops = [hop.strip() for hop in request.META.get("HTTP_X_FORWARDED_FOR", "").split(",") if hop.strip()]
    address = str(request.META.get("REMOTE_ADDR", ""))
    while hops and _is_trusted(address):
        claimed = _as_address(hops.pop())
        if not claimed:
            break
        address = claimed
    return _as_address(address)


def signed_in_at(request: HttpRequest) -> datetime | None:
    """When the person of this session last proved who they are; None for a key."""
    session = getattr(request, "session", None)
    written = session.get(SIGNED_IN_AT) if session is not None else None
    return parse_datetime(written) if isinstance(written, str) else None


def is_fresh(request: HttpRequest) -> bool:
    """Whether a person signed in within `QUELL_FRESH_SIGN_IN`; never true for a key."""
    if actor_of(request).kind != "person":
        return False
    at = signed_in_at(request)
    return at is not None and at <= clock.now() < at + settings.QUELL_FRESH_SIGN_IN


def signed_in(view: PageView[P]) -> PageView[P]:
    """Let a page be seen by people who signed in; send others to the sign-in page and back again."""

    @wraps(view)
    def guarded(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        if request.user.is_authenticated:
            return view(request, *args, **kwargs)
        return to_sign_in(request)

    return guarded


def to_sign_in(request: HttpRequest, *, again: bool = False) -> HttpResponse:
    """The way to the sign-in page, for a plain or an htmx request; `again` asks for a fresh sign-in."""
    query = {"next": _page_of(request)}
    if again:
        query["again"] = "1"
    target = f"{resolve_url(settings.LOGIN_URL)}?{urlencode(query)}"
    if _is_htmx(request):
        return HttpResponseClientRedirect(target)
    return HttpResponseRedirect(target)


def _page_of(request: HttpRequest) -> str:
    """The path of the page that a person looks at: for a form or a fragment, the one it sits on."""
    if request.method in ("GET", "HEAD") and not _is_htmx(request):
        return request.get_full_path()
    page = request.META.get("HTTP_HX_CURRENT_URL") or request.META.get("HTTP_REFERER") or ""
    if not url_has_allowed_host_and_scheme(page, allowed_hosts={request.get_host()}):
        return "/"
    parts = urlsplit(page)
    return parts.path + (f"?{parts.query}" if parts.query else "")


def _is_htmx(request: HttpRequest) -> bool:
    return request.META.get("HTTP_HX_REQUEST") == "true"


def _is_trusted(address: str) -> bool:
    found = _as_address(address)
    if not found:
        return False
    here = ip_address(found)
    return any(here in ip_network(known, strict=False) for known in settings.QUELL_TRUSTED_PROXIES)


def _as_address(text: str) -> str:
    """The address in its usual spelling, with an IPv4 port cut off; empty when it is none."""
    bare = text.rsplit(":", 1)[0] if text.count(":") == 1 else text.strip("[]")
    try:
        return str(ip_address(bare))
    except ValueError:
        return ""
