"""The broker is a doorbell: without it, and without beat, everything still gets done."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_django.fixtures import Settings

from launcher import layout, ports, processes, surroundings, valkey
from soc import celery
from tests.containment.subjects import SUBJECTS
from tests.faults.site import Site, fresh, until

pytestmark = pytest.mark.slow

KEY = "iam.deactivate-access-key"


class Valkey:
    """A broker that may die and come back at the same address."""

    def __init__(self, directory: Path) -> None:
        self._directory, self._port, self._password = directory, ports.free(), secrets.token_urlsafe(24)
        self.url = valkey.url(port=self._port, password=self._password)
        self.start()

    def start(self) -> None:
        server = valkey.find_server(layout.python_of(layout.VENV))
        log = self._directory / "log"
        self._process = processes.spawn(
            valkey.command(server, directory=self._directory, port=self._port, password=self._password),
            environment={"PATH": os.defpath},
            log=log,
            directory=self._directory,
        )
        until(lambda: valkey.answers(port=self._port, password=self._password), why=log.read_text)

    def kill(self) -> None:
        processes.kill_group(self._process)


@pytest.fixture
def own_broker(tmp_path: Path) -> Iterator[Valkey]:
    running = Valkey(tmp_path)
    yield running
    running.kill()


@pytest.mark.parametrize(
    "type_id",
    [KEY, *(pytest.param(other, marks=pytest.mark.exhaustive) for other in sorted(SUBJECTS) if other != KEY)],
)
def test_no_broker_and_no_beat_for_the_whole_run(site: Site, type_id: str) -> None:
    """The worker's own sweep plans, carries out, verifies, looks again and undoes."""
    subject = SUBJECTS[type_id]
    before = subject.look(site.world)
    worker = site.worker(broker=surroundings.NOWHERE)

    action = site.propose(type_id)
    assert site.see_through(action) == []

    assert fresh(action).status == "verified", site.why(action)
    assert worker.told("Error 111") or worker.told("Cannot connect"), "it was to find no broker"
    site.until(lambda: fresh(action).confirmed_at is not None, action, seconds=30)
    if subject.has_undo:
        back = site.ask_to_undo(action)
        assert site.see_through(back) == []
        assert fresh(action).status == "reverted", site.why(back)
        assert subject.look(site.world) == before


@pytest.mark.exhaustive
def test_a_broker_that_dies_and_comes_back(site: Site, own_broker: Valkey, settings: Settings) -> None:
    import redis

    worker = site.worker(broker=own_broker.url)
    action = site.propose(KEY)
    site.planned(action)
    own_broker.kill()
    site.approve(action)
    assert site.see_through(action) == []
    assert fresh(action).status == "verified", site.why(action)
    own_broker.start()

    settings.CELERY_BROKER_URL = own_broker.url
    celery._connections.cache_clear()
    try:
        celery.publish("actions", "containment")
    finally:
        celery._connections.cache_clear()
    with redis.Redis.from_url(own_broker.url) as client:
        site.until(lambda: client.llen("quell:containment") == 0, action, seconds=60)
    back = site.ask_to_undo(action)
    assert site.see_through(back) == []
    assert fresh(action).status == "reverted", site.why(back)
    assert not worker.is_dead
    time.sleep(0.1)
