"""The clock of an incident: to scale, readable, and the same for the same times."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cases import ruler
from cases.ruler import Point

pytestmark = pytest.mark.fast

NOW = datetime(2026, 11, 24, 2, 51, tzinfo=UTC)


def draw(*points: Point, detected: datetime | None = None, ended: datetime | None = None) -> ruler.Ruler:
    drawn = ruler.draw(points, detected=detected, ended=ended, now=NOW)
    assert drawn is not None
    return drawn


def test_positions_are_to_scale() -> None:
    start, middle = NOW - timedelta(hours=8), NOW - timedelta(hours=4)

    drawn = draw(
        Point(label="Attacker access", at=start), Point(label="Detected", at=middle), detected=middle
    )

    first, second = drawn.marks
    assert first.x == ruler.LEFT
    assert second.x == pytest.approx((ruler.LEFT + ruler.RIGHT) / 2, abs=0.1)
    assert drawn.now_x == ruler.RIGHT
    assert [span.text for span in drawn.spans] == ["unseen 4 h", "4 h so far"]


def test_an_incident_that_ended_does_not_run_on() -> None:
    detected, ended = NOW - timedelta(days=3), NOW - timedelta(days=2)

    drawn = draw(
        Point(label="Detected", at=detected),
        Point(label="Contained", at=ended),
        detected=detected,
        ended=ended,
    )

    assert drawn.now_x is None
    assert drawn.marks[-1].x == ruler.RIGHT
    assert [span.text for span in drawn.spans] == ["1 d"]
    assert "Still running" not in drawn.summary


def test_there_is_nothing_to_draw_without_a_length() -> None:
    assert ruler.draw([], detected=None, ended=None, now=NOW) is None
    assert ruler.draw([Point(label="Detected", at=NOW)], detected=NOW, ended=None, now=NOW) is None


@given(st.lists(st.integers(0, 10_000_000), min_size=1, max_size=9, unique=True))
def test_labels_never_touch_and_nothing_leaves_the_drawing(seconds: list[int]) -> None:
    points = [Point(label="Acknowledged", at=NOW - timedelta(seconds=s)) for s in seconds]
    drawn = ruler.draw(points, detected=points[0].at, ended=None, now=NOW)
    if drawn is None:
        return

    assert all(ruler.LEFT <= mark.x <= ruler.RIGHT for mark in drawn.marks)
    assert len(drawn.ticks) <= ruler.MAX_TICKS + 1
    assert all(left.x < right.x for left, right in pairwise(drawn.ticks))
    for level in {mark.top for mark in drawn.marks if mark.has_label}:
        boxes = sorted(_box(mark) for mark in drawn.marks if mark.has_label and mark.top == level)
        assert all(before[1] <= after[0] for before, after in pairwise(boxes))
        assert all(low >= 0 and high <= ruler.WIDTH for low, high in boxes)

    for upper in (mark for mark in drawn.marks if mark.has_label):
        for lower in (mark for mark in drawn.marks if mark.has_label and mark.top > upper.top):
            low, high = _box(lower)
            assert not low < upper.x < high


def _box(mark: ruler.Mark) -> tuple[float, float]:
    width = ruler.LETTER * len(mark.name)
    return (mark.text_x - width, mark.text_x) if mark.is_left else (mark.text_x, mark.text_x + width)
