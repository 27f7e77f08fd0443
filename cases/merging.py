"""What a further document about a known finding changes in its alert. No database here.

Whatever the order in which documents arrive, the result is the same: times, counts and severities
only grow, and words come from the document with the latest activity.
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
        **_words_of(draft),
        "severity": draft.severity,
        "severity_band": Band.of(draft.severity),
        "account": draft.account,
        "region": draft.region,
        "resources": [asdict(resource) for resource in draft.resources],
        "observables": [asdict(observable) for observable in draft.observables],
        "techniques": list(draft.techniques),
        "tags": list(draft.tags),
        "first_seen_at": draft.first_seen_at,
        "last_seen_at": last_seen(draft, at=at),
        "detected_at": draft.detected_at or at,
        "received_at": at,
        "updated_at": at,
        "due_at": at,
        "count": draft.occurrences,
        "is_sample": draft.is_sample,
        "is_archived": draft.is_archived,
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
        "severity": draft.severity,
        "severity_band": Band.of(draft.severity),
        "is_sample": draft.is_sample,
        "is_archived": draft.is_archived,
        **_words_of(draft),
    }


def _same_episode(alert: Alert, draft: AlertDraft, *, at: datetime) -> dict[str, Any]:
    seen = last_seen(draft, at=at)
    is_newer = seen > alert.last_seen_at
    severity = max(alert.severity, draft.severity)
    values: dict[str, Any] = {
        "count": max(alert.count + is_newer, draft.occurrences),
        "last_seen_at": max(alert.last_seen_at, seen),
        "severity": severity,
        "severity_band": Band.of(severity),
        # Marked as a sample only while every document says so: a real finding is never hidden by a copy.
        "is_sample": alert.is_sample and draft.is_sample,
        "is_archived": draft.is_archived if is_newer else _kept_archived(alert, draft, seen),
    }
    if alert.episode == 1:
        starts = [moment for moment in (alert.first_seen_at, draft.first_seen_at) if moment is not None]
        values["first_seen_at"] = min(starts, default=None)
        values["detected_at"] = min(alert.detected_at, draft.detected_at or alert.detected_at)
    return values | (_words_of(draft) if is_newer else {})


def _kept_archived(alert: Alert, draft: AlertDraft, seen: datetime) -> bool:
    """Archiving does not change the last activity, so of two documents of one moment either may say it."""
    return alert.is_archived or (draft.is_archived and seen == alert.last_seen_at)


def _words_of(draft: AlertDraft) -> dict[str, Any]:
    return {"title": draft.title[:500], "summary": draft.summary, "type": draft.type[:200]}


def _more(alert: Alert, draft: AlertDraft) -> dict[str, Any]:
    """Lists only get longer, up to a limit."""
    return {
        "resources": _union(alert.resources, [asdict(one) for one in draft.resources], ("type", "id")),
        "observables": _union(
            alert.observables, [asdict(one) for one in draft.observables], ("kind", "value")
        ),
        "techniques": list(dict.fromkeys([*alert.techniques, *draft.techniques]))[:MOST_LISTED],
        "tags": list(dict.fromkeys([*alert.tags, *draft.tags]))[:MOST_LISTED],
    }


def _union(
    known: list[dict[str, str]], more: list[dict[str, str]], key: tuple[str, str]
) -> list[dict[str, str]]:
    found = {tuple(one.get(name, "") for name in key): one for one in reversed([*known, *more])}
    return list(reversed(found.values()))[:MOST_LISTED]
