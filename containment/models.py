"""The hand's rows: the journal of steps, what actions hold, and who approved what."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from cases.models import Action
from containment.approval_models import ApprovalCall, GlassReview, TierPolicy, Voiding
from containment.handing_models import HandOver
from containment.watch_models import CoverageChoice, Watch
from identity.models import Person
from lib import clock

__all__ = [
    "Approval",
    "ApprovalCall",
    "CoverageChoice",
    "GlassReview",
    "HandOver",
    "Lock",
    "Step",
    "StepState",
    "TierPolicy",
    "Voiding",
    "Watch",
]


class StepState(models.TextChoices):
    """Where one step of a plan stands (CONTRACT §4)."""

    PENDING = "pending"
    INTENT = "intent"
    RETRY = "retry"
    WAITING = "waiting"
    APPLIED = "applied"
    ALREADY = "already"
    DONE = "done"
    SKIPPED = "skipped"
    UNDONE = "undone"
    KEPT = "kept"
    FAILED = "failed"
    UNKNOWN = "unknown"
    CONFLICT = "conflict"


class Step(models.Model):
    """The journal of one planned step.

    `attempts` lists what was sent and when: `{"attempt", "at", "params", "equals", "outcome",
    "request_id"}`. `before` is what `seen` selected when the step first looked, in a one-key object,
    as null is an answer too; so is `result`. Written by `containment.journal` only.
    """

    action = models.ForeignKey(Action, on_delete=models.PROTECT, related_name="steps")
    seq = models.PositiveSmallIntegerField()
    name = models.CharField(max_length=120)
    kind = models.CharField(max_length=8)
    state = models.CharField(max_length=8, choices=StepState.choices, default=StepState.PENDING)
    attempt = models.PositiveSmallIntegerField(default=0)
    tries = models.PositiveSmallIntegerField(default=0)
    intent_at = models.DateTimeField(null=True)
    attempts = models.JSONField(default=list)
    before = models.JSONField(null=True)
    result = models.JSONField(null=True)
    error = models.TextField(blank=True)
    until = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    looked_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["action", "seq"], name="one_journal_row_per_step")]

    def __str__(self) -> str:
        return f"{self.action_id}.{self.seq} {self.name} {self.state}"


class Lock(models.Model):
    """One key that an action holds: its own while in force, a document's for one read and write."""

    key = models.CharField(max_length=400, unique=True)
    action = models.ForeignKey(Action, on_delete=models.CASCADE, related_name="locks")
    mode = models.CharField(max_length=8)
    fence = models.PositiveIntegerField()
    until = models.DateTimeField(null=True)
    taken_at = models.DateTimeField(default=clock.now)

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(mode__in=["own", "document"]), name="lock_mode")]

    def __str__(self) -> str:
        return f"{self.mode} {self.key}"


class Approval(models.Model):
    """One person's decision about one plan, named by its hash; append-only.

    `nth` counts the person's earlier decisions about the same plan that were taken back (`Voiding`).
    """

    action = models.ForeignKey(Action, on_delete=models.PROTECT, related_name="approvals")
    plan_hash = models.CharField(max_length=64)
    person = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="approvals")
    login = models.CharField(max_length=150)
    decision = models.CharField(max_length=12)
    nth = models.PositiveSmallIntegerField(default=0)
    reason = models.TextField(blank=True)
    at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["action", "plan_hash", "person", "nth"], name="one_decision_per_person"
            ),
            models.CheckConstraint(
                condition=Q(decision__in=["approve", "reject", "break-glass"]), name="decision_words"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.decision} {self.action_id}"


from containment import automation_models  # noqa: E402, F401 - Django finds the rows of a package by this module
