"""Quarantine over the API: what could not be read, trying it again, putting it aside."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from cases import quarantine, quarantine_list
from cases.quarantine_list import STATES, Detail, Filter, Row
from cases.storing import Outcome
from identity.permissions import Permission
from identity.requests import actor_of
from lib import clock
from lib.errors import Invalid
from soc.api import bodies
from soc.api.bodies import Strict
from soc.api.ingest import HeldOut, IngestedOut
from soc.api.pagination import CursorPage

WORDS = [word for word, _ in STATES]
NARROWING = frozenset({"state", "source", "q", "limit", "cursor"})


class Nothing(Strict):
    """No field."""


class DiscardIn(Strict):
    """Why it may be put aside."""

    reason = serializers.CharField(max_length=500)


class QuarantinedOut(serializers.Serializer[Any]):
    """One item without its bytes. `reason` and `pointer` may repeat words of whoever sent it."""

    id = serializers.CharField()
    state = serializers.ChoiceField(choices=WORDS[:3])
    source = serializers.CharField()  # type: ignore[assignment] # REST framework has one of that name
    door = serializers.CharField()
    reason = serializers.CharField()
    pointer = serializers.CharField()
    size = serializers.IntegerField(help_text="bytes")
    count = serializers.IntegerField(help_text="how often the same bytes came")
    received_at = serializers.DateTimeField()
    settled_at = serializers.DateTimeField(allow_null=True)
    settled_by = serializers.CharField()


class QuarantinedWhole(QuarantinedOut):
    """One item with its first bytes: as text, or as a dump in hexadecimal where they are none."""

    team = serializers.CharField()
    digest = serializers.CharField()
    head = serializers.CharField(allow_null=True, help_text="null: it became what the caller may not see")
    head_is_text = serializers.BooleanField()
    head_bytes = serializers.IntegerField()
    discard_reason = serializers.CharField()
    alerts = serializers.ListField(child=serializers.CharField(), help_text="what a replay made of it")


class QuarantinedPage(serializers.Serializer[Any]):
    """One page of items."""

    results = QuarantinedOut(many=True)
    next = serializers.URLField(allow_null=True)


class ReplayedOut(serializers.Serializer[Any]):
    """What a replay came to. An item that is named among `quarantined` itself waits on."""

    state = serializers.ChoiceField(choices=WORDS[:3])
    alerts = IngestedOut(many=True)
    quarantined = HeldOut(many=True)
    passed = serializers.IntegerField()


class Items(APIView):
    """What could not be read, of the caller's teams."""

    permissions_needed = {"GET": Permission.READ_ALERTS}

    @extend_schema(
        operation_id="quarantine_list",
        parameters=[
            OpenApiParameter("state", str, enum=WORDS),
            OpenApiParameter("source", str),
            OpenApiParameter("q", str, description="words of the reason"),
            OpenApiParameter("limit", int),
            OpenApiParameter("cursor", str),
        ],
        responses=QuarantinedPage,
    )
    def get(self, request: Request) -> Response:
        """Items, the newest first; those that wait unless another `state` is asked for."""
        given = request.query_params
        if unknown := sorted(set(given) - NARROWING):
            raise Invalid(
                f"This list cannot be narrowed by {unknown[0][:60]!r}.", pointer=f"/{unknown[0][:60]}"
            )
        if given.get("state", "waiting") not in WORDS:
            raise Invalid(f"A state is one of {', '.join(WORDS)}.", pointer="/state")
        found = quarantine_list.matching(actor_of(request), Filter.of(given))
        pager = CursorPage(order=("-received_at",))
        rows = pager.paginate_queryset(quarantine_list.measured(found), request)
        return pager.get_paginated_response([shown(quarantine_list.row_of(item)) for item in rows])


class OneItem(APIView):
    """One item."""

    permissions_needed = {"GET": Permission.READ_ALERTS}

    @extend_schema(operation_id="quarantine_read", responses=QuarantinedWhole)
    def get(self, request: Request, ulid: str) -> Response:
        """The item, its first bytes, and what became of it."""
        return Response(whole(quarantine_list.detail(actor_of(request), ulid)))


class Replay(APIView):
    """Trying an item again."""

    permissions_needed = {"POST": Permission.WRITE_ALERTS}

    @extend_schema(operation_id="quarantine_replay", request=Nothing, responses=ReplayedOut)
    def post(self, request: Request, ulid: str) -> Response:
        """Read it again with the sources as they are now. 409 when somebody has settled it."""
        actor = actor_of(request)
        item = quarantine.quarantined_one_for(actor, ulid, permission=Permission.WRITE_ALERTS)
        bodies.valid(Nothing, request.data)
        received = quarantine.replay(item=item, by=actor, at=clock.now())
        waits = any(held.ulid == ulid for held in received.quarantined)
        return Response(
            {
                "state": "waiting" if waits else "replayed",
                "alerts": [
                    {
                        "id": stored.alert.ulid if stored.alert else "",
                        "external_id": stored.external_id,
                        "outcome": stored.outcome.value,
                    }
                    for stored in received.alerts
                    if stored.outcome is not Outcome.FOREIGN
                ],
                "quarantined": [
                    {"id": held.ulid, "reason": held.reason, "pointer": held.pointer}
                    for held in received.quarantined
                ],
                "passed": received.passed,
            }
        )


class Discard(APIView):
    """Putting an item aside. For people: no key triages."""

    permissions_needed = {"POST": Permission.TRIAGE_ALERTS}

    @extend_schema(operation_id="quarantine_discard", request=DiscardIn, responses=QuarantinedWhole)
    def post(self, request: Request, ulid: str) -> Response:
        """Put it aside, with a reason; the bytes are kept. 409 when somebody has settled it."""
        actor = actor_of(request)
        item = quarantine.quarantined_one_for(actor, ulid, permission=Permission.TRIAGE_ALERTS)
        reason = bodies.valid(DiscardIn, request.data)["reason"]
        quarantine.discard(item=item, reason=reason, by=actor, at=clock.now())
        return Response(whole(quarantine_list.detail(actor, ulid)))


def shown(row: Row) -> dict[str, Any]:
    """An item of the list as the API gives it."""
    return {
        "id": row.ulid,
        "state": row.state,
        "source": row.source,
        "door": row.door,
        "reason": row.reason,
        "pointer": row.pointer,
        "size": row.size,
        "count": row.count,
        "received_at": row.received_at,
        "settled_at": row.settled_at,
        "settled_by": row.settled_by,
    }


def whole(found: Detail) -> dict[str, Any]:
    """One item as the API gives it."""
    return shown(found.row) | {
        "team": found.team_slug,
        "digest": found.digest,
        "head": found.head.text if found.head else None,
        "head_is_text": bool(found.head and found.head.is_text),
        "head_bytes": found.head.shown if found.head else 0,
        "discard_reason": found.discard_reason,
        "alerts": [alert.ulid for alert in found.alerts],
    }
