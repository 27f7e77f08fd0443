from __future__ import annotations

import json
from argparse import ArgumentParser
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from cases.collecting import pulling
from estate.models import Account
from identity.actors import system
from lib import clock


class Command(BaseCommand):
    help = (
        "Asks accounts for their findings with their READ roles, and takes in what had not arrived. "
        "Prints a JSON summary; fails when an account could not be asked."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--source", choices=pulling.SOURCES, help="by default all of them")
        parser.add_argument("--account", default="", help="twelve digits; by default every account")
        parser.add_argument("--since", default="", help="ISO 8601; by default where the last time ended")

    def handle(self, **options: Any) -> None:
        accounts = Account.objects.select_related("team").order_by("account_id")
        if options["account"]:
            accounts = accounts.filter(account_id=options["account"])
            if not accounts:
                raise CommandError(f"there is no account {options['account']!r}")
        report = pulling.pull(
            accounts=accounts,
            by=system("pull"),
            at=clock.now(),
            sources=[options["source"]] if options["source"] else pulling.SOURCES,
            since=_moment(options["since"]) if options["since"] else None,
        )
        self.stdout.write(json.dumps(report.summary()))
        if report.failed:
            raise CommandError(f"{len(report.failed)} could not be asked: {report.failed[0].error}")


def _moment(told: str) -> datetime:
    try:
        moment = datetime.fromisoformat(told)
    except ValueError as unfit:
        raise CommandError(f"{told!r} is no time in ISO 8601") from unfit
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
