"""OCSF findings: Security Hub's `Findings Imported V2`, Prowler, and others in classes 2002 to 2006.

https://schema.ocsf.io/1.5.0/categories/findings
https://docs.aws.amazon.com/securityhub/latest/userguide/securityhub-v2-ocsf.html
Times are milliseconds since 1970 (Prowler: seconds), or text under the same name with `_dt`.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from cases.decoding import JSON, Unreadable
from cases.sources import assets, relays
from cases.sources import guardduty_resources as things
from cases.sources.attack import techniques_in, techniques_of
from cases.sources.countries import code_of
from cases.sources.reading import at, objects, pairs, text, texts, time_or_none
from cases.sources.types import AlertDraft, Observable, Place, Resource

ID = "ocsf"

WHAT = "an OCSF finding"
VULNERABILITY, COMPLIANCE, DETECTION, DATA = 2002, 2003, 2004, 2006
CLASSES = (VULNERABILITY, COMPLIANCE, DETECTION, DATA)
SEVERITIES = {1: 0, 2: 20, 3: 50, 4: 80, 5: 95, 6: 100}
CLOSE = 3
SUPPRESSED, RESOLVED, ARCHIVED = 3, 4, 5
OBSERVABLES = {1: "domain", 2: "ip", 5: "email", 6: "url"}
HASHES = {32: "md5", 40: "sha1", 64: "sha256", 128: "sha512"}
MOST = 200


def matches(document: JSON) -> bool:
    """Whether this is surely an OCSF finding of a class that is read."""
    return at(document, "class_uid") in CLASSES and isinstance(at(document, "finding_info"), dict)


def parse(document: JSON) -> Iterator[AlertDraft]:
    """The one draft of a finding. Raises `Unreadable` when what makes it one is missing."""
    if not isinstance(document, dict) or at(document, "class_uid") not in CLASSES:
        raise Unreadable("not an OCSF finding of class 2002, 2003, 2004 or 2006")
    uid = relays.demanded(document, "finding_info", "uid", what=WHAT)
    account = _account(document)
    region = relays.region_at(document, "cloud", "region", default=_region_of_resource(document))
    who = _identity(document, uid=uid, account=account, region=region)
    resources = _resources(document)
    kind = _kind(document)
    created = _moment(document, "created_time") or _moment_of(document, "time")
    updated = _moment(document, "modified_time") or _moment_of(document, "time") or created
    places = _places(document)
    yield AlertDraft(
        source=who.source,
        external_id=who.external_id,
        finding=who.finding,
        fingerprint=(who.source, account, region, kind, resources[0].id if resources else ""),
        title=text(document, "finding_info", "title", most=500)
        or text(document, "message", most=500)
        or kind
        or uid[:500],
        summary=text(document, "finding_info", "desc", most=20_000) or text(document, "message", most=20_000),
        severity=_severity(document),
        type=kind,
        account=account,
        region=region,
        resources=resources,
        observables=_observables(document),
        techniques=_techniques(document, kind, who),
        tags=_tags(document),
        labels=_labels(document),
        places=places,
        link=relays.https(text(document, "finding_info", "src_url", most=4000)),
        richness=relays.RELAYED if who.is_relayed else 100,
        first_seen_at=_moment(document, "first_seen_time"),
        last_seen_at=_moment(document, "last_seen_time") or updated,
        detected_at=created,
        updated_at=updated,
        occurrences=_count(document),
        is_sample=text(document, "finding_info", "title").startswith("[SAMPLE]"),
        is_archived=at(document, "status_id") in (SUPPRESSED, ARCHIVED),
        is_resolved=_is_resolved(document),
        raw=document,
    )


def _account(document: JSON) -> str:
    """The AWS account; empty for what is not about AWS."""
    provider = text(document, "cloud", "provider").lower()
    if not text(document, "cloud", "account", "uid") or provider not in ("aws", ""):
        return ""
    return relays.account_at(document, "cloud", "account", "uid", what=WHAT)


def _region_of_resource(document: JSON) -> str:
    found = [text(one, "region", most=30) for one in objects(document, "resources")]
    return next((one for one in found if relays.REGION.fullmatch(one)), "")


def _identity(document: JSON, *, uid: str, account: str, region: str) -> relays.Identity:
    """Whose it is. Of others than AWS the id counts together with the check, as some number by check only."""
    arn = text(document, "metadata", "product", "uid")
    product = relays.product_of(arn) or text(document, "metadata", "product", "name", most=200)
    if relays.PRODUCT.fullmatch(arn):
        return relays.identity(product=product, uid=uid, account=account, region=region)
    check = text(document, "metadata", "event_code", most=200)
    named = uid if check in uid else f"{check}/{uid}"
    return relays.identity(product=f"ocsf/{product}", uid=named, account=account, region=region, home=ID)


def _kind(document: JSON) -> str:
    kinds = texts(document, "finding_info", "types")
    return (kinds[0] if kinds else text(document, "metadata", "event_code"))[:200]


def _severity(document: JSON) -> int:
    found = at(document, "severity_id")
    if isinstance(found, int) and not isinstance(found, bool) and found in SEVERITIES:
        return SEVERITIES[found]
    word = relays.severity_of_word(text(document, "severity"))
    return relays.DEFAULT_SEVERITY if word is None else word


def _moment(document: JSON, name: str) -> datetime | None:
    return _moment_of(at(document, "finding_info"), name)


def _moment_of(value: JSON, name: str) -> datetime | None:
    return time_or_none(value, f"{name}_dt") or time_or_none(value, name)


def _count(document: JSON) -> int:
    found = at(document, "count")
    if isinstance(found, bool) or not isinstance(found, int):
        return 1
    return min(max(found, 1), 2**31 - 1)


def _is_resolved(document: JSON) -> bool:
    if at(document, "activity_id") == CLOSE or at(document, "status_id") == RESOLVED:
        return True
    return text(document, "status_code").upper() == "PASS" or _compliance(document) in ("pass", "passed")


def _compliance(document: JSON) -> str:
    return text(document, "compliance", "status", most=40).lower()


def _tags(document: JSON) -> tuple[str, ...]:
    found: list[str] = []
    product = text(document, "metadata", "product", "name").lower()
    if at(document, "class_uid") == COMPLIANCE or product == "prowler":
        control = text(document, "compliance", "control", most=80) or text(
            document, "metadata", "event_code", most=80
        )
        status = _compliance(document) or text(document, "status_code", most=40).lower()
        found += [
            "posture",
            f"control:{control}" if control else "",
            f"compliance:{status}" if status else "",
        ]
    if at(document, "class_uid") == VULNERABILITY:
        found.append("vulnerability")
    if at(document, "class_uid") == DATA:
        found.append("data")
    return tuple(one for one in found if one)


def _resources(document: JSON) -> tuple[Resource, ...]:
    roles = [text(one, "data", "resource_role", most=40).lower() for one in objects(document, "evidences")]
    told = next((role for role in roles if role), "")
    found: list[Resource] = []
    for one in objects(document, "resources"):
        role = {"Target": "target", "Actor": "actor"}.get(text(one, "role"), told)
        uid = text(one, "uid") or text(one, "name")
        found += assets.resource(text(one, "type", most=200) or "Other", uid, role=role)
        data = at(one, "data")
        found += things.principal(
            text(data, "user_type"), text(data, "user_name"), text(data, "principal_id"), role
        )
    return assets.once(found)


def _labels(document: JSON) -> tuple[tuple[str, str], ...]:
    told = [pair for one in objects(document, "resources") for pair in pairs(one, "tags")]
    return tuple(dict(reversed(told)).items())[:MOST]


def _techniques(document: JSON, kind: str, who: relays.Identity) -> tuple[str, ...]:
    found = list(techniques_of(kind)) if who.source == "guardduty" else []
    for attack in objects(document, "finding_info", "attacks"):
        for name in ("sub_technique", "technique"):
            if told := techniques_in(text(attack, name, "uid")):
                found += told
                break
    return tuple(dict.fromkeys(found))[:50]


def _endpoints(document: JSON) -> Iterator[JSON]:
    for one in objects(document, "evidences"):
        yield at(one, "src_endpoint")
        yield at(one, "dst_endpoint")


def _observables(document: JSON) -> tuple[Observable, ...]:
    found = [Observable(kind="ip", value=text(one, "ip", most=45)) for one in _endpoints(document)]
    for one in objects(document, "evidences"):
        found.append(Observable(kind="domain", value=text(one, "query", "hostname")))
        found.append(Observable(kind="url", value=text(one, "url", "url_string")))
        hashes = [*objects(one, "file", "hashes"), *objects(one, "process", "file", "hashes")]
        found += [_hash(text(each, "value")) for each in hashes]
    for one in objects(document, "observables"):
        kind, value = at(one, "type_id"), text(one, "value")
        if kind == 8:
            found.append(_hash(value))
        elif isinstance(kind, int) and kind in OBSERVABLES:
            found.append(Observable(kind=OBSERVABLES[kind], value=value))
    for one in objects(document, "vulnerabilities"):
        found.append(Observable(kind="cve", value=text(one, "cve", "uid")))
    return tuple(dict.fromkeys(one for one in found if one.value))[:MOST]


def _hash(value: str) -> Observable:
    return Observable(kind=HASHES.get(len(value), "hash"), value=value)


def _places(document: JSON) -> tuple[Place, ...]:
    found: list[Place] = []
    for one in _endpoints(document):
        told = text(one, "location", "country", most=80)
        network = at(one, "autonomous_system")
        found.append(
            Place(
                address=text(one, "ip", most=45),
                country=code_of(told, told),
                country_name="" if len(told) == 2 else told,
                city=text(one, "location", "city", most=80),
                organization=text(network, "name", most=120),
                asn=things.asn_of(at(network, "number")),
            )
        )
    known = [one for one in found if one.address and (one.country or one.country_name or one.organization)]
    return tuple(dict.fromkeys(known))[:MOST]
