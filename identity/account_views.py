"""One's own account: second factors, recovery codes, password, and the browsers one is signed in with."""

from __future__ import annotations

import base64
from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec

from allauth.mfa.adapter import get_adapter
from allauth.mfa.utils import decrypt, encrypt
from cryptography.fernet import InvalidToken
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render, resolve_url
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from identity import codes, entering, factors, security_keys, sessions, single_sign_on
from identity.forms import AppForm, KeyForm, PasswordForm
from identity.models import User
from identity.people import change_password
from identity.requests import NotFresh, actor_of, is_fresh, signed_in
from lib import clock
from lib.errors import Invalid

BEING_SET_UP = "app_being_set_up"

P = ParamSpec("P")
OwnView = Callable[Concatenate[HttpRequest, User, P], HttpResponse]


def own(view: OwnView[P]) -> Callable[Concatenate[HttpRequest, P], HttpResponse]:
    """Give a view the login of this browser, signed in freshly: it changes how one signs in."""

    @wraps(view)
    def guarded(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        if not is_fresh(request):
            raise NotFresh
        assert isinstance(request.user, User)
        return view(request, request.user, *args, **kwargs)

    return guarded


@require_GET
@signed_in
def security(request: HttpRequest) -> HttpResponse:
    """What keeps this account safe, and where it is in use."""
    return _page(request)


@require_http_methods(["GET", "POST"])
@signed_in
@own
@sensitive_variables("secret")
def app(request: HttpRequest, user: User) -> HttpResponse:
    """Set up an authenticator app: its secret as a picture and as text, then its first code."""
    secret = _secret_in(request)
    if request.method != "POST":
        return _app_page(request, user, secret, AppForm())
    form = AppForm(request.POST)
    if not form.is_valid():
        return _app_page(request, user, secret, form, status=422)
    is_first = not factors.has_factor(user)
    try:
        factors.add_app(
            user=user, secret=secret, code=form.cleaned_data["code"], by=actor_of(request), at=clock.now()
        )
    except Invalid as failure:
        form.add_error("code", failure.detail)
        return _app_page(request, user, secret, form, status=failure.status)
    request.session.pop(BEING_SET_UP, None)
    return _added(request, user, "app", is_first=is_first)


@require_http_methods(["GET", "POST"])
@signed_in
@own
def key(request: HttpRequest, user: User) -> HttpResponse:
    """Add a security key or passkey."""
    if request.method != "POST":
        return _key_page(request, user, KeyForm())
    form = KeyForm(request.POST)
    if not form.is_valid():
        return _key_page(request, user, form, status=422)
    is_first = not factors.has_factor(user)
    try:
        factors.add_key(
            user=user,
            name=form.cleaned_data["name"],
            credential=form.cleaned_data["credential"],
            by=actor_of(request),
            at=clock.now(),
        )
    except Invalid as failure:
        form.add_error(None, failure.detail)
        return _key_page(request, user, form, status=failure.status)
    return _added(request, user, "key", is_first=is_first)


@require_POST
@signed_in
@own
@sensitive_variables("made")
def recovery_codes(request: HttpRequest, user: User) -> HttpResponse:
    """Make new recovery codes and show them, this once."""
    made = factors.make_recovery_codes(user=user, by=actor_of(request), at=clock.now())
    return render(request, "identity/recovery_codes.html", {"codes": made, "is_first": False})


@require_POST
@signed_in
@own
def remove_factor(request: HttpRequest, user: User) -> HttpResponse:
    """Forget one factor, and end this login's other sessions."""
    by, at = actor_of(request), clock.now()
    factors.remove(user=user, ulid=request.POST.get("factor", ""), by=by, at=at)
    sessions.end_all(user=user, why="factor-removed", by=by, at=at, keep=_key_of(request))
    entering.stay(request, user, factor=None if factors.has_factor(user) else "")
    return _back()


@require_POST
@signed_in
@own
def end_sessions(request: HttpRequest, user: User) -> HttpResponse:
    """End one of one's sessions, or all but this one."""
    by, at, ulid = actor_of(request), clock.now(), request.POST.get("session", "")
    if ulid:
        sessions.end(user=user, ulid=ulid, by=by, at=at)
    else:
        sessions.end_all(user=user, why="asked-for", by=by, at=at, keep=_key_of(request))
        entering.stay(request, user)
    return _back()


@require_POST
@sensitive_post_parameters("old", "new")
@signed_in
@own
def password(request: HttpRequest, user: User) -> HttpResponse:
    """Change the password, and end this login's other sessions."""
    form = PasswordForm(request.POST)
    if not form.is_valid():
        return _page(request, form=form, status=422)
    try:
        change_password(
            user=user,
            old=form.cleaned_data["old"],
            new=form.cleaned_data["new"],
            by=actor_of(request),
            at=clock.now(),
            keep=_key_of(request),
        )
    except Invalid as failure:
        form.add_error(failure.pointer.strip("/"), failure.detail)
        return _page(request, form=form, status=failure.status)
    entering.stay(request, user)
    return _back()


def _page(request: HttpRequest, *, form: PasswordForm | None = None, status: int = 200) -> HttpResponse:
    user, at = request.user, clock.now()
    assert isinstance(user, User)
    context = {
        "factors": factors.factors_of(user),
        "has_app": codes.has_app(user),
        "codes_left": codes.recovery_codes_left(user),
        "sessions": sessions.sessions_of(user, at=at),
        "current": _key_of(request),
        "keys_work": security_keys.can_be_used(),
        "must": entering.lacks_factor(request, user),
        "has_password": user.has_usable_password(),
        "sso": single_sign_on.is_set_up(),
        "is_linked": single_sign_on.is_linked(user),
        "form": form or PasswordForm(),
    }
    return render(request, "identity/security.html", context, status=status)


@sensitive_variables("secret")
def _app_page(
    request: HttpRequest, user: User, secret: str, form: AppForm, *, status: int = 200
) -> HttpResponse:
    adapter = get_adapter()
    picture = adapter.build_totp_svg(adapter.build_totp_url(user, secret))
    context = {
        "form": form,
        "picture": base64.b64encode(picture.encode()).decode(),
        "secret": " ".join(secret[start : start + 4] for start in range(0, len(secret), 4)),
    }
    return render(request, "identity/app.html", context, status=status)


def _key_page(request: HttpRequest, user: User, form: KeyForm, *, status: int = 200) -> HttpResponse:
    options = security_keys.begin_adding(user) if security_keys.can_be_used() else ""
    return render(request, "identity/key.html", {"form": form, "options": options}, status=status)


def _added(request: HttpRequest, user: User, kind: str, *, is_first: bool) -> HttpResponse:
    """After the first factor: other browsers, let in by a password alone, are signed out; codes are shown."""
    if not is_first:
        entering.stay(request, user, factor=kind)
        return _back()
    by, at = actor_of(request), clock.now()
    sessions.end_all(user=user, why="factor-added", by=by, at=at, keep=_key_of(request))
    entering.stay(request, user, factor=kind)
    made = factors.make_recovery_codes(user=user, by=by, at=at)
    return render(request, "identity/recovery_codes.html", {"codes": made, "is_first": True})


def _secret_in(request: HttpRequest) -> str:
    """The secret that this browser sets up, made at first sight; encrypted, as sessions are rows."""
    kept = request.session.get(BEING_SET_UP, "")
    try:
        return str(decrypt(kept))
    except InvalidToken:
        secret = codes.new_secret()
        request.session[BEING_SET_UP] = encrypt(secret)
        return secret


def _key_of(request: HttpRequest) -> str:
    return str(request.session.session_key)


def _back() -> HttpResponse:
    return HttpResponseRedirect(resolve_url("account-security"))
