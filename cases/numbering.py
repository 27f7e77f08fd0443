"""References of incidents: INC-2026-0042, without gaps and without doubles."""

from __future__ import annotations

from datetime import datetime

from django.db import connection
from django.db.models import F

from cases.models import IncidentCounter


def next_ref(at: datetime) -> str:
    """The next reference of the year, drawn in the caller's transaction.

    The counter's row stays locked until that transaction ends, so a number that was drawn and not
    used is given back. Raises `RuntimeError` outside a transaction.
    """
    if not connection.in_atomic_block:
        raise RuntimeError("a reference is drawn in the transaction that uses it")
    counters = IncidentCounter.objects.filter(year=at.year)
    if not counters.update(last=F("last") + 1):
        IncidentCounter.objects.bulk_create([IncidentCounter(year=at.year)], ignore_conflicts=True)
        counters.update(last=F("last") + 1)
    return f"INC-{at.year}-{counters.values_list('last', flat=True).get():04d}"
