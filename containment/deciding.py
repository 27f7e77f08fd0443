"""The table of CONTRACT §4: from one look to what happens next. Pure.

The first call of a step, its resumption after a death, and its undo all come through `decide`, so
that there is one place where "was it done?" is answered.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from containment.looking import same
from containment.types import Compare, Kind

ATTEMPTS = 3


class Decision(StrEnum):
    """What a look leads to."""

    SEND = "send"
    ALREADY = "already"
    OURS = "ours"
    APPLIED = "applied"
    LOOK_AGAIN = "look again"
    DRIFTED = "drifted"
    UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True)
class Look:
    """One look at one step, and what the journal knows.

    `found` is what AWS says now; `want` what it becomes (`UNRESOLVED` while it hangs on a time not
    yet chosen); `was` everything that counts as "as before"; `older` values of ours on the same
    thing. Ages in seconds; None where there is no such moment.
    """

    kind: Kind
    compare: Compare
    found: Any
    want: Any
    was: tuple[Any, ...]
    older: tuple[Any, ...] = ()
    attempt: int = 0
    is_outstanding: bool = False
    intent_age: float | None = None
    own_age: float | None = None
    settle: int = 30


def decide(look: Look) -> Decision:
    """What to do after a look.

    `is_outstanding`: a call was sent and its outcome is not known (state `intent`); after a refusal
    that was certain it is not, whatever `attempt` says.
    """
    arrived = same(look.found, look.want, look.compare)
    if look.attempt == 0 and not look.is_outstanding:
        return _before_any_call(look, arrived)
    if arrived:
        return Decision.APPLIED
    if _is_as_before(look):
        if look.is_outstanding and _within(look.intent_age, look.settle):
            return Decision.LOOK_AGAIN
        return Decision.UNKNOWN if look.is_outstanding and look.attempt >= ATTEMPTS else Decision.SEND
    if _is_one_of(look.found, look.older, look.compare) and _within(look.intent_age, look.settle):
        return Decision.LOOK_AGAIN
    return Decision.UNKNOWN


def _before_any_call(look: Look, arrived: bool) -> Decision:
    if arrived:
        # Whatever carries our mark is ours, even when we do not remember making it.
        return Decision.OURS if look.kind is Kind.CREATE else Decision.ALREADY
    if _is_as_before(look):
        return Decision.SEND
    if _is_one_of(look.found, look.older, look.compare) and _within(look.own_age, look.settle):
        return Decision.LOOK_AGAIN
    return Decision.DRIFTED


def _is_as_before(look: Look) -> bool:
    if look.kind is Kind.CREATE:
        return not look.found
    return _is_one_of(look.found, look.was, look.compare)


def _is_one_of(found: Any, values: Iterable[Any], compare: Compare) -> bool:
    return any(same(found, value, compare) for value in values)


def _within(age: float | None, seconds: int) -> bool:
    return age is not None and age < seconds
