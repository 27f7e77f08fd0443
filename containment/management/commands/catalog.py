from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from containment import catalog

DIRECTORIES = ("docs/actions", "docs/iam", "deploy/roles")


class Command(BaseCommand):
    help = "Writes docs/actions, docs/iam and deploy/roles from the action types."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--to", default=str(settings.BASE_DIR), help="directory to write below")

    def handle(self, *_: Any, **options: Any) -> None:
        below, kept = Path(options["to"]), set[Path]()
        for name, text in catalog.files():
            path = below / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            kept.add(path)
        # A type that is gone takes its page with it.
        for directory in DIRECTORIES:
            for path in sorted((below / directory).iterdir()):
                if path.is_file() and path not in kept:
                    path.unlink()
        self.stdout.write(f"{len(kept)} files")
