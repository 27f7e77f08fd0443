"""The due work of collecting, in worker-collect: the queues in the settings, and what is pulled."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import connection

from lib import clock, doorbell
from lib.errors import NotFound

if TYPE_CHECKING:  # models are not loaded when this module is read
    from cases.collecting.queue import Poller

log = logging.getLogger(__name__)

QUEUE = "collect"
PULL_SECONDS = 3600.0

_polling = threading.Lock()
_pulling = threading.Lock()
_pollers: dict[str, Poller] = {}
"""The poller of each address: it remembers from one sweep to the next how long to leave AWS alone."""


def register() -> None:
    """Register the sweeps of this package. Called once, when the models are loaded."""
    doorbell.register(doorbell.Sweep(topic="sqs", queue=QUEUE, run=sweep_queues))
    doorbell.register(
        doorbell.Sweep(topic="pull", queue=QUEUE, run=sweep_findings, every_seconds=PULL_SECONDS)
    )


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
    try:
        poller = _poller(url)
        while (turn := poller.careful_turn()).received:
            deleted.append(turn.deleted)
    except (ValueError, NotFound) as unfit:
        log.error("sqs.unfit", extra={"queue": url[:200], "error": str(unfit)})  # noqa: TRY400 - no trace needed
    except Exception:  # one queue must not end the others' turns
        log.exception("sqs.failed", extra={"queue": url[:200]})
    finally:
        connection.close()


def _poller(url: str) -> Poller:
    from cases.collecting.home import home
    from cases.collecting.queue import Poller, Queue

    if url not in _pollers:
        _pollers[url] = Poller(Queue.of(url), team=home(settings.QUELL_SQS_TEAM))
    return _pollers[url]


def sweep_findings() -> int:
    """Ask every account with a READ role that was not asked within the hour; how many findings were missing.

    One at a time in a process. Two processes at once ask twice, and what comes twice is known.
    """
    from cases.collecting import pulling
    from estate.models import Account
    from identity.actors import system

    if not _pulling.acquire(blocking=False):
        return 0
    try:
        accounts = Account.objects.select_related("team").exclude(read_role="").order_by("account_id")
        report = pulling.pull(accounts=accounts, by=system("pull"), at=clock.now(), only_due=True)
        return sum(pull.missing for pull in report.pulls)
    finally:
        _pulling.release()
