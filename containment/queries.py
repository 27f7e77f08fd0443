"""Reading actions."""

from __future__ import annotations

from django.db.models import QuerySet

from cases.models import Action, Incident


def actions_of(incident: Incident) -> QuerySet[Action]:
    """The actions of an incident, newest request first; undos stand beside what they undo."""
    found = Action.objects.filter(incident=incident).select_related("incident", "requested_by", "reverts")
    return found.order_by("-requested_at", "-pk")
