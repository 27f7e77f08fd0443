"""Raw documents over the API: any body of a source, bare or wrapped, one or many."""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from cases import ingest
from cases.storing import Outcome
from identity.permissions import Permission
from identity.requests import actor_of
from lib import clock
from soc import throttling
from soc.api import bodies, idempotency


class IngestedOut(serializers.Serializer[Any]):
    """The alert that a document belongs to, and what the document did to it."""

    id = serializers.CharField()
    external_id = serializers.CharField()
    outcome = serializers.ChoiceField(choices=[o.value for o in Outcome if o is not Outcome.FOREIGN])


class HeldOut(serializers.Serializer[Any]):
    """A part that could not be read; it is kept and can be tried again."""

    id = serializers.CharField()
    reason = serializers.CharField()
    pointer = serializers.CharField()


class IngestOut(serializers.Serializer[Any]):
    """What became of a body; `passed` are documents that were read and held nothing alarming."""

    alerts = IngestedOut(many=True)
    quarantined = HeldOut(many=True)
    passed = serializers.IntegerField()


class Ingest(APIView):
    """The door for one source's documents."""

    permissions_needed = {"POST": Permission.WRITE_ALERTS}

    @extend_schema(
        operation_id="ingest",
        request={"application/json": OpenApiTypes.ANY, "application/x-ndjson": OpenApiTypes.STR},
        parameters=idempotency.PARAMETERS,
        responses=IngestOut,
    )
    @idempotency.idempotent()
    def post(self, request: Request, source: str) -> Response:
        """Take in a body. 200 once everything is committed: what cannot be read is kept, never refused."""
        throttling.admit_actor(request)
        received = ingest.receive(
            source=source, body=bodies.raw(request), by=actor_of(request), at=clock.now()
        )
        documents = len(received.alerts) + len(received.quarantined) + received.passed
        throttling.charge_actor(request, weight=documents - 1)
        return Response(
            {
                "alerts": [
                    {
                        "id": stored.alert.ulid if stored.alert else "",
                        "external_id": stored.external_id,
                        "outcome": stored.outcome.value,
                    }
                    for stored in received.alerts
                ],
                "quarantined": [
                    {"id": held.ulid, "reason": held.reason, "pointer": held.pointer}
                    for held in received.quarantined
                ],
                "passed": received.passed,
            }
        )
