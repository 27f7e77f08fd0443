"""The Celery application: it starts processes and passes bells, and holds no work of its own."""

from __future__ import annotations

import os
import sys
from functools import cache
from typing import Any

from celery import Celery, signals
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from kombu import Connection
from kombu.connection import ConnectionPool

from lib import doorbell

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "soc.settings")

app = Celery("quell")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.conf.imports = ("soc.tasks",)

PUBLISH_SECONDS = 1.0
STALE_AFTER_SECONDS = 60.0


def publish(topic: str, queue: str) -> None:
    """Send one bell, or fail within about a second: whoever rings has better things to do.

    Over connections of its own: those of workers wait for messages and keep trying for ever.
    """
    pool = _connections(os.getpid())
    connection = pool.acquire(block=True, timeout=PUBLISH_SECONDS)
    try:
        app.send_task(
            "quell.sweep",
            args=[topic],
            queue=queue,
            retry=False,
            ignore_result=True,
            expires=STALE_AFTER_SECONDS,
            connection=connection,
        )
    except BaseException:
        pool.replace(connection)
        raise
    connection.release()


@cache
def _connections(pid: int) -> ConnectionPool:
    """A few connections per process; a forked child must not share its parent's."""
    del pid
    options = {
        **settings.CELERY_BROKER_TRANSPORT_OPTIONS,
        "socket_connect_timeout": PUBLISH_SECONDS,
        "socket_timeout": PUBLISH_SECONDS,
        "max_retries": 0,
        "connect_retries_timeout": PUBLISH_SECONDS,
    }
    connection = Connection(
        settings.CELERY_BROKER_URL, transport_options=options, connect_timeout=PUBLISH_SECONDS
    )
    return connection.Pool(limit=4)


doorbell.connect(publish)


@signals.setup_logging.connect
def _keep_logging(**_: Any) -> None:
    """Django has set up logging; without a receiver Celery would raise the root logger to WARNING."""


@signals.celeryd_init.connect
@signals.beat_init.connect
def _refuse_unfit(**_: Any) -> None:
    """Before anything is connected to. Celery logs what a receiver raises and goes on, but for an exit."""
    from soc import checks

    try:
        checks.refuse_unfit()
    except ImproperlyConfigured as failure:
        sys.exit(str(failure))


@signals.worker_init.connect
def _start_sweeping(**_: Any) -> None:
    """Celery sends this before it connects to the broker, so work is done where there is none."""
    from soc import sweeping

    if not settings.QUELL_PROCESS.startswith("worker-"):
        sys.exit("QUELL_PROCESS must say which worker this is; it decides whose work is done")
    sweeping.start(process=settings.QUELL_PROCESS)


@signals.beat_init.connect
def _start_heartbeat(**_: Any) -> None:
    from soc import sweeping

    sweeping.start(process="beat")


@signals.worker_shutting_down.connect
def _stop_sweeping(**_: Any) -> None:
    from soc import sweeping

    sweeping.stop()
