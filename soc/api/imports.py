"""History from elsewhere, posted as NDJSON."""

from __future__ import annotations

from collections import Counter
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import UnsupportedMediaType
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from cases.imports import Outcome, Result, import_incidents
from identity.actors import Actor
from identity.models import Team
from identity.permissions import Permission
from identity.requests import actor_of
from lib import clock
from lib.errors import Forbidden, Invalid

LARGEST = 1000


class ImportErrorOut(serializers.Serializer[Any]):
    """One wrong value of a line."""

    pointer = serializers.CharField()
    detail = serializers.CharField()


class ImportResultOut(serializers.Serializer[Any]):
    """What became of one line. `ignored` names fields that Quell does not know."""

    index = serializers.IntegerField(help_text="position among the lines that are not blank, from 0")
    line = serializers.IntegerField(help_text="line number, from 1")
    external_id = serializers.CharField()
    status = serializers.ChoiceField(choices=list(Outcome))
    ref = serializers.CharField(allow_null=True)
    errors = ImportErrorOut(many=True)  # type: ignore[assignment] # REST framework has one of that name
    ignored = serializers.ListField(child=serializers.CharField())


class ImportOut(serializers.Serializer[Any]):
    """What became of every line."""

    results = ImportResultOut(many=True)
    created = serializers.IntegerField()
    updated = serializers.IntegerField()
    unchanged = serializers.IntegerField()
    failed = serializers.IntegerField()


class Import(APIView):
    """Incidents of another system, one JSON object a line."""

    permissions_needed = {"POST": Permission.WRITE_INCIDENTS}

    @extend_schema(
        operation_id="incidents_import",
        request={"application/x-ndjson": OpenApiTypes.STR},
        parameters=[OpenApiParameter("team", str, description="slug, for people who work in several teams")],
        responses=ImportOut,
    )
    def post(self, request: Request) -> Response:
        """Import up to 1,000 lines; the same line again changes nothing."""
        actor = actor_of(request)
        lines = _lines(request)
        if sum(bool(line.strip()) for line in lines) > LARGEST:
            raise Invalid(f"At most {LARGEST} incidents in one request; send the rest in another.")
        team = _team(actor, request.query_params.get("team", ""))
        results = list(import_incidents(lines=lines, team=team, by=actor, at=clock.now()))
        counts = Counter(result.outcome for result in results)
        return Response(
            {
                "results": [_shown(index, result) for index, result in enumerate(results)],
                **{outcome.value: counts[outcome] for outcome in Outcome},
            }
        )


def _lines(request: Request) -> list[bytes]:
    """The body's lines, unread: each is decoded by itself, so that a bad one costs no other."""
    if str(request.content_type).startswith("multipart/"):
        raise UnsupportedMediaType(str(request.content_type), "Send the lines as the body.")
    body: bytes = request.body
    return body.split(b"\n")


def _team(actor: Actor, slug: str) -> Team:
    """Whose incidents these become: the team named, else the only one that the actor writes for."""
    own = {seat.team for seat in actor.seats_for(Permission.WRITE_INCIDENTS)}
    teams = Team.objects.filter(pk__in=own)
    found = list((teams.filter(slug=slug) if slug else teams)[:2])
    if not found:
        raise Forbidden("You do not write incidents for that team.")
    if len(found) > 1:
        raise Invalid("You write for several teams: name one with ?team=.", pointer="/team")
    return found[0]


def _shown(index: int, result: Result) -> dict[str, Any]:
    return {
        "index": index,
        "line": result.line,
        "external_id": result.external_id,
        "status": result.outcome.value,
        "ref": result.ref or None,
        "errors": [{"pointer": error.pointer, "detail": error.detail} for error in result.errors],
        "ignored": list(result.ignored),
    }
