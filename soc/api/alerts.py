"""Alerts over the API: taking them in, one or many, reading them, and triage."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, inline_serializer
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from cases import access, decoding, ingest, queries, storing, triage
from cases.decoding import Broken, Text, Unreadable
from cases.models import Alert
from cases.sources import native
from cases.sources.types import AlertDraft
from cases.storing import Outcome, Stored
from cases.words import AlertStatus, Band, Verdict
from identity.actors import Actor
from identity.permissions import Permission
from identity.requests import actor_of
from lib import clock
from lib.errors import Conflict, Invalid
from soc import throttling
from soc.api import bodies, idempotency, people
from soc.api.bodies import SeverityField, Strict
from soc.api.idempotency import Kept
from soc.api.pagination import CursorPage

LARGEST_BATCH = 1000


class ResourceInOut(serializers.Serializer[Any]):
    """A thing in AWS; `id` or `arn` is needed."""

    type = serializers.CharField(max_length=60)
    id = serializers.CharField(max_length=500, required=False)
    arn = serializers.CharField(max_length=2000, required=False)
    role = serializers.CharField(max_length=40, required=False)


class ObservableInOut(serializers.Serializer[Any]):
    """A trace that can be looked for elsewhere."""

    kind = serializers.CharField(max_length=40)
    value = serializers.CharField(max_length=2000)


class AlertIn(serializers.Serializer[Any]):
    """A native alert. Read by `cases.sources.native`; this says the same to OpenAPI, and a test compares."""

    source = serializers.RegexField(f"^{native.SOURCE.pattern}$")  # type: ignore[assignment]
    external_id = serializers.CharField(max_length=300)
    title = serializers.CharField(max_length=500)
    summary = serializers.CharField(max_length=20_000, required=False)
    severity = serializers.IntegerField(
        min_value=0, max_value=100, required=False, help_text=f"or one of {', '.join(Band)}"
    )
    type = serializers.CharField(max_length=200, required=False)
    account = serializers.RegexField(r"^[0-9]{12}$", required=False)
    region = serializers.CharField(max_length=30, required=False)
    resources = ResourceInOut(many=True, required=False)
    observables = ObservableInOut(many=True, required=False)
    techniques = serializers.ListField(child=serializers.CharField(), required=False)
    first_seen_at = serializers.DateTimeField(required=False)
    last_seen_at = serializers.DateTimeField(required=False)
    detected_at = serializers.DateTimeField(required=False)
    tags = serializers.ListField(child=serializers.CharField(max_length=100), required=False)
    raw = serializers.JSONField(required=False)


class PlaceOut(serializers.Serializer[Any]):
    """Where an address is, as a document told."""

    address = serializers.CharField()
    country = serializers.CharField()
    country_name = serializers.CharField()
    city = serializers.CharField()
    organization = serializers.CharField()
    asn = serializers.IntegerField(allow_null=True)


class DocumentOut(serializers.Serializer[Any]):
    """One document behind an alert: what it was read as, how it came, and its content."""

    source = serializers.CharField()  # type: ignore[assignment] # REST framework has one of that name
    door = serializers.CharField()
    received_at = serializers.DateTimeField()
    digest = serializers.CharField()
    body: Any = serializers.JSONField()


class AlertOut(serializers.Serializer[Any]):
    """One alert. `raw` is the newest document behind it, given for a single alert."""

    id = serializers.CharField()
    source = serializers.CharField()  # type: ignore[assignment]
    external_id = serializers.CharField()
    title = serializers.CharField()
    summary = serializers.CharField()
    severity = serializers.IntegerField()
    severity_band = serializers.ChoiceField(choices=list(Band))
    type = serializers.CharField()
    account = serializers.CharField()
    region = serializers.CharField()
    team = serializers.CharField()
    resources = ResourceInOut(many=True)
    observables = ObservableInOut(many=True)
    techniques = serializers.ListField(child=serializers.CharField())
    tags = serializers.ListField(child=serializers.CharField())
    labels = serializers.DictField(child=serializers.CharField())
    places = PlaceOut(many=True)
    link = serializers.CharField()
    told_severity = serializers.IntegerField()
    owner = serializers.CharField()
    environment = serializers.CharField()
    criticality = serializers.CharField()
    data_class = serializers.CharField()
    context: Any = serializers.JSONField()
    first_seen_at = serializers.DateTimeField(allow_null=True)
    last_seen_at = serializers.DateTimeField()
    detected_at = serializers.DateTimeField()
    received_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()
    count = serializers.IntegerField()
    episode = serializers.IntegerField()
    status = serializers.ChoiceField(choices=list(AlertStatus))
    verdict = serializers.CharField()
    verdict_reason = serializers.CharField()
    is_sample = serializers.BooleanField()
    is_archived = serializers.BooleanField()
    resolved_at = serializers.DateTimeField(allow_null=True)
    incident = serializers.CharField(allow_null=True)
    assignee = people.PersonOut(allow_null=True)
    acknowledged_at = serializers.DateTimeField(allow_null=True)
    deduplicated = serializers.BooleanField(required=False)
    raw = serializers.JSONField(required=False)


class AlertPage(serializers.Serializer[Any]):
    """One page of alerts."""

    results = AlertOut(many=True)
    next = serializers.URLField(allow_null=True)


class AlertChange(Strict):
    """What can be corrected in an alert."""

    severity = SeverityField(required=False)
    tags = serializers.ListField(child=serializers.CharField(max_length=100), max_length=50, required=False)
    assignee = serializers.CharField(
        max_length=26, allow_null=True, required=False, help_text="id of a person, `me`, or null"
    )


class DismissIn(Strict):
    """What an alert turned out to be."""

    verdict = serializers.ChoiceField(choices=list(Verdict))
    reason = serializers.CharField(max_length=500, allow_blank=True, required=False, default="")


class EscalateIn(Strict):
    """The incident to put it into; a new one when none is named."""

    incident = serializers.CharField(max_length=20, required=False, allow_null=True, default=None)


class Nothing(Strict):
    """An empty body."""


ITEM_ERROR = inline_serializer(
    "BatchError", {"pointer": serializers.CharField(), "detail": serializers.CharField()}, many=True
)


class BatchResultOut(serializers.Serializer[Any]):
    """What became of one alert of a batch."""

    index = serializers.IntegerField()
    status = serializers.ChoiceField(choices=["created", "updated", "failed"])
    id = serializers.CharField(allow_null=True)
    errors = ITEM_ERROR  # type: ignore[assignment] # REST framework has one of that name


class BatchOut(serializers.Serializer[Any]):
    """What became of a batch."""

    results = BatchResultOut(many=True)
    created = serializers.IntegerField()
    updated = serializers.IntegerField()
    failed = serializers.IntegerField()


FILTERS = [
    OpenApiParameter("source", str),
    OpenApiParameter("external_id", str),
    OpenApiParameter("status", str, description="one or more, by comma"),
    OpenApiParameter("severity__gte", int),
    OpenApiParameter("account", str),
    OpenApiParameter("type", str, description="a whole type, or a beginning and `*`"),
    OpenApiParameter("q", str, description="text in title, summary, type, id, resources or observables"),
    OpenApiParameter("incident", str, description="reference of an incident"),
    OpenApiParameter("updated_since", OpenApiTypes.DATETIME),
    OpenApiParameter("limit", int),
    OpenApiParameter("cursor", str),
]


def again(actor: Actor, kept: Kept) -> dict[str, Any]:
    """What was answered when the alert was sent, as far as its sender may see that alert now."""
    alert = Alert.objects.select_related("incident").filter(ulid=kept.body["id"]).first()
    if alert is not None and _is_told(alert, actor):
        return kept.body
    return _names({name: kept.body[name] for name in ("id", "source", "external_id", "deduplicated")})


class Alerts(APIView):
    """The alerts of the caller's teams."""

    permissions_needed = {"GET": Permission.READ_ALERTS, "POST": Permission.WRITE_ALERTS}

    @extend_schema(operation_id="alerts_list", parameters=FILTERS, responses=AlertPage)
    def get(self, request: Request) -> Response:
        """Alerts, the worst and latest first."""
        asked = queries.AlertFilter.of(request.query_params)
        pager = CursorPage(order=queries.ALERT_ORDER)
        rows = pager.paginate_queryset(queries.alerts(actor_of(request), asked), request)
        return pager.get_paginated_response([shown(alert) for alert in rows])

    @extend_schema(
        operation_id="alerts_create",
        request=AlertIn,
        parameters=idempotency.PARAMETERS,
        responses={200: AlertOut, 201: AlertOut},
    )
    @idempotency.idempotent(again=again)
    def post(self, request: Request) -> Response:
        """Take in one alert: 201 when it is new, 200 with `deduplicated` when it is known."""
        actor, at = actor_of(request), clock.now()
        throttling.admit_actor(request)
        try:
            [draft] = [ingest.checked(draft, at=at) for draft in native.parse(request.data)]
        except Unreadable as failure:
            raise _refusal(failure) from failure
        status, body = take_in(draft, by=actor, at=at)
        return Response(body, status=status)


def take_in(draft: AlertDraft, *, by: Actor, at: datetime) -> tuple[int, dict[str, Any]]:
    """Store one native alert; the answer's status and body. `Conflict` when another team uses its id."""
    [stored] = ingest.receive_drafts(drafts=[draft], by=by, at=at)
    if stored.alert is None:
        raise Conflict("Another team uses this external_id for something else.")
    is_new = stored.outcome is Outcome.CREATED
    return 201 if is_new else 200, answered(stored.alert, by) | {"deduplicated": not is_new}


class AlertBatch(APIView):
    """Many alerts at once."""

    permissions_needed = {"POST": Permission.WRITE_ALERTS}

    @extend_schema(
        operation_id="alerts_batch",
        request=AlertIn(many=True),
        parameters=idempotency.PARAMETERS,
        responses=BatchOut,
    )
    @idempotency.idempotent()
    def post(self, request: Request) -> Response:
        """Take in up to 1,000 alerts, as a JSON array or one a line. A wrong one costs no other."""
        actor, at = actor_of(request), clock.now()
        throttling.admit_actor(request)
        try:
            parts = decoding.documents(bodies.raw(request), text=Text.REFUSE)
        except Unreadable as failure:
            raise Invalid(f"The body cannot be read: {failure.reason}", pointer=failure.pointer) from failure
        if len(parts) > LARGEST_BATCH:
            raise Invalid(f"At most {LARGEST_BATCH} alerts in one request; send the rest in another.")
        throttling.admit_actor(request, weight=max(0, len(parts) - 1))
        drafts: list[AlertDraft] = []
        places: list[int] = []
        results: dict[int, dict[str, Any]] = {}
        for index, part in enumerate(parts):
            try:
                if isinstance(part, Broken):
                    raise Unreadable(part.reason, part.pointer.removeprefix(f"/{index}"))
                drafts += [ingest.checked(draft, at=at) for draft in native.parse(part.value)]
                places.append(index)
            except Unreadable as failure:
                results[index] = _failed(index, failure)
        for index, stored in zip(places, ingest.receive_drafts(drafts=drafts, by=actor, at=at), strict=True):
            results[index] = _item(index, stored)
        statuses = [result["status"] for result in results.values()]
        counts = {status: statuses.count(status) for status in ("created", "updated", "failed")}
        return Response({"results": [results[index] for index in sorted(results)], **counts})


class OneAlert(APIView):
    """One alert."""

    permissions_needed = {"GET": Permission.READ_ALERTS, "PATCH": Permission.WRITE_ALERTS}

    @extend_schema(operation_id="alerts_read", responses=AlertOut)
    def get(self, request: Request, ulid: str) -> Response:
        """The alert, with the newest document behind it."""
        return Response(with_raw(access.alert_for(actor_of(request), ulid)))

    @extend_schema(operation_id="alerts_change", request=AlertChange, responses=AlertOut)
    def patch(self, request: Request, ulid: str) -> Response:
        """Correct severity or tags, or give it to a person. A repeat may raise the severity again."""
        actor = actor_of(request)
        alert = access.alert_for(actor, ulid, permission=Permission.WRITE_ALERTS)
        changes = bodies.valid(AlertChange, request.data, partial=True)
        if "assignee" in changes:
            changes["assignee"] = people.named(changes["assignee"], by=actor, pointer="/assignee")
        if changes:
            triage.amend_alert(alert=alert, changes=changes, by=actor, at=clock.now())
        return Response(with_raw(alert))


class Documents(APIView):
    """The documents behind an alert."""

    permissions_needed = {"GET": Permission.READ_ALERTS}

    @extend_schema(operation_id="alerts_documents", responses=DocumentOut(many=True))
    def get(self, request: Request, ulid: str) -> Response:
        """Every copy that is kept, at most the 200 newest, newest first."""
        alert = access.alert_for(actor_of(request), ulid)
        rows = alert.documents.order_by("-pk")[:200]
        return Response(
            [
                {
                    "source": row.source,
                    "door": row.door,
                    "received_at": row.received_at,
                    "digest": row.digest,
                    "body": row.body,
                }
                for row in rows
            ]
        )


class Acknowledge(APIView):
    """Taking an alert."""

    permissions_needed = {"POST": Permission.TRIAGE_ALERTS}

    @extend_schema(operation_id="alerts_acknowledge", request=Nothing, responses=AlertOut)
    def post(self, request: Request, ulid: str) -> Response:
        """Make an alert mine."""
        actor = actor_of(request)
        alert = access.alert_for(actor, ulid, permission=Permission.TRIAGE_ALERTS)
        bodies.valid(Nothing, request.data)
        triage.acknowledge(alert=alert, by=actor, at=clock.now())
        return Response(shown(access.alert_for(actor, ulid)))


class Dismiss(APIView):
    """Closing an alert without an incident."""

    permissions_needed = {"POST": Permission.TRIAGE_ALERTS}

    @extend_schema(operation_id="alerts_dismiss", request=DismissIn, responses=AlertOut)
    def post(self, request: Request, ulid: str) -> Response:
        """Say what it turned out to be."""
        actor = actor_of(request)
        alert = access.alert_for(actor, ulid, permission=Permission.TRIAGE_ALERTS)
        said = bodies.valid(DismissIn, request.data)
        triage.dismiss(
            alert=alert, verdict=Verdict(said["verdict"]), reason=said["reason"], by=actor, at=clock.now()
        )
        return Response(shown(access.alert_for(actor, ulid)))


class Escalate(APIView):
    """Putting an alert into an incident."""

    permissions_needed = {"POST": Permission.WRITE_INCIDENTS}

    @extend_schema(operation_id="alerts_escalate", request=EscalateIn, responses=AlertOut)
    def post(self, request: Request, ulid: str) -> Response:
        """Into the incident named, else into a new one; the answer's `incident` says which."""
        actor = actor_of(request)
        alert = access.alert_for(actor, ulid, permission=Permission.WRITE_INCIDENTS)
        ref = bodies.valid(EscalateIn, request.data)["incident"]
        incident = access.incident_for(actor, ref, permission=Permission.WRITE_INCIDENTS) if ref else None
        triage.escalate(alerts=[alert], incident=incident, by=actor, at=clock.now())
        return Response(shown(alert))


# --- how alerts are shown ------------------------------------------------------------------------------


def shown(alert: Alert) -> dict[str, Any]:
    """The alert as the API gives it, for those who may read it."""
    return _document(alert) | {
        "team": alert.team.slug,
        "count": alert.count,
        "episode": alert.episode,
        "status": alert.status,
        "verdict": alert.verdict,
        "verdict_reason": alert.verdict_reason,
        "is_sample": alert.is_sample,
        "is_archived": alert.is_archived,
        "resolved_at": alert.resolved_at,
        "incident": alert.incident.ref if alert.incident else None,
        "assignee": people.shown(alert.assignee),
        "acknowledged_at": alert.acknowledged_at,
    }


def with_raw(alert: Alert) -> dict[str, Any]:
    """The alert and the newest document behind it; of a native one the part that its sender called raw."""
    newest = alert.documents.order_by("-pk").first()
    return _with(alert, newest.body if newest else None)


def _with(alert: Alert, body: Any) -> dict[str, Any]:
    if isinstance(body, dict):  # what carried the document is ours to keep, and no part of it
        body = {name: value for name, value in body.items() if name != storing.CARRIERS}
    return shown(alert) | {"raw": body.get("raw") if native.matches(body) else body}


def answered(alert: Alert, actor: Actor, *, raw: Any = None) -> dict[str, Any]:
    """The alert for whoever sent it; `raw` is what was sent, looked up where it is not given.

    Of an alert that went to another team, or lies in a restricted incident, only its names are told.
    """
    if _is_told(alert, actor):
        return with_raw(alert) if raw is None else _with(alert, raw)
    return _names({"id": alert.ulid, "source": alert.source, "external_id": alert.external_id})


def _is_told(alert: Alert, actor: Actor) -> bool:
    """Whether a sender learns what there is now, and not only that it arrived."""
    mine = {actor.team} | {seat.team for seat in actor.seats}
    hidden = alert.incident is not None and alert.incident.is_restricted
    return alert.team_id in mine and not hidden


def _names(known: dict[str, Any]) -> dict[str, Any]:
    return dict.fromkeys(AlertOut().fields) | known


def _document(alert: Alert) -> dict[str, Any]:
    return {
        "id": alert.ulid,
        "source": alert.source,
        "external_id": alert.external_id,
        "title": alert.title,
        "summary": alert.summary,
        "severity": alert.severity,
        "severity_band": alert.severity_band,
        "type": alert.type,
        "account": alert.account,
        "region": alert.region,
        "resources": alert.resources,
        "observables": alert.observables,
        "techniques": alert.techniques,
        "tags": alert.tags,
        "labels": alert.labels,
        "places": alert.places,
        "link": alert.link,
        "told_severity": alert.severity if alert.told_severity is None else alert.told_severity,
        "owner": alert.owner,
        "environment": alert.environment,
        "criticality": alert.criticality,
        "data_class": alert.data_class,
        "context": alert.context,
        "first_seen_at": alert.first_seen_at,
        "last_seen_at": alert.last_seen_at,
        "detected_at": alert.detected_at,
        "received_at": alert.received_at,
        "updated_at": alert.updated_at,
    }


def _refusal(failure: Unreadable) -> Exception:
    """Everything that is wrong with a native alert, as the nested errors of REST framework."""
    if not isinstance(failure, native.Refused):
        return Invalid(failure.reason, pointer=failure.pointer)
    nested: dict[str, Any] = {}
    for pointer, reason in failure.errors:
        place = nested
        *way, last = [step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:]]
        for step in way:
            place = place.setdefault(step, {})
        place.setdefault(last, []).append(reason)
    return serializers.ValidationError(nested)


def _failed(index: int, failure: Unreadable) -> dict[str, Any]:
    errors = failure.errors if isinstance(failure, native.Refused) else [(failure.pointer, failure.reason)]
    listed = [{"pointer": pointer, "detail": reason} for pointer, reason in errors]
    return {"index": index, "status": "failed", "id": None, "errors": listed}


def _item(index: int, stored: Stored) -> dict[str, Any]:
    if stored.alert is None:
        taken = Unreadable("another team uses this external_id for something else", "/external_id")
        return _failed(index, taken)
    status = "created" if stored.outcome is Outcome.CREATED else "updated"
    return {"index": index, "status": status, "id": stored.alert.ulid, "errors": []}
