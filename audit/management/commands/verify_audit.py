from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand

from audit import record


class Command(BaseCommand):
    help = "Walks the audit chain. Exit 0 when it is whole, 1 naming the first bad sequence number."

    def handle(self, *_: Any, **__: Any) -> None:
        broken = record.verify()
        if broken is None:
            self.stdout.write("the audit chain is whole")
            return
        self.stderr.write(f"broken at {broken.seq}: {broken.reason}")
        sys.exit(1)
