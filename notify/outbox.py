"""Ringing: a notice and its deliveries are written in the transaction of whatever they tell of.

So nobody is rung about what was rolled back, and nothing that was committed goes untold; a sweep
delivers. Whom a notice may reach is the caller's business: it knows who may see what (`cases.access`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime

from django.db import connection

from lib import doorbell, ids
from notify.channels import CHANNELS
from notify.models import Delivery, Notice

TOPIC = "notices"


def ring(
    *,
    kind: str,
    subject: str,
    title: str,
    link: str,
    severity: int,
    to: Iterable[int],
    key: str,
    at: datetime,
    detail: str = "",
    channels: Collection[str] = ("inbox",),
) -> Notice | None:
    """Tell these persons (by primary key) of a cause; None when this cause (`key`) was rung before.

    Raises `RuntimeError` outside a transaction and `ValueError` for a link that is not a path of ours, a
    channel that there is not, or a severity beyond 0 to 100.
    """
    if not connection.in_atomic_block:
        raise RuntimeError("a notice is written in the transaction of what it tells of")
    _check(link=link, severity=severity, channels=channels)
    ulid = ids.ulid()
    # Whoever comes second finds nothing of theirs; PostgreSQL lets them wait for the first to commit.
    Notice.objects.bulk_create(
        [
            Notice(
                ulid=ulid,
                kind=kind,
                subject=subject,
                severity=severity,
                title=title[:300],
                detail=detail,
                link=link,
                dedup_key=key[:200],
                rung_at=at,
            )
        ],
        ignore_conflicts=True,
    )
    notice = Notice.objects.filter(ulid=ulid).first()
    if notice is None:
        return None
    Delivery.objects.bulk_create(
        Delivery(notice=notice, person_id=person, channel=channel, due_at=at)
        for person in sorted(set(to))
        for channel in sorted(set(channels))
    )
    doorbell.ring(TOPIC)
    return notice


def rung(keys: Iterable[str]) -> set[str]:
    """Which of these causes were rung before. One query."""
    return set(Notice.objects.filter(dedup_key__in=list(keys)).values_list("dedup_key", flat=True))


def is_ours(link: str) -> bool:
    """Whether a link is a path of this site: no host, no scheme, nothing a browser could read as one."""
    plain = link.isprintable() and not any(mark in link for mark in ("\\", " ", "\t"))
    return plain and link.startswith("/") and not link.startswith("//") and len(link) <= 500


def _check(*, link: str, severity: int, channels: Collection[str]) -> None:
    if not is_ours(link):
        raise ValueError(f"{link[:80]!r} is not a path of ours")
    if not 0 <= severity <= 100:
        raise ValueError("a severity is a number from 0 to 100")
    if not channels or set(channels) - set(CHANNELS):
        raise ValueError(f"the channels are {', '.join(sorted(CHANNELS))}")
