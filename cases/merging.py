"""What a further document about a known finding changes in its alert. No database here.

Whatever the order in which documents arrive, the result is the same: times and counts only grow, and
words and severity come from the richest documents: the words of the latest of them, the worst severity.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from cases.models import Alert
from cases.sources.types import AlertDraft
from cases.words import AlertStatus, Band

MOST_LISTED = 500
TICK = timedelta(microseconds=1)


def columns_of(draft: AlertDraft, *, at: datetime) -> dict[str, Any]:
    """The columns of an alert that the draft alone decides, for a row that is made at `at`."""
    return {
        "source": draft.source,
        "external_id": draft.external_id,
        **_words_of(draft, seen=last_seen(draft, at=at)),
        "severity": draft.severity,
        "severity_band": Band.of(draft.severity),
        "told_severity": draft.severity,
        "account": draft.account,
        "region": draft.region,
        "resources": [asdict(resource) for resource in draft.resources],
        "observables": [asdict(observable) for observable in draft.observables],
        "techniques": list(draft.techniques),
        "tags": list(draft.tags),
        "labels": dict(draft.labels[:MOST_LISTED]),
        "places": [asdict(place) for place in draft.places[:MOST_LISTED]],
        "first_seen_at": draft.first_seen_at,
        "last_seen_at": last_seen(draft, at=at),
        "detected_at": draft.detected_at or at,
        "received_at": at,
        "updated_at": at,
        "due_at": at,
        "count": draft.occurrences,
        "is_sample": draft.is_sample,
        "is_archived": draft.is_archived,
        "resolved_at": last_seen(draft, at=at) if draft.is_resolved else None,
    }


def last_seen(draft: AlertDraft, *, at: datetime) -> datetime:
    """The latest activity that the document tells of; the moment of receipt when it tells none."""
    return draft.last_seen_at or draft.detected_at or draft.first_seen_at or at


def changes(alert: Alert, draft: AlertDraft, *, at: datetime) -> dict[str, Any]:
    """The columns that a new document changes, `updated_at` always among them.

    Activity after an alert was closed, by dismissal or with its incident, opens its next episode.
    """
    common = {"updated_at": max(at, alert.updated_at + TICK), "due_at": at, **_more(alert, draft)}
    ended = ended_at(alert)
    if ended is not None and last_seen(draft, at=at) > max(ended, alert.last_seen_at):
        return common | _next_episode(alert, draft, ended=ended, at=at)
    return common | _same_episode(alert, draft, at=at)


def ended_at(alert: Alert) -> datetime | None:
    """When the present episode was closed: dismissed, or its incident closed; None while it is open."""
    if alert.status == AlertStatus.DISMISSED:
        return alert.dismissed_at
    if alert.status == AlertStatus.ESCALATED and alert.incident is not None:
        return alert.incident.closed_at
    return None


def _next_episode(alert: Alert, draft: AlertDraft, *, ended: datetime, at: datetime) -> dict[str, Any]:
    """Everything about the episode begins anew; what the finding is stays."""
    seen = last_seen(draft, at=at)
    detected = draft.updated_at or draft.detected_at or at
    first = draft.first_seen_at
    return {
        "episode": alert.episode + 1,
        "status": AlertStatus.NEW,
        "verdict": "",
        "verdict_reason": "",
        "acknowledged_at": None,
        "dismissed_at": None,
        "assignee": None,
        "first_seen_at": first if first is not None and first > ended else seen,
        "last_seen_at": seen,
        "detected_at": detected if detected > ended else at,
        "received_at": at,
        "count": max(alert.count + 1, draft.occurrences),
        **_severities(draft.severity, shift=0),
        "severity_shift": 0,
        "suppressed_by": None,
        "is_sample": draft.is_sample,
        "is_archived": draft.is_archived,
        "resolved_at": seen if draft.is_resolved else None,
        **_words_of(draft, seen=seen),
    }


def _same_episode(alert: Alert, draft: AlertDraft, *, at: datetime) -> dict[str, Any]:
    seen = last_seen(draft, at=at)
    is_newer = seen > alert.last_seen_at
    values: dict[str, Any] = {
        "count": max(alert.count + is_newer, draft.occurrences),
        "last_seen_at": max(alert.last_seen_at, seen),
        **_worse(alert, draft),
        **_resolution(alert, draft, seen=seen),
        # Marked as a sample only while every document says so: a real finding is never hidden by a copy.
        "is_sample": alert.is_sample and draft.is_sample,
        "is_archived": draft.is_archived if is_newer else _kept_archived(alert, draft, seen),
    }
    if alert.episode == 1:
        starts = [moment for moment in (alert.first_seen_at, draft.first_seen_at) if moment is not None]
        values["first_seen_at"] = min(starts, default=None)
        values["detected_at"] = min(alert.detected_at, draft.detected_at or alert.detected_at)
    return values | (_words_of(draft, seen=seen) if _says_more(alert, draft, seen=seen) else {})


def _says_more(alert: Alert, draft: AlertDraft, *, seen: datetime) -> bool:
    """Whether the words come from this document: the richest, and of those the one that is latest."""
    if draft.richness != alert.richness:
        return draft.richness > alert.richness
    return seen > (alert.worded_at or alert.last_seen_at)


def _worse(alert: Alert, draft: AlertDraft) -> dict[str, Any]:
    """The worst severity that the richest documents tell; another's account of a finding does not count."""
    told = alert.told_severity if alert.told_severity is not None else alert.severity
    if draft.richness < alert.richness:
        return {}
    if draft.richness > alert.richness:
        return _severities(draft.severity, shift=alert.severity_shift)
    found = _severities(max(told, draft.severity), shift=alert.severity_shift)
    # A person may have set another; only what is worse than that counts.
    return found if found["severity"] > alert.severity else {"told_severity": found["told_severity"]}


def _severities(told: int, *, shift: int) -> dict[str, Any]:
    severity = min(max(told + shift, 0), 100)
    return {"told_severity": told, "severity": severity, "severity_band": Band.of(severity)}


def _resolution(alert: Alert, draft: AlertDraft, *, seen: datetime) -> dict[str, Any]:
    """Over at its source, until a later document says that it goes on."""
    if draft.is_resolved:
        return {"resolved_at": max(seen, alert.resolved_at or seen)}
    if alert.resolved_at is not None and seen > alert.resolved_at:
        return {"resolved_at": None}
    return {}


def _kept_archived(alert: Alert, draft: AlertDraft, seen: datetime) -> bool:
    """Archiving does not change the last activity, so of two documents of one moment either may say it."""
    return alert.is_archived or (draft.is_archived and seen == alert.last_seen_at)


def _words_of(draft: AlertDraft, *, seen: datetime) -> dict[str, Any]:
    return {
        "title": draft.title[:500],
        "summary": draft.summary,
        "type": draft.type[:200],
        "link": draft.link[:2000],
        "richness": draft.richness,
        "worded_at": seen,
    }


def _more(alert: Alert, draft: AlertDraft) -> dict[str, Any]:
    """Lists only get longer, up to a limit."""
    return {
        "resources": _union(alert.resources, [asdict(one) for one in draft.resources], ("type", "id")),
        "observables": _union(
            alert.observables, [asdict(one) for one in draft.observables], ("kind", "value")
        ),
        "techniques": list(dict.fromkeys([*alert.techniques, *draft.techniques]))[:MOST_LISTED],
        "tags": list(dict.fromkeys([*alert.tags, *draft.tags]))[:MOST_LISTED],
        "labels": dict(list((alert.labels | dict(draft.labels)).items())[:MOST_LISTED]),
        "places": _union(alert.places, [asdict(one) for one in draft.places], ("address", "country")),
    }


def _union(
    known: list[dict[str, Any]], more: list[dict[str, Any]], key: tuple[str, str]
) -> list[dict[str, Any]]:
    found = {tuple(one.get(name, "") for name in key): one for one in reversed([*known, *more])}
    return list(reversed(found.values()))[:MOST_LISTED]
