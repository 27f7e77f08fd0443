"""To the sign-in provider and back."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render, resolve_url
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from identity import entering, sessions
from identity import single_sign_on as sso
from identity.account_views import own
from identity.models import User
from identity.requests import actor_of, client_ip, is_fresh, request_id, signed_in
from identity.signing_in import recognise
from identity.views import is_again, next_page, signin_page
from lib import clock
from lib.errors import AppError, NotFound


@require_GET
@never_cache
def start(request: HttpRequest) -> HttpResponse:
    """Go to the provider, as a link does: a form may not leave this site."""
    if not sso.is_set_up():
        raise NotFound
    user = request.user if isinstance(request.user, User) else None
    again = is_again(request) and user is not None
    try:
        return HttpResponseRedirect(
            sso.address(
                request,
                purpose="again" if again else "enter",
                next_page=next_page(request),
                user=user if again else None,
                at=clock.now(),
            )
        )
    except sso.ProviderFailed as failure:
        return signin_page(request, told=failure.detail, status=failure.status)


@require_GET
@never_cache
def callback(request: HttpRequest) -> HttpResponse:
    """Back from the provider: in, or told why not."""
    if not sso.is_set_up():
        raise NotFound
    at = clock.now()
    try:
        arrival = sso.arrive(request)
        if arrival.purpose == "link":
            return _link(request, arrival)
        user = sso.login_of(arrival, at=at)
        if arrival.purpose == "again" and user.ulid != arrival.user:
            raise sso.NoLogin("This account at the provider belongs to another login than yours.")
    except AppError as refused:
        sso.note_refusal(why=refused.code, ip=client_ip(request), request_id=request_id(request), at=at)
        return signin_page(request, told=refused.detail, status=refused.status)
    known = recognise(
        user=user,
        way="sso",
        is_strong=arrival.is_strong,
        ip=client_ip(request),
        request_id=request_id(request),
        at=at,
    )
    if known.needs_factor:
        entering.wait_for_factor(request, user, next_page=arrival.next, at=at)
        return HttpResponseRedirect(resolve_url("signin-factor"))
    entering.enter(request, user, factor="provider" if arrival.is_strong else "", at=at)
    return HttpResponseRedirect(arrival.next)


@require_POST
@signed_in
@own
def link(request: HttpRequest, user: User) -> HttpResponse:
    """Prepare to link one's login: a page with the way to the provider, as a form may not leave this site."""
    if not sso.is_set_up():
        raise NotFound
    back = resolve_url("account-security")
    way = sso.address(request, purpose="link", next_page=back, user=user, at=clock.now())
    return render(request, "identity/link.html", {"way": way, "issuer": settings.QUELL_OIDC_ISSUER})


@require_POST
@signed_in
@own
def unlink(request: HttpRequest, user: User) -> HttpResponse:
    """Forget the link, and end this login's other sessions."""
    by, at = actor_of(request), clock.now()
    sso.unlink(user=user, by=by, at=at)
    sessions.end_all(user=user, why="unlinked", by=by, at=at, keep=str(request.session.session_key))
    entering.stay(request, user)
    return HttpResponseRedirect(resolve_url("account-security"))


def _link(request: HttpRequest, arrival: sso.Arrival) -> HttpResponse:
    user = request.user
    if not isinstance(user, User) or user.ulid != arrival.user or not is_fresh(request):
        raise sso.NotBelieved("The login to be linked is no longer signed in here. Start again.")
    sso.link(arrival, user=user, by=actor_of(request), at=clock.now())
    return HttpResponseRedirect(arrival.next)
