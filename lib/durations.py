"""Lengths of time in words: two units at most, the way a person would say them."""

from __future__ import annotations

from datetime import timedelta

UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def in_words(length: timedelta | float) -> str:
    """`4 min 44 s`, `6 h 13 min`, `3 d 4 h`: the largest unit and the one after it.

    Takes seconds or a timedelta; a negative length carries a minus sign.
    """
    seconds = length.total_seconds() if isinstance(length, timedelta) else float(length)
    whole = round(abs(seconds))
    sign = "−" if seconds < 0 and whole else ""
    for index, (size, unit) in enumerate(UNITS):
        if whole >= size:
            return sign + _pair(whole, index, unit)
    return "0 s"


def coarse(length: timedelta | float) -> str:
    """One unit, rounded down: `55 s`, `14 min`, `3 h`, `12 d`. For ages beside an exact time."""
    seconds = length.total_seconds() if isinstance(length, timedelta) else float(length)
    whole = max(0, int(seconds))
    for size, unit in UNITS:
        if whole >= size:
            return f"{whole // size} {unit}"
    return "0 s"


def _pair(whole: int, index: int, unit: str) -> str:
    size = UNITS[index][0]
    first, rest = divmod(whole, size)
    if index + 1 == len(UNITS):
        return f"{first} {unit}"
    next_size, next_unit = UNITS[index + 1]
    second = rest // next_size
    return f"{first} {unit} {second} {next_unit}" if second else f"{first} {unit}"
