"""Evidence over the API: what an incident has, adding to it, the content, checking it."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from cases import evidence
from cases.access import incident_for
from cases.evidence_views import attachment
from cases.models import Custody, Evidence
from identity.permissions import Permission
from identity.requests import actor_of
from lib import clock
from soc.api import bodies
from soc.api.bodies import Strict

MOST_LISTED = 500


class Nothing(Strict):
    """No field."""


class EvidenceIn(Strict):
    """A file, and where it is from."""

    file = serializers.FileField(allow_empty_file=True)
    source = serializers.CharField(max_length=500)  # type: ignore[assignment] # REST framework has one
    is_sensitive = serializers.BooleanField(required=False, default=False)


class EvidenceOut(serializers.Serializer[Any]):
    """One artefact. `absent` says why there is none: then it has no content, no size and no digest."""

    id = serializers.CharField()
    incident = serializers.CharField()
    name = serializers.CharField()
    media_type = serializers.CharField()
    sha256 = serializers.CharField(allow_blank=True)
    size = serializers.IntegerField(help_text="bytes")
    absent = serializers.CharField(allow_blank=True)
    source = serializers.CharField()  # type: ignore[assignment] # REST framework has one of that name
    account = serializers.CharField(allow_blank=True)
    region = serializers.CharField(allow_blank=True)
    tool = serializers.CharField()
    tool_version = serializers.CharField(allow_blank=True)
    is_sensitive = serializers.BooleanField()
    collected_at = serializers.DateTimeField()
    collected_by = serializers.CharField()
    action = serializers.CharField(allow_null=True)


class CustodyOut(serializers.Serializer[Any]):
    """One thing that was done with an artefact."""

    at = serializers.DateTimeField()
    what = serializers.CharField()
    actor = serializers.CharField()
    digest = serializers.CharField(allow_blank=True)
    detail = serializers.CharField(allow_blank=True)


class EvidenceWhole(EvidenceOut):
    """One artefact with its custody record, the oldest entry first."""

    custody = CustodyOut(many=True)


class VerifiedOut(serializers.Serializer[Any]):
    """Whether the file is the one that was kept, and what is wrong if not."""

    intact = serializers.BooleanField()
    detail = serializers.CharField(allow_blank=True)


class OfIncident(APIView):
    """The evidence of an incident."""

    permissions_needed = {"GET": Permission.READ_INCIDENTS, "POST": Permission.WRITE_INCIDENTS}
    parser_classes = [MultiPartParser]

    @extend_schema(operation_id="incident_evidence_list", responses=EvidenceOut(many=True))
    def get(self, request: Request, ref: str) -> Response:
        """The newest first, at most 500."""
        actor = actor_of(request)
        found = evidence.evidence_of(actor, incident_for(actor, ref))[:MOST_LISTED]
        return Response({"results": [shown(one) for one in found], "next": None})

    @extend_schema(
        operation_id="incident_evidence_create",
        request={"multipart/form-data": EvidenceIn},
        responses={201: EvidenceOut},
    )
    def post(self, request: Request, ref: str) -> Response:
        """Add a file. The same content twice is two entries and one file."""
        actor = actor_of(request)
        incident = incident_for(actor, ref, permission=Permission.WRITE_INCIDENTS)
        asked = bodies.valid(EvidenceIn, request.data)
        made = evidence.upload(
            incident=incident,
            name=asked["file"].name,
            media_type=asked["file"].content_type or "",
            source=asked["source"],
            chunks=asked["file"].chunks(),
            is_sensitive=asked["is_sensitive"],
            by=actor,
            at=clock.now(),
        )
        return Response(shown(made), status=201)


class OneArtefact(APIView):
    """One artefact."""

    permissions_needed = {"GET": Permission.READ_INCIDENTS}

    @extend_schema(operation_id="evidence_retrieve", responses=EvidenceWhole)
    def get(self, request: Request, ulid: str) -> Response:
        """The artefact and its custody record."""
        found = evidence.evidence_for(actor_of(request), ulid)
        custody = [_entry(entry) for entry in found.custody.order_by("pk")]
        return Response(shown(found) | {"custody": custody})


class Content(APIView):
    """The content of an artefact."""

    permissions_needed = {"GET": Permission.READ_INCIDENTS}

    @extend_schema(
        operation_id="evidence_content", responses={(200, "application/octet-stream"): OpenApiTypes.BINARY}
    )
    def get(self, request: Request, ulid: str) -> HttpResponseBase:
        """The file, to save; noted in its custody record. 409 when it is missing or was altered."""
        actor = actor_of(request)
        return attachment(evidence.content_for(actor, ulid), by=actor)


class Verify(APIView):
    """Checking an artefact."""

    permissions_needed = {"POST": Permission.WRITE_INCIDENTS}

    @extend_schema(operation_id="evidence_verify", request=Nothing, responses=VerifiedOut)
    def post(self, request: Request, ulid: str) -> Response:
        """Hash the file again and note in its custody record what came of it."""
        actor = actor_of(request)
        found = evidence.evidence_for(actor, ulid, permission=Permission.WRITE_INCIDENTS)
        bodies.valid(Nothing, request.data)
        damage = evidence.verify(evidence=found, by=actor, at=clock.now())
        return Response({"intact": not damage, "detail": damage})


def shown(found: Evidence) -> dict[str, Any]:
    """An artefact as the API gives it."""
    return {
        "id": found.ulid,
        "incident": found.incident.ref,
        **{name: getattr(found, name) for name in _PLAIN},
        "action": found.action.ulid if found.action else None,
    }


_PLAIN = (
    "name",
    "media_type",
    "sha256",
    "size",
    "absent",
    "source",
    "account",
    "region",
    "tool",
    "tool_version",
    "is_sensitive",
    "collected_at",
    "collected_by",
)


def _entry(entry: Custody) -> dict[str, Any]:
    return {name: getattr(entry, name) for name in ("at", "what", "actor", "digest", "detail")}
