from __future__ import annotations

import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from audit import anchors, record
from lib.errors import Invalid


class Command(BaseCommand):
    help = "Walks the audit chain. Exit 0 when it is whole, 1 naming the first bad sequence number."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--anchors",
            type=Path,
            help="file of anchors: what anchor_audit printed, or audit.anchor lines of the log",
        )

    def handle(self, *_: Any, **options: Any) -> None:
        broken = record.verify() or self._anchored(options["anchors"])
        if broken is None:
            self.stdout.write("the audit chain is whole")
            return
        self.stderr.write(f"broken at {broken.seq}: {broken.reason}")
        sys.exit(1)

    def _anchored(self, path: Path | None) -> record.Broken | None:
        if path is None:
            return None
        try:
            with path.open(encoding="utf-8") as lines:
                return anchors.check(anchors.read(lines))
        except Invalid as refusal:
            raise CommandError(refusal.detail) from refusal
        except (OSError, UnicodeDecodeError) as failure:
            raise CommandError(f"the anchors cannot be read: {failure}") from failure
