from __future__ import annotations

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from identity import hooks, people
from identity.actors import system
from identity.models import HookKind, Team
from lib import clock
from lib.errors import AppError, Invalid

LARGEST_MAP = 64 * 1024


class Command(BaseCommand):
    help = "Makes a hook and prints its path, alone, on standard output. It cannot be shown again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--kind", required=True, choices=HookKind.values, help="which tool will post")
        parser.add_argument("--topic-arn", default="", help="sns: the one topic whose messages are taken")
        parser.add_argument("--name", help="the program that will post; named for the kind when not given")
        parser.add_argument("--field-map", type=Path, help="webhook: JSON file that says where what stands")
        parser.add_argument("--team", help="slug of the team it acts for; the first team when not given")

    def handle(self, **options: Any) -> None:
        kind = HookKind(options["kind"])
        try:
            made = hooks.create(
                name=options["name"] or f"{kind} hook",
                kind=kind,
                team=_team(options["team"]),
                by=system("manage"),
                at=clock.now(),
                topic_arn=options["topic_arn"],
                field_map=_field_map(options["field_map"]),
            )
        except Invalid as refusal:
            raise CommandError(f"{refusal.pointer.lstrip('/')}: {refusal.detail}") from refusal
        except AppError as refusal:
            raise CommandError(refusal.detail) from refusal
        self.stdout.write(made.path)


def _team(slug: str | None) -> Team:
    if slug is None:
        return people.first_team() or people.team_named("soc")
    team = Team.objects.filter(slug=slug).first()
    if team is None:
        raise CommandError(f"there is no team {slug}")
    return team


def _field_map(path: Path | None) -> dict[str, Any] | None:
    if path is None:
        return None
    try:
        if path.stat().st_size > LARGEST_MAP:
            raise CommandError(f"--field-map is larger than {LARGEST_MAP} bytes")
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as failure:
        raise CommandError(f"--field-map cannot be read: {failure}") from failure
    if not isinstance(found, dict) or not found:
        raise CommandError("--field-map holds a JSON object")
    return found
