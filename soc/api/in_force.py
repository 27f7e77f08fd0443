"""What is in force over the API: listed, kept, handed over; lifting is `actions/{id}/revert`."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from cases.access import action_for
from containment import handing_over, in_force
from containment.in_force import Held
from identity.permissions import Permission
from identity.requests import actor_of
from lib import clock
from lib.errors import Forbidden, Invalid
from soc.api import bodies, people
from soc.api.actions import ActionOut, shown
from soc.api.bodies import Strict
from soc.api.pagination import CursorPage

ONLY = ("overdue", "alarms")


class KeepIn(Strict):
    """Until when it stays at least, within 90 days, and why."""

    until = serializers.DateTimeField()
    reason = serializers.CharField(max_length=2000)


class HandOverIn(Strict):
    """The reference of the incident that answers for it from now on, and why."""

    incident = serializers.CharField(max_length=20)
    reason = serializers.CharField(max_length=2000)


class InForceOut(serializers.Serializer[Any]):
    """One action in force.

    `quiet` is what the watch over a principal saw; `lift` its place in the order of undoing within its
    incident, from 1.
    """

    id = serializers.CharField()
    incident = serializers.CharField()
    type = serializers.CharField()
    title = serializers.CharField()
    category = serializers.CharField()
    tier = serializers.IntegerField()
    status = serializers.CharField()
    target = serializers.DictField()
    alarm = serializers.CharField(allow_blank=True)
    quiet = serializers.CharField(allow_blank=True)
    lift = serializers.IntegerField()
    is_overdue = serializers.BooleanField()
    review_at = serializers.DateTimeField(allow_null=True)
    keeper = people.PersonOut(allow_null=True, help_text="whose review that is, once somebody decided")
    applied_at = serializers.DateTimeField(allow_null=True)
    verified_at = serializers.DateTimeField(allow_null=True)
    confirmed_at = serializers.DateTimeField(allow_null=True)
    requested_by = serializers.CharField()


class InForcePage(serializers.Serializer[Any]):
    """One page of what is in force."""

    results = InForceOut(many=True)
    next = serializers.URLField(allow_null=True)


class InForce(APIView):
    """Everything that Quell holds in AWS."""

    permissions_needed = {"GET": Permission.READ_ACTIONS}

    @extend_schema(
        operation_id="in_force_list",
        parameters=[
            OpenApiParameter("only", str, enum=ONLY, description="reviews that are due, or alarms"),
            OpenApiParameter("limit", int),
            OpenApiParameter("cursor", str),
        ],
        responses=InForcePage,
    )
    def get(self, request: Request) -> Response:
        """What is in force in the caller's accounts, the next review first."""
        actor, now = actor_of(request), clock.now()
        only = request.query_params.get("only", "")
        if only and only not in ONLY:
            raise Invalid(f"only is one of {', '.join(ONLY)}.", pointer="?only")
        pager = CursorPage(order=("review_at",))
        rows = pager.paginate_queryset(in_force.standing(actor, at=now, only=only), request)
        return pager.get_paginated_response([_held(one) for one in in_force.held(actor, rows, at=now)])


class Keep(APIView):
    """Letting an action stay in force, for people."""

    permissions_needed = {"POST": None}

    @extend_schema(operation_id="actions_keep", request=KeepIn, responses=ActionOut)
    def post(self, request: Request, ulid: str) -> Response:
        """Keep it in force until a later review. 409 when it is not in force."""
        actor = actor_of(request)
        if actor.kind != "person":
            raise Forbidden("Keeping a containment is for people.")
        action = action_for(actor, ulid)
        asked = bodies.valid(KeepIn, request.data)
        return Response(shown(in_force.keep(action=action, by=actor, at=clock.now(), **asked)))


class HandOver(APIView):
    """Handing an action over, for people."""

    permissions_needed = {"POST": None}

    @extend_schema(operation_id="actions_hand_over", request=HandOverIn, responses=ActionOut)
    def post(self, request: Request, ulid: str) -> Response:
        """Let another open incident of the team answer for it; a second time changes nothing.

        409 when it is not in force, is being undone, or was handed over to yet another one meanwhile.
        """
        actor = actor_of(request)
        if actor.kind != "person":
            raise Forbidden("Handing a containment over is for people.")
        action = action_for(actor, ulid)
        asked = bodies.valid(HandOverIn, request.data)
        to = handing_over.taker_for(actor, action, asked["incident"])
        moved = handing_over.hand_over(action=action, to=to, reason=asked["reason"], by=actor, at=clock.now())
        return Response(shown(moved))


def _held(one: Held) -> dict[str, Any]:
    action = one.action
    names = "type category tier status target alarm review_at applied_at verified_at confirmed_at"
    return {name: getattr(action, name) for name in names.split()} | {
        "id": action.ulid,
        "incident": action.incident.ref,
        "title": one.title,
        "quiet": one.quiet,
        "lift": one.lift,
        "is_overdue": one.is_overdue,
        "keeper": people.shown(action.keeper),
        "requested_by": action.requested_label,
    }
