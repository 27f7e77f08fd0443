"""The two Celery tasks there are: do one topic's due work, and ring every bell."""

from __future__ import annotations

from celery import shared_task

from lib import doorbell


@shared_task(name="quell.sweep")
def sweep(topic: str, **_: object) -> None:
    """Do the due work of a topic. Harmless when there is none, or when it is done twice at once."""
    doorbell.sweep_of(topic).run()


@shared_task(name="quell.ring_all")
def ring_all(**_: object) -> None:
    """Ring every bell; beat calls this."""
    for known in doorbell.sweeps():
        doorbell.ring_now(known.topic)
