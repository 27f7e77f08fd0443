"""The definitions against an independent calculation, and against examples worked by hand."""

from __future__ import annotations

import math
import random
import statistics
from bisect import bisect
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics import definitions as d
from metrics.definitions import Interval, State, Times
from tests.metrics import recompute

pytestmark = pytest.mark.fast

DETECTED = datetime(2026, 11, 1, 12, tzinfo=UTC)
AS_OF = DETECTED + timedelta(days=10)
KINDS = [
    "attacker_access_at", "first_ioc_at", "detected_at", "received_at", "acknowledged_at", "prioritised_at",
    "responded_at", "contained_at", "eradicated_at", "recovered_at", "closed_at",
]  # fmt: skip


def after(**minutes: float) -> dict[str, Any]:
    return {f"{kind}_at": DETECTED + timedelta(minutes=given) for kind, given in minutes.items()}


def lasting(*seconds: float) -> list[Interval]:
    return [Interval(State.FINISHED, round(s * 1_000_000)) for s in seconds]


def open_for(*seconds: float) -> list[Interval]:
    return [Interval(State.OPEN, round(s * 1_000_000)) for s in seconds]


moments = st.none() | st.timedeltas(timedelta(days=-30), timedelta(days=9)).map(DETECTED.__add__)
times = st.fixed_dictionaries(
    {kind: moments for kind in KINDS if kind != "detected_at"}
    | {
        "detected_at": st.just(DETECTED),
        "contained_basis": st.sampled_from(["", "by_quell", "observed", "attested", "not_needed"]),
        "is_exercise": st.sampled_from([False, False, False, True]),
        "verdict": st.sampled_from(["", "true_positive", "true_positive", "false_positive", "duplicate"]),
    }
)


def exported(told: dict[str, Any]) -> dict[str, Any]:
    """As the API would give it."""
    milestones = {kind: {"at": told[kind].isoformat()} for kind in KINDS if told[kind]}
    if "contained_at" in milestones:
        milestones["contained_at"]["basis"] = told["contained_basis"]
    return {"milestones": milestones, "is_exercise": told["is_exercise"], "verdict": told["verdict"]}


@given(st.lists(times, max_size=25))
def test_every_figure_equals_an_independent_calculation(cohort: list[dict[str, Any]]) -> None:
    # A basis without a contained time is left over from nothing: the product clears it with the time.
    cohort = [
        {**told, "contained_basis": told["contained_basis"] if told["contained_at"] else ""}
        for told in cohort
    ]
    expected = recompute.figures(map(exported, cohort), as_of=AS_OF)

    counted = [found for found in (Times(**told) for told in cohort) if not d.left_out(found)]
    for metric in d.METRICS:
        figures = d.summarise(metric.measure(found, AS_OF) for found in counted)
        assert {name: getattr(figures, name) for name in expected[metric.key]} == expected[metric.key], (
            metric.key
        )


@given(st.lists(times, max_size=25))
def test_every_incident_that_counts_is_in_exactly_one_place(cohort: list[dict[str, Any]]) -> None:
    for metric in d.METRICS:
        figures = d.summarise(metric.measure(Times(**told), AS_OF) for told in cohort)
        assert figures.n + figures.missing + figures.open + figures.negative + sum(
            figures.excluded.values()
        ) == len(cohort)


def test_the_guides_example_reads_as_one_would_tell_it() -> None:
    found = Times(
        attacker_access_at=DETECTED - timedelta(hours=7),
        first_ioc_at=DETECTED - timedelta(minutes=38),
        detected_at=DETECTED,
        **after(
            received=1, acknowledged=6, prioritised=9, responded=19, contained=52, recovered=552, closed=3000
        ),
        contained_basis="by_quell",
    )

    assert d.of_incident(found, AS_OF) == {
        "time_to_detect": 38 * 60,
        "time_to_acknowledge": 9 * 60,
        "time_to_respond": 19 * 60,
        "time_to_contain": 52 * 60,
        "time_to_recover": 552 * 60,
        "dwell_time": 7 * 3600 + 52 * 60,
        "time_to_close": 3000 * 60,
        "receive_latency": 60,
    }


@pytest.mark.parametrize(
    ("prioritised", "minutes"), [({}, 6), ({"prioritised": 4}, 6), ({"prioritised": 11}, 11)]
)
def test_acknowledging_ends_with_the_later_of_two(prioritised: dict[str, float], minutes: int) -> None:
    found = Times(detected_at=DETECTED, **after(acknowledged=6, **prioritised))

    assert d.time_to_acknowledge(found, AS_OF).seconds == minutes * 60


def test_a_severity_without_a_person_is_not_yet_an_acknowledgement() -> None:
    assert (
        d.time_to_acknowledge(Times(detected_at=DETECTED, **after(prioritised=4)), AS_OF).state == State.OPEN
    )


def test_what_is_not_there_is_open_until_the_incident_is_closed_and_missing_after() -> None:
    still_open = Times(detected_at=DETECTED)
    closed = Times(detected_at=DETECTED, **after(closed=600))

    assert d.time_to_contain(still_open, AS_OF) == Interval(State.OPEN, 10 * 86400 * 1_000_000)
    assert d.time_to_contain(closed, AS_OF) == Interval(State.MISSING, reason="contained_at")


def test_a_start_that_nobody_knows_is_missing_even_while_open() -> None:
    assert d.dwell_time(Times(detected_at=DETECTED), AS_OF) == Interval(
        State.MISSING, reason="attacker_access_at"
    )
    assert d.time_to_detect(Times(detected_at=DETECTED), AS_OF).state == State.MISSING
    assert d.receive_latency(Times(detected_at=DETECTED), AS_OF).state == State.MISSING


@pytest.mark.parametrize(
    ("basis", "state"),
    [
        ("by_quell", State.FINISHED),
        ("observed", State.FINISHED),
        ("", State.FINISHED),
        ("attested", State.MISSING),
        ("not_needed", State.EXCLUDED),
    ],
)
def test_contained_counts_by_what_it_rests_on(basis: str, state: State) -> None:
    found = Times(
        attacker_access_at=DETECTED - timedelta(hours=1),
        detected_at=DETECTED,
        contained_basis=basis,
        **after(contained=52),
    )

    assert d.time_to_contain(found, AS_OF).state == state
    assert d.dwell_time(found, AS_OF).state == state


def test_what_runs_backwards_is_in_no_average() -> None:
    backwards = d.time_to_detect(
        Times(first_ioc_at=DETECTED + timedelta(minutes=3), detected_at=DETECTED), AS_OF
    )

    figures = d.summarise([backwards, *lasting(60)])

    assert (figures.negative, figures.n, figures.mean_seconds) == (1, 1, 60)


@pytest.mark.parametrize("verdict", ["sample", "false_positive", "benign", "duplicate", "suppressed"])
def test_what_was_no_incident_is_left_out_with_its_reason(verdict: str) -> None:
    assert d.left_out(Times(verdict=verdict)) == verdict
    assert d.left_out(Times(verdict=verdict, is_exercise=True)) == "exercise"
    assert d.left_out(Times(verdict="true_positive")) == d.left_out(Times()) == ""


# --- figures --------------------------------------------------------------------------------------


def test_nothing_has_no_figures_and_is_not_zero() -> None:
    figures = d.summarise([])

    assert (figures.n, figures.mean_seconds, figures.median_seconds, figures.p90_seconds) == (
        0,
        None,
        None,
        None,
    )
    assert figures.km_median_seconds is None
    assert not figures.at_least


def test_open_incidents_make_mean_and_p90_lower_bounds() -> None:
    figures = d.summarise([*lasting(60, 120, 180), *open_for(500)])

    assert figures.at_least
    assert (figures.mean_seconds, figures.median_seconds, figures.oldest_open_seconds) == (120, 120, 500)


@given(st.lists(st.integers(0, 10**9), min_size=2, max_size=60))
def test_percentiles_are_those_of_the_statistics_module(values: list[int]) -> None:
    ordered = sorted(values)
    deciles = statistics.quantiles(ordered, n=10, method="inclusive")

    assert math.isclose(
        float(d.quantile(ordered, Fraction(9, 10)) or 0), deciles[8], rel_tol=1e-9, abs_tol=1e-6
    )
    assert float(d.quantile(ordered, Fraction(1, 2)) or 0) == statistics.median(ordered)


@given(st.lists(st.integers(0, 40), max_size=40), st.lists(st.integers(0, 40), min_size=1, max_size=20))
def test_kaplan_meier_is_the_textbooks(ends: list[int], ages: list[int]) -> None:
    expected = recompute.kaplan_meier([Fraction(e) for e in ends], [Fraction(a) for a in ages])

    assert d.kaplan_meier_median(sorted(ends), sorted(ages)) == expected


LEUKAEMIA_TREATED = ([6, 6, 6, 7, 10, 13, 16, 22, 23], [6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35])
LEUKAEMIA_PLACEBO: tuple[list[int], list[int]] = (
    [1, 1, 2, 2, 3, 4, 4, 5, 5, 8, 8, 8, 8, 11, 11, 12, 12, 15, 17, 22, 23],
    [],
)


@pytest.mark.parametrize(
    ("ends", "ages", "median"),
    [
        # Freireich et al. 1963, in every textbook: medians 23 and 8 weeks.
        (*LEUKAEMIA_TREATED, 23),
        (*LEUKAEMIA_PLACEBO, 8),
        # By hand: 3/4, then 2/4 at 20, which is half.
        ([10, 20, 30], [40], 20),
        # By hand: 4/5 at 10; the one of 15 is lost, 4/5 · 2/3 at 20, · 1/2 at 30.
        ([10, 20, 30], [15, 99], 30),
        # An age equal to an end was still at risk: 1/2 at 10.
        ([10], [10], 10),
        # More than half never ended: not reached.
        ([10], [20, 30], None),
        ([], [20, 30], None),
        # Nothing open: the ordinary median, between the middle two.
        ([10, 20], [], 15),
    ],
)
def test_kaplan_meier_by_hand(ends: list[int], ages: list[int], median: int | None) -> None:
    assert d.kaplan_meier_median(ends, ages) == median


def test_kaplan_meier_stands_a_large_cohort() -> None:
    ends = list(range(1, 200_001))

    assert d.kaplan_meier_median(ends, [300_000] * 2) == 100_001


# --- change ---------------------------------------------------------------------------------------


def spread(middle: float, n: int, *, seed: int) -> list[Interval]:
    chance = random.Random(seed)
    return lasting(*(middle * chance.lognormvariate(0, 0.4) for _ in range(n)))


def test_a_clear_change_is_told_with_its_size() -> None:
    now, before = spread(1800, 60, seed=1), spread(3600, 60, seed=2)

    change = d.compare(now, before)

    assert change is not None
    assert change.is_shorter
    assert change.seconds == (d.summarise(now).median_seconds or 0) - (
        d.summarise(before).median_seconds or 0
    )
    assert (longer := d.compare(before, now)) is not None
    assert not longer.is_shorter
    assert longer.size == change.size


@pytest.mark.parametrize(("now", "before"), [(9, 60), (60, 9), (0, 60), (0, 0)])
def test_fewer_than_ten_are_too_few_to_tell(now: int, before: int) -> None:
    assert d.compare(spread(600, now, seed=1), spread(36000, before, seed=2)) is None


def test_a_difference_within_chance_is_not_told() -> None:
    assert d.compare(spread(3600, 12, seed=3), spread(3700, 12, seed=4)) is None
    assert d.compare(lasting(*[60] * 20), lasting(*[60] * 20)) is None


def test_leaving_the_hard_ones_open_does_not_look_like_an_improvement() -> None:
    before = spread(3600, 40, seed=5)
    quick = spread(1800, 20, seed=6)

    assert d.compare(quick, before) is not None
    assert d.compare([*quick, *open_for(*[600] * 20)], before) is None


@pytest.mark.parametrize("n", [10, 11, 24, 151])
def test_change_agrees_with_a_plain_bootstrap(n: int) -> None:
    """The shortcut places medians without drawing resamples; both tell the same spread of medians."""
    ordered = sorted(float(i.microseconds) for i in spread(3600, n, seed=7))
    chance = random.Random(8)
    plain = sorted(statistics.median(chance.choices(ordered, k=n)) for _ in range(4000))
    placed = [place for seed in range(4) for place in d._median_places(n, seed)]
    drawn = sorted((ordered[low] + ordered[high]) / 2 for low, high in placed)

    # Kolmogorov's distance; two equal distributions of 4,000 exceed 0.036 once in a hundred times.
    assert len(drawn) == 4000
    assert max(abs(bisect(plain, x) - bisect(drawn, x)) for x in {*plain, *drawn}) / 4000 < 0.045


# --- words ----------------------------------------------------------------------------------------


def test_every_metric_says_what_it_is_and_none_is_a_bare_mttr() -> None:
    assert [metric.key for metric in d.METRICS] == list(recompute.SPANS)
    for metric in d.METRICS:
        assert "−" in metric.formula
        assert metric.definition.startswith(metric.formula)
        assert metric.label != "MTTR"
    assert {metric.label for metric in d.METRICS} == {
        "MTTD", "MTTA", "MTTR (respond)", "MTTC", "MTTR (recover)", "Attacker dwell time", "Time to close",
        "Pipeline latency",
    }  # fmt: skip
