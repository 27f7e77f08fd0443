"""The export: a slice of the ledger as a zip that proves itself without Quell.

It is written while it is read, so that no length of it has to fit into memory. Rows do not change, so no
transaction is held meanwhile. Whoever takes one says for whom and for what; the ledger keeps that as the
last event before the copy begins.

What is about a restricted incident that does not name the exporter is withheld: of such an event only its
hashes and its signature are given, which is all that the proof of the others needs.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

from django.db import transaction
from django.db.models import F

from audit import anchors, receipts, signing
from audit.models import AuditEvent, AuditHead, Receipt, Sealed
from audit.record import GENESIS, body, record
from audit.search import NEWEST
from identity.actors import Actor
from lib import canonical, ids
from lib.errors import Invalid
from soc.ledger import access
from soc.models import LedgerExport

FORMAT = 1
CHUNK = 1000
VERIFIER = Path(__file__).with_name("verify_export.py")


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What someone asks to take along: events by number, both ends included, for whom and for what."""

    first: int
    last: int | None
    recipient: str
    purpose: str

    @classmethod
    def of(cls, given: Any) -> Wish:
        """From a query string; `Invalid` with a pointer."""
        return cls(
            first=_number(given, "from_seq") or 1,
            last=_number(given, "to_seq"),
            recipient=_words(given, "recipient", 200, "Say who gets it"),
            purpose=_words(given, "purpose", 500, "Say what for"),
        )


@dataclass(frozen=True, kw_only=True)
class Export:
    """An export that was recorded and can be written."""

    row: LedgerExport
    by: Actor
    anchor: anchors.Anchor
    before: str
    """The hash that the first event follows from."""

    @property
    def name(self) -> str:
        """The name of the file."""
        return f"quell-ledger-{self.row.first}-{self.row.last}.zip"


def begin(wish: Wish, *, by: Actor, at: datetime) -> Export:
    """Record that someone takes a slice along. Without an end it reaches to this very record.

    `Forbidden` for whoever does not read everything, `Invalid` for a range that there is not.
    """
    access.demand_whole(by)
    with transaction.atomic():
        # Takes the lock that `record` takes: the next number is ours, and the slice may end with it.
        AuditHead.objects.filter(pk=1).update(seq=F("seq"))
        there = AuditHead.objects.filter(pk=1).values_list("seq", flat=True).first() or 0
        last = wish.last or there + 1
        if wish.first > last or (wish.last and wish.last > there):
            raise Invalid("There is no such range of events.", pointer="/to_seq")
        row = LedgerExport.objects.create(
            ulid=ids.ulid(),
            first=wish.first,
            last=last,
            recipient=wish.recipient,
            purpose=wish.purpose,
            salt=secrets.token_hex(16),
            exported_at=at,
        )
        record(
            act="ledger.exported",
            by=by,
            at=at,
            on=("ledger-export", row.ulid),
            details={
                "from": wish.first,
                "to": wish.last,
                "recipient": salted(row.recipient, row.salt),
                "purpose": salted(row.purpose, row.salt),
            },
        )
        anchor = anchors.current(at)
    if anchor is None:
        raise RuntimeError("an event was recorded, and the chain has no end")
    before = AuditEvent.objects.filter(seq=row.first - 1).values_list("hash", flat=True).first()
    return Export(row=row, by=by, anchor=anchor, before=GENESIS if row.first == 1 else before or "")


def salted(text: str, salt: str) -> str:
    """The digest under which the ledger keeps a person's words."""
    return hmac.new(salt.encode(), text.encode(), hashlib.sha256).hexdigest()


def chunks(export: Export) -> Iterator[bytes]:
    """The zip, piece by piece."""
    pipe, digests = _Pipe(), dict[str, str]()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, lines in _files(export).items():
            yield from _member(archive, pipe, name, lines, export.row.exported_at, digests)
        manifest = [_pretty(_manifest(export, digests))]
        yield from _member(archive, pipe, "manifest.json", manifest, export.row.exported_at, digests)
    yield pipe.take()


class _Pipe:
    """What a zip is written into: forgets what was taken. It cannot be searched, and zip does without."""

    def __init__(self) -> None:
        self._waiting = bytearray()

    def write(self, data: bytes, /) -> int:
        self._waiting += data
        return len(data)

    def tell(self) -> int:
        """Refuses: what was taken is gone, and zip then writes sizes behind each file."""
        raise OSError("a pipe")

    def flush(self) -> None:
        """Nothing waits anywhere else."""

    def close(self) -> None:
        """Nothing is held."""

    def take(self) -> bytes:
        """What was written since the last time."""
        taken = bytes(self._waiting)
        self._waiting.clear()
        return taken


def _member(
    archive: zipfile.ZipFile,
    pipe: _Pipe,
    name: str,
    lines: Iterable[str],
    at: datetime,
    digests: dict[str, str],
) -> Iterator[bytes]:
    info = zipfile.ZipInfo(name, date_time=at.astimezone(UTC).timetuple()[:6])
    info.compress_type = zipfile.ZIP_DEFLATED
    info.external_attr = 0o644 << 16
    hashed, rest = hashlib.sha256(), iter(lines)
    with archive.open(info, "w", force_zip64=True) as member:
        while batch := "".join(islice(rest, CHUNK)).encode():
            hashed.update(batch)
            member.write(batch)
            yield pipe.take()
    digests[name] = hashed.hexdigest()


def _files(export: Export) -> dict[str, Iterable[str]]:
    return {
        "events.jsonl": _events(export),
        "seals.jsonl": _seals(export),
        "receipts.jsonl": _receipts(export),
        "anchor.json": [_pretty(asdict(export.anchor))],
        "verify.py": [VERIFIER.read_text(encoding="utf-8")],
    }


def _events(export: Export) -> Iterator[str]:
    for events in _slices(export):
        numbers = [event.seq for event in events]
        shown = access.not_restricted(export.by, AuditEvent.objects.filter(seq__in=numbers))
        open_to_them = set(shown.values_list("seq", flat=True))
        for event in events:
            line: dict[str, Any] = {"hash": event.hash, "signature": event.signature}
            if event.seq in open_to_them:
                line["event"] = body(event)
            else:
                line["withheld"] = {"seq": event.seq, "prev": event.prev_hash}
            yield f"{canonical.dumps(line)}\n"


def _seals(export: Export) -> Iterator[str]:
    for seq, lines in _sealed(export):
        yield f"{canonical.dumps({'seq': seq, 'receipts': [[one.receipt, one.digest] for one in lines]})}\n"


def _receipts(export: Export) -> Iterator[str]:
    for seq, lines in _sealed(export):
        found: dict[int, Receipt] = Receipt.objects.in_bulk([one.receipt for one in lines])
        for number in sorted(found):
            yield f"{canonical.dumps({'seal': seq, 'receipt': receipts.body(found[number])})}\n"


def _sealed(export: Export) -> Iterator[tuple[int, list[Sealed]]]:
    """The seals of the slice with the lines under each."""
    after = export.row.first - 1
    while after < export.row.last:
        seals = Sealed.objects.filter(seq__gt=after, seq__lte=export.row.last)
        seq = seals.order_by("seq").values_list("seq", flat=True).first()
        if seq is None:
            return
        yield seq, list(Sealed.objects.filter(seq=seq).order_by("receipt"))
        after = seq


def _slices(export: Export) -> Iterator[list[AuditEvent]]:
    after = export.row.first - 1
    while after < export.row.last:
        found = list(
            AuditEvent.objects.filter(seq__gt=after, seq__lte=export.row.last).order_by("seq")[:CHUNK]
        )
        if not found:
            return
        yield found
        after = found[-1].seq


def _manifest(export: Export, digests: dict[str, str]) -> dict[str, Any]:
    said = {
        "format": FORMAT,
        "export": export.row.ulid,
        "exported_at": export.row.exported_at.astimezone(UTC).isoformat(timespec="microseconds"),
        "exported_by": {
            "kind": export.by.kind,
            "label": export.by.label,
            "name": export.by.name,
            "person": export.by.person_ulid,
        },
        "recipient": export.row.recipient,
        "purpose": export.row.purpose,
        "salt": export.row.salt,
        "range": {"from": export.row.first, "to": export.row.last, "before": export.before},
        "sha256": digests,
    }
    return said | {"signature": signing.of_export(canonical.sha256(said))}


def _pretty(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True) + "\n"


def _words(given: Any, name: str, most: int, missing: str) -> str:
    value = " ".join(str(given.get(name, "")).split())
    if not value:
        raise Invalid(f"{missing}.", pointer=f"/{name}")
    if len(value) > most or not value.isprintable():
        raise Invalid(f"At most {most} characters that can be printed.", pointer=f"/{name}")
    return value


def _number(given: Any, name: str) -> int | None:
    value = str(given.get(name, "")).strip()
    if not value:
        return None
    if not (value.isascii() and value.isdigit() and len(value) < 20 and 0 < int(value) <= NEWEST):
        raise Invalid("A number of the sequence is a whole number from 1.", pointer=f"/{name}")
    return int(value)
