from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from cases import ingest
from cases.storing import Outcome
from identity.actors import system
from identity.models import Team
from lib import clock
from lib.errors import AppError


class Command(BaseCommand):
    help = "Takes files in by the same door as the API. One JSON line for each file."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("source", help="guardduty, native … or auto")
        parser.add_argument("file", nargs="+", help="- reads standard input")
        parser.add_argument("--team", default="", help="slug of the team that gets what no account claims")

    def handle(self, **options: Any) -> None:
        team = _team(options["team"])
        for name in options["file"]:
            try:
                body = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
                received = ingest.receive(
                    source=options["source"], body=body, by=system("ingest"), at=clock.now(), team=team
                )
            except (OSError, AppError) as failure:
                raise CommandError(f"{name}: {failure}") from failure
            summary = {
                "file": name,
                "created": received.count(Outcome.CREATED),
                "updated": received.count(Outcome.UPDATED, Outcome.RECURRED),
                "repeated": received.count(Outcome.REPEATED),
                "quarantined": len(received.quarantined),
                "reasons": [
                    {"id": held.ulid, "reason": held.reason, "pointer": held.pointer}
                    for held in received.quarantined
                ],
            }
            self.stdout.write(json.dumps(summary))


def _team(slug: str) -> Team:
    """The team named, or the only one there is."""
    teams = list((Team.objects.filter(slug=slug) if slug else Team.objects.all())[:2])
    if not teams:
        raise CommandError(f"there is no team {slug!r}" if slug else "there is no team yet")
    if len(teams) > 1:
        raise CommandError("there are several teams: name one with --team")
    return teams[0]
