"""What came of each source in each hour, counted from the rows that are there.

Nothing is counted while it happens, so nothing is counted twice, or lost with a process. Each round
counts the last two hours anew: a row whose transaction commits late is in the next round, whatever its
number; and hours that nobody counted while no worker ran are made up for, back to a week.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db import transaction
from django.db.models import Case, Count, F, Max, Q, Sum, When
from django.db.models.fields import DurationField
from django.db.models.functions import TruncHour

from cases.models import Quarantined, RawDocument, SourceHour
from lib import clock, doorbell

EVERY_SECONDS = 60.0
HOUR = timedelta(hours=1)
BACK = timedelta(days=7)
COUNTED = ("documents", "quarantined", "latency_count", "latency_sum_ms", "latency_max_ms")

Key = tuple[int, str, datetime]
"""Team, source, hour."""


@dataclass(kw_only=True)
class Tally:
    """What came in one hour, latencies in milliseconds."""

    documents: int = 0
    quarantined: int = 0
    latency_count: int = 0
    latency_sum_ms: int = 0
    latency_max_ms: int = 0


def register() -> None:
    """Register the sweep. Called once, when the models are loaded."""
    doorbell.register(
        doorbell.Sweep(topic="tally", queue="general", run=sweep_tally, every_seconds=EVERY_SECONDS)
    )


def sweep_tally() -> int:
    """Count the hours that may have changed; how many rows there are of them."""
    return tally(at=clock.now())


def tally(*, at: datetime) -> int:
    """Count the last two hours, and those that nobody counted; how many rows they have now."""
    since = _begin(at)
    with transaction.atomic():
        found = _count(since)
        rows = [
            SourceHour(team_id=team, source=source, hour=hour, **vars(counts))
            for (team, source, hour), counts in sorted(found.items())
        ]
        SourceHour.objects.bulk_create(
            rows,
            batch_size=500,
            update_conflicts=True,
            unique_fields=["team", "source", "hour"],
            update_fields=list(COUNTED),
        )
        _drop_empty(since, found)
    return len(rows)


def _begin(at: datetime) -> datetime:
    """The hour before this one; earlier where hours are missing, later never."""
    this = at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    newest = SourceHour.objects.filter(hour__lte=this).aggregate(newest=Max("hour"))["newest"]
    return min(this - HOUR, max(newest or this - BACK, this - BACK))


def _count(since: datetime) -> dict[Key, Tally]:
    """Documents by the team of their alert; a latency for the document that each episode began with."""
    found: dict[Key, Tally] = {}
    is_opening = Q(received_at=F("alert__received_at"), alert__detected_at__lt=F("received_at"))
    latency = Case(
        When(is_opening, then=F("received_at") - F("alert__detected_at")),
        output_field=DurationField(),
    )
    documents = (
        RawDocument.objects.filter(received_at__gte=since)
        .annotate(hour=TruncHour("received_at", tzinfo=UTC), latency=latency)
        .order_by()
        .values_list("alert__team", "source", "hour")
        .annotate(Count("pk"), Count("latency"), Sum("latency"), Max("latency"))
    )
    for team, source, hour, count, timed, total, most in documents:
        found[team, source, hour] = Tally(
            documents=count, latency_count=timed, latency_sum_ms=_ms(total), latency_max_ms=_ms(most)
        )
    held = (
        Quarantined.objects.filter(received_at__gte=since)
        .annotate(hour=TruncHour("received_at", tzinfo=UTC))
        .order_by()
        .values_list("team", "source", "hour")
        .annotate(Count("pk"))
    )
    for team, source, hour, count in held:
        found.setdefault((team, source, hour), Tally()).quarantined = count
    return found


def _drop_empty(since: datetime, found: Iterable[Key]) -> None:
    """Hours that have nothing any more: their alerts went to another team."""
    kept = set(found)
    known = SourceHour.objects.filter(hour__gte=since).values_list("pk", "team", "source", "hour")
    SourceHour.objects.filter(
        pk__in=[pk for pk, team, source, hour in known if (team, source, hour) not in kept]
    ).delete()


def _ms(length: timedelta | None) -> int:
    return int(length / timedelta(milliseconds=1)) if length else 0
