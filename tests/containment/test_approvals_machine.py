"""The two-person rule under whatever order of events: none is found that breaks it, and planted ones are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from typing import Any
from unittest import mock

import pytest
from django.db import connection
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from containment import approvals, glass, starting, voiding
from containment.planning import Planned
from identity.actors import Actor
from tests import evidence
from tests.containment.approval_machine import Approvals, Violation

pytestmark = pytest.mark.django_db
SEED = 20261124


def run(*, examples: int, steps: int, start: int = SEED) -> tuple[int, int]:
    """How many steps were taken and how many actions carried out."""

    class Machine(Approvals):
        pass

    chosen = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        phases=(Phase.generate,),
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    seed(start)(Machine)
    run_state_machine_as_test(Machine, settings=chosen)
    return Machine.steps, Machine.executions


def test_no_order_of_events_carries_out_what_was_not_approved() -> None:
    steps, executions = run(examples=15, steps=40)

    assert steps >= 300
    assert executions >= 3, "the machine has to come to where it could go wrong"


@pytest.mark.exhaustive
def test_fifty_thousand_steps_find_no_violation() -> None:
    steps = executions = runs = 0
    while steps < 50_000:
        more, done = run(examples=200, steps=50, start=SEED + runs)
        steps, executions, runs = steps + more, executions + done, runs + 1

    assert executions > 500
    evidence.write(
        "4",
        "approvals_machine",
        {"steps": steps, "executions": executions, "violations": 0, "seed": SEED, "runs": runs},
    )


# --- planted defects -------------------------------------------------------------------------------


def _without_trigger(name: str) -> None:
    """Within the test's transaction, which puts it back."""
    on = ' ON "containment_approval"' if connection.vendor == "postgresql" else ""
    with connection.cursor() as cursor:
        cursor.execute(f'DROP TRIGGER "guard_containment_approval_{name}"{on}')


@contextmanager
def _self_approval() -> Iterator[None]:
    """Who asked may approve: neither the code nor the database compares persons."""
    _without_trigger("four_eyes")
    real = approvals._objection

    def objection(action: Any, by: Actor) -> str:
        said = real(action, by)
        return "" if said.startswith("You asked") else said

    def persons(action: Any) -> int:
        return voiding.live(action, "approve").count()

    with (
        mock.patch.object(approvals, "_objection", objection),
        mock.patch.object(approvals, "_standing_persons", persons),
        mock.patch.object(approvals, "_still_may", return_value=True),
    ):
        yield


@contextmanager
def _any_hash() -> Iterator[None]:
    """The hash that was read is not compared with the present one."""
    with mock.patch.object(
        approvals, "demand_waiting", lambda action, _hash, _at: approvals._demand_status(action)
    ):
        yield


@contextmanager
def _no_drift() -> Iterator[None]:
    """AWS is not looked at again before the start."""
    again = lambda action: Planned(plan=action.plan or {}, digest=action.plan_hash)  # noqa: E731
    with mock.patch.object(starting, "_plan_again", again):
        yield


@contextmanager
def _no_second_look_at_roles() -> Iterator[None]:
    """Roles are asked about when approving, and never again."""
    with mock.patch.object(approvals, "_still_may", return_value=True):
        yield


@contextmanager
def _revoking_does_nothing() -> Iterator[None]:
    """An approval that is taken back counts on."""
    with (
        mock.patch.object(voiding, "void", return_value=0),
        mock.patch.object(approvals, "_ask_again", return_value=None),
    ):
        yield


@contextmanager
def _any_sign_in() -> Iterator[None]:
    """It does not matter when the person signed in."""
    real = approvals.approve

    def approve(**given: Any) -> Any:
        return real(**{**given, "is_fresh": True})

    with mock.patch.object(approvals, "approve", approve):
        yield


@contextmanager
def _approvals_last_for_ever() -> Iterator[None]:
    """An approved action may start whenever the worker comes."""
    with mock.patch.object(approvals, "LASTS", timedelta(days=365)):
        yield


@contextmanager
def _glass_without_reason() -> Iterator[None]:
    """Break-glass asks for no reason, and the database neither."""
    _without_trigger("glass")
    with mock.patch.object(glass, "SHORTEST_REASON", 0):
        yield


PLANTED = {
    "self-approval": _self_approval,
    "any hash": _any_hash,
    "no drift": _no_drift,
    "roles asked about once": _no_second_look_at_roles,
    "revoking does nothing": _revoking_does_nothing,
    "any sign-in": _any_sign_in,
    "approvals last for ever": _approvals_last_for_ever,
    "break-glass without a reason": _glass_without_reason,
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_defect_is_found(name: str) -> None:
    found = ""
    with ExitStack() as stack:
        stack.enter_context(PLANTED[name]())
        for attempt in range(6):
            try:
                run(examples=40, steps=50, start=SEED + attempt)
            except Violation as violation:
                found = str(violation)
                break
    assert found, f"{name} was planted, and not found"
