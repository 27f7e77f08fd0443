"""What could not be read: who may see it, trying it again, putting it aside.

An item is settled once: whoever sets its mark first does it, and everybody else is told so.
"""

from __future__ import annotations

from datetime import datetime

from django.db import transaction
from django.db.models import QuerySet

from audit.record import record as audit
from cases import ingest, webhooks
from cases.access import permits
from cases.ingest import Received
from cases.models import Quarantined
from cases.sources.registry import sources
from identity.actors import Actor
from identity.permissions import Permission
from lib.errors import Conflict, Forbidden, Invalid, NotFound


class Settled(Conflict):
    """Someone has replayed it or put it aside already."""


def quarantined_for(actor: Actor) -> QuerySet[Quarantined]:
    """What the actor may see: of teams they hold a whole seat in, as nobody knows of which account it is."""
    rows = Quarantined.objects.select_related("team")
    if actor.kind == "system":
        return rows
    seats = actor.seats_for(Permission.READ_ALERTS)
    return rows.filter(team__in={seat.team for seat in seats if seat.is_whole})


def waiting_for(actor: Actor, *, source: str = "", reason: str = "") -> QuerySet[Quarantined]:
    """What nobody has settled, newest first; `reason` is a part of the words."""
    rows = quarantined_for(actor).filter(replayed_at__isnull=True, discarded_at__isnull=True)
    if source:
        rows = rows.filter(source=source)
    if reason:
        rows = rows.filter(reason__icontains=reason[:200].replace("\0", ""))
    return rows.order_by("-received_at", "-pk")


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
        raise Settled
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
    audit(act="quarantine.replayed", by=by, at=at, on=("quarantined", item.ulid))
    return received


@transaction.atomic
def discard(*, item: Quarantined, reason: str, by: Actor, at: datetime) -> None:
    """Put it aside, for a reason; the bytes are kept. `Settled` when someone was faster."""
    reason = reason.strip()
    if not reason or len(reason) > 500 or "\0" in reason:
        raise Invalid("Say why, in at most 500 characters.", pointer="/reason")
    waiting = Quarantined.objects.filter(pk=item.pk, replayed_at=None, discarded_at=None)
    if waiting.update(discarded_at=at, discard_reason=reason, settled_by=by.label[:80]) != 1:
        raise Settled
    audit(act="quarantine.discarded", by=by, at=at, on=("quarantined", item.ulid))
