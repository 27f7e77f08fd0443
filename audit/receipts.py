"""Receipts of what came in: written by many at once, and sealed into the chain a second later.

An event of the chain is written under the lock of the chain's head, one after the other. Intake does
not wait for that: its receipts are rows of a plain append-only table, in the transaction of what they
speak of. A sweep then puts them under seals: an event of the chain (`receipts.sealed`) that holds the
digest of a list of receipts, each with its own digest. While a worker lives a receipt is without a seal
for two seconds at most; until then only the database's triggers protect it.

What shows, and what does not: a sealed receipt that was changed or removed shows by its number, and so
does one put in later under a number or a time that seals have passed by. A receipt that an intruder
into the database puts in as of now is sealed like any other.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import IntegrityError, connection, transaction
from django.db.models import Exists, Max, OuterRef, QuerySet

from audit.models import AuditEvent, Receipt, Sealed
from audit.record import Acting, Broken, record
from lib import canonical, clock, doorbell

log = logging.getLogger(__name__)

SEALED = "receipts.sealed"
EVERY_SECONDS = 1.0
MOST_UNDER_ONE_SEAL = 2000
SETTLED = timedelta(minutes=2)
"""Receipts are committed in another order than numbered, but hardly this much later than one sealed."""
MARGIN = 50_000
"""How many numbers a process looks back that has not run for two minutes yet."""
PASSED = timedelta(hours=1)
"""A receipt this much older than a seal, and not under it or an earlier one, was not there when sealing."""
MOST_AT_ONCE = 5000
"""How many receipts a proof holds in memory, and some."""
WHOLE_LOOK_EVERY = timedelta(minutes=10)


class _Sealer:
    """The seals are the system's own."""

    kind, label, person_ulid, ip, request_id = "system", "receipts", "", "", ""


# --- writing -------------------------------------------------------------------------------------------


def row(*, act: str, by: Acting, at: datetime, on: tuple[str, str], details: dict[str, Any]) -> Receipt:
    """The receipt of an act, not stored: for whoever inserts it together with other rows.

    `on` is the kind and id of what the act was on; `details` holds ids, counts and digests (text, whole
    numbers, lists and objects of them), no text from outside.
    """
    return Receipt(
        at=at,
        written_at=clock.now(),
        act=act,
        actor_kind=by.kind,
        actor=by.label[:80],
        principal=getattr(by, "principal", ""),
        ip=by.ip,
        request_id=by.request_id,
        object_type=on[0],
        object_id=on[1],
        details=details,
    )


def write(*, act: str, by: Acting, at: datetime, on: tuple[str, str], details: dict[str, Any]) -> None:
    """Store a receipt in the caller's transaction. `RuntimeError` when there is none."""
    if not connection.in_atomic_block:
        raise RuntimeError("a receipt is written in the transaction of what it speaks of")
    row(act=act, by=by, at=at, on=on, details=details).save(force_insert=True)


def digest(receipt: Receipt) -> str:
    """Of a receipt's whole content, its number included."""
    return canonical.sha256(body(receipt))


def body(receipt: Receipt) -> dict[str, Any]:
    """What is hashed of a receipt."""
    return {
        "id": receipt.pk,
        "at": _spelled(receipt.at),
        "written_at": _spelled(receipt.written_at),
        "act": receipt.act,
        "actor_kind": receipt.actor_kind,
        "actor": receipt.actor,
        "principal": receipt.principal,
        "ip": receipt.ip,
        "request_id": receipt.request_id,
        "object": [receipt.object_type, receipt.object_id],
        "details": receipt.details,
    }


def _spelled(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


# --- sealing -------------------------------------------------------------------------------------------


def register() -> None:
    """Register the sweep that seals. Called once, when the models are loaded."""
    doorbell.register(
        doorbell.Sweep(topic="receipts", queue="general", run=Sealing().sweep, every_seconds=EVERY_SECONDS)
    )


@dataclass(kw_only=True)
class Sealing:
    """One process's sealing: a short look each time, and now and then one at the whole table.

    The short look begins where the seals stood two minutes ago, as receipts become visible out of the
    order of their numbers. The whole look, the first one among them, finds what was committed later still.
    """

    whole_at: datetime | None = None
    stood: deque[tuple[datetime, int]] = field(default_factory=deque)

    def sweep(self) -> int:
        """Seal every receipt that has no seal; how many there were. Safe when run twice at once."""
        now = clock.now()
        is_whole = self.whole_at is None or not self.whole_at <= now < self.whole_at + WHOLE_LOOK_EVERY
        after, sealed = 0 if is_whole else self._settled(now), 0
        while found := seal(after=after, at=clock.now()):
            sealed += found
        if is_whole:
            self.whole_at = now
        return sealed

    def _settled(self, now: datetime) -> int:
        """The number from which to look: the highest one sealed two minutes ago."""
        newest = Sealed.objects.aggregate(newest=Max("receipt"))["newest"] or 0
        self.stood.append((now, newest))
        while len(self.stood) > 1 and self.stood[1][0] <= now - SETTLED:
            self.stood.popleft()
        at, number = self.stood[0]
        return number if at <= now - SETTLED else max(0, number - MARGIN)


def seal(*, after: int = 0, at: datetime) -> int:
    """Put the first receipts without a seal, numbered above `after`, under one; how many. 0: none left."""
    for _ in range(100):
        found = list(unsealed(after=after).order_by("pk")[:MOST_UNDER_ONE_SEAL])
        if not found:
            return 0
        lines = [(receipt.pk, digest(receipt)) for receipt in found]
        try:
            with transaction.atomic():
                seq = record(
                    act=SEALED,
                    by=_Sealer(),
                    at=at,
                    on=("receipts", str(lines[-1][0])),
                    details=_details(lines),
                )
                # The key refuses a receipt that somebody else has sealed since it was read.
                Sealed.objects.bulk_create(
                    [Sealed(receipt=number, seq=seq, digest=hashed) for number, hashed in lines]
                )
        except IntegrityError:
            log.info("receipts.sealed_by_another", extra={"first": lines[0][0]})
            continue
        return len(lines)
    return 0  # others seal as fast as this process looks; what is left they will seal


def unsealed(*, after: int = 0) -> QuerySet[Receipt]:
    """The receipts numbered above `after` that no seal holds."""
    sealed = Sealed.objects.filter(receipt=OuterRef("pk"), receipt__gt=after)
    return Receipt.objects.filter(~Exists(sealed), pk__gt=after)


def _details(lines: Sequence[tuple[int, str]]) -> dict[str, Any]:
    return {
        "count": len(lines),
        "first": lines[0][0],
        "last": lines[-1][0],
        "digest": canonical.sha256([list(line) for line in lines]),
    }


# --- proving -------------------------------------------------------------------------------------------


@dataclass(kw_only=True)
class Proof:
    """A walk over the seals in the order of the chain, beside the walk over the chain itself.

    Seals are looked at many at a time: `see` each event, then `finish`. Both say what is broken first.
    """

    after: int = 0
    waiting: list[AuditEvent] = field(default_factory=list)
    seen: deque[tuple[datetime, int]] = field(default_factory=deque)
    newest_at: datetime | None = None
    passed_id: int = 0

    def see(self, event: AuditEvent) -> Broken | None:
        """Take note of an event of the chain, whose own hash holds."""
        if event.act != SEALED:
            return None
        self.waiting.append(event)
        if sum(one.details["count"] for one in self.waiting) < MOST_AT_ONCE and len(self.waiting) < 500:
            return None
        return self.catch_up(upto=event.seq)

    def catch_up(self, *, upto: int) -> Broken | None:
        """Look at the seals that wait."""
        lines: dict[int, list[Sealed]] = {event.seq: [] for event in self.waiting}
        for line in Sealed.objects.filter(seq__gt=self.after, seq__lte=upto).order_by("seq", "receipt"):
            if line.seq not in lines:
                return Broken(seq=line.seq, reason=f"receipt {line.receipt} is listed under no seal")
            lines[line.seq].append(line)
        receipts = _by_number([line.receipt for listed in lines.values() for line in listed])
        for event in self.waiting:
            broken = self._seal(event, lines[event.seq], receipts)
            if broken:
                return broken
        self.waiting, self.after = [], upto
        return None

    def finish(self, *, last: int, upto: int) -> Broken | None:
        """Look at the seals that are left, and at the receipts that have none yet.

        `upto` is the highest seal that any receipt was under before the end of the chain was read.
        """
        if broken := self.catch_up(upto=last):
            return broken
        if stray := Sealed.objects.filter(seq__gt=last, seq__lte=upto).order_by("seq", "receipt").first():
            return Broken(seq=stray.seq, reason=f"receipt {stray.receipt} is listed under no seal")
        self._pass_by(clock.now())
        for receipt in unsealed().order_by("pk").iterator(chunk_size=MOST_UNDER_ONE_SEAL):
            if reason := self._late(receipt):
                return Broken(seq=last, reason=reason)
        return None

    def _seal(self, event: AuditEvent, lines: list[Sealed], receipts: dict[int, Receipt]) -> Broken | None:
        self._pass_by(event.at)
        for line in lines:
            receipt = receipts.get(line.receipt)
            if receipt is None:
                return Broken(seq=event.seq, reason=f"receipt {line.receipt} is missing")
            if digest(receipt) != line.digest:
                return Broken(seq=event.seq, reason=f"receipt {line.receipt} was changed after it was sealed")
            if reason := self._late(receipt):
                return Broken(seq=event.seq, reason=reason)
        if _details([(line.receipt, line.digest) for line in lines]) != event.details:
            return Broken(seq=event.seq, reason="the list of receipts does not fit this seal")
        self.seen.append((event.at, int(event.details["last"])))
        self.newest_at = max(event.at, self.newest_at or event.at)
        return None

    def _pass_by(self, at: datetime) -> None:
        """Note which numbers the seals had passed by, an hour before this moment."""
        while self.seen and self.seen[0][0] <= at - PASSED:
            self.passed_id = max(self.passed_id, self.seen.popleft()[1])

    def _late(self, receipt: Receipt) -> str:
        """Why a receipt cannot have been there when the seals before were made; empty when it can."""
        if receipt.pk <= self.passed_id or (
            self.newest_at is not None and receipt.written_at < self.newest_at - PASSED
        ):
            return f"receipt {receipt.pk} was put in after the seals had passed it by"
        return ""


def _by_number(numbers: Sequence[int]) -> dict[int, Receipt]:
    """The receipts of these numbers, as far as they are there."""
    return Receipt.objects.in_bulk(list(numbers))
