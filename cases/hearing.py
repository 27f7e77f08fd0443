"""When each source last spoke for each account and region: silence is a fault (DESIGN §5)."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from datetime import datetime, timedelta

from cases.models import Heard

NOTED_EVERY = timedelta(seconds=30)
"""How often at most one process writes down that it heard the same source again."""

Voice = tuple[str, str, str]
"""Source, account, region."""

_lock = threading.Lock()
_noted: dict[tuple[int, Voice], datetime] = {}


def heard(voices: Iterable[Voice], *, team: int, at: datetime) -> None:
    """Note that these sources spoke. Not in the alerts' transaction: losing a note loses 30 seconds."""
    for voice in sorted(set(voices)):
        if _is_due(team, voice, at):
            _note(team, voice, at)


def _is_due(team: int, voice: Voice, at: datetime) -> bool:
    with _lock:
        last = _noted.get((team, voice))
        if last is not None and last <= at < last + NOTED_EVERY:
            return False
        if len(_noted) > 50_000:
            _noted.clear()
        _noted[team, voice] = at
        return True


def _note(team: int, voice: Voice, at: datetime) -> None:
    source, account, region = voice
    rows = Heard.objects.filter(team_id=team, source=source, account=account, region=region)
    if rows.filter(first_at__isnull=False).update(last_at=at, alarmed_at=None):
        return
    if rows.update(first_at=at, last_at=at, alarmed_at=None):
        return
    row = Heard(team_id=team, source=source, account=account, region=region, first_at=at, last_at=at)
    Heard.objects.bulk_create([row], ignore_conflicts=True)
