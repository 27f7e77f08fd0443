"""The pages on which an administrator keeps people."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render, resolve_url
from django.views.decorators.http import require_GET, require_POST

from identity import administering, factors, sessions
from identity.models import Role, User
from identity.requests import NotFresh, actor_of, is_fresh, signed_in
from lib import clock


def kept(change: Callable[[HttpRequest, User], None]) -> Callable[[HttpRequest, str], HttpResponse]:
    """Let an administrator who signed in freshly change one of their logins, and go back to its page."""

    @wraps(change)
    def view(request: HttpRequest, ulid: str) -> HttpResponse:
        user = administering.login_for(actor_of(request), ulid)
        if not is_fresh(request):
            raise NotFresh
        change(request, user)
        return HttpResponseRedirect(resolve_url("person", ulid))

    return view


@require_GET
@signed_in
def people(request: HttpRequest) -> HttpResponse:
    """The people of the administrator's teams."""
    logins = administering.logins_for(actor_of(request), at=clock.now())
    return render(request, "identity/people.html", {"logins": logins})


@require_GET
@signed_in
def person(request: HttpRequest, ulid: str) -> HttpResponse:
    """One login: its roles, factors and sessions."""
    actor, at = actor_of(request), clock.now()
    user = administering.login_for(actor, ulid)
    teams = administering.teams_of(actor)
    held = (
        user.person.memberships.select_related("team").order_by("team__name", "role") if user.person else []
    )
    context = {
        "login": user,
        "held": [one for one in held if one.team in teams],
        "elsewhere": sum(one.team not in teams for one in held),
        "teams": teams,
        "roles": Role.choices,
        "factors": factors.factors_of(user),
        "sessions": sessions.sessions_of(user, at=at),
        "may_change": administering.may_change(actor, user),
        "is_self": user.person_id is not None and user.person_id == actor.person_id,
    }
    return render(request, "identity/person.html", context)


@require_POST
@signed_in
@kept
def end_sessions(request: HttpRequest, user: User) -> None:
    """End one session, or all."""
    by, at, ulid = actor_of(request), clock.now(), request.POST.get("session", "")
    if ulid:
        administering.end_session(user=user, ulid=ulid, by=by, at=at)
    else:
        administering.end_sessions(user=user, by=by, at=at)


@require_POST
@signed_in
@kept
def set_active(request: HttpRequest, user: User) -> None:
    """Let the login sign in, or no longer."""
    is_active = request.POST.get("active") == "1"
    administering.set_active(user=user, is_active=is_active, by=actor_of(request), at=clock.now())


@require_POST
@signed_in
@kept
def reset_factors(request: HttpRequest, user: User) -> None:
    """Forget the login's second factors."""
    administering.reset_factors(user=user, by=actor_of(request), at=clock.now())


@require_POST
@signed_in
@kept
def change_role(request: HttpRequest, user: User) -> None:
    """Give a role, or take one."""
    change = administering.take_role if request.POST.get("take") == "1" else administering.give_role
    change(
        user=user,
        team=request.POST.get("team", ""),
        role=request.POST.get("role", ""),
        by=actor_of(request),
        at=clock.now(),
    )
