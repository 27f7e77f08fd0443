"""The tally of each hour equals a naive recount, whatever came and in whatever order it was committed."""

from __future__ import annotations

import random
import threading
from collections import defaultdict
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection, connections, transaction

from cases.models import Alert, Quarantined, RawDocument, SourceHour
from cases.tallying import tally
from tests import make

NOW = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)


def document(alert: Alert, at: datetime, *, source: str = "guardduty") -> RawDocument:
    digest = f"{random.getrandbits(240):060x}"
    return RawDocument.objects.create(alert=alert, digest=digest, body={}, source=source, received_at=at)


def held(at: datetime, *, source: str = "guardduty") -> Quarantined:
    digest = f"{random.getrandbits(240):060x}"
    return Quarantined.objects.create(
        source=source, digest=digest, body=b"x", reason="r", received_at=at, team=make.team()
    )


def naive() -> dict[tuple[str, datetime], list[int]]:
    found: dict[tuple[str, datetime], list[int]] = defaultdict(lambda: [0, 0, 0, 0, 0])
    for row in RawDocument.objects.select_related("alert"):
        counts = found[row.source, row.received_at.replace(minute=0, second=0, microsecond=0)]
        counts[0] += 1
        if row.received_at == row.alert.received_at and row.alert.detected_at < row.received_at:
            late = (row.received_at - row.alert.detected_at) // timedelta(milliseconds=1)
            counts[2] += 1
            counts[3] += late
            counts[4] = max(counts[4], late)
    for one in Quarantined.objects.all():
        found[one.source, one.received_at.replace(minute=0, second=0, microsecond=0)][1] += 1
    return dict(found)


def told() -> dict[tuple[str, datetime], list[int]]:
    return {
        (h.source, h.hour): [
            h.documents,
            h.quarantined,
            h.latency_count,
            h.latency_sum_ms,
            h.latency_max_ms,
        ]
        for h in SourceHour.objects.all()
    }


@pytest.mark.django_db
def test_random_traffic_counted_every_minute_equals_a_recount() -> None:
    draw = random.Random(7)
    at = NOW
    for _ in range(60):
        at += timedelta(minutes=draw.randrange(12))
        for _ in range(draw.randrange(4)):
            alert = make.alert(at=at - timedelta(seconds=draw.randrange(1, 500)), received_at=at)
            document(alert, at, source=draw.choice(["guardduty", "native"]))
            if draw.random() < 0.3:
                document(alert, at + timedelta(seconds=1))
        if draw.random() < 0.3:
            held(at)
        tally(at=at + timedelta(seconds=2))
    tally(at=at + timedelta(minutes=1))

    assert told() == naive()


@pytest.mark.django_db
def test_hours_without_a_worker_are_made_up_for_and_a_second_count_adds_nothing() -> None:
    for hours in range(30):
        at = NOW - timedelta(hours=hours)
        document(make.alert(at=at - timedelta(minutes=1), received_at=at), at)

    tally(at=NOW)
    tally(at=NOW)

    assert told() == naive()
    assert SourceHour.objects.count() == 30


@pytest.mark.django_db
def test_an_alert_that_goes_to_another_team_takes_its_count_along() -> None:
    alert = make.alert(at=NOW - timedelta(minutes=2), received_at=NOW)
    document(alert, NOW)
    tally(at=NOW)
    Alert.objects.filter(pk=alert.pk).update(team=make.team("other"))

    tally(at=NOW)

    assert [hour.team.slug for hour in SourceHour.objects.all()] == ["other"]


@pytest.mark.django_db(transaction=True)
def test_what_commits_late_is_counted_once() -> None:
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has one writer: nothing commits out of order")
    alert = make.alert(at=NOW - timedelta(minutes=2), received_at=NOW)
    written, go = threading.Event(), threading.Event()

    def late() -> None:
        with transaction.atomic():
            document(alert, NOW)
            written.set()
            go.wait(20)
        connections.close_all()

    thread = threading.Thread(target=late)
    thread.start()
    assert written.wait(20)
    document(alert, NOW + timedelta(seconds=1))
    tally(at=NOW + timedelta(seconds=2))
    assert sum(hour.documents for hour in SourceHour.objects.all()) == 1
    go.set()
    thread.join(20)

    tally(at=NOW + timedelta(minutes=1))

    assert told() == naive()
    assert sum(hour.documents for hour in SourceHour.objects.all()) == 2
