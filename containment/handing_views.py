"""The page on which an action that is in force is handed over to another incident."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from cases import access
from cases.models import Action
from containment import handing_over, planning
from identity.actors import Actor
from identity.requests import actor_of, signed_in
from lib import clock
from lib.errors import Invalid

REASON_LENGTH = 2000
CLOSING = "close"
"""Where one comes from who is about to close the incident, and goes back to."""


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def hand_over(request: HttpRequest, ulid: str) -> HttpResponse:
    """Choose the incident that answers for an action from now on, and say why."""
    actor = actor_of(request)
    found = access.action_for(actor, ulid)
    if request.method != "POST":
        handing_over.demand(found, actor)
        return _page(request, actor, found)
    source = found.incident.ref
    try:
        to = handing_over.taker_for(actor, found, request.POST.get("incident", ""))
        handing_over.hand_over(
            action=found,
            to=to,
            reason=request.POST.get("reason", "")[:REASON_LENGTH],
            by=actor,
            at=clock.now(),
        )
    except Invalid as refused:
        return _page(request, actor, found, refused=refused)
    messages.success(request, f"{to.ref} answers for it from now on.")
    if request.POST.get("back") == CLOSING:
        return HttpResponseRedirect(reverse("incident-close", args=[source]))
    return HttpResponseRedirect(reverse("action", args=[ulid]))


def _page(
    request: HttpRequest, actor: Actor, found: Action, *, refused: Invalid | None = None
) -> HttpResponse:
    given = request.POST if request.method == "POST" else request.GET
    context = {
        "action": found,
        "incident": found.incident,
        "title": planning.title_of(found),
        "takers": handing_over.takers(actor, found)[: handing_over.MOST_OFFERED],
        "chosen": given.get("incident", ""),
        "reason": request.POST.get("reason", "")[:REASON_LENGTH],
        "back": CLOSING if given.get("back") == CLOSING else "",
        "field": refused.pointer.strip("/") if refused else "",
        "refused": refused,
    }
    return render(request, "containment/hand_over.html", context, status=422 if refused else 200)
