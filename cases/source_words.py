"""What is said of a source: how it is, why, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

from django.urls import reverse

from cases.source_health import Health, SourceRow, Trouble
from lib import durations

SAID = {
    Health.FAILING: "Failing",
    Health.SILENT: "Fell silent",
    Health.NEVER: "Never heard",
    Health.HEALTHY: "Healthy",
    Health.QUIET: "Quiet",
}
BAR_WIDTH = 4
BAR_STEP = 5
BAR_HEIGHT = 20


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One hour of the small chart: where it stands, how high, and how much of it could not be read."""

    x: int
    y: float
    height: float
    bad_y: float
    bad_height: float
    title: str


@dataclass(frozen=True, kw_only=True)
class Step:
    """What to do, and where; without an address it is a thing to do elsewhere."""

    text: str
    url: str = ""


def reasons(row: SourceRow, names: Mapping[str, str], *, at: datetime) -> list[str]:
    """Why the source is called what it is called, in sentences."""
    said = []
    if row.health is Health.FAILING and row.quarantined is not None and row.documents is not None:
        said.append(
            f"{row.quarantined} of {row.quarantined + row.documents} documents of 24 h could not be read;"
            f" {row.waiting} wait in quarantine."
        )
    if row.silent:
        said.append(_silence(row, names, at=at))
    if row.never:
        said.append(_never(row, names, at=at))
    return said or [_calm(row, at=at)]


def steps(row: SourceRow) -> list[Step]:
    """What to do about it; nothing where nothing is wrong."""
    found = []
    if row.waiting and (row.health is Health.FAILING or row.source == "auto"):
        query = urlencode({"source": row.source})
        found.append(Step(text="Read why", url=f"{reverse('quarantine')}?{query}"))
    if row.silent:
        found.append(Step(text="Alarms: fell silent", url=_alarms(row.source, "fell silent")))
    if row.never:
        found.append(Step(text="Alarms: never heard", url=_alarms(row.source, "was never heard")))
    if row.silent or row.never:
        found.append(Step(text="Check rule, bus and queue: docs/howto/connect-aws.md, Checks"))
    return found


def bars(row: SourceRow) -> list[Bar]:
    """The hours as bars on a scale of their own: the highest hour is as high as the chart."""
    top = max((hour.documents + hour.quarantined for hour in row.hours), default=0)
    if not top:
        return []
    found = []
    for number, hour in enumerate(row.hours):
        whole = _height(hour.documents + hour.quarantined, top)
        bad = _height(hour.quarantined, top)
        came = f"{hour.at.astimezone(UTC):%H:%M} UTC: {hour.documents} read"
        found.append(
            Bar(
                x=number * BAR_STEP,
                y=BAR_HEIGHT - whole,
                height=whole,
                bad_y=BAR_HEIGHT - bad,
                bad_height=bad,
                title=f"{came}, {hour.quarantined} not readable" if hour.quarantined else came,
            )
        )
    return found


def finding(row: SourceRow) -> str:
    """What the small chart shows, for who does not see it."""
    top = max(row.hours, key=lambda hour: hour.documents + hour.quarantined)
    most = top.documents + top.quarantined
    if not most:
        return "No document in 24 h"
    return (
        f"{row.documents:,} read and {row.quarantined:,} not readable in 24 h;"
        f" the most, {most:,}, from {top.at.astimezone(UTC):%H:%M} UTC"
    )


def _height(count: int, top: int) -> float:
    """At least a line for what is not nothing."""
    return round(max(1.0, count / top * BAR_HEIGHT), 1) if count else 0.0


def _silence(row: SourceRow, names: Mapping[str, str], *, at: datetime) -> str:
    worst = next((one for one in row.troubles if not one.is_never), None)
    said = f"Silent in {row.silent} of {_places(row.expected)} where it is expected"
    if worst is None:
        return f"{said}."
    return (
        f"{said}; the longest {_place(worst, names)}, for {durations.in_words(at - worst.since)}"
        f" instead of {durations.in_words(worst.silent_after)} at most."
    )


def _never(row: SourceRow, names: Mapping[str, str], *, at: datetime) -> str:
    first = next((one for one in row.troubles if one.is_never), None)
    said = f"Never heard in {row.never} of {_places(row.expected)} where it is expected"
    if first is None:
        return f"{said}."
    return f"{said}; {_place(first, names)} for {durations.in_words(at - first.since)}."


def _calm(row: SourceRow, *, at: datetime) -> str:
    if row.source == "auto":
        return "Bodies whose source Quell had to find out, and could not."
    if row.awaited:
        return f"Heard in {row.expected - row.awaited} of {_places(row.expected)}; the others have time left."
    if row.expected:
        return f"Heard wherever it is expected: {_places(row.expected)}."
    if row.last_at is None:
        return "Nothing was ever heard of it for an account that you see."
    if row.last_at > at - timedelta(days=1):
        return "Nobody said how long it may be silent, so its silence raises no alarm."
    return (
        f"Nothing for {durations.coarse(at - row.last_at)}. No alarm: nobody said how long it may be silent."
    )


def _places(count: int) -> str:
    return f"{count} place{'' if count == 1 else 's'}"


def _place(trouble: Trouble, names: Mapping[str, str]) -> str:
    account = names.get(trouble.account, trouble.account)
    return " in ".join(part for part in (account, trouble.region) if part) or "its team"


def alarm_of(source: str, account: str, region: str, *, is_never: bool) -> str:
    """The address of the alarm of one place; `account` by name where it has one."""
    verb = "was never heard" if is_never else "fell silent"
    place = " in ".join(part for part in (account, region) if part)
    return _alarms(source, f"{verb}: {place}" if place else verb)


def _alarms(source: str, words: str) -> str:
    query = urlencode({"status": "all", "q": f"{source} {words}"})
    return f"{reverse('alerts')}?{query}"
