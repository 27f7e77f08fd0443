"""The clock of an incident: its milestones on a true scale, as positions for a drawing. Pure.

Labels are put on as many levels as they need; where none is free, the tick stays and its name is in
the list below the drawing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from lib.durations import in_words

WIDTH = 1040.0
LEFT, RIGHT = 12.0, 1028.0
LEVELS = 4
LEVEL_HEIGHT = 28.0
LETTER = 6.3
GAP = 12.0
MAX_TICKS = 9

_MIN = timedelta(minutes=1)
_HOUR = timedelta(hours=1)
_DAY = timedelta(days=1)
STEPS = (
    _MIN, 2 * _MIN, 5 * _MIN, 15 * _MIN, 30 * _MIN,
    _HOUR, 2 * _HOUR, 3 * _HOUR, 6 * _HOUR, 12 * _HOUR,
    _DAY, 2 * _DAY, 7 * _DAY, 14 * _DAY, 30 * _DAY, 90 * _DAY, 365 * _DAY,
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Point:
    """A milestone to be drawn."""

    label: str
    at: datetime
    estimated: bool = False


@dataclass(frozen=True, kw_only=True)
class Mark:
    """A milestone with its place: `top` is where its tick begins; a label only where one fits."""

    point: Point
    x: float
    top: float
    text_x: float
    is_left: bool
    has_label: bool

    @property
    def name(self) -> str:
        return label_of(self.point)

    @property
    def name_y(self) -> float:
        return self.top + 10

    @property
    def time_y(self) -> float:
        return self.top + 22


@dataclass(frozen=True, kw_only=True)
class Span:
    """A coloured length: `dwell` before detection, `response` after it."""

    kind: str
    x: float
    width: float
    middle: float
    text: str


@dataclass(frozen=True, kw_only=True)
class Tick:
    """A place on the axis."""

    x: float
    text: str


@dataclass(frozen=True, kw_only=True)
class Ruler:
    """Everything a template needs, in the units of the drawing. `base` is the top of the coloured band."""

    height: float
    base: float
    marks: list[Mark]
    spans: list[Span]
    ticks: list[Tick]
    now_x: float | None
    summary: str

    @property
    def bottom(self) -> float:
        return self.base + 20

    @property
    def tick_end(self) -> float:
        return self.base + 25

    @property
    def tick_text(self) -> float:
        return self.base + 38

    @property
    def span_text(self) -> float:
        return self.base + 14


def draw(
    points: Sequence[Point], *, detected: datetime | None, ended: datetime | None, now: datetime
) -> Ruler | None:
    """The drawing; None where fewer than two moments are known.

    `ended` is when the incident was contained (or closed without that); until then it runs to `now`.
    """
    moments = sorted(points, key=lambda point: point.at)
    last = max([point.at for point in moments] + ([] if ended else [now]), default=now)
    if not moments or last - moments[0].at < timedelta(seconds=1):
        return None
    scale = _Scale(start=moments[0].at, end=last)
    marks, levels = _place(moments, scale)
    base = 8 + levels * LEVEL_HEIGHT
    return Ruler(
        height=base + 42,
        base=base,
        marks=[_lift(mark, base=base) for mark in marks],
        spans=_spans(moments[0], detected=detected, ended=ended, now=now, scale=scale),
        ticks=_ticks(scale),
        now_x=None if ended else scale.x(now),
        summary=_summary(moments, ended=ended, now=now),
    )


@dataclass(frozen=True, kw_only=True)
class _Scale:
    start: datetime
    end: datetime

    def x(self, at: datetime) -> float:
        whole = (self.end - self.start).total_seconds()
        share = min(1.0, max(0.0, (at - self.start).total_seconds() / whole))
        return round(LEFT + share * (RIGHT - LEFT), 1)


def _place(moments: list[Point], scale: _Scale) -> tuple[list[Mark], int]:
    """Put each label on the lowest level where it touches no other and no tick runs through a label."""
    placed: list[_Box] = []
    marks: list[Mark] = []
    for point in reversed(moments):
        x = scale.x(point.at)
        width = LETTER * max(len(label_of(point)), 8)
        is_left = x + width + 4 > WIDTH
        low, high = (x - width - 4, x) if is_left else (x, x + width + 4)
        boxes = [_Box(x=x, low=low, high=high, level=level) for level in range(LEVELS)]
        box = next((box for box in boxes if low >= 0 and all(box.is_clear_of(one) for one in placed)), None)
        if box is not None:
            placed.append(box)
        marks.append(
            Mark(
                point=point,
                x=x,
                top=float(box.level if box is not None else -1),
                text_x=x - 4 if is_left else x + 4,
                is_left=is_left,
                has_label=box is not None,
            )
        )
    return list(reversed(marks)), max([box.level + 1 for box in placed], default=1)


@dataclass(frozen=True, kw_only=True)
class _Box:
    """A label's room on its level, and the tick that runs down from it at `x`."""

    x: float
    low: float
    high: float
    level: int

    def is_clear_of(self, other: _Box) -> bool:
        if self.level == other.level:
            return self.high + GAP <= other.low or self.low >= other.high + GAP
        upper, lower = (self, other) if self.level > other.level else (other, self)
        return not lower.low - 2 < upper.x < lower.high + 2


def _lift(mark: Mark, *, base: float) -> Mark:
    """Turn the level of a mark into the height at which its tick begins."""
    top = base - 6 if not mark.has_label else base - (mark.top + 1) * LEVEL_HEIGHT
    return Mark(
        point=mark.point,
        x=mark.x,
        top=top,
        text_x=mark.text_x,
        is_left=mark.is_left,
        has_label=mark.has_label,
    )


def label_of(point: Point) -> str:
    """The name of a mark as drawn."""
    return f"{point.label}, estimated" if point.estimated else point.label


def _spans(
    first: Point, *, detected: datetime | None, ended: datetime | None, now: datetime, scale: _Scale
) -> list[Span]:
    if detected is None:
        return []
    spans = []
    if detected > first.at:
        spans.append(_span("dwell", first.at, detected, f"unseen {in_words(detected - first.at)}", scale))
    end = ended or now
    if end > detected:
        words = in_words(end - detected) + ("" if ended else " so far")
        spans.append(_span("response", detected, end, words, scale))
    return spans


def _span(kind: str, start: datetime, end: datetime, text: str, scale: _Scale) -> Span:
    x, right = scale.x(start), scale.x(end)
    width = max(1.0, round(right - x, 1))
    fits = width > LETTER * len(text)
    return Span(kind=kind, x=x, width=width, middle=round(x + width / 2, 1), text=text if fits else "")


def _ticks(scale: _Scale) -> list[Tick]:
    length = scale.end - scale.start
    step = next((s for s in STEPS if length / s <= MAX_TICKS), STEPS[-1])
    epoch = datetime(2020, 1, 1, tzinfo=UTC)
    at = epoch + ((scale.start - epoch) // step + 1) * step
    ticks = []
    while at <= scale.end:
        if LEFT + 16 < scale.x(at) < RIGHT - 16:
            ticks.append(Tick(x=scale.x(at), text=f"{at:%-d %b}" if step >= _DAY else f"{at:%H:%M}"))
        at += step
    return ticks


def _summary(moments: list[Point], *, ended: datetime | None, now: datetime) -> str:
    told = ", ".join(
        f"{label_of(point)} at {point.at.astimezone(UTC):%Y-%m-%d %H:%M:%S}" for point in moments
    )
    if ended:
        return f"{told}. All times UTC."
    return f"{told}. Still running at {now.astimezone(UTC):%Y-%m-%d %H:%M:%S}. All times UTC."
