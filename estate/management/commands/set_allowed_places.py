from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from estate import places
from identity.actors import system
from lib import clock
from lib.errors import AppError


class Command(BaseCommand):
    help = "Says from where an account, or those under a unit, are used: sign-ins from elsewhere are alerts."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="twelve-digit account id, or path of a unit (Root/Production)")
        parser.add_argument("--countries", default="", help="ISO 3166 alpha-2, by comma: DE,AT")
        parser.add_argument("--networks", default="", help="CIDR, by comma: 192.0.2.0/24,2001:db8::/32")
        parser.add_argument("--clear", action="store_true", help="say nothing any more")

    def handle(self, **options: Any) -> None:
        countries, networks = _words(options["countries"]), _words(options["networks"])
        if options["clear"] == bool(countries or networks):
            raise CommandError("give --countries, --networks or both; or --clear alone")
        try:
            said = places.set_allowed(
                name=options["name"],
                countries=countries,
                networks=networks,
                by=system("manage"),
                at=clock.now(),
            )
        except AppError as refusal:
            raise CommandError(refusal.detail) from refusal
        allowed = {"countries": said.allowed_countries, "networks": said.allowed_networks}
        self.stdout.write(json.dumps({"name": options["name"], **allowed}))


def _words(spelled: str) -> list[str]:
    return [word.strip() for word in spelled.split(",") if word.strip()]
