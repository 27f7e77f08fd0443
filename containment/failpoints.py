"""Points between the executor's commits at which the test suite kills it.

Nothing happens unless `QUELL_FAILPOINT` is set, and settings refuse that outside tests. The value is
`point@step` or `point`; a process reaching it dies by SIGKILL, once per data directory.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

from django.conf import settings

POINTS = ("claimed", "started", "saved", "intent", "called", "recorded", "waited", "applied", "verified")

on_reach: Callable[[str, str], None] | None = None
"""In-process tests put a function here that raises in place of a death."""


def reach(point: str, step: str = "") -> None:
    """Say that a point of the journal is reached."""
    if on_reach is not None:
        on_reach(point, step)
    if settings.QUELL_FAILPOINT and settings.QUELL_FAILPOINT in (point, f"{point}@{step}"):
        _die_once()


def _die_once() -> None:
    scar = settings.QUELL_DATA / f"failpoint-{settings.QUELL_FAILPOINT.replace('/', '_')}"
    try:
        os.close(os.open(scar, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return
    os.kill(os.getpid(), signal.SIGKILL)
