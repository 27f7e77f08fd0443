"""Triage rules over the API: read by whoever reads alerts, kept by leads. Keys never keep rules."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from cases import previewing, ruling
from cases.models import TriageRule
from cases.previewing import Preview
from cases.ruling import Wording
from cases.words import GroupBy, RuleEffect
from identity.permissions import Permission
from identity.requests import actor_of
from lib import clock
from lib.errors import Invalid
from soc.api import bodies
from soc.api.bodies import Strict
from soc.api.pagination import CursorPage


class RuleWords(Strict):
    """What a rule says. `conditions` narrow it; `window` is in seconds; a `type` may end in `*`."""

    name = serializers.CharField(max_length=120, required=False)
    effect = serializers.ChoiceField(choices=list(RuleEffect), required=False)
    position = serializers.IntegerField(min_value=0, max_value=100_000, required=False)
    source = serializers.CharField(  # type: ignore[assignment] # REST framework has one of that name
        max_length=40, allow_blank=True, required=False
    )
    type = serializers.CharField(max_length=200, allow_blank=True, required=False)
    min_severity = serializers.IntegerField(min_value=0, max_value=100, required=False)
    max_severity = serializers.IntegerField(min_value=0, max_value=100, required=False)
    conditions: Any = serializers.JSONField(required=False)
    window = serializers.IntegerField(min_value=60, max_value=90 * 86_400, required=False)
    group_by = serializers.ChoiceField(choices=list(GroupBy), required=False)
    shift = serializers.IntegerField(min_value=-100, max_value=100, required=False)
    route_to = serializers.CharField(max_length=80, allow_blank=True, required=False)
    reason = serializers.CharField(max_length=500, allow_blank=True, required=False)
    expires_at = serializers.DateTimeField(allow_null=True, required=False)


class RuleIn(RuleWords):
    """A new rule, made switched off; `team` where one keeps the rules of several."""

    team = serializers.CharField(max_length=80, required=False)


class RuleChange(RuleWords):
    """What changes in a rule; `is_on` alone switches it."""

    is_on = serializers.BooleanField(required=False)


class RuleOut(serializers.Serializer[Any]):
    """One rule. `ended`: its end has passed, so that it does nothing whatever `is_on` says."""

    id = serializers.CharField()
    team = serializers.CharField()
    name = serializers.CharField()
    effect = serializers.ChoiceField(choices=list(RuleEffect))
    position = serializers.IntegerField()
    source = serializers.CharField()  # type: ignore[assignment]
    type = serializers.CharField()
    min_severity = serializers.IntegerField()
    max_severity = serializers.IntegerField()
    conditions: Any = serializers.JSONField()
    window = serializers.IntegerField()
    group_by = serializers.ChoiceField(choices=list(GroupBy))
    shift = serializers.IntegerField()
    route_to = serializers.CharField()
    reason = serializers.CharField()
    expires_at = serializers.DateTimeField(allow_null=True)
    is_on = serializers.BooleanField()
    ended = serializers.BooleanField()
    created_at = serializers.DateTimeField()
    created_by = serializers.CharField()
    changed_at = serializers.DateTimeField(allow_null=True)


class RulePage(serializers.Serializer[Any]):
    """One page of rules."""

    results = RuleOut(many=True)
    next = serializers.URLField(allow_null=True)


class DayOut(serializers.Serializer[Any]):
    """How many alerts of one day fit."""

    day = serializers.DateField()
    count = serializers.IntegerField()


class ExampleOut(serializers.Serializer[Any]):
    """One alert that fits."""

    id = serializers.CharField()
    title = serializers.CharField()
    severity = serializers.IntegerField()
    account = serializers.CharField()
    received_at = serializers.DateTimeField()
    status = serializers.CharField()
    verdict = serializers.CharField()


class PreviewOut(serializers.Serializer[Any]):
    """What a rule would have done over the last 30 days, to the alerts that the caller may read."""

    since = serializers.DateTimeField()
    until = serializers.DateTimeField()
    scanned = serializers.IntegerField()
    is_cut = serializers.BooleanField(help_text="older alerts than `since` were not looked at")
    fitting = serializers.IntegerField()
    opened = serializers.IntegerField()
    joined = serializers.IntegerField()
    suppressed = serializers.IntegerField()
    moved = serializers.IntegerField()
    changed = serializers.IntegerField()
    protected = serializers.IntegerField()
    open = serializers.IntegerField()
    verdicts = serializers.DictField(child=serializers.IntegerField())
    days = DayOut(many=True)
    examples = ExampleOut(many=True)


class Rules(APIView):
    """The rules of the caller's teams."""

    permissions_needed = {"GET": Permission.READ_ALERTS, "POST": Permission.KEEP_RULES}

    @extend_schema(
        operation_id="rules_list",
        parameters=[OpenApiParameter("limit", int), OpenApiParameter("cursor", str)],
        responses=RulePage,
    )
    def get(self, request: Request) -> Response:
        """Rules, in the order in which they are looked at."""
        pager = CursorPage(order=("position",))
        rows = pager.paginate_queryset(ruling.rules_for(actor_of(request)), request)
        return pager.get_paginated_response([shown(rule) for rule in rows])

    @extend_schema(operation_id="rules_create", request=RuleIn, responses={201: RuleOut})
    def post(self, request: Request) -> Response:
        """Make a rule, switched off. Look at its preview, then switch it on."""
        actor = actor_of(request)
        given = bodies.valid(RuleIn, request.data)
        team = ruling.team_for(actor, given.pop("team", ""))
        rule = ruling.create(wording=_wording(given), team=team, by=actor, at=clock.now())
        return Response(shown(rule), status=201)


class OneRule(APIView):
    """One rule."""

    permissions_needed = {
        "GET": Permission.READ_ALERTS,
        "PATCH": Permission.KEEP_RULES,
        "DELETE": Permission.KEEP_RULES,
    }

    @extend_schema(operation_id="rules_read", responses=RuleOut)
    def get(self, request: Request, ulid: str) -> Response:
        """The rule."""
        return Response(shown(ruling.rule_for(actor_of(request), ulid)))

    @extend_schema(operation_id="rules_change", request=RuleChange, responses=RuleOut)
    def patch(self, request: Request, ulid: str) -> Response:
        """Change what it says, or switch it. Alerts that it was applied to stay as they are."""
        actor, at = actor_of(request), clock.now()
        rule = ruling.rule_for(actor, ulid, permission=Permission.KEEP_RULES)
        given = bodies.valid(RuleChange, request.data, partial=True)
        on = given.pop("is_on", None)
        if given and on is not None:
            raise Invalid("Change what it says, then switch it.", pointer="/is_on")
        if given:
            wording = replace(Wording.of(rule), **_values(given))
            ruling.change(rule=rule, wording=wording, by=actor, at=at)
        elif on is not None:
            ruling.switch(rule=rule, on=on, by=actor, at=at)
        return Response(shown(rule))

    @extend_schema(operation_id="rules_remove", responses={204: None})
    def delete(self, request: Request, ulid: str) -> Response:
        """Remove it; one that has suppressed alerts can only be switched off."""
        actor = actor_of(request)
        rule = ruling.rule_for(actor, ulid, permission=Permission.KEEP_RULES)
        ruling.remove(rule=rule, by=actor, at=clock.now())
        return Response(status=204)


class RulePreview(APIView):
    """Trying a rule."""

    permissions_needed = {"POST": Permission.KEEP_RULES}

    @extend_schema(operation_id="rules_preview", request=RuleIn, responses=PreviewOut)
    def post(self, request: Request) -> Response:
        """What this rule would have done over the last 30 days. Nothing is stored."""
        actor, at = actor_of(request), clock.now()
        given = bodies.valid(RuleIn, request.data)
        team = ruling.team_for(actor, given.pop("team", ""))
        rule = ruling.drafted(_wording({"name": "preview", **given}), team=team, at=at)
        return Response(previewed(previewing.preview(rule=rule, by=actor, at=at)))


def shown(rule: TriageRule) -> dict[str, Any]:
    """The rule as the API gives it."""
    return {
        "id": rule.ulid,
        "team": rule.team.slug,
        "name": rule.name,
        "effect": rule.effect,
        "position": rule.position,
        "source": rule.source,
        "type": rule.type,
        "min_severity": rule.min_severity,
        "max_severity": rule.max_severity,
        "conditions": rule.conditions,
        "window": int(rule.window.total_seconds()),
        "group_by": rule.group_by,
        "shift": rule.shift,
        "route_to": rule.route_to.slug if rule.route_to else "",
        "reason": rule.reason,
        "expires_at": rule.expires_at,
        "is_on": rule.is_on,
        "ended": rule.expires_at is not None and rule.expires_at <= clock.now(),
        "created_at": rule.created_at,
        "created_by": rule.created_by,
        "changed_at": rule.changed_at,
    }


def previewed(found: Preview) -> dict[str, Any]:
    """The preview as the API gives it."""
    names = (
        "since until scanned is_cut fitting opened joined suppressed moved changed protected open verdicts"
    )
    examples = [
        {
            "id": alert.ulid,
            "title": alert.title,
            "severity": alert.severity,
            "account": alert.account,
            "received_at": alert.received_at,
            "status": alert.status,
            "verdict": alert.verdict,
        }
        for alert in found.examples
    ]
    days = [{"day": day.isoformat(), "count": count} for day, count in found.days]
    return {name: getattr(found, name) for name in names.split()} | {"days": days, "examples": examples}


def _wording(given: dict[str, Any]) -> Wording:
    if "name" not in given:
        raise Invalid("A rule has a name.", pointer="/name")
    return Wording(**_values(given))


def _values(given: dict[str, Any]) -> dict[str, Any]:
    if "window" in given:
        given = {**given, "window": timedelta(seconds=given["window"])}
    return given
