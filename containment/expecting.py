"""What a look must find for a step that is in force. Pure but for the journal's rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from containment.looking import UNRESOLVED, holds_form, resolved_or_not
from containment.models import Step as Row
from containment.models import StepState
from containment.types import CHANGING, Compare, Kind, Plan, Step
from lib import canonical
from lib.canonical import JSON


def results_of(rows: Iterable[Row]) -> dict[str, JSON]:
    """The values of finished steps, by step name, for `$ref`."""
    return {row.name: row.result["value"] for row in rows if row.result is not None}


def last_of_each_change(plan: Plan, rows: Iterable[Row]) -> list[tuple[Step, Row]]:
    """For each thing a plan changes, the last step on it that took part."""
    last: dict[str, tuple[Step, Row]] = {}
    for step, row in zip(plan.steps, rows, strict=True):
        if step.kind in CHANGING and row.state not in (StepState.SKIPPED, StepState.PENDING):
            last[step.changes] = (step, row)
    return list(last.values())


def sent(row: Row) -> list[dict[str, Any]]:
    """The attempts of a step that may have arrived: not those that AWS refused, not a putting back."""
    return [
        attempt
        for attempt in row.attempts
        if not attempt.get("undo") and not str(attempt.get("outcome", "")).startswith("refused")
    ]


def expected(step: Step, row: Row, results: Mapping[str, JSON]) -> Any:
    """What a step made of its thing: as journalled at its last attempt, else as planned."""
    assert step.seen
    attempts = sent(row)
    if attempts:
        return attempts[-1]["equals"]
    if holds_form(step.seen.equals, "$now"):
        return row.result["value"] if row.result else UNRESOLVED
    return resolved_or_not(step.seen.equals, results=results)


def expected_in_force(step: Step, row: Row, results: Mapping[str, JSON]) -> Any:
    """What a look must find while the step is in force: for an object, exactly the one that was made."""
    if _is_object(step):
        return row.result["value"] if row.result else UNRESOLVED
    return expected(step, row, results)


def in_force_compare(step: Step) -> Compare:
    """How the found value is compared while in force."""
    assert step.seen
    return Compare.VALUE if _is_object(step) else step.seen.compare


def brief(value: Any) -> str:
    """A value in at most 200 characters, for a sentence."""
    if value is UNRESOLVED:
        return "not known"
    text = canonical.dumps(value)
    return text if len(text) <= 200 else text[:199] + "…"


def _is_object(step: Step) -> bool:
    return step.kind is Kind.CREATE and not step.value
