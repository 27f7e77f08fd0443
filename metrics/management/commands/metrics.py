from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from identity.actors import system
from lib import clock
from lib.errors import Invalid
from metrics import queries, wire
from metrics.queries import By


class Command(BaseCommand):
    help = "Prints the response metrics of a period for all teams, as GET /api/v1/metrics/summary does."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--from", dest="since", help="first UTC day; by default 90 days before --to")
        parser.add_argument("--to", dest="until", help="the day it ends before; by default the end of today")
        parser.add_argument("--by", choices=list(By), help="also per value of this")
        parser.add_argument("--format", choices=["json"], default="json")
        for by in By:
            if by != By.MONTH:
                parser.add_argument(f"--{by}", help=f"only this {by}")

    def handle(self, *_: Any, **options: Any) -> None:
        now = clock.now()
        try:
            found = queries.summary(
                actor=system("manage"),
                period=queries.period(since=options["since"], until=options["until"], now=now),
                as_of=now,
                by=By(options["by"]) if options["by"] else None,
                filters={by: options[by] for by in By if options.get(by) is not None},
            )
        except Invalid as refusal:
            raise CommandError(refusal.detail) from refusal
        self.stdout.write(json.dumps(wire.summary(found), indent=2, ensure_ascii=False))
