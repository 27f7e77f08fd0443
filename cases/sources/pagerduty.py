"""Events for PagerDuty: version 2, and version 1, which ElastAlert2 still sends by default.

https://developer.pagerduty.com/docs/events-api-v2/trigger-events/ and
https://developer.pagerduty.com/docs/events-api-v1-overview. The keys in them are secrets and are never kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from cases.decoding import JSON, Unreadable
from cases.sources import traces
from cases.sources.reading import at, objects, text, time
from cases.sources.types import AlertDraft, Observable
from cases.words import Band

ID = "pagerduty"

SECRETS = ("routing_key", "service_key")
ACTIONS = ("trigger", "acknowledge", "resolve")
SEVERITIES = {
    "critical": Band.CRITICAL,
    "error": Band.HIGH,
    "warning": Band.MEDIUM,
    "info": Band.INFORMATIONAL,
}
LONGEST_KEY = 255
ECHO = 10
"""The richness of an event that only says that an alert is over: its words replace none."""


def matches(document: JSON) -> bool:
    """Whether this is surely an event: the two ways to say what to do, each with its key."""
    if not isinstance(document, dict):
        return False
    return ("event_action" in document and "routing_key" in document) or (
        "event_type" in document and "service_key" in document
    )


def parse(document: JSON) -> Iterator[AlertDraft]:
    """The draft of a trigger or a resolve; none of an acknowledgement, which changes no alert by itself.

    Raises `Unreadable` where PagerDuty would call the event invalid.
    """
    if not isinstance(document, dict):
        raise Unreadable("an event is a JSON object")
    event = without_secrets(document)
    action = action_of(event)
    key = dedup_key(event)
    if action == "acknowledge":
        return
    if action == "resolve":
        yield _resolved(event, key)
    elif "event_action" in event:
        yield _of_version_2(event, key)
    else:
        yield _of_version_1(event, key)


def without_secrets(document: dict[str, JSON]) -> dict[str, JSON]:
    """The event as it may be kept."""
    return {name: value for name, value in document.items() if name not in SECRETS}


def action_of(event: dict[str, JSON]) -> str:
    """`trigger`, `acknowledge` or `resolve`. `Unreadable` for anything else."""
    name = "event_action" if "event_action" in event else "event_type"
    action = event.get(name)
    if not isinstance(action, str) or action not in ACTIONS:
        raise Unreadable(f"must be one of {', '.join(ACTIONS)}", f"/{name}")
    return action


def dedup_key(event: dict[str, JSON]) -> str:
    """The sender's key; without one, a key that is equal for equal events whenever they are sent.

    `Unreadable` for a key that cannot be one, and for a resolve or acknowledgement without any.
    """
    name = "dedup_key" if "event_action" in event else "incident_key"
    key = event.get(name)
    if key is not None and not isinstance(key, str):
        raise Unreadable("must be a text", f"/{name}")
    if key and len(key) > LONGEST_KEY:
        raise Unreadable(f"longer than {LONGEST_KEY} characters", f"/{name}")
    if key and key.strip():
        return key.strip()
    if action_of(event) != "trigger":
        raise Unreadable("is needed to say which alert is meant", f"/{name}")
    told = {key: value for key, value in event.items() if key != name}
    fields = sorted(f"{at}={value}" for at, value in traces.leaves(told) if not at.endswith("timestamp"))
    return traces.digest(traces.without_times(field) for field in fields)


def _of_version_2(event: dict[str, JSON], key: str) -> AlertDraft:
    payload = event.get("payload")
    if not isinstance(payload, dict):
        raise Unreadable("is needed", "/payload")
    summary = _demanded(payload, "summary", "/payload/summary", most=1024)
    source = _demanded(payload, "source", "/payload/source", most=1024)
    severity = payload.get("severity")
    if not isinstance(severity, str) or severity not in SEVERITIES:
        raise Unreadable(f"must be one of {', '.join(SEVERITIES)}", "/payload/severity")
    details = payload.get("custom_details")
    return _draft(
        event,
        key,
        title=summary,
        origin=source,
        severity=SEVERITIES[severity].severity,
        kind=text(payload, "class", most=200),
        details=details,
        fields=[(name, text(payload, name, most=200)) for name in ("component", "group", "class")],
        when=_timestamp(payload),
        link=next((text(link, "href") for link in objects(event, "links", most=20)), ""),
    )


def _of_version_1(event: dict[str, JSON], key: str) -> AlertDraft:
    title = _demanded(event, "description", "/description", most=1024)
    return _draft(
        event,
        key,
        title=title,
        origin="",
        severity=Band.MEDIUM.severity,  # version 1 has none
        kind="",
        details=event.get("details"),
        fields=[],
        when=None,
        link="",
    )


def _draft(
    event: dict[str, JSON],
    key: str,
    *,
    title: str,
    origin: str,
    severity: int,
    kind: str,
    details: JSON,
    fields: list[tuple[str, str]],
    when: datetime | None,
    link: str,
) -> AlertDraft:
    told = list(traces.leaves(details))
    ground = traces.ground_of([("", origin), *fields, *told])
    client = text(event, "client", most=200)
    tags = [
        f"{name}={value}"[:128] for name, value in [*fields, ("source", origin), ("client", client)] if value
    ]
    return AlertDraft(
        source=ID,
        external_id=key,
        content=(ID, key),
        fingerprint=(
            ID,
            kind or title,
            origin,
            ground.account,
            *(f"{r.type}:{r.id}" for r in ground.resources[:1]),
        ),
        title=title[:500],
        summary=_summary(details),
        severity=severity,
        type=kind,
        account=ground.account,
        region=ground.region,
        resources=ground.resources,
        observables=traces.once(_observables(origin, told)),
        tags=tuple(dict.fromkeys(tags)),
        link=traces.web_link(link) or traces.web_link(text(event, "client_url")),
        first_seen_at=when,
        last_seen_at=when,
        detected_at=when,
        updated_at=when,
        raw=event,
    )


def _resolved(event: dict[str, JSON], key: str) -> AlertDraft:
    payload = event.get("payload")
    title = text(payload, "summary", most=500) or text(event, "description", most=500)
    return AlertDraft(
        source=ID,
        external_id=key,
        content=(ID, key),
        fingerprint=(ID, key),
        title=title or f"Resolved: {key}",
        severity=Band.INFORMATIONAL.severity,
        richness=ECHO,
        last_seen_at=_timestamp(payload),
        is_resolved=True,
        raw=event,
    )


def _demanded(holder: dict[str, JSON], name: str, pointer: str, *, most: int) -> str:
    found = holder.get(name)
    if not isinstance(found, str) or not found.strip():
        raise Unreadable("is needed, as a text", pointer)
    if len(found) > most:
        raise Unreadable(f"longer than {most} characters", pointer)
    return found.strip()


def _timestamp(payload: JSON) -> datetime | None:
    told = at(payload, "timestamp")
    if told is None:
        return None
    try:
        return time(told)
    except Unreadable as failure:
        raise Unreadable("must be a time as in ISO 8601", "/payload/timestamp") from failure


def _summary(details: JSON) -> str:
    if isinstance(details, str):
        return details.strip()[:20_000]
    return "\n".join(f"{name}: {value}" for name, value in _long(details))[:20_000]


def _long(details: JSON) -> Iterator[tuple[str, str]]:
    """The details with their texts whole, where `leaves` cuts them."""
    for name, value in traces.leaves(details):
        whole = at(details, name)
        yield name, whole.strip() if isinstance(whole, str) else value


def _observables(origin: str, told: list[tuple[str, str]]) -> Iterator[Observable]:
    if kind := traces.kind_of(origin):
        yield Observable(kind="hostname" if kind == "domain" else kind, value=origin)
    for _, value in told:
        kind = traces.kind_of(value)
        if kind and kind != "domain":
            yield Observable(kind=kind, value=value)
