"""The ledger over the API: events, one of them with what proves it, and slices to take along."""

from __future__ import annotations

from typing import Any

from django.http import StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from audit import search
from audit.search import Asked
from identity.permissions import Permission
from identity.requests import actor_of
from lib.errors import Invalid
from soc.api.pagination import CursorPage
from soc.ledger import access, listing, views
from soc.ledger.listing import Detail, Row

NARROWING = search.NAMES | {"limit", "cursor"}
EXPORTING = frozenset({"from_seq", "to_seq", "recipient", "purpose"})


class EventObject(serializers.Serializer[Any]):
    """What an event is about."""

    type = serializers.CharField()
    id = serializers.CharField()


class EventActor(serializers.Serializer[Any]):
    """Who acted. `person` is empty where it was no person."""

    kind = serializers.CharField(help_text="person, key, hook, system or anonymous")
    label = serializers.CharField()  # type: ignore[assignment] # REST framework has one of that name
    person = serializers.CharField()


class EventOut(serializers.Serializer[Any]):
    """One event. `details` holds ids, words and digests; what it is about decides which."""

    seq = serializers.IntegerField()
    at = serializers.DateTimeField()
    act = serializers.CharField()
    actor = EventActor()
    object = EventObject()
    ip = serializers.CharField()
    request_id = serializers.CharField()


class EventProof(serializers.Serializer[Any]):
    """Whether the event holds, by itself and with its neighbours. `following` is null for the last event."""

    content = serializers.BooleanField()
    link = serializers.BooleanField()
    signature = serializers.BooleanField()
    following = serializers.BooleanField(allow_null=True)


class EventReceipt(serializers.Serializer[Any]):
    """A receipt under a seal. `act` and what follows are null when it is gone."""

    id = serializers.IntegerField()
    holds = serializers.BooleanField()
    at = serializers.DateTimeField(allow_null=True)
    act = serializers.CharField(allow_null=True)
    actor = serializers.CharField(allow_null=True)
    details = serializers.JSONField(allow_null=True)


class EventWhole(EventOut):
    """One event with everything it holds, and what proves it."""

    details = serializers.JSONField()
    prev_hash = serializers.CharField()
    hash = serializers.CharField()
    signature = serializers.CharField()
    holds = EventProof()
    receipts = EventReceipt(many=True, help_text=f"the first {listing.MOST_RECEIPTS} receipts under a seal")
    receipts_sealed = serializers.IntegerField()


class EventsPage(serializers.Serializer[Any]):
    """One page of events."""

    results = EventOut(many=True)
    next = serializers.URLField(allow_null=True)


class Events(APIView):
    """The events of the ledger that the caller may see."""

    permissions_needed = {"GET": Permission.READ_AUDIT}

    @extend_schema(
        operation_id="audit_list",
        parameters=[
            OpenApiParameter("act", str, description="an act, or the beginning of one with a star: alert.*"),
            OpenApiParameter("actor", str, description="the name of the login, key or part that acted"),
            OpenApiParameter("person", str, description="id of the person"),
            OpenApiParameter("type", str, description="kind of the object"),
            OpenApiParameter("id", str, description="id of the object"),
            OpenApiParameter("ip", str),
            OpenApiParameter("request", str, description="id of the request"),
            OpenApiParameter("from", str, description="a day or a moment in UTC"),
            OpenApiParameter("until", str, description="a day or a moment in UTC, itself left out"),
            OpenApiParameter("from_seq", int),
            OpenApiParameter("to_seq", int),
            OpenApiParameter("limit", int),
            OpenApiParameter("cursor", str),
        ],
        responses=EventsPage,
    )
    def get(self, request: Request) -> Response:
        """Events, the newest first."""
        _know(request, NARROWING)
        found = listing.matching(actor_of(request), Asked.of(request.query_params))
        pager = CursorPage(order=("-pk",))
        rows = pager.paginate_queryset(found, request)
        return pager.get_paginated_response([shown(listing.row_of(event)) for event in rows])


class OneEvent(APIView):
    """One event."""

    permissions_needed = {"GET": Permission.READ_AUDIT}

    @extend_schema(operation_id="audit_read", responses=EventWhole)
    def get(self, request: Request, seq: str) -> Response:
        """The event, and whether it holds."""
        return Response(whole(listing.detail(actor_of(request), seq)))


class Export(APIView):
    """A slice of the ledger."""

    http_method_names = ["get", "options"]  # and no head, which would be recorded as an export
    permissions_needed = {"GET": Permission.READ_AUDIT}

    @extend_schema(
        operation_id="audit_export",
        parameters=[
            OpenApiParameter("from_seq", int, description="the first event; 1 unless given"),
            OpenApiParameter("to_seq", int, description="the last event; the end of the chain unless given"),
            OpenApiParameter("recipient", str, required=True, description="who gets it"),
            OpenApiParameter("purpose", str, required=True, description="what for"),
        ],
        responses={(200, "application/zip"): OpenApiResponse(OpenApiTypes.BINARY)},
    )
    def get(self, request: Request) -> StreamingHttpResponse:
        """A zip that proves itself with the `verify.py` in it. Recorded in the ledger."""
        actor = actor_of(request)
        access.demand_whole(actor)
        _know(request, EXPORTING)
        return views.answer(actor, request.query_params)


def _know(request: Request, names: frozenset[str]) -> None:
    if unknown := sorted(set(request.query_params) - names):
        raise Invalid(f"There is no {unknown[0][:60]!r} to ask with.", pointer=f"/{unknown[0][:60]}")


def shown(row: Row) -> dict[str, Any]:
    """An event of the list as the API gives it."""
    return {
        "seq": row.seq,
        "at": row.at,
        "act": row.act,
        "actor": {"kind": row.actor_kind, "label": row.actor, "person": row.person},
        "object": {"type": row.object_type, "id": row.object_id},
        "ip": row.ip,
        "request_id": row.request_id,
    }


def whole(found: Detail) -> dict[str, Any]:
    """One event as the API gives it."""
    return shown(found.row) | {
        "details": found.details,
        "prev_hash": found.prev_hash,
        "hash": found.hash,
        "signature": found.signature,
        "holds": {
            "content": found.held.content,
            "link": found.held.link,
            "signature": found.held.signature,
            "following": found.held.following,
        },
        "receipts": [
            {
                "id": one.number,
                "holds": one.holds,
                "at": one.row.at if one.row else None,
                "act": one.row.act if one.row else None,
                "actor": one.row.actor if one.row else None,
                "details": one.row.details if one.row else None,
            }
            for one in found.receipts
        ],
        "receipts_sealed": found.sealed,
    }
