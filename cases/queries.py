"""Lists of the record as programs ask for them: declared filters over what the actor may read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Q, QuerySet, TextField
from django.db.models.functions import Cast

from audit.models import AuditEvent
from cases import access
from cases.decoding import Unreadable
from cases.models import Action, Alert, Incident, Milestone, TimelineEntry
from cases.sources.reading import time
from cases.words import AlertStatus, Phase
from identity.actors import Actor
from lib.errors import Invalid

ALERT_ORDER = ("-severity", "-last_seen_at")
INCIDENT_ORDER = ("-opened_at",)
TIMELINE_ORDER = ("-at",)
PAGING = frozenset({"cursor", "limit"})
LONGEST = 300


@dataclass(frozen=True, kw_only=True)
class AlertFilter:
    """What `GET /alerts` can be narrowed by; a `type` may end in `*`, a `status` name several by comma."""

    source: str = ""
    external_id: str = ""
    status: tuple[str, ...] = ()
    severity__gte: int | None = None
    account: str = ""
    type: str = ""
    q: str = ""
    incident: str = ""
    updated_since: datetime | None = None

    @classmethod
    def of(cls, given: Mapping[str, str]) -> AlertFilter:
        """From a query string. `Invalid` for an unknown parameter or a value that is none."""
        values = _known(given, cls)
        return cls(
            **_texts(values, "source", "external_id", "account", "type", "q", "incident"),
            status=_words(values, "status", AlertStatus),
            severity__gte=_severity(values),
            updated_since=_moment(values, "updated_since"),
        )


@dataclass(frozen=True, kw_only=True)
class IncidentFilter:
    """What `GET /incidents` can be narrowed by."""

    status: tuple[str, ...] = ()
    severity__gte: int | None = None
    account: str = ""
    kind: str = ""
    owner: str = ""
    q: str = ""
    updated_since: datetime | None = None

    @classmethod
    def of(cls, given: Mapping[str, str]) -> IncidentFilter:
        """From a query string. `Invalid` for an unknown parameter or a value that is none."""
        values = _known(given, cls)
        return cls(
            **_texts(values, "account", "kind", "owner", "q"),
            status=_words(values, "status", Phase),
            severity__gte=_severity(values),
            updated_since=_moment(values, "updated_since"),
        )


def alerts(actor: Actor, asked: AlertFilter) -> QuerySet[Alert]:
    """The alerts that fit, in no order."""
    found = access.alerts_for(actor).select_related("team", "incident", "assignee")
    for name in ("source", "external_id", "account"):
        if value := getattr(asked, name):
            found = found.filter(**{name: value})
    if asked.status:
        found = found.filter(status__in=asked.status)
    if asked.severity__gte is not None:
        found = found.filter(severity__gte=asked.severity__gte)
    if asked.type.endswith("*"):
        found = found.filter(type__startswith=asked.type[:-1])
    elif asked.type:
        found = found.filter(type=asked.type)
    if asked.incident:
        found = found.filter(incident__ref=asked.incident)
    if asked.updated_since is not None:
        found = found.filter(updated_at__gte=asked.updated_since)
    return _containing(found, asked.q) if asked.q else found


def incidents(actor: Actor, asked: IncidentFilter) -> QuerySet[Incident]:
    """The incidents that fit, in no order. An `owner` is a person's id, or `me`."""
    found = access.incidents_for(actor).select_related("team", "owner")
    for name in ("account", "kind"):
        if value := getattr(asked, name):
            found = found.filter(**{name: value})
    if asked.status:
        found = found.filter(status__in=asked.status)
    if asked.severity__gte is not None:
        found = found.filter(severity__gte=asked.severity__gte)
    if asked.owner == "me":
        found = found.filter(owner_id=actor.person_id, owner__isnull=False)
    elif asked.owner:
        found = found.filter(owner__ulid=asked.owner)
    if asked.updated_since is not None:
        found = found.filter(updated_at__gte=asked.updated_since)
    if asked.q:
        found = found.filter(
            Q(ref__iexact=asked.q) | Q(title__icontains=asked.q) | Q(summary__icontains=asked.q)
        )
    return found


def timeline(incident: Incident) -> QuerySet[TimelineEntry]:
    """The entries of an incident with their texts."""
    return TimelineEntry.objects.filter(incident=incident).select_related("text")


def alerts_of(actor: Actor, incident: Incident) -> QuerySet[Alert]:
    """The incident's alerts that the actor may read, worst first."""
    return access.alerts_for(actor).filter(incident=incident).order_by("-severity", "-last_seen_at", "-pk")


def actions_of(actor: Actor, incident: Incident) -> QuerySet[Action]:
    """The incident's actions that the actor may read, in the order in which they were asked for."""
    return access.actions_for(actor).filter(incident=incident).order_by("pk")


def statements(incidents: Iterable[Incident]) -> dict[int, dict[str, Milestone]]:
    """For each incident (by key) the statement of each kind that counts; withdrawn kinds are left out."""
    found: dict[int, dict[str, Milestone]] = {incident.pk: {} for incident in incidents}
    for milestone in Milestone.objects.filter(incident__in=list(found)).order_by("pk"):
        found[milestone.incident_id][milestone.kind] = milestone
    return {
        pk: {kind: milestone for kind, milestone in kinds.items() if milestone.at is not None}
        for pk, kinds in found.items()
    }


def earlier_verdicts(alert: Alert) -> list[tuple[int, str, datetime]]:
    """How earlier episodes of an alert ended by dismissal: episode, verdict, when; the newest first."""
    events = AuditEvent.objects.filter(object_type="alert", object_id=alert.ulid, act="alert.dismissed")
    return [
        (event.details["episode"], event.details["verdict"], event.at)
        for event in events.order_by("-seq")
        if event.details["episode"] < alert.episode
    ]


def _containing(found: QuerySet[Alert], text: str) -> QuerySet[Alert]:
    found = found.annotate(
        resources_text=Cast("resources", TextField()), observables_text=Cast("observables", TextField())
    )
    columns = ("title", "summary", "type", "external_id", "resources_text", "observables_text")
    condition = Q(pk__in=[])
    for column in columns:
        condition |= Q(**{f"{column}__icontains": text})
    return found.filter(condition)


# --- reading a query string ----------------------------------------------------------------------------


def _known(given: Mapping[str, str], of: type[AlertFilter | IncidentFilter]) -> dict[str, str]:
    fields = set(of.__dataclass_fields__)
    values: dict[str, str] = {}
    for name, value in given.items():
        if name in PAGING:
            continue
        if name not in fields:
            raise Invalid(f"This list cannot be narrowed by {name[:60]!r}.", pointer=f"/{name[:60]}")
        if len(value) > LONGEST or "\0" in value:
            raise Invalid("No value of this list looks like that.", pointer=f"/{name}")
        values[name] = value.strip()
    return values


def _texts(values: Mapping[str, str], *names: str) -> dict[str, Any]:
    return {name: values.get(name, "") for name in names}


def _words(values: Mapping[str, str], name: str, words: type[AlertStatus | Phase]) -> tuple[str, ...]:
    asked = tuple(word.strip() for word in values.get(name, "").split(",") if word.strip())
    if unknown := [word for word in asked if word not in set(words)]:
        raise Invalid(f"{unknown[0]!r} is none of {', '.join(words)}.", pointer=f"/{name}")
    return asked


def _severity(values: Mapping[str, str]) -> int | None:
    text = values.get("severity__gte", "")
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and int(text[:4]) <= 100):
        raise Invalid("A severity is a number from 0 to 100.", pointer="/severity__gte")
    return int(text)


def _moment(values: Mapping[str, str], name: str) -> datetime | None:
    text = values.get(name, "")
    if not text:
        return None
    try:
        # A plus sign in a query string arrives as a space.
        return time(text.replace(" ", "+") if text[-6:-5] == " " else text)
    except Unreadable as failure:
        raise Invalid("A time as in RFC 3339, such as 2026-11-24T09:30:00Z.", pointer=f"/{name}") from failure
