from __future__ import annotations

from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from identity import keys, people
from identity.actors import system
from identity.models import Team
from identity.permissions import KEY_SCOPES
from lib import clock
from lib.errors import AppError


class Command(BaseCommand):
    help = "Makes an API key and prints it, alone, on standard output. It cannot be shown again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--name", required=True, help="the program that will use it")
        parser.add_argument("--scopes", required=True, help=f"by comma, of: {', '.join(sorted(KEY_SCOPES))}")
        parser.add_argument("--expires-days", type=int, help="days it may be used; for ever when not given")
        parser.add_argument("--team", help="slug of the team it acts for; the first team when not given")

    def handle(self, **options: Any) -> None:
        at = clock.now()
        days = options["expires_days"]
        if days is not None and not 1 <= days <= 3650:
            raise CommandError("--expires-days is a number from 1 to 3650")
        try:
            made = keys.create(
                name=options["name"],
                team=_team(options["team"]),
                scopes=frozenset(word.strip() for word in options["scopes"].split(",") if word.strip()),
                by=system("manage"),
                at=at,
                expires_at=at + timedelta(days=days) if days is not None else None,
            )
        except AppError as refusal:
            raise CommandError(refusal.detail) from refusal
        self.stdout.write(made.secret)


def _team(slug: str | None) -> Team:
    if slug is None:
        return people.first_team() or people.team_named("soc")
    team = Team.objects.filter(slug=slug).first()
    if team is None:
        known = ", ".join(Team.objects.order_by("slug").values_list("slug", flat=True)[:20])
        raise CommandError(f"--team is one of: {known}")
    return team
