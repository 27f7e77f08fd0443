"""The metrics page and the list of incidents behind each figure. Reads, never writes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse

from cases.milestones import LABELS
from cases.words import MilestoneKind
from identity.permissions import Permission
from identity.requests import actor_of, signed_in
from lib import clock
from lib.errors import Forbidden, Invalid
from metrics import chart, queries
from metrics.definitions import VERSION, Interval, Metric, State, basis, is_investigated
from metrics.queries import By, Case, Every, Line, Measured, Period, Shown, Step, Summary
from metrics.templatetags.figures import rounded

CHART = "time_to_contain"
WEEKLY_UP_TO = timedelta(days=190)
PERIODS = ((30, "Last 30 days"), (90, "Last 90 days"), (365, "Last 12 months"))
OUT = {
    "exercise": ("exercise", "exercises"),
    "sample": ("sample", "samples"),
    "false_positive": ("false positive", "false positives"),
    "benign": ("benign", "benign"),
    "duplicate": ("duplicate", "duplicates"),
    "suppressed": ("suppressed", "suppressed"),
}
STATES = {
    Shown.ALL: "All incidents",
    Shown.FINISHED: "Finished",
    Shown.MISSING: "Missing",
    Shown.OPEN: "Open",
    Shown.NEGATIVE: "Run backwards",
    Shown.EXCLUDED: "Left out",
    Shown.NO_VERDICT: "Without a verdict",
    Shown.REOPENED: "Reopened",
    Shown.UNDATED: "Without a time of detection",
}


RESTS = {
    "by_quell": "read back by Quell",
    "observed": "observed",
    "imported": "imported",
    "investigated": "starts investigated",
    "from_alert": "from the alert itself",
    "estimated": "starts estimated",
}
WHY = {
    "attested": "On a person's word, not read back",
    "not_needed": "Needed no containment",
    "exercise": "Exercise",
    "sample": "Sample",
    "false_positive": "False positive",
    "benign": "Benign",
    "duplicate": "Duplicate",
    "suppressed": "Suppressed",
}


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What the address asks for, and addresses that differ from it in some parameters."""

    period: Period
    filters: Mapping[By, str]
    by: By
    metric: str
    every: Every
    now: datetime

    def url(self, page: str = "metrics", /, **changed: str | None) -> str:
        """An address of this or another page; a parameter changed to None is left out."""
        given: dict[str, str | None] = {
            "from": _day(self.period.start),
            "to": _day(self.period.end),
            **{by.value: value for by, value in self.filters.items()},
        }
        if page == "metrics":
            given |= {"by": self.by.value, "metric": self.metric, "interval": self.every.value}
        given |= changed
        return f"{reverse(page)}?{urlencode({k: v for k, v in given.items() if v is not None})}"

    def lines(self, metric: str, shown: str, **changed: str | None) -> str:
        """The address of the incidents behind a figure."""
        return self.url("metrics-incidents", metric=metric, state=shown, **changed)


@dataclass(frozen=True, kw_only=True)
class Tile:
    """One metric with the addresses of its incidents."""

    measured: Measured
    is_chosen: bool
    url: str
    lines: str
    missing: str
    open: str
    whole: str

    @property
    def parts(self) -> list[tuple[str, str]]:
        """The median as numbers and units: `[("1", "h"), ("12", "min")]`."""
        seconds = self.measured.figures.median_seconds
        words = rounded(seconds).split() if seconds is not None else []
        return list(zip(words[::2], words[1::2], strict=True))

    @property
    def rests_on(self) -> str:
        """What the ends or starts rest on, in words; empty where there is nothing to tell apart."""
        told = {**self.measured.by_basis, **self.measured.starts}
        parts = [f"{told[word]} {says}" for word, says in RESTS.items() if told.get(word)]
        known = self.measured.without_estimates
        if known and self.measured.starts.get("estimated") and known.median_seconds is not None:
            parts.append(f"without estimates {rounded(known.median_seconds)}, n {known.n}")
        return ", ".join(parts)

    @property
    def is_same(self) -> bool:
        """Whether open incidents leave the median where it is."""
        return self.measured.figures.km_median_seconds == self.measured.figures.median_seconds


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of a table of figures: a slice or a step, with the addresses behind its counts."""

    label: str
    measured: Measured
    incidents: int
    url: str
    lines: str
    missing: str
    open: str
    band: str = ""
    is_moving: bool = False


@dataclass(frozen=True, kw_only=True)
class Remark:
    """One line about what the figures rest on."""

    count: int
    text: str
    detail: str
    url: str = ""


@dataclass(frozen=True, kw_only=True)
class Behind:
    """One incident behind a figure, with why it is where it is."""

    line: Line
    why: str

    @property
    def case(self) -> Case:
        return self.line.case

    @property
    def interval(self) -> Interval:
        return self.line.interval


@signed_in
def page(request: HttpRequest) -> HttpResponse:
    """Figures of a period: tiles, trend, slices, and what they rest on."""
    actor = actor_of(request)
    if not actor.may(Permission.READ_METRICS):
        raise Forbidden
    refusal = ""
    try:
        asked = _asked(request.GET)
    except Invalid as wrong:
        refusal, asked = wrong.detail, _asked({})
    found = queries.summary(
        actor=actor, period=asked.period, as_of=asked.now, by=asked.by, filters=asked.filters
    )
    trend = queries.trend(
        actor=actor, period=asked.period, every=asked.every, as_of=asked.now, filters=asked.filters
    )
    steps = [_step(asked, step) for step in trend]
    days_shown = asked.period.days
    shown = {
        "asked": asked,
        "refusal": refusal,
        "found": found,
        "version": VERSION,
        "days": days_shown,
        "last_day": asked.period.end - timedelta(microseconds=1),
        "periods": [_choice(asked, days, label) for days, label in PERIODS],
        "filters": [(by, value, asked.url(**{by.value: None})) for by, value in asked.filters.items()],
        "out": _out(found),
        "left_out": sum(found.population.excluded.values()),
        "excluded": asked.lines(asked.metric, Shown.EXCLUDED),
        "wider": "" if days_shown >= PERIODS[-1][0] else _choice(asked, *PERIODS[-1])[1],
        "last_median": rounded(steps[-1].measured.figures.median_seconds or 0),
        "last_p90": rounded(steps[-1].measured.figures.p90_seconds or 0),
        "finding": _finding(asked, found, steps),
        "tiles": [_tile(asked, measured) for measured in found.metrics.values()],
        "chosen": found.metrics[asked.metric],
        "everies": [(every, asked.url(interval=every.value)) for every in Every],
        "steps": steps,
        "chart": chart.draw([_reading(row) for row in steps]),
        "slices": [(by, asked.url(by=by.value) + "#slices") for by in By],
        "groups": [_group(asked, group) for group in found.groups],
        "remarks": _remarks(asked, found),
        "json": _json(asked),
    }
    return render(request, "metrics/page.html", shown, status=422 if refusal else 200)


@signed_in
def incidents(request: HttpRequest) -> HttpResponse:
    """The incidents behind one figure, a hundred at a time."""
    actor = actor_of(request)
    if not actor.may(Permission.READ_METRICS):
        raise Forbidden
    asked = _asked(request.GET)
    metric = queries.metric_named(asked.metric)
    shown = Shown.parse(request.GET.get("state", Shown.ALL))
    lines = queries.drill_down(
        actor=actor,
        period=asked.period,
        metric=metric,
        shown=shown,
        as_of=asked.now,
        filters=asked.filters,
    )
    start = _position(request.GET.get("after", "0"))
    more = asked.lines(metric.key, shown, after=str(start + queries.PAGE))
    return render(
        request,
        "metrics/incidents.html",
        {
            "asked": asked,
            "metric": metric,
            "shown": shown,
            "title": STATES[shown],
            "tabs": [
                (label, asked.lines(metric.key, state), state == shown) for state, label in STATES.items()
            ],
            "back": asked.url(metric=metric.key),
            "last_day": asked.period.end - timedelta(microseconds=1),
            "total": len(lines),
            "start": start,
            "filters": list(asked.filters.items()),
            "lines": [
                Behind(line=line, why=_why(line, metric)) for line in lines[start : start + queries.PAGE]
            ],
            "more": more if start + queries.PAGE < len(lines) else "",
            "rest": len(lines) - start - queries.PAGE,
        },
    )


def _asked(given: Mapping[str, Any]) -> Asked:
    now = clock.now()
    period = queries.period(since=given.get("from"), until=given.get("to"), now=now)
    usual = Every.WEEK if period.end - period.start <= WEEKLY_UP_TO else Every.MONTH
    return Asked(
        period=period,
        filters=queries.where(given),
        by=By.parse(given.get("by") or By.SEVERITY),
        metric=queries.metric_named(given.get("metric") or CHART).key,
        every=Every.parse(given.get("interval") or usual),
        now=now,
    )


def _position(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 9 else 0


def _day(at: datetime) -> str:
    """As it came: a day where it is midnight, else the moment."""
    at = at.astimezone(UTC)
    return f"{at:%Y-%m-%d}" if at == at.replace(hour=0, minute=0, second=0, microsecond=0) else at.isoformat()


def _choice(asked: Asked, days: int, label: str) -> tuple[str, str, bool]:
    period = queries.period(since=None, until=None, now=asked.now)
    start = period.end - timedelta(days=days)
    is_current = asked.period == Period(start=start, end=period.end)
    return label, asked.url(**{"from": _day(start), "to": _day(period.end), "interval": None}), is_current


def _out(found: Summary) -> str:
    """`6 exercises, 5 false positives`; empty when nothing is left out."""
    counts = found.population.excluded
    return ", ".join(
        f"{n} {OUT[reason][n != 1]}" for reason, n in sorted(counts.items(), key=lambda item: -item[1])
    )


def _finding(asked: Asked, found: Summary, steps: list[Row]) -> str:
    """What the chart says, in a sentence."""
    figures = found.metrics[asked.metric].figures
    name = found.metrics[asked.metric].metric.name.lower()
    told = [(r.label, r.measured.figures.median_seconds) for r in steps if r.measured.figures.n]
    ends = [f"{rounded(seconds or 0)} ({label})" for label, seconds in told]
    course = f"from {ends[0]} to {ends[-1]}" if len(ends) > 1 else "".join(ends)
    return f"Median {name} by {asked.every}: {course}. {figures.n} finished, {figures.open} open."


def _why(line: Line, metric: Metric) -> str:
    """Why an incident is in its state, in words."""
    reason, times = line.interval.reason, line.case.times
    if reason in WHY:
        return WHY[reason]
    if reason in set(MilestoneKind):
        return f"{LABELS[MilestoneKind(reason)]}: not recorded"
    if " before " in reason:
        end, start = (LABELS[MilestoneKind(kind)] for kind in reason.split(" before "))
        return f"{end} lies before {start.lower()}"
    if reason:
        return f"{LABELS[MilestoneKind(reason.split()[0])]} lies in the future"
    if line.interval.state == State.OPEN:
        return "Not there yet, age so far"
    if metric.key == "time_to_detect":
        return "First indicator investigated" if is_investigated(times) else "First indicator from the alert"
    if metric.key in ("time_to_contain", "dwell_time"):
        estimated = ", start estimated" if metric.key == "dwell_time" and times.access_estimated else ""
        return f"{RESTS[basis(times)].capitalize()}{estimated}".replace("quell", "Quell")
    return "Both times recorded"


def _tile(asked: Asked, measured: Measured) -> Tile:
    key = measured.metric.key
    return Tile(
        measured=measured,
        is_chosen=key == asked.metric,
        url=asked.url(metric=key) + "#trend",
        lines=asked.lines(key, Shown.FINISHED),
        missing=asked.lines(key, Shown.MISSING),
        open=asked.lines(key, Shown.OPEN),
        whole=asked.lines(key, Shown.ALL),
    )


def _step(asked: Asked, step: Step) -> Row:
    span = {"from": _day(step.period.start), "to": _day(step.period.end)}
    measured = step.metrics[asked.metric]
    return Row(
        label=_step_label(step, asked.every),
        measured=measured,
        incidents=step.population.incidents,
        url=asked.lines(asked.metric, Shown.ALL, **span),
        lines=asked.lines(asked.metric, Shown.FINISHED, **span),
        missing=asked.lines(asked.metric, Shown.MISSING, **span),
        open=asked.lines(asked.metric, Shown.OPEN, **span),
        is_moving=measured.figures.at_least or step.period.end > asked.now,
    )


def _step_label(step: Step, every: Every) -> str:
    at = step.period.start
    return f"{at:%b %Y}" if every == Every.MONTH else f"{at.day} {at:%b}"


def _reading(row: Row) -> chart.Reading:
    figures = row.measured.figures
    return chart.Reading(
        label=row.label,
        median=figures.median_seconds,
        p90=figures.p90_seconds,
        is_moving=row.is_moving,
        says=f"{row.label}: {rounded(figures.median_seconds or 0)}, n {figures.n}, {figures.open} open",
    )


def _group(asked: Asked, group: queries.Group) -> Row:
    """A month narrows the period, any other value of a slice filters."""
    is_month = asked.by == By.MONTH
    span = _month(group.value, asked.period) if is_month else {asked.by.value: group.value}
    return Row(
        label=group.label,
        band=group.value if asked.by == By.SEVERITY else "",
        measured=group.metrics[asked.metric],
        incidents=group.population.incidents,
        url=asked.url(**span),
        lines=asked.lines(asked.metric, Shown.FINISHED, **span),
        missing=asked.lines(asked.metric, Shown.MISSING, **span),
        open=asked.lines(asked.metric, Shown.OPEN, **span),
    )


def _month(value: str, period: Period) -> dict[str, str]:
    first = datetime.fromisoformat(f"{value}-01").replace(tzinfo=UTC)
    after = (first + timedelta(days=32)).replace(day=1)
    return {"from": _day(max(first, period.start)), "to": _day(min(after, period.end))}


def _json(asked: Asked) -> str:
    given = {"from": _day(asked.period.start), "to": _day(asked.period.end), "by": asked.by.value}
    given |= {by.value: value for by, value in asked.filters.items()}
    return f"{reverse('api-metrics-summary')}?{urlencode(given)}"


def _remarks(asked: Asked, found: Summary) -> list[Remark]:
    """What the figures rest on, only where there is something to say."""
    remarks = [
        *_gaps(asked, found),
        *_backwards(asked, found),
        *_starts(asked, found),
        *_beside(asked, found),
    ]
    return [remark for remark in remarks if remark.count]


def _gaps(asked: Asked, found: Summary) -> list[Remark]:
    """Missing starts, and ends that nobody read back."""
    of = f"of {found.population.incidents} lack"
    word = found.metrics["time_to_contain"].by_basis.get("attested", 0)
    told = {
        "time_to_detect": ("a first indicator of compromise", "Time to detect leaves them out."),
        "dwell_time": ("attacker access or a contained time", "Dwell time leaves them out."),
        "time_to_contain": (
            "a contained time that was read back",
            "Closed without one, or on a person's word.",
        ),
    }
    gaps = [
        Remark(
            count=found.metrics[key].figures.missing,
            text=f"{of} {what}",
            detail=detail,
            url=asked.lines(key, Shown.MISSING),
        )
        for key, (what, detail) in told.items()
    ]
    attested = Remark(
        count=word,
        text="contained on a person's word",
        detail="Not read back from AWS: counted as missing in time to contain.",
        url=asked.lines("time_to_contain", Shown.MISSING),
    )
    return [*gaps, attested]


def _backwards(asked: Asked, found: Summary) -> list[Remark]:
    return [
        Remark(
            count=measured.figures.negative,
            text=f"run backwards in {measured.metric.name.lower()}",
            detail="The end lies before the start. Listed, not averaged.",
            url=asked.lines(key, Shown.NEGATIVE),
        )
        for key, measured in found.metrics.items()
    ]


def _starts(asked: Asked, found: Summary) -> list[Remark]:
    detect, dwell = found.metrics["time_to_detect"], found.metrics["dwell_time"]
    known = dwell.without_estimates
    without = (
        f"Dwell without them: median {rounded(known.median_seconds)}, n {known.n}."
        if known and known.median_seconds is not None
        else "Dwell without them: nothing to show."
    )
    return [
        Remark(
            count=dwell.starts.get("estimated", 0),
            text=f"of {dwell.figures.n} attacker-access times are estimates",
            detail=without,
            url=asked.lines("dwell_time", Shown.FINISHED),
        ),
        Remark(
            count=detect.starts.get("from_alert", 0),
            text=f"of {detect.figures.n} first indicators come from the alert itself",
            detail=f"{detect.starts.get('investigated', 0)} were investigated.",
            url=asked.lines("time_to_detect", Shown.FINISHED),
        ),
    ]


def _beside(asked: Asked, found: Summary) -> list[Remark]:
    population = found.population
    return [
        Remark(
            count=population.no_verdict,
            text="have no verdict yet",
            detail="Counted until somebody decides otherwise.",
            url=asked.lines(asked.metric, Shown.NO_VERDICT),
        ),
        Remark(
            count=population.reopened,
            text="were reopened",
            detail="Their last end counts.",
            url=asked.lines(asked.metric, Shown.REOPENED),
        ),
        Remark(
            count=population.undated,
            text="have no time of detection",
            detail="Opened in this period, in no figure.",
            url=asked.lines(asked.metric, Shown.UNDATED),
        ),
        Remark(
            count=population.restricted,
            text="restricted incidents" if population.restricted > 1 else "restricted incident",
            detail="Only for the people named in them; left out here.",
        ),
    ]
