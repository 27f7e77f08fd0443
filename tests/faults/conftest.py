"""Real processes for every test of this folder."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest

from launcher import surroundings
from launcher.datadir import DataDirectory
from lib import clock
from lib.clock import SystemClock
from tests import make
from tests.containment.world import accounts_of
from tests.faults.site import RATE, FarSimulator, Site


@pytest.fixture(scope="session")
def origin() -> Iterator[None]:
    """One origin for the fast clocks of all processes."""
    os.environ["QUELL_CLOCK_ORIGIN"] = str(time.time())
    yield
    del os.environ["QUELL_CLOCK_ORIGIN"]


@pytest.fixture(scope="session")
def far(origin: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FarSimulator]:
    """A simulated AWS in a process of its own."""
    environment = surroundings.of_simulator(surroundings.plain())
    simulator = FarSimulator(
        data=tmp_path_factory.mktemp("simulator"),
        environment={**environment, "QUELL_CLOCK_RATE": str(RATE), "PYTHONUNBUFFERED": "1"},
    )
    yield simulator
    simulator.stop()


@pytest.fixture
def site(
    transactional_db: None, far: FarSimulator, broker: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    """A fresh estate and database; every worker that a test starts is gone before the tables are emptied."""
    data = DataDirectory(tmp_path_factory.mktemp("site") / "data")
    data.open_for_command()
    with clock.using(SystemClock(rate=RATE)):
        far.reset()
        accounts_of(far.estate)
        running = Site(
            far=far,
            data=data,
            broker=broker,
            incident=make.incident(),
            asks=make.person("responder", login="asks"),
            approves=make.person("lead", login="approves"),
        )
        try:
            yield running
        finally:
            running.close()
            far.faults()
