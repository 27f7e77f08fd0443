"""The ledger's rows: an append-only, hash-chained list of events under one locked head.

Beside it lie the receipts of intake, plain append-only rows that many may write at once; a moment
later the chain holds a seal over them.
"""

from __future__ import annotations

from django.db import models


class AuditHead(models.Model):
    """The last link of the chain: one row, locked while an event is added, signed by `audit.signing`."""

    seq = models.BigIntegerField(default=0)
    hash = models.CharField(max_length=64, default="0" * 64)
    signature = models.CharField(max_length=64, blank=True)

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
    signature = models.CharField(max_length=64, default="")

    class Meta:
        indexes = [
            models.Index(fields=["object_type", "object_id", "seq"], name="audit_object"),
            # For `act LIKE 'alert.%'`, which an index in the order of a language does not serve.
            models.Index(
                fields=["act", "seq"], name="audit_act", opclasses=["varchar_pattern_ops", "int8_ops"]
            ),
            models.Index(fields=["actor", "seq"], name="audit_actor"),
            models.Index(fields=["person", "seq"], name="audit_person"),
            models.Index(fields=["ip", "seq"], name="audit_ip"),
            models.Index(fields=["request_id", "seq"], name="audit_request"),
            models.Index(fields=["at"], name="audit_at"),
        ]

    def __str__(self) -> str:
        return f"{self.seq} {self.act}"


class Receipt(models.Model):
    """What one request brought in: ids, digests and counts, written with it in one transaction.

    `audit_receipt`: every column has to be given but `id`; `details` is JSON. `at` is when the request
    says it came, `written_at` this machine's time; `principal` is the key, hook or person
    (`key:ulid` …), empty for the system. Append-only, and sealed into the chain by `audit.receipts`.
    """

    at = models.DateTimeField()
    written_at = models.DateTimeField()
    act = models.CharField(max_length=60)
    actor_kind = models.CharField(max_length=10)
    actor = models.CharField(max_length=80)
    principal = models.CharField(max_length=40, blank=True)
    ip = models.CharField(max_length=45, blank=True)
    request_id = models.CharField(max_length=40, blank=True)
    object_type = models.CharField(max_length=30)
    object_id = models.CharField(max_length=40)
    details = models.JSONField(default=dict)

    class Meta:
        indexes = [models.Index(fields=["object_type", "object_id", "id"], name="receipt_object")]

    def __str__(self) -> str:
        return f"receipt {self.pk} {self.act}"


class Sealed(models.Model):
    """That a receipt, with this content, is under the seal that is event `seq` of the chain.

    The receipt's number is the key, so that none is sealed twice whoever seals at the same moment. It is
    no foreign key: a receipt that is gone is a finding, and its line here says which it was.
    """

    receipt = models.BigIntegerField(primary_key=True)
    seq = models.BigIntegerField()
    digest = models.CharField(max_length=64)

    class Meta:
        indexes = [models.Index(fields=["seq", "receipt"], name="sealed_by_event")]

    def __str__(self) -> str:
        return f"receipt {self.receipt} under {self.seq}"
