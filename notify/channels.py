"""The ways by which a notice reaches a person, by name. A channel is here when it works."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from notify.models import Delivery, InboxItem

Deliver = Callable[[Delivery, datetime], None]
"""Delivers one, once or more often to the same effect; raises what went wrong."""


def to_inbox(delivery: Delivery, at: datetime) -> None:
    """Put the notice into the person's inbox."""
    InboxItem.objects.bulk_create(
        [InboxItem(notice_id=delivery.notice_id, person_id=delivery.person_id, arrived_at=at)],
        ignore_conflicts=True,
    )


CHANNELS: Mapping[str, Deliver] = {"inbox": to_inbox}
