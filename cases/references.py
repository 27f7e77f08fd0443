"""The numbers of incidents: `INC-2026-0042`, counted per year."""

from __future__ import annotations

from django.db import connection
from django.db.models import F

from cases.models import IncidentCounter


def take(year: int) -> str:
    """The next reference of a year. In the caller's transaction, so that none is lost or given twice.

    Raises `RuntimeError` outside a transaction.
    """
    if not connection.in_atomic_block:
        raise RuntimeError("a reference is taken in the transaction of the incident it names")
    # get_or_create first: the update alone cannot tell "no such year" from a lost race for the first row.
    IncidentCounter.objects.get_or_create(year=year)
    # The update takes the row's lock, so that reading `last` afterwards is safe.
    IncidentCounter.objects.filter(year=year).update(last=F("last") + 1)
    return f"INC-{year}-{IncidentCounter.objects.get(year=year).last:04d}"
