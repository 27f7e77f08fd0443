"""Argon2 that is never computed by more threads at once than memory was set aside for.

One hash takes 64 MiB for as long as it is computed. Without a bound whoever sends many sign-ins at once
decides how much memory a web process takes.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from django.contrib.auth.hashers import Argon2PasswordHasher

from lib.errors import TooManyRequests

AT_ONCE = 2
"""Hashes that one process computes at the same time: 128 MiB at most."""

PATIENCE = 5.0
"""Seconds after which one more sign-in is turned away rather than queued."""

_places = threading.BoundedSemaphore(AT_ONCE)


class BoundedArgon2(Argon2PasswordHasher):
    """Argon2id with RFC 9106's figures for 64 MiB, two at once in a process.

    Raises `TooManyRequests` when no place gets free in time.
    """

    time_cost = 3
    memory_cost = 64 * 1024
    parallelism = 4

    def encode(self, password: str, salt: str) -> str:
        """A new hash."""
        with _place():
            return super().encode(password, salt)

    def verify(self, password: str, encoded: str) -> bool:
        """Whether the hash is this password's."""
        with _place():
            return super().verify(password, encoded)


@contextmanager
def _place() -> Iterator[None]:
    if not _places.acquire(timeout=PATIENCE):
        raise TooManyRequests("Too many people sign in at once. Try again in a moment.", retry_after=2)
    try:
        yield
    finally:
        _places.release()
