"""What a source makes of a document: a draft, frozen, in the words of the record."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from cases.decoding import JSON


@dataclass(frozen=True, kw_only=True)
class Resource:
    """A thing in AWS that an alert speaks of.

    `type` is one of our words, the same that action types use for targets (`access_key`, `instance`,
    `role`, `bucket` …); `role` is `target`, `actor` or empty.
    """

    type: str
    id: str
    arn: str = ""
    role: str = ""


@dataclass(frozen=True, kw_only=True)
class Observable:
    """Something that can be looked for elsewhere: `ip`, `domain`, `sha256`, `user_agent`, `account`."""

    kind: str
    value: str


@dataclass(frozen=True, kw_only=True)
class AlertDraft:
    """One detection as its sender tells it, not yet stored.

    `finding` are the parts of the canonical key, equal however the same finding came; empty where the
    sender has none. `fingerprint` are the parts that say "the same kind of thing on the same
    resource". Times that the sender did not give are None. `updated_at` is the document's own update
    time, at which a later episode counts as detected. `occurrences` is the sender's own count.
    """

    source: str
    external_id: str
    finding: tuple[str, ...] = ()
    fingerprint: tuple[str, ...]
    title: str
    summary: str = ""
    severity: int
    type: str = ""
    account: str = ""
    region: str = ""
    resources: tuple[Resource, ...] = ()
    observables: tuple[Observable, ...] = ()
    techniques: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    first_seen_at: datetime | None = None
    last_seen_at: datetime | None = None
    detected_at: datetime | None = None
    updated_at: datetime | None = None
    occurrences: int = 1
    is_sample: bool = False
    is_archived: bool = False
    raw: JSON


class Source(Protocol):
    """A module that understands one sender.

    `ID` is its name in `/ingest/{source}`. `matches` says whether a document is surely this sender's,
    for `auto`. `parse` gives the drafts of one unwrapped document, or raises
    `cases.decoding.Unreadable`; pointers are relative to that document.
    """

    ID: str

    def matches(self, document: JSON) -> bool: ...

    def parse(self, document: JSON) -> Iterable[AlertDraft]: ...
