"""Doorbells: "there may be work for you", sent through the broker, never carrying the work.

The database is the queue of record. Every worker sweeps its due rows by itself (`soc.sweeping`);
a bell only makes it look sooner. So a bell may be lost, doubled or late, and ringing never fails
and never takes long: after a broker failed once, bells are dropped for a few seconds, and a process
that has rung a moment ago rings once more at the end of that moment, however often it is asked to.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from django.db import transaction

log = logging.getLogger(__name__)

QUIET_AFTER_FAILURE_SECONDS = 5.0
BETWEEN_SECONDS = 0.05
"""How long at least between two bells of one topic and process: a thousand alerts a second need few."""


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """A function that does all due work of one topic and says how many rows it moved.

    `every_seconds` is how often its worker looks by itself, where that is not as often as the others.
    `hears` are other bells that ring it as well: those of packages below, which do not know of it.
    """

    topic: str
    queue: str
    run: Callable[[], int]
    every_seconds: float | None = None
    hears: tuple[str, ...] = ()


_sweeps: dict[str, Sweep] = {}
_publish: Callable[[str, str], None] | None = None
_quiet_until = 0.0
_rung: dict[str, float] = {}
_timers: dict[str, threading.Timer] = {}
_lock = threading.Lock()


def register(sweep: Sweep) -> Sweep:
    """Make a sweep known under its topic. Called once per topic, from an app's `ready()`."""
    if sweep.topic in _sweeps:
        raise ValueError(f"two sweeps for the topic {sweep.topic}")
    _sweeps[sweep.topic] = sweep
    return sweep


def sweeps(queue: str | None = None) -> list[Sweep]:
    """The sweeps of one queue, or all, in the order of their topics."""
    return [s for _, s in sorted(_sweeps.items()) if queue is None or s.queue == queue]


def sweep_of(topic: str) -> Sweep:
    """The sweep of a topic; `KeyError` when nobody registered one."""
    return _sweeps[topic]


def connect(publish: Callable[[str, str], None]) -> None:
    """Say how a bell reaches the broker: `publish(topic, queue)`. Called by `soc.celery`."""
    global _publish  # noqa: PLW0603 - one broker for the process
    _publish = publish


def ring(topic: str) -> None:
    """Ring after the present transaction commits; at once when there is none."""
    transaction.on_commit(lambda: ring_now(topic), robust=True)


def ring_now(topic: str) -> None:
    """Ring at once, or as soon as the last bell is a moment ago. Best effort, and never fails."""
    for other in sweeps():
        if topic in other.hears:
            ring_now(other.topic)
    sweep = _sweeps.get(topic)
    if sweep is None or _publish is None:
        return
    with _lock:
        now = time.monotonic()
        if now < _quiet_until or topic in _timers:
            return
        wait = _rung.get(topic, -BETWEEN_SECONDS) + BETWEEN_SECONDS - now
        if wait > 0:
            _timers[topic] = threading.Timer(wait, _ring_late, [topic])
            _timers[topic].daemon = True
            _timers[topic].start()
            return
        _rung[topic] = now
    _send(sweep)


def _ring_late(topic: str) -> None:
    with _lock:
        _timers.pop(topic, None)
        _rung.pop(topic, None)
    ring_now(topic)


def _send(sweep: Sweep) -> None:
    """Publish a bell; a broker that does not answer is logged and left alone a while."""
    global _quiet_until  # noqa: PLW0603 - one breaker for the process
    if _publish is None:
        return
    try:
        _publish(sweep.topic, sweep.queue)
    except Exception as failure:  # noqa: BLE001 - every broker library has errors of its own; the sweep will do
        log.warning("doorbell.failed", extra={"topic": sweep.topic, "error": str(failure)})
        with _lock:
            _quiet_until = time.monotonic() + QUIET_AFTER_FAILURE_SECONDS
