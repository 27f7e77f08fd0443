"""Incidents over the API: the record with its milestones, metrics, alerts and actions, and its timeline."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import transaction
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, inline_serializer
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from cases import access, queries, triage
from cases.models import Action, Alert, Incident, Milestone, TimelineEntry
from cases.priority import kind_of
from cases.words import Band, Basis, MilestoneKind, MilestoneSource, Phase, Tlp, Verdict
from estate.queries import account_of
from identity.actors import Actor
from identity.models import Team
from identity.permissions import Permission
from identity.requests import actor_of
from lib import clock
from lib.errors import Forbidden, Invalid, NotFound
from metrics.definitions import METRICS, Times, of_incident
from soc.api import bodies, idempotency, people
from soc.api.bodies import SeverityField, Strict
from soc.api.idempotency import Kept
from soc.api.pagination import CursorPage

MOST_LISTED = 1000
DEFAULT_SEVERITY = Band.MEDIUM.severity

MilestoneOut = inline_serializer(
    "MilestoneOut",
    {
        "at": serializers.DateTimeField(),
        "estimated": serializers.BooleanField(),
        "source": serializers.ChoiceField(choices=list(MilestoneSource)),
        "basis": serializers.CharField(),
        "not_before": serializers.DateTimeField(allow_null=True),
        "not_after": serializers.DateTimeField(allow_null=True),
    },
)


class IncidentLine(serializers.Serializer[Any]):
    """One incident in a list."""

    ref = serializers.CharField()
    external_id = serializers.CharField(allow_null=True)
    title = serializers.CharField()
    summary = serializers.CharField()
    severity = serializers.IntegerField()
    severity_band = serializers.ChoiceField(choices=list(Band))
    highest_severity = serializers.IntegerField()
    priority = serializers.IntegerField(help_text="1 is worst, 4 can wait until tomorrow")
    status = serializers.ChoiceField(choices=list(Phase))
    kind = serializers.CharField()
    account = serializers.CharField()
    team = serializers.CharField()
    owner = people.PersonOut(allow_null=True)
    tlp = serializers.ChoiceField(choices=list(Tlp))
    is_exercise = serializers.BooleanField()
    is_restricted = serializers.BooleanField()
    verdict = serializers.CharField()
    resolution = serializers.CharField()
    impact = serializers.CharField()
    opened_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()
    reopened = serializers.IntegerField()
    milestones = inline_serializer(
        "Milestones", {kind.value: MilestoneOut for kind in MilestoneKind}, help_text="those that are known"
    )
    metrics = inline_serializer(
        "IncidentMetrics",
        {metric.key: serializers.IntegerField(allow_null=True, help_text="seconds") for metric in METRICS},
    )


class AlertRef(serializers.Serializer[Any]):
    """An alert of an incident."""

    id = serializers.CharField()
    source = serializers.CharField()  # type: ignore[assignment]
    external_id = serializers.CharField()
    title = serializers.CharField()
    type = serializers.CharField()
    severity = serializers.IntegerField()
    status = serializers.CharField()


class ActionRef(serializers.Serializer[Any]):
    """An action of an incident."""

    id = serializers.CharField()
    type = serializers.CharField()
    category = serializers.CharField()
    tier = serializers.IntegerField()
    status = serializers.CharField()
    target = serializers.DictField()


class IncidentOut(IncidentLine):
    """One incident with what belongs to it."""

    alerts = AlertRef(many=True)
    actions = ActionRef(many=True)


class IncidentPage(serializers.Serializer[Any]):
    """One page of incidents."""

    results = IncidentLine(many=True)
    next = serializers.URLField(allow_null=True)


class IncidentIn(Strict):
    """A new incident. Severity, account and kind come from the alerts where they are not given."""

    title = serializers.CharField(max_length=500)
    severity = SeverityField(required=False)
    summary = serializers.CharField(max_length=20_000, required=False, allow_blank=True, default="")
    kind = serializers.CharField(max_length=60, required=False, allow_blank=True, default="")
    account = serializers.RegexField(r"^[0-9]{12}$", required=False, allow_blank=True, default="")
    tlp = serializers.ChoiceField(choices=list(Tlp), required=False, default=Tlp.AMBER)
    is_exercise = serializers.BooleanField(required=False, default=False)
    alerts = serializers.ListField(
        child=serializers.CharField(max_length=26), max_length=MOST_LISTED, required=False, default=list
    )
    team = serializers.CharField(
        max_length=40, required=False, default="", help_text="slug, for people who work in several teams"
    )


class IncidentChange(Strict):
    """What can be changed. `status` moves the phase; `closed` needs verdict and resolution."""

    title = serializers.CharField(max_length=500, required=False)
    summary = serializers.CharField(max_length=20_000, required=False, allow_blank=True)
    kind = serializers.CharField(max_length=60, required=False, allow_blank=True)
    tlp = serializers.ChoiceField(choices=list(Tlp), required=False)
    impact = serializers.CharField(max_length=20_000, required=False, allow_blank=True)
    severity = SeverityField(required=False)
    owner = serializers.CharField(
        max_length=26, allow_null=True, required=False, help_text="id of a person, `me`, or null"
    )
    status = serializers.ChoiceField(choices=list(Phase), required=False)
    reason = serializers.CharField(max_length=2000, required=False, allow_blank=True)
    verdict = serializers.ChoiceField(choices=list(Verdict), required=False)
    resolution = serializers.CharField(max_length=20_000, required=False, allow_blank=True)
    keep = serializers.ListField(
        child=serializers.CharField(max_length=26), required=False, help_text="actions that stay in force"
    )
    keep_reason = serializers.CharField(max_length=2000, required=False, allow_blank=True)
    keep_until = serializers.DateTimeField(
        required=False, help_text="when what is kept is looked at again, within 90 days"
    )
    keeper = serializers.CharField(
        max_length=26, required=False, help_text="whose that is: id of a person, or `me`"
    )


class MilestoneIn(Strict):
    """A statement about when something happened; `at` null takes the last one back."""

    kind = serializers.ChoiceField(choices=list(MilestoneKind))
    at = serializers.DateTimeField(allow_null=True)
    estimated = serializers.BooleanField(required=False, default=False)
    not_before = serializers.DateTimeField(required=False, allow_null=True, default=None)
    not_after = serializers.DateTimeField(required=False, allow_null=True, default=None)
    basis = serializers.ChoiceField(
        choices=[Basis.ATTESTED, Basis.NOT_NEEDED], required=False, default="", help_text="of contained_at"
    )
    reason = serializers.CharField(max_length=5000, required=False, allow_blank=True, default="")
    evidence = serializers.CharField(max_length=5000, required=False, allow_blank=True, default="")


class EntryIn(Strict):
    """A line for the timeline; `at` is when it happened, now where it is not given."""

    title = serializers.CharField(max_length=500)
    detail = serializers.CharField(max_length=20_000, required=False, allow_blank=True, default="")
    at = serializers.DateTimeField(required=False)


class EntryOut(serializers.Serializer[Any]):
    """One entry of a timeline."""

    id = serializers.CharField()
    kind = serializers.CharField()
    at = serializers.DateTimeField()
    recorded_at = serializers.DateTimeField()
    actor = serializers.CharField()
    actor_kind = serializers.CharField()
    title = serializers.CharField()
    detail = serializers.CharField()
    links = serializers.DictField()
    techniques = serializers.ListField(child=serializers.CharField())


class EntryPage(serializers.Serializer[Any]):
    """One page of a timeline."""

    results = EntryOut(many=True)
    next = serializers.URLField(allow_null=True)


FILTERS = [
    OpenApiParameter("status", str, description="one or more phases, by comma"),
    OpenApiParameter("severity__gte", int),
    OpenApiParameter("account", str),
    OpenApiParameter("kind", str),
    OpenApiParameter("owner", str, description="id of a person, or `me`"),
    OpenApiParameter("q", str, description="a reference, or text in title or summary"),
    OpenApiParameter("updated_since", OpenApiTypes.DATETIME),
    OpenApiParameter("limit", int),
    OpenApiParameter("cursor", str),
]


def again(actor: Actor, kept: Kept) -> dict[str, Any]:
    """What was answered when the incident was opened, as far as the actor may read that now.

    As the incident is now, where that answer was too long to be kept. `NotFound` when it is theirs no more.
    """
    found = access.incidents_for(actor, permission=Permission.WRITE_INCIDENTS)
    incident = found.select_related("team", "owner").filter(ref=kept.body["ref"]).first()
    if incident is None:
        raise NotFound
    if not kept.is_whole:
        return shown(incident, actor)
    told = [alert["id"] for alert in kept.body["alerts"]]
    open_to = set(access.alerts_for(actor).filter(ulid__in=told).values_list("ulid", flat=True))
    return kept.body | {"alerts": [alert for alert in kept.body["alerts"] if alert["id"] in open_to]}


class Incidents(APIView):
    """The incidents of the caller's teams."""

    permissions_needed = {"GET": Permission.READ_INCIDENTS, "POST": Permission.WRITE_INCIDENTS}

    @extend_schema(operation_id="incidents_list", parameters=FILTERS, responses=IncidentPage)
    def get(self, request: Request) -> Response:
        """Incidents, the newest first."""
        asked = queries.IncidentFilter.of(request.query_params)
        pager = CursorPage(order=queries.INCIDENT_ORDER)
        rows = pager.paginate_queryset(queries.incidents(actor_of(request), asked), request)
        known = queries.statements(rows)
        return pager.get_paginated_response([line(incident, known[incident.pk]) for incident in rows])

    @extend_schema(
        operation_id="incidents_create",
        request=IncidentIn,
        parameters=idempotency.PARAMETERS,
        responses={201: IncidentOut},
    )
    @idempotency.idempotent(names=["ref"], again=again)
    def post(self, request: Request) -> Response:
        """Open an incident by hand."""
        actor, said = actor_of(request), bodies.valid(IncidentIn, request.data)
        alerts = [
            access.alert_for(actor, ulid, permission=Permission.WRITE_INCIDENTS)
            for ulid in dict.fromkeys(said["alerts"])
        ]
        worst = max(alerts, key=lambda alert: alert.severity, default=None)
        account = said["account"] or (worst.account if worst else "")
        incident = triage.open_incident(
            title=said["title"],
            severity=said.get("severity", worst.severity if worst else DEFAULT_SEVERITY),
            team=_team(actor, said["team"], account=account, worst=worst),
            alerts=alerts,
            kind=said["kind"] or (kind_of(worst.type) if worst else ""),
            account=account,
            is_exercise=said["is_exercise"],
            summary=said["summary"],
            tlp=Tlp(said["tlp"]),
            by=actor,
            at=clock.now(),
        )
        return Response(shown(incident, actor), status=201)


class OneIncident(APIView):
    """One incident."""

    permissions_needed = {"GET": Permission.READ_INCIDENTS, "PATCH": Permission.WRITE_INCIDENTS}

    @extend_schema(operation_id="incidents_read", responses=IncidentOut)
    def get(self, request: Request, ref: str) -> Response:
        """The incident, its milestones and metrics, alerts and actions."""
        actor = actor_of(request)
        return Response(shown(access.incident_for(actor, ref), actor))

    @extend_schema(operation_id="incidents_change", request=IncidentChange, responses=IncidentOut)
    def patch(self, request: Request, ref: str) -> Response:
        """Change it; all of the changes, or none where one is refused."""
        actor = actor_of(request)
        incident = access.incident_for(actor, ref, permission=Permission.WRITE_INCIDENTS)
        _change(incident, bodies.valid(IncidentChange, request.data, partial=True), by=actor)
        return Response(shown(access.incident_for(actor, ref), actor))


class Milestones(APIView):
    """What a person says about the times of an incident."""

    permissions_needed = {"POST": Permission.WRITE_MILESTONES}

    @extend_schema(operation_id="incidents_state", request=MilestoneIn, responses={201: IncidentOut})
    def post(self, request: Request, ref: str) -> Response:
        """State a milestone, or take the last statement back. Earlier statements are kept."""
        actor = actor_of(request)
        incident = access.incident_for(actor, ref, permission=Permission.WRITE_MILESTONES)
        said = bodies.valid(MilestoneIn, request.data)
        kind = MilestoneKind(said.pop("kind"))
        triage.state(incident=incident, kind=kind, by=actor, recorded_at=clock.now(), **said)
        return Response(shown(incident, actor), status=201)


class Timeline(APIView):
    """What happened, by the time at which it happened."""

    permissions_needed = {"GET": Permission.READ_INCIDENTS, "POST": Permission.WRITE_INCIDENTS}

    @extend_schema(
        operation_id="timeline_list",
        parameters=[OpenApiParameter("limit", int), OpenApiParameter("cursor", str)],
        responses=EntryPage,
    )
    def get(self, request: Request, ref: str) -> Response:
        """The entries, the latest first."""
        incident = access.incident_for(actor_of(request), ref)
        pager = CursorPage(order=queries.TIMELINE_ORDER)
        rows = pager.paginate_queryset(queries.timeline(incident), request)
        return pager.get_paginated_response([entry(row) for row in rows])

    @extend_schema(operation_id="timeline_add", request=EntryIn, responses={201: EntryOut})
    def post(self, request: Request, ref: str) -> Response:
        """Write a line by hand."""
        actor, now = actor_of(request), clock.now()
        incident = access.incident_for(actor, ref, permission=Permission.WRITE_INCIDENTS)
        said = bodies.valid(EntryIn, request.data)
        made = triage.note(
            incident=incident,
            text=f"{' '.join(said['title'].split())}\n{said['detail']}",
            at=said.get("at", now),
            by=actor,
            recorded_at=now,
        )
        return Response(entry(made), status=201)


# --- how incidents are shown ---------------------------------------------------------------------------


def shown(incident: Incident, actor: Actor) -> dict[str, Any]:
    """The incident with what belongs to it, as far as the actor may read that."""
    alerts = queries.alerts_of(actor, incident)[:MOST_LISTED]
    actions = queries.actions_of(actor, incident)[:MOST_LISTED]
    return line(incident, queries.statements([incident])[incident.pk]) | {
        "alerts": [_alert(alert) for alert in alerts],
        "actions": [_action(action) for action in actions],
    }


def line(incident: Incident, known: Mapping[str, Milestone]) -> dict[str, Any]:
    """The incident as a list gives it; `known` are the statements that count."""
    plain = (
        "ref", "external_id", "title", "summary", "severity", "severity_band", "highest_severity", "priority",
        "status", "kind", "account", "tlp", "is_exercise", "is_restricted", "verdict", "resolution", "impact",
        "opened_at", "updated_at", "reopened",
    )  # fmt: skip
    return {name: getattr(incident, name) for name in plain} | {
        "team": incident.team.slug,
        "owner": people.shown(incident.owner),
        "milestones": {kind: _milestone(statement) for kind, statement in known.items()},
        "metrics": of_incident(_times(incident, known), clock.now()),
    }


def entry(row: TimelineEntry) -> dict[str, Any]:
    """One entry of a timeline."""
    return {
        "id": row.ulid,
        "kind": row.kind,
        "at": row.at,
        "recorded_at": row.recorded_at,
        "actor": row.actor,
        "actor_kind": row.actor_kind,
        "title": row.text.title,
        "detail": row.text.detail,
        "links": row.links,
        "techniques": row.techniques,
    }


def _milestone(statement: Milestone) -> dict[str, Any]:
    names = ("at", "estimated", "source", "basis", "not_before", "not_after")
    return {name: getattr(statement, name) for name in names}


def _times(incident: Incident, known: Mapping[str, Milestone]) -> Times:
    first = known.get(MilestoneKind.FIRST_IOC)
    access_stated = known.get(MilestoneKind.ATTACKER_ACCESS)
    return Times(
        **{kind.value: getattr(incident, kind.value) for kind in MilestoneKind},
        contained_basis=incident.contained_basis,
        first_ioc_source=first.source if first else "",
        access_estimated=bool(access_stated and access_stated.estimated),
        is_exercise=incident.is_exercise,
        verdict=incident.verdict,
    )


def _alert(alert: Alert) -> dict[str, Any]:
    names = ("source", "external_id", "title", "type", "severity", "status")
    return {"id": alert.ulid} | {name: getattr(alert, name) for name in names}


def _action(action: Action) -> dict[str, Any]:
    names = ("type", "category", "tier", "status", "target")
    return {"id": action.ulid} | {name: getattr(action, name) for name in names}


# --- what the views share ------------------------------------------------------------------------------


@transaction.atomic
def _change(incident: Incident, said: dict[str, Any], *, by: Actor) -> None:
    at = clock.now()
    closing = ("verdict", "resolution", "keep", "keep_reason", "keep_until", "keeper")
    if said.get("status") != Phase.CLOSED and (stray := [name for name in closing if name in said]):
        raise Invalid("Goes with the status closed only.", pointer=f"/{stray[0]}")
    plain = {name: said[name] for name in triage.PLAIN if name in said}
    if plain:
        triage.amend(incident=incident, changes=plain, by=by, at=at)
    if "severity" in said:
        triage.set_severity(incident=incident, severity=said["severity"], by=by, at=at)
    if "owner" in said:
        person = people.named(said["owner"], by=by, pointer="/owner")
        triage.assign(incident=incident, person=person, by=by, at=at)
    if said.get("status") == Phase.CLOSED:
        _close(incident, said, by=by)
    elif "status" in said:
        reason = said.get("reason", "")
        triage.move_phase(incident=incident, to=Phase(said["status"]), by=by, at=at, reason=reason)


def _close(incident: Incident, said: dict[str, Any], *, by: Actor) -> None:
    if "verdict" not in said:
        raise Invalid("An incident is closed with a verdict.", pointer="/verdict")
    triage.close(
        incident=incident,
        verdict=Verdict(said["verdict"]),
        resolution=said.get("resolution", ""),
        by=by,
        at=clock.now(),
        keep=said.get("keep", ()),
        keep_reason=said.get("keep_reason", ""),
        keep_until=said.get("keep_until"),
        keeper=people.named(said.get("keeper"), by=by, pointer="/keeper"),
    )


def _team(actor: Actor, slug: str, *, account: str, worst: Alert | None) -> Team:
    """Whose incident it becomes: that of its alerts, of its account, the one named, or the only one."""
    known = account_of(account) if account else None
    own = {seat.team for seat in actor.seats_for(Permission.WRITE_INCIDENTS)}
    if worst is not None:
        team = worst.team
    elif slug:
        team = _only(Team.objects.filter(pk__in=own, slug=slug)[:2])
    elif known is not None and known.team_id in own:
        team = known.team
    else:
        team = _only(Team.objects.filter(pk__in=own)[:2])
    if not access.permits(actor, Permission.WRITE_INCIDENTS, team=team.pk, account=account):
        raise Forbidden("You do not open incidents for that account.")
    return team


def _only(teams: Any) -> Team:
    found: list[Team] = list(teams)
    if not found:
        raise Forbidden("You do not open incidents for that team.")
    if len(found) > 1:
        raise Invalid("You work in several teams: name one.", pointer="/team")
    return found[0]
