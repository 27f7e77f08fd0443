"""A line chart as coordinates: what the template writes into SVG attributes. Pure.

Square-root scale, because lengths of time spread over orders of magnitude and begin at zero. A step
without a finished incident leaves a gap in the line instead of a zero.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 1040.0, 244.0
LEFT, RIGHT, TOP, BOTTOM = 56.0, 924.0, 12.0, 214.0
_TICKS = (
    (30, "30 s"), (60, "1 min"), (300, "5 min"), (900, "15 min"), (1800, "30 min"), (3600, "1 h"),
    (7200, "2 h"), (14400, "4 h"), (28800, "8 h"), (43200, "12 h"), (86400, "1 d"), (172800, "2 d"),
    (345600, "4 d"), (604800, "7 d"), (1209600, "14 d"), (2592000, "30 d"), (7776000, "90 d"),
    (31536000, "1 year"), (157680000, "5 years"),
)  # fmt: skip
_TICK_GAP = 26.0
_LABEL_GAP = 13.0
_AXIS_LABELS = 8


@dataclass(frozen=True, kw_only=True)
class Reading:
    """One step: its label, median and p90 in seconds (None without a finished incident)."""

    label: str
    median: int | None
    p90: int | None
    is_moving: bool
    says: str = ""


@dataclass(frozen=True, kw_only=True)
class Mark:
    """A point, or a text at a point."""

    x: float
    y: float
    text: str = ""
    is_hollow: bool = False

    @property
    def text_y(self) -> float:
        """Where the baseline of a text lies that stands beside this point."""
        return self.y + 4


@dataclass(frozen=True, kw_only=True)
class Chart:
    """Everything to draw. `lines` and `bands` are SVG point lists, one per unbroken run of steps."""

    ticks: tuple[Mark, ...]
    labels: tuple[Mark, ...]
    lines: tuple[str, ...]
    bands: tuple[str, ...]
    dots: tuple[Mark, ...]
    median_end: Mark | None
    p90_end: Mark | None
    width: float = WIDTH
    height: float = HEIGHT
    left: float = LEFT
    right: float = RIGHT
    bottom: float = BOTTOM


def draw(readings: Sequence[Reading]) -> Chart | None:
    """None when no step has a figure."""
    highest = max((reading.p90 for reading in readings if reading.p90 is not None), default=None)
    if highest is None:
        return None
    xs = _across(len(readings))
    ceiling = max(highest, 60)
    runs = _runs(readings)
    dots = tuple(
        Mark(x=x, y=_up(r.median, ceiling), text=r.says, is_hollow=r.is_moving)
        for x, r in zip(xs, readings, strict=True)
        if r.median is not None
    )
    median_end, p90_end = _ends(xs, readings, ceiling)
    return Chart(
        ticks=_ticks(ceiling),
        labels=_axis(xs, readings),
        lines=tuple(
            _points([(xs[i], _up(readings[i].median, ceiling)) for i in run]) for run in runs if len(run) > 1
        ),
        bands=tuple(_band(run, xs, readings, ceiling) for run in runs if len(run) > 1),
        dots=dots,
        median_end=median_end,
        p90_end=p90_end,
    )


def _across(count: int) -> list[float]:
    if count == 1:
        return [(LEFT + RIGHT) / 2]
    return [round(LEFT + (RIGHT - LEFT) * i / (count - 1), 1) for i in range(count)]


def _up(seconds: int | None, ceiling: int) -> float:
    return round(BOTTOM - (BOTTOM - TOP) * math.sqrt((seconds or 0) / ceiling), 1)


def _runs(readings: Sequence[Reading]) -> list[list[int]]:
    runs: list[list[int]] = [[]]
    for i, reading in enumerate(readings):
        if reading.median is not None:
            runs[-1].append(i)
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]


def _band(run: Sequence[int], xs: Sequence[float], readings: Sequence[Reading], ceiling: int) -> str:
    """From the p90 forth to the median back."""
    upper = [(xs[i], _up(readings[i].p90, ceiling)) for i in run]
    lower = [(xs[i], _up(readings[i].median, ceiling)) for i in reversed(run)]
    return _points(upper + lower)


def _points(places: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:g},{y:g}" for x, y in places)


def _ticks(ceiling: int) -> tuple[Mark, ...]:
    """Round lengths, from the top down, as many as have room."""
    marks: list[Mark] = []
    for seconds, text in reversed(_TICKS):
        y = _up(seconds, ceiling)
        has_room = not marks or y - marks[-1].y >= _TICK_GAP
        if seconds <= ceiling and has_room and BOTTOM - y >= _TICK_GAP / 2:
            marks.append(Mark(x=LEFT - 6, y=y, text=text))
    return tuple(marks)


def _axis(xs: Sequence[float], readings: Sequence[Reading]) -> tuple[Mark, ...]:
    every = -(-len(readings) // _AXIS_LABELS)
    return tuple(
        Mark(x=xs[i], y=HEIGHT - 10, text=readings[i].label) for i in range(len(readings) - 1, -1, -every)
    )


def _ends(xs: Sequence[float], readings: Sequence[Reading], ceiling: int) -> tuple[Mark | None, Mark | None]:
    """Where the direct labels of the two lines stand: beside the last step that has figures, apart."""
    last = max((i for i, reading in enumerate(readings) if reading.median is not None), default=None)
    if last is None or last != len(readings) - 1:
        return None, None
    x = xs[last] + 8
    low, high = _up(readings[last].median, ceiling), _up(readings[last].p90, ceiling)
    if low - high < _LABEL_GAP:
        high = low - _LABEL_GAP
    return Mark(x=x, y=low), Mark(x=x, y=high)
