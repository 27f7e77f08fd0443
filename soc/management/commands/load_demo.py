from __future__ import annotations

import dataclasses
import json
import os
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from audit import record
from identity.actors import system
from identity.models import User
from lib import clock
from lib.errors import AppError
from soc.demo import company, history
from soc.demo.simulator import NoSimulator, estate_of


class Command(BaseCommand):
    help = "Fills an empty installation with the demo's people, accounts and past. Again: changes nothing."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--simulator", required=True, help="address of the simulated AWS")

    def handle(self, **options: Any) -> None:
        password = os.environ.get("QUELL_DEMO_PASSWORD", "")
        if not password:
            raise CommandError("QUELL_DEMO_PASSWORD must hold the password of the demo's sign-ins")
        at, by = clock.now(), system("demo")
        try:
            estate = estate_of(options["simulator"])
            is_new = company.load(estate=estate, password=password, by=by, at=at)
            lived = history.live(estate=estate, by=by, at=at)
        except (NoSimulator, AppError) as refusal:
            raise CommandError(str(refusal)) from refusal
        if broken := record.verify():
            raise CommandError(f"the audit chain is broken at {broken.seq}: {broken.reason}")
        summary = {
            "loaded": is_new,
            "sign_ins": sorted(User.objects.values_list("username", flat=True)),
            "accounts": len(estate["accounts"]),
            "history": dataclasses.asdict(lived) if lived else None,
            "seconds": round((clock.now() - at).total_seconds(), 1),
        }
        self.stdout.write(json.dumps(summary))
