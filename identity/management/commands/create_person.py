from __future__ import annotations

import getpass
import os
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from identity import people
from identity.actors import system
from identity.models import Role
from lib import clock
from lib.errors import AppError


class Command(BaseCommand):
    help = "Adds a person with a login. The password is asked for, or read from QUELL_NEW_PASSWORD."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--login", required=True)
        parser.add_argument("--name", required=True, help="as colleagues see it")
        parser.add_argument("--email", default="")
        parser.add_argument("--team", default="soc", help="slug; the team is made when it is new")
        parser.add_argument("--roles", required=True, help=f"by comma, of: {', '.join(Role.values)}")

    def handle(self, **options: Any) -> None:
        wanted = [word.strip() for word in options["roles"].split(",") if word.strip()]
        if not wanted or set(wanted) - set(Role.values):
            raise CommandError(f"--roles are some of: {', '.join(Role.values)}")
        password = os.environ.get("QUELL_NEW_PASSWORD") or getpass.getpass()
        try:
            user = people.add_person(
                login=options["login"],
                name=options["name"],
                email=options["email"],
                password=password,
                roles=frozenset(Role(word) for word in wanted),
                team=people.team_named(options["team"]),
                by=system("manage"),
                at=clock.now(),
            )
        except AppError as refusal:
            raise CommandError(refusal.detail) from refusal
        self.stdout.write(f"{user.username} may sign in")
