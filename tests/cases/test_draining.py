"""How fast a backlog of due alerts drains, with what a large team has around it (F13 of the fault list)."""

from __future__ import annotations

import json
import time
from datetime import timedelta
from typing import Any

import pytest

from cases import ingest, sweeps
from cases.models import Alert
from lib import clock
from tests import evidence, make
from tests.cases.test_ingest import finding, program

pytestmark = [pytest.mark.django_db, pytest.mark.exhaustive]

BACKLOG = 5_000
RULES = 20
SLOWEST = 100
"""Alerts a second, below which something is badly wrong; what the machine does is in docs/evidence."""


def document(number: int) -> dict[str, Any]:
    """A finding of its own, one of fifty addresses, one of two hundred keys."""
    told = finding(
        id=f"{number:032x}", arn=f"arn:aws:guardduty:eu-west-1:111122223333:detector/d/finding/{number:032x}"
    )
    told["resource"]["accessKeyDetails"]["accessKeyId"] = f"AKIAQUELLTESTKEY{number % 200:04d}"
    told["service"]["action"]["awsApiCallAction"]["remoteIpDetails"]["ipAddressV4"] = (
        f"203.0.113.{number % 50}"
    )
    return told


def test_a_backlog_drains_at_a_stated_rate() -> None:
    by, at = program(), clock.now() - timedelta(hours=2)
    for start in range(0, BACKLOG, 500):
        body = json.dumps([document(number) for number in range(start, start + 500)]).encode()
        ingest.receive(source="guardduty", body=body, by=by, at=at)
    for number in range(RULES):
        make.rule(name=f"rule {number}", is_on=True, min_severity=96 + number % 4)
    assert Alert.objects.filter(due_at__isnull=False).count() == BACKLOG

    begun = time.perf_counter()
    done = sweeps.sweep_alerts()
    seconds = time.perf_counter() - begun

    assert done == BACKLOG
    assert not Alert.objects.filter(due_at__isnull=False).exists()
    assert not Alert.objects.filter(context={}).exists()
    evidence.write("3", "backlog", {"n": BACKLOG, "rules": RULES, "per_second": round(BACKLOG / seconds)})
    assert BACKLOG / seconds > SLOWEST
