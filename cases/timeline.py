"""The timeline of an incident: the only writer of its entries.

The words lie in a side table, salted; the append-only entry holds their digest. So a text can be
redacted later without touching what is append-only, and cannot be changed unseen.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from django.db import connection

from cases.models import Incident, TimelineEntry, TimelineText
from identity.actors import Actor
from lib import canonical

TITLE_LENGTH = 500


def add(
    *,
    incident: Incident,
    kind: str,
    at: datetime,
    title: str,
    by: Actor,
    recorded_at: datetime,
    detail: str = "",
    links: Mapping[str, Any] | None = None,
    techniques: Iterable[str] = (),
) -> TimelineEntry:
    """Write one entry in the caller's transaction.

    `at` is when it happened in the world, `recorded_at` when it was written down. `links` names
    other records by kind and public id (`{"alert": ULID}`). A title that is too long is cut visibly.
    Raises `RuntimeError` outside a transaction.
    """
    if not connection.in_atomic_block:
        raise RuntimeError("a timeline entry is written in the transaction of the change it tells of")
    salt = secrets.token_hex(16)
    title = title if len(title) <= TITLE_LENGTH else title[: TITLE_LENGTH - 1] + "…"
    entry = TimelineEntry.objects.create(
        incident=incident,
        kind=kind,
        at=at,
        recorded_at=recorded_at,
        actor_kind=by.kind,
        actor=by.label[:80],
        person_id=by.person_id,
        links=dict(links or {}),
        techniques=list(techniques),
        text_digest=digest(salt, title, detail),
    )
    # Kept on the entry, so that the caller can show it without reading it back.
    entry.text = TimelineText.objects.create(entry=entry, salt=salt, title=title, detail=detail)
    return entry


def add_history(
    *,
    incident: Incident,
    kind: str,
    happened: Iterable[tuple[datetime, str, Mapping[str, Any]]],
    by: Actor,
    recorded_at: datetime,
) -> None:
    """Write the entries of an imported incident, each `(at, title, links)`, with two statements.

    In the caller's transaction, as `add`.
    """
    if not connection.in_atomic_block:
        raise RuntimeError("a timeline entry is written in the transaction of the change it tells of")
    told = [(at, title, links, secrets.token_hex(16)) for at, title, links in happened]
    entries = TimelineEntry.objects.bulk_create(
        TimelineEntry(
            incident=incident,
            kind=kind,
            at=at,
            recorded_at=recorded_at,
            actor_kind=by.kind,
            actor=by.label[:80],
            person_id=by.person_id,
            links=dict(links),
            text_digest=digest(salt, title, ""),
        )
        for at, title, links, salt in told
    )
    TimelineText.objects.bulk_create(
        TimelineText(entry=entry, salt=salt, title=title)
        for entry, (_, title, _, salt) in zip(entries, told, strict=True)
    )


def digest(salt: str, *texts: str) -> str:
    """What an append-only row remembers of texts that lie beside it."""
    return canonical.sha256([salt, *texts])
