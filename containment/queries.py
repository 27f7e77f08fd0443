"""Reading actions."""

from __future__ import annotations

from django.db.models import QuerySet

from cases.models import Action, Incident

BULKY = ("plan", "affects", "preflight", "drift")
"""What a list of actions does not show, and what is most of a row."""


def actions_of(incident: Incident) -> QuerySet[Action]:
    """The actions of an incident, newest request first; undos stand beside what they undo."""
    found = Action.objects.filter(incident=incident).select_related("incident", "requested_by", "reverts")
    return found.order_by("-requested_at", "-pk")


def briefly_of(incident: Incident) -> QuerySet[Action]:
    """`actions_of` for a list: without the plans, of which an incident may have hundreds."""
    return actions_of(incident).defer(*BULKY)
