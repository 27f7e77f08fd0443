"""What a source makes of a document: a draft, frozen, in the words of the record."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, runtime_checkable

from cases.decoding import JSON, Broken, Document


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
class Place:
    """Where an address is: `country` as ISO 3166 alpha-2 where known, the rest as it was told."""

    address: str
    country: str = ""
    country_name: str = ""
    city: str = ""
    organization: str = ""
    asn: int | None = None


@dataclass(frozen=True, kw_only=True)
class Allowed:
    """From where an account is used: countries (ISO 3166 alpha-2) and networks (CIDR)."""

    countries: frozenset[str] = frozenset()
    networks: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class RoleCall:
    """A call that a session of a role made and that may change something, as a trail tells it.

    `account` is the role's own; `operation` is the name in the trail, which may differ from the API's.
    """

    account: str
    role: str
    session: str
    source_identity: str
    operation: str
    at: datetime | None


class Ground(Protocol):
    """What a detection may ask of the installation while it reads a document."""

    def allowed_for(self, account: str) -> Allowed | None:
        """From where the account may be used; None where nobody said."""

    def place_of(self, address: str) -> Place | None:
        """Where an address is, from the installation's own file; None where not known."""

    def indicator_of(self, address: str) -> str:
        """The name of the list of bad addresses that holds it; empty for none."""

    def environment_of(self, account: str) -> str:
        """`production`, `sandbox` …; empty for an account that is not known."""

    def is_responder(self, account: str, role: str) -> bool:
        """Whether a role of an account is one of the responder's own."""

    def is_journalled(self, call: RoleCall) -> bool:
        """Whether the responder made this call of its role."""


class Nowhere:
    """The ground (`Ground`) of which nothing is known: what a detection finds by the document alone."""

    def allowed_for(self, account: str) -> None:
        del account

    def place_of(self, address: str) -> None:
        del address

    def indicator_of(self, address: str) -> str:
        del address
        return ""

    def environment_of(self, account: str) -> str:
        del account
        return ""

    def is_responder(self, account: str, role: str) -> bool:
        del account, role
        return False

    def is_journalled(self, call: RoleCall) -> bool:
        del call
        return False


@dataclass(frozen=True, kw_only=True)
class AlertDraft:
    """One detection as its sender tells it, not yet stored.

    `finding` are the parts of the canonical key, equal however the same finding came; empty where the
    sender has none. `fingerprint` are the parts that say "the same kind of thing on the same
    resource". Times that the sender did not give are None. `updated_at` is the document's own update
    time, at which a later episode counts as detected. `occurrences` is the sender's own count.

    `content` identifies an alert within its team where the sender's ids are drawn at random. `labels`
    are AWS tags of the resources. `richness` ranks documents about one finding: words come from the
    richest, 100 is the detector's own (`guardduty` told by GuardDuty), 50 another's account of it.
    `is_resolved`: the sender says that it is over.
    """

    source: str
    external_id: str
    finding: tuple[str, ...] = ()
    content: tuple[str, ...] = ()
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
    labels: tuple[tuple[str, str], ...] = ()
    places: tuple[Place, ...] = ()
    link: str = ""
    richness: int = 100
    first_seen_at: datetime | None = None
    last_seen_at: datetime | None = None
    detected_at: datetime | None = None
    updated_at: datetime | None = None
    occurrences: int = 1
    is_sample: bool = False
    is_archived: bool = False
    is_resolved: bool = False
    raw: JSON


class Source(Protocol):
    """A module that understands one sender.

    `ID` is its name in `/ingest/{source}`. `matches` says whether a document is surely this sender's,
    for `auto`. `parse` gives the drafts of one unwrapped document, or raises
    `cases.decoding.Unreadable`; pointers are relative to that document. A document that holds nothing
    alarming (a log without a detection) gives none.
    """

    ID: str

    def matches(self, document: JSON) -> bool: ...

    def parse(self, document: JSON) -> Iterable[AlertDraft]: ...


@runtime_checkable
class Detector(Protocol):
    """A source whose documents are logs: `detect` finds in one what is alarming. Used instead of `parse`."""

    def detect(self, document: JSON, ground: Ground) -> Iterable[AlertDraft]: ...


@runtime_checkable
class Reader(Protocol):
    """A source whose bodies are not JSON. `reads`: whether a body is surely one; then `read` opens it."""

    def reads(self, body: bytes) -> bool: ...

    def read(self, body: bytes) -> Iterable[Document | Broken]: ...


@runtime_checkable
class Speaking(Protocol):
    """A source that can tell for which account and region a document without any alert speaks."""

    def speaks_for(self, document: JSON) -> tuple[str, str]: ...
