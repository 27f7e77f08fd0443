"""What must be right before a process may start. `./quell manage check` shows the same."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.core import checks
from django.core.exceptions import ImproperlyConfigured

from lib import clock

WITHOUT_AWS = frozenset({"web", "worker-general", "beat"})
PROCESSES = WITHOUT_AWS | {"worker-collect", "worker-containment"}
GRANT_NOTHING = frozenset({"AWS_REGION", "AWS_DEFAULT_REGION", "AWS_EXECUTION_ENV"})
"""Set by ECS and Fargate in every container; they say where it runs, and no more."""

LEAST_DISTINCT_CHARACTERS = 8


@checks.register(checks.Tags.security)
def check_process(**_: Any) -> list[checks.CheckMessage]:
    """E001–E004: whatever makes this process unfit to be what it is."""
    return list(_findings())


@checks.register(checks.Tags.files)
def check_sigma_rules(**_: Any) -> list[checks.CheckMessage]:
    """W001: each rule of the operator that cannot be used, and why. Intake goes on without it."""
    if not settings.QUELL_SIGMA_RULES:
        return []
    from cases.sources.detections import shelf_with  # reads all rules: not in every process

    return [
        checks.Warning(
            f"QUELL_SIGMA_RULES: {refused.reason}", hint=f"it is not used: {refused.file}", id="quell.W001"
        )
        for refused in shelf_with(settings.QUELL_SIGMA_RULES).refused
    ]


def refuse_unfit() -> None:
    """Called first thing by each process; `ImproperlyConfigured` says all that is wrong."""
    findings = list(_findings())
    if findings:
        raise ImproperlyConfigured("; ".join(f"{finding.id}: {finding.msg}" for finding in findings))


def _findings() -> Iterator[checks.Error]:
    if not settings.QUELL_TESTING:
        yield from _only_for_tests()
    if settings.QUELL_PROCESS and settings.QUELL_PROCESS not in PROCESSES:
        hint = ", ".join(sorted(PROCESSES))
        yield checks.Error(
            f"QUELL_PROCESS is {settings.QUELL_PROCESS!r}", hint=f"one of {hint}", id="quell.E003"
        )
    if settings.QUELL_PROCESS in WITHOUT_AWS:
        yield from _aws_rights()


def _only_for_tests() -> Iterator[checks.Error]:
    if settings.QUELL_CLOCK_RATE != 1 or clock.rate() != 1:
        yield checks.Error(
            "QUELL_CLOCK_RATE is not 1: leases and reviews would run out early",
            hint="it is for the test suite",
            id="quell.E001",
        )
    if settings.QUELL_FAILPOINT:
        yield checks.Error(
            "QUELL_FAILPOINT is set: the worker would kill itself",
            hint="it is for the test suite",
            id="quell.E001",
        )
    if len(set(settings.SECRET_KEY)) < LEAST_DISTINCT_CHARACTERS:
        yield checks.Error(
            "QUELL_SECRET_KEY can be guessed",
            hint="python3 -c 'import secrets; print(secrets.token_urlsafe(48))'",
            id="quell.E004",
        )


def _aws_rights() -> Iterator[checks.Error]:
    """Who parses what attackers wrote, or faces the network, holds no AWS rights (DESIGN §10)."""
    found = sorted(name for name in os.environ if name.startswith("AWS_") and name not in GRANT_NOTHING)
    if found:
        yield checks.Error(
            f"{settings.QUELL_PROCESS} has {', '.join(found)} in its environment",
            hint="give AWS settings to worker-collect and worker-containment only",
            id="quell.E002",
        )
