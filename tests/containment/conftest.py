from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from pytest_django.fixtures import Settings

from cases.models import Incident
from lib import aws, clock
from lib.clock import ManualClock
from simulator.server import Simulator
from tests import make
from tests.containment.world import START, Wire, World, accounts_of


@pytest.fixture(scope="package")
def simulator() -> Iterator[Simulator]:
    running = Simulator().start()
    hub = running.estate["hub"]
    given = {
        "AWS_ENDPOINT_URL": running.url,
        "AWS_ACCESS_KEY_ID": hub["access_key_id"],
        "AWS_SECRET_ACCESS_KEY": hub["secret_access_key"],
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    before = {name: os.environ.get(name) for name in given}
    os.environ.update(given)
    aws._clients.clear()  # they are bound to the address of whichever simulated AWS was there before
    yield running
    for name, value in before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    running.stop()


@pytest.fixture
def world(db: None, simulator: Simulator, settings: Settings) -> Iterator[World]:
    """A fresh simulated AWS, an incident, an analyst who asks and a lead who approves; write-back is on."""
    settings.QUELL_WRITE_BACK = True
    with clock.using(ManualClock(START)) as manual:
        assert isinstance(manual, ManualClock)
        simulator.reset()
        aws.forget_sessions()
        accounts_of(simulator.estate)
        incident: Incident = make.incident()
        wire = Wire(clock=manual)
        with wire.between():
            yield World(
                simulator=simulator,
                clock=manual,
                wire=wire,
                incident=incident,
                asks=make.person("responder", login="asks"),
                approves=make.person("lead", login="approves"),
                also_approves=make.person("lead", login="also-approves"),
            )
        aws.forget_sessions()
