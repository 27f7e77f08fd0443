from __future__ import annotations

import dataclasses
import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from identity.actors import system
from lib import clock
from soc.demo.story import StoryFailed, tell


class Command(BaseCommand):
    help = "Plays the demo's story against a running Quell and the simulated AWS. Again: changes nothing."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--simulator", required=True, help="address of the simulated AWS")
        parser.add_argument("--base-url", required=True, help="address of this Quell")

    def handle(self, **options: Any) -> None:
        try:
            told = tell(
                simulator=options["simulator"],
                base_url=options["base_url"],
                by=system("demo"),
                at=clock.now(),
            )
        except StoryFailed as failure:
            raise CommandError(str(failure)) from failure
        summary = {"played": told is not None, **(dataclasses.asdict(told) if told else {})}
        self.stdout.write(json.dumps(summary))
