from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from cases import quarantine
from cases.models import Quarantined
from identity.actors import system
from lib import clock


class Command(BaseCommand):
    help = "Tries again what could not be read, with the sources as they are now. One JSON line for each."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("id", nargs="*", help="which ones; everything that waits where none is named")
        parser.add_argument("--source", default="", help="only what came as this source")

    def handle(self, **options: Any) -> None:
        ids = options["id"]
        if missing := set(ids) - set(Quarantined.objects.filter(ulid__in=ids).values_list("ulid", flat=True)):
            raise CommandError(f"not in quarantine: {', '.join(sorted(missing))}")
        by = system("replay")
        waiting = quarantine.waiting_for(by, source=options["source"])
        if ids:
            waiting = waiting.filter(ulid__in=ids)
        # Bodies are as large as requests may be: one at a time.
        for pk in list(waiting.order_by("pk").values_list("pk", flat=True)):
            self._replay(Quarantined.objects.select_related("team").get(pk=pk))

    def _replay(self, row: Quarantined) -> None:
        try:
            received = quarantine.replay(item=row, by=system("replay"), at=clock.now())
        except quarantine.Settled:  # someone else did it in this moment
            return
        line = {
            "id": row.ulid,
            "source": row.source,
            "alerts": [stored.alert.ulid for stored in received.alerts if stored.alert],
            "reasons": [held.reason for held in received.quarantined],
        }
        self.stdout.write(json.dumps(line))
