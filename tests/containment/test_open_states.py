"""An interface in the group that lets everything pass is never left there in silence (CONTRACT §6)."""

from __future__ import annotations

from datetime import timedelta

import pytest

from cases.models import Action
from lib import clock
from lib.aws import NoAnswer
from tests.containment.subjects import SUBJECTS
from tests.containment.subjects.first import groups_of
from tests.containment.world import World

HOST = "ec2.isolate-instance"
FIRST_MOVE = 6
"""The number of the first interface's call: two groups and three rules come before it."""


def isolate_while_blind(world: World, fault: str, *, seconds: float) -> Action:
    """Apply, where the first move's answer is lost and interfaces cannot be read for a while after it."""
    blind_until = [clock.now()]

    def before_write(number: int, _: str) -> None:
        if number == FIRST_MOVE:
            blind_until[0] = clock.now() + timedelta(seconds=seconds)

    def before_read(name: str) -> None:
        if name == "ec2:DescribeNetworkInterfaces" and clock.now() < blind_until[0]:
            raise NoAnswer("read time-out")

    world.wire.before_write, world.wire.before_read = before_write, before_read
    world.wire.faults[FIRST_MOVE] = fault
    action = world.apply(HOST, *SUBJECTS[HOST].aim(world))
    world.wire.before_write = world.wire.before_read = None
    return action


def group(world: World, action: Action, which: str) -> str:
    row = next(r for r in world.steps(action) if r.name.startswith(f"{which}-vpc"))
    assert row.result
    return str(row.result["value"])


def first_interface(world: World, action: Action) -> str:
    name = next(r.name for r in world.steps(action) if r.name.startswith("untrack-eni"))
    return name.removeprefix("untrack-")


@pytest.mark.parametrize("fault", ["cut", "lost"])
def test_an_opening_that_nobody_knows_of_is_shut_as_soon_as_aws_can_be_read(world: World, fault: str) -> None:
    before = groups_of(world)
    action = isolate_while_blind(world, fault, seconds=150)
    eni, isolated = first_interface(world, action), group(world, action, "isolate")

    now = groups_of(world)

    assert action.status in ("unknown", "partial")
    assert "LEFT OPEN" not in action.note
    # Where the call was never done, there is nothing to shut, and the interface is as it was.
    assert now[eni] == ([isolated] if fault == "cut" else before[eni])
    assert [now[other] for other in now if other != eni] == [[isolated], [isolated]]
    back = world.revert(action)
    assert back.status == "verified", back.note
    assert groups_of(world) == before


def test_an_opening_that_cannot_be_seen_at_the_end_is_said_to_be_left_open(world: World) -> None:
    action = isolate_while_blind(world, "cut", seconds=900)

    assert action.status == "unknown"
    assert f"LEFT OPEN ec2:eni/{first_interface(world, action)}/groups" in action.note
