"""The only clock of the product.

Everything that asks for the time or waits goes through here, so that tests can stand in another
time and so that `QUELL_CLOCK_RATE` can speed up leases, settle times, polls and the simulator's
delays in every process alike. The rate is refused outside tests (see `soc.checks`).
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """A source of time."""

    def now(self) -> datetime:
        """The present moment, timezone-aware, in UTC."""

    def sleep(self, seconds: float) -> None:
        """Let that many seconds of this clock pass."""


class SystemClock:
    """The machine's clock, optionally running `rate` times as fast since it was made."""

    def __init__(self, *, rate: float = 1.0) -> None:
        if rate <= 0:
            raise ValueError("a clock needs a rate above zero")
        self.rate = rate
        # Every process of one test run must agree on the time, so the origin is shared through
        # the environment rather than taken at import.
        self._origin = float(os.environ.get("QUELL_CLOCK_ORIGIN", "0")) or time.time()

    def now(self) -> datetime:
        real = time.time()
        if self.rate != 1.0:
            real = self._origin + (real - self._origin) * self.rate
        return datetime.fromtimestamp(real, UTC)

    def sleep(self, seconds: float) -> None:
        time.sleep(max(0.0, seconds) / self.rate)


class ManualClock:
    """A clock that moves only when told to; sleeping moves it."""

    def __init__(self, at: datetime) -> None:
        self._at = at
        self._lock = threading.Lock()

    def now(self) -> datetime:
        with self._lock:
            return self._at

    def sleep(self, seconds: float) -> None:
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        """Move forward by that many seconds; never backwards."""
        with self._lock:
            self._at += timedelta(seconds=max(0.0, seconds))

    def move_to(self, at: datetime) -> None:
        """Stand at another moment, which may lie in the past."""
        with self._lock:
            self._at = at


_clock: Clock = SystemClock(rate=float(os.environ.get("QUELL_CLOCK_RATE", "1") or "1"))


def now() -> datetime:
    """The present moment, timezone-aware, in UTC."""
    return _clock.now()


def sleep(seconds: float) -> None:
    """Wait that many seconds of the product's clock."""
    _clock.sleep(seconds)


def rate() -> float:
    """How many times faster than the machine's clock the product's runs; 1.0 in production."""
    return _clock.rate if isinstance(_clock, SystemClock) else 1.0


@contextmanager
def using(clock: Clock) -> Iterator[Clock]:
    """Put another clock in place for the length of a `with` block. For tests."""
    global _clock  # noqa: PLW0603 - one clock for the process is the point
    before, _clock = _clock, clock
    try:
        yield clock
    finally:
        _clock = before
