"""Messages that only say where the documents are: told apart from those that are documents. Pure.

S3's event notifications, its events through EventBridge, and CloudTrail's own notifications; each bare or
in SNS's wrapping, more than once if need be.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html
https://docs.aws.amazon.com/awscloudtrail/latest/userguide/configure-cloudtrail-to-send-notifications.html
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote_plus

from cases import decoding
from cases.decoding import JSON, Text, Unreadable
from cases.sources.reading import at, objects, text

LAYERS = 6
MOST = 1_000
"""Objects that one message may name; S3 sends one, CloudTrail a few."""

REGION = re.compile(r"[a-z]{2,4}(-[a-z]+)+-\d{1,2}")
SKIPPED = re.compile(r"(^|/)CloudTrail-(Digest|Insight|Aggregated)/")
"""CloudTrail's signatures of its own files, and what is no event: nothing to detect in them."""

SOURCES = (
    (re.compile(r"(^|/)CloudTrail/"), "cloudtrail"),
    (re.compile(r"(^|/)vpcflowlogs/", re.IGNORECASE), "vpc_flow"),
    (re.compile(r"(^|/)GuardDuty/.*\.jsonl(\.gz)?$"), "guardduty"),
)
"""Which source the objects at a path are of, as AWS names its own deliveries."""


@dataclass(frozen=True, kw_only=True)
class Location:
    """An object in S3; `region` is empty where the notice does not say."""

    bucket: str
    key: str
    region: str = ""
    version: str = ""

    @property
    def source(self) -> str:
        """The source its path speaks of; empty where the path says nothing."""
        return next((source for pattern, source in SOURCES if pattern.search(self.key)), "")

    @property
    def is_skipped(self) -> bool:
        """Whether it is known to hold no events."""
        return bool(SKIPPED.search(self.key)) or self.key.endswith("/")

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"


def objects_in(body: bytes) -> tuple[Location, ...] | None:
    """The objects that a message speaks of; None for a message that is itself what was to be delivered.

    A notice of nothing (S3's test event, CloudTrail's "validation message", a deletion) gives none. A
    notice that cannot be understood counts as a document, so that it ends in quarantine.
    """
    for _ in range(LAYERS):
        if body.strip() == b"CloudTrail validation message.":
            return ()
        try:
            document = decoding.decode(body, text=Text.REPLACE)
        except Unreadable:
            return None
        inner = _carried(document)
        if inner is None:
            return _objects(document)
        body = inner
    return None


def _carried(document: JSON) -> bytes | None:
    """What SNS carries, as bytes; None for what is not SNS's."""
    if text(document, "Type") == "Notification" and isinstance(at(document, "Message"), str):
        return str(at(document, "Message")).encode("utf-8", "replace")
    return None


def _objects(document: JSON) -> tuple[Location, ...] | None:
    if text(document, "Event") == "s3:TestEvent":
        return ()
    if text(document, "source") == "aws.s3" and text(document, "detail-type"):
        return _of_event(document)
    if text(document, "s3Bucket") and at(document, "s3ObjectKey") is not None:
        return _of_cloudtrail(document)
    records = list(objects(document, "Records"))
    if records and all(_word(record, "eventSource") == "aws:s3" for record in records):
        return _of_records(records)
    return None


def _of_records(records: list[dict[str, JSON]]) -> tuple[Location, ...] | None:
    made = [record for record in records if "ObjectCreated:" in _word(record, "eventName")]
    found = [
        _location(
            bucket=at(record, "s3", "bucket", "name"),
            key=unquote_plus(_word(record, "s3", "object", "key")),
            region=_word(record, "awsRegion"),
            version=_word(record, "s3", "object", "versionId"),
        )
        for record in made
    ]
    return _whole(found)


def _of_event(document: JSON) -> tuple[Location, ...] | None:
    if text(document, "detail-type") != "Object Created":
        return ()
    found = _location(
        bucket=at(document, "detail", "bucket", "name"),
        key=at(document, "detail", "object", "key"),
        region=text(document, "region"),
        version=_word(document, "detail", "object", "version-id"),
    )
    return _whole([found])


def _of_cloudtrail(document: JSON) -> tuple[Location, ...] | None:
    keys = at(document, "s3ObjectKey")
    named = keys if isinstance(keys, list) else [keys]
    return _whole([_location(bucket=at(document, "s3Bucket"), key=key) for key in named])


def _location(*, bucket: JSON, key: JSON, region: str = "", version: str = "") -> Location | None:
    if not isinstance(bucket, str) or not isinstance(key, str) or not bucket or not key:
        return None
    if len(bucket) > 255 or len(key) > 1024 or not re.fullmatch(r"[A-Za-z0-9.\-_]+", bucket):
        return None
    return Location(
        bucket=bucket,
        key=key,
        region=region if REGION.fullmatch(region) else "",
        version=version,
    )


def _whole(found: list[Location | None]) -> tuple[Location, ...] | None:
    """All of them, or None when one cannot be understood or there are too many."""
    known = tuple(one for one in found if one is not None)
    return known if len(known) == len(found) <= MOST else None


def _word(document: JSON, *steps: str) -> str:
    found = at(document, *steps)
    return found if isinstance(found, str) else ""
