"""Quarantine as a person reads it: which items, in which order, and what one of them holds.

The list never touches the bytes, and one item only its first few thousand. They were written by whoever
sent them, as were the words of a reason: what could turn text around or hide in it is spelled out.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.core import signing
from django.db.models import BinaryField, F, IntegerField, QuerySet
from django.db.models.functions import Length, Substr

from cases import access, quarantine
from cases.models import Alert, Quarantined
from cases.sources.registry import sources
from identity.actors import Actor
from identity.permissions import Permission
from lib.errors import Invalid, NotFound

PAGE = 50
COUNT_LIMIT = 1000
SALT = "quell.quarantine"
HEAD = 4096
"""How many bytes of an item are shown; the rest is for the download."""

HEX_HEAD = 1024
HEX_WIDTH = 16
MOST_ALERTS = 50
STATES = (("waiting", "Waiting"), ("replayed", "Replayed"), ("discarded", "Put aside"), ("all", "All"))
INVISIBLE = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"})


@dataclass(frozen=True, kw_only=True)
class Filter:
    """What is being asked for; everything of it stands in the address."""

    state: str = "waiting"
    source: str = ""
    q: str = ""

    @classmethod
    def of(cls, given: Mapping[str, str]) -> Filter:
        """From a query string; an unknown state falls back to what waits."""
        state = given.get("state", "waiting")
        return cls(
            state=state if state in dict(STATES) else "waiting",
            source=given.get("source", "")[:40].strip().replace("\0", ""),
            q=given.get("q", "")[:200].strip().replace("\0", ""),
        )

    @property
    def query(self) -> str:
        """The query string, without what is the default; empty or beginning with `?`."""
        given = (("state", self.state), ("source", self.source), ("q", self.q))
        pairs = [(name, value) for name, value in given if value not in {"", "waiting"}]
        return f"?{urlencode(pairs)}" if pairs else ""

    @property
    def is_narrow(self) -> bool:
        """Whether anything beyond the state is asked for."""
        return bool(self.source or self.q)

    def without(self, name: str) -> Filter:
        """The same with one condition dropped."""
        return replace(self, **{name: ""})

    def within(self, state: str) -> Filter:
        """The same conditions for another state."""
        return replace(self, state=state)


@dataclass(frozen=True, kw_only=True)
class Row:
    """An item as one line."""

    ulid: str
    source: str
    door: str
    reason: str
    pointer: str
    size: int
    count: int
    received_at: datetime
    state: str
    settled_at: datetime | None
    settled_by: str


@dataclass(frozen=True, kw_only=True)
class View:
    """A state of the list as a tab."""

    label: str
    filter: Filter
    is_current: bool


@dataclass(frozen=True, kw_only=True)
class Page:
    """One page of the list."""

    filter: Filter
    views: list[View]
    rows: list[Row]
    total: str
    next_cursor: str
    is_first: bool
    sources: list[str]


@dataclass(frozen=True, kw_only=True)
class Head:
    """The first bytes of an item, as text where they are text, else as a dump in hexadecimal."""

    text: str
    is_text: bool
    shown: int
    size: int

    @property
    def is_cut(self) -> bool:
        return self.shown < self.size


@dataclass(frozen=True, kw_only=True)
class Detail:
    """One item with what it holds, what became of it, and what the reader may do with it.

    `head` is None where it became an alert that the reader may not see.
    """

    row: Row
    team: str
    team_slug: str
    digest: str
    head: Head | None
    discard_reason: str
    alerts: list[Alert]
    may_replay: bool
    may_discard: bool


def page(actor: Actor, asked: Filter, *, cursor: str = "") -> Page:
    """One page of the items that fit. `Invalid` for a cursor that is not one of ours."""
    found = matching(actor, asked)
    count = found.order_by()[: COUNT_LIMIT + 1].count()
    rows = list(measured(_after(found, cursor))[: PAGE + 1])
    more, rows = len(rows) > PAGE, rows[:PAGE]
    return Page(
        filter=asked,
        views=[
            View(label=label, filter=asked.within(word), is_current=word == asked.state)
            for word, label in STATES
        ],
        rows=[row_of(item) for item in rows],
        total=f"{COUNT_LIMIT}+" if count > COUNT_LIMIT else str(count),
        next_cursor=_cursor(rows[-1]) if more else "",
        is_first=not cursor,
        sources=["auto", *sources()],
    )


def matching(actor: Actor, asked: Filter) -> QuerySet[Quarantined]:
    """The items that fit, newest first, without their bytes."""
    rows = quarantine.narrowed(quarantine.quarantined_for(actor), source=asked.source, reason=asked.q)
    if asked.state == "waiting":
        rows = rows.filter(replayed_at__isnull=True, discarded_at__isnull=True)
    elif asked.state == "replayed":
        rows = rows.filter(replayed_at__isnull=False)
    elif asked.state == "discarded":
        rows = rows.filter(discarded_at__isnull=False)
    return rows.order_by("-received_at", "-pk")


def detail(actor: Actor, ulid: str) -> Detail:
    """One item; `NotFound` when it is not the actor's to see."""
    rows = measured(quarantine.quarantined_for(actor).filter(ulid=ulid))
    item: Any = rows.annotate(head=Substr("body", 1, HEAD, output_field=BinaryField())).first()
    if item is None:
        raise NotFound("There is no such thing in quarantine, or it is not yours to see.")
    alerts = access.alerts_for(actor).filter(ulid__in=quarantine.became(item)).order_by("-severity", "pk")
    is_open = quarantine.is_open_to(actor, item)
    return Detail(
        row=row_of(item),
        team=item.team.name,
        team_slug=item.team.slug,
        digest=item.digest,
        head=head_of(bytes(item.head or b""), size=item.size) if is_open else None,
        discard_reason=visible(item.discard_reason),
        alerts=list(alerts[:MOST_ALERTS]),
        may_replay=access.permits(actor, Permission.WRITE_ALERTS, team=item.team_id),
        may_discard=access.permits(actor, Permission.TRIAGE_ALERTS, team=item.team_id),
    )


def rows_of(actor: Actor, ulids: list[str]) -> list[Row]:
    """Lines for items that were just changed, to put in place of the ones on the screen."""
    return [row_of(item) for item in measured(quarantine.quarantined_for(actor).filter(ulid__in=ulids))]


def measured(rows: QuerySet[Quarantined]) -> QuerySet[Quarantined]:
    """The same rows, each with the length of its bytes, which the database knows without reading them."""
    return rows.annotate(size=Length(F("body"), output_field=IntegerField()))


def row_of(item: Quarantined) -> Row:
    """An item (measured) as a line."""
    size: int = getattr(item, "size", 0)
    return Row(
        ulid=item.ulid,
        source=visible(item.source),
        door=visible(item.door.split(":")[0]),
        reason=visible(item.reason),
        pointer=visible(item.pointer),
        size=size,
        count=item.count,
        received_at=item.received_at,
        state=state_of(item),
        settled_at=item.replayed_at or item.discarded_at,
        settled_by=item.settled_by,
    )


def state_of(item: Quarantined) -> str:
    """`waiting`, `replayed` or `discarded`."""
    if item.replayed_at:
        return "replayed"
    return "discarded" if item.discarded_at else "waiting"


def head_of(head: bytes, *, size: int) -> Head:
    """What the first bytes say; a character that the cut went through is left for the download."""
    text = _text(head, is_cut=len(head) < size)
    if text is not None:
        return Head(text=visible(text), is_text=True, shown=len(text.encode()), size=size)
    part = head[:HEX_HEAD]
    return Head(text=_dump(part), is_text=False, shown=len(part), size=size)


def visible(text: str) -> str:
    """The text with every character that is not seen, or turns others around, spelled out."""
    return "".join(_spelled(character) for character in text)


def _spelled(character: str) -> str:
    if character in "\n\t" or unicodedata.category(character) not in INVISIBLE:
        return character
    return f"\\u{ord(character):04x}"


def _text(head: bytes, *, is_cut: bool) -> str | None:
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as failure:
        if not is_cut or failure.start < len(head) - 3:
            return None
        text = head[: failure.start].decode("utf-8")
    return None if "\0" in text else text


def _dump(part: bytes) -> str:
    lines = []
    for start in range(0, len(part), HEX_WIDTH):
        line = part[start : start + HEX_WIDTH]
        letters = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in line)
        lines.append(f"{start:06x}  {line.hex(' '):<{HEX_WIDTH * 3 - 1}}  {letters}")
    return "\n".join(lines)


def _after(rows: QuerySet[Quarantined], cursor: str) -> QuerySet[Quarantined]:
    if not cursor:
        return rows
    try:
        received, pk = signing.loads(cursor, salt=SALT)
    except signing.BadSignature as failure:
        raise Invalid("This is not the address of a page of this list.") from failure
    return quarantine.behind(rows, received_at=datetime.fromisoformat(received), pk=pk)


def _cursor(last: Quarantined) -> str:
    return signing.dumps([last.received_at.isoformat(), last.pk], salt=SALT)
