from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError
from django.db.models import Count

from cases import ingest
from cases.sources import email
from cases.storing import Outcome
from identity.actors import system
from identity.models import Team
from lib import clock
from lib.errors import AppError

TRY_AGAIN = 75
"""EX_TEMPFAIL of sysexits.h: a mail server keeps the mail and comes back."""


class Command(BaseCommand):
    help = "Takes files in by the same door as the API. One JSON line for each file."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("source", help="guardduty, native … or auto")
        parser.add_argument("file", nargs="+", help="- reads standard input")
        parser.add_argument("--team", default="", help="who gets what no known account claims")

    def handle(self, **options: Any) -> None:
        try:
            self._take(**options)
        except DatabaseError as failure:
            raise CommandError(f"the database: {failure}", returncode=TRY_AGAIN) from failure
        except CommandError as failure:
            if options["source"] == email.ID:  # a mail server would send it back for any other code
                raise CommandError(str(failure), returncode=TRY_AGAIN) from failure
            raise

    def _take(self, **options: Any) -> None:
        team = _team(options["team"])
        for name in options["file"]:
            try:
                body = _body(name)
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


def _body(name: str) -> bytes:
    """The file's bytes, at most one more than any source reads."""
    if name == "-":
        return sys.stdin.buffer.read(email.MOST_BYTES + 1)
    with Path(name).open("rb") as file:
        return file.read(email.MOST_BYTES + 1)


def _team(slug: str) -> Team:
    """The team named; else the one with the most accounts, the oldest of several."""
    if slug:
        team = Team.objects.filter(slug=slug).first()
    else:
        team = Team.objects.annotate(size=Count("accounts")).order_by("-size", "pk").first()
    if team is None:
        raise CommandError(f"there is no team {slug!r}" if slug else "there is no team yet")
    return team
