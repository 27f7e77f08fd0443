"""What was rung, for whom, on which channel, and what became of it."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from identity.models import Person
from lib import clock, ids


class Notice(models.Model):
    """One cause that people have to know of. The same cause (`dedup_key`) never makes a second row.

    `subject` names what it is about as text (`incident:INC-2026-0042`, `action:ULID`), as this package
    knows nothing of what lies above it. `link` is a path of ours. `acknowledged_by` is who said first
    that they have it; everybody who was rung sees that.
    """

    ulid = models.CharField(max_length=26, unique=True, default=ids.ulid)
    kind = models.CharField(max_length=40)
    subject = models.CharField(max_length=200)
    severity = models.PositiveSmallIntegerField()
    title = models.CharField(max_length=300)
    detail = models.TextField(blank=True)
    link = models.CharField(max_length=500)
    dedup_key = models.CharField(max_length=200, unique=True)
    rung_at = models.DateTimeField(default=clock.now)
    acknowledged_by = models.ForeignKey(Person, on_delete=models.PROTECT, null=True, related_name="+")
    acknowledged_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(severity__lte=100), name="notice_severity_0_to_100"),
            models.CheckConstraint(
                condition=Q(link__startswith="/") & ~Q(link__startswith="//"), name="notice_link_is_ours"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.subject}"


class Delivery(models.Model):
    """One notice on its way to one person over one channel; `due_at` is empty once it arrived."""

    notice = models.ForeignKey(Notice, on_delete=models.CASCADE, related_name="deliveries")
    person = models.ForeignKey(Person, on_delete=models.CASCADE, related_name="+")
    channel = models.CharField(max_length=20)
    attempts = models.PositiveSmallIntegerField(default=0)
    failure = models.CharField(max_length=300, blank=True)
    due_at = models.DateTimeField(null=True)
    delivered_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["notice", "person", "channel"], name="one_delivery_per_channel")
        ]
        indexes = [models.Index(fields=["due_at"], name="delivery_due", condition=Q(due_at__isnull=False))]

    def __str__(self) -> str:
        return f"{self.notice_id} to {self.person_id} by {self.channel}"


class InboxItem(models.Model):
    """One notice in one person's inbox."""

    ulid = models.CharField(max_length=26, unique=True, default=ids.ulid)
    notice = models.ForeignKey(Notice, on_delete=models.CASCADE, related_name="items")
    person = models.ForeignKey(Person, on_delete=models.CASCADE, related_name="inbox")
    arrived_at = models.DateTimeField()
    read_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["notice", "person"], name="one_item_per_notice")]
        indexes = [
            models.Index(fields=["person", "-id"], name="inbox_order"),
            models.Index(fields=["person"], name="inbox_unread", condition=Q(read_at__isnull=True)),
        ]

    def __str__(self) -> str:
        return f"{self.notice_id} for {self.person_id}"
