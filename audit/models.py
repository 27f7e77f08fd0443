"""The ledger's rows: an append-only, hash-chained list of events under one locked head."""

from __future__ import annotations

from django.db import models


class AuditHead(models.Model):
    """The last link of the chain: one row, locked while an event is added."""

    seq = models.BigIntegerField(default=0)
    hash = models.CharField(max_length=64, default="0" * 64)

    def __str__(self) -> str:
        return f"head at {self.seq}"


class AuditEvent(models.Model):
    """One act of a person, a key or the system. Ids and digests only; never text from outside."""

    seq = models.BigIntegerField(primary_key=True)
    at = models.DateTimeField()
    act = models.CharField(max_length=60)
    actor_kind = models.CharField(max_length=10)
    actor = models.CharField(max_length=80)
    person = models.CharField(max_length=26, blank=True)
    ip = models.CharField(max_length=45, blank=True)
    request_id = models.CharField(max_length=40, blank=True)
    object_type = models.CharField(max_length=30)
    object_id = models.CharField(max_length=40)
    details = models.JSONField(default=dict)
    prev_hash = models.CharField(max_length=64)
    hash = models.CharField(max_length=64)

    class Meta:
        indexes = [models.Index(fields=["object_type", "object_id", "seq"], name="audit_object")]

    def __str__(self) -> str:
        return f"{self.seq} {self.act}"
