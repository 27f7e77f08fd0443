"""Alerts of Prometheus: groups that an Alertmanager (or Grafana) posts, and alerts that are posted to one.

https://prometheus.io/docs/alerting/latest/configuration/#webhook_config for groups,
https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml for alerts.
A firing alert is known by the fingerprint of its labels and the moment it started; when it is over, the
same alert is told again as resolved.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from cases.decoding import JSON, Unreadable
from cases.sources import traces
from cases.sources.reading import at, objects, text, time_or_none
from cases.sources.types import AlertDraft, Observable
from cases.words import Band

ID = "alertmanager"

MOST_LABELS = 200
SEVERITY_NAMES = ("severity", "priority", "level")
SEVERITIES = {
    Band.CRITICAL: "critical crit page fatal emergency disaster p1",
    Band.HIGH: "high error err major p2",
    Band.MEDIUM: "medium moderate warning warn p3",
    Band.LOW: "low minor notice p4",
    Band.INFORMATIONAL: "info informational information none debug ok p5",
}
OF_WORD = {word: band for band, words in SEVERITIES.items() for word in words.split()}
HOST_NAMES = {"host", "hostname", "instance", "node", "nodename"}
FINGERPRINT = re.compile(r"[0-9a-f]{1,64}")
OFFSET, PRIME = 14695981039346656037, 1099511628211
"""Of FNV-1a in 64 bits."""


def matches(document: JSON) -> bool:
    """Whether this is surely a group of alerts, or one alert with its name and annotations."""
    if not isinstance(document, dict):
        return False
    if isinstance(document.get("alerts"), list):
        return "groupLabels" in document and "status" in document
    return bool(text(document, "labels", "alertname")) and isinstance(document.get("annotations"), dict)


def parse(document: JSON) -> Iterator[AlertDraft]:
    """The drafts of a group, or the one of a single alert. `Unreadable` names the first that is wrong."""
    for single, pointer in parts(document):
        yield draft_of(single, pointer=pointer)


def parts(document: JSON) -> Iterator[tuple[dict[str, JSON], str]]:
    """The alerts in a body, each as a group of one that can be read by itself, with its pointer."""
    if not isinstance(document, dict):
        raise Unreadable("an alert is a JSON object")
    if "alerts" not in document:
        yield document, ""
        return
    told = document["alerts"]
    if not isinstance(told, list):
        raise Unreadable("must be a list", "/alerts")
    # Of the group only what does not depend on which other alerts happen to be in it.
    kept: dict[str, JSON] = {
        name: document[name]
        for name in ("version", "groupKey", "receiver", "externalURL")
        if name in document
    }
    for number, alert in enumerate(told):
        status = at(alert, "status") or document.get("status")
        yield {**kept, "status": status, "alerts": [alert]}, f"/alerts/{number}"


def draft_of(single: dict[str, JSON], *, pointer: str = "", now: datetime | None = None) -> AlertDraft:
    """The draft of a group of one, or of one alert.

    An alert without a status is over when its end has come by `now`; where that is not known, it goes on.
    """
    inner = single.get("alerts")
    alert = inner[0] if isinstance(inner, list) else single
    labels = _texts_of(alert, "labels", pointer)
    if not labels:
        raise Unreadable("an alert has at least one label", f"{pointer}/labels")
    notes = _texts_of(alert, "annotations", pointer)
    started = time_or_none(alert, "startsAt")
    ended = time_or_none(alert, "endsAt")
    told = text(alert, "status") or text(single, "status")
    is_over = told == "resolved" if told else ended is not None and now is not None and ended <= now
    identity = _fingerprint(alert, labels) + (f"@{started.isoformat()}" if started else "")
    name = labels.get("alertname", "")
    short = notes.get("summary") or notes.get("message") or ""
    ground = traces.ground_of(labels.items())
    last = (ended or started) if is_over else started
    return AlertDraft(
        source=ID,
        external_id=identity,
        content=(ID, identity),
        fingerprint=(ID, fingerprint(labels)),
        title=(
            f"{name}: {short}"
            if name and short and short != name
            else name or short or "Alert without a name"
        )[:500],
        summary="\n\n".join(dict.fromkeys(filter(None, (notes.get("description"), short))))[:20_000],
        severity=severity_of(labels, notes),
        type=name[:200],
        account=ground.account,
        region=ground.region,
        resources=ground.resources,
        observables=traces.once(_observables(labels)),
        tags=_tags(labels, single),
        labels=tuple(sorted((name[:128], value[:256]) for name, value in labels.items())),
        link=_link(alert, single),
        first_seen_at=started,
        last_seen_at=last,
        detected_at=started,
        updated_at=last,
        is_resolved=is_over,
        raw=_kept(single, ended, is_over=is_over),
    )


def fingerprint(labels: dict[str, str]) -> str:
    """Prometheus's fingerprint of a set of labels, 16 hexadecimal digits.

    FNV-1a over names and values in the order of names, each followed by the byte 255:
    https://github.com/prometheus/common/blob/main/model/signature.go
    """
    found = OFFSET
    for name, value in sorted(labels.items()):
        for byte in name.encode() + b"\xff" + value.encode() + b"\xff":
            found = ((found ^ byte) * PRIME) & 0xFFFFFFFFFFFFFFFF
    return f"{found:016x}"


def severity_of(*told: dict[str, str]) -> int:
    """0 to 100 from the first label or annotation whose word for it is known; medium where there is none."""
    for values in told:
        for name in SEVERITY_NAMES:
            band = OF_WORD.get(values.get(name, "").strip().lower())
            if band is not None:
                return band.severity
    return Band.MEDIUM.severity


def _texts_of(alert: JSON, name: str, pointer: str) -> dict[str, str]:
    """Labels or annotations that say something: an empty label is as good as none."""
    if not isinstance(alert, dict):
        raise Unreadable("an alert is a JSON object", pointer)
    found: Any = alert.get(name) or {}
    if not isinstance(found, dict):
        raise Unreadable("must be an object of texts", f"{pointer}/{name}")
    if len(found) > MOST_LABELS:
        raise Unreadable(f"more than {MOST_LABELS}", f"{pointer}/{name}")
    return {key: shown for key, value in found.items() if (shown := traces.plain(value, most=20_000))}


def _fingerprint(alert: JSON, labels: dict[str, str]) -> str:
    told = text(alert, "fingerprint")
    return told if FINGERPRINT.fullmatch(told) else fingerprint(labels)


def _observables(labels: dict[str, str]) -> Iterator[Observable]:
    for name, value in labels.items():
        bare = re.sub(r":\d{1,5}$", "", value) if value.count(":") == 1 or "]" in value else value
        bare = bare.strip("[]")
        if traces.is_address(bare):
            yield Observable(kind="ip", value=bare)
        elif name.lower() in HOST_NAMES and " " not in bare:
            yield Observable(kind="hostname", value=bare[:255])


def _tags(labels: dict[str, str], single: dict[str, JSON]) -> tuple[str, ...]:
    tags = [f"{name}={value}"[:128] for name, value in sorted(labels.items()) if name != "alertname"]
    receiver = text(single, "receiver", most=100)
    return tuple([*tags, f"receiver={receiver}"] if receiver else tags)


def _link(alert: JSON, single: dict[str, JSON]) -> str:
    for place, name in (
        (alert, "panelURL"),
        (alert, "generatorURL"),
        (alert, "dashboardURL"),
        (single, "externalURL"),
    ):
        if link := traces.web_link(text(place, name)):
            return link
    return ""


def _kept(single: dict[str, JSON], ended: datetime | None, *, is_over: bool) -> JSON:
    """The copy to keep. An end that has not come only says how long to believe it; each has another."""
    if is_over or ended is None:
        return single
    inner: list[JSON] = [{k: v for k, v in one.items() if k != "endsAt"} for one in objects(single, "alerts")]
    rest = {name: value for name, value in single.items() if name != "endsAt"}
    return {**rest, "alerts": inner} if inner else rest
