"""The database is the queue: work is done with no broker at all, and a bell never costs much."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import DatabaseError
from kombu.exceptions import OperationalError
from pytest_django.fixtures import Settings

from cases.models import Incident, TriageRule
from lib import clock, doorbell
from soc import celery, sweeping
from soc.models import Heartbeat
from tests import make

ROOT = Path(__file__).resolve().parent.parent.parent
NOWHERE = "redis://127.0.0.1:1/0"


@pytest.fixture
def black_hole() -> Iterator[str]:
    """A port that takes connections and never says a word."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(20)
        yield f"redis://127.0.0.1:{server.getsockname()[1]}/0"


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("program", ["worker-general", "beat"])
def test_a_process_is_alive_before_it_has_a_broker(program: str, tmp_path: Path) -> None:
    arguments = {
        "worker-general": ["worker", "-Q", "general", "-P", "threads", "-c", "1"],
        "beat": ["beat", "--schedule", str(tmp_path / "schedule")],
    }[program]
    process = start(arguments, QUELL_PROCESS=program, REDIS_URL=NOWHERE)
    try:
        assert wait_for(lambda: Heartbeat.objects.filter(process=program, pid=process.pid).exists(), process)
    finally:
        process.kill()
        process.communicate()


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_work_is_done_with_no_broker_at_all_and_a_term_ends_it() -> None:
    make.account()
    TriageRule.objects.create(
        name="severe", team=make.team(), min_severity=70, window=timedelta(hours=1), is_on=True
    )
    alert = make.alert(severity=80, due_at=clock.now())
    process = start(
        ["worker", "-Q", "general", "-P", "threads", "-c", "1"],
        QUELL_PROCESS="worker-general",
        REDIS_URL=NOWHERE,
    )
    try:
        assert wait_for(lambda: Incident.objects.filter(alerts=alert).exists(), process)
        process.terminate()
        process.communicate(timeout=20)
    finally:
        process.kill()
        process.communicate()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({"QUELL_PROCESS": "worker-general", "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE"}, "quell.E002"),
        ({"QUELL_PROCESS": ""}, "QUELL_PROCESS must say"),
    ],
)
def test_an_unfit_worker_does_not_start(environment: dict[str, str], says: str) -> None:
    process = start(["worker", "-P", "threads", "-c", "1"], REDIS_URL=NOWHERE, **environment)
    try:
        output, _ = process.communicate(timeout=30)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode != 0
    assert says in output.decode()


def start(arguments: list[str], **environment: str) -> subprocess.Popen[bytes]:
    """A real Celery process on the test's own database."""
    from django.db import connection

    name = str(connection.settings_dict["NAME"])
    url = f"sqlite:///{name}"
    if connection.vendor == "postgresql":
        url = os.environ["DATABASE_URL"].rsplit("/", 1)[0] + f"/{name}"
        if "?" in os.environ["DATABASE_URL"]:
            url += "?" + os.environ["DATABASE_URL"].split("?", 1)[1]
    kept = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
    return subprocess.Popen(
        [sys.executable, "-m", "celery", "-A", "soc", *arguments],
        cwd=ROOT,
        env={**kept, "QUELL_TESTING": "1", "DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "soc.settings"}
        | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[bytes], *, seconds: float = 30) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        if condition():
            return True
        time.sleep(0.1)
    return False


@pytest.mark.django_db(transaction=True)
def test_a_round_that_fails_does_not_end_the_sweeping_and_slows_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    failing, going, blocked = [0], [0], threading.Event()

    def fails() -> int:
        failing[0] += 1
        raise DatabaseError("the disk is full")

    def works() -> int:
        going[0] += 1
        return 1

    known = {
        name: doorbell.Sweep(topic=name, queue="general", run=run)
        for name, run in {"fails": fails, "works": works, "hangs": lambda: int(blocked.wait(20))}.items()
    }
    monkeypatch.setattr(doorbell, "_sweeps", known)
    sweeper = sweeping.Sweeper(process="worker-general", every=0.02)
    assert sweeper.names == ["sweep-heartbeat", "sweep-fails", "sweep-hangs", "sweep-works"]
    sweeper.start()
    try:
        deadline = time.monotonic() + 10
        while (failing[0] < 3 or going[0] < 3) and time.monotonic() < deadline:
            time.sleep(0.02)
    finally:
        blocked.set()
        sweeper.stop()
    assert failing[0] >= 3
    assert going[0] >= 3
    assert Heartbeat.objects.get(process="worker-general").pid == os.getpid()
    before = going[0]
    time.sleep(0.1)
    assert going[0] == before, "a stopped sweeper begins no further round"


@pytest.mark.django_db
@pytest.mark.fast
def test_one_row_per_process() -> None:
    sweeping.beat("beat")
    first = Heartbeat.objects.get().at
    sweeping.beat("beat")
    assert Heartbeat.objects.get().at >= first
    assert Heartbeat.objects.get().at <= clock.now()


@pytest.mark.parametrize("broker", ["refusing", "silent"])
def test_a_bell_without_a_broker_gives_up_within_about_a_second(
    broker: str, black_hole: str, settings: Settings
) -> None:
    settings.CELERY_BROKER_URL = black_hole if broker == "silent" else NOWHERE
    celery._connections.cache_clear()
    try:
        begun = time.monotonic()
        with pytest.raises(OperationalError):
            celery.publish("anything", "general")
        assert time.monotonic() - begun < 1.5
    finally:
        celery._connections.cache_clear()


def test_after_a_failure_bells_are_dropped_at_no_cost(
    black_hole: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.CELERY_BROKER_URL = black_hole
    monkeypatch.setattr(doorbell, "_quiet_until", 0.0)
    monkeypatch.setattr(doorbell, "_sweeps", {"t": doorbell.Sweep(topic="t", queue="general", run=lambda: 0)})
    celery._connections.cache_clear()
    try:
        doorbell.ring_now("t")
        begun = time.monotonic()
        for _ in range(1000):
            doorbell.ring_now("t")
        assert time.monotonic() - begun < 0.1
    finally:
        celery._connections.cache_clear()
        monkeypatch.setattr(doorbell, "_quiet_until", 0.0)


def test_a_thousand_bells_at_once_are_two(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first at once and one more afterwards, so that what came last is looked at as well."""
    sent: list[float] = []
    monkeypatch.setattr(doorbell, "_quiet_until", 0.0)
    monkeypatch.setattr(doorbell, "_rung", {})
    monkeypatch.setattr(doorbell, "_publish", lambda *_: sent.append(time.monotonic()))
    monkeypatch.setattr(doorbell, "_sweeps", {"t": doorbell.Sweep(topic="t", queue="general", run=lambda: 0)})

    begun = time.monotonic()
    for _ in range(1000):
        doorbell.ring_now("t")
    last = time.monotonic()
    time.sleep(doorbell.BETWEEN_SECONDS * 3)

    assert last - begun < doorbell.BETWEEN_SECONDS, "this machine is too slow for the test to mean anything"
    assert len(sent) == 2
    assert sent[0] < last <= sent[1]


def test_a_bell_reaches_a_worker(broker: str, settings: Settings) -> None:
    import redis

    settings.CELERY_BROKER_URL = broker
    celery._connections.cache_clear()
    try:
        for _ in range(20):  # the same few connections are used again
            celery.publish("anything", "bells-of-a-test")
    finally:
        celery._connections.cache_clear()
    with redis.Redis.from_url(broker) as client:
        assert client.llen("quell:bells-of-a-test") == 20
        client.delete("quell:bells-of-a-test")
