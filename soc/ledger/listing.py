"""The ledger as a person reads it: which events, the newest first, and one of them with what proves it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.db.models import QuerySet

from audit import receipts, search, signing
from audit.models import AuditEvent, AuditHead, Receipt, Sealed
from audit.record import GENESIS, digest
from audit.search import Asked
from identity.actors import Actor
from identity.models import Person
from soc.ledger import access
from soc.models import LedgerExport, LedgerProof

PAGE = 50
COUNT_LIMIT = 1000
MOST_RECEIPTS = 50
WHO = {"anonymous": "Nobody signed in", "system": "Quell"}


@dataclass(frozen=True, kw_only=True)
class Row:
    """An event as one line."""

    seq: int
    at: datetime
    act: str
    actor_kind: str
    actor: str
    person: str
    ip: str
    request_id: str
    object_type: str
    object_id: str
    says: str

    @property
    def exactly(self) -> str:
        """The time as it is hashed, to the microsecond."""
        return f"{self.at.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f} UTC"

    @property
    def who(self) -> str:
        """The name under which it was done."""
        return self.actor or WHO.get(self.actor_kind, self.actor_kind)


@dataclass(frozen=True, kw_only=True)
class Page:
    """One page of the list. `next_before` is the number below which the next one begins; 0 on the last."""

    asked: Asked
    rows: list[Row]
    total: str
    next_before: int
    is_first: bool


@dataclass(frozen=True, kw_only=True)
class Held:
    """Whether an event holds: what it says fits its hash, that fits the ones beside it, and is ours."""

    content: bool
    link: bool
    signature: bool
    following: bool | None
    """None for the last event: nothing follows from it yet but the head."""

    @property
    def is_whole(self) -> bool:
        return self.content and self.link and self.signature and self.following is not False


@dataclass(frozen=True, kw_only=True)
class Under:
    """A receipt under a seal, and whether it is as it was when sealed. `row` is None when it is gone."""

    number: int
    row: Receipt | None
    holds: bool


@dataclass(frozen=True, kw_only=True)
class Detail:
    """One event with everything it holds. `receipts` are the first of a seal, `sealed` how many it has."""

    row: Row
    details: Any
    prev_hash: str
    hash: str
    signature: str
    held: Held
    person_name: str
    page: str
    receipts: list[Under]
    sealed: int
    export: LedgerExport | None


def page(actor: Actor, asked: Asked, *, before: int = 0) -> Page:
    """One page of the events that fit, those below a number when one is given."""
    found = matching(actor, asked)
    # Numbers first: they lie in the indexes, and to sort a year of whole events for one page takes long.
    below = found.filter(seq__lt=before) if before else found
    numbers = list(below.values_list("seq", flat=True)[: PAGE + 1])
    more, numbers = len(numbers) > PAGE, numbers[:PAGE]
    rows = AuditEvent.objects.filter(seq__in=numbers).order_by("-seq")
    # A reader of few events among many would otherwise wait for all of them to be gone through twice.
    is_all = not before and not more
    count = len(numbers) if is_all else found.order_by()[: COUNT_LIMIT + 1].count()
    return Page(
        asked=asked,
        rows=[row_of(event) for event in rows],
        total=f"{COUNT_LIMIT}+" if count > COUNT_LIMIT else str(count),
        next_before=numbers[-1] if more else 0,
        is_first=not before,
    )


def matching(actor: Actor, asked: Asked) -> QuerySet[AuditEvent]:
    """The events that fit and that the actor may see, the newest first."""
    return access.events_for(actor) & search.matching(asked)


def detail(actor: Actor, seq: str) -> Detail:
    """One event; `NotFound` when it is not the actor's to see."""
    event = access.event_for(actor, seq)
    person = Person.objects.filter(ulid=event.person).first() if event.person else None
    lines = Sealed.objects.filter(seq=event.seq) if event.act == receipts.SEALED else Sealed.objects.none()
    export = None
    if event.object_type == "ledger-export":
        export = LedgerExport.objects.filter(ulid=event.object_id).first()
    return Detail(
        row=row_of(event),
        details=event.details,
        prev_hash=event.prev_hash,
        hash=event.hash,
        signature=event.signature,
        held=held(event),
        person_name=person.name if person else "",
        page=access.page_of(actor, event),
        receipts=list(_under(lines.order_by("receipt")[:MOST_RECEIPTS])),
        sealed=lines.count(),
        export=export,
    )


def held(event: AuditEvent) -> Held:
    """Whether one event holds, by itself and with the events before and after it."""
    beside = dict(AuditEvent.objects.filter(seq=event.seq - 1).values_list("seq", "hash"))
    before = beside.get(event.seq - 1, GENESIS if event.seq == 1 else "")
    following = AuditEvent.objects.filter(seq=event.seq + 1).values_list("prev_hash", flat=True).first()
    return Held(
        content=event.hash == digest(event),
        link=event.prev_hash == before,
        signature=signing.is_event(event.signature, event.hash),
        following=_is_end(event) if following is None else following == event.hash,
    )


def row_of(event: AuditEvent) -> Row:
    """An event as a line."""
    kind = access.KINDS.get(event.object_type)
    return Row(
        seq=event.seq,
        at=event.at,
        act=event.act,
        actor_kind=event.actor_kind,
        actor=event.actor,
        person=event.person,
        ip=event.ip,
        request_id=event.request_id,
        object_type=event.object_type,
        object_id=event.object_id,
        says=kind.says if kind else event.object_type,
    )


def proof() -> LedgerProof | None:
    """How far the ledger was proved, and what did not hold; None before the first proof."""
    return LedgerProof.objects.filter(pk=1, proved_at__isnull=False).first()


def _is_end(event: AuditEvent) -> bool | None:
    """None where the head agrees that nothing follows, False where something is gone."""
    head = AuditHead.objects.filter(pk=1).first()
    return None if head is not None and (head.seq, head.hash) == (event.seq, event.hash) else False


def _under(lines: QuerySet[Sealed]) -> Iterator[Under]:
    listed = list(lines)
    found = Receipt.objects.in_bulk([line.receipt for line in listed])
    for line in listed:
        row = found.get(line.receipt)
        yield Under(
            number=line.receipt, row=row, holds=row is not None and receipts.digest(row) == line.digest
        )
