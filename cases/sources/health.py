"""AWS Health, as far as it is about security: keys that AWS found in public, abuse that others reported.

https://docs.aws.amazon.com/health/latest/ug/aws-health-events-eventbridge-schema.html. Read with its
envelope, which says where an older event was; `affectedAccount` counts before it, as an organization's
administrator is told of every account. The same event comes from a second region and in several pages: all
of them are one alert. What else AWS has to tell (maintenance, outages, lifecycles) holds nothing alarming.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from cases.decoding import JSON, Unreadable
from cases.sources import relays, traces
from cases.sources.reading import EARLIEST, LATEST, at, objects, text, time_or_none
from cases.sources.types import AlertDraft, Observable, Resource
from cases.words import Band

ID = "health"

WHAT = "an event of AWS Health"
SENDER, EVENT, ABUSE = "aws.health", "AWS Health Event", "AWS Health Abuse Event"
MOST_ENTITIES = 200

TITLES = {
    "AWS_RISK_CREDENTIALS_EXPOSED": "AWS found an access key in public",
    "AWS_RISK_CREDENTIALS_EXPOSURE_SUSPECTED": "AWS suspects that an access key is public",
    "AWS_RISK_CREDENTIALS_COMPROMISED": "AWS saw an access key used by somebody else",
    "AWS_RISK_CREDENTIALS_COMPROMISE_SUSPECTED": "AWS suspects that an access key is used by somebody else",
    "AWS_RISK_IAM_QUARANTINE": "AWS put an IAM user under quarantine",
    "AWS_ABUSE_DOS_REPORT": "Denial of service from this account was reported to AWS",
}
RULES: tuple[tuple[re.Pattern[str], int, tuple[str, ...]], ...] = (
    (re.compile(r"AWS_RISK_CREDENTIALS_(EXPOSED|EXPOSURE)"), Band.CRITICAL.severity, ("T1552.001",)),
    (re.compile(r"AWS_RISK_CREDENTIALS"), Band.CRITICAL.severity, ("T1078.004",)),
    (re.compile(r"AWS_RISK_IAM_QUARANTINE"), Band.CRITICAL.severity, ("T1078.004",)),
    (re.compile(r"AWS_RISK_"), Band.HIGH.severity, ()),
    (re.compile(r"AWS_ABUSE_.*(COPYRIGHT|DMCA|TRADEMARK|CONTENT)"), Band.LOW.severity, ()),
    (re.compile(r"AWS_ABUSE_.*(DOS|DDOS)"), Band.HIGH.severity, ("T1498",)),
    (re.compile(r"AWS_ABUSE_"), Band.HIGH.severity, ()),
    (re.compile(r"AWS_S3_OPEN_ACCESS"), Band.MEDIUM.severity, ("T1530",)),
    (re.compile(r"AWS_([A-Z0-9]+_)*SECURITY_"), Band.MEDIUM.severity, ()),
)
"""Severity and techniques of each type of event, by the first that fits; a type that fits none passes."""


def matches(document: JSON) -> bool:
    """Whether this is surely an event of AWS Health in its envelope."""
    if text(document, "source") != SENDER or not isinstance(at(document, "detail"), dict):
        return False
    return text(document, "detail-type") in (EVENT, ABUSE)


def parse(document: JSON) -> Iterator[AlertDraft]:
    """The draft of an event about security; none of other events. `Unreadable` without what makes it one."""
    if not matches(document) or not isinstance(document, dict):
        raise Unreadable(f"not {WHAT}")
    detail = document["detail"]
    code = _demanded(detail, "eventTypeCode", most=200)
    judged = _judged(code, is_abuse=text(document, "detail-type") == ABUSE)
    if judged is None or text(detail, "eventScopeCode") == "PUBLIC":
        return
    severity, techniques = judged
    account, region = speaks_for(document)
    if not account:
        raise Unreadable(f"{WHAT} has the account that it is about", "/detail/affectedAccount")
    arn = _demanded(detail, "eventArn")
    told = time_or_none(document, "time")
    begun, updated = _moment(detail, "startTime"), _moment(detail, "lastUpdatedTime") or told
    resources = tuple(_resources(document))
    yield AlertDraft(
        source=ID,
        external_id=relays.fitted(f"{account}/{arn}"),
        finding=(ID, account, arn),
        fingerprint=(ID, account, code, *(one.id for one in resources[:1])),
        title=TITLES.get(code) or _worded(code),
        summary=_description(detail),
        severity=severity,
        type=code,
        account=account,
        region=region,
        resources=resources,
        observables=traces.once(_observables(detail)),
        techniques=techniques,
        tags=("abuse",) if _is_abuse(code) else (),
        labels=_labels(detail),
        first_seen_at=begun,
        last_seen_at=updated or begun,
        detected_at=begun or told,
        updated_at=updated,
        is_resolved=text(detail, "statusCode") == "closed",
        raw=document,
    )


def speaks_for(document: JSON) -> tuple[str, str]:
    """The account and region that an event is about; no region for what is everywhere."""
    accounts = (text(document, "detail", "affectedAccount"), text(document, "account"))
    regions = (text(document, "detail", "eventRegion") or text(document, "region"),)
    return (
        next((one for one in accounts if traces.ACCOUNT.fullmatch(one)), ""),
        next((one for one in regions if traces.REGION.fullmatch(one)), ""),
    )


def _judged(code: str, *, is_abuse: bool) -> tuple[int, tuple[str, ...]] | None:
    """Severity and techniques of an event that is about security; None for all others."""
    for pattern, severity, techniques in RULES:
        if pattern.match(code):
            return severity, techniques
    return (Band.HIGH.severity, ()) if is_abuse else None


def _is_abuse(code: str) -> bool:
    return code.startswith("AWS_ABUSE_")


def _worded(code: str) -> str:
    words = code.removeprefix("AWS_").replace("_", " ").lower()
    return f"AWS Health: {words}"[:500]


def _description(detail: JSON) -> str:
    """What AWS wrote, in English where there is a choice."""
    said = [
        (text(one, "language"), text(one, "latestDescription", most=20_000))
        for one in objects(detail, "eventDescription", most=20)
    ]
    english = next((words for language, words in said if language.lower().startswith("en") and words), "")
    return english or next((words for _, words in said if words), "")


def _entities(detail: JSON) -> Iterator[str]:
    for one in objects(detail, "affectedEntities", most=MOST_ENTITIES):
        if value := text(one, "entityValue", most=1800):
            yield value


def _resources(document: JSON) -> Iterator[Resource]:
    """What AWS names as affected, each once. A name that could be anything is kept as an `entity`."""
    named = at(document, "resources")
    listed = [one for one in named if isinstance(one, str)][:MOST_ENTITIES] if isinstance(named, list) else []
    seen: set[tuple[str, str]] = set()
    for value in (*_entities(at(document, "detail")), *(one.strip()[:1800] for one in listed)):
        if not value or traces.kind_of(value) or traces.ACCOUNT.fullmatch(value):
            continue
        known = traces.resource_of(value) or Resource(type="entity", id=value[:500])
        if (known.type, known.id) not in seen:
            seen.add((known.type, known.id))
            yield Resource(type=known.type, id=known.id, arn=known.arn, role="target")


def _observables(detail: JSON) -> Iterator[Observable]:
    """Addresses and sites among the entities, and whatever the notice names beside them."""
    for value in (*_entities(detail), *(value for _, value in traces.leaves(at(detail, "eventMetadata")))):
        if kind := traces.kind_of(value):
            yield Observable(kind=kind, value=value)


def _labels(detail: JSON) -> tuple[tuple[str, str], ...]:
    """The tags of the entities, as AWS tells them."""
    found: dict[str, str] = {}
    for one in objects(detail, "affectedEntities", most=MOST_ENTITIES):
        tags = at(one, "tags")
        for name, value in tags.items() if isinstance(tags, dict) else ():
            if isinstance(value, str) and len(found) < 100:
                found.setdefault(name[:128], value[:256])
    return tuple(found.items())


def _moment(detail: JSON, name: str) -> datetime | None:
    """A time as Health spells it (`Fri, 27 Jan 2023 06:02:51 GMT`), or in ISO 8601."""
    spelled = text(detail, name, most=60)
    if not spelled or spelled[:1].isdigit():
        return time_or_none(detail, name)
    try:
        found = parsedate_to_datetime(spelled)
        found = (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        return None
    return found if EARLIEST <= found < LATEST else None


def _demanded(detail: JSON, name: str, *, most: int = 2000) -> str:
    try:
        return relays.demanded(detail, name, what=WHAT, most=most)
    except Unreadable as failure:
        raise Unreadable(failure.reason, f"/detail{failure.pointer}") from failure
