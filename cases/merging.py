"""What a further document about a known finding changes in its alert. No database here.

Whatever the order in which documents arrive, the result is the same: times and counts only grow, and
words and severity come from the richest documents: the words of the latest of them, the worst severity.
Of one thing that is not so: where a sender gives no count of its own, a document counts when it tells of
later activity than was known, so of several that come late only the latest counts. Word that it is over
is no occurrence.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from cases.models import Alert
from cases.sources.types import AlertDraft, Observable, Resource
from cases.words import AlertStatus, Band, Verdict
from lib import canonical

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
        # Spelled out: `asdict` copies deeply, and takes longer than everything else here.
        "resources": [_resource(one) for one in draft.resources],
        "observables": [_observable(one) for one in draft.observables],
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

    Activity after an alert was closed, by dismissal or with its incident, opens its next episode; word
    that it is over does not, nor does more of what a rule suppresses.
    """
    common = {"updated_at": max(at, alert.updated_at + TICK), "due_at": at, **_more(alert, draft)}
    seen, ended = last_seen(draft, at=at), ended_at(alert)
    if ended is None or seen <= max(ended, alert.last_seen_at) or _stays_suppressed(alert, draft, at=at):
        return common | _same_episode(alert, draft, at=at)
    if draft.is_resolved:
        # Not activity: what happened before it and is told later must still be able to open an episode.
        return common | _same_episode(alert, draft, at=at) | {"last_seen_at": alert.last_seen_at}
    return common | _next_episode(alert, draft, ended=ended, at=at)


def _stays_suppressed(alert: Alert, draft: AlertDraft, *, at: datetime) -> bool:
    """Whether the rule that suppressed the alert still stands as it was, and this is no worse."""
    rule = alert.suppressed_by if alert.verdict == Verdict.SUPPRESSED else None
    if rule is None or not rule.is_on or rule.expires_at is None or alert.dismissed_at is None:
        return False
    told = alert.told_severity if alert.told_severity is not None else alert.severity
    is_as_it_was = rule.changed_at is None or rule.changed_at <= alert.dismissed_at
    return is_as_it_was and at < rule.expires_at and draft.severity <= told


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
    first, detected = _beginning(draft, ended=ended, at=at)
    # Word that this activity is over may have come before word of it.
    resolved = alert.resolved_at if alert.resolved_at is not None and alert.resolved_at > seen else None
    is_worded_later = (
        alert.worded_at is not None and alert.worded_at > seen and alert.richness >= draft.richness
    )
    return {
        "episode": alert.episode + 1,
        "episode_after": ended,
        "status": AlertStatus.NEW,
        "verdict": "",
        "verdict_reason": "",
        "acknowledged_at": None,
        "dismissed_at": None,
        "assignee": None,
        "first_seen_at": first,
        "last_seen_at": max(seen, resolved or seen),
        "detected_at": detected,
        "received_at": at,
        "count": max(alert.count + 1, draft.occurrences),
        **_severities(draft.severity, shift=0),
        "severity_shift": 0,
        "suppressed_by": None,
        "is_sample": draft.is_sample,
        "is_archived": draft.is_archived,
        "resolved_at": resolved,
        **({} if is_worded_later else _words_of(draft, seen=seen)),
    }


def _beginning(draft: AlertDraft, *, ended: datetime, at: datetime) -> tuple[datetime, datetime]:
    """When an episode that follows one that ended was first seen and detected, as one document tells it."""
    first, seen = draft.first_seen_at, last_seen(draft, at=at)
    detected = draft.updated_at or draft.detected_at or at
    return (first if first is not None and first > ended else seen), (detected if detected > ended else at)


def _same_episode(alert: Alert, draft: AlertDraft, *, at: datetime) -> dict[str, Any]:
    seen = last_seen(draft, at=at)
    is_newer = seen > alert.last_seen_at
    values: dict[str, Any] = {
        "count": max(alert.count + (is_newer and not draft.is_resolved), draft.occurrences),
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
    elif alert.episode_after is not None and seen > alert.episode_after:
        first, detected = _beginning(draft, ended=alert.episode_after, at=at)
        values["first_seen_at"] = min(alert.first_seen_at or first, first)
        values["detected_at"] = min(alert.detected_at, detected)
    if not _says_more(alert, draft, seen=seen):
        return values
    # Others may name another thing first; what is compared with earlier alerts is as the detector told it.
    return values | _words_of(draft, seen=seen) | {"fingerprint": canonical.sha256(list(draft.fingerprint))}


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
    """Over at its source, unless a later document says that it goes on."""
    if draft.is_resolved:
        if alert.resolved_at is None and seen < alert.last_seen_at:
            return {}
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


def _resource(one: Resource) -> dict[str, str]:
    return {"type": one.type, "id": one.id, "arn": one.arn, "role": one.role}


def _observable(one: Observable) -> dict[str, str]:
    return {"kind": one.kind, "value": one.value}


def _more(alert: Alert, draft: AlertDraft) -> dict[str, Any]:
    """Lists only get longer, up to a limit."""
    return {
        "resources": _union(alert.resources, [_resource(one) for one in draft.resources], ("type", "id")),
        "observables": _union(
            alert.observables, [_observable(one) for one in draft.observables], ("kind", "value")
        ),
        "techniques": list(dict.fromkeys([*alert.techniques, *draft.techniques]))[:MOST_LISTED],
        "tags": list(dict.fromkeys([*alert.tags, *draft.tags]))[:MOST_LISTED],
        "labels": _labels(alert, draft),
        "places": _union(alert.places, [asdict(one) for one in draft.places], ("address", "country")),
    }


def _labels(alert: Alert, draft: AlertDraft) -> dict[str, str]:
    """Of one key, what the document says that the words are from."""
    seen = draft.last_seen_at or draft.detected_at or draft.first_seen_at
    told = dict(draft.labels)
    is_newer = seen is None or _says_more(alert, draft, seen=seen)
    both = alert.labels | told if is_newer else told | alert.labels
    return dict(list(both.items())[:MOST_LISTED])


def _union(
    known: list[dict[str, Any]], more: list[dict[str, Any]], key: tuple[str, str]
) -> list[dict[str, Any]]:
    """Each thing once, as the document told it that said most about it."""
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for one in [*known, *more]:
        name = tuple(one.get(part, "") for part in key)
        found[name] = max(found[name], one, key=_fullness) if name in found else one
    return list(found.values())[:MOST_LISTED]


def _fullness(one: dict[str, Any]) -> tuple[int, str]:
    """How much is said about a thing; among equals any order that is the same for everyone."""
    return sum(value not in ("", None) for value in one.values()), repr(sorted(one.items()))
