"""A person's inbox: what is in it, reading it, and saying "I have it". Nobody sees another's."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction
from django.db.models import Q, QuerySet

from audit.record import record
from identity.actors import Actor
from lib.errors import NotFound
from notify.models import InboxItem, Notice

MOST_COUNTED = 99


def items_for(actor: Actor) -> QuerySet[InboxItem]:
    """The actor's own items, newest first; none for a key, which has no inbox."""
    found = InboxItem.objects.select_related("notice", "notice__acknowledged_by").order_by("-pk")
    return found.filter(person_id=actor.person_id) if actor.person_id is not None else found.none()


def item_for(actor: Actor, ulid: str) -> InboxItem:
    """One item of the actor's own; `NotFound` for everybody else's."""
    item = items_for(actor).filter(ulid=ulid).first()
    if item is None:
        raise NotFound("There is no such notice in your inbox.")
    return item


def unread(actor: Actor) -> int:
    """How many are unread, counted up to one more than `MOST_COUNTED`."""
    return items_for(actor).filter(read_at__isnull=True).order_by()[: MOST_COUNTED + 1].count()


def mark_read(*, item: InboxItem, at: datetime) -> None:
    """Mark one as read; the first time counts."""
    if InboxItem.objects.filter(pk=item.pk, read_at__isnull=True).update(read_at=at):
        item.read_at = at


def mark_all_read(*, by: Actor, upto: str, at: datetime) -> int:
    """Mark everything as read that had arrived when the page was made (`upto`, its newest item's id).

    Without an item of that id nothing is marked; how many were.
    """
    newest = items_for(by).filter(ulid=upto).first()
    if newest is None or by.person_id is None:
        return 0
    return InboxItem.objects.filter(person=newest.person_id, pk__lte=newest.pk, read_at__isnull=True).update(
        read_at=at
    )


@transaction.atomic
def acknowledge(*, item: InboxItem, by: Actor, at: datetime) -> bool:
    """Say "I have it": the first of those who were rung is named to the others. False for the second."""
    free = Q(pk=item.notice_id, acknowledged_by__isnull=True)
    is_first = bool(Notice.objects.filter(free).update(acknowledged_by_id=by.person_id, acknowledged_at=at))
    mark_read(item=item, at=at)
    item.notice.refresh_from_db()
    if is_first:
        record(act="notice.acknowledged", by=by, at=at, on=("notice", item.notice.ulid))
    return is_first
