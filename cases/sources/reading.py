"""Reading documents in which anything may be missing, or of another kind than it should be."""

from __future__ import annotations

import re
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


PASCAL = re.compile(r"[A-Z][a-z0-9]")


def lowered(value: JSON) -> JSON:
    """The same with keys in lowerCamel; what is in capitals altogether stays."""
    if isinstance(value, list):
        return [lowered(member) for member in value]
    if not isinstance(value, dict):
        return value
    return {
        (name[0].lower() + name[1:] if PASCAL.match(name) else name): lowered(member)
        for name, member in value.items()
    }


def pairs(value: JSON, *path: str, most: int = 100) -> tuple[tuple[str, str], ...]:
    """AWS tags there: an object, or a list of objects with `key`/`value` (also `Key`/`Value`, `name`)."""
    found = at(value, *path)
    told = list(found.items()) if isinstance(found, dict) else []
    for one in objects(found if isinstance(found, list) else []):
        name = text(one, "key") or text(one, "Key") or text(one, "name")
        told.append((name, at(one, "value") or at(one, "Value")))
    clean = [(text(name, most=128), text(member, most=256)) for name, member in told[:most]]
    return tuple(dict(pair for pair in clean if pair[0]).items())


def time(value: JSON) -> datetime:
    """A moment in UTC from ISO 8601 text (without offset: UTC), Inspector's
    `Jan 19, 2022, 10:46:15 PM` (UTC), or seconds or milliseconds since 1970.

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
    spelled = value.strip()
    if spelled[:1].isalpha():
        return datetime.strptime(spelled + " +0000", "%b %d, %Y, %I:%M:%S %p %z")
    found = datetime.fromisoformat(spelled)
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)


def time_or_none(value: JSON, *path: str) -> datetime | None:
    """The moment there, None where nothing is; a moment that cannot be read is as good as none."""
    try:
        return time(at(value, *path))
    except Unreadable:
        return None
