from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from cases import ingest
from cases.models import Quarantined
from identity.actors import system
from lib import clock


class Command(BaseCommand):
    help = "Tries again what could not be read, with the sources as they are now. One JSON line for each."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "id", nargs="*", help="which ones; everything not yet replayed where none is named"
        )

    def handle(self, **options: Any) -> None:
        rows = Quarantined.objects.select_related("team").order_by("pk")
        ids = options["id"]
        rows = rows.filter(ulid__in=ids) if ids else rows.filter(replayed_at__isnull=True)
        if missing := set(ids) - set(rows.values_list("ulid", flat=True)):
            raise CommandError(f"not in quarantine: {', '.join(sorted(missing))}")
        for row in list(rows):
            received = ingest.replay(quarantined=row, by=system("replay"), at=clock.now())
            line = {
                "id": row.ulid,
                "source": row.source,
                "alerts": [stored.alert.ulid for stored in received.alerts if stored.alert],
                "reasons": [held.reason for held in received.quarantined],
            }
            self.stdout.write(json.dumps(line))
