"""Amazon Inspector findings: packages, open network paths and code, as events and from its API.

https://docs.aws.amazon.com/inspector/latest/user/eventbridge-integration.html
https://docs.aws.amazon.com/inspector/v2/APIReference/API_Finding.html
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from cases.decoding import JSON, Unreadable
from cases.sources import assets, relays
from cases.sources.reading import at, lowered, objects, pairs, text, texts, time, time_or_none
from cases.sources.types import AlertDraft, Observable, Resource

ID = "inspector"

WHAT = "an Inspector finding"


def matches(document: JSON) -> bool:
    """Whether this is surely a finding of Inspector."""
    return ":inspector2:" in text(lowered(document), "findingArn")


def parse(document: JSON) -> Iterator[AlertDraft]:
    """The one draft of a finding. Raises `Unreadable` when what makes it one is missing."""
    finding = lowered(document)
    if not isinstance(finding, dict):
        raise Unreadable(f"not {WHAT}")
    arn = relays.demanded(finding, "findingArn", what=WHAT)
    account = relays.account_at(finding, "awsAccountId", what=WHAT)
    kind = relays.demanded(finding, "type", what=WHAT, most=200)
    uid = relays.fitted(arn.rsplit("/", maxsplit=1)[-1])
    region = _region(finding, arn)
    first = _first(finding)
    updated = time_or_none(finding, "updatedAt") or time_or_none(finding, "lastObservedAt") or first
    resources = _resources(finding)
    yield AlertDraft(
        source=ID,
        external_id=uid,
        finding=(ID, account, uid),
        fingerprint=(ID, account, region, _subject(finding) or kind, resources[0].id if resources else ""),
        title=text(finding, "title", most=500) or kind,
        summary=text(finding, "description", most=20_000),
        severity=_severity(finding),
        type=kind,
        account=account,
        region=region,
        resources=resources,
        observables=_observables(finding),
        tags=(
            "vulnerability",
            *(("exploit-available",) if text(finding, "exploitAvailable") == "YES" else ()),
        ),
        labels=_labels(finding),
        first_seen_at=first,
        last_seen_at=time_or_none(finding, "lastObservedAt") or updated,
        detected_at=first,
        updated_at=updated,
        is_archived=text(finding, "status").upper() == "SUPPRESSED",
        is_resolved=text(finding, "status").upper() == "CLOSED",
        raw=document,
    )


def _region(finding: JSON, arn: str) -> str:
    parts = arn.split(":")
    if len(parts) > 4 and relays.REGION.fullmatch(parts[3]):
        return parts[3]
    found = [text(one, "region", most=30) for one in objects(finding, "resources")]
    return next((one for one in found if relays.REGION.fullmatch(one)), "")


def _first(finding: JSON) -> datetime:
    try:
        return time(at(finding, "firstObservedAt"))
    except Unreadable as failure:
        raise Unreadable(f"firstObservedAt: {failure.reason}", "/firstObservedAt") from failure


def _severity(finding: JSON) -> int:
    """The band that Inspector names; of what it has not weighed yet, the default."""
    word = relays.severity_of_word(text(finding, "severity"))
    return relays.DEFAULT_SEVERITY if word is None else word


def _subject(finding: JSON) -> str:
    """What was found: the vulnerability, the port, or the rule about code."""
    port = at(finding, "networkReachabilityDetails", "openPortRange")
    return (
        text(finding, "packageVulnerabilityDetails", "vulnerabilityId", most=200)
        or text(finding, "codeVulnerabilityDetails", "detectorId", most=200)
        or "-".join(filter(None, (text(port, "begin", most=10), text(port, "end", most=10))))
    )


def _resources(finding: JSON) -> tuple[Resource, ...]:
    found: list[Resource] = []
    for one in objects(finding, "resources"):
        found += assets.resource(text(one, "type", most=200), text(one, "id"), role="target")
        if arn := text(one, "details", "awsEc2Instance", "iamInstanceProfileArn"):
            found += assets.resource("AwsIamInstanceProfile", arn, role="target")
    return assets.once(found)


def _labels(finding: JSON) -> tuple[tuple[str, str], ...]:
    told = [pair for one in objects(finding, "resources") for pair in pairs(one, "tags")]
    return tuple(dict(reversed(told)).items())


def _observables(finding: JSON) -> tuple[Observable, ...]:
    details = at(finding, "packageVulnerabilityDetails")
    named = [text(details, "vulnerabilityId"), *texts(details, "relatedVulnerabilities", most=50)]
    found = [Observable(kind="cve", value=name) for name in named]
    found += [
        Observable(kind="cwe", value=name) for name in texts(finding, "codeVulnerabilityDetails", "cwes")
    ]
    return tuple(dict.fromkeys(one for one in found if one.value))[:200]
