"""How many events of CloudTrail go through, in files from S3, of which one in a hundred is an alert."""

from __future__ import annotations

import gzip
import json
import time

import pytest

from cases import ingest
from cases.ground import Standing
from cases.models import Alert
from cases.sources import cloudtrail
from identity.actors import SYSTEM
from lib import clock
from tests import evidence, make
from tests.cases.trail import DEPLOY, Event, call

pytestmark = [pytest.mark.django_db, pytest.mark.exhaustive]

EVENTS = 20_000
ONE_IN = 100
SLOWEST = {"detect": 10_000, "file": 1_000}
"""Events a second, below which something is badly wrong; what the machine does is in docs/evidence."""


def events() -> list[Event]:
    """Reads of objects from many addresses, and now and then somebody who stops a trail."""
    return [
        call("cloudtrail", "StopLogging", {"name": f"trail-{n}"})
        if n % ONE_IN == 0
        else call(
            "s3",
            "GetObject",
            {"bucketName": "quell-test-data", "key": f"{n:08}"},
            userIdentity=DEPLOY,
            sourceIPAddress=f"198.18.{n % 200}.{n % 250}",
            readOnly=True,
        )
        for n in range(EVENTS)
    ]


def test_a_file_goes_through_at_a_stated_rate() -> None:
    make.account()
    made, ground = events(), Standing()
    begun = time.perf_counter()
    detected = sum(1 for event in made for _ in cloudtrail.detect(event, ground))
    detect = EVENTS / (time.perf_counter() - begun)

    body = gzip.compress(json.dumps({"Records": made}).encode())
    begun = time.perf_counter()
    received = ingest.receive(source="cloudtrail", body=body, by=SYSTEM, at=clock.now(), team=make.team())
    file = EVENTS / (time.perf_counter() - begun)

    assert detected == len(received.alerts) == Alert.objects.count() == EVENTS // ONE_IN
    assert received.passed == EVENTS - EVENTS // ONE_IN
    assert detect > SLOWEST["detect"]
    assert file > SLOWEST["file"]
    figures = {
        "events": EVENTS,
        "alerts": detected,
        "detect_per_second": int(detect),
        "file_per_second": int(file),
    }
    evidence.write("3", "cloudtrail", figures)
