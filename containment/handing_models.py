"""Rows about who answers for what is in force: an action that went from one incident to another."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q

from cases.models import Action, Incident
from identity.models import Person


class HandOver(models.Model):
    """One action's way from an incident to another, append-only. Written by `containment.handing_over` only.

    The database lets an action change its incident only where such a row says so.
    """

    action = models.ForeignKey(Action, on_delete=models.PROTECT, related_name="hand_overs")
    source = models.ForeignKey(Incident, on_delete=models.PROTECT, related_name="handed_away")
    to = models.ForeignKey(Incident, on_delete=models.PROTECT, related_name="handed_to")
    by = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+")
    reason = models.TextField()
    at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=~Q(source=F("to")), name="handed_to_another_incident")
        ]

    def __str__(self) -> str:
        return f"{self.action_id} from {self.source_id} to {self.to_id}"
