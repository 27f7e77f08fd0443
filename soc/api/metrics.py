"""The response metrics: figures of a period, their trend, and the incidents behind each figure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from drf_spectacular.utils import OpenApiParameter, extend_schema, inline_serializer
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from identity.permissions import Permission
from identity.requests import actor_of
from lib import clock
from lib.errors import Invalid
from metrics import queries, wire
from metrics.definitions import BY_KEY
from metrics.queries import By, Every, Shown

LARGEST = 500

Fields = Mapping[str, serializers.Field[Any, Any, Any, Any]]


def _shape(name: str, fields: Fields) -> serializers.Serializer[Any]:
    # Fields named `from` and `label` cannot be written as attributes of a serializer class.
    return inline_serializer(name, dict(fields))


def _counts() -> serializers.DictField:
    return serializers.DictField(child=serializers.IntegerField())


def _seconds() -> serializers.IntegerField:
    return serializers.IntegerField(allow_null=True)


_POPULATION: Fields = {
    "incidents": serializers.IntegerField(help_text="how many count"),
    "excluded": _counts(),
    "no_verdict": serializers.IntegerField(),
    "reopened": serializers.IntegerField(),
    "restricted": serializers.IntegerField(help_text="left out unseen: only for people named in them"),
    "undated": serializers.IntegerField(help_text="opened in the period, time of detection not known"),
}
_FIGURES: Fields = {
    "n": serializers.IntegerField(),
    "missing": serializers.IntegerField(),
    "open": serializers.IntegerField(),
    "negative": serializers.IntegerField(help_text="run backwards; in no figure"),
    "excluded": _counts(),
    "mean_seconds": _seconds(),
    "median_seconds": _seconds(),
    "p90_seconds": _seconds(),
    "km_median_seconds": _seconds(),
    "oldest_open_seconds": _seconds(),
    "at_least": serializers.BooleanField(help_text="mean and p90 can only grow: incidents are still open"),
}
_METRIC: Fields = {
    "label": serializers.CharField(),
    "name": serializers.CharField(),
    "definition": serializers.CharField(),
    **_FIGURES,
    "change_seconds": serializers.IntegerField(
        allow_null=True, help_text="of the median against the period before; null is too few to tell"
    ),
    "by_basis": serializers.DictField(child=serializers.IntegerField(), required=False),
    "starts": serializers.DictField(child=serializers.IntegerField(), required=False),
    "without_estimates": inline_serializer("MetricWithoutEstimates", dict(_FIGURES), required=False),
}
_PERIOD: Fields = {
    "definitions_version": serializers.IntegerField(),
    "as_of": serializers.DateTimeField(),
    "from": serializers.DateTimeField(),
    "to": serializers.DateTimeField(),
}
_COHORT: Fields = {
    "population": _shape("MetricPopulation", _POPULATION),
    "metrics": serializers.DictField(child=_shape("MetricFigures", _FIGURES)),
}
SUMMARY = _shape(
    "MetricSummary",
    {
        **_PERIOD,
        "population": _COHORT["population"],
        "metrics": serializers.DictField(child=_shape("Metric", _METRIC)),
        "by": serializers.CharField(required=False),
        "groups": inline_serializer(
            "MetricGroup",
            {"value": serializers.CharField(), "label": serializers.CharField(), **_COHORT},
            many=True,
            required=False,
        ),
    },
)
TREND = _shape(
    "MetricTrend",
    {
        **_PERIOD,
        "interval": serializers.ChoiceField(choices=list(Every)),
        "steps": inline_serializer(
            "MetricStep", {"from": _PERIOD["from"], "to": _PERIOD["to"], **_COHORT}, many=True
        ),
    },
)
INCIDENTS = _shape(
    "MetricIncidents",
    {
        "results": inline_serializer(
            "MetricIncident",
            {
                "ref": serializers.CharField(),
                "title": serializers.CharField(allow_null=True, help_text="null without incidents:read"),
                "severity_band": serializers.CharField(),
                "status": serializers.CharField(),
                "verdict": serializers.CharField(),
                "is_exercise": serializers.BooleanField(),
                "detected_at": serializers.DateTimeField(allow_null=True),
                "state": serializers.CharField(),
                "seconds": _seconds(),
                "reason": serializers.CharField(help_text="what is missing, or why it is left out"),
                "is_estimated": serializers.BooleanField(),
            },
            many=True,
        ),
        "next": serializers.URLField(allow_null=True),
    },
)
WHERE = [
    OpenApiParameter("from", str, description="first UTC day, or a time; by default 90 days before `to`"),
    OpenApiParameter("to", str, description="the day or time it ends before; by default the end of today"),
    *(OpenApiParameter(by.value, str, description=f"only this {by.value}") for by in By if by != By.MONTH),
]


class Summary(APIView):
    """The figures of a period."""

    permissions_needed = {"GET": Permission.READ_METRICS}

    @extend_schema(
        operation_id="metrics_summary",
        parameters=[*WHERE, OpenApiParameter("by", str, enum=list(By), description="also per value of this")],
        responses=SUMMARY,
    )
    def get(self, request: Request) -> Response:
        """Every metric of the incidents detected in the period."""
        given, now = request.query_params, clock.now()
        found = queries.summary(
            actor=actor_of(request),
            period=queries.period(since=given.get("from"), until=given.get("to"), now=now),
            as_of=now,
            by=By.parse(given["by"]) if given.get("by") else None,
            filters=queries.where(given),
        )
        return Response(wire.summary(found))


class Trend(APIView):
    """The figures of a period, step by step."""

    permissions_needed = {"GET": Permission.READ_METRICS}

    @extend_schema(
        operation_id="metrics_trend",
        parameters=[*WHERE, OpenApiParameter("interval", str, enum=list(Every), default=Every.MONTH.value)],
        responses=TREND,
    )
    def get(self, request: Request) -> Response:
        """Every metric per day, week (from Monday) or month of detection."""
        given, now = request.query_params, clock.now()
        period = queries.period(since=given.get("from"), until=given.get("to"), now=now)
        every = Every.parse(given.get("interval", Every.MONTH))
        steps = queries.trend(
            actor=actor_of(request), period=period, every=every, as_of=now, filters=queries.where(given)
        )
        return Response(wire.trend(steps, period=period, every=every, as_of=now))


class Incidents(APIView):
    """The incidents behind one figure."""

    permissions_needed = {"GET": Permission.READ_METRICS}

    @extend_schema(
        operation_id="metrics_incidents",
        parameters=[
            *WHERE,
            OpenApiParameter("metric", str, required=True, enum=list(BY_KEY)),
            OpenApiParameter("state", str, enum=list(Shown), default=Shown.ALL.value),
            OpenApiParameter("limit", int, description=f"at most {LARGEST}"),
            OpenApiParameter("cursor", str),
        ],
        responses=INCIDENTS,
    )
    def get(self, request: Request) -> Response:
        """What each incident of the period contributes to a metric, longest first."""
        given, now, actor = request.query_params, clock.now(), actor_of(request)
        lines = queries.drill_down(
            actor=actor,
            period=queries.period(since=given.get("from"), until=given.get("to"), now=now),
            metric=queries.metric_named(given.get("metric", "")),
            shown=Shown.parse(given.get("state", Shown.ALL)),
            as_of=now,
            filters=queries.where(given),
        )
        start, limit = _number(request, "cursor", 0), min(_number(request, "limit", queries.PAGE), LARGEST)
        with_title = actor.may(Permission.READ_INCIDENTS)
        return Response(
            {
                "results": [wire.line(line, with_title=with_title) for line in lines[start : start + limit]],
                "next": _link(request, start + limit) if start + limit < len(lines) else None,
            }
        )


def _number(request: Request, name: str, default: int) -> int:
    """The cursor is a position: the list is ordered by what was measured, which no column holds."""
    given = request.query_params.get(name, str(default))
    if not (given.isascii() and given.isdigit() and len(given) <= 9) or (name == "limit" and int(given) < 1):
        raise Invalid(f"{name} is a whole number.", pointer=f"/{name}")
    return int(given)


def _link(request: Request, start: int) -> str:
    kept = [(k, v) for k, many in request.query_params.lists() for v in many if k != "cursor"]
    return request.build_absolute_uri(f"{request.path}?{urlencode([*kept, ('cursor', start)])}")
