"""The pages of the hand: an incident's containment, and one action with its plan and its steps."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from cases import access, overview
from cases.models import Incident
from containment import approvals, coverage, planning, undo
from identity.actors import Actor
from identity.permissions import Permission
from identity.requests import actor_of, is_fresh, signed_in
from lib import clock, fragments


@require_safe
@signed_in
def panel(request: HttpRequest, ref: str) -> HttpResponse:
    """Coverage, suggestions and actions: a slot of the incident page, or a page of its own."""
    actor = actor_of(request)
    incident = access.incident_for(actor, ref)
    shown = {"coverage": coverage.coverage(incident), "incident": incident}
    return render(request, "containment/incident.html", shown)


@require_POST
@signed_in
def propose(request: HttpRequest, ref: str) -> HttpResponse:
    return HttpResponseRedirect(ref)


action = approve = reject = withdraw = revert = propose
