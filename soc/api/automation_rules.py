"""Automation's rules and holds over the API: written, approved and released by people, never by keys."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from containment import auto_pages, auto_rules, holds
from containment.auto_rules import Wording
from containment.automation_models import AutoRule
from identity.actors import Actor
from identity.permissions import Permission
from identity.requests import actor_of, is_fresh
from lib import clock
from lib.errors import Forbidden, Invalid
from soc.api import bodies
from soc.api.automation import AutomationHoldOut, AutomationRuleOut, Why, hold_shown, rule_shown
from soc.api.bodies import Strict
from soc.api.pagination import CursorPage

PAGING = [OpenApiParameter("limit", int), OpenApiParameter("cursor", str)]


class AutomationRuleWords(Strict):
    """What a rule says. `type` is a finding type, whose end one `*` may leave open."""

    name = serializers.CharField(max_length=120)
    type = serializers.CharField(max_length=200)
    environments = serializers.ListField(child=serializers.CharField(max_length=20), max_length=20)
    action_types = serializers.ListField(child=serializers.CharField(max_length=60), max_length=100)
    expires_at = serializers.DateTimeField(help_text="within 366 days")
    min_severity = serializers.IntegerField(min_value=1, max_value=100, required=False)
    max_tier = serializers.IntegerField(min_value=0, max_value=2, required=False)
    per_hour = serializers.IntegerField(min_value=1, max_value=100, required=False)
    per_account = serializers.IntegerField(min_value=1, max_value=100, required=False)


class AutomationRuleIn(AutomationRuleWords):
    """A new rule, which waits for a second person; `team` where one keeps the rules of several."""

    team = serializers.CharField(max_length=80, required=False)


class AutomationRuleChange(AutomationRuleWords):
    """What the next version says otherwise; `version` is the one that was read."""

    version = serializers.IntegerField(min_value=1)


class VersionIn(Strict):
    """The version that was read."""

    version = serializers.IntegerField(min_value=1)


class AutomationNothing(Strict):
    """No field."""


class AutomationRulePage(serializers.Serializer[Any]):
    """One page of rules."""

    results = AutomationRuleOut(many=True)
    next = serializers.URLField(allow_null=True)


class AutomationHoldPage(serializers.Serializer[Any]):
    """One page of holds."""

    results = AutomationHoldOut(many=True)
    next = serializers.URLField(allow_null=True)


class Rules(APIView):
    """The automation rules of the caller's teams."""

    permissions_needed = {"GET": Permission.READ_ACTIONS, "POST": Permission.KEEP_RULES}

    @extend_schema(operation_id="automation_rules_list", parameters=PAGING, responses=AutomationRulePage)
    def get(self, request: Request) -> Response:
        """Rules by name, each with what it would have done over the last 30 days."""
        actor = actor_of(request)
        pager = CursorPage(order=("name",))
        rows = pager.paginate_queryset(auto_rules.rules_for(actor), request)
        return pager.get_paginated_response([_shown(actor, rule) for rule in rows])

    @extend_schema(
        operation_id="automation_rules_create", request=AutomationRuleIn, responses={201: AutomationRuleOut}
    )
    def post(self, request: Request) -> Response:
        """Write a rule. It does nothing until a second person approves it."""
        actor = _person(request)
        given = bodies.valid(AutomationRuleIn, request.data)
        team = auto_rules.team_for(actor, given.pop("team", ""))
        rule = auto_rules.create(wording=Wording(**_values(given)), team=team, by=actor, at=clock.now())
        return Response(_shown(actor, rule), status=201)


class OneRule(APIView):
    """One automation rule."""

    permissions_needed = {
        "GET": Permission.READ_ACTIONS,
        "PATCH": Permission.KEEP_RULES,
        "DELETE": Permission.KEEP_RULES,
    }

    @extend_schema(operation_id="automation_rules_read", responses=AutomationRuleOut)
    def get(self, request: Request, ulid: str) -> Response:
        """The rule."""
        actor = actor_of(request)
        return Response(_shown(actor, auto_rules.rule_for(actor, ulid)))

    @extend_schema(
        operation_id="automation_rules_change", request=AutomationRuleChange, responses=AutomationRuleOut
    )
    def patch(self, request: Request, ulid: str) -> Response:
        """Write the next version, which waits for a second person. 409: there is a newer one than read."""
        actor = _person(request)
        rule = auto_rules.rule_for(actor, ulid, permission=Permission.KEEP_RULES)
        given = bodies.valid(AutomationRuleChange, request.data, partial=True)
        if "version" not in given:
            raise Invalid("Name the version that you read.", pointer="/version")
        seen = given.pop("version")
        if not given:
            raise Invalid("Say what changes.")
        wording = replace(Wording.of(rule), **_values(given))
        rule = auto_rules.change(rule=rule, wording=wording, seen=seen, by=actor, at=clock.now())
        return Response(_shown(actor, rule))

    @extend_schema(operation_id="automation_rules_remove", responses={204: None})
    def delete(self, request: Request, ulid: str) -> Response:
        """Remove it. What it did stays in force, and goes on naming it."""
        actor = _person(request)
        rule = auto_rules.rule_for(actor, ulid, permission=Permission.KEEP_RULES)
        auto_rules.remove(rule=rule, by=actor, at=clock.now())
        return Response(status=204)


class Approve(APIView):
    """The second person behind a rule."""

    permissions_needed = {"POST": None}

    @extend_schema(operation_id="automation_rules_approve", request=VersionIn, responses=AutomationRuleOut)
    def post(self, request: Request, ulid: str) -> Response:
        """Approve this version, as another person than who wrote it; needs a fresh sign-in."""
        actor = _person(request)
        rule = auto_rules.rule_for(actor, ulid)
        seen = bodies.valid(VersionIn, request.data)["version"]
        rule = auto_rules.approve(rule=rule, seen=seen, by=actor, at=clock.now(), is_fresh=is_fresh(request))
        return Response(_shown(actor, rule))


class Withdraw(APIView):
    """Taking a rule out of force."""

    permissions_needed = {"POST": Permission.KEEP_RULES}

    @extend_schema(
        operation_id="automation_rules_withdraw", request=AutomationNothing, responses=AutomationRuleOut
    )
    def post(self, request: Request, ulid: str) -> Response:
        """It does nothing until it is approved again. 409 when it is not in force."""
        actor = _person(request)
        rule = auto_rules.rule_for(actor, ulid, permission=Permission.KEEP_RULES)
        bodies.valid(AutomationNothing, request.data)
        return Response(_shown(actor, auto_rules.withdraw(rule=rule, by=actor, at=clock.now())))


class Holds(APIView):
    """What automation leaves alone."""

    permissions_needed = {"GET": Permission.READ_ACTIONS}

    @extend_schema(
        operation_id="automation_holds_list",
        parameters=[
            OpenApiParameter(
                "released", bool, description="those that were released, in place of the others"
            ),
            *PAGING,
        ],
        responses=AutomationHoldPage,
    )
    def get(self, request: Request) -> Response:
        """The holds of the caller's teams, the newest first."""
        released = request.query_params.get("released", "false")
        if released not in ("true", "false"):
            raise Invalid("released is true or false.", pointer="?released")
        pager = CursorPage(order=("-placed_at",))
        found = holds.holds_for(actor_of(request)).filter(released_at__isnull=released == "false")
        rows = pager.paginate_queryset(found, request)
        return pager.get_paginated_response([hold_shown(hold) for hold in rows])


class Release(APIView):
    """Letting automation act on a thing again."""

    permissions_needed = {"POST": Permission.CONFIRM_ACTIONS}

    @extend_schema(operation_id="automation_holds_release", request=Why, responses=AutomationHoldOut)
    def post(self, request: Request, ulid: str) -> Response:
        """Release a hold, with a reason. 409 when it was released already."""
        actor = _person(request)
        reason = bodies.valid(Why, request.data)["reason"]
        return Response(hold_shown(holds.release(ulid=ulid, reason=reason, by=actor, at=clock.now())))


def _person(request: Request) -> Actor:
    actor = actor_of(request)
    if actor.kind != "person":
        raise Forbidden("Automation is kept by people, signed in in a browser.")
    return actor


def _shown(actor: Actor, rule: AutoRule) -> dict[str, Any]:
    return rule_shown(auto_pages.line_of(actor, rule, at=clock.now()))


def _values(given: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
