from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from cases.imports import Outcome, Result, import_incidents
from identity.actors import system
from identity.models import Team
from lib import clock

TOLD = 100


class Command(BaseCommand):
    help = (
        "Imports incidents from another system, one JSON object a line, and prints a JSON summary. The same "
        "file again changes nothing. Exit 1 when a line failed."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", help="NDJSON, or - for standard input")
        parser.add_argument("--team", help="slug of the team; by default the team of each incident's account")

    def handle(self, *_: Any, **options: Any) -> None:
        team = _team(options["team"])
        counts: Counter[str] = Counter()
        failed: list[dict[str, Any]] = []
        for result in import_incidents(
            lines=_lines(options["file"]), team=team, by=system("manage"), at=clock.now()
        ):
            counts[result.outcome] += 1
            if result.outcome == Outcome.FAILED and len(failed) < TOLD:
                failed.append(_told(result))
        summary = {outcome.value: counts[outcome] for outcome in Outcome}
        self.stdout.write(json.dumps({**summary, "errors": failed}, ensure_ascii=False))
        if failed:
            sys.exit(1)


def _team(slug: str | None) -> Team | None:
    """The team named; without a name the only one there is, so that a small desk need not name it."""
    teams = Team.objects.filter(slug=slug) if slug else Team.objects.all()
    found = list(teams[:2])
    if slug and not found:
        raise CommandError(f"There is no team {slug}.")
    return found[0] if len(found) == 1 else None


def _lines(name: str) -> Iterator[bytes]:
    if name == "-":
        yield from sys.stdin.buffer
        return
    try:
        with Path(name).open("rb") as file:
            yield from file
    except OSError as failure:
        raise CommandError(f"{name} cannot be read: {failure.strerror}") from failure


def _told(result: Result) -> dict[str, Any]:
    return {
        "line": result.line,
        "external_id": result.external_id,
        "errors": [{"pointer": error.pointer, "detail": error.detail} for error in result.errors],
    }
