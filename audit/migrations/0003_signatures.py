"""Signatures of events and head; what is there is signed as far as it is whole."""

from __future__ import annotations

from datetime import UTC
from typing import Any

from django.db import migrations, models

from audit import signing
from lib import canonical

TRIGGERS = (("audit_auditevent", "guard_audit_auditevent_update"), ("audit_audithead", "guard_audit_audithead_update"))


def sign(apps: Any, schema_editor: Any) -> None:
    """Sign every event up to the first that does not hold, and the head if all do.

    The triggers that forbid it are put back after every `migrate`.
    """
    if schema_editor.connection.vendor == "postgresql":
        for table, trigger in TRIGGERS:
            schema_editor.execute(f'DROP TRIGGER IF EXISTS "{trigger}" ON "{table}"')
    events, head = apps.get_model("audit", "AuditEvent"), apps.get_model("audit", "AuditHead").objects.first()
    expected, before = 1, "0" * 64
    for event in events.objects.order_by("seq").iterator(chunk_size=2000):
        if event.seq != expected or event.prev_hash != before or event.hash != _digest(event):
            return
        events.objects.filter(pk=event.pk).update(signature=signing.of_event(event.hash))
        expected, before = event.seq + 1, event.hash
    if head is not None and head.seq == expected - 1 and head.hash == before:
        head.signature = signing.of_head(head.seq, head.hash)
        head.save(update_fields=["signature"])


def _digest(event: Any) -> str:
    return canonical.sha256(
        {
            "seq": event.seq,
            "at": event.at.astimezone(UTC).isoformat(timespec="microseconds"),
            "act": event.act,
            "actor_kind": event.actor_kind,
            "actor": event.actor,
            "person": event.person,
            "ip": event.ip,
            "request_id": event.request_id,
            "object": [event.object_type, event.object_id],
            "details": event.details,
            "prev": event.prev_hash,
        }
    )


class Migration(migrations.Migration):
    dependencies = [("audit", "0002_receipts")]

    operations = [
        migrations.AddField(
            model_name="auditevent", name="signature", field=models.CharField(default="", max_length=64)
        ),
        migrations.AddField(
            model_name="audithead", name="signature", field=models.CharField(blank=True, max_length=64, default=""), preserve_default=False
        ),
        migrations.RunPython(sign, migrations.RunPython.noop),
    ]
