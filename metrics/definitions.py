"""What is measured, and how: the definitions behind every figure, version 1. Pure.

Each metric is one function from the timestamps of one incident to one `Interval`; its docstring is
the definition that the page and the API quote. `summarise` turns intervals into `Figures`, and
`compare` says whether two periods differ by more than chance. All sums are exact (integer
microseconds); figures leave as whole seconds.

Percentiles interpolate linearly between closest ranks (Hyndman and Fan's type 7, as PostgreSQL's
percentile_cont and spreadsheets do). The definitions follow the AWS Security Incident Response
Guide, https://docs.aws.amazon.com/security-ir/latest/userguide/security-incident-response-guide.html.
"""

from __future__ import annotations

import inspect
import math
import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from fractions import Fraction
from functools import lru_cache

from cases.words import Basis, MilestoneSource, Verdict

VERSION = 1

ENOUGH = 10
"""Finished intervals needed in both periods before a change is spoken of."""

_DRAWS = 1000
_SEED = 20_261_124
_MICROSECOND = timedelta(microseconds=1)
_SECOND = 1_000_000


class State(StrEnum):
    """What an incident contributes to one metric."""

    FINISHED = "finished"
    MISSING = "missing"
    OPEN = "open"
    NEGATIVE = "negative"
    EXCLUDED = "excluded"


@dataclass(frozen=True, kw_only=True, slots=True)
class Times:
    """The timestamps of one incident and what decides whether they count.

    `contained_basis` is empty for an imported time, whose basis the other system did not tell.
    `first_ioc_source` and `access_estimated` say where the two starts come from.
    """

    attacker_access_at: datetime | None = None
    first_ioc_at: datetime | None = None
    detected_at: datetime | None = None
    received_at: datetime | None = None
    acknowledged_at: datetime | None = None
    prioritised_at: datetime | None = None
    responded_at: datetime | None = None
    contained_at: datetime | None = None
    eradicated_at: datetime | None = None
    recovered_at: datetime | None = None
    closed_at: datetime | None = None
    contained_basis: str = ""
    first_ioc_source: str = ""
    access_estimated: bool = False
    is_exercise: bool = False
    verdict: str = ""


@dataclass(frozen=True, slots=True)
class Interval:
    """One incident's share in one metric.

    `microseconds` is the length of a finished interval, the age so far of an open one, and below
    zero for one that runs backwards. `reason` names what is missing, or why it is left out.
    """

    state: State
    microseconds: int = 0
    reason: str = ""

    @property
    def seconds(self) -> int | None:
        """The length or age in whole seconds; None where there is none."""
        if self.state in (State.MISSING, State.EXCLUDED):
            return None
        return _whole(Fraction(self.microseconds))


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What a set of intervals comes to. Figures in whole seconds, None where there is nothing to say.

    `at_least` marks mean and p90 where incidents are still open. `km_median_seconds` counts open
    incidents as not yet ended (Kaplan–Meier: the shortest time by which at least half have ended;
    None while that is not reached). With none open it is the median itself.
    """

    n: int
    missing: int
    open: int
    negative: int
    excluded: Mapping[str, int] = field(default_factory=dict)
    mean_seconds: int | None = None
    median_seconds: int | None = None
    p90_seconds: int | None = None
    km_median_seconds: int | None = None
    oldest_open_seconds: int | None = None

    @property
    def at_least(self) -> bool:
        """Whether mean and p90 can only grow, because incidents are still open."""
        return self.open > 0


@dataclass(frozen=True, kw_only=True)
class Change:
    """A difference of medians that chance does not explain; `seconds` below zero is shorter."""

    seconds: int

    @property
    def is_shorter(self) -> bool:
        return self.seconds < 0

    @property
    def size(self) -> int:
        """The difference without its sign, in seconds."""
        return abs(self.seconds)


# --- population -----------------------------------------------------------------------------------

_OUT = (Verdict.SAMPLE, Verdict.FALSE_POSITIVE, Verdict.BENIGN, Verdict.DUPLICATE, Verdict.SUPPRESSED)


def left_out(times: Times) -> str:
    """Why an incident is in no figure at all: "exercise" or its verdict; empty when it counts."""
    if times.is_exercise:
        return "exercise"
    return times.verdict if times.verdict in _OUT else ""


# --- metrics --------------------------------------------------------------------------------------


def time_to_detect(times: Times, as_of: datetime) -> Interval:
    """Detected − first indicator of compromise. The alert's own time, not the time Quell received
    it, less the earliest activity that gave the attacker away."""
    return _between(times, "first_ioc_at", "detected_at", as_of=as_of, can_be_open=False)


def time_to_acknowledge(times: Times, as_of: datetime) -> Interval:
    """Later of acknowledged and prioritised − detected. A person took it and, where that is on
    record, gave it a severity."""
    if times.acknowledged_at is None:
        return _between(times, "detected_at", "acknowledged_at", as_of=as_of)
    is_later = times.prioritised_at is not None and times.prioritised_at > times.acknowledged_at
    return _between(times, "detected_at", "prioritised_at" if is_later else "acknowledged_at", as_of=as_of)


def time_to_respond(times: Times, as_of: datetime) -> Interval:
    """First responsive action − detected. Evidence taken or containment begun; acknowledging is not
    responding."""
    return _between(times, "detected_at", "responded_at", as_of=as_of)


def time_to_contain(times: Times, as_of: datetime) -> Interval:
    """Contained − detected. Every required containment was read back from AWS, by Quell or after
    somebody else's change, or the time was imported from another system. A person's word alone
    counts as missing; incidents that needed no containment are left out."""
    return _until_contained(times, "detected_at", as_of=as_of)


def time_to_recover(times: Times, as_of: datetime) -> Interval:
    """Recovered − detected. Back to normal, safe operation."""
    return _between(times, "detected_at", "recovered_at", as_of=as_of)


def dwell_time(times: Times, as_of: datetime) -> Interval:
    """Contained − attacker's initial access, often estimated. The same end as time to contain; the
    clock starts when the attacker got in, which is usually before anybody noticed."""
    return _until_contained(times, "attacker_access_at", as_of=as_of)


def time_to_close(times: Times, as_of: datetime) -> Interval:
    """Closed − detected. The last closing counts; a reopened incident is open again."""
    return _between(times, "detected_at", "closed_at", as_of=as_of)


def receive_latency(times: Times, as_of: datetime) -> Interval:
    """Received − detected. How long the alert took to reach Quell, kept apart so that slow plumbing
    does not hide in another figure."""
    return _between(times, "detected_at", "received_at", as_of=as_of, can_be_open=False)


def _until_contained(times: Times, start: str, *, as_of: datetime) -> Interval:
    if times.contained_basis == Basis.NOT_NEEDED:
        return Interval(State.EXCLUDED, reason=Basis.NOT_NEEDED)
    if times.contained_at is not None and times.contained_basis == Basis.ATTESTED:
        return Interval(State.MISSING, reason=Basis.ATTESTED)
    return _between(times, start, "contained_at", as_of=as_of)


def _between(times: Times, start: str, end: str, *, as_of: datetime, can_be_open: bool = True) -> Interval:
    began: datetime | None = getattr(times, start)
    ended: datetime | None = getattr(times, end)
    if began is None:
        return Interval(State.MISSING, reason=start)
    if ended is not None:
        return _measured(State.FINISHED, ended - began, reason=f"{end} before {start}")
    if times.closed_at is not None or not can_be_open:
        return Interval(State.MISSING, reason=end)
    return _measured(State.OPEN, as_of - began, reason=f"{start} in the future")


def _measured(state: State, span: timedelta, *, reason: str) -> Interval:
    microseconds = span // _MICROSECOND
    if microseconds < 0:
        return Interval(State.NEGATIVE, microseconds, reason)
    return Interval(state, microseconds)


Measure = Callable[[Times, datetime], Interval]


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One metric: its key in the API, its name on a tile, its label (never a bare MTTR), its function."""

    key: str
    name: str
    label: str
    measure: Measure

    @property
    def definition(self) -> str:
        """The docstring of the function, as one line; the first sentence is the formula."""
        return " ".join(inspect.cleandoc(self.measure.__doc__ or "").split())

    @property
    def formula(self) -> str:
        """The first sentence of the definition, without its full stop."""
        return self.definition.partition(". ")[0].removesuffix(".")

    @property
    def acronym(self) -> str:
        """What stands beside the mean; empty where there is no acronym in use."""
        return self.label if self.label.startswith("MTT") else ""


METRICS: tuple[Metric, ...] = (
    Metric(key="time_to_detect", name="Time to detect", label="MTTD", measure=time_to_detect),
    Metric(key="time_to_acknowledge", name="Time to acknowledge", label="MTTA", measure=time_to_acknowledge),
    Metric(key="time_to_respond", name="Time to respond", label="MTTR (respond)", measure=time_to_respond),
    Metric(key="time_to_contain", name="Time to contain", label="MTTC", measure=time_to_contain),
    Metric(key="time_to_recover", name="Time to recover", label="MTTR (recover)", measure=time_to_recover),
    Metric(key="dwell_time", name="Attacker dwell time", label="Attacker dwell time", measure=dwell_time),
    Metric(key="time_to_close", name="Time to close", label="Time to close", measure=time_to_close),
    Metric(key="receive_latency", name="Pipeline latency", label="Pipeline latency", measure=receive_latency),
)
BY_KEY: Mapping[str, Metric] = {metric.key: metric for metric in METRICS}


def of_incident(times: Times, as_of: datetime) -> dict[str, int | None]:
    """Every metric of one incident in whole seconds; None unless it has run from start to end."""
    measured = {metric.key: metric.measure(times, as_of) for metric in METRICS}
    return {key: m.seconds if m.state == State.FINISHED else None for key, m in measured.items()}


def basis(times: Times) -> str:
    """What the contained time rests on, in the words of `cases.words.Basis`, or "imported"."""
    return times.contained_basis or "imported"


def is_investigated(times: Times) -> bool:
    """Whether somebody looked for the first indicator, instead of taking the alert's first sight."""
    return times.first_ioc_source not in ("", MilestoneSource.ALERT)


# --- figures --------------------------------------------------------------------------------------


def summarise(intervals: Iterable[Interval]) -> Figures:
    """Mean, median, p90 and Kaplan–Meier median of the intervals, with all that is not in them counted."""
    by_state: dict[State, list[int]] = {state: [] for state in State}
    excluded: Counter[str] = Counter()
    for interval in intervals:
        by_state[interval.state].append(interval.microseconds)
        if interval.state == State.EXCLUDED:
            excluded[interval.reason] += 1
    finished = sorted(by_state[State.FINISHED])
    ages = sorted(by_state[State.OPEN])
    return Figures(
        n=len(finished),
        missing=len(by_state[State.MISSING]),
        open=len(ages),
        negative=len(by_state[State.NEGATIVE]),
        excluded=dict(excluded),
        mean_seconds=_whole(Fraction(sum(finished), len(finished))) if finished else None,
        median_seconds=_whole_of(quantile(finished, Fraction(1, 2))),
        p90_seconds=_whole_of(quantile(finished, Fraction(9, 10))),
        km_median_seconds=_whole_of(kaplan_meier_median(finished, ages)),
        oldest_open_seconds=_whole(Fraction(ages[-1])) if ages else None,
    )


def quantile(ordered: Sequence[int], q: Fraction) -> Fraction | None:
    """The q-quantile of ascending values, interpolated linearly between closest ranks; None of nothing."""
    if not ordered:
        return None
    position = (len(ordered) - 1) * q
    below = math.floor(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (position - below)


def kaplan_meier_median(finished: Sequence[int], ages: Sequence[int]) -> Fraction | None:
    """The shortest time by which at least half have ended, with `ages` (ascending) not yet ended.

    Product-limit estimate (Kaplan and Meier, 1958); an open incident as old as a finished one was
    still at risk when that ended. None while the curve stays above a half. With nothing open it is
    the ordinary median, which averages the two middle values of an even number.
    """
    if not ages:
        return quantile(finished, Fraction(1, 2))
    surviving = 1.0
    at_risk = len(finished) + len(ages)
    ends = Counter(finished)
    seen = 0
    for moment in sorted(ends):
        while seen < len(ages) and ages[seen] < moment:
            seen += 1
            at_risk -= 1
        surviving *= (at_risk - ends[moment]) / at_risk
        at_risk -= ends[moment]
        # Half exactly is half: a product of many quotients may miss it by a rounding error.
        if surviving <= 0.5 + 1e-9:
            return Fraction(moment)
    return None


def compare(now: Sequence[Interval], before: Sequence[Interval]) -> Change | None:
    """How the median changed, or None when that is too little to tell.

    Told only with ten finished intervals in both periods and a 90 % bootstrap interval of the
    difference of medians on one side of zero. Open incidents must not make a claim: for "shorter"
    the present ones count as never ending and the earlier ones as ending now, for "longer" the
    other way round.
    """
    ends_now, ends_before = _lengths(now, State.FINISHED), _lengths(before, State.FINISHED)
    if len(ends_now) < ENOUGH or len(ends_before) < ENOUGH:
        return None
    seconds = _difference(ends_now, ends_before)
    ages_now, ages_before = _lengths(now, State.OPEN), _lengths(before, State.OPEN)
    if seconds < 0:
        worst = _bootstrap(_never(ends_now, ages_now), sorted(ends_before + ages_before))
        return Change(seconds=seconds) if worst[_DRAWS * 95 // 100 - 1] < 0 else None
    if seconds > 0:
        best = _bootstrap(sorted(ends_now + ages_now), _never(ends_before, ages_before))
        return Change(seconds=seconds) if best[_DRAWS * 5 // 100] > 0 else None
    return None


def _lengths(intervals: Iterable[Interval], state: State) -> list[float]:
    return sorted(float(interval.microseconds) for interval in intervals if interval.state == state)


def _never(ends: Sequence[float], ages: Sequence[float]) -> list[float]:
    return [*ends, *(math.inf for _ in ages)]


def _difference(now: Sequence[float], before: Sequence[float]) -> int:
    return round((_middle(now) - _middle(before)) / _SECOND)


def _middle(ordered: Sequence[float]) -> float:
    low, high = (len(ordered) - 1) // 2, len(ordered) // 2
    return (ordered[low] + ordered[high]) / 2


def _bootstrap(now: Sequence[float], before: Sequence[float]) -> list[float]:
    """Differences of medians of resampled periods, ascending. The seed is fixed: one history, one answer."""
    draws = zip(_median_places(len(now), _SEED), _median_places(len(before), _SEED + 1), strict=True)
    return sorted(
        (now[low] + now[high]) / 2 - (before[low_before] + before[high_before]) / 2
        for (low, high), (low_before, high_before) in draws
    )


@lru_cache(maxsize=64)
def _median_places(n: int, seed: int) -> tuple[tuple[int, int], ...]:
    """Where the two middle values of each resample with replacement stand among n ascending values.

    Drawn without drawing resamples: a resample is the values indexed by n uniform numbers, and
    indexing keeps order, so its k-th value stands at the k-th smallest uniform, which is
    Beta(k, n + 1 − k) distributed. The cost does not grow with n.
    """
    chance = random.Random(seed)  # noqa: S311 -- resampling, not secrecy
    middle = (n + 1) // 2
    places = []
    for _ in range(_DRAWS):
        u = chance.betavariate(middle, n + 1 - middle)
        low = high = min(int(u * n), n - 1)
        if n % 2 == 0:
            above = u + (1 - u) * (1 - chance.random() ** (1 / (n - middle)))
            high = min(int(above * n), n - 1)
        places.append((low, high))
    return tuple(places)


def _whole(microseconds: Fraction) -> int:
    return round(microseconds / _SECOND)


def _whole_of(microseconds: Fraction | None) -> int | None:
    return None if microseconds is None else _whole(microseconds)
