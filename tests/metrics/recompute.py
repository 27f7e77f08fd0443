"""The response metrics once more, from exported incidents alone, in plain Python.

Written from the text of the definitions and not from the code that it judges: nothing is imported
from the product, sums are floats or fractions, and each metric is spelled out.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping
from datetime import datetime
from fractions import Fraction
from typing import Any

OUT = ("sample", "false_positive", "benign", "duplicate", "suppressed")
SPANS = {
    "time_to_detect": ("first_ioc_at", "detected_at"),
    "time_to_acknowledge": ("detected_at", "acknowledged_at"),
    "time_to_respond": ("detected_at", "responded_at"),
    "time_to_contain": ("detected_at", "contained_at"),
    "time_to_recover": ("detected_at", "recovered_at"),
    "dwell_time": ("attacker_access_at", "contained_at"),
    "time_to_close": ("detected_at", "closed_at"),
    "receive_latency": ("detected_at", "received_at"),
}


def figures(incidents: Iterable[Mapping[str, Any]], *, as_of: datetime) -> dict[str, dict[str, Any]]:
    """n, missing, open, negative and the figures in seconds of each metric."""
    counted = [incident for incident in incidents if reason_out(incident) is None]
    return {key: _one(key, counted, as_of) for key in SPANS}


def reason_out(incident: Mapping[str, Any]) -> str | None:
    if incident["is_exercise"]:
        return "exercise"
    return incident["verdict"] if incident["verdict"] in OUT else None


def kaplan_meier(ends: list[Fraction], censored: list[Fraction]) -> Fraction | None:
    """By the textbook: at each end, those still at risk include everyone not ended or lost before it."""
    survival = Fraction(1)
    for moment in sorted(set(ends)):
        at_risk = sum(t >= moment for t in ends) + sum(t >= moment for t in censored)
        survival *= 1 - Fraction(ends.count(moment), at_risk)
        if survival <= Fraction(1, 2):
            return moment
    return None


def percentile(values: list[Fraction], share: Fraction) -> Fraction:
    """As the inclusive method of the statistics module, which it is compared with."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low = int(place)
    if low + 1 == len(ordered):
        return ordered[low]
    return ordered[low] * (1 - (place - low)) + ordered[low + 1] * (place - low)


def _one(key: str, incidents: list[Mapping[str, Any]], as_of: datetime) -> dict[str, Any]:
    counts = dict.fromkeys(("missing", "negative", "not_needed"), 0)
    finished: list[Fraction] = []
    ages: list[Fraction] = []
    for incident in incidents:
        place, span = _place(key, incident, as_of)
        if place == "finished":
            finished.append(span)
        elif place == "open":
            ages.append(span)
        else:
            counts[place] += 1
    return {
        "n": len(finished),
        "missing": counts["missing"],
        "open": len(ages),
        "negative": counts["negative"],
        "excluded": {"not_needed": counts["not_needed"]} if counts["not_needed"] else {},
        **_averages(finished, ages),
        "oldest_open_seconds": round(max(ages)) if ages else None,
        "at_least": bool(ages),
    }


def _place(key: str, incident: Mapping[str, Any], as_of: datetime) -> tuple[str, Fraction]:
    at = {
        kind: datetime.fromisoformat(told["at"])
        for kind, told in incident["milestones"].items()
        if told["at"]
    }
    start, end = (at.get(kind) for kind in SPANS[key])
    if key == "time_to_acknowledge" and end and "prioritised_at" in at:
        end = max(end, at["prioritised_at"])
    basis = incident["milestones"].get("contained_at", {}).get("basis")
    if key in ("time_to_contain", "dwell_time") and basis in ("not_needed", "attested"):
        return "not_needed" if basis == "not_needed" else "missing", Fraction(0)
    if start is None:
        return "missing", Fraction(0)
    if end is None and ("closed_at" in at or key in ("time_to_detect", "receive_latency")):
        return "missing", Fraction(0)
    span = _seconds(start, end or as_of)
    if span < 0:
        return "negative", span
    return "finished" if end else "open", span


def _averages(finished: list[Fraction], ages: list[Fraction]) -> dict[str, int | None]:
    if not finished:
        return dict.fromkeys(("mean_seconds", "median_seconds", "p90_seconds", "km_median_seconds"))
    with_open = kaplan_meier(finished, ages) if ages else statistics.median(finished)
    return {
        "mean_seconds": round(sum(finished) / len(finished)),
        "median_seconds": round(statistics.median(finished)),
        "p90_seconds": round(percentile(finished, Fraction(9, 10))),
        "km_median_seconds": None if with_open is None else round(with_open),
    }


def _seconds(start: datetime, end: datetime) -> Fraction:
    span = end - start
    return Fraction(span.days * 86400 + span.seconds) + Fraction(span.microseconds, 1_000_000)
