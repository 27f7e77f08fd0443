"""Automation over the API: read by whoever reads actions; stopped and let go by people, never by keys."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from containment import auto_pages, auto_rules
from containment.auto_pages import Line
from containment.automation_models import Automation, Hold
from identity.permissions import Permission
from identity.requests import actor_of, is_fresh
from lib import clock
from lib.errors import Forbidden
from soc.api import bodies
from soc.api.bodies import Strict


class Why(Strict):
    """The reason, which is kept and shown."""

    reason = serializers.CharField(max_length=500)


class AutomationRuleOut(serializers.Serializer[Any]):
    """One rule. `state`: `live`, `waiting` for a second person, or `ended`. `would`: in 30 days."""

    id = serializers.CharField()
    team = serializers.CharField()
    name = serializers.CharField()
    type = serializers.CharField()
    min_severity = serializers.IntegerField()
    environments = serializers.ListField(child=serializers.CharField())
    action_types = serializers.ListField(child=serializers.CharField())
    max_tier = serializers.IntegerField()
    per_hour = serializers.IntegerField()
    per_account = serializers.IntegerField()
    version = serializers.IntegerField()
    state = serializers.CharField()
    written_by = serializers.CharField()
    approved_by = serializers.CharField()
    expires_at = serializers.DateTimeField()
    used_this_hour = serializers.IntegerField()
    would = serializers.DictField(child=serializers.IntegerField())


class AutomationHoldOut(serializers.Serializer[Any]):
    """One thing that automation leaves alone, until somebody releases it with a reason."""

    id = serializers.CharField()
    account = serializers.CharField()
    thing = serializers.CharField()
    finding = serializers.CharField()
    reason = serializers.CharField()
    placed_by = serializers.CharField()
    placed_at = serializers.DateTimeField()
    released_at = serializers.DateTimeField(allow_null=True)
    released_by = serializers.CharField(allow_blank=True)
    release_reason = serializers.CharField(allow_blank=True)


class AutomationStateOut(serializers.Serializer[Any]):
    """Whether automation runs, and if not, why."""

    running = serializers.BooleanField()
    stopped_at = serializers.DateTimeField(allow_null=True)
    stop_reason = serializers.CharField()
    breaker_opened_at = serializers.DateTimeField(allow_null=True)
    breaker_reason = serializers.CharField()


class AutomationOut(AutomationStateOut):
    """Automation as far as the caller may read it."""

    rules = AutomationRuleOut(many=True)
    holds = AutomationHoldOut(many=True)


class Overview(APIView):
    """Automation."""

    permissions_needed = {"GET": Permission.READ_ACTIONS}

    @extend_schema(operation_id="automation_read", responses=AutomationOut)
    def get(self, request: Request) -> Response:
        """The switch, the rules of the caller's teams, and what is held."""
        page = auto_pages.page(actor_of(request), at=clock.now())
        held = [hold_shown(hold) for hold in page.holds]
        rules = [rule_shown(line) for line in page.lines]
        return Response(_state(page.state) | {"rules": rules, "holds": held})


class Stop(APIView):
    """The kill switch."""

    permissions_needed = {"POST": Permission.CONFIRM_ACTIONS}

    @extend_schema(operation_id="automation_stop", request=Why, responses=AutomationStateOut)
    def post(self, request: Request) -> Response:
        """Stop all automation, in all teams. A second time changes nothing."""
        reason = bodies.valid(Why, request.data)["reason"]
        return Response(_state(auto_rules.stop(reason=reason, by=actor_of(request), at=clock.now())))


class Resume(APIView):
    """Letting automation go on."""

    permissions_needed = {"POST": Permission.KEEP_RULES}

    @extend_schema(operation_id="automation_resume", request=Why, responses=AutomationStateOut)
    def post(self, request: Request) -> Response:
        """Reset the kill switch and close the breaker; needs a fresh sign-in."""
        actor = actor_of(request)
        if actor.kind != "person":
            raise Forbidden("Automation is let go again by a lead.")
        reason = bodies.valid(Why, request.data)["reason"]
        state = auto_rules.resume(reason=reason, by=actor, at=clock.now(), is_fresh=is_fresh(request))
        return Response(_state(state))


def hold_shown(hold: Hold) -> dict[str, Any]:
    """One hold as the API gives it."""
    names = "account thing finding reason placed_by placed_at released_at release_reason"
    return {name: getattr(hold, name) for name in names.split()} | {
        "id": hold.ulid,
        "released_by": hold.released_by.name if hold.released_by else "",
    }


def _state(state: Automation) -> dict[str, Any]:
    names = ("stopped_at", "stop_reason", "breaker_opened_at", "breaker_reason")
    return {"running": state.is_running} | {name: getattr(state, name) for name in names}


def rule_shown(line: Line) -> dict[str, Any]:
    """One rule as the API gives it."""
    rule = line.rule
    names = (
        "name type min_severity environments action_types max_tier per_hour per_account version expires_at"
    )
    return {name: getattr(rule, name) for name in names.split()} | {
        "id": rule.ulid,
        "team": rule.team.slug,
        "state": line.state,
        "written_by": rule.written_by.name,
        "approved_by": rule.approved_by.name if rule.approved_by else "",
        "used_this_hour": line.budget.used,
        "would": dict(line.look_back.would),
    }
