"""Adding to the ledger, and proving that it is whole.

Each event's hash covers its own fields and the hash before it. The sequence is drawn under a lock
on the head row, so two writers cannot draw in one order and link in another. Events and head are signed
(`audit.signing`), so that whoever owns the database can break the chain, but not make another.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from django.db import connection
from django.db.models import F

from audit import signing
from audit.models import AuditEvent, AuditHead
from lib import canonical

GENESIS = "0" * 64


class Acting(Protocol):
    """Whoever acts: a person, a key, or the system itself (`identity.actors.Actor`)."""

    @property
    def kind(self) -> str: ...
    @property
    def label(self) -> str: ...
    @property
    def person_ulid(self) -> str: ...
    @property
    def ip(self) -> str: ...
    @property
    def request_id(self) -> str: ...


@dataclass(frozen=True, kw_only=True)
class Broken:
    """The first place at which the chain does not hold, and why."""

    seq: int
    reason: str


def record(
    *, act: str, by: Acting, at: datetime, on: tuple[str, str], details: dict[str, Any] | None = None
) -> int:
    """Add one event and return its sequence number. The last thing done in the caller's transaction.

    `on` is the kind and public id of what was acted on. `details` holds ids, words and digests, no
    text from outside. Raises `RuntimeError` outside a transaction: an event must stand or fall with
    the change it speaks of.
    """
    if not connection.in_atomic_block:
        raise RuntimeError("an audit event is written in the transaction of the change it records")
    # The update takes the row's lock, so that reading `seq` and `hash` afterwards is safe.
    if not AuditHead.objects.filter(pk=1).update(seq=F("seq") + 1):
        AuditHead.objects.bulk_create([AuditHead(pk=1)], ignore_conflicts=True)  # others may begin as well
        AuditHead.objects.filter(pk=1).update(seq=F("seq") + 1)
    head = AuditHead.objects.get(pk=1)
    event = AuditEvent(
        seq=head.seq,
        at=at,
        act=act,
        actor_kind=by.kind,
        actor=by.label[:80],
        person=by.person_ulid,
        ip=by.ip,
        request_id=by.request_id,
        object_type=on[0],
        object_id=on[1],
        details=details or {},
        prev_hash=head.hash,
    )
    event.hash = digest(event)
    event.signature = signing.of_event(event.hash)
    event.save(force_insert=True)
    signature = signing.of_head(event.seq, event.hash)
    AuditHead.objects.filter(pk=1).update(hash=event.hash, signature=signature, seq=F("seq"))
    return event.seq


def digest(event: AuditEvent) -> str:
    """The hash that an event must carry, from its own fields and the hash before it."""
    return canonical.sha256(body(event))


def body(event: AuditEvent) -> dict[str, Any]:
    """What is hashed of an event."""
    return {
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


def verify() -> Broken | None:
    """Walk the chain and the receipts under its seals; the first broken place, or None when all is whole.

    A deleted tail shows because the head remembers how far the chain went.
    """
    from audit import proving  # which knows the receipts, and those write their seals with `record`

    return proving.prove().broken
