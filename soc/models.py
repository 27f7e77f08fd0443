"""The project's own rows: which processes are alive, how far the ledger is proved, who took it along."""

from __future__ import annotations

from django.db import models

from lib import ids


class Heartbeat(models.Model):
    """When a kind of process last said that it is there; of several of one kind, the last to speak."""

    process = models.CharField(max_length=40, unique=True)
    at = models.DateTimeField()
    pid = models.IntegerField()

    def __str__(self) -> str:
        return f"{self.process} at {self.at:%H:%M:%S}"


class LedgerProof(models.Model):
    """How far the ledger was proved, and the first place that did not hold: one row, `pk` 1.

    `seq`, `hash`, `newest_at` and `passed_id` are the point from which the next proof goes on. A worker
    claims a proof by moving `due_at`.
    """

    seq = models.BigIntegerField(default=0)
    hash = models.CharField(max_length=64, default="0" * 64)
    newest_at = models.DateTimeField(null=True)
    passed_id = models.BigIntegerField(default=0)
    proved_at = models.DateTimeField(null=True)
    whole_at = models.DateTimeField(null=True)
    due_at = models.DateTimeField()
    broken_seq = models.BigIntegerField(null=True)
    broken_reason = models.CharField(max_length=300, blank=True)
    broken_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"broken at {self.broken_seq}" if self.broken_seq else f"proved up to {self.seq}"


class LedgerExport(models.Model):
    """What an export of the ledger was for, in the words of whoever took it; the ledger has their digest.

    Append-only: `last` is known before the event is recorded that tells of it.
    """

    ulid = models.CharField(max_length=26, unique=True, default=ids.ulid)
    first = models.BigIntegerField()
    last = models.BigIntegerField()
    recipient = models.CharField(max_length=200)
    purpose = models.CharField(max_length=500)
    salt = models.CharField(max_length=32)
    exported_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.first} to {self.last}"
