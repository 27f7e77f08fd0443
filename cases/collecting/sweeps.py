"""The due work of collecting, in worker-collect: the queues in the settings, and what is pulled."""

from __future__ import annotations

import logging
import threading

from django.conf import settings
from django.db import connection

from lib import doorbell
from lib.errors import NotFound

log = logging.getLogger(__name__)

QUEUE = "collect"

_polling = threading.Lock()


def register() -> None:
    """Register the sweeps of this package. Called once, when the models are loaded."""
    doorbell.register(doorbell.Sweep(topic="sqs", queue=QUEUE, run=sweep_queues))


def sweep_queues() -> int:
    """Take one turn at each queue in `QUELL_SQS_QUEUES`; how many messages are gone from them.

    A turn waits up to 20 s for a message, so there is one at a time in a process: whoever comes while
    it lasts, such as a bell's task, does nothing. Each queue has a thread of its own.
    """
    if not settings.QUELL_SQS_QUEUES or not _polling.acquire(blocking=False):
        return 0
    try:
        deleted: list[int] = []
        turns = [
            threading.Thread(target=_turns, args=(url, deleted), name=f"sqs-{number}", daemon=True)
            for number, url in enumerate(settings.QUELL_SQS_QUEUES)
        ]
        for turn in turns:
            turn.start()
        for turn in turns:
            turn.join()
        return sum(deleted)
    finally:
        _polling.release()


def _turns(url: str, deleted: list[int]) -> None:
    """Turns at one queue until it gives nothing more."""
    from cases.collecting.home import home
    from cases.collecting.queue import Poller, Queue

    try:
        poller = Poller(Queue.of(url), team=home(settings.QUELL_SQS_TEAM))
        while (turn := poller.careful_turn()).received:
            deleted.append(turn.deleted)
    except (ValueError, NotFound) as unfit:
        log.error("sqs.unfit", extra={"queue": url[:200], "error": str(unfit)})  # noqa: TRY400 - no trace needed
    except Exception:  # one queue must not end the others' turns
        log.exception("sqs.failed", extra={"queue": url[:200]})
    finally:
        connection.close()
