"""The due work of the bell: delivering what was rung."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F

from lib import clock, doorbell

log = logging.getLogger(__name__)

BATCH = 200
LEASE = timedelta(seconds=60)
LONGEST = timedelta(hours=1)
"""How long at most until a delivery that failed is tried again."""


def register() -> None:
    """Register the sweep of this package. Called once, when the models are loaded."""
    from notify.outbox import TOPIC

    doorbell.register(doorbell.Sweep(topic=TOPIC, queue="general", run=deliver_due))


def deliver_due(limit: int = BATCH) -> int:
    """Deliver what is due, at most `limit`; how many arrived. Safe when run twice at once."""
    from notify.models import Delivery

    now = clock.now()
    due = Delivery.objects.filter(due_at__lte=now).order_by("due_at", "pk").values_list("pk", "due_at")
    return sum(_deliver(pk, seen) for pk, seen in list(due[:limit]) if seen)


def _deliver(pk: int, seen: datetime | None) -> bool:
    """One delivery: claimed by moving its due time, so that of two workers one has it."""
    from notify.channels import CHANNELS
    from notify.models import Delivery

    now = clock.now()
    claimed = Delivery.objects.filter(pk=pk, due_at=seen)
    if claimed.update(due_at=now + LEASE, attempts=F("attempts") + 1) != 1:
        return False
    delivery = Delivery.objects.get(pk=pk)
    try:
        with transaction.atomic():
            CHANNELS[delivery.channel](delivery, now)
            Delivery.objects.filter(pk=pk).update(due_at=None, delivered_at=now, failure="")
    except Exception as failure:  # whatever ails one channel, the other deliveries go out, and this one again
        log.exception("notice.undelivered", extra={"delivery": pk, "channel": delivery.channel})
        again = now + min(timedelta(seconds=2 ** min(delivery.attempts, 12)), LONGEST)
        Delivery.objects.filter(pk=pk).update(due_at=again, failure=type(failure).__name__)
        return False
    return True
