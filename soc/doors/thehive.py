"""TheHive's door, version 1 and 0, under `/compat/thehive`, as thehive4py and ElastAlert2 need it.

`TheHiveApi(url="https://quell/compat/thehive", apikey=KEY)` creates, reads and amends alerts and adds
observables. A repeat is answered as the first time: clients send again after errors on the way. Of files
only name, size, type and digest are kept. Who takes or closes an alert is for people to say, not for keys.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any, cast

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpResponse
from django.http.multipartparser import MultiPartParserError
from django.urls import path
from rest_framework.request import Request

from cases import access, decoding, ingest, triage
from cases.decoding import JSON, Unreadable
from cases.models import Alert
from cases.sources import thehive, traces
from cases.sources.types import AlertDraft
from cases.words import AlertStatus, Band, Verdict
from identity.permissions import Permission
from identity.requests import actor_of
from lib import clock
from lib.errors import Invalid
from soc.api import bodies
from soc.api.problems import Problem
from soc.doors import compat

TYPES = {
    400: "BadRequest",
    401: "AuthenticationError",
    403: "AuthorizationError",
    404: "NotFoundError",
    405: "MethodNotAllowed",
    409: "ConflictError",
    413: "PayloadTooLarge",
    415: "UnsupportedMediaType",
    422: "BadRequest",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
}
SEVERITY = {
    Band.INFORMATIONAL: (1, "LOW"),
    Band.LOW: (1, "LOW"),
    Band.MEDIUM: (2, "MEDIUM"),
    Band.HIGH: (3, "HIGH"),
    Band.CRITICAL: (4, "CRITICAL"),
}
STATUS = {
    AlertStatus.NEW: ("New", "New"),
    AlertStatus.ACKNOWLEDGED: ("InProgress", "InProgress"),
    AlertStatus.ESCALATED: ("Imported", "Imported"),
    AlertStatus.DISMISSED: ("Ignored", "Closed"),
}
CLOSED_AS = {Verdict.FALSE_POSITIVE: "FalsePositive", Verdict.DUPLICATE: "Duplicate"}
LEVELS = {"tlp": (2, thehive.TLP), "pap": (2, thehive.PAP)}
AMENDABLE = ("severity", "tags", "addTags", "removeTags")
MOST_TAGS = 500


class Door(compat.Door):
    """Errors as `{type, message}`."""

    def refusal(self, problem: Problem) -> HttpResponse:
        kind = TYPES.get(problem.status, "BadRequest")
        status = 400 if problem.status == 422 else problem.status
        return compat.answer(status, {"type": kind, "message": problem.detail})


class Alerts(Door):
    """`POST /api/v1/alert`."""

    def post(self, request: Request) -> HttpResponse:
        """Take in one alert. 201 with TheHive's answer once it is stored, also for a repeat."""
        body, files = _body_of(request)

        def read(document: JSON) -> compat.Parts:
            return compat.one(_with_files(document, files), thehive.parse)

        taken = compat.take(request, body, source=thehive.ID, read=read)
        if not taken.alerts or taken.refused:
            raise Invalid(f"Invalid alert: {taken.reason or 'nothing was sent'}")
        draft, stored = taken.alerts[0]
        if stored.alert is None or not isinstance(draft.raw, dict):
            raise Invalid("Invalid alert")
        return compat.answer(201, self.shown(stored.alert, draft.raw))

    def shown(self, alert: Alert, document: dict[str, JSON]) -> dict[str, Any]:
        """The alert as this version of the API shows it."""
        return shown(alert, document)


class AlertsOfVersion0(Alerts):
    """`POST /api/alert`, where ElastAlert2 posts."""

    def shown(self, alert: Alert, document: dict[str, JSON]) -> dict[str, Any]:
        """The same, with the names that version 0 had beside."""
        found = shown(alert, document)
        return found | {
            "id": found["_id"],
            "_type": "alert",
            "createdAt": found["_createdAt"],
            "createdBy": found["_createdBy"],
            "artifacts": observables(alert),
        }


class OneAlert(Door):
    """`GET` and `PATCH /api/v1/alert/{id}`."""

    permissions_needed = {"GET": Permission.READ_ALERTS, "PATCH": Permission.WRITE_ALERTS}

    def get(self, request: Request, ulid: str) -> HttpResponse:
        """The alert, whichever way it came."""
        alert = access.alert_for(actor_of(request), ulid)
        return compat.answer(200, shown(alert, _document_of(alert)))

    def patch(self, request: Request, ulid: str) -> HttpResponse:
        """Correct severity or tags; 204. What only a person may say is refused, not passed over."""
        actor = actor_of(request)
        alert = access.alert_for(actor, ulid, permission=Permission.WRITE_ALERTS)
        asked = _object_of(request)
        if foreign := sorted(set(asked) - set(AMENDABLE)):
            names = ", ".join(name[:40] for name in foreign[:10])
            raise Invalid(f"Only {', '.join(AMENDABLE)} can be changed with a key, not: {names}")
        triage.amend_alert(alert=alert, changes=_changes(alert, asked), by=actor, at=clock.now())
        return HttpResponse(status=204)


class Observables(Door):
    """`POST /api/v1/alert/{id}/observable`."""

    def post(self, request: Request, ulid: str) -> HttpResponse:
        """Add traces to an alert; 201 with the list of them."""
        actor = actor_of(request)
        alert = access.alert_for(actor, ulid, permission=Permission.WRITE_ALERTS)
        body, files = _body_of(request)
        try:
            document = _attached(decoding.decode(body), files)
            found = thehive.observables_in(document)
        except Unreadable as failure:
            raise Invalid(f"Invalid observable: {failure.pointer} {failure.reason}".strip()) from failure
        if not found:
            raise Invalid("Invalid observable: /data is needed")
        addition = AlertDraft(
            source=alert.source,
            external_id=alert.external_id,
            fingerprint=(thehive.ID, "observable"),
            title=alert.title,
            severity=alert.severity,
            account=alert.account,
            region=alert.region,
            observables=found,
            richness=0,
            last_seen_at=alert.last_seen_at,
            is_sample=alert.is_sample,
            is_archived=alert.is_archived,
            raw={"alert": alert.ulid, "observable": document},
        )
        ingest.receive_drafts(
            drafts=[addition], by=actor, at=clock.now(), read_as=thehive.ID, door=thehive.ID
        )
        alert.refresh_from_db()
        values = {one.value for one in found}
        return compat.answer(201, [one for one in observables(alert) if one["data"] in values])


urlpatterns = [
    path("api/v1/alert", Alerts.as_view(), name="compat-thehive-alerts"),
    path("api/v1/alert/<str:ulid>", OneAlert.as_view(), name="compat-thehive-alert"),
    path("api/v1/alert/<str:ulid>/observable", Observables.as_view(), name="compat-thehive-observables"),
    path("api/alert", AlertsOfVersion0.as_view(), name="compat-thehive-alerts-v0"),
]


def shown(alert: Alert, document: dict[str, JSON]) -> dict[str, Any]:
    """The alert in TheHive's fields; type, source and sourceRef as `document` has them."""
    status, stage = STATUS[AlertStatus(alert.status)]
    severity, label = SEVERITY[Band(alert.severity_band)]
    tlp, tlp_label = _level(alert, "tlp")
    pap, pap_label = _level(alert, "pap")
    created, detected = _milliseconds(alert.received_at), _milliseconds(alert.detected_at)
    found: dict[str, Any] = {
        "_id": alert.ulid,
        "_type": "Alert",
        "_createdBy": "quell",
        "_createdAt": created,
        "_updatedAt": _milliseconds(alert.updated_at),
        "type": document.get("type") or alert.type or "alert",
        "source": document.get("source") or alert.source,
        "sourceRef": document.get("sourceRef") or alert.external_id,
        "title": alert.title,
        "description": alert.summary,
        "severity": severity,
        "severityLabel": label,
        "date": detected,
        "tags": alert.tags,
        "tlp": tlp,
        "tlpLabel": tlp_label,
        "pap": pap,
        "papLabel": pap_label,
        "follow": True,
        "customFields": _custom_fields(document),
        "observableCount": len(alert.observables),
        "status": CLOSED_AS.get(Verdict(alert.verdict), status) if alert.verdict else status,
        "stage": stage,
        "extraData": {},
        "newDate": created,
        "timeToDetect": max(0, created - detected),
    }
    if alert.link:
        found["externalLink"] = alert.link
    if alert.incident is not None and not alert.incident.is_restricted:
        found["caseId"] = alert.incident.ref
    return found


def observables(alert: Alert) -> list[dict[str, Any]]:
    """The alert's traces in TheHive's fields. They have no rows of their own, so no ids but their places."""
    tlp, tlp_label = _level(alert, "tlp")
    pap, pap_label = _level(alert, "pap")
    created = _milliseconds(alert.received_at)
    return [
        {
            "_id": f"{alert.ulid}-{number}",
            "_type": "Observable",
            "_createdBy": "quell",
            "_createdAt": created,
            "dataType": "hash" if one["kind"] in traces.HASHES.values() else one["kind"].replace("_", "-"),
            "data": one["value"],
            "startDate": created,
            "tlp": tlp,
            "tlpLabel": tlp_label,
            "pap": pap,
            "papLabel": pap_label,
            "tags": [],
            "ioc": False,
            "sighted": False,
            "reports": {},
            "extraData": {},
            "ignoreSimilarity": False,
            "external": False,
        }
        for number, one in enumerate(alert.observables)
    ]


# --- bodies --------------------------------------------------------------------------------------------

Files = dict[str, dict[str, JSON]]
"""What is kept of each file of a form, by the name of its part."""


def _body_of(request: Request) -> tuple[bytes, Files]:
    """The JSON, and the files if it came as the part `_json` of a form."""
    if not str(request.content_type).startswith("multipart/"):
        return bodies.raw(request), {}
    if int(request.META.get("CONTENT_LENGTH") or 0) > settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
        raise RequestDataTooBig
    form = request._request  # noqa: SLF001 - REST framework's own parsers know JSON alone here
    try:
        fields, files = form.POST, cast("dict[str, UploadedFile[Any]]", form.FILES.dict())
    except MultiPartParserError as failure:
        raise Invalid(f"The form cannot be read: {failure}") from failure
    known = {name: _metadata(file) for name, file in files.items() if name != "_json"}
    if "_json" in files:
        return files["_json"].read(), known
    if "_json" in fields:
        return str(fields["_json"]).encode("utf-8", "surrogatepass"), known
    raise Invalid("The form has no part _json")


def _metadata(file: UploadedFile[Any]) -> dict[str, JSON]:
    digest = hashlib.sha256()
    for chunk in file.chunks():
        digest.update(chunk)
    return {
        "name": str(file.name or "")[:255],
        "contentType": str(file.content_type or "")[:100],
        "size": file.size or 0,
        "sha256": digest.hexdigest(),
    }


def _with_files(document: JSON, files: Files) -> JSON:
    """The alert with each file's description where an observable names it, or as an observable of its own."""
    if not files or not isinstance(document, dict):
        return document
    told = document.get("observables")
    things = [_attached(thing, files) for thing in told] if isinstance(told, list) else []
    named = {name for thing in told for name in _names(thing)} if isinstance(told, list) else set()
    things += [{"dataType": "file", "attachment": file} for name, file in files.items() if name not in named]
    return {**document, "observables": things}


def _attached(thing: JSON, files: Files) -> JSON:
    if not isinstance(thing, dict):
        return thing
    found: list[JSON] = [files[name] for name in _names(thing) if name in files]
    if not found and "attachment" in files:  # the part's name where one observable is sent alone
        found = [files["attachment"]]
    return {**thing, "attachment": found} if found else thing


def _names(thing: JSON) -> list[str]:
    told = thing.get("attachment") if isinstance(thing, dict) else None
    listed = told if isinstance(told, list) else [told]
    return [name for name in listed if isinstance(name, str)]


def _object_of(request: Request) -> dict[str, JSON]:
    try:
        found = decoding.decode(bodies.raw(request))
    except Unreadable as failure:
        raise Invalid(f"The body cannot be read: {failure.reason}") from failure
    if not isinstance(found, dict):
        raise Invalid("The body must be an object")
    return found


def _changes(alert: Alert, asked: dict[str, JSON]) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    if "severity" in asked:
        severity = asked["severity"]
        if isinstance(severity, bool) or severity not in (1, 2, 3, 4):
            raise Invalid("severity must be a whole number from 1 to 4")
        changes["severity"] = thehive.SEVERITIES[int(severity)].severity
    tags = _tags(asked, "tags") if "tags" in asked else list(alert.tags)
    tags += _tags(asked, "addTags")
    gone = set(_tags(asked, "removeTags"))
    tags = list(dict.fromkeys(tag for tag in tags if tag not in gone))[:MOST_TAGS]
    return changes | ({"tags": tags} if tags != alert.tags else {})


def _tags(asked: dict[str, JSON], name: str) -> list[str]:
    told = asked.get(name, [])
    if not isinstance(told, list) or not all(isinstance(tag, str) for tag in told):
        raise Invalid(f"{name} must be a list of texts")
    return [str(tag).strip()[:128] for tag in told if str(tag).strip()]


def _document_of(alert: Alert) -> dict[str, JSON]:
    """What TheHive's client sent last about the alert; empty where it came another way."""
    copies = alert.documents.filter(source=thehive.ID).order_by("-pk").values_list("body", flat=True)[:20]
    return next((body for body in copies if isinstance(body, dict) and "sourceRef" in body), {})


def _custom_fields(document: dict[str, JSON]) -> list[dict[str, Any]]:
    return [
        {"_id": name, "name": name, "description": "", "type": "string", "value": value, "order": order}
        for order, (name, value) in enumerate(thehive.custom_fields(document))
    ]


def _level(alert: Alert, name: str) -> tuple[int, str]:
    """The traffic light of an alert, from its tag; amber where it has none."""
    usual, words = LEVELS[name]
    by_word = {f"{name}:{word}": number for number, word in words.items()}
    number = next((by_word[tag] for tag in alert.tags if tag in by_word), usual)
    return number, words[number].upper()


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
