"""The figures of a period: population, summary, slices, trend, and the incidents behind each figure.

One query loads the columns that the definitions need, for the period and the one before it; nothing
is averaged in the database, so that both engines give the same answer and it can be traced.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import Any

from django.db.models import CharField, F, OuterRef, Q, QuerySet, Subquery, Value
from django.db.models.expressions import Combinable
from django.db.models.functions import Coalesce

from cases import access
from cases.models import Alert, Incident, Milestone
from cases.words import Band, Basis, MilestoneKind
from estate.models import Account
from identity.actors import Actor
from identity.permissions import Permission
from lib.errors import Invalid
from metrics import definitions
from metrics.definitions import (
    BY_KEY,
    METRICS,
    Change,
    Figures,
    Interval,
    Metric,
    State,
    Times,
    basis,
    compare,
    is_investigated,
    left_out,
    summarise,
)

DEFAULT_DAYS = 90
LONGEST = timedelta(days=3660)
PAGE = 100
LONGEST_OPEN = 5
YEARS = range(1970, 9000)  # arithmetic with others falls off the calendar


# --- periods --------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Period:
    """From `start` up to and without `end`, in UTC."""

    start: datetime
    end: datetime

    @property
    def before(self) -> Period:
        """The period of the same length that ends where this one starts."""
        return Period(start=self.start - (self.end - self.start), end=self.start)

    @property
    def days(self) -> int:
        """Length in days, a started day counted as one."""
        return -(-(self.end - self.start) // timedelta(days=1))

    def holds(self, at: datetime) -> bool:
        return self.start <= at < self.end


def period(*, since: str | None, until: str | None, now: datetime) -> Period:
    """The period between two dates or RFC 3339 times; by default the last 90 UTC days, today included.

    Raises `Invalid` for what is neither, and for a period that is empty or longer than ten years.
    """
    end = _moment(until, pointer="/to") if until else _day_after(now)
    start = _moment(since, pointer="/from") if since else end - timedelta(days=DEFAULT_DAYS)
    if start >= end:
        raise Invalid("The period is empty: give a start before its end.", pointer="/from")
    if end - start > LONGEST:
        raise Invalid("Give a period of at most ten years.", pointer="/from")
    return Period(start=start, end=end)


def _day_after(now: datetime) -> datetime:
    return datetime.combine(now.astimezone(UTC).date() + timedelta(days=1), time(), tzinfo=UTC)


def _moment(text: str, *, pointer: str) -> datetime:
    try:
        if len(text) == len("2026-11-24"):
            at = datetime.combine(date.fromisoformat(text), time(), tzinfo=UTC)
        else:
            at = datetime.fromisoformat(text)
    except ValueError as failure:
        raise Invalid("Give a date, 2026-11-24, or a time with its zone.", pointer=pointer) from failure
    if at.tzinfo is None:
        raise Invalid("A time needs its zone, Z for UTC.", pointer=pointer)
    if at.year not in YEARS:
        raise Invalid("Give a year from 1970 to 8999.", pointer=pointer)
    return at.astimezone(UTC)


# --- slices ---------------------------------------------------------------------------------------


class By(StrEnum):
    """What figures can be sliced and, the month excepted, filtered by."""

    SEVERITY = "severity"
    KIND = "kind"
    ACCOUNT = "account"
    ENVIRONMENT = "environment"
    TEAM = "team"
    SOURCE = "source"
    OWNER = "owner"
    MONTH = "month"

    @classmethod
    def parse(cls, word: str) -> By:
        """Raises `Invalid`, naming what there is."""
        try:
            return cls(word)
        except ValueError as failure:
            raise Invalid(f"Slice by one of {', '.join(cls)}.", pointer="/by") from failure


NOTHING = {
    By.KIND: "No kind given",
    By.ACCOUNT: "No account",
    By.ENVIRONMENT: "Account not in the estate",
    By.SOURCE: "No alert",
    By.OWNER: "Nobody",
}


def _text(expression: str | Combinable | Subquery) -> Coalesce:
    return Coalesce(expression, Value(""), output_field=CharField())


def _account(column: str) -> Subquery:
    return Subquery(Account.objects.filter(account_id=OuterRef("account")).values(column)[:1])


def _first_source() -> Subquery:
    alerts = Alert.objects.filter(incident=OuterRef("pk")).order_by("detected_at", "pk")
    return Subquery(alerts.values("source")[:1])


_VALUE: Mapping[By, Callable[[], Combinable]] = {
    By.SEVERITY: lambda: F("severity_band"),
    By.KIND: lambda: F("kind"),
    By.ACCOUNT: lambda: F("account"),
    By.ENVIRONMENT: lambda: _text(_account("environment")),
    By.TEAM: lambda: F("team__slug"),
    By.SOURCE: lambda: _text(_first_source()),
    By.OWNER: lambda: _text("owner__ulid"),
}
_LABEL: Mapping[By, Callable[[], Combinable]] = {
    By.ACCOUNT: lambda: _text(_account("name")),
    By.TEAM: lambda: F("team__name"),
    By.OWNER: lambda: _text("owner__name"),
}


def where(given: Mapping[str, str]) -> dict[By, str]:
    """The filters among some query parameters: any slice but the month, `severity=high`.

    PostgreSQL takes no NUL; what holds one is like no value that there is.
    """
    return {by: given[by].replace("\0", "\ufffd") for by in _VALUE if by in given}


# --- the cohort -----------------------------------------------------------------------------------

_TIMES = tuple(kind.value for kind in MilestoneKind)
_COLUMNS = (
    "ref", "title", "severity_band", "status", "opened_at", "reopened", "verdict", "is_exercise",
    "contained_basis", *_TIMES, "first_ioc_source", "access_estimated", "slice_value", "slice_label",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """One incident as far as figures need it."""

    ref: str
    title: str
    band: str
    status: str
    opened_at: datetime
    is_reopened: bool
    times: Times
    slice_value: str = ""
    slice_label: str = ""

    @property
    def out(self) -> str:
        return left_out(self.times)


@dataclass(frozen=True, kw_only=True)
class Population:
    """Whom the figures speak of.

    `incidents` is how many count. `excluded` says how many do not, by reason; `no_verdict`,
    `reopened` are among those that count. `restricted` incidents are left out unseen, `undated` were
    opened in the period but nobody knows when they were detected.
    """

    incidents: int
    excluded: Mapping[str, int]
    no_verdict: int
    reopened: int
    restricted: int = 0
    undated: int = 0


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One metric over one set of incidents."""

    metric: Metric
    figures: Figures
    change: Change | None = None
    by_basis: Mapping[str, int] = field(default_factory=dict)
    starts: Mapping[str, int] = field(default_factory=dict)
    without_estimates: Figures | None = None


@dataclass(frozen=True, kw_only=True)
class Group:
    """The figures of one value of a slice, or of one step of a trend."""

    value: str
    label: str
    population: Population
    metrics: Mapping[str, Measured]


@dataclass(frozen=True, kw_only=True)
class Summary:
    """The figures of a period as of a moment, with those of each slice.

    `not_contained` lists the incidents of the period that have waited longest for containment.
    """

    period: Period
    as_of: datetime
    population: Population
    metrics: Mapping[str, Measured]
    by: By | None = None
    groups: tuple[Group, ...] = ()
    not_contained: tuple[Line, ...] = ()


def summary(
    *,
    actor: Actor,
    period: Period,
    as_of: datetime,
    by: By | None = None,
    filters: Mapping[By, str] | None = None,
) -> Summary:
    """Every metric of the incidents detected in the period, compared with the period before."""
    found = _load(actor, Period(start=period.before.start, end=period.end), by=by, filters=filters or {})
    now = [case for case in found if _is_of(case, period)]
    before = [case for case in found if not _is_of(case, period)]
    hidden = _in(access.hidden_incidents(actor, permission=Permission.READ_METRICS), period)
    return Summary(
        period=period,
        as_of=as_of,
        population=_population(now, restricted=_narrow(hidden, filters or {}).count()),
        metrics=_measure(now, as_of=as_of, before=before),
        by=by,
        groups=_groups(now, by=by, as_of=as_of) if by else (),
        not_contained=tuple(_lines(now, BY_KEY["time_to_contain"], Shown.OPEN, as_of=as_of)[:LONGEST_OPEN]),
    )


# --- trend ----------------------------------------------------------------------------------------


class Every(StrEnum):
    """The step of a trend. Weeks start on Monday; the first and last step may be cut by the period."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"

    @classmethod
    def parse(cls, word: str) -> Every:
        """Raises `Invalid`, naming what there is."""
        try:
            return cls(word)
        except ValueError as failure:
            raise Invalid(f"Step by one of {', '.join(cls)}.", pointer="/interval") from failure


@dataclass(frozen=True, kw_only=True)
class Step:
    """The figures of one step of a trend."""

    period: Period
    population: Population
    metrics: Mapping[str, Measured]


def trend(
    *,
    actor: Actor,
    period: Period,
    every: Every,
    as_of: datetime,
    filters: Mapping[By, str] | None = None,
) -> tuple[Step, ...]:
    """Every metric per day, week or month of detection, steps without an incident included."""
    steps = list(_steps(period, every))
    cohorts: list[list[Case]] = [[] for _ in steps]
    place = 0
    for case in sorted(_load(actor, period, by=None, filters=filters or {}), key=_cohort_time):
        while _cohort_time(case) >= steps[place].end:
            place += 1
        cohorts[place].append(case)
    return tuple(
        Step(period=step, population=_population(cases), metrics=_measure(cases, as_of=as_of))
        for step, cases in zip(steps, cohorts, strict=True)
    )


def _steps(period: Period, every: Every) -> Iterable[Period]:
    start = period.start
    while start < period.end:
        end = min(_next(start, every), period.end)
        yield Period(start=start, end=end)
        start = end


def _next(at: datetime, every: Every) -> datetime:
    day = datetime.combine(at.date(), time(), tzinfo=UTC)
    if every == Every.DAY:
        return day + timedelta(days=1)
    if every == Every.WEEK:
        return day + timedelta(days=7 - day.weekday())
    return (day.replace(day=1) + timedelta(days=32)).replace(day=1)


# --- drill-down -----------------------------------------------------------------------------------


class Shown(StrEnum):
    """Which incidents a drill-down lists: those in one state of a metric, or a line of the population."""

    FINISHED = State.FINISHED
    MISSING = State.MISSING
    OPEN = State.OPEN
    NEGATIVE = State.NEGATIVE
    EXCLUDED = State.EXCLUDED
    NO_VERDICT = "no_verdict"
    REOPENED = "reopened"
    UNDATED = "undated"
    ALL = "all"

    @classmethod
    def parse(cls, word: str) -> Shown:
        """Raises `Invalid`, naming what there is."""
        try:
            return cls(word)
        except ValueError as failure:
            raise Invalid(f"The state is one of {', '.join(cls)}.", pointer="/state") from failure


@dataclass(frozen=True, kw_only=True)
class Line:
    """One incident behind a figure."""

    case: Case
    interval: Interval


def metric_named(key: str) -> Metric:
    """Raises `Invalid` for a key that is none."""
    if key not in BY_KEY:
        raise Invalid(f"The metric is one of {', '.join(BY_KEY)}.", pointer="/metric")
    return BY_KEY[key]


def drill_down(
    *,
    actor: Actor,
    period: Period,
    metric: Metric,
    shown: Shown,
    as_of: datetime,
    filters: Mapping[By, str] | None = None,
) -> list[Line]:
    """The incidents behind one figure, longest first; the same ones that the figure counts."""
    return _lines(_load(actor, period, by=None, filters=filters or {}), metric, shown, as_of=as_of)


def _lines(cases: Iterable[Case], metric: Metric, shown: Shown, *, as_of: datetime) -> list[Line]:
    lines = [Line(case=case, interval=_share(case, metric, as_of=as_of)) for case in cases]
    lines = [line for line in lines if _is_shown(line, shown)]
    return sorted(lines, key=lambda line: (-line.interval.microseconds, line.case.ref))


def _share(case: Case, metric: Metric, *, as_of: datetime) -> Interval:
    if case.out:
        return Interval(State.EXCLUDED, reason=case.out)
    if case.times.detected_at is None:
        return Interval(State.MISSING, reason="detected_at")
    return metric.measure(case.times, as_of)


def _is_shown(line: Line, shown: Shown) -> bool:
    case = line.case
    if case.times.detected_at is None:
        return shown == Shown.UNDATED and not case.out
    if shown == Shown.NO_VERDICT:
        return not case.out and not case.times.verdict
    if shown == Shown.REOPENED:
        return not case.out and case.is_reopened
    return shown == Shown.ALL or line.interval.state.value == shown.value


def of_incident(incident: Incident, *, as_of: datetime) -> dict[str, int | None]:
    """Every metric of one incident in seconds, None where it has not run from start to end. No query."""
    told = {name: getattr(incident, name) for name in (*_TIMES, "contained_basis", "is_exercise", "verdict")}
    return definitions.of_incident(Times(**told), as_of)


# --- loading and counting -------------------------------------------------------------------------


def _in(incidents: QuerySet[Incident], period: Period) -> QuerySet[Incident]:
    """Detected in the period; opened in it where nobody knows when it was detected."""
    detected = Q(detected_at__gte=period.start, detected_at__lt=period.end)
    undated = Q(detected_at=None, opened_at__gte=period.start, opened_at__lt=period.end)
    return incidents.filter(detected | undated)


def _narrow(incidents: QuerySet[Incident], filters: Mapping[By, str]) -> QuerySet[Incident]:
    for by, value in filters.items():
        incidents = incidents.alias(**{f"is_{by}": _VALUE[by]()}).filter(**{f"is_{by}": value})
    return incidents


def _load(actor: Actor, period: Period, *, by: By | None, filters: Mapping[By, str]) -> list[Case]:
    """The incidents of a period that the actor may count. One query."""
    rows = (
        _narrow(_in(access.incidents_for(actor, permission=Permission.READ_METRICS), period), filters)
        .annotate(
            first_ioc_source=_text(_latest(MilestoneKind.FIRST_IOC, "source")),
            access_estimated=Coalesce(_latest(MilestoneKind.ATTACKER_ACCESS, "estimated"), Value(False)),
            slice_value=_VALUE[by]() if by and by in _VALUE else Value(""),
            slice_label=_LABEL[by]() if by and by in _LABEL else Value(""),
        )
        .order_by("detected_at", "pk")
        .values_list(*_COLUMNS)
    )
    cases = [_case(dict(zip(_COLUMNS, row, strict=True))) for row in rows]
    return [_with_month(case) for case in cases] if by == By.MONTH else cases


def _latest(kind: MilestoneKind, column: str) -> Subquery:
    """A column of the statement that counts."""
    statements = Milestone.objects.filter(incident=OuterRef("pk"), kind=kind).order_by("-pk")
    return Subquery(statements.values(column)[:1])


def _case(row: dict[str, Any]) -> Case:
    of_times = {*_TIMES, "contained_basis", "first_ioc_source", "access_estimated", "is_exercise", "verdict"}
    return Case(
        ref=row["ref"],
        title=row["title"],
        band=row["severity_band"],
        status=row["status"],
        opened_at=row["opened_at"],
        is_reopened=row["reopened"] > 0,
        times=Times(**{name: value for name, value in row.items() if name in of_times}),
        slice_value=row["slice_value"],
        slice_label=row["slice_label"],
    )


def _with_month(case: Case) -> Case:
    at = _cohort_time(case)
    return replace(case, slice_value=f"{at:%Y-%m}", slice_label=f"{at:%B %Y}")


def _cohort_time(case: Case) -> datetime:
    return (case.times.detected_at or case.opened_at).astimezone(UTC)


def _counts(case: Case) -> bool:
    return not case.out and case.times.detected_at is not None


def _population(cases: Sequence[Case], *, restricted: int = 0) -> Population:
    counted = [case for case in cases if _counts(case)]
    out = Counter(case.out for case in cases if case.out)
    return Population(
        incidents=len(counted),
        excluded=dict(sorted(out.items())),
        no_verdict=sum(not case.times.verdict for case in counted),
        reopened=sum(case.is_reopened for case in counted),
        restricted=restricted,
        undated=sum(not case.out and case.times.detected_at is None for case in cases),
    )


def _measure(
    cases: Sequence[Case], *, as_of: datetime, before: Sequence[Case] | None = None
) -> dict[str, Measured]:
    """Every metric; with a change where the cases of an earlier period are given."""
    counted = [case.times for case in cases if _counts(case)]
    earlier = [case.times for case in before or () if _counts(case)]
    measured = {}
    for metric in METRICS:
        intervals = [metric.measure(times, as_of) for times in counted]
        change = compare(intervals, [metric.measure(times, as_of) for times in earlier]) if before else None
        measured[metric.key] = Measured(
            metric=metric, figures=summarise(intervals), change=change, **_beside(metric, counted, intervals)
        )
    return measured


def _beside(metric: Metric, counted: Sequence[Times], intervals: Sequence[Interval]) -> dict[str, Any]:
    """What a metric shows beside its figures: what its ends rest on, and what its starts do."""
    pairs = list(zip(counted, intervals, strict=True))
    beside: dict[str, Any] = {}
    if metric.key in ("time_to_contain", "dwell_time"):
        is_told = {State.FINISHED, State.EXCLUDED}
        told = Counter(basis(t) for t, i in pairs if i.state in is_told or i.reason == Basis.ATTESTED)
        beside["by_basis"] = dict(sorted(told.items()))
    if metric.key == "time_to_detect":
        finished = [times for times, interval in pairs if interval.state == State.FINISHED]
        investigated = sum(map(is_investigated, finished))
        beside["starts"] = {"investigated": investigated, "from_alert": len(finished) - investigated}
    if metric.key == "dwell_time":
        known = [interval for times, interval in pairs if not times.access_estimated]
        beside["starts"] = {
            "estimated": sum(t.access_estimated for t, i in pairs if i.state == State.FINISHED),
            "known": sum(not t.access_estimated for t, i in pairs if i.state == State.FINISHED),
        }
        beside["without_estimates"] = summarise(known)
    return beside


def _groups(cases: Sequence[Case], *, by: By, as_of: datetime) -> tuple[Group, ...]:
    cohorts: dict[str, list[Case]] = {}
    for case in cases:
        cohorts.setdefault(case.slice_value, []).append(case)
    groups = [
        Group(
            value=value,
            label=members[0].slice_label or value or NOTHING.get(by, ""),
            population=_population(members),
            metrics=_measure(members, as_of=as_of),
        )
        for value, members in cohorts.items()
    ]
    return tuple(sorted(groups, key=lambda group: _place(group, by)))


def _place(group: Group, by: By) -> tuple[int, str]:
    """Worst severity first, months in order, anything else by how many incidents it has."""
    if by == By.SEVERITY:
        return (-Band(group.value).severity, "")
    if by == By.MONTH:
        return (0, group.value)
    return (-group.population.incidents, group.value)


def _is_of(case: Case, period: Period) -> bool:
    return period.holds(_cohort_time(case))
