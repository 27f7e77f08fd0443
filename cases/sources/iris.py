"""Alerts as DFIR-IRIS takes them (`/alerts/add`), which ElastAlert2, Wazuh scripts and Velociraptor send.

https://docs.dfir-iris.org/latest/operations/api/ (alerts). What a number means is a row of the sender's
IRIS; `SEVERITIES` is the order of a fresh installation, and a key may have another.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

from cases.decoding import JSON, Unreadable
from cases.sources import traces
from cases.sources.reading import objects, text, time
from cases.sources.thehive import RANDOM
from cases.sources.types import AlertDraft, Observable
from cases.words import Band

ID = "iris"

SEVERITIES = {
    "1": Band.MEDIUM.severity,  # unspecified
    "2": Band.INFORMATIONAL.severity,
    "3": Band.LOW.severity,
    "4": Band.MEDIUM.severity,
    "5": Band.HIGH.severity,
    "6": Band.CRITICAL.severity,
}


def matches(document: JSON) -> bool:
    """Whether this is surely an alert of IRIS: no other tool names its fields so."""
    return isinstance(document, dict) and "alert_title" in document and "alert_severity_id" in document


def parse(document: JSON) -> Iterator[AlertDraft]:
    """The one draft of an alert, its severity as a fresh IRIS numbers it."""
    yield draft_of(document, severities={})


def draft_of(document: JSON, *, severities: Mapping[str, int]) -> AlertDraft:
    """The draft of an alert; `severities` says what the sender's own ids mean, as 0 to 100."""
    if not isinstance(document, dict):
        raise Unreadable("an alert is a JSON object")
    title = document.get("alert_title")
    if not isinstance(title, str) or not title.strip():
        raise Unreadable("is needed, as a text", "/alert_title")
    source = text(document, "alert_source", most=64) or "iris"
    ref = text(document, "alert_source_ref", most=1000)
    fields = list(_fields(document))
    ground = traces.ground_of(fields)
    detected = _event_time(document)
    summary = _summary(document)
    if ref and not RANDOM.fullmatch(ref):
        identity = ref if len(ref) <= 200 else traces.digest([ref])
    else:
        told = [title, summary, *(f"{name}={value}" for name, value in sorted(fields))]
        identity = traces.digest(traces.without_times(part) for part in told)
    return AlertDraft(
        source=ID,
        external_id=f"{source}/{identity}",
        content=(ID, source, identity),
        fingerprint=(
            ID,
            source,
            title.strip()[:500],
            ground.account,
            *(f"{r.type}:{r.id}" for r in ground.resources[:1]),
        ),
        title=title.strip()[:500],
        summary=summary,
        severity=_severity(document, severities),
        account=ground.account,
        region=ground.region,
        resources=ground.resources,
        observables=traces.once(_observables(document)),
        tags=_tags(document),
        link=traces.web_link(text(document, "alert_source_link")),
        first_seen_at=detected,
        last_seen_at=detected,
        detected_at=detected,
        updated_at=detected,
        raw=document,
    )


def _severity(document: dict[str, JSON], severities: Mapping[str, int]) -> int:
    told = document.get("alert_severity_id")
    if told is None:
        return Band.MEDIUM.severity
    if isinstance(told, bool) or not isinstance(told, int | str):
        raise Unreadable("must be a whole number", "/alert_severity_id")
    name = str(told).strip()
    own = severities.get(name)
    if isinstance(own, int) and 0 <= own <= 100:
        return own
    if name not in SEVERITIES:
        raise Unreadable("is no severity that this key or a fresh IRIS knows", "/alert_severity_id")
    return SEVERITIES[name]


def _event_time(document: dict[str, JSON]) -> datetime | None:
    told = document.get("alert_source_event_time")
    if told is None or told == "":
        return None
    try:
        return time(told)
    except Unreadable as failure:
        raise Unreadable("must be a time as in ISO 8601", "/alert_source_event_time") from failure


def _summary(document: dict[str, JSON]) -> str:
    said = (text(document, name, most=20_000) for name in ("alert_description", "alert_note"))
    return "\n\n".join(filter(None, said))[:20_000]


def _fields(document: dict[str, JSON]) -> Iterator[tuple[str, str]]:
    yield from (traces.split(tag) for tag in _said_tags(document))
    yield from traces.leaves(document.get("alert_context"))
    yield from (("", text(ioc, "ioc_value")) for ioc in objects(document, "alert_iocs"))
    yield from (("", text(asset, "asset_name")) for asset in objects(document, "alert_assets"))
    yield from traces.leaves(document.get("alert_source_content"))


def _observables(document: dict[str, JSON]) -> Iterator[Observable]:
    for ioc in objects(document, "alert_iocs"):
        value = text(ioc, "ioc_value")
        yield Observable(kind=traces.kind_of(value) or "ioc", value=value)
    for asset in objects(document, "alert_assets"):
        name = text(asset, "asset_name")
        if traces.resource_of(name) is None:
            yield Observable(kind="ip" if traces.is_address(name) else "hostname", value=name)
        yield Observable(kind="ip", value=text(asset, "asset_ip"))
        yield Observable(kind="domain", value=text(asset, "asset_domain"))


def _said_tags(document: dict[str, JSON]) -> list[str]:
    """The tags, which IRIS has as one text with commas."""
    said = document.get("alert_tags")
    found = said if isinstance(said, list) else str(said).split(",") if isinstance(said, str) else []
    return [shown[:128] for tag in found[:200] if (shown := traces.plain(tag))]


def _tags(document: dict[str, JSON]) -> tuple[str, ...]:
    tags = _said_tags(document)
    tags += [f"{name}={value}"[:128] for name, value in traces.leaves(document.get("alert_context"), most=50)]
    return tuple(dict.fromkeys(tags))
