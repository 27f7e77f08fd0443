from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from estate.models import Account
from identity.actors import system
from lib import clock
from readiness import entering


class Command(BaseCommand):
    help = (
        "Tries the way into each account: every role with its external id, with another and with none; "
        "only the first may be let in. Needs the credentials of worker-containment."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--account", default="", help="twelve digits; by default every account")
        parser.add_argument("--format", choices=["json", "text"], default="text")

    def handle(self, **options: Any) -> None:
        accounts = Account.objects.order_by("account_id")
        if options["account"]:
            accounts = accounts.filter(account_id=options["account"])
            if not accounts:
                raise CommandError(f"there is no account {options['account']!r}")
        found = entering.check(accounts=accounts, by=system("manage"), at=clock.now())
        if options["format"] == "json":
            self.stdout.write(json.dumps({"entrances": [_as_json(one) for one in found]}))
            return
        for one in found:
            said = "; ".join(one.problems) or "let in with its external id, and not without"
            self.stdout.write(f"{one.account} {one.duty.value}: {said}")


def _as_json(one: entering.Entrance) -> dict[str, Any]:
    return {
        "account": one.account,
        "duty": one.duty.value,
        "role": one.role,
        "is_sound": one.is_sound,
        "problems": list(one.problems),
    }
