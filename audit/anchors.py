"""Anchors: signed ends of the chain, kept where Quell's database is not.

Someone who owns the database and has an old copy of its head can put the chain back to that moment, and its
signature still holds. An end of the chain that was written down elsewhere in the meantime shows it.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from audit import signing
from audit.models import AuditEvent, AuditHead
from audit.record import Broken
from lib import clock, doorbell
from lib.errors import Invalid

log = logging.getLogger(__name__)

EVERY = timedelta(minutes=1)


@dataclass(frozen=True, kw_only=True)
class Anchor:
    """That the chain ended at `seq` with `hash` at a time (UTC, ISO 8601), signed as the head is."""

    seq: int
    hash: str
    at: str
    signature: str

    def line(self) -> str:
        """The anchor as one line of JSON."""
        return json.dumps(asdict(self))


def current(at: datetime) -> Anchor | None:
    """The present end of the chain; None before the first event."""
    head = AuditHead.objects.filter(pk=1, seq__gt=0).first()
    if head is None:
        return None
    when = at.astimezone(UTC).isoformat(timespec="seconds")
    return Anchor(seq=head.seq, hash=head.hash, at=when, signature=head.signature)


def read(lines: Iterable[str]) -> Iterator[Anchor]:
    """Anchors, one in a line; a line may also be a log record that holds one under `anchor`.

    Raises `Invalid` for a line that holds none, and for one that nobody with our key has signed.
    """
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        anchor = _anchor_in(line)
        if anchor is None:
            raise Invalid(f"line {number} is no anchor")
        if not signing.is_head(anchor.signature, anchor.seq, anchor.hash):
            raise Invalid(f"line {number} was not signed by Quell")
        yield anchor


def check(anchors: Iterable[Anchor]) -> Broken | None:
    """The first anchor that the chain does not hold any more; None when all are on it."""
    for anchor in sorted(anchors, key=lambda one: one.seq):
        found = AuditEvent.objects.filter(seq=anchor.seq).values_list("hash", flat=True).first()
        if found is None:
            return Broken(
                seq=anchor.seq, reason=f"the chain reached event {anchor.seq} at {anchor.at}; it is gone"
            )
        if found != anchor.hash:
            return Broken(seq=anchor.seq, reason=f"it is not the event that was there at {anchor.at}")
    return None


def register() -> None:
    """Register the sweep that tells the log. Called once, when the models are loaded."""
    doorbell.register(
        doorbell.Sweep(
            topic="anchors", queue="general", run=Telling().sweep, every_seconds=EVERY.total_seconds()
        )
    )


@dataclass(kw_only=True)
class Telling:
    """One process's telling: the end of the chain goes to the log, whenever it has moved."""

    told: int = 0

    def sweep(self) -> int:
        """Write the present end to the log if it is another than last time; how many were written."""
        anchor = current(clock.now())
        if anchor is None or anchor.seq == self.told:
            return 0
        log.info("audit.anchor", extra={"anchor": asdict(anchor)})
        self.told = anchor.seq
        return 1


def _anchor_in(line: str) -> Anchor | None:
    try:
        found: Any = json.loads(line)
    except ValueError:
        return None
    if isinstance(found, dict) and isinstance(found.get("anchor"), dict):
        found = found["anchor"]
    try:
        return Anchor(
            seq=int(found["seq"]),
            hash=str(found["hash"]),
            at=str(found["at"]),
            signature=str(found["signature"]),
        )
    except (TypeError, KeyError, ValueError):
        return None
