"""Amazon Macie findings, of sensitive data and of policy, as events and from its API (the same shape).

https://docs.aws.amazon.com/macie/latest/user/findings-publish-event-schemas.html
https://docs.aws.amazon.com/macie/latest/APIReference/findings-describe.html
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from cases.decoding import JSON, Unreadable
from cases.sources import assets, relays
from cases.sources import guardduty_resources as things
from cases.sources.countries import code_of
from cases.sources.reading import at, lowered, objects, pairs, text, time, time_or_none
from cases.sources.types import AlertDraft, Observable, Place, Resource

ID = "macie"

WHAT = "a Macie finding"
SCORES = {1: 20, 2: 50, 3: 80}


def matches(document: JSON) -> bool:
    """Whether this is surely a finding of Macie."""
    finding = lowered(document)
    if not isinstance(finding, dict) or not {"resourcesAffected", "category", "id"} <= finding.keys():
        return False
    return text(finding, "category") in ("CLASSIFICATION", "POLICY")


def parse(document: JSON) -> Iterator[AlertDraft]:
    """The one draft of a finding. Raises `Unreadable` when what makes it one is missing."""
    finding = lowered(document)
    if not isinstance(finding, dict):
        raise Unreadable(f"not {WHAT}")
    uid = relays.fitted(relays.demanded(finding, "id", what=WHAT))
    kind = relays.demanded(finding, "type", what=WHAT, most=200)
    account = relays.account_at(finding, "accountId", what=WHAT)
    region = relays.region_at(finding, "region")
    created = _created(finding)
    updated = time_or_none(finding, "updatedAt") or created
    call = at(finding, "policyDetails", "action", "apiCallDetails")
    resources = _resources(finding)
    yield AlertDraft(
        source=ID,
        external_id=uid,
        finding=(ID, account, uid),
        fingerprint=(ID, account, region, kind, resources[0].id if resources else ""),
        title=text(finding, "title", most=500) or kind,
        summary=text(finding, "description", most=20_000),
        severity=_severity(finding),
        type=kind,
        account=account,
        region=region,
        resources=resources,
        observables=_observables(finding),
        techniques=("T1530",) if kind.startswith("SensitiveData:") else (),
        tags=("data",) if text(finding, "category") == "CLASSIFICATION" else ("posture",),
        labels=_labels(finding),
        places=_places(finding),
        first_seen_at=time_or_none(call, "firstSeen"),
        last_seen_at=time_or_none(call, "lastSeen") or updated,
        detected_at=created,
        updated_at=updated,
        occurrences=_count(finding),
        is_sample=at(finding, "sample") is True,
        is_archived=at(finding, "archived") is True,
        raw=document,
    )


def _created(finding: JSON) -> datetime:
    try:
        return time(at(finding, "createdAt"))
    except Unreadable as failure:
        raise Unreadable(f"createdAt: {failure.reason}", "/createdAt") from failure


def _severity(finding: JSON) -> int:
    word = relays.severity_of_word(text(finding, "severity", "description"))
    score = at(finding, "severity", "score")
    number = SCORES.get(score) if isinstance(score, int) and not isinstance(score, bool) else None
    return next((one for one in (word, number) if one is not None), relays.DEFAULT_SEVERITY)


def _count(finding: JSON) -> int:
    found = at(finding, "count")
    return min(max(found, 1), 2**31 - 1) if isinstance(found, int) and not isinstance(found, bool) else 1


def _resources(finding: JSON) -> tuple[Resource, ...]:
    bucket = at(finding, "resourcesAffected", "s3Bucket")
    name, arn = text(bucket, "name"), text(bucket, "arn")
    found: list[Resource] = []
    if name or arn:
        found.append(Resource(type="bucket", id=name or arn.rsplit(":", 1)[-1], arn=arn, role="target"))
    thing = at(finding, "resourcesAffected", "s3Object")
    if key := text(thing, "key"):
        found.append(Resource(type="object", id=key, role="target"))
    who = at(finding, "policyDetails", "actor", "userIdentity")
    if user := text(who, "iamUser", "userName"):
        found.append(Resource(type="user", id=user, arn=text(who, "iamUser", "arn"), role="actor"))
    role = at(who, "assumedRole")
    if key := text(role, "accessKeyId"):
        found.append(things.credential(key, "actor"))
    issuer = text(role, "sessionContext", "sessionIssuer", "userName")
    found += things.principal("AssumedRole" if role else "", issuer, text(role, "principalId"), "actor")
    return assets.once(found)


def _labels(finding: JSON) -> tuple[tuple[str, str], ...]:
    affected = at(finding, "resourcesAffected")
    told = [*pairs(affected, "s3Bucket", "tags"), *pairs(affected, "s3Object", "tags")]
    return tuple(dict(reversed(told)).items())


def _observables(finding: JSON) -> tuple[Observable, ...]:
    actor = at(finding, "policyDetails", "actor")
    found = [
        Observable(kind="ip", value=text(actor, "ipAddressDetails", "ipAddressV4", most=45)),
        Observable(kind="domain", value=text(actor, "domainDetails", "domainName")),
    ]
    names = objects(finding, "classificationDetails", "result", "sensitiveData", most=50)
    kinds = [text(one, "type") for each in names for one in objects(each, "detections", most=50)]
    found += [Observable(kind="data_type", value=name) for name in kinds]
    return tuple(dict.fromkeys(one for one in found if one.value))[:200]


def _places(finding: JSON) -> tuple[Place, ...]:
    where = at(finding, "policyDetails", "actor", "ipAddressDetails")
    address, name = text(where, "ipAddressV4", most=45), text(where, "ipCountry", "name", most=80)
    if not address or not name:
        return ()
    return (
        Place(
            address=address,
            country=code_of(text(where, "ipCountry", "code"), name),
            country_name=name,
            city=text(where, "ipCity", "name", most=80),
            organization=text(where, "ipOwner", "org", most=120),
            asn=things.asn_of(at(where, "ipOwner", "asn")),
        ),
    )
