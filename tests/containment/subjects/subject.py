"""What a contract test has to know about one action type."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.containment.world import World


@dataclass(frozen=True, kw_only=True)
class Subject:
    """How one type is tried.

    `arrange` makes, as the account's administrator, whatever the estate does not have; it runs first on
    every fresh world. `aim` gives target and parameters and changes nothing; `look` gives the state of
    everything the type may change, without anything that differs from run to run (ids of ours, times).

    `disturb` is a third party's edit of the very thing the type changed, `drift` one that makes an
    approved plan out of date, `unrelated` one beside it that has to survive apply and undo (None: there
    is nothing beside it). `already` brings the world into the state that the action would bring about.

    `two_valued`: the thing knows only two values, so that a third party's edit after us is what undo
    would have made, and is no conflict. `meets_itself`: a second action on the same target changes the
    same thing and is refused (False: each makes an object or statement of its own). `nothing_left`: words
    of the refusal where, after a first action, there is nothing any more that a second could be planned
    for, so that it never comes to the lock.
    `collects`: it only reads and keeps, so that its plan has no call and no difference.
    `restored`: the part of `look` that undo brings back, where evidence that was made stays (None: all).
    `where` says on what it was tried: `simulator`, or `stub` with the reason in `why` when the
    operations are ours (`simulator.additions`), checked against botocore's model and not moto's.
    """

    aim: Callable[[World], tuple[Mapping[str, Any], Mapping[str, Any]]]
    look: Callable[[World], Any]
    arrange: Callable[[World], None] | None = None
    disturb: Callable[[World], None] | None = None
    unrelated: Callable[[World], None] | None = None
    drift: Callable[[World], None] | None = None
    already: Callable[[World], None] | None = None
    has_undo: bool = True
    two_valued: bool = False
    meets_itself: bool = True
    nothing_left: str = ""
    restored: Callable[[Any], Any] | None = None
    collects: bool = False
    where: str = "simulator"
    why: str = ""
