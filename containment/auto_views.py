"""The page of automation: its switch, its rules, what is held, and how far each account lets it go."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, time
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from containment import auto_pages, auto_rules, automation, holds
from containment.actions import catalogue
from containment.auto_rules import Wording
from containment.automation_models import AutoRule
from estate.models import Environment
from identity.permissions import Permission
from identity.requests import NotFresh, actor_of, is_fresh, signed_in, to_sign_in
from lib import clock
from lib.errors import Conflict, Forbidden, Invalid

NUMBERS = ("min_severity", "max_tier", "per_hour", "per_account")


@require_safe
@signed_in
def page(request: HttpRequest) -> HttpResponse:
    """Everything about automation that one may read."""
    return render(
        request, "containment/automation.html", {"page": auto_pages.page(actor_of(request), at=clock.now())}
    )


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def rule_new(request: HttpRequest) -> HttpResponse:
    """Write a rule; it does nothing until a second person approves it."""
    actor = actor_of(request)
    teams = auto_rules.teams_kept_by(actor)
    if not teams:
        raise Forbidden("Automation reaches a whole team; its rules are kept by leads of the whole team.")
    if request.method != "POST":
        return _form(request, None, {"min_severity": 70, "max_tier": 1, "per_hour": 5, "per_account": 3})
    try:
        team = auto_rules.team_for(actor, request.POST.get("team", ""))
        auto_rules.create(wording=_wording(request.POST), team=team, by=actor, at=clock.now())
    except (Invalid, Conflict) as refused:
        return _form(request, None, request.POST, refused=refused)
    messages.success(request, "Written. It does nothing until a second person approves it.")
    return HttpResponseRedirect(reverse("automation"))


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def rule_edit(request: HttpRequest, ulid: str) -> HttpResponse:
    """Write the next version of a rule; what was written stays when it is refused."""
    actor = actor_of(request)
    rule = auto_rules.rule_for(actor, ulid, permission=Permission.KEEP_RULES)
    if request.method != "POST":
        return _form(request, rule, {**Wording.of(rule).columns(), "version": rule.version})
    try:
        auto_rules.change(
            rule=rule, wording=_wording(request.POST), seen=_seen(request), by=actor, at=clock.now()
        )
    except (Invalid, Conflict) as refused:
        return _form(request, rule, request.POST, refused=refused)
    messages.success(request, "Changed. The new version does nothing until a second person approves it.")
    return HttpResponseRedirect(reverse("automation"))


@require_POST
@signed_in
def rule_approve(request: HttpRequest, ulid: str) -> HttpResponse:
    """Be the second person behind the version that was on the screen."""
    actor = actor_of(request)
    rule = auto_rules.rule_for(actor, ulid)
    try:
        auto_rules.approve(
            rule=rule, seen=_seen(request), by=actor, at=clock.now(), is_fresh=is_fresh(request)
        )
    except NotFresh:
        return to_sign_in(request, again=True)
    messages.success(request, f"{rule.name} acts from now on.")
    return HttpResponseRedirect(reverse("automation"))


@require_POST
@signed_in
def rule_withdraw(request: HttpRequest, ulid: str) -> HttpResponse:
    """Take a rule out of force."""
    actor = actor_of(request)
    rule = auto_rules.rule_for(actor, ulid, permission=Permission.KEEP_RULES)
    auto_rules.withdraw(rule=rule, by=actor, at=clock.now())
    messages.success(request, f"{rule.name} does nothing until it is approved again.")
    return HttpResponseRedirect(reverse("automation"))


@require_POST
@signed_in
def rule_remove(request: HttpRequest, ulid: str) -> HttpResponse:
    """Remove a rule."""
    actor = actor_of(request)
    rule = auto_rules.rule_for(actor, ulid, permission=Permission.KEEP_RULES)
    auto_rules.remove(rule=rule, by=actor, at=clock.now())
    messages.success(request, f"Removed {rule.name}.")
    return HttpResponseRedirect(reverse("automation"))


@require_POST
@signed_in
def stop(request: HttpRequest) -> HttpResponse:
    """Pull the kill switch."""
    auto_rules.stop(reason=request.POST.get("reason", ""), by=actor_of(request), at=clock.now())
    messages.success(request, "Automation is stopped. Plans wait for people.")
    return HttpResponseRedirect(reverse("automation"))


@require_POST
@signed_in
def resume(request: HttpRequest) -> HttpResponse:
    """Reset the kill switch and close the breaker."""
    try:
        auto_rules.resume(
            reason=request.POST.get("reason", ""),
            by=actor_of(request),
            at=clock.now(),
            is_fresh=is_fresh(request),
        )
    except NotFresh:
        return to_sign_in(request, again=True)
    messages.success(request, "Automation runs again.")
    return HttpResponseRedirect(reverse("automation"))


@require_POST
@signed_in
def hold_release(request: HttpRequest, ulid: str) -> HttpResponse:
    """Let automation act on a thing again."""
    hold = holds.release(
        ulid=ulid, reason=request.POST.get("reason", ""), by=actor_of(request), at=clock.now()
    )
    messages.success(request, f"Released: {hold.thing}.")
    return HttpResponseRedirect(reverse("automation"))


@require_POST
@signed_in
def mode(request: HttpRequest, account: str) -> HttpResponse:
    """Say how far containment may go in an account."""
    try:
        auto_rules.set_mode(
            account_id=account,
            mode=request.POST.get("mode", ""),
            reason=request.POST.get("reason", ""),
            by=actor_of(request),
            at=clock.now(),
            is_fresh=is_fresh(request),
        )
    except NotFresh:
        return to_sign_in(request, again=True)
    messages.success(request, "The mode is changed.")
    return HttpResponseRedirect(reverse("automation"))


# --- what the views share ------------------------------------------------------------------------------


def _form(
    request: HttpRequest,
    rule: AutoRule | None,
    given: Mapping[str, Any],
    *,
    refused: Invalid | Conflict | None = None,
) -> HttpResponse:
    chosen = {name: _many(given, name) for name in ("environments", "action_types")}
    expires = given.get("expires_at", "")
    context = {
        "rule": rule,
        "given": given,
        "expires": f"{expires:%Y-%m-%d}" if isinstance(expires, datetime) else expires,
        "version": given.get("version", ""),
        "refused": refused,
        "field": refused.pointer.strip("/") if isinstance(refused, Invalid) else "",
        "teams": auto_rules.teams_kept_by(actor_of(request)),
        "environments": [
            (one.value, one.label, one.value in chosen["environments"])
            for one in Environment
            if one.value not in auto_rules.NEVER
        ],
        "types": [
            (one.id, one.title, one.tier, one.id in chosen["action_types"])
            for one in sorted(catalogue(), key=lambda one: one.id)
            if one.tier <= 2 and one.target not in automation.FROM_TEXT
        ],
    }
    return render(
        request, "containment/automation_rule.html", context, status=refused.status if refused else 200
    )


def _many(given: Mapping[str, Any], name: str) -> list[str]:
    return given.getlist(name) if isinstance(given, QueryDict) else list(given.get(name, ()))


def _wording(posted: QueryDict) -> Wording:
    return Wording(
        name=posted.get("name", "").strip(),
        type=posted.get("type", "").strip(),
        expires_at=_end_of_day(posted.get("expires_at", "")),
        environments=tuple(posted.getlist("environments")),
        action_types=tuple(posted.getlist("action_types")),
        **{name: _number(posted, name) for name in NUMBERS},
    )


def _number(posted: QueryDict, name: str) -> int:
    text = posted.get(name, "").strip()
    if not (text.isascii() and text.isdigit() and len(text) <= 4):
        raise Invalid("A whole number.", pointer=f"/{name}")
    return int(text)


def _end_of_day(text: str) -> datetime:
    try:
        day = datetime.strptime(text.strip(), "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError as failure:
        raise Invalid("A date, as 2026-12-24.", pointer="/expires_at") from failure
    return datetime.combine(day.date(), time(23, 59, 59), tzinfo=UTC)


def _seen(request: HttpRequest) -> int:
    text = request.POST.get("version", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 9 else 0
