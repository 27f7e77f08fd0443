from __future__ import annotations

import json
import signal
import threading
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from cases.collecting.home import home
from cases.collecting.queue import Interrupted, Poller, Queue
from lib.aws import AwsError, NoAnswer
from lib.errors import NotFound


class Command(BaseCommand):
    help = (
        "Takes alerts from an SQS queue until it is stopped. Any number may run beside each other; "
        "SIGTERM ends one cleanly. With --once: until the queue gives nothing more, then a JSON summary."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--queue-url", default="", help="by default the first of QUELL_SQS_QUEUES")
        parser.add_argument("--region", default="", help="where the address does not name it")
        parser.add_argument("--team", default="", help="who gets what no known account claims")
        parser.add_argument("--once", action="store_true", help="stop when the queue gives nothing more")

    def handle(self, **options: Any) -> None:
        stop = threading.Event()
        url = options["queue_url"] or next(iter(settings.QUELL_SQS_QUEUES), "")
        if not url:
            raise CommandError("which queue? --queue-url, or QUELL_SQS_QUEUES")
        try:
            team = home(options["team"] or settings.QUELL_SQS_TEAM)
            poller = Poller(Queue.of(url, region=options["region"]), team=team, stop=stop)
        except (NotFound, ValueError) as failure:
            raise CommandError(str(failure)) from failure
        _stop_on_signals(poller, stop)
        try:
            if options["once"]:
                self._once(poller)
            else:
                poller.run()
        except Interrupted:
            return

    def _once(self, poller: Poller) -> None:
        received = deleted = failed = 0
        try:
            while (turn := poller.turn(wait=1)).received:
                received += turn.received
                deleted += turn.deleted
                failed += turn.failed
        except (AwsError, NoAnswer) as failure:
            raise CommandError(f"AWS: {failure}") from failure
        self.stdout.write(json.dumps({"received": received, "deleted": deleted, "failed": failed}))


def _stop_on_signals(poller: Poller, stop: threading.Event) -> None:
    """The first signal lets the message at hand be finished, and breaks off nothing but a long poll."""

    def end(*_: object) -> None:
        stop.set()
        if poller.is_waiting:
            raise Interrupted

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
