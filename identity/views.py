"""Signing in, with a second factor where there is one, again for what needs it fresh, and signing out."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth import logout
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render, resolve_url
from django.utils.decorators import method_decorator
from django.utils.http import url_has_allowed_host_and_scheme
from django.views import View
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST

from identity import codes, entering, security_keys, single_sign_on
from identity.forms import FactorForm, SignInForm
from identity.models import BrowserSession, User
from identity.requests import client_ip, is_fresh, request_id
from identity.signing_in import LockedOut, Refused, WrongCode, show_factor, sign_in, sign_out
from lib import clock
from lib.errors import TooManyRequests


@method_decorator((never_cache, sensitive_post_parameters("password")), name="dispatch")
class SignIn(View):
    """The sign-in page; with `?again=1` it asks the person of this session for their password once more.

    The template gets `form`, `next` (checked), `again` (bool) and `locked_until` (or None).
    """

    def get(self, request: HttpRequest) -> HttpResponse:
        """The form, or straight on when nothing needs to be proved."""
        if request.user.is_authenticated and (not is_again(request) or is_fresh(request)):
            return HttpResponseRedirect(next_page(request))
        return signin_page(request)

    def post(self, request: HttpRequest) -> HttpResponse:
        """Sign in and go on to `next`, or say what is wrong."""
        data = request.POST.copy()
        if is_again(request) and request.user.is_authenticated:
            data["username"] = _login_of(request)
        form = SignInForm(data)
        if not form.is_valid():
            return signin_page(request, form, status=422)
        at = clock.now()
        try:
            known = sign_in(
                login=form.cleaned_data["username"],
                password=form.cleaned_data["password"],
                ip=client_ip(request),
                request_id=request_id(request),
                at=at,
            )
        except LockedOut as locked:
            form.add_error(None, locked.detail)
            response = signin_page(request, form, status=locked.status, locked_until=locked.until)
            response["Retry-After"] = str(int((locked.until - at).total_seconds()) + 1)
            return response
        except (Refused, TooManyRequests) as refused:
            form.add_error(None, refused.detail)
            response = signin_page(request, form, status=refused.status)
            if refused.retry_after is not None:
                response["Retry-After"] = str(refused.retry_after)
            return response
        if known.needs_factor:
            entering.wait_for_factor(request, known.user, next_page=next_page(request), at=at)
            return HttpResponseRedirect(resolve_url("signin-factor"))
        entering.enter(request, known.user, factor="", at=at)
        return HttpResponseRedirect(next_page(request))


@method_decorator((never_cache, sensitive_post_parameters("code", "credential")), name="dispatch")
class ShowFactor(View):
    """The page between password and desk: a code of the app, a security key, or a recovery code.

    The template gets `form`, `options` (JSON for the browser's key dialogue, empty without keys), `has_app`
    and `locked_until`.
    """

    def get(self, request: HttpRequest) -> HttpResponse:
        """The page, or back to the start for who has not shown the first factor just now."""
        waiting = entering.half_in(request, at=clock.now())
        if waiting is None:
            return HttpResponseRedirect(resolve_url(settings.LOGIN_URL))
        return self._page(request, waiting.user, FactorForm())

    def post(self, request: HttpRequest) -> HttpResponse:
        """Sign in and go on, or say what is wrong."""
        at = clock.now()
        waiting = entering.half_in(request, at=at)
        if waiting is None:
            return HttpResponseRedirect(resolve_url(settings.LOGIN_URL))
        form = FactorForm(request.POST)
        if not form.is_valid():
            return self._page(request, waiting.user, form, status=422)
        try:
            shown = show_factor(
                user=waiting.user,
                code=form.cleaned_data["code"],
                credential=form.cleaned_data["credential"],
                ip=client_ip(request),
                request_id=request_id(request),
                at=at,
            )
        except LockedOut as locked:
            form.add_error(None, "Too many codes were wrong. Wait, or ask an administrator.")
            response = self._page(
                request, waiting.user, form, status=locked.status, locked_until=locked.until
            )
            response["Retry-After"] = str(int((locked.until - at).total_seconds()) + 1)
            return response
        except WrongCode as wrong:
            form.add_error(None, wrong.detail)
            return self._page(request, waiting.user, form, status=wrong.status)
        entering.enter(request, waiting.user, factor=shown, at=at)
        return HttpResponseRedirect(waiting.next)

    def _page(
        self,
        request: HttpRequest,
        user: User,
        form: FactorForm,
        *,
        status: int = 200,
        locked_until: object = None,
    ) -> HttpResponse:
        context = {
            "form": form,
            "options": security_keys.begin_proving(user),
            "has_app": codes.has_app(user),
            "locked_until": locked_until,
        }
        return render(request, "identity/factor.html", context, status=status)


@require_POST
@never_cache
def signout(request: HttpRequest) -> HttpResponse:
    """End the session."""
    user = request.user
    if isinstance(user, User):
        sign_out(user=user, ip=client_ip(request), request_id=request_id(request), at=clock.now())
        BrowserSession.objects.filter(session_key=request.session.session_key).delete()
    logout(request)
    return HttpResponseRedirect(resolve_url(settings.LOGOUT_REDIRECT_URL))


def signin_page(
    request: HttpRequest,
    form: SignInForm | None = None,
    *,
    told: str = "",
    status: int = 200,
    locked_until: object = None,
) -> HttpResponse:
    """The sign-in page; `told` is what went wrong on the way through the provider."""
    known = request.user if isinstance(request.user, User) and is_again(request) else None
    context = {
        "form": form or SignInForm(initial={"username": _login_of(request)}),
        "next": next_page(request),
        "again": known is not None,
        "told": told,
        "locked_until": locked_until,
        "sso": single_sign_on.is_set_up() and (known is None or single_sign_on.is_linked(known)),
        "has_password": known is None or known.has_usable_password(),
    }
    return render(request, "identity/signin.html", context, status=status)


def is_again(request: HttpRequest) -> bool:
    """Whether somebody who is signed in shall prove it anew."""
    return (request.POST.get("again") or request.GET.get("again")) == "1"


def _login_of(request: HttpRequest) -> str:
    return request.user.get_username() if request.user.is_authenticated else ""


def next_page(request: HttpRequest) -> str:
    """Where to go afterwards: the path asked for if it is one of ours, else the alert queue."""
    wanted = request.POST.get("next") or request.GET.get("next") or ""
    hosts = {request.get_host()}
    if url_has_allowed_host_and_scheme(wanted, allowed_hosts=hosts, require_https=request.is_secure()):
        return wanted
    return resolve_url(settings.LOGIN_REDIRECT_URL)
