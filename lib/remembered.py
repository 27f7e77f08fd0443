"""What was looked up a moment ago: a memory of one process, short enough that nobody has to clear it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Generic, TypeVar
from weakref import WeakSet

T = TypeVar("T")

_all: WeakSet[Remembered[Any]] = WeakSet()


def forget_all() -> None:
    """Look everything up again, whoever remembers it. For tests, whose databases change in a moment."""
    for one in list(_all):
        one.forget()


class Remembered(Generic[T]):
    """Values by name, each believed for `seconds`. Safe between threads; holds `most` at most."""

    def __init__(self, *, seconds: float = 1.0, most: int = 10_000) -> None:
        self._seconds, self._most = seconds, most
        self._found: dict[str, tuple[float, T]] = {}
        self._lock = threading.Lock()
        _all.add(self)

    def get(self, name: str, find: Callable[[], T]) -> T:
        """What `find` gave a moment ago, or gives now."""
        now = time.monotonic()
        known = self._found.get(name)
        if known is not None and now < known[0]:
            return known[1]
        found = find()
        with self._lock:
            if len(self._found) >= self._most:
                self._found.clear()
            self._found[name] = (now + self._seconds, found)
        return found

    def forget(self) -> None:
        """Look everything up again."""
        with self._lock:
            self._found.clear()
