"""/healthz, /readyz and /metrics."""

from __future__ import annotations

import os
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from pytest_django.fixtures import Settings

from lib import clock, guards
from soc import health
from soc.models import Heartbeat
from tests import make

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _forget() -> None:
    health._remembered = health._Remembered()


@pytest.fixture
def all_alive() -> None:
    for process in (*health.WORKERS, "beat"):
        Heartbeat.objects.create(process=process, at=clock.now(), pid=os.getpid())


def test_alive() -> None:
    response = Client().get("/healthz")
    assert (response.status_code, response.json()) == (200, {"status": "ok"})


def test_ready_without_a_broker(settings: Settings, all_alive: None) -> None:
    settings.QUELL_TESTING = False
    settings.CELERY_BROKER_URL = "redis://127.0.0.1:1/0"
    response = Client().get("/readyz")
    assert response.status_code == 200
    assert response.json() == {
        "ready": True,
        "database": "ok",
        "migrations": "ok",
        "guards": "ok",
        "broker": "degraded",
        "worker-general": "ok",
        "worker-collect": "ok",
        "worker-containment": "ok",
        "beat": "ok",
        "ledger": "unproved",
    }


def test_ready_with_a_broker(settings: Settings, all_alive: None, broker: str) -> None:
    settings.CELERY_BROKER_URL = broker
    assert Client().get("/readyz").json()["broker"] == "ok"


@pytest.mark.parametrize(("process", "status"), [("worker-containment", 503), ("beat", 200)])
def test_a_silent_process(settings: Settings, all_alive: None, process: str, status: int) -> None:
    settings.QUELL_TESTING = False
    Heartbeat.objects.filter(process=process).update(at=clock.now() - timedelta(seconds=31))
    response = Client().get("/readyz")
    assert response.status_code == status
    assert response.json()[process] == "silent"


def test_a_dropped_guard_is_noticed() -> None:
    guard = next(iter(guards.registered()))
    with connection.cursor() as cursor:
        cursor.execute(guards._drop(connection.vendor, guard))
    response = Client().get("/readyz")
    assert response.status_code == 503
    assert response.json()["guards"] == {"missing": [guard.trigger]}
    guards.install()
    assert Client().get("/readyz").status_code == 200


def test_prometheus_counts_and_names_nobody() -> None:
    make.alert(title="Secret of the blue team")
    make.alert(status="dismissed", due_at=clock.now() - timedelta(minutes=10))
    Heartbeat.objects.create(process="beat", at=clock.now() - timedelta(seconds=5), pid=1)
    response = Client().get("/metrics")
    text = response.content.decode()
    assert response.headers["Content-Type"].startswith("text/plain")
    assert 'quell_alerts{status="new"} 1.0' in text
    assert 'quell_alerts{status="dismissed"} 1.0' in text
    assert 'quell_alerts{status="escalated"} 0.0' in text
    assert "quell_actions_unknown 0.0" in text
    oldest = next(
        line for line in text.splitlines() if line.startswith('quell_oldest_due_seconds{row="alert"}')
    )
    assert 600 <= float(oldest.split()[1]) < 660
    assert "blue" not in text
