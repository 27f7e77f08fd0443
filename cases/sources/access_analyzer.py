"""IAM Access Analyzer findings: external, internal and unused access, as events and from its API.

https://docs.aws.amazon.com/IAM/latest/UserGuide/access-analyzer-eventbridge.html
https://docs.aws.amazon.com/access-analyzer/latest/APIReference/API_FindingSummaryV2.html
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from cases.decoding import JSON, Unreadable
from cases.sources import assets, relays
from cases.sources.reading import at, lowered, text, texts, time, time_or_none
from cases.sources.types import AlertDraft, Observable

ID = "access_analyzer"

WHAT = "a finding of Access Analyzer"
UNUSED = ("UnusedPermission", "UnusedIAMRole", "UnusedIAMUserAccessKey", "UnusedIAMUserPassword")
PUBLIC, EXTERNAL, OTHER = 80, 50, 20
"""Severities in our own judgement, as Access Analyzer tells none: open to all, to others, and the rest."""


def matches(document: JSON) -> bool:
    """Whether this is surely one: an id, a resource with its type, and when it was analysed."""
    finding = lowered(document)
    named = isinstance(finding, dict) and {"resourceType", "analyzedAt", "status"} <= finding.keys()
    return named and bool(text(finding, "id") or text(finding, "findingId"))


def parse(document: JSON) -> Iterator[AlertDraft]:
    """The one draft of a finding. Raises `Unreadable` when what makes it one is missing."""
    finding = lowered(document)
    if not isinstance(finding, dict):
        raise Unreadable(f"not {WHAT}")
    uid = text(finding, "id") or relays.demanded(finding, "findingId", what=WHAT)
    owner = "accountId" if "accountId" in finding else "resourceOwnerAccount"
    account = relays.account_at(finding, owner, what=WHAT)
    arn = text(finding, "resource")
    region = relays.region_at(finding, "region", default=_region_in(arn))
    kind = text(finding, "findingType", most=200) or "ExternalAccess"
    resources = assets.once(assets.resource(text(finding, "resourceType", most=200), arn, role="target"))
    created = _created(finding)
    updated = time_or_none(finding, "updatedAt") or created
    yield AlertDraft(
        source=ID,
        external_id=relays.fitted(uid),
        finding=(ID, account, relays.fitted(uid)),
        fingerprint=(ID, account, region, kind, arn),
        title=_title(finding, kind, arn),
        summary=_summary(finding),
        severity=_severity(finding, kind),
        type=kind,
        account=account,
        region=region,
        resources=resources,
        observables=_outsiders(finding, account),
        tags=("posture",),
        first_seen_at=created,
        last_seen_at=updated,
        detected_at=created,
        updated_at=updated,
        is_archived=text(finding, "status").upper() == "ARCHIVED",
        is_resolved=text(finding, "status").upper() == "RESOLVED" or at(finding, "isDeleted") is True,
        raw=document,
    )


def _created(finding: JSON) -> datetime:
    try:
        return time(at(finding, "createdAt"))
    except Unreadable as failure:
        raise Unreadable(f"createdAt: {failure.reason}", "/createdAt") from failure


def _region_in(arn: str) -> str:
    parts = arn.split(":")
    return parts[3] if len(parts) > 5 and relays.REGION.fullmatch(parts[3]) else ""


def _severity(finding: JSON, kind: str) -> int:
    if kind in UNUSED:
        return OTHER
    return PUBLIC if at(finding, "isPublic") is True else EXTERNAL


def _title(finding: JSON, kind: str, arn: str) -> str:
    if kind in UNUSED:
        return f"Unused access: {arn}"[:500]
    if at(finding, "isPublic") is True:
        return f"Open to everyone: {arn}"[:500]
    return f"{'Internal' if kind == 'InternalAccess' else 'External'} access: {arn}"[:500]


def _summary(finding: JSON) -> str:
    actions = ", ".join(texts(finding, "action", most=100))
    return "\n".join(filter(None, [f"Actions: {actions}" if actions else "", text(finding, "error")]))[
        :20_000
    ]


def _outsiders(finding: JSON, account: str) -> tuple[Observable, ...]:
    """Accounts of others that are let in."""
    principal = at(finding, "principal")
    told = (
        [one for name in principal for one in texts(principal, name)] if isinstance(principal, dict) else []
    )
    parts = [one.split(":")[4] if one.startswith("arn:") and one.count(":") > 4 else one for one in told]
    others = [one for one in parts if relays.ACCOUNT.fullmatch(one) and one != account]
    return tuple(Observable(kind="account", value=one) for one in dict.fromkeys(others))[:50]
