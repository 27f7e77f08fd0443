"""`python -m tests.faults.planted DEFECT …`: celery with a defect of `tests.defects.plants` in it."""

from __future__ import annotations

import sys
from typing import Any

from celery import signals
from celery.__main__ import main

from tests.defects.plants import PLANTS

if __name__ == "__main__":
    defect = PLANTS[sys.argv.pop(1)]

    def plant(**_: Any) -> None:
        """Once Django is set up; the sweeps look names up at each call."""
        defect()

    signals.celeryd_init.connect(plant)
    main()
