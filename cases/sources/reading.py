"""Reading documents in which anything may be missing, or of another kind than it should be."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from cases.decoding import JSON, Unreadable

EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
LATEST = datetime(9000, 1, 1, tzinfo=UTC)


def at(value: JSON, *path: str) -> Any:
    """What lies at the end of a path of keys, None where it ends early."""
    for name in path:
        if not isinstance(value, dict):
            return None
        value = value.get(name)
    return value


def text(value: JSON, *path: str, most: int = 2000) -> str:
    """The text there, cut to `most` characters; empty where there is none. Numbers become text."""
    found = at(value, *path)
    if isinstance(found, bool) or not isinstance(found, str | int | float):
        return ""
    return str(found).strip()[:most]


def objects(value: JSON, *path: str, most: int = 500) -> Iterator[dict[str, JSON]]:
    """The objects of the list there, or the one object, at most that many."""
    found = at(value, *path)
    if isinstance(found, dict):
        found = [found]
    if isinstance(found, list):
        yield from [member for member in found if isinstance(member, dict)][:most]


def texts(value: JSON, *path: str, most: int = 500) -> list[str]:
    """The texts of the list there, or the one text, at most that many, none empty."""
    found = at(value, *path)
    if isinstance(found, str):
        found = [found]
    if not isinstance(found, list):
        return []
    return [member.strip()[:2000] for member in found if isinstance(member, str) and member.strip()][:most]


def time(value: JSON) -> datetime:
    """A moment in UTC from ISO 8601 text (without offset: UTC) or seconds or milliseconds since 1970.

    Raises `Unreadable` for anything else, and outside the years 1970 to 8999.
    """
    try:
        found = _time(value)
    except (TypeError, ValueError, OverflowError, OSError) as failure:
        raise Unreadable("not a time") from failure
    if not EARLIEST <= found < LATEST:
        raise Unreadable("a time that cannot be meant")
    return found


def _time(value: JSON) -> datetime:
    if isinstance(value, bool):
        raise TypeError("a truth value is not a time")
    if isinstance(value, int | float):
        seconds = value / 1000 if abs(value) > 100_000_000_000 else value
        return datetime.fromtimestamp(seconds, UTC)
    if not isinstance(value, str):
        raise TypeError("not a text")
    found = datetime.fromisoformat(value.strip())
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)


def time_or_none(value: JSON, *path: str) -> datetime | None:
    """The moment there, None where nothing is; a moment that cannot be read is as good as none."""
    try:
        return time(at(value, *path))
    except Unreadable:
        return None
