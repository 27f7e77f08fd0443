"""Named plans over the API: what fits an incident, and asking for all or some of one."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponseBase
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from cases.access import incident_for
from containment import asking
from containment.named_plans import Expanded
from containment.suggesting import Suggestion
from identity.actors import Actor
from identity.permissions import Permission
from identity.requests import actor_of
from lib import clock
from lib.errors import NotFound
from soc.api import actions, bodies, idempotency
from soc.api.actions import ActionOut, SuggestionOut
from soc.api.bodies import Strict
from soc.api.idempotency import Kept


class PlanActionOut(SuggestionOut):
    """One action of a plan; `pick` names it when only some are asked for."""

    pick = serializers.CharField()


class PlanOut(serializers.Serializer[Any]):
    """A named plan: what is left to ask for, and how much of it was asked for already."""

    id = serializers.CharField()
    title = serializers.CharField()
    about = serializers.CharField()
    is_likely = serializers.BooleanField(help_text="the type of one of the alerts speaks for it")
    tier = serializers.IntegerField(help_text="the highest among what is left")
    asked = serializers.IntegerField()
    actions = PlanActionOut(many=True)


class PlanPage(serializers.Serializer[Any]):
    """All of them; there is no second page."""

    results = PlanOut(many=True)
    next = serializers.URLField(allow_null=True)


class PlanIn(Strict):
    """Which actions of the plan, all without `pick`, and why, for each the plan's own reason without one."""

    pick = serializers.ListField(
        child=serializers.RegexField(r"^[0-9a-f]{16}$"), max_length=200, required=False, allow_empty=False
    )
    reason = serializers.CharField(max_length=2000, required=False, allow_blank=True, default="")


class AskedOut(serializers.Serializer[Any]):
    """The actions that were asked for, each `proposed`."""

    results = ActionOut(many=True)
    next = serializers.URLField(allow_null=True)


class OfIncident(APIView):
    """The named plans of an incident."""

    permissions_needed = {"GET": Permission.READ_ACTIONS}

    @extend_schema(operation_id="incident_plans_list", responses=PlanPage)
    def get(self, request: Request, ref: str) -> Response:
        """Those that fit what the incident names, likely ones first."""
        actor = actor_of(request)
        found = asking.plans_for(actor, incident_for(actor, ref), permission=Permission.READ_ACTIONS)
        return Response({"results": [_plan(one) for one in found], "next": None})


def again(actor: Actor, kept: Kept) -> dict[str, Any]:
    """What was answered when a plan was asked for, as far as the actor may still ask for it."""
    results = []
    for one in kept.body["results"]:
        try:
            results.append(actions.again(actor, Kept(body=one, is_whole=True)))
        except NotFound:
            continue
    if not results:
        raise NotFound
    return {"results": results, "next": None}


class OnePlan(APIView):
    """One named plan of an incident."""

    permissions_needed = {"POST": Permission.PLAN_ACTIONS}

    @extend_schema(
        operation_id="incident_plans_ask",
        request=PlanIn,
        responses={201: AskedOut},
        parameters=idempotency.PARAMETERS,
    )
    @idempotency.idempotent(again=again)
    def post(self, request: Request, ref: str, plan: str) -> HttpResponseBase:
        """Ask for what is left of it, or for the picked part: all of that or nothing.

        409 when nothing of it is left.
        """
        actor = actor_of(request)
        incident = incident_for(actor, ref, permission=Permission.PLAN_ACTIONS)
        asked = bodies.valid(PlanIn, request.data)
        made = asking.ask_for_plan(
            incident=incident,
            plan=plan,
            picks=frozenset(asked.get("pick", ())),
            reason=asked["reason"],
            by=actor,
            at=clock.now(),
        )
        return Response({"results": [actions.shown(one) for one in made], "next": None}, status=201)


def _plan(one: Expanded) -> dict[str, Any]:
    return {
        "id": one.plan.id,
        "title": one.plan.title,
        "about": one.plan.about,
        "is_likely": one.is_likely,
        "tier": one.tier,
        "asked": one.asked,
        "actions": [_action(action) for action in one.actions],
    }


def _action(one: Suggestion) -> dict[str, Any]:
    names = "type title category tier target params reason does_not_stop pick"
    return {name: getattr(one, name) for name in names.split()}
