"""Rows about what follows a containment: the watch over a principal, and what a person decided."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from cases.models import Action, Incident
from identity.models import Person


class Watch(models.Model):
    """Looking again at a principal after an identity action, as the attacker may be racing us.

    `principal` is `user/NAME` or `role/NAME`. `baseline` is what it had just before our first call,
    `found` what is new since: `[{"kind", "id", "what", "at"}]`. `due_at` is the next look; empty when
    the watch is over or has not begun. Written by `containment.watching` only.
    """

    action = models.OneToOneField(Action, on_delete=models.CASCADE, related_name="watch")
    principal = models.CharField(max_length=140)
    credential = models.CharField(max_length=140, blank=True)
    baseline = models.JSONField(default=dict)
    found = models.JSONField(default=list)
    unread = models.CharField(max_length=300, blank=True)
    trail = models.CharField(max_length=300, blank=True)
    since = models.DateTimeField(null=True)
    looks = models.PositiveSmallIntegerField(default=0)
    looked_at = models.DateTimeField(null=True)
    due_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(fields=["due_at"], name="watch_due", condition=Q(due_at__isnull=False))]

    def __str__(self) -> str:
        return f"watch of {self.principal}"


class CoverageChoice(models.Model):
    """A person's decision that a tainted target must, or need not, be contained; append-only."""

    incident = models.ForeignKey(Incident, on_delete=models.CASCADE, related_name="coverage_choices")
    kind = models.CharField(max_length=40)
    target = models.CharField(max_length=300)
    account = models.CharField(max_length=12)
    is_required = models.BooleanField()
    reason = models.TextField()
    by = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.kind} {self.target}: {'required' if self.is_required else 'not required'}"
