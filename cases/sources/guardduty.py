"""Amazon GuardDuty findings: as events, as S3 exports, and as `GetFindings` answers.

Events and exports spell keys in lowerCamel, the API through boto3 in PascalCase; both are read.
https://docs.aws.amazon.com/guardduty/latest/ug/guardduty_finding-format.html
https://docs.aws.amazon.com/guardduty/latest/APIReference/API_Finding.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal

from cases.decoding import JSON, Unreadable
from cases.sources import guardduty_resources as things
from cases.sources.attack import techniques_in, techniques_of
from cases.sources.reading import at, lowered, objects, text, texts, time, time_or_none
from cases.sources.types import AlertDraft

ID = "guardduty"

ACCOUNT = re.compile(r"\d{12}")
REGION = re.compile(r"[a-z0-9-]{1,30}")
ARN = re.compile(r"arn:[a-z0-9-]+:guardduty:[^:]*:[^:]*:detector/.+/finding/.+")


def matches(document: JSON) -> bool:
    """Whether this is surely a finding of GuardDuty."""
    finding = lowered(document)
    if not (text(finding, "id") and text(finding, "type") and "severity" in _keys(finding)):
        return False
    return text(finding, "service", "serviceName") == "guardduty" or bool(ARN.fullmatch(text(finding, "arn")))


def parse(document: JSON) -> Iterator[AlertDraft]:
    """The one draft of a finding. Raises `Unreadable` when what makes it a finding is missing."""
    finding = lowered(document)
    if not isinstance(finding, dict):
        raise Unreadable("not a GuardDuty finding")
    spelled = "Id" in _keys(document)  # PascalCase; pointers name keys as they were sent
    identity = _demanded(finding, "id", spelled, most=300)
    kind = _demanded(finding, "type", spelled, most=200)
    account = _demanded(finding, "accountId", spelled, most=40)
    if not ACCOUNT.fullmatch(account):
        raise Unreadable("not an AWS account id", _pointer("accountId", spelled))
    region = _demanded(finding, "region", spelled, most=100)
    if not REGION.fullmatch(region):
        raise Unreadable("not the name of an AWS region", _pointer("region", spelled))
    created = _created(finding, spelled)
    updated = time_or_none(finding, "updatedAt") or created
    resources = things.resources_of(finding, account=account, region=region)
    observables = things.observables_of(finding)
    main = resources[0].id if resources else ""
    yield AlertDraft(
        source=ID,
        external_id=identity,
        finding=(ID, account, identity),
        fingerprint=(ID, account, region, kind, main),
        title=text(finding, "title", most=500) or kind,
        summary=text(finding, "description", most=20_000),
        severity=_severity(finding, spelled),
        type=kind,
        account=account,
        region=region,
        resources=resources,
        observables=observables,
        techniques=_techniques(finding, kind),
        labels=things.labels_of(finding),
        places=things.places_of(finding),
        first_seen_at=_first_seen(finding),
        last_seen_at=_last_seen(finding) or updated,
        detected_at=created,
        updated_at=updated,
        occurrences=_count(finding),
        is_sample=_is_sample(finding),
        is_archived=at(finding, "service", "archived") is True,
        raw=document,
    )


def _keys(value: JSON) -> set[str]:
    return set(value) if isinstance(value, dict) else set()


def _pointer(name: str, is_pascal: bool) -> str:
    return f"/{name[0].upper()}{name[1:]}" if is_pascal else f"/{name}"


def _demanded(finding: JSON, name: str, is_pascal: bool, *, most: int) -> str:
    found = at(finding, name)
    if not isinstance(found, str) or not found.strip():
        raise Unreadable(f"a GuardDuty finding has {name}", _pointer(name, is_pascal))
    if len(found.strip()) > most:
        raise Unreadable(f"longer than {most} characters", _pointer(name, is_pascal))
    return found.strip()


def _created(finding: JSON, is_pascal: bool) -> datetime:
    try:
        return time(at(finding, "createdAt"))
    except Unreadable as failure:
        raise Unreadable(f"createdAt: {failure.reason}", _pointer("createdAt", is_pascal)) from failure


def _severity(finding: JSON, is_pascal: bool) -> int:
    """0 to 100 from GuardDuty's 0.0 to 10.0: its value by ten, half up (8.95 is 90)."""
    found = at(finding, "severity")
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise Unreadable("a GuardDuty finding has a number as severity", _pointer("severity", is_pascal))
    if not 0 <= found <= 10:
        raise Unreadable("a severity outside 0 to 10", _pointer("severity", is_pascal))
    return int((Decimal(str(found)) * 10).quantize(Decimal(1), rounding=ROUND_HALF_UP))


def _count(finding: JSON) -> int:
    found = at(finding, "service", "count")
    if isinstance(found, bool) or not isinstance(found, int):
        return 1
    return min(max(found, 1), 2**31 - 1)


def _is_sample(finding: JSON) -> bool:
    """Findings made by "Generate sample findings": marked, as a flag or inside a text that holds JSON."""
    more = at(finding, "service", "additionalInfo")
    if at(more, "sample") in (True, "true") or text(finding, "title").startswith("[SAMPLE]"):
        return True
    try:
        inner = json.loads(text(more, "value", most=100_000) or "{}")
    except (ValueError, RecursionError):
        return False
    return at(inner, "sample") in (True, "true")


def _first_seen(finding: JSON) -> datetime | None:
    signals = [time_or_none(signal, "firstSeenAt") for signal in _signals(finding)]
    seen = [moment for moment in (time_or_none(finding, "service", "eventFirstSeen"), *signals) if moment]
    return min(seen, default=None)


def _last_seen(finding: JSON) -> datetime | None:
    signals = [time_or_none(signal, "lastSeenAt") for signal in _signals(finding)]
    seen = [moment for moment in (time_or_none(finding, "service", "eventLastSeen"), *signals) if moment]
    return max(seen, default=None)


def _signals(finding: JSON) -> Iterator[dict[str, JSON]]:
    return objects(finding, "service", "detection", "sequence", "signals")


def _techniques(finding: JSON, kind: str) -> tuple[str, ...]:
    """Our table's for the type, and those that an attack sequence names itself."""
    sequence = at(finding, "service", "detection", "sequence")
    named: list[str] = []
    for indicator in objects(sequence, "sequenceIndicators"):
        if text(indicator, "key") == "ATTACK_TECHNIQUE":
            named += [technique for value in texts(indicator, "values") for technique in techniques_in(value)]
    if kind.startswith("AttackSequence:"):
        named += techniques_in(text(finding, "description", most=20_000))
    return tuple(dict.fromkeys([*techniques_of(kind), *named]))[:50]
