"""The figures as JSON: what `GET /api/v1/metrics/…` answers and `manage metrics` prints."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from metrics.definitions import VERSION, Figures, State
from metrics.queries import Case, Group, Line, Measured, Period, Population, Step, Summary

JSON = dict[str, Any]


def summary(found: Summary) -> JSON:
    """Definitions version, period, population, every metric, and one entry per value of the slice."""
    answer: JSON = {
        "definitions_version": VERSION,
        "as_of": instant(found.as_of),
        **_period(found.period),
        "population": _population(found.population),
        "metrics": {key: _metric(measured) for key, measured in found.metrics.items()},
    }
    if found.by:
        answer["by"] = found.by.value
        answer["groups"] = [_group(group) for group in found.groups]
    return answer


def trend(steps: tuple[Step, ...], *, period: Period, every: str, as_of: datetime) -> JSON:
    """One entry per step, steps without incidents included."""
    return {
        "definitions_version": VERSION,
        "as_of": instant(as_of),
        **_period(period),
        "interval": str(every),
        "steps": [
            {
                **_period(step.period),
                "population": _population(step.population),
                "metrics": {key: _figures(measured.figures) for key, measured in step.metrics.items()},
            }
            for step in steps
        ],
    }


def line(found: Line, *, with_title: bool) -> JSON:
    """One incident behind a figure; `seconds` is its length, its age so far, or null."""
    case, interval = found.case, found.interval
    return {
        "ref": case.ref,
        "title": case.title if with_title else None,
        "severity_band": case.band,
        "status": case.status,
        "verdict": case.times.verdict,
        "is_exercise": case.times.is_exercise,
        "detected_at": instant(case.times.detected_at),
        "state": interval.state.value,
        "seconds": interval.seconds,
        "reason": interval.reason,
        "is_estimated": _is_estimated(case, interval.state),
    }


def instant(at: datetime | None) -> str | None:
    """RFC 3339 in UTC."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z") if at else None


def _is_estimated(case: Case, state: State) -> bool:
    return state in (State.FINISHED, State.OPEN) and case.times.access_estimated


def _period(period: Period) -> JSON:
    return {"from": instant(period.start), "to": instant(period.end)}


def _population(population: Population) -> JSON:
    return {
        "incidents": population.incidents,
        "excluded": dict(population.excluded),
        "no_verdict": population.no_verdict,
        "reopened": population.reopened,
        "restricted": population.restricted,
        "undated": population.undated,
    }


def _metric(measured: Measured) -> JSON:
    metric = measured.metric
    answer: JSON = {
        "label": metric.label,
        "name": metric.name,
        "definition": metric.definition,
        **_figures(measured.figures),
        "change_seconds": measured.change.seconds if measured.change else None,
    }
    if measured.by_basis:
        answer["by_basis"] = dict(measured.by_basis)
    if measured.starts:
        answer["starts"] = dict(measured.starts)
    if measured.without_estimates:
        answer["without_estimates"] = _figures(measured.without_estimates)
    return answer


def _figures(figures: Figures) -> JSON:
    return {
        "n": figures.n,
        "missing": figures.missing,
        "open": figures.open,
        "negative": figures.negative,
        "excluded": dict(figures.excluded),
        "mean_seconds": figures.mean_seconds,
        "median_seconds": figures.median_seconds,
        "p90_seconds": figures.p90_seconds,
        "km_median_seconds": figures.km_median_seconds,
        "oldest_open_seconds": figures.oldest_open_seconds,
        "at_least": figures.at_least,
    }


def _group(group: Group) -> JSON:
    return {
        "value": group.value,
        "label": group.label,
        "population": _population(group.population),
        "metrics": {key: _figures(measured.figures) for key, measured in group.metrics.items()},
    }
