"""Approvals over the API beyond yes and no: taking one back, breaking the glass, reviewing that."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from cases.access import action_for
from containment import approvals, glass, tiers
from containment.models import GlassReview
from identity.permissions import Permission
from identity.requests import actor_of, is_fresh
from lib import clock
from lib.errors import Forbidden
from soc.api.actions import ActionOut, ReasonIn, shown
from soc.api.bodies import Strict

SHOWN = 200


class BreakGlassIn(Strict):
    """The hash of the plan that was read, why there is no second person, and the target's id typed out."""

    plan_hash = serializers.RegexField(r"^[0-9a-f]{64}$")
    reason = serializers.CharField(max_length=2000)
    typed = serializers.CharField(max_length=300)


class ReviewIn(Strict):
    """Whether it was right, and what was found."""

    is_justified = serializers.BooleanField()
    finding = serializers.CharField(max_length=2000)


class ReviewOut(serializers.Serializer[Any]):
    """One broken glass and its review."""

    id = serializers.CharField()
    action = serializers.CharField()
    incident = serializers.CharField()
    broken_by = serializers.CharField()
    broken_at = serializers.DateTimeField()
    reason = serializers.CharField()
    due_at = serializers.DateTimeField()
    reviewer = serializers.CharField(allow_null=True)
    reviewed_at = serializers.DateTimeField(allow_null=True)
    is_justified = serializers.BooleanField(allow_null=True)
    finding = serializers.CharField()


class Revoke(APIView):
    """Taking approvals back, for people."""

    permissions_needed = {"POST": None}

    @extend_schema(operation_id="actions_revoke", request=ReasonIn, responses=ActionOut)
    def post(self, request: Request, ulid: str) -> Response:
        """Take one's approval back before the action starts; who may decide takes back everyone's."""
        actor = actor_of(request)
        if actor.kind != "person":
            raise Forbidden("Approving, and taking it back, is for people.")
        action = action_for(actor, ulid)
        asked = _valid(ReasonIn, request)
        return Response(
            shown(approvals.revoke(action=action, reason=asked["reason"], by=actor, at=clock.now()))
        )


class BreakGlass(APIView):
    """Starting a plan on one person's word."""

    permissions_needed = {"POST": None}

    @extend_schema(operation_id="actions_break_glass", request=BreakGlassIn, responses=ActionOut)
    def post(self, request: Request, ulid: str) -> Response:
        """Start the plan without a second person; it is told to every lead and reviewed afterwards."""
        actor = actor_of(request)
        if actor.kind != "person":
            raise Forbidden("Breaking the glass is for people, signed in in a browser.")
        action = action_for(actor, ulid)
        asked = _valid(BreakGlassIn, request)
        glass.break_glass(action=action, by=actor, at=clock.now(), is_fresh=is_fresh(request), **asked)
        return Response(shown(action))


class Reviews(APIView):
    """Every broken glass."""

    permissions_needed = {"GET": Permission.READ_ACTIONS}

    @extend_schema(operation_id="glass_reviews_list", responses=ReviewOut(many=True))
    def get(self, request: Request) -> Response:
        """Open reviews first, the longest due at the top; at most 200."""
        found = glass.reviews_for(actor_of(request))[:SHOWN]
        return Response({"results": [_shown(one) for one in found], "next": None})


class PolicyOut(serializers.Serializer[Any]):
    """The tier policy in force; version 0 is what Quell comes with."""

    version = serializers.IntegerField()
    tiers = serializers.DictField(child=serializers.DictField(child=serializers.IntegerField()))


class Policy(APIView):
    """What tiers become in which environment."""

    permissions_needed = {"GET": Permission.READ_ACTIONS}

    @extend_schema(operation_id="tier_policy_retrieve", responses=PolicyOut)
    def get(self, request: Request) -> Response:  # noqa: ARG002 - one policy for the whole installation
        """The version in force, as differences from the tiers that the catalogue declares."""
        present = tiers.in_force()
        return Response({"version": present.version, "tiers": present.tiers})


class OneReview(APIView):
    """One review."""

    permissions_needed = {"POST": None}

    @extend_schema(operation_id="glass_reviews_write", request=ReviewIn, responses=ReviewOut)
    def post(self, request: Request, ulid: str) -> Response:
        """Write the review, once, as another person than who broke the glass."""
        actor = actor_of(request)
        if actor.kind != "person":
            raise Forbidden("Reviewing is for people.")
        asked = _valid(ReviewIn, request)
        return Response(_shown(glass.review(ulid=ulid, by=actor, at=clock.now(), **asked)))


def _shown(one: GlassReview) -> dict[str, Any]:
    return {
        "id": one.ulid,
        "action": one.approval.action.ulid,
        "incident": one.approval.action.incident.ref,
        "broken_by": one.approval.person.name,
        "broken_at": one.approval.at.isoformat().replace("+00:00", "Z"),
        "reason": one.approval.reason,
        "due_at": one.due_at.isoformat().replace("+00:00", "Z"),
        "reviewer": one.reviewer.name if one.reviewer else None,
        "reviewed_at": one.reviewed_at.isoformat().replace("+00:00", "Z") if one.reviewed_at else None,
        "is_justified": one.is_justified,
        "finding": one.finding,
    }


def _valid(serializer: type[Strict], request: Request) -> dict[str, Any]:
    bound = serializer(data=request.data)
    bound.is_valid(raise_exception=True)
    valid: dict[str, Any] = bound.validated_data
    return valid
