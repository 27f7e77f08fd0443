"""The rows around approvals: what was taken back, what broke the glass, and the policy of tiers.

A module of its own; `containment.models` brings it into the app.
"""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q

from identity.models import Person
from lib import clock, ids


class Voiding(models.Model):
    """An approval that counts no more, and why; append-only, at most one for each approval.

    `person` took it back; empty where Quell did (drift, a role that was lost).
    """

    approval = models.OneToOneField("containment.Approval", on_delete=models.PROTECT, related_name="voiding")
    person = models.ForeignKey(Person, on_delete=models.PROTECT, null=True, related_name="+")
    why = models.CharField(max_length=300)
    at = models.DateTimeField()

    def __str__(self) -> str:
        return f"void {self.approval_id}: {self.why}"


class GlassReview(models.Model):
    """What somebody else says afterwards of an action that was started by break-glass.

    Written once when the glass is broken, due a day later, and completed once.
    """

    ulid = models.CharField(max_length=26, unique=True, default=ids.ulid)
    approval = models.OneToOneField("containment.Approval", on_delete=models.PROTECT, related_name="review")
    due_at = models.DateTimeField()
    rung_at = models.DateTimeField(null=True)
    reviewer = models.ForeignKey(Person, on_delete=models.PROTECT, null=True, related_name="+")
    reviewed_at = models.DateTimeField(null=True)
    is_justified = models.BooleanField(null=True)
    finding = models.TextField(blank=True)

    class Meta:
        indexes = [models.Index(fields=["due_at"], name="glass_due", condition=Q(reviewed_at__isnull=True))]
        constraints = [
            models.CheckConstraint(
                condition=Q(reviewed_at__isnull=True, reviewer__isnull=True, is_justified__isnull=True)
                | Q(reviewed_at__isnull=False, reviewer__isnull=False, is_justified__isnull=False),
                name="glass_review_whole",
            )
        ]

    def __str__(self) -> str:
        return f"review of {self.approval_id}"


class TierPolicy(models.Model):
    """One version of what tiers become in which environment; the highest approved version is in force.

    `tiers` holds the differences only, as `{"sandbox": {"2": 1}, "production:critical": {"1": 2}}`. A
    version is made by one person and put into force, or turned down, by another.
    """

    ulid = models.CharField(max_length=26, unique=True, default=ids.ulid)
    version = models.PositiveIntegerField(unique=True)
    tiers = models.JSONField()
    reason = models.TextField()
    proposed_by = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+")
    proposed_at = models.DateTimeField(default=clock.now)
    decided_by = models.ForeignKey(Person, on_delete=models.PROTECT, null=True, related_name="+")
    decided_at = models.DateTimeField(null=True)
    is_approved = models.BooleanField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(decided_by__isnull=True) | ~Q(decided_by=F("proposed_by")),
                name="tier_policy_two_people",
            ),
            models.CheckConstraint(
                condition=Q(decided_by__isnull=True, decided_at__isnull=True, is_approved__isnull=True)
                | Q(decided_by__isnull=False, decided_at__isnull=False, is_approved__isnull=False),
                name="tier_policy_decided_whole",
            ),
        ]

    def __str__(self) -> str:
        return f"tier policy {self.version}"


class ApprovalCall(models.Model):
    """Whom we asked to approve a plan that waits, and when the next person is asked."""

    action = models.ForeignKey("cases.Action", on_delete=models.CASCADE, related_name="+")
    plan_hash = models.CharField(max_length=64)
    asked = models.JSONField(default=list)
    next_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["action", "plan_hash"], name="one_call_for_a_waiting_plan")
        ]

    def __str__(self) -> str:
        return f"call for {self.action_id}"
