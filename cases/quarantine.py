"""What could not be read: who may see it, trying it again, putting it aside.

An item is settled once: whoever sets its mark first does it, and everybody else is told who it was.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from django.db import transaction
from django.db.models import Q, QuerySet

from audit.models import AuditEvent
from audit.record import record as audit
from cases import ingest, webhooks
from cases.access import alerts_for, permits
from cases.ingest import Received
from cases.models import Alert, Quarantined
from cases.sources.registry import sources
from identity.actors import Actor
from identity.permissions import Permission
from lib.errors import Conflict, Forbidden, Invalid, NotFound

REPLAYED = "quarantine.replayed"
MOST_NAMED = 200
MOST_AT_ONCE = 100
PATIENCE_SECONDS = 8.0
"""How many items, and for how long, one request tries again: whoever asked waits for the answer."""


class Settled(Conflict):
    """Someone has replayed it or put it aside already."""


@dataclass(frozen=True, kw_only=True)
class Round:
    """What one round over many items did. `last` is the item it ended at, `left` what it did not get to."""

    tried: int
    done: int
    alerts: int
    unreadable: int
    settled: int
    left: int
    last: str


def quarantined_for(
    actor: Actor, *, permission: Permission = Permission.READ_ALERTS
) -> QuerySet[Quarantined]:
    """What the actor may see: of teams they hold a whole seat in, as nobody knows of which account it is.

    The bytes stay where they are until somebody asks an item for them.
    """
    rows = Quarantined.objects.select_related("team").defer("body")
    if actor.kind == "system":
        return rows
    seats = actor.seats_for(permission)
    return rows.filter(team__in={seat.team for seat in seats if seat.is_whole})


def waiting_for(
    actor: Actor,
    *,
    source: str = "",
    reason: str = "",
    permission: Permission = Permission.READ_ALERTS,
) -> QuerySet[Quarantined]:
    """What nobody has settled, newest first; `reason` is a part of the words."""
    rows = quarantined_for(actor, permission=permission).filter(
        replayed_at__isnull=True, discarded_at__isnull=True
    )
    return narrowed(rows, source=source, reason=reason).order_by("-received_at", "-pk")


def narrowed(rows: QuerySet[Quarantined], *, source: str, reason: str) -> QuerySet[Quarantined]:
    """Those of a source, whose reason has these words in it; an empty value asks for nothing."""
    if source:
        rows = rows.filter(source=source[:40].replace("\0", ""))
    if reason:
        rows = rows.filter(reason__icontains=reason[:200].replace("\0", ""))
    return rows


def behind(rows: QuerySet[Quarantined], *, received_at: datetime, pk: int) -> QuerySet[Quarantined]:
    """The rows that come after that one, newest first."""
    return rows.filter(Q(received_at__lte=received_at) & (Q(received_at__lt=received_at) | Q(pk__lt=pk)))


def quarantined_one_for(
    actor: Actor, ulid: str, *, permission: Permission = Permission.READ_ALERTS
) -> Quarantined:
    """One item with its team; `NotFound` or `Forbidden`."""
    found = quarantined_for(actor).filter(ulid=ulid).first()
    if found is None:
        raise NotFound("There is no such thing in quarantine, or it is not yours to see.")
    if not permits(actor, permission, team=found.team_id):
        raise Forbidden
    return found


@transaction.atomic
def replay(*, item: Quarantined, by: Actor, at: datetime) -> Received:
    """Try it again with the sources as they are now. `Settled` when someone was faster.

    The item is done when its content became alerts, or smaller items of which each has its own reason.
    Still unreadable as a whole, it waits on with the new reason, and was not received once more.
    """
    mark = Quarantined.objects.filter(pk=item.pk, replayed_at=None, discarded_at=None)
    if mark.update(replayed_at=at, settled_by=by.label[:80]) != 1:
        raise _settled(item)
    received = ingest.receive(
        source=item.source if item.source in sources() else ingest.AUTO,
        body=bytes(item.body),
        by=by,
        at=at,
        team=item.team,
        door=item.door,
        choose=webhooks.reading_at(item.door),
    )
    mine = Quarantined.objects.filter(pk=item.pk)
    again = next((held for held in received.quarantined if held.ulid == item.ulid), None)
    if again is not None:
        mine.update(
            replayed_at=None,
            settled_by="",
            count=item.count,
            reason=again.reason[:300],
            pointer=again.pointer[:300],
        )
        return received
    became = list(dict.fromkeys(one.alert.ulid for one in received.alerts if one.alert))
    audit(act=REPLAYED, by=by, at=at, on=("quarantined", item.ulid), details={"alerts": became[:MOST_NAMED]})
    return received


def replay_waiting(*, source: str = "", reason: str = "", after: str = "", by: Actor, at: datetime) -> Round:
    """Try again what waits and fits, newest first, each in a transaction of its own.

    A round is bounded in number and time; the next one begins `after` the item it ended at, so that what
    stays unreadable is not tried again and again.
    """
    waiting = waiting_for(by, source=source, reason=reason, permission=Permission.WRITE_ALERTS)
    if after:
        waiting = _after(waiting, after, by=by)
    counts = {"tried": 0, "done": 0, "alerts": 0, "unreadable": 0, "settled": 0}
    last = ""
    for item in _in_time(waiting):
        counts["tried"] += 1
        last = item.ulid
        try:
            received = replay(item=item, by=by, at=at)
        except Settled:
            counts["settled"] += 1
            continue
        counts["alerts"] += len(received.alerts)
        is_again = any(held.ulid == item.ulid for held in received.quarantined)
        counts["unreadable" if is_again else "done"] += 1
    left = _after(waiting, last, by=by).count() if last else 0
    return Round(**counts, left=left, last=last)


@transaction.atomic
def discard(*, item: Quarantined, reason: str, by: Actor, at: datetime) -> None:
    """Put it aside, for a reason; the bytes are kept. `Settled` when someone was faster."""
    reason = reason.strip()
    if not reason or len(reason) > 500 or "\0" in reason:
        raise Invalid("Say why, in at most 500 characters.", pointer="/reason")
    waiting = Quarantined.objects.filter(pk=item.pk, replayed_at=None, discarded_at=None)
    if waiting.update(discarded_at=at, discard_reason=reason, settled_by=by.label[:80]) != 1:
        raise _settled(item)
    audit(act="quarantine.discarded", by=by, at=at, on=("quarantined", item.ulid))


def bytes_for(actor: Actor, item: Quarantined) -> bytes:
    """The bytes of an item that the actor may see; `NotFound` where they became what is hidden from them."""
    if not is_open_to(actor, item):
        raise NotFound("It became an alert that you may not see.")
    return bytes(item.body)


def is_open_to(actor: Actor, item: Quarantined) -> bool:
    """Whether what became of it hides nothing: who may not see the alert may not see its document either."""
    made = Alert.objects.filter(ulid__in=became(item))
    return not made.exclude(pk__in=alerts_for(actor).values("pk")).exists()


def became(item: Quarantined) -> list[str]:
    """The ids of the alerts that a replay made of it, as the record of that act has them."""
    if item.replayed_at is None:
        return []
    told = AuditEvent.objects.filter(act=REPLAYED, object_type="quarantined", object_id=item.ulid).first()
    return [str(ulid) for ulid in told.details.get("alerts", ())] if told else []


def _settled(item: Quarantined) -> Settled:
    item.refresh_from_db(fields=["replayed_at", "discarded_at", "settled_by"])
    at = item.replayed_at or item.discarded_at
    if at is None:
        return Settled()
    verb = "replayed it" if item.replayed_at else "put it aside"
    return Settled(f"Not done: {item.settled_by} {verb} at {at.astimezone(UTC):%H:%M:%S} UTC.")


def _after(rows: QuerySet[Quarantined], ulid: str, *, by: Actor) -> QuerySet[Quarantined]:
    last = quarantined_for(by).filter(ulid=ulid[:26]).values_list("received_at", "pk").first()
    return behind(rows, received_at=last[0], pk=last[1]) if last else rows


def _in_time(waiting: QuerySet[Quarantined]) -> Iterator[Quarantined]:
    """As many as one round may try. The list is fixed at its start; the bytes come one by one."""
    until = time.monotonic() + PATIENCE_SECONDS  # the real time of someone who waits
    for number, item in enumerate(list(waiting[:MOST_AT_ONCE])):
        if number and time.monotonic() > until:
            return
        yield item
