"""What a test needs from the machine: each function gives it, or skips the test saying what is missing.

Two kinds of skip, told apart by their first words: *cannot run here* is listed at the end of
`./quell test` and fails it with `CI=true`; a *notice* is listed only.
"""

import os
from pathlib import Path
from typing import NoReturn

import pytest

from launcher import chromium, environment, layout

CANNOT_RUN = "cannot run here: "
NOTICE = "notice: "


def cannot_run(reason: str) -> NoReturn:
    """Skip: this machine lacks something the suite as a whole must have had somewhere."""
    pytest.skip(CANNOT_RUN + reason)


def notice(reason: str) -> NoReturn:
    """Skip: optional material is absent."""
    pytest.skip(NOTICE + reason)


def browser() -> str:
    """Path of a Chromium."""
    return os.environ.get("QUELL_TEST_CHROMIUM") or chromium.find() or cannot_run("no Chromium")


def enforcing_python() -> Path:
    """The interpreter of the environment that holds ministack."""
    if environment.ENFORCING.is_ready():
        return environment.ENFORCING.python
    cannot_run(f"{layout.ENFORCING_VENV.name} is not installed (./quell test makes it)")


def shared(*parts: str) -> Path:
    """A file or directory of the shared third-party material beside the checkout, or in `QUELL_SHARED`."""
    root = Path(os.environ.get("QUELL_SHARED") or layout.ROOT.parent / "shared")
    path = root.joinpath(*parts)
    if not path.exists():
        notice(f"{path} is absent")
    return path
