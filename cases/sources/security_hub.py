"""AWS Security Hub findings in ASFF: bare, imported, by custom action, in `GetFindings` answers; insights.

https://docs.aws.amazon.com/securityhub/latest/userguide/securityhub-findings-format.html
https://docs.aws.amazon.com/securityhub/latest/userguide/securityhub-cwe-event-formats.html

A finding of GuardDuty, Macie, Inspector or Access Analyzer becomes the alert of that detector. Insight
results are an alert of their own, as a person asked for it with a custom action.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from ipaddress import ip_address

from cases.decoding import JSON, Unreadable
from cases.sources import assets, relays
from cases.sources import guardduty_resources as things
from cases.sources.attack import techniques_in, techniques_of
from cases.sources.reading import at, lowered, objects, pairs, text, texts, time, time_or_none
from cases.sources.types import AlertDraft, Observable, Place, Resource
from cases.words import Band

ID = "security_hub"

WHAT = "a Security Hub finding"
SCHEMA = "2018-10-08"
INSIGHT = "Security Hub Insight Results"
INDICATORS = {
    "IPV4_ADDRESS": "ip",
    "IPV6_ADDRESS": "ip",
    "DOMAIN": "domain",
    "URL": "url",
    "EMAIL_ADDRESS": "email",
    "HASH_MD5": "md5",
    "HASH_SHA1": "sha1",
    "HASH_SHA256": "sha256",
    "HASH_SHA512": "sha512",
}
TACTICS = {
    "Initial Access": "TA0001",
    "Execution": "TA0002",
    "Persistence": "TA0003",
    "Privilege Escalation": "TA0004",
    "Defense Evasion": "TA0005",
    "Credential Access": "TA0006",
    "Discovery": "TA0007",
    "Lateral Movement": "TA0008",
    "Collection": "TA0009",
    "Command and Control": "TA0011",
}
MOST = 200


def matches(document: JSON) -> bool:
    """Whether this is surely a finding in ASFF, or an event with the results of an insight."""
    if not isinstance(document, dict):
        return False
    if text(document, "detail-type") == INSIGHT:
        return text(document, "source") == "aws.securityhub"
    return {"ProductArn", "AwsAccountId", "Id", "Resources"} <= document.keys()


def parse(document: JSON) -> Iterator[AlertDraft]:
    """The one draft of a finding or insight. Raises `Unreadable` when what makes it one is missing."""
    if not isinstance(document, dict):
        raise Unreadable(f"not {WHAT}")
    if text(document, "detail-type") == INSIGHT:
        yield _insight(document)
        return
    if isinstance(document.get("findings"), list):
        raise Unreadable("a list of findings within a finding", "/findings")
    yield _finding(document)


def _finding(document: dict[str, JSON]) -> AlertDraft:
    uid = relays.demanded(document, "Id", what=WHAT)
    arn = relays.demanded(document, "ProductArn", what=WHAT)
    account = relays.account_at(document, "AwsAccountId", what=WHAT)
    region = relays.region_at(document, "Region", default=relays.region_of_product(arn))
    title = relays.demanded(document, "Title", what=WHAT, most=100_000)[:500]
    created = _created(document)
    updated = time_or_none(document, "UpdatedAt") or created
    link = relays.https(text(document, "SourceUrl", most=4000))
    who = relays.identity(product=relays.product_of(arn), uid=uid, account=account, region=region, link=link)
    resources = _resources(document)
    kind = _kind(document, who)
    places, remote = _remote(document)
    return AlertDraft(
        source=who.source,
        external_id=who.external_id,
        finding=who.finding,
        fingerprint=(who.source, account, region, kind, resources[0].id if resources else ""),
        title=title,
        summary=text(document, "Description", most=20_000),
        severity=_severity(document, who),
        type=kind,
        account=account,
        region=region,
        resources=resources,
        observables=tuple(dict.fromkeys(one for one in [*remote, *_indicators(document)] if one.value))[
            :MOST
        ],
        techniques=_techniques(document, kind, who),
        tags=_tags(document),
        labels=_labels(document),
        places=places,
        link=link,
        richness=relays.RELAYED if who.is_relayed else 100,
        first_seen_at=time_or_none(document, "FirstObservedAt"),
        last_seen_at=time_or_none(document, "LastObservedAt") or updated,
        detected_at=created,
        updated_at=updated,
        occurrences=_count(document),
        is_sample=at(document, "Sample") is True or title.startswith("[SAMPLE]"),
        is_archived=_is_archived(document),
        is_resolved=text(document, "Workflow", "Status") == "RESOLVED"
        or text(document, "Compliance", "Status") == "PASSED",
        raw=document,
    )


def _created(document: JSON) -> datetime:
    try:
        return time(at(document, "CreatedAt"))
    except Unreadable as failure:
        raise Unreadable(f"CreatedAt: {failure.reason}", "/CreatedAt") from failure


def _kind(document: JSON, who: relays.Identity) -> str:
    kinds = texts(document, "Types") or texts(document, "FindingProviderFields", "Types")
    if not kinds:
        return ""
    return relays.type_of_asff(kinds[0]) if who.source == "guardduty" else kinds[0][:200]


def _severity(document: JSON, who: relays.Identity) -> int:
    """0 to 100: GuardDuty's own by ten; else the normalised number, unless the label says another band."""
    said = at(document, "Severity") or at(document, "FindingProviderFields", "Severity")
    product = _number(said, "Product")
    if who.source == "guardduty" and product is not None and 0 < product <= 10:
        return int((product * 10).quantize(Decimal(1), rounding=ROUND_HALF_UP))
    label = relays.severity_of_word(text(said, "Label"))
    number = _number(said, "Normalized")
    if number is None or not 0 <= number <= 100:
        number = product if label is None and product is not None and 0 <= product <= 100 else None
    if number is None:
        return relays.DEFAULT_SEVERITY if label is None else label
    told = int(number)
    return told if label is None or Band.of(told) == Band.of(label) else label


def _number(value: JSON, name: str) -> Decimal | None:
    found = at(value, name)
    if isinstance(found, bool) or not isinstance(found, int | float):
        return None
    return Decimal(str(found))


def _count(document: JSON) -> int:
    told = text(at(document, "ProductFields"), "aws/guardduty/service/count", most=10)
    return min(max(int(told), 1), 2**31 - 1) if told.isascii() and told.isdigit() else 1


def _is_archived(document: JSON) -> bool:
    if text(document, "Workflow", "Status") == "SUPPRESSED" or text(document, "RecordState") == "ARCHIVED":
        return True
    return text(at(document, "ProductFields"), "aws/guardduty/service/archived") == "true"


def _resources(document: JSON) -> tuple[Resource, ...]:
    told = text(at(document, "ProductFields"), "aws/guardduty/service/resourceRole").lower()
    found: list[Resource] = []
    for one in objects(document, "Resources"):
        role = text(one, "ResourceRole", most=40).lower() or told[:40]
        found += assets.resource(text(one, "Type", most=200), text(one, "Id"), role=role)
        details = at(one, "Details")
        if arn := text(details, "AwsEc2Instance", "IamInstanceProfileArn"):
            found += assets.resource("AwsIamInstanceProfile", arn, role=role)
        key = at(details, "AwsIamAccessKey")
        name = text(key, "PrincipalName") or text(key, "UserName")
        if not name:
            name = text(key, "SessionContext", "SessionIssuer", "UserName")
        found += things.principal(text(key, "PrincipalType"), name, text(key, "PrincipalId"), role)
    return assets.once(found)


def _labels(document: JSON) -> tuple[tuple[str, str], ...]:
    told = [pair for one in objects(document, "Resources") for pair in pairs(one, "Tags")]
    return tuple(dict(reversed(told)).items())[:MOST]


def _tags(document: JSON) -> tuple[str, ...]:
    """A finding about compliance is marked as posture, with its control and result."""
    compliance = at(document, "Compliance")
    if not isinstance(compliance, dict):
        return ()
    fields = at(document, "ProductFields")
    control = (text(compliance, "SecurityControlId") or text(fields, "ControlId") or text(fields, "RuleId"))[
        :80
    ]
    status = text(compliance, "Status", most=40).lower()
    named = [f"control:{control}"] if control else []
    return ("posture", *named, *([f"compliance:{status}"] if status else []))


def _techniques(document: JSON, kind: str, who: relays.Identity) -> tuple[str, ...]:
    if who.source == "guardduty":
        return techniques_of(kind)
    found: list[str] = []
    for one in texts(document, "Types"):
        parts = one.split("/")
        if parts[0] == "TTPs" and len(parts) > 1 and parts[1] in TACTICS:
            found.append(TACTICS[parts[1]])
        found += techniques_in(one)
    return tuple(dict.fromkeys(found))[:50]


def _remote(document: JSON) -> tuple[tuple[Place, ...], list[Observable]]:
    """Who is at the other end: of the action, or as GuardDuty's own fields tell it flatly."""
    finding: JSON = {"service": {"action": lowered(at(document, "Action"))}}
    fields = at(document, "ProductFields")
    flat: dict[str, dict[str, str]] = {}
    for name, value in fields.items() if isinstance(fields, dict) else ():
        head, found, tail = name.partition("/remoteIpDetails/")
        if found and isinstance(value, str) and value.strip():
            flat.setdefault(head, {})[tail] = value.strip()
    told = [things.place(_nested(one)) for one in list(flat.values())[:MOST]]
    places = dict.fromkeys([*things.places_of(finding), *(one for one in told if one.address)])
    known = {(one.address, one.country): one for one in reversed(list(places))}
    addresses = [Observable(kind="ip", value=one.address) for one in told]
    return tuple(reversed(known.values()))[:MOST], [*things.observables_of(finding), *addresses]


def _nested(flat: dict[str, str]) -> JSON:
    """`country/countryName` and the like as objects."""
    found: dict[str, JSON] = {}
    for name, value in flat.items():
        head, is_deeper, tail = name.partition("/")
        if not is_deeper:
            found[head] = value
            continue
        inner = found.setdefault(head, {})
        if isinstance(inner, dict):
            inner[tail] = value
    return found


def _indicators(document: JSON) -> Iterator[Observable]:
    network = at(document, "Network")
    for name in ("SourceIpV4", "SourceIpV6", "DestinationIpV4", "DestinationIpV6"):
        address = text(network, name, most=45)
        if _is_public(address):
            yield Observable(kind="ip", value=address)
    for name in ("SourceDomain", "DestinationDomain"):
        yield Observable(kind="domain", value=text(network, name))
    for one in objects(document, "ThreatIntelIndicators"):
        if kind := INDICATORS.get(text(one, "Type")):
            yield Observable(kind=kind, value=text(one, "Value"))
    for one in objects(document, "Malware"):
        yield Observable(kind="threat", value=text(one, "Name"))
    for one in objects(document, "Vulnerabilities"):
        yield Observable(kind="cve", value=text(one, "Id"))
    yield Observable(kind="process", value=text(document, "Process", "Path"))


def _is_public(address: str) -> bool:
    try:
        return not ip_address(address).is_private
    except ValueError:
        return False


def _insight(document: dict[str, JSON]) -> AlertDraft:
    """One alert per insight: again by the same person's click it is the same, with what it holds now."""
    detail = at(document, "detail")
    if not isinstance(detail, dict):
        raise Unreadable("an event about an insight has its results", "/detail")
    arn = relays.demanded(detail, "insightArn", what="an insight")
    account = relays.account_at(document, "account", what="an event")
    region = relays.region_at(document, "region")
    moment = time_or_none(document, "time")
    kind = text(detail, "resultType", most=100)
    rows = [
        (name, value) for one in objects(detail, "insightResults", most=100) for name, value in one.items()
    ]
    resources = [thing for name, _ in rows for thing in _of_result(kind, name[:500])]
    return AlertDraft(
        source=ID,
        external_id=relays.fitted(f"{account}/{region}/{arn}"),
        finding=(ID, "insight", account, region, arn),
        fingerprint=(ID, account, region, arn),
        title=f"Security Hub insight: {text(detail, 'insightName', most=400) or arn}"[:500],
        summary="\n".join(f"{name[:500]}: {text({'n': value}, 'n', most=40)}" for name, value in rows)[
            :20_000
        ],
        severity=relays.DEFAULT_SEVERITY,
        type=INSIGHT,
        account=account,
        region=region,
        resources=assets.once(resources),
        tags=("insight",),
        last_seen_at=moment,
        detected_at=moment,
        updated_at=moment,
        raw=document,
    )


def _of_result(kind: str, name: str) -> Iterator[Resource]:
    if kind == "ResourceAwsIamAccessKeyUserName":
        yield from assets.resource("AwsIamUser", name)
    elif kind in ("ResourceId", "ResourceAwsS3BucketOwnerName") and name.startswith("arn:"):
        service = name.split(":", maxsplit=5)
        yield from assets.resource("AwsS3Bucket" if service[2] == "s3" else "Other", name)
    elif kind == "ResourceAwsEc2InstanceImageId":
        yield from assets.resource("AwsEc2Image", name)
