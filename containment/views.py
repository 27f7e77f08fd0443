"""The pages of the hand: an incident's containment, and one action with its plan and its steps."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from cases import access, overview
from cases.models import Action
from containment import approvals, asking, handing_over, in_force, pages, undo
from containment.models import Watch
from containment.presentation import present
from containment.queries import actions_of
from estate.queries import account_of
from identity.actors import Actor
from identity.permissions import Permission
from identity.requests import NotFresh, actor_of, is_fresh, signed_in, to_sign_in
from lib import clock, fragments
from lib.errors import Invalid

REASON_LENGTH = 2000


@require_safe
@signed_in
def panel(request: HttpRequest, ref: str) -> HttpResponse:
    """Coverage, suggestions and actions: a slot of the incident page, or a page of its own."""
    actor = actor_of(request)
    incident = access.incident_for(actor, ref)
    shown = pages.panel(actor, incident)
    head = overview.head(actor, incident, tab="containment")
    context = {"panel": shown, "incident": incident, "head": head}
    if not fragments.is_partial(request, "containment"):
        return render(request, "containment/incident.html", context)
    states = [(e.action.ulid, e.action.status, e.action.updated_at, e.action.alarm) for e in shown.actions]
    tag = fragments.tag_of(
        shown.coverage,
        shown.hidden,
        shown.plans,
        shown.suggestions,
        shown.others,
        shown.waiting,
        states,
        incident.contained_at,
        incident.status,
    )
    response = fragments.unchanged(request, tag)
    if response is None:
        response = render(request, "containment/_panel.html", context | {"is_partial": True})
        response["ETag"] = tag
    return response


@require_POST
@signed_in
def propose(request: HttpRequest, ref: str) -> HttpResponse:
    """Ask for one, several or all of what is offered; the worker plans each."""
    actor = actor_of(request)
    incident = access.incident_for(actor, ref, permission=Permission.PLAN_ACTIONS)
    asked = asking.ask_for_picked(
        incident=incident,
        picks=set(request.POST.getlist("pick")),
        reason=_reason(request),
        by=actor,
        at=clock.now(),
    )
    if len(asked) == 1:
        return HttpResponseRedirect(reverse("action", args=[asked[0].ulid]))
    return HttpResponseRedirect(reverse("incident-containment", args=[ref]) + "#actions")


@require_safe
@signed_in
def action(request: HttpRequest, ulid: str) -> HttpResponse:
    """One action: the plan as a difference, who may approve it, and its steps while it runs."""
    actor = actor_of(request)
    found = access.action_for(actor, ulid)
    context = _action(request, actor, found)
    if not fragments.is_partial(request, "action"):
        return render(request, "containment/action.html", context)
    view = context["view"]
    # `repr` of a row names it; what of it can change is listed beside it.
    tag = fragments.tag_of(
        view,
        [(n.action.ulid, n.action.status) for n in context["neighbours"]],
        [getattr(found, column) for column in CHANGING],
        view.undone_by.status if view.undone_by else "",
        context["is_fresh"],
        context["quiet"],
    )
    response = fragments.unchanged(request, tag)
    if response is None:
        response = render(request, "containment/_action.html", context)
        response["ETag"] = tag
    return response


@require_POST
@signed_in
def approve(request: HttpRequest, ulid: str) -> HttpResponse:
    """Say yes to the plan whose hash was on the screen; without a fresh sign-in, sign in and come back."""
    actor = actor_of(request)
    found = access.action_for(actor, ulid)
    try:
        approvals.approve(
            action=found,
            plan_hash=request.POST.get("plan_hash", ""),
            by=actor,
            at=clock.now(),
            is_fresh=is_fresh(request),
        )
    except NotFresh:
        return to_sign_in(request, again=True)
    return HttpResponseRedirect(reverse("action", args=[ulid]))


@require_POST
@signed_in
def reject(request: HttpRequest, ulid: str) -> HttpResponse:
    """Say no, with a reason."""
    actor = actor_of(request)
    found = access.action_for(actor, ulid)
    reason = _reason(request)
    if not reason:
        raise Invalid("Say why the plan is rejected.", pointer="/reason")
    approvals.reject(action=found, reason=reason, by=actor, at=clock.now())
    messages.success(request, "Rejected.")
    return HttpResponseRedirect(reverse("action", args=[ulid]))


@require_POST
@signed_in
def revert(request: HttpRequest, ulid: str) -> HttpResponse:
    """Ask for the undo: a second action with a plan and an approval of its own."""
    actor = actor_of(request)
    found = access.action_for(actor, ulid, permission=Permission.PLAN_ACTIONS)
    asked = undo.propose_revert(action=found, reason=_reason(request), by=actor, at=clock.now())
    return HttpResponseRedirect(reverse("action", args=[asked.ulid]))


CHANGING = (
    "status",
    "note",
    "alarm",
    "plan_hash",
    "approved_at",
    "started_at",
    "applied_at",
    "verified_at",
    "confirmed_at",
    "reverted_at",
    "expires_at",
)


def _action(request: HttpRequest, actor: Actor, found: Action) -> dict[str, Any]:
    incident = found.incident
    view = present(found, actor)
    may_plan = access.permits(
        actor, Permission.PLAN_ACTIONS, team=incident.team_id, account=found.target.get("account", "")
    )
    visible = access.actions_for(actor).filter(pk__in=actions_of(incident).values("pk"))
    return {
        "view": view,
        "action": found,
        "incident": incident,
        "account": account_of(found.target.get("account", "")),
        "lines": pages.step_lines(view),
        "three": pages.three_values(found.note),
        "neighbours": pages.entries(visible.order_by("-requested_at", "-pk")[:50]),
        "every": pages.every(view),
        "is_fresh": is_fresh(request),
        "may_plan": may_plan,
        "may_hand_over": handing_over.is_offered(found, actor),
        "waits": found.status in approvals.WAITING,
        "quiet": in_force.quiet_words(Watch.objects.filter(action=found).first(), clock.now()),
        **pages.answers(view),
    }


def _reason(request: HttpRequest) -> str:
    return request.POST.get("reason", "").strip()[:REASON_LENGTH]
