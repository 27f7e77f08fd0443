"""A request with an `Idempotency-Key` is carried out once, and answered again as it was answered first.

The key's row is made in the transaction of the work: both are there or neither is, so no key is ever
stuck and nothing has to be given back. Rows are kept for a week, and so are the marks of SNS messages.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta

from django.db import connection

from cases.models import IdempotentAnswer
from lib import clock, doorbell
from lib.errors import AppError

KEPT_FOR = timedelta(days=7)
EVERY_SECONDS = 600.0
BATCH = 5_000
"""How many rows are deleted in one statement: on SQLite nobody else writes meanwhile."""

LARGEST_ANSWER = 256 * 1024
"""How long an answer is kept whole, in bytes."""


class KeyReused(AppError):
    """This Idempotency-Key was used for another request; take a new one for each."""

    status = 422
    code = "idempotency-key-reused"


class InProgress(AppError):
    """A request with this Idempotency-Key is being carried out; ask again for its answer."""

    status = 409
    code = "in-progress"
    retry_after = 1


def register() -> None:
    """Register the sweep. Called once, when the models are loaded."""
    doorbell.register(
        doorbell.Sweep(topic="once", queue="general", run=sweep_answers, every_seconds=EVERY_SECONDS)
    )


def claim(*, principal: str, route: str, key: str, digest: str, at: datetime) -> IdempotentAnswer:
    """The key's row, in the caller's transaction: new, with status 0, or as an earlier request left it.

    `digest` is that of the request. Raises `KeyReused` when an earlier one was another, and `InProgress`
    while one is under way; on SQLite, where one transaction writes at a time, it is waited for instead.
    """
    if not _is_free(f"{principal} {route} {key}"):
        raise InProgress
    known = IdempotentAnswer.objects.filter(principal=principal, route=route, key=key).first()
    if known is None:
        return IdempotentAnswer.objects.create(
            principal=principal, route=route, key=key, digest=digest, at=at
        )
    if known.digest != digest:
        raise KeyReused
    return known


def keep(row: IdempotentAnswer, *, status: int, answer: str, names: dict[str, str]) -> None:
    """Keep an answer's body as it was sent; of one that is too long only `names`, which lead to it."""
    is_whole = len(answer.encode("utf-8")) <= LARGEST_ANSWER
    kept = answer if is_whole else names or None
    IdempotentAnswer.objects.filter(pk=row.pk).update(status=status, answer=kept)


def sweep_answers() -> int:
    """Delete what was kept for a week; how many rows that were."""
    until, deleted = clock.now() - KEPT_FOR, 0
    while True:
        due = IdempotentAnswer.objects.filter(at__lt=until).order_by("at").values_list("pk", flat=True)
        count, _ = IdempotentAnswer.objects.filter(pk__in=list(due[:BATCH])).delete()
        deleted += count
        if count < BATCH:
            return deleted


def _is_free(name: str) -> bool:
    """Take the name until the transaction ends; False when another transaction has it."""
    if connection.vendor != "postgresql":
        return True  # SQLite's transactions begin by taking the one lock there is
    number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], signed=True)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [number])
        return bool(cursor.fetchone()[0])
