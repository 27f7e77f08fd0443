"""Defects to be planted: a pytest plugin that breaks one thing, named by `QUELL_PLANT`.

`pytest -p tests.defects.plants …` runs the suite against a product with that defect. Each takes out
one of the rules that the executor's promise rests on.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

PLANTS: dict[str, Callable[[], None]] = {}


def plant(defect: Callable[[], None]) -> Callable[[], None]:
    """Make a defect known under its name."""
    PLANTS[defect.__name__.replace("_", "-")] = defect
    return defect


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems() -> None:
    """Plant it once Django is set up, and before the test database is made."""
    PLANTS[os.environ["QUELL_PLANT"]]()


@plant
def a_look_skipped() -> None:
    """A call is sent without regard to what was seen."""
    from containment import changing
    from containment.deciding import Decision

    changing.__dict__["decide"] = lambda _: Decision.SEND


@plant
def intent_written_after_the_call() -> None:
    """The intent is committed only with what follows the call."""
    from containment.models import StepState
    from containment.turn import Turn

    put, kept = Turn.put, dict[int, dict[str, Any]]()

    def late(self: Turn, seq: int, **values: Any) -> None:
        if values.get("state") == StepState.INTENT:
            kept[self.rows[seq].pk] = values
            for name, value in values.items():
                setattr(self.rows[seq], name, value)
            return
        put(self, seq, **{**kept.pop(self.rows[seq].pk, {}), **values})

    Turn.put = late  # type: ignore[method-assign]


@plant
def a_lock_not_taken() -> None:
    """An action does not hold what it changes."""
    from containment import locks

    locks.take_own = lambda *_: None


@plant
def a_document_lock_not_taken() -> None:
    """Two actions read and write one document at once."""
    from containment import locks

    locks.take_document = lambda *_: True


@plant
def a_trigger_dropped() -> None:
    """The database lets an audit event be changed."""
    from lib import guards

    del guards._guards["guard_audit_auditevent_update"]


@plant
def the_hash_not_checked() -> None:
    """Whatever plan is stored counts as the approved one."""
    from containment import planning

    real = planning.hash_of
    planning.hash_of = lambda action, plan: action.approved_hash or real(action, plan)


@plant
def the_fence_ignored() -> None:
    """A worker that lost its lease goes on writing."""
    from containment import journal

    journal._held = lambda *_, **__: None


@plant
def settle_ignored() -> None:
    """A call without an answer is repeated at once."""
    from dataclasses import replace

    from containment import changing, deciding

    changing.__dict__["decide"] = lambda look: deciding.decide(replace(look, settle=0))


@plant
def drift_not_checked() -> None:
    """AWS is not read again between approval and start."""
    from containment import planning, starting

    starting._plan_again = lambda action: planning.Planned(plan=action.plan or {}, digest=action.plan_hash)


@plant
def verified_without_a_look() -> None:
    """The answer to the call is taken for the effect."""
    from containment import execution

    execution.__dict__["_differences"] = lambda _: []


@plant
def undo_without_guards() -> None:
    """Undo starts without having looked at everything."""
    from containment import starting

    starting.__dict__["_conflicts"] = lambda _: []


@plant
def an_undo_dropped() -> None:
    """Of several things to put back, the last is forgotten."""
    from containment import undo

    real = undo._restores

    def all_but_one(*given: Any) -> list[Any]:
        made = list(real(*given))
        return made[:-1] or made

    undo.__dict__["_restores"] = all_but_one


@plant
def left_open() -> None:
    """A failure in the middle leaves the interface in the open group."""
    from containment import stopping

    stopping._close = lambda *_: True


@plant
def audit_forgotten() -> None:
    """What the executor does is not in the ledger."""
    from containment import journal

    journal.__dict__["record"] = lambda **_: 0


@plant
def a_session_without_a_policy() -> None:
    """A session may do whatever its role may."""
    from containment.sessions import Sessions

    def bare(_: Sessions, call: Any, base: Any, beside: Any = ()) -> Any:
        del call, beside
        return base

    type.__setattr__(Sessions, "role", bare)


@plant
def a_session_kept_over_a_wait() -> None:
    """What was opened before a pause serves after it."""
    from containment.turn import Turn

    type.__setattr__(Turn, "let_go_of_sessions", lambda _: None)


@plant
def any_call_counted_as_ours() -> None:
    """Whatever names an action of ours is taken for its call."""
    from cases import ground
    from containment import answering

    ground._journals[:] = [lambda call: answering._action_of(call) is not None]


@plant
def a_role_open_to_all_called_sound() -> None:
    """An account is checked with the right external id only."""
    from readiness import entering

    real = entering._try
    refused = entering.Tried(answer=entering.Answer.REFUSED)
    entering.__dict__["_try"] = lambda role, given: (
        real(role, given) if given == role.external_id else refused
    )
