"""AWS CloudTrail: events one by one, in EventBridge's envelope, as `LookupEvents` answers, and S3 files.

A log, so most documents make no alert; what is alarming is said by Sigma rules (`cases.sources.detections`).
Quell itself detects, and does so when it reads the event: the event's own time is when it happened, and
`detected_at` is left to the receipt.
https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html
"""

from __future__ import annotations

import codecs
import gzip
import io
import json
import re
import zlib
from collections.abc import Iterator
from datetime import datetime

from cases import decoding
from cases.decoding import JSON, Broken, Document, Unreadable
from cases.sources import cloudtrail_facts as facts
from cases.sources import envelopes, traces
from cases.sources.cloudtrail_resources import name_of, principal_of, resources_of
from cases.sources.detections import Detection, shelf
from cases.sources.reading import at, text, time_or_none
from cases.sources.types import AlertDraft, Ground, Nowhere, Observable, Place

ID = "cloudtrail"

SENDER = re.compile(r"[a-z0-9.-]{1,60}\.amazonaws\.com(?:\.cn)?")
REGION = re.compile(r"[a-z0-9-]{1,30}")
UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
TOLD = ("eventTime", "eventSource", "eventName", "awsRegion", "requestID", "sourceIPAddress", "errorCode")
"""What tells events apart whose ids do not."""

INSIGHT = "AwsCloudTrailInsight"
ATTEMPTED = "attempted"
LESS = 30
"""How much less grave what was denied is than what was done."""

LEAST = 10


def matches(document: JSON) -> bool:
    """Whether this is surely an event of CloudTrail, or one of its digests; notifications of S3 are not."""
    if not isinstance(document, dict):
        return False
    if _is_digest(document):
        return True
    if "eventVersion" not in document and "eventTime" not in document:
        return False
    if text(document, "eventType") == INSIGHT:
        return "insightDetails" in document
    is_named = bool(text(document, "eventName")) and isinstance(document.get("userIdentity"), dict)
    return is_named and bool(SENDER.fullmatch(text(document, "eventSource").lower()))


def parse(document: JSON) -> Iterator[AlertDraft]:
    """The drafts as far as they need no ground: `detect` is what intake asks."""
    return detect(document, Nowhere())


def detect(document: JSON, ground: Ground) -> Iterator[AlertDraft]:
    """A draft for each rule that the event calls for. `Unreadable` for what is no event of CloudTrail."""
    event = _event(document)
    if event is None:
        return
    observed = facts.Observed(event, ground)
    for detection in shelf().matching(observed):
        yield _draft(observed, detection, ground)


def speaks_for(document: JSON) -> tuple[str, str]:
    """The account and region whose trail it is of."""
    region = text(document, "awsRegion", most=100)
    return facts.account_of(document), region if REGION.fullmatch(region) else ""


def _event(document: JSON) -> dict[str, JSON] | None:
    """The event; None for what CloudTrail says about its own files."""
    if not isinstance(document, dict):
        raise Unreadable("not an event of CloudTrail")
    if _is_digest(document):
        return None
    if text(document, "eventSource").startswith("aws:"):
        raise Unreadable("a notification, not an event of CloudTrail", "/eventSource")
    if text(document, "eventType") != INSIGHT and not text(document, "eventName"):
        raise Unreadable("an event of CloudTrail has eventName", "/eventName")
    return document


def _is_digest(document: dict[str, JSON]) -> bool:
    return "digestS3Object" in document and "digestEndTime" in document


# --- drafts --------------------------------------------------------------------------------------------


def _draft(event: facts.Observed, detection: Detection, ground: Ground) -> AlertDraft:
    account, region = speaks_for(event)
    address, happened = facts.address_of(event), _happened(event)
    place = ground.place_of(address) if address else None
    is_denied = facts.outcome_of(event) == "denied"
    is_less = is_denied and not detection.is_as_grave_denied
    severity = detection.severity_in(ground.environment_of(account))
    rule, principal = detection.rule, principal_of(event)
    identity = _identity(event, detection, happened)
    return AlertDraft(
        source=ID,
        external_id=f"{account or 'unknown'}:{identity}:{rule.id}",
        finding=(ID, account, identity, rule.id),
        fingerprint=(ID, account, rule.id, principal),
        title=f"{rule.title}: {name_of(event)}"[:500],
        summary=_summary(event, detection, ground, place),
        severity=max(severity - LESS, min(LEAST, severity)) if is_less else severity,
        type=f"CloudTrail:{detection.name}",
        account=account,
        region=region,
        resources=resources_of(event),
        observables=traces.once(_observables(event, address)),
        techniques=rule.techniques,
        tags=(ATTEMPTED,) if is_denied else (),
        places=(place,) if place else (),
        first_seen_at=happened,
        last_seen_at=happened,
        raw=dict(event),
    )


def _happened(event: JSON) -> datetime | None:
    """When it happened; Elastic's shippers keep it under a name of their own."""
    return time_or_none(event, "eventTime") or time_or_none(event, "@timestamp")


def _identity(event: JSON, detection: Detection, happened: datetime | None) -> str:
    """What makes it this one: the event, or the principal and hour where the rule counts by hours."""
    if detection.is_hourly and happened is not None:
        hour = happened.strftime("%Y-%m-%dT%H")
        # What was denied stays apart from what was done.
        return traces.digest([principal_of(event), text(event, "awsRegion"), hour, facts.outcome_of(event)])
    told = text(event, "eventID", most=100)
    if UUID.fullmatch(told):
        return told.lower()
    # Ids like "1" are chosen by whoever wrote the event, and say nothing.
    asked = json.dumps([at(event, "requestParameters"), at(event, "responseElements")], sort_keys=True)
    return traces.digest([told, principal_of(event), *(text(event, name) for name in TOLD), asked])


def _observables(event: JSON, address: str) -> Iterator[Observable]:
    if address:
        yield Observable(kind="ip", value=address)
    if agent := text(event, "userAgent", most=500):
        yield Observable(kind="user_agent", value=agent)
    for account in facts.foreign_accounts(event):
        yield Observable(kind="account", value=str(account))


def _summary(event: JSON, detection: Detection, ground: Ground, place: Place | None) -> str:
    """What the rule looks for, then what happened here."""
    account, region = speaks_for(event)
    call = text(event, "eventName") or text(event, "insightDetails", "eventName")
    where = " in ".join(filter(None, (f"account {account}" if account else "", region)))
    verb = {"done": "called", "denied": "was denied", "failed": "failed to call"}[facts.outcome_of(event)]
    told = f"{name_of(event)} {verb} {call} of {text(event, 'eventSource')}"
    said = [detection.rule.description, f"{told} from {_from(event, place)}, {where or 'account unknown'}."]
    if judged := _judged(event, ground):
        said.append(judged)
    return "\n\n".join(filter(None, said))[:20_000]


def _from(event: JSON, place: Place | None) -> str:
    address = facts.address_of(event) or text(event, "sourceIPAddress", most=200) or "an unknown address"
    if place is None:
        return address
    named = ", ".join(filter(None, (place.city, place.country_name or place.country)))
    return f"{address} ({named})" if named else address


def _judged(event: JSON, ground: Ground) -> str:
    """How the address stands to what the account's owners allow, where they said anything."""
    standing = facts.sign_in(event)
    allowed = ground.allowed_for(facts.account_of(event)) if standing in ("outside", "unknown") else None
    if allowed is None:
        return ""
    used = f"The account is used from {facts.words_for(allowed)} only."
    if standing == "unknown":
        return f"{used} The country of this address is not known, so whether it is one of them is not either."
    return used


# --- files from S3 -------------------------------------------------------------------------------------

GZIP = b"\x1f\x8b"
MOST_UNPACKED = 64 * 1024 * 1024
MOST_OF_RECORD = 1024 * 1024
CHUNK = 64 * 1024
HEAD = 4 * 1024
SIGNS = ('"Records"', '"eventVersion"', '"eventSource"', '"CloudTrailEvent"', '"digestS3Object"')
RECORDS = re.compile(r'\s*\{\s*"Records"\s*:\s*\[')
SPACES = re.compile(r"[\s,]*")


def reads(body: bytes) -> bool:
    """Whether it is a packed file of CloudTrail, by its beginning."""
    if not body.startswith(GZIP):
        return False
    try:
        head = zlib.decompressobj(wbits=31).decompress(body[:CHUNK], HEAD).decode("utf-8", "replace")
    except zlib.error:
        return False
    return head.lstrip("\ufeff \t\r\n").startswith(("{", "[")) and any(sign in head for sign in SIGNS)


def read(body: bytes) -> Iterator[Document | Broken]:
    """The events of a packed file, one after the other: the whole is never in memory.

    Where a file ends too early, unpacks to too much or cannot be read, the events before that count, and
    the file as it came is broken.
    """
    pages = _Pages(body)
    try:
        if pages.starts(RECORDS):
            yield from _records(pages)
        else:
            yield from _whole(pages)
    except Unreadable as failure:
        yield Broken(pointer=failure.pointer, reason=failure.reason, body=body)


def _records(pages: _Pages) -> Iterator[Document | Broken]:
    number = 0
    while (spelled := pages.next_record()) is not None:
        pointer = f"/Records/{number}"
        try:
            parts = decoding.documents(spelled.encode())
        except Unreadable as failure:
            raise Unreadable(failure.reason, pointer + failure.pointer) from failure
        for part in parts:
            yield _placed(part, pointer)
        number += 1


def _placed(part: Document | Broken, pointer: str) -> Document | Broken:
    if isinstance(part, Broken):
        return Broken(pointer=pointer + part.pointer, reason=part.reason, body=part.body)
    return Document(
        pointer=pointer + part.pointer,
        value=part.value,
        spelling=part.spelling,
        is_altered=part.is_altered,
    )


def _whole(pages: _Pages) -> Iterator[Document | Broken]:
    """A file in another form, as a body that came unpacked."""
    for part in decoding.documents(pages.rest(decoding.LIMITS.bytes).encode()):
        if isinstance(part, Broken):
            yield part
        else:
            yield from envelopes.unwrap(part)


class _Pages:
    """A packed text, unpacked a page at a time. All raise `Unreadable`."""

    def __init__(self, packed: bytes) -> None:
        self._pages = _unpacked(packed)
        self._text = ""
        self._at = 0
        self._is_all = False

    def starts(self, pattern: re.Pattern[str]) -> bool:
        """Whether the text begins so; if it does, what follows comes next."""
        self._more()
        self._text = self._text.removeprefix("\ufeff")
        found = pattern.match(self._text)
        self._at = found.end() if found else 0
        return found is not None

    def next_record(self) -> str | None:
        """The next member of the list that was begun, as it is spelled; None at its end."""
        while True:
            self._at = SPACES.match(self._text, self._at).end()  # type: ignore[union-attr]
            if self._at < len(self._text):
                break
            if not self._more():
                raise Unreadable("the file ends in the middle of its records")
        if self._text[self._at] == "]":
            return None
        if self._text[self._at] != "{":
            raise Unreadable("a record that is not an object")
        return self._object()

    def rest(self, most: int) -> str:
        """The whole text, if it is not longer than that."""
        while len(self._text) <= most and self._more():
            pass
        if len(self._text) > most:
            raise Unreadable(f"unpacks to more than {most} bytes")
        return self._text

    def _object(self) -> str:
        while (end := self._end()) is None:
            if len(self._text) - self._at > MOST_OF_RECORD:
                raise Unreadable(f"a record that is no JSON, or longer than {MOST_OF_RECORD} characters")
            if not self._more():
                raise Unreadable("a record that is no JSON, or not whole")
        spelled = self._text[self._at : end]
        self._at = end
        return spelled

    def _end(self) -> int | None:
        """Where the record that begins here ends; None where more is needed to tell."""
        try:
            return _DECODER.raw_decode(self._text, self._at)[1]
        except RecursionError as failure:
            raise Unreadable(f"nested deeper than {decoding.LIMITS.depth}") from failure
        except json.JSONDecodeError:
            return None

    def _more(self) -> bool:
        """Take another page in; whether there was one. What is done with is let go."""
        if self._is_all:
            return False
        page = next(self._pages, None)
        self._is_all = page is None
        self._text = self._text[self._at :] + (page or "")
        self._at = 0
        return page is not None


_DECODER = json.JSONDecoder(parse_int=str, parse_float=str)
"""Finds where a record ends; intake's own decoder reads it."""


def _unpacked(packed: bytes) -> Iterator[str]:
    """The text in pages, of a file of one or more gzip members, up to `MOST_UNPACKED` bytes."""
    decode = codecs.getincrementaldecoder("utf-8")().decode
    size = 0
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(packed)) as file:
            while page := file.read(CHUNK):
                size += len(page)
                if size > MOST_UNPACKED:
                    raise Unreadable(f"unpacks to more than {MOST_UNPACKED} bytes")
                yield decode(page)
    except UnicodeDecodeError as failure:
        raise Unreadable("unpacked, it is not UTF-8") from failure
    except (OSError, EOFError, zlib.error) as failure:
        raise Unreadable(f"the gzip file is not whole: {failure}") from failure
