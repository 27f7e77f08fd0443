"""Proving the ledger from its beginning, or from where it was proved to earlier.

No transaction is held: rows do not change once they are there, so it is enough to fix the end beforehand.
What is read as the last event is read before the head, for an event that can be seen has moved the head.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Max

from audit import receipts, signing
from audit.models import AuditEvent, AuditHead, Sealed
from audit.record import GENESIS, Broken, digest

CHUNK = 2000


@dataclass(frozen=True, kw_only=True)
class Point:
    """Up to where the chain was proved, and what its seals had passed by: a proof can go on from here."""

    seq: int = 0
    hash: str = GENESIS
    newest_at: datetime | None = None
    passed_id: int = 0


@dataclass(frozen=True, kw_only=True)
class Proved:
    """What a proof found: the first broken place, or else how far the chain holds."""

    upto: Point
    broken: Broken | None = None


def prove(after: Point | None = None) -> Proved:
    """Walk the chain and the receipts under its seals, from the beginning or after a point proved before.

    From a point on, what lies before it is taken as proved but for its last event, which is looked at again.
    """
    start = after or Point()
    lasts = [
        AuditEvent.objects.aggregate(last=Max("seq"))["last"] or 0,
        Sealed.objects.aggregate(last=Max("seq"))["last"] or 0,
    ]
    head = AuditHead.objects.filter(pk=1).first()
    if head is None and not any(lasts) and not start.seq:
        return Proved(upto=start)
    if head is None:
        return _broken(start, seq=1, reason="the head of the chain is missing")
    if broken := _met(start, head):
        return Proved(upto=start, broken=broken)
    expected, before, proof = start.seq + 1, start.hash, _proof(start)
    for event in _events(after=start.seq, upto=max(head.seq, lasts[0])):
        broken = check(event, expected=expected, before=before) or proof.see(event)
        if broken:
            return Proved(upto=start, broken=broken)
        expected, before = event.seq + 1, event.hash
    last = expected - 1
    broken = _end(head, last=last, before=before) or proof.finish(last=last, upto=lasts[1])
    if broken:
        return Proved(upto=start, broken=broken)
    return Proved(upto=Point(seq=last, hash=before, newest_at=proof.newest_at, passed_id=proof.passed_id))


def check(event: AuditEvent, *, expected: int, before: str) -> Broken | None:
    """What is wrong with one event, that should have this number and follow from that hash."""
    if event.seq != expected:
        return Broken(seq=expected, reason=f"event {expected} is missing, {event.seq} follows")
    if event.prev_hash != before:
        return Broken(seq=event.seq, reason="it does not follow from the event before it")
    if event.hash != digest(event):
        return Broken(seq=event.seq, reason="its content does not fit its hash")
    if not signing.is_event(event.signature, event.hash):
        return Broken(seq=event.seq, reason="it was not signed by Quell")
    return None


def _met(start: Point, head: AuditHead) -> Broken | None:
    """What has become of the event up to which the chain was proved."""
    if not start.seq:
        return None
    found = AuditEvent.objects.filter(seq=start.seq).first()
    if found is None or head.seq < start.seq:
        return Broken(seq=start.seq, reason=f"the chain was proved up to event {start.seq}; it is gone")
    if found.hash != start.hash:
        return Broken(seq=start.seq, reason="it is not the event that was there when the chain was proved")
    return check(found, expected=start.seq, before=found.prev_hash)


def _end(head: AuditHead, *, last: int, before: str) -> Broken | None:
    """What is wrong with the end of the chain, after the last event that is there."""
    if head.seq != last:
        return Broken(seq=min(head.seq, last + 1), reason=f"the head says {head.seq} events, found {last}")
    if head.hash != before:
        return Broken(seq=head.seq, reason="the head does not fit the last event")
    if last and not signing.is_head(head.signature, last, before):
        return Broken(seq=last, reason="this is not the end that was signed: events after it are gone")
    return None


def _events(*, after: int, upto: int) -> Iterator[AuditEvent]:
    """The events of the range in their order, some thousands in memory at a time."""
    while after < upto:
        found = list(AuditEvent.objects.filter(seq__gt=after, seq__lte=upto).order_by("seq")[:CHUNK])
        if not found:
            return
        yield from found
        after = found[-1].seq


def _proof(start: Point) -> receipts.Proof:
    """The proof of the receipts as it stood at a point: what the seals of the hour before it had reached."""
    proof = receipts.Proof(after=start.seq, newest_at=start.newest_at, passed_id=start.passed_id)
    if start.newest_at is not None:
        seals = AuditEvent.objects.filter(
            act=receipts.SEALED, seq__lte=start.seq, at__gt=start.newest_at - receipts.PASSED
        )
        proof.seen = deque(
            (at, int(details["last"])) for at, details in seals.order_by("seq").values_list("at", "details")
        )
    return proof


def _broken(start: Point, *, seq: int, reason: str) -> Proved:
    return Proved(upto=start, broken=Broken(seq=seq, reason=reason))
