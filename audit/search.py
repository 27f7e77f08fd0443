"""What is looked for in the ledger: a frozen value, checked, and the rows it fits."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlencode

from django.db.models import QuerySet

from audit.models import AuditEvent
from lib.errors import Invalid

NEWEST = 2**63 - 1
PREFIX = "*"
_ULID = re.compile(r"[0-9A-HJKMNP-TV-Z]{26}")
_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?(Z|\+00:00)?)?")
_LENGTHS = {"act": 61, "actor": 80, "object_type": 30, "object_id": 40, "request": 40}
_POINTERS = {"object_type": "type", "object_id": "id", "first": "from_seq", "last": "to_seq"}
"""Where a name in an address differs from the field it fills."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Conditions that an event has to meet, all of them; what is empty asks for nothing.

    `act` is whole (`alert.dismissed`) or the beginning of one with a star (`alert.*`). `since` and `until`
    are moments in UTC, `until` itself left out; `first` and `last` are sequence numbers, both included.
    """

    act: str = ""
    actor: str = ""
    person: str = ""
    object_type: str = ""
    object_id: str = ""
    ip: str = ""
    request: str = ""
    since: datetime | None = None
    until: datetime | None = None
    first: int | None = None
    last: int | None = None

    @classmethod
    def of(cls, given: Mapping[str, str]) -> Asked:
        """From a query string. `Invalid`, with a pointer, for what can fit no event."""
        asked = cls(
            **{name: _text(given, name) for name in _LENGTHS},
            person=_person(given.get("person", "")),
            ip=_address(given.get("ip", "")),
            since=_moment(given, "from"),
            until=_moment(given, "until"),
            first=_number(given, "from_seq"),
            last=_number(given, "to_seq"),
        )
        if asked.since and asked.until and asked.since >= asked.until:
            raise Invalid("The time ends before it begins.", pointer="/until")
        if asked.first and asked.last and asked.first > asked.last:
            raise Invalid("The range ends before it begins.", pointer="/to_seq")
        return asked

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Names and values as they stand in an address."""
        written = (
            ("act", self.act),
            ("actor", self.actor),
            ("person", self.person),
            ("type", self.object_type),
            ("id", self.object_id),
            ("ip", self.ip),
            ("request", self.request),
            ("from", _spelled(self.since)),
            ("until", _spelled(self.until)),
            ("from_seq", str(self.first or "")),
            ("to_seq", str(self.last or "")),
        )
        return [(name, value) for name, value in written if value]

    @property
    def query(self) -> str:
        """The query string; empty or beginning with `?`."""
        return f"?{urlencode(self.pairs)}" if self.pairs else ""

    @property
    def is_narrow(self) -> bool:
        """Whether anything is asked for at all."""
        return self != Asked()

    def without(self, *names: str) -> Asked:
        """The same with these conditions dropped."""
        empty = {one.name: one.default for one in fields(Asked)}
        changed: dict[str, Any] = {name: empty[name] for name in names}
        return replace(self, **changed)


NAMES = frozenset(
    {"act", "actor", "person", "type", "id", "ip", "request", "from", "until", "from_seq", "to_seq"}
)


def matching(asked: Asked) -> QuerySet[AuditEvent]:
    """The events that fit, the newest first."""
    rows = AuditEvent.objects.order_by("-seq")
    if asked.act.endswith(PREFIX):
        rows = rows.filter(act__startswith=asked.act.removesuffix(PREFIX))
    elif asked.act:
        rows = rows.filter(act=asked.act)
    exact = {
        "actor": asked.actor,
        "person": asked.person,
        "object_type": asked.object_type,
        "object_id": asked.object_id,
        "ip": asked.ip,
        "request_id": asked.request,
    }
    bounds = {"at__gte": asked.since, "at__lt": asked.until, "seq__gte": asked.first, "seq__lte": asked.last}
    return rows.filter(
        **{name: value for name, value in exact.items() if value},
        **{name: bound for name, bound in bounds.items() if bound is not None},
    )


def _text(given: Mapping[str, str], field: str) -> str:
    name = _POINTERS.get(field, field)
    value = given.get(name, "").strip()
    if len(value) > _LENGTHS[field] or "\0" in value:
        raise Invalid(f"At most {_LENGTHS[field]} characters.", pointer=f"/{name}")
    if field == "act" and PREFIX in value[:-1]:
        raise Invalid("A star stands at the end of an act only.", pointer="/act")
    return value


def _person(value: str) -> str:
    value = value.strip().upper()
    if value and not _ULID.fullmatch(value):
        raise Invalid("A person is named by 26 letters and digits.", pointer="/person")
    return value


def _address(value: str) -> str:
    if not value.strip():
        return ""
    try:
        return str(ip_address(value.strip()))
    except ValueError as failure:
        raise Invalid("This is no IP address.", pointer="/ip") from failure


def _moment(given: Mapping[str, str], name: str) -> datetime | None:
    """A day or a moment, which is in UTC and in no other zone."""
    value = given.get(name, "").strip().upper()
    if not value:
        return None
    try:
        if not _MOMENT.fullmatch(value):
            raise ValueError(value)
        return datetime.fromisoformat(value).replace(tzinfo=UTC)
    except ValueError as failure:
        raise Invalid(
            "A time is written 2026-11-24 or 2026-11-24T09:30:00Z.", pointer=f"/{name}"
        ) from failure


def _number(given: Mapping[str, str], name: str) -> int | None:
    value = given.get(name, "").strip()
    if not value:
        return None
    if not (value.isascii() and value.isdigit() and len(value) < 20 and 0 < int(value) <= NEWEST):
        raise Invalid("A number of the sequence is a whole number from 1.", pointer=f"/{name}")
    return int(value)


def _spelled(at: datetime | None) -> str:
    if at is None:
        return ""
    written = f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}".rstrip("0").rstrip(".")
    return written.removesuffix("T00:00:00") if written.endswith("T00:00:00") else f"{written}Z"
