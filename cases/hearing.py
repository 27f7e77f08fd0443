"""When each source last spoke for each account and region: silence is a fault (DESIGN §5)."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db import DatabaseError, transaction

from cases.models import Heard
from estate.models import Account

log = logging.getLogger(__name__)

NOTED_EVERY = timedelta(seconds=30)
"""How often at most one process writes down that it heard the same source again."""

MOST_PLACES = 100_000
"""How many voices one team may have; who invents accounts and regions shall not fill the table."""

OWN = frozenset({"quell", "report"})
"""What Quell and people say says nothing about whether a source still speaks."""

Voice = tuple[str, str, str]
"""Source, account, region."""

_lock = threading.Lock()
_noted: dict[tuple[int, Voice], datetime] = {}


def heard(voices: Iterable[Voice], *, team: int, at: datetime) -> None:
    """Note that these sources spoke. Not in the alerts' transaction: losing a note loses 30 seconds.

    A voice belongs to the team of its account, to `team` where the account is not known.
    """
    due = [voice for voice in sorted(set(voices)) if voice[0] not in OWN and _is_due(team, voice, at)]
    if not due:
        return
    try:
        with transaction.atomic():
            _note_all(due, team=team, at=at)
    except DatabaseError as failure:
        # The alerts are committed: their sender must not be told that something failed.
        log.warning("hearing.failed", extra={"team": team, "voices": len(due), "error": str(failure)[:500]})
        _forget(due, team=team)


def forget() -> None:
    """Write everything down again. For tests, whose databases change in a moment."""
    with _lock:
        _noted.clear()


def _is_due(team: int, voice: Voice, at: datetime) -> bool:
    with _lock:
        last = _noted.get((team, voice))
        if last is not None and last <= at < last + NOTED_EVERY:
            return False
        if len(_noted) > 50_000:
            _noted.clear()
        _noted[team, voice] = at
        return True


def _forget(voices: Iterable[Voice], *, team: int) -> None:
    with _lock:
        for voice in voices:
            _noted.pop((team, voice), None)


def _note_all(voices: list[Voice], *, team: int, at: datetime) -> None:
    ids = {account for _, account, _ in voices if account}
    owners = dict(Account.objects.filter(account_id__in=ids).values_list("account_id", "team_id"))
    for voice in voices:
        _note(owners.get(voice[1], team), voice, at)


def _note(team: int, voice: Voice, at: datetime) -> None:
    """Only forward: a note that comes late takes nothing back. Lifting an alarm is for `silence`."""
    source, account, region = voice
    rows = Heard.objects.filter(team_id=team, source=source, account=account, region=region)
    if rows.filter(first_at__isnull=False, last_at__lt=at).update(last_at=at):
        return
    if rows.filter(first_at__isnull=True).update(first_at=at, last_at=at) or rows.exists():
        return
    if Heard.objects.filter(team_id=team).count() >= MOST_PLACES:
        log.warning("hearing.full", extra={"team": team})
        return
    row = Heard(team_id=team, source=source, account=account, region=region, first_at=at, last_at=at)
    Heard.objects.bulk_create([row], ignore_conflicts=True)
