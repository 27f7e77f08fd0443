"""Sources over the API: how each is, and where it was heard."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from cases import silence, source_health, source_words
from cases.models import Heard
from cases.source_health import Hour, Latency, SourceRow
from identity.permissions import Permission
from identity.requests import actor_of
from lib import clock
from lib.errors import NotFound
from soc.api.openapi import PLACE_STATE, SOURCE_STATE
from soc.api.pagination import CursorPage


class HourOut(serializers.Serializer[Any]):
    """What came in one hour, counted each minute."""

    at = serializers.DateTimeField()
    documents = serializers.IntegerField()
    quarantined = serializers.IntegerField()


class LatencyOut(serializers.Serializer[Any]):
    """From detection to receipt: mean and longest of `n` documents, quantiles of the `sampled` newest."""

    n = serializers.IntegerField()
    mean_seconds = serializers.FloatField(allow_null=True)
    longest_seconds = serializers.FloatField(allow_null=True)
    sampled = serializers.IntegerField()
    median_seconds = serializers.FloatField(allow_null=True)
    p95_seconds = serializers.FloatField(allow_null=True)


class SourceOut(serializers.Serializer[Any]):
    """One source; what was counted for a whole team is null for who sees no whole team."""

    source = serializers.CharField()  # type: ignore[assignment] # REST framework has one of that name
    state = serializers.ChoiceField(choices=SOURCE_STATE)
    reasons = serializers.ListField(child=serializers.CharField())
    last_at = serializers.DateTimeField(allow_null=True)
    places = serializers.IntegerField(help_text="accounts and regions that it was or should be heard of")
    expected = serializers.IntegerField(help_text="of these, where it may not be silent")
    silent = serializers.IntegerField()
    never_heard = serializers.IntegerField()
    documents = serializers.IntegerField(allow_null=True, help_text="of 24 hours, each content once")
    opened = serializers.IntegerField(allow_null=True, help_text="of these, how many began an alert")
    quarantined = serializers.IntegerField(allow_null=True, help_text="of 24 hours")
    waiting = serializers.IntegerField(help_text="in quarantine, of any age")
    latency = LatencyOut(allow_null=True)
    hours = HourOut(many=True)


class SourcePage(serializers.Serializer[Any]):
    """All sources on one page."""

    results = SourceOut(many=True)
    next = serializers.URLField(allow_null=True)


class HeardPlaceOut(serializers.Serializer[Any]):
    """Where a source was or should be heard. `silent_after`: in seconds; null where silence means nothing."""

    account = serializers.CharField()
    region = serializers.CharField()
    state = serializers.ChoiceField(choices=PLACE_STATE)
    first_at = serializers.DateTimeField(allow_null=True)
    last_at = serializers.DateTimeField(allow_null=True)
    expected_since = serializers.DateTimeField(allow_null=True)
    silent_after = serializers.IntegerField(allow_null=True)
    alarmed_at = serializers.DateTimeField(allow_null=True)


class PlacePage(serializers.Serializer[Any]):
    """One page of places."""

    results = HeardPlaceOut(many=True)
    next = serializers.URLField(allow_null=True)


class Sources(APIView):
    """The sources that were heard for the caller's accounts."""

    permissions_needed = {"GET": Permission.READ_ALERTS}

    @extend_schema(operation_id="sources_list", responses=SourcePage)
    def get(self, request: Request) -> Response:
        """Sources with their health, the worst first."""
        at = clock.now()
        found = source_health.overview(actor_of(request), at=at)
        results = [
            shown(row) | {"reasons": source_words.reasons(row, found.names, at=at)} for row in found.rows
        ]
        return Response({"results": results, "next": None})


class Places(APIView):
    """Where one source was heard."""

    permissions_needed = {"GET": Permission.READ_ALERTS}

    @extend_schema(
        operation_id="sources_places",
        parameters=[OpenApiParameter("limit", int), OpenApiParameter("cursor", str)],
        responses=PlacePage,
    )
    def get(self, request: Request, source: str) -> Response:
        """Its accounts and regions, with when it was heard there."""
        found = source_health.places(actor_of(request), source)
        if not found.exists():
            raise NotFound("There is no such source, or nothing of it is yours to see.")
        pager = CursorPage(order=("account", "region"))
        rows = pager.paginate_queryset(found, request)
        return pager.get_paginated_response([_place(row) for row in rows])


def shown(row: SourceRow) -> dict[str, Any]:
    """A source as the API gives it, but for the sentences."""
    return {
        "source": row.source,
        "state": row.health.value,
        "last_at": row.last_at,
        "places": row.places,
        "expected": row.expected,
        "silent": row.silent,
        "never_heard": row.never,
        "documents": row.documents,
        "opened": row.opened,
        "quarantined": row.quarantined,
        "waiting": row.waiting,
        "latency": _latency(row.latency) if row.latency else None,
        "hours": [_hour(hour) for hour in row.hours],
    }


def _hour(hour: Hour) -> dict[str, Any]:
    return {"at": hour.at, "documents": hour.documents, "quarantined": hour.quarantined}


def _latency(latency: Latency) -> dict[str, Any]:
    return {
        "n": latency.n,
        "mean_seconds": latency.mean,
        "longest_seconds": latency.longest,
        "sampled": latency.sampled,
        "median_seconds": latency.median,
        "p95_seconds": latency.p95,
    }


def _place(row: Heard) -> dict[str, Any]:
    return {
        "account": row.account,
        "region": row.region,
        "state": _state(row),
        "first_at": row.first_at,
        "last_at": row.last_at,
        "expected_since": row.expected_since,
        "silent_after": int(row.silent_after.total_seconds()) if row.silent_after else None,
        "alarmed_at": row.alarmed_at,
    }


def _state(row: Heard) -> str:
    fault = silence.fault_of(row, at=clock.now())
    if fault is not None:
        return {silence.Fault.FELL: "fell_silent", silence.Fault.NEVER: "never_heard"}[fault]
    return "heard" if row.last_at else "awaited"
