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


DEEP = frozenset(
    {
        "ec2.isolate-instance",
        "ec2.snapshot-volumes",
        "iam.deactivate-access-key",
        "iam.deny-role-session",
        "iam.revoke-role-sessions",
        "s3.restrict-bucket",
        "waf.block-address",
    }
)
"""One type of each kind of plan: by default the whole contract is run for these, on both engines."""

LIGHT = frozenset(
    {
        "test_apply_then_undo_restores_the_first_state",
        "test_planning_sends_no_write_and_reads_only_what_it_declares",
        "test_the_same_world_gives_the_same_hash",
    }
)
"""What is run by default for every other type, on the embedded engine."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the breadth of the contract to the exhaustive tier: 64 types, 20 tests, two engines.

    A run that names tests (`-k`), or asks for a tier (`-m exhaustive`, `-m ""`), runs what it asks for.
    """
    if config.getoption("keyword") or config.getoption("markexpr") != "not exhaustive":
        return
    from django.db import connection

    is_embedded = connection.vendor == "sqlite"
    left = [item for item in items if not _is_by_default(item, is_embedded=is_embedded)]
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if item not in set(left)]


def _is_by_default(item: pytest.Item, *, is_embedded: bool) -> bool:
    given = getattr(item, "callspec", None)
    type_id = given.params.get("type_id") if given else None
    if not type_id or item.path.name not in ("test_contract.py", "test_matrix.py") or type_id in DEEP:
        return True
    name = getattr(item, "originalname", item.name)
    return item.get_closest_marker("fast") is not None or (is_embedded and name in LIGHT)
