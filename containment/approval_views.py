"""Taking an approval back, breaking the glass and reviewing that, and the policy of tiers."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from cases import access
from containment import approvals, glass, pages, planning, tiers
from identity.requests import NotFresh, actor_of, is_fresh, signed_in, to_sign_in
from lib import clock
from lib.errors import Invalid

REASON_LENGTH = 2000
SHOWN = 100


@require_POST
@signed_in
def revoke(request: HttpRequest, ulid: str) -> HttpResponse:
    """Take an approval back, with a reason, before the action starts."""
    actor = actor_of(request)
    found = access.action_for(actor, ulid)
    approvals.revoke(action=found, reason=_text(request, "reason"), by=actor, at=clock.now())
    messages.success(request, "Approval taken back. The plan waits again.")
    return HttpResponseRedirect(reverse("action", args=[ulid]))


@require_POST
@signed_in
def break_glass(request: HttpRequest, ulid: str) -> HttpResponse:
    """Start a plan on one person's word; without a fresh sign-in, sign in and come back."""
    actor = actor_of(request)
    found = access.action_for(actor, ulid)
    try:
        glass.break_glass(
            action=found,
            plan_hash=request.POST.get("plan_hash", ""),
            reason=_text(request, "reason"),
            typed=_text(request, "typed"),
            by=actor,
            at=clock.now(),
            is_fresh=is_fresh(request),
        )
    except NotFresh:
        return to_sign_in(request, again=True)
    return HttpResponseRedirect(reverse("action", args=[ulid]))


@require_safe
@signed_in
def reviews(request: HttpRequest) -> HttpResponse:
    """Every broken glass that the reader may see, open reviews first."""
    actor = actor_of(request)
    rows = [
        {
            "review": one,
            "action": one.approval.action,
            "title": planning.title_of(one.approval.action),
            "may": glass.may_review(one, actor),
            "is_late": one.reviewed_at is None and one.due_at < clock.now(),
        }
        for one in glass.reviews_for(actor)[:SHOWN]
    ]
    return render(request, "containment/reviews.html", {"rows": rows})


@require_POST
@signed_in
def review(request: HttpRequest, ulid: str) -> HttpResponse:
    """Write one review."""
    glass.review(
        ulid=ulid,
        is_justified=request.POST.get("justified") == "yes",
        finding=_text(request, "finding"),
        by=actor_of(request),
        at=clock.now(),
    )
    messages.success(request, "Reviewed.")
    return HttpResponseRedirect(reverse("glass-reviews"))


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def policy(request: HttpRequest) -> HttpResponse:
    """What tiers become where, its versions, and a form for the next one."""
    actor = actor_of(request)
    if request.method == "POST":
        try:
            tiers.propose(
                tiers=_wanted(request),
                reason=_text(request, "reason"),
                by=actor,
                at=clock.now(),
                is_fresh=is_fresh(request),
            )
        except NotFresh:
            return to_sign_in(request, again=True)
        messages.success(request, "The new version waits for another lead.")
        return HttpResponseRedirect(reverse("tier-policy"))
    present = tiers.in_force()
    context = {
        "present": present,
        "grid": tiers.grid(present.tiers),
        "versions": [(one, pages.tier_changes(one.tiers, now=present.tiers)) for one in tiers.versions()],
        "may": tiers.may_change(actor),
        "person": actor.person_id,
    }
    return render(request, "containment/policy.html", context)


@require_POST
@signed_in
def policy_decide(request: HttpRequest, ulid: str) -> HttpResponse:
    """Put a version into force or turn it down, as another person than who made it."""
    try:
        tiers.decide(
            ulid=ulid,
            is_approved=request.POST.get("decision") == "approve",
            by=actor_of(request),
            at=clock.now(),
            is_fresh=is_fresh(request),
        )
    except NotFresh:
        return to_sign_in(request, again=True)
    return HttpResponseRedirect(reverse("tier-policy"))


def _wanted(request: HttpRequest) -> dict[str, dict[str, int]]:
    """The form's grid; a cell that is no number keeps its tier out of the policy's reach (refused)."""
    return {
        place: {tier: _number(request.POST.get(f"{place}.{tier}", tier)) for tier in ("1", "2")}
        for place in tiers.PLACES
    }


def _number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise Invalid("A tier is a number.", pointer="/tiers") from None


def _text(request: HttpRequest, name: str) -> str:
    return request.POST.get(name, "").strip()[:REASON_LENGTH]
