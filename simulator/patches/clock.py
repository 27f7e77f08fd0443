"""moto's times come from the product's clock, and from the journal while it is replayed.

AWS has one time. Without this a sped-up test clock and moto's would disagree about whether a
session is older than a cutoff, and a replayed role would look as if it had been created today.
"""

# ruff: noqa: SLF001  # reaching into moto is what a patch does
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from moto.core import utils as moto_utils

from lib import clock

_replayed_at: datetime | None = None


def now() -> datetime:
    """The simulated AWS's present moment, timezone-aware."""
    return _replayed_at or clock.now()


@contextmanager
def standing_at(moment: datetime | None) -> Iterator[None]:
    """Let moto believe it is `moment`; None is the real present."""
    global _replayed_at  # noqa: PLW0603  # the one time of the one moto of this process
    before, _replayed_at = _replayed_at, moment
    try:
        yield
    finally:
        _replayed_at = before


def _naive_now() -> datetime:
    return now().astimezone(UTC).replace(tzinfo=None)


def apply() -> None:
    """Change `moto.core.utils.utcnow` in place: hundreds of moto modules import it by name."""
    target: Any = moto_utils
    target._quell_naive_now = _naive_now

    def utcnow():  # type: ignore[no-untyped-def]  # its code runs with moto's globals
        return _quell_naive_now()  # type: ignore[name-defined]  # noqa: F821

    target.utcnow.__code__ = utcnow.__code__
