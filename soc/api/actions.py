"""Containment over the API: suggestions, requests, decisions, undo."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from django.http import HttpResponseBase
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from cases.access import action_for, actions_for, incident_for, incidents_for, permits
from cases.models import Action, Incident
from cases.words import ActionStatus
from containment import approvals, planning, presentation, undo
from containment.actions import catalogue
from containment.models import Step
from containment.parameters import schema
from containment.queries import actions_of
from containment.suggesting import suggestions
from containment.types import plain
from identity.actors import Actor
from identity.permissions import Permission
from identity.requests import actor_of, is_fresh
from lib import clock
from lib.errors import Forbidden, Invalid, NotFound
from soc.api import idempotency
from soc.api.bodies import Strict
from soc.api.idempotency import Kept

MOST_WAIT_SECONDS = 10.0
WAIT = OpenApiParameter("wait", float, description="seconds, at most 10, to wait for the plan")


class TargetIn(Strict):
    """What to act on."""

    type = serializers.CharField(max_length=40)
    account = serializers.RegexField(r"^[0-9]{12}$")
    region = serializers.CharField(max_length=30, required=False, allow_blank=True, default="")
    id = serializers.CharField(max_length=300)
    arn = serializers.CharField(max_length=2000, required=False, allow_blank=True, default="")


class ActionIn(Strict):
    """A request for an action."""

    type = serializers.CharField(max_length=60)
    target = TargetIn()
    params = serializers.DictField(required=False, default=dict)
    reason = serializers.CharField(max_length=2000, required=False, allow_blank=True, default="")


class ApproveIn(Strict):
    """The hash of the plan that was read."""

    plan_hash = serializers.RegexField(r"^[0-9a-f]{64}$")


class ReasonIn(Strict):
    """Why."""

    reason = serializers.CharField(max_length=2000, allow_blank=True)


class ActionOut(serializers.Serializer[Any]):
    """One action, its plan and its journal."""

    id = serializers.CharField()
    incident = serializers.CharField()
    type = serializers.CharField()
    category = serializers.CharField()
    tier = serializers.IntegerField()
    status = serializers.CharField()
    target = serializers.DictField()
    params = serializers.DictField()
    plan = serializers.DictField(allow_null=True)
    plan_hash = serializers.CharField()
    affects = serializers.DictField()
    does_not_stop = serializers.CharField()
    preflight = serializers.ListField()
    drift = serializers.ListField()
    note = serializers.CharField()
    alarm = serializers.CharField()
    requested_by = serializers.CharField()
    requested_at = serializers.DateTimeField()
    approved_at = serializers.DateTimeField(allow_null=True)
    applied_at = serializers.DateTimeField(allow_null=True)
    verified_at = serializers.DateTimeField(allow_null=True)
    confirmed_at = serializers.DateTimeField(allow_null=True)
    reverted_at = serializers.DateTimeField(allow_null=True)
    expires_at = serializers.DateTimeField(allow_null=True)
    review_at = serializers.DateTimeField(allow_null=True)
    reverts = serializers.CharField(allow_null=True)
    reverted_by = serializers.CharField(allow_null=True)
    steps = serializers.ListField()


class ActionTypeOut(serializers.Serializer[Any]):
    """One type of the catalogue."""

    id = serializers.CharField()
    title = serializers.CharField()
    category = serializers.CharField()
    tier = serializers.IntegerField()
    target = serializers.CharField()
    params_schema = serializers.DictField()
    reads = serializers.ListField(child=serializers.CharField())
    writes = serializers.ListField(child=serializers.CharField())
    does_not_stop = serializers.CharField()
    pairs_with = serializers.ListField(child=serializers.CharField())


class SuggestionOut(serializers.Serializer[Any]):
    """An action that fits the incident."""

    type = serializers.CharField()
    title = serializers.CharField()
    category = serializers.CharField()
    tier = serializers.IntegerField()
    target = serializers.DictField()
    params = serializers.DictField()
    reason = serializers.CharField()
    does_not_stop = serializers.CharField()


class ActionTypes(APIView):
    """The catalogue of action types."""

    permissions_needed = {"GET": Permission.READ_ACTIONS}

    @extend_schema(operation_id="action_types_list", responses=ActionTypeOut(many=True))
    def get(self, request: Request) -> Response:  # noqa: ARG002 - the catalogue is the same for everyone
        """Every type, by id, with what it reads, writes and does not stop."""
        found = [
            {
                "id": one.id,
                "title": one.title,
                "category": one.category.value,
                "tier": one.tier,
                "target": one.target,
                "params_schema": schema(one.params),
                "reads": list(one.reads),
                "writes": list(one.writes),
                "does_not_stop": one.does_not_stop(),
                "pairs_with": list(one.pairs_with),
            }
            for one in catalogue()
        ]
        return Response({"results": found, "next": None})


class Suggestions(APIView):
    """What fits an incident."""

    permissions_needed = {"GET": Permission.READ_ACTIONS}

    @extend_schema(operation_id="incident_suggestions_list", responses=SuggestionOut(many=True))
    def get(self, request: Request, ref: str) -> Response:
        """Actions that fit the incident's resources, in order, each with its reason."""
        actor = actor_of(request)
        incident = incident_for(actor, ref)
        found = (
            one
            for one in suggestions(incident)
            if _reaches(actor, Permission.READ_ACTIONS, incident, one.target)
        )
        return Response({"results": [plain(one) for one in found], "next": None})


def again(actor: Actor, kept: Kept) -> dict[str, Any]:
    """What was answered when the action was asked for, if the actor may still ask for it.

    As the action is now, where that answer was too long to be kept. `NotFound` when it is theirs no more.
    """
    visible = incidents_for(actor, permission=Permission.PLAN_ACTIONS)
    action = Action.objects.filter(ulid=kept.body["id"], incident__in=visible).first()
    if action is None or not _reaches(actor, Permission.PLAN_ACTIONS, action.incident, action.target):
        raise NotFound
    return kept.body if kept.is_whole else shown(action)


class Actions(APIView):
    """The actions of an incident."""

    permissions_needed = {"GET": Permission.READ_ACTIONS, "POST": Permission.PLAN_ACTIONS}

    @extend_schema(operation_id="incident_actions_list", responses=ActionOut(many=True))
    def get(self, request: Request, ref: str) -> Response:
        """Newest first."""
        actor = actor_of(request)
        found = actions_of(incident_for(actor, ref)).filter(pk__in=actions_for(actor).values("pk"))
        return Response({"results": [shown(action) for action in found[:200]], "next": None})

    @extend_schema(
        operation_id="incident_actions_create",
        request=ActionIn,
        responses={201: ActionOut},
        parameters=[WAIT, *idempotency.PARAMETERS],
    )
    def post(self, request: Request, ref: str) -> HttpResponseBase:
        """Ask for an action: stored as `proposed`; with `?wait=` the answer comes once it is planned."""
        seconds = _patience(request)
        return _waited(request, self._propose(request, ref), seconds=seconds)

    @idempotency.idempotent(names=["id"], again=again)
    def _propose(self, request: Request, ref: str) -> Response:
        actor = actor_of(request)
        incident = incident_for(actor, ref, permission=Permission.PLAN_ACTIONS)
        asked = _valid(ActionIn, request)
        action = planning.propose(
            incident=incident,
            type_id=asked["type"],
            target=asked["target"],
            params=asked["params"],
            reason=asked["reason"],
            by=actor,
            at=clock.now(),
        )
        return Response(shown(action), status=201)


class OneAction(APIView):
    """One action."""

    permissions_needed = {"GET": Permission.READ_ACTIONS}

    @extend_schema(operation_id="actions_retrieve", responses=ActionOut)
    def get(self, request: Request, ulid: str) -> Response:
        """The action with its plan and journal."""
        return Response(shown(action_for(actor_of(request), ulid)))


class Approve(APIView):
    """Approval, for people."""

    permissions_needed = {"POST": None}

    @extend_schema(operation_id="actions_approve", request=ApproveIn, responses=ActionOut)
    def post(self, request: Request, ulid: str) -> Response:
        """Approve the plan with this hash. A key gets 403."""
        actor = actor_of(request)
        if actor.kind != "person":
            raise Forbidden("Approving is for people, signed in in a browser.")
        action = action_for(actor, ulid)
        asked = _valid(ApproveIn, request)
        approvals.approve(
            action=action,
            plan_hash=asked["plan_hash"],
            by=actor,
            at=clock.now(),
            is_fresh=is_fresh(request),
        )
        return Response(shown(action))


class Reject(APIView):
    """Rejection, for people."""

    permissions_needed = {"POST": None}

    @extend_schema(operation_id="actions_reject", request=ReasonIn, responses=ActionOut)
    def post(self, request: Request, ulid: str) -> Response:
        """Reject the plan, with a reason."""
        actor = actor_of(request)
        action = action_for(actor, ulid)
        reason = _valid(ReasonIn, request)["reason"]
        return Response(shown(approvals.reject(action=action, reason=reason, by=actor, at=clock.now())))


class Revert(APIView):
    """Undo."""

    permissions_needed = {"POST": Permission.PLAN_ACTIONS}

    @extend_schema(
        operation_id="actions_revert",
        request=ReasonIn,
        responses={201: ActionOut},
        parameters=[WAIT, *idempotency.PARAMETERS],
    )
    def post(self, request: Request, ulid: str) -> HttpResponseBase:
        """Ask for the undo: a second action, with a plan and an approval of its own."""
        seconds = _patience(request)
        return _waited(request, self._propose(request, ulid), seconds=seconds)

    @idempotency.idempotent(names=["id"], again=again)
    def _propose(self, request: Request, ulid: str) -> Response:
        actor = actor_of(request)
        action = action_for(actor, ulid, permission=Permission.PLAN_ACTIONS)
        reason = _valid(ReasonIn, request)["reason"]
        asked = undo.propose_revert(action=action, reason=reason, by=actor, at=clock.now())
        return Response(shown(asked), status=201)


def shown(action: Action) -> dict[str, Any]:
    """The action as the API gives it."""
    plan = None
    if action.plan:
        before, after = presentation.before_and_after(action.plan)
        plan = {**action.plan, "before": before, "after": after, "calls": presentation.calls_of(action.plan)}
    reversion = action.reversions.order_by("-pk").first()
    return {
        "id": action.ulid,
        "incident": action.incident.ref,
        "type": action.type,
        "category": action.category,
        "tier": action.tier,
        "status": action.status,
        "target": action.target,
        "params": action.params,
        "plan": plan,
        "plan_hash": action.plan_hash,
        "affects": action.affects,
        "does_not_stop": action.does_not_stop,
        "preflight": action.preflight,
        "drift": action.drift,
        "note": action.note,
        "alarm": action.alarm,
        "reason": action.reason,
        "requested_by": action.requested_label,
        **{name: _utc(getattr(action, name)) for name in TIMES},
        "reverts": action.reverts.ulid if action.reverts else None,
        "reverted_by": reversion.ulid if reversion else None,
        "steps": [_step(row) for row in Step.objects.filter(action=action).order_by("seq")],
    }


TIMES = (
    "requested_at",
    "planned_at",
    "approved_at",
    "started_at",
    "applied_at",
    "verified_at",
    "confirmed_at",
    "reverted_at",
    "expires_at",
    "review_at",
)


def _reaches(actor: Actor, permission: Permission, incident: Incident, target: Mapping[str, Any]) -> bool:
    """Whether the permission covers the target's account, which need not be the incident's."""
    return permits(actor, permission, team=incident.team_id, account=target["account"])


def _step(row: Step) -> dict[str, Any]:
    return {
        "seq": row.seq,
        "name": row.name,
        "kind": row.kind,
        "state": row.state,
        "attempt": row.attempt,
        "attempts": row.attempts,
        "before": row.before,
        "result": row.result,
        "error": row.error,
        "intent_at": _utc(row.intent_at),
        "finished_at": _utc(row.finished_at),
        "until": _utc(row.until),
    }


def _utc(moment: Any) -> str | None:
    return moment.isoformat().replace("+00:00", "Z") if moment else None


def _valid(serializer: type[Strict], request: Request) -> dict[str, Any]:
    bound = serializer(data=request.data)
    bound.is_valid(raise_exception=True)
    valid: dict[str, Any] = bound.validated_data
    return valid


def _patience(request: Request) -> float:
    """How many seconds the caller waits for the plan; asked before anything is stored."""
    given = request.query_params.get("wait", "0")
    try:
        return min(MOST_WAIT_SECONDS, max(0.0, float(given)))
    except ValueError:
        raise Invalid("wait is a number of seconds.", pointer="?wait") from None


def _waited(request: Request, answer: HttpResponseBase, *, seconds: float) -> HttpResponseBase:
    """The answer once the worker has planned what was asked for, which is then the one to be repeated."""
    if not seconds or not isinstance(answer, Response):
        return answer
    action = _settled(Action.objects.get(ulid=answer.data["id"]), seconds=seconds)
    later = Response(shown(action), status=answer.status_code)
    idempotency.keep_instead(request, later, names=["id"])
    return later


def _settled(action: Action, *, seconds: float) -> Action:
    """Wait, without a transaction, until the worker has planned it or the caller's patience is over."""
    until = time.monotonic() + seconds
    while action.status == ActionStatus.PROPOSED and time.monotonic() < until:
        time.sleep(0.1)  # the real time of a waiting caller, not the product's clock
        action.refresh_from_db()
    return action
