"""What makes the broker a mere doorbell: every worker looks for due work by itself, every 2 seconds.

One thread for each topic of the worker's queue, so that a slow one holds up no other, and one for the
heartbeat. They start before the worker connects to its broker and go on whatever becomes of it. A
round that fails is logged and the next one tries again; a process that dies in the middle of one
leaves only what leases and conditional updates were made for.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable

from django.db import close_old_connections, connection

from lib import clock, doorbell

log = logging.getLogger(__name__)

EVERY_SECONDS = 2.0
PATIENCE_SECONDS = 5.0


class Sweeper:
    """The threads of one process. `start` and `stop` may each be called once."""

    def __init__(self, *, process: str, every: float = EVERY_SECONDS) -> None:
        queue = process.removeprefix("worker-")
        rounds: dict[str, tuple[Callable[[], object], float]] = {"heartbeat": (lambda: beat(process), every)}
        if queue != process:
            rounds |= {
                sweep.topic: (sweep.run, sweep.every_seconds or every) for sweep in doorbell.sweeps(queue)
            }
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._go_on, args=(name, run, pause), name=f"sweep-{name}", daemon=True)
            for name, (run, pause) in rounds.items()
        ]

    @property
    def names(self) -> list[str]:
        """What is being run, as thread names."""
        return [thread.name for thread in self._threads]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Begin no further round, and wait a little for those under way."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(PATIENCE_SECONDS / len(self._threads))

    def _go_on(self, name: str, run: Callable[[], object], every: float) -> None:
        while not self._stopping.is_set():
            try:
                close_old_connections()
                run()
            except Exception:  # the one place where nothing may end the loop: the next round tries again
                log.exception("sweep.failed", extra={"topic": name})
            finally:
                close_old_connections()
            self._stopping.wait(every / clock.rate())
        connection.close()


def beat(process: str) -> None:
    """Write down that this process lives."""
    from soc.models import Heartbeat

    values = {"at": clock.now(), "pid": os.getpid()}
    if not Heartbeat.objects.filter(process=process).update(**values):
        Heartbeat.objects.update_or_create(process=process, defaults=values)


_running: list[Sweeper] = []


def start(*, process: str) -> None:
    """Start the sweeper of this process. `RuntimeError` when one is running."""
    if _running:
        raise RuntimeError("this process sweeps already")
    sweeper = Sweeper(process=process)
    _running.append(sweeper)
    log.info("sweeping", extra={"sweeper": process, "threads": sweeper.names})
    sweeper.start()


def stop() -> None:
    """Stop the sweeper of this process, if there is one."""
    while _running:
        _running.pop().stop()
