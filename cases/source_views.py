"""The pages of sources: all of them with the places where AWS is heard, and one with its own places."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from cases import source_health, source_words
from cases.source_health import SAMPLE, Health, Matrix, Overview, SourceRow
from cases.source_words import SAID, Bar, Step
from identity.actors import Actor
from identity.requests import actor_of, signed_in
from lib import clock
from lib.errors import NotFound


@dataclass(frozen=True, kw_only=True)
class Line:
    """A source as the page says it."""

    row: SourceRow
    said: str
    reasons: list[str]
    steps: list[Step]
    bars: list[Bar]
    finding: str


@require_safe
@signed_in
def sources(request: HttpRequest) -> HttpResponse:
    """Every source and its health, and where AWS is heard."""
    return render(request, "cases/sources.html", _context(request, actor_of(request)))


@require_safe
@signed_in
def source(request: HttpRequest, source: str) -> HttpResponse:
    """One source and its own places."""
    context = _context(request, actor_of(request), source=source)
    if not context["lines"]:
        raise NotFound("There is no such source, or nothing of it is yours to see.")
    return render(request, "cases/source.html", context | {"line": context["lines"][0], "source": source})


def _context(request: HttpRequest, actor: Actor, *, source: str = "") -> dict[str, Any]:
    at, q = clock.now(), request.GET.get("q", "")[:100].strip().replace("\0", "")
    found = source_health.overview(actor, at=at, source=source)
    places = source_health.matrix(actor, at=at, source=source, q=q)
    return {
        "lines": [_line(row, found, at=at) for row in found.rows],
        "found": found,
        "trouble": found.count(Health.FAILING, Health.SILENT, Health.NEVER),
        "well": found.count(Health.HEALTHY),
        "quiet": found.count(Health.QUIET),
        "silent": sum(row.silent for row in found.rows),
        "never": sum(row.never for row in found.rows),
        "matrix": places,
        "left_out": places.accounts - len(places.rows),
        "sample": SAMPLE,
        "has_places": _has_places(places),
    }


def _line(row: SourceRow, found: Overview, *, at: datetime) -> Line:
    return Line(
        row=row,
        said=SAID[row.health],
        reasons=source_words.reasons(row, found.names, at=at),
        steps=source_words.steps(row),
        bars=source_words.bars(row),
        finding=source_words.finding(row) if row.hours else "",
    )


def _has_places(places: Matrix) -> bool:
    return bool(places.rows and places.regions)
