"""Pages about several actions at once: approving what waits, what is in force, what is required."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from cases import access, overview
from cases.models import Action, Incident
from containment import approvals, in_force, pages, requiring
from containment.presentation import present
from containment.queries import BULKY, actions_of
from identity.actors import Actor
from identity.permissions import Permission
from identity.requests import NotFresh, actor_of, is_fresh, signed_in, to_sign_in
from lib import clock, fragments
from lib.errors import AppError, Invalid

REASON_LENGTH = 2000
ROWS = 100


@signed_in
def approve_waiting(request: HttpRequest, ref: str) -> HttpResponse:
    """Read every plan that waits for this person, and approve one, several or all of them."""
    actor = actor_of(request)
    incident = access.incident_for(actor, ref)
    if request.method == "POST":
        return _approve_picked(request, actor, incident)
    waiting = _waiting(actor, incident)
    context = {
        "incident": incident,
        "head": overview.head(actor, incident, tab="containment"),
        "views": [present(action, actor) for action in _whole(waiting.first)],
        "more": waiting.more,
        "is_fresh": is_fresh(request),
    }
    return render(request, "containment/approve.html", context)


@require_safe
@signed_in
def everything(request: HttpRequest, ref: str) -> HttpResponse:
    """An incident's containment with every target and every action; it does not ask again by itself."""
    actor = actor_of(request)
    incident = access.incident_for(actor, ref)
    context = {
        "panel": replace(pages.panel(actor, incident, most=None), every=0),
        "incident": incident,
        "head": overview.head(actor, incident, tab="containment"),
    }
    return render(request, "containment/incident.html", context)


@require_safe
@signed_in
def in_force_page(request: HttpRequest) -> HttpResponse:
    """Everything that Quell holds in AWS, within the reader's accounts, so many rows at once."""
    actor, now = actor_of(request), clock.now()
    only = request.GET.get("only", "")
    only = only if only in ("overdue", "alarms") else ""
    held = in_force.holdings(actor, at=now, only=only)
    page = Paginator(held.rows, ROWS).get_page(request.GET.get("page"))
    context = {
        "held": held,
        "page": page,
        "only": only,
        "may_keep": actor.may(Permission.CONFIRM_ACTIONS),
        "now": now,
    }
    if not fragments.is_partial(request, "in-force"):
        return render(request, "containment/in_force.html", context)
    shown = [
        (row.action.ulid, row.action.status, row.action.alarm, row.quiet, row.action.review_at)
        for row in page
    ]
    tag = fragments.tag_of(shown, held.every, held.overdue, held.alarms, only, page.number)
    response = fragments.unchanged(request, tag)
    if response is None:
        response = render(request, "containment/_in_force.html", context)
        response["ETag"] = tag
    return response


@require_POST
@signed_in
def keep(request: HttpRequest, ulid: str) -> HttpResponse:
    """Let one action stay in force until a later review."""
    actor = actor_of(request)
    found = access.action_for(actor, ulid)
    in_force.keep(
        action=found,
        until=_moment(request.POST.get("until", "")),
        reason=request.POST.get("reason", "")[:REASON_LENGTH],
        by=actor,
        at=clock.now(),
    )
    messages.success(request, "Kept in force.")
    return HttpResponseRedirect(reverse("in-force"))


@require_POST
@signed_in
def require(request: HttpRequest, ref: str) -> HttpResponse:
    """Say that a tainted target must, or need not, be contained."""
    actor = actor_of(request)
    incident = access.incident_for(actor, ref)
    requiring.choose(
        incident=incident,
        kind=request.POST.get("kind", ""),
        target=request.POST.get("target", ""),
        account=request.POST.get("account", ""),
        is_required=request.POST.get("required") == "yes",
        reason=request.POST.get("reason", "")[:REASON_LENGTH],
        by=actor,
        at=clock.now(),
    )
    return HttpResponseRedirect(reverse("incident-containment", args=[ref]))


def _approve_picked(request: HttpRequest, actor: Actor, incident: Incident) -> HttpResponse:
    """Approve each plan under the hash that was on the screen; what is refused is told, one by one."""
    picked = [text.partition(":") for text in request.POST.getlist("plan")]
    if not picked:
        raise Invalid("Pick at least one plan.", pointer="/plan")
    done, refused = 0, list[str]()
    for ulid, _, plan_hash in picked:
        action = access.action_for(actor, ulid)
        try:
            approvals.approve(
                action=action, plan_hash=plan_hash, by=actor, at=clock.now(), is_fresh=is_fresh(request)
            )
        except NotFresh:
            return to_sign_in(request, again=True)
        except AppError as objection:
            refused.append(f"{action.target['id']}: {objection}")
        else:
            done += 1
    if done:
        messages.success(request, f"Approved {done} of {len(picked)}.")
    for line in refused:
        messages.error(request, f"Not approved: {line}")
    return HttpResponseRedirect(reverse("incident-containment", args=[incident.ref]) + "#actions")


def _waiting(actor: Actor, incident: Incident) -> pages.Waiting:
    """What waits in this incident and this actor may approve, first asked first."""
    visible = access.actions_for(actor).filter(pk__in=actions_of(incident).values("pk"))
    waiting = visible.filter(status__in=approvals.WAITING).select_related("incident")
    return pages.waiting_for(actor, waiting.defer(*BULKY).order_by("requested_at", "pk"))


def _whole(actions: list[Action]) -> list[Action]:
    """The same actions with everything that is shown of one."""
    found = Action.objects.filter(pk__in=[action.pk for action in actions])
    return list(found.select_related("incident", "requested_by").order_by("requested_at", "pk"))


def _moment(text: str) -> datetime:
    """A date and time of a form, in UTC. Raises `Invalid`."""
    try:
        given = datetime.fromisoformat(text)
    except ValueError:
        raise Invalid("Give a date and time, in UTC.", pointer="/until") from None
    return given.replace(tzinfo=UTC) if given.tzinfo is None else given
