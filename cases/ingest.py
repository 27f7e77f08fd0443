"""Intake: one path for all doors. What can be read becomes an alert, the rest is kept in quarantine.

When a use-case here returns, everything is committed (or will be with the caller's transaction);
enrichment, correlation and rules follow from due rows, for which the doorbell is rung.
"""

from __future__ import annotations

import hashlib
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from django.db import OperationalError, connection, transaction
from django.db.models import F

from audit import receipts
from audit.models import Receipt
from cases import decoding, hearing, inserting, storing
from cases.decoding import JSON, Broken, Document, Unreadable
from cases.drafts import Draft
from cases.ground import Standing
from cases.models import Alert, Quarantined
from cases.sources import envelopes, generic
from cases.sources.registry import source_of, sources
from cases.sources.types import AlertDraft, Detector, Ground, Reader, Source, Speaking
from cases.storing import Outcome, Stored
from cases.webhooks import Choose
from estate.models import Account
from identity.actors import Actor
from identity.models import Team
from identity.permissions import Permission
from lib import doorbell
from lib.errors import Forbidden, NotFound
from lib.remembered import Remembered

AUTO = "auto"
RECEIVED = "alerts.received"
MOST_HELD = 1_000
"""How many parts of one body are kept apart from one another; of more the whole is, once."""

AHEAD = timedelta(days=1)
"""How far a document's times may lie ahead: beyond that no clock is meant, and every later one would lose."""


class UnknownSource(NotFound):
    """There is no source of this name."""


@dataclass(frozen=True, kw_only=True)
class Held:
    """One part that went into quarantine."""

    ulid: str
    reason: str
    pointer: str


@dataclass(frozen=True, kw_only=True)
class Received:
    """What became of a body: its alerts in the order of their documents, and what was held back.

    `passed` counts the documents that were read and held nothing alarming.
    """

    alerts: tuple[Stored, ...]
    quarantined: tuple[Held, ...]
    passed: int = 0

    def count(self, *outcomes: Outcome) -> int:
        """How many documents had one of these outcomes."""
        return sum(stored.outcome in outcomes for stored in self.alerts)


@dataclass(frozen=True, kw_only=True)
class _Read:
    """A draft with the document it was read from, and the source that read it."""

    draft: AlertDraft
    document: Document
    read_as: str


@dataclass(kw_only=True)
class _Reading:
    """What was made of a body, before anything is stored."""

    drafts: list[_Read] = field(default_factory=list)
    broken: list[Broken] = field(default_factory=list)
    spoke: set[tuple[str, str, str]] = field(default_factory=set)
    passed: int = 0


def receive(
    *,
    source: str,
    body: bytes,
    by: Actor,
    at: datetime,
    team: Team | None = None,
    door: str = "ingest",
    choose: Choose | None = None,
) -> Received:
    """Take in a body of a source, or of whatever sources it shows itself to be of (`auto`).

    `team` gets what belongs to no known account; without one, the team of the key or person. `door` is
    how it came, `choose` what reads each document where the door knows better. Raises `UnknownSource` and
    `Forbidden` (nobody to give it to); nothing in a body makes it raise.
    """
    if source != AUTO and source not in sources():
        raise UnknownSource(
            f"There is no source {source[:40]!r}; there are: {', '.join([*sources(), AUTO])}."
        )
    home = home_of(by, team)
    reading = _read(source, body, at=at, choose=choose)
    with transaction.atomic():
        stored, foreign = _store(reading.drafts, home=home, door=door, at=at)
        held = _hold([*reading.broken, *foreign], source=source, door=door, team=home, at=at)
        received = Received(alerts=tuple(stored), quarantined=tuple(held), passed=reading.passed)
        _record(received, source=source, body=body, by=by, at=at)
        doorbell.ring("alerts")
    hearing.heard(reading.spoke, team=home, at=at)
    return received


def receive_drafts(
    *,
    drafts: Iterable[AlertDraft],
    by: Actor,
    at: datetime,
    read_as: str = "native",
    door: str = "api",
    team: Team | None = None,
) -> list[Stored]:
    """Take in drafts that were read already. One of another team has the outcome `foreign` and no alert.

    `team` as for `receive`.
    """
    home = home_of(by, team)
    drafts = list(drafts)
    with transaction.atomic():
        stored = storing.store(_placed(drafts, home=home, read_as=[read_as] * len(drafts), door=door), at=at)
        received = Received(alerts=tuple(stored), quarantined=())
        _record(received, source=read_as, body=b"", by=by, at=at)
        doorbell.ring("alerts")
    hearing.heard({(read_as, draft.account, draft.region) for draft in drafts}, team=home, at=at)
    return stored


def receive_new(*, draft: AlertDraft, body: bytes, by: Actor, at: datetime) -> Alert | None:
    """Take in one native draft that is probably new, in one statement; None, and nothing done, if it is not.

    For the door that sees most alerts (`soc.api.lean`); `receive_drafts` serves every case. Not inside a
    transaction: it commits.
    """
    placed = Draft(
        number=0,
        draft=draft,
        team_id=_owner_of(draft.account) or home_of(by, None),
        body=draft.raw,
        read_as="native",
        door="api",
    )
    if not inserting.is_possible():
        return None

    def receipt(ulids: list[str]) -> Receipt:
        details = {"created": 1, "alerts": ulids, "quarantined": [], "body": _digest(body)}
        return receipts.row(act=RECEIVED, by=by, at=at, on=("source", "native"), details=details)

    try:
        alert = inserting.insert([placed], at=at, beside=receipt).get(0)
    except OperationalError:
        # The connection had gone, perhaps after the commit: the long way opens another, and looks first.
        connection.close()
        return None
    if alert is not None:
        doorbell.ring("alerts")
        hearing.heard({("native", draft.account, draft.region)}, team=home_of(by, None), at=at)
    return alert


def _owner_of(account: str) -> int | None:
    """The team of an account, as of a second ago; None for an account that is not known."""
    if not account:
        return None
    return _owners.get(
        account, lambda: Account.objects.filter(account_id=account).values_list("team_id", flat=True).first()
    )


_owners: Remembered[int | None] = Remembered()


def set_aside(
    *, source: str, body: bytes, reason: str, by: Actor, at: datetime, team: Team | None, door: str
) -> Received:
    """Put into quarantine what stands for something that could not be had, such as an object too large."""
    home = home_of(by, team)
    broken = Broken(pointer="", reason=reason, body=body)
    with transaction.atomic():
        held = _hold([broken], source=source, door=door, team=home, at=at)
        received = Received(alerts=(), quarantined=tuple(held))
        _record(received, source=source, body=body, by=by, at=at)
    return received


def home_of(by: Actor, team: Team | None) -> int:
    """The team that gets what belongs to no known account."""
    if team is not None:
        return team.pk
    if by.team is not None:
        return by.team
    seats = by.seats_for(Permission.WRITE_ALERTS)
    if not seats:
        raise Forbidden("There is no team of yours that could take alerts in.")
    return seats[0].team


def checked(draft: AlertDraft, *, at: datetime) -> AlertDraft:
    """The draft, or `Unreadable` when one of its times lies more than a day ahead."""
    for name in ("first_seen_at", "last_seen_at", "detected_at", "updated_at"):
        moment = getattr(draft, name)
        if moment is not None and moment > at + AHEAD:
            raise Unreadable("lies in the future", f"/{name}")
    return draft


# --- reading -------------------------------------------------------------------------------------------


def _read(source: str, body: bytes, *, at: datetime, choose: Choose | None = None) -> _Reading:
    reading = _Reading()
    ground = Standing()
    for parser, part in _parts(source, body):
        if isinstance(part, Broken):
            reading.broken.append(part)
            continue
        try:
            known = choose(part.value) if choose else parser or _parser(part.value)
            drafts = [checked(draft, at=at) for draft in _drafts(known, part.value, ground)]
        except Unreadable as failure:
            pointer = part.pointer + failure.pointer
            reading.broken.append(
                Broken(pointer=pointer, reason=failure.reason, body=decoding.bytes_of(part))
            )
            continue
        reading.drafts += [_Read(draft=draft, document=part, read_as=known.ID) for draft in drafts]
        reading.passed += not drafts
        reading.spoke |= {(known.ID, draft.account, draft.region) for draft in drafts}
        if isinstance(known, Speaking):
            reading.spoke.add((known.ID, *known.speaks_for(part.value)))
    if len(reading.broken) > MOST_HELD:
        first = reading.broken[0]
        reason = f"more than {MOST_HELD} parts cannot be read, the first: {first.reason}"
        reading.broken = [Broken(pointer=first.pointer, reason=reason, body=body)]
    return reading


def _drafts(source: Source, document: JSON, ground: Ground) -> Iterable[AlertDraft]:
    return source.detect(document, ground) if isinstance(source, Detector) else source.parse(document)


def _parts(source: str, body: bytes) -> Iterator[tuple[Source | None, Document | Broken]]:
    """The documents of a body, each with the source that it is of; None where the document has to tell."""
    named = sources().get(source)
    able = [named] if named else list(sources().values())
    for reader in able:
        if isinstance(reader, Reader) and reader.reads(body):
            yield from ((reader, part) for part in reader.read(body))
            return
    try:
        parts = decoding.documents(body)
    except Unreadable as failure:
        yield named, Broken(pointer=failure.pointer, reason=failure.reason, body=body)
        return
    opened = itertools.chain.from_iterable(
        [part] if isinstance(part, Broken) else envelopes.unwrap(part) for part in parts
    )
    for number, part in enumerate(opened):
        if number == decoding.LIMITS.documents:
            # Whatever comes after is in the whole, which is kept.
            yield named, Broken(pointer=part.pointer, reason=f"more than {number} documents", body=body)
            return
        yield named, part


def _parser(document: JSON) -> Source:
    found = source_of(document)
    if found is None:
        raise Unreadable("not a document of any known source")
    return found


# --- storing -------------------------------------------------------------------------------------------


def _store(readings: list[_Read], *, home: int, door: str, at: datetime) -> tuple[list[Stored], list[Broken]]:
    """The alerts, and what may not become one because another team uses its id."""
    bodies = [_body_of(reading) for reading in readings]
    drafts = _placed(
        [reading.draft for reading in readings],
        home=home,
        bodies=bodies,
        read_as=[reading.read_as for reading in readings],
        door=door,
    )
    stored = [_told_apart(one, drafts[one.number], at=at) for one in storing.store(drafts, at=at)]
    foreign = [
        Broken(
            pointer=readings[one.number].document.pointer,
            reason="its id is in use by another team for something else",
            body=decoding.bytes_of(readings[one.number].document),
        )
        for one in stored
        if one.outcome is Outcome.FOREIGN
    ]
    return [one for one in stored if one.outcome is not Outcome.FOREIGN], foreign


def _told_apart(one: Stored, draft: Draft, *, at: datetime) -> Stored:
    """Stored under an id of the team's own, where another team's program chose the same.

    Only what is read as `generic`: detectors' ids are one world's, and theirs that collide are made up.
    """
    if one.outcome is not Outcome.FOREIGN or draft.read_as != generic.ID:
        return one
    renamed = replace(draft.draft, external_id=f"{draft.draft.external_id[:260]}#{draft.team_id}")
    return storing.store([replace(draft, draft=renamed)], at=at)[0]


def _placed(
    drafts: list[AlertDraft], *, home: int, read_as: list[str], door: str, bodies: list[JSON] | None = None
) -> list[Draft]:
    """Drafts with the team each belongs to: that of its account, else the home team."""
    bodies = bodies if bodies is not None else [draft.raw for draft in drafts]
    accounts = {draft.account for draft in drafts if draft.account}
    owners = dict(Account.objects.filter(account_id__in=accounts).values_list("account_id", "team_id"))
    return [
        Draft(
            number=number,
            draft=draft,
            team_id=owners.get(draft.account, home),
            body=bodies[number],
            read_as=read_as[number],
            door=door,
        )
        for number, draft in enumerate(drafts)
    ]


def _body_of(reading: _Read) -> JSON:
    """The raw copy: what was read, what carried it, and the spelling of what could not be kept as it was."""
    raw, document = reading.draft.raw, reading.document
    if not isinstance(raw, dict):
        return raw
    beside: dict[str, JSON] = {}
    if carriers := envelopes.carriers_of(document):
        beside[storing.CARRIERS] = list(carriers)
    if document.is_altered:
        beside[storing.ORIGINAL] = document.spelling
    return {**raw, **beside}


def _hold(broken: list[Broken], *, source: str, door: str, team: int, at: datetime) -> list[Held]:
    """Put parts into quarantine, each content once for a team; again only counts."""
    held: list[Held] = []
    for part in broken:
        # The team is part of the digest, so that nobody is told of what another team was sent.
        digest = hashlib.sha256(f"{team}:".encode() + part.body).hexdigest()
        row = Quarantined(
            source=source,
            digest=digest,
            body=part.body,
            reason=part.reason[:300],
            pointer=_storable(part.pointer)[:300],
            received_at=at,
            count=0,
            door=door,
            team_id=team,
        )
        rows = Quarantined.objects.filter(source=source, digest=digest)
        if not rows.update(count=F("count") + 1):
            Quarantined.objects.bulk_create([row], ignore_conflicts=True)
            rows.update(count=F("count") + 1)
        held.append(
            Held(ulid=rows.values_list("ulid", flat=True).get(), reason=row.reason, pointer=row.pointer)
        )
    return held


def _storable(pointer: str) -> str:
    return pointer.encode("utf-8", "replace").decode("utf-8").replace("\0", decoding.REPLACEMENT)


def _record(received: Received, *, source: str, body: bytes, by: Actor, at: datetime) -> None:
    """One receipt for the request, if it changed anything."""
    counts: dict[str, Any] = dict(Counter(stored.outcome.value for stored in received.alerts))
    changed = [one.alert.ulid for one in received.alerts if one.alert and one.outcome is not Outcome.REPEATED]
    if not changed and not received.quarantined:
        return
    receipts.write(
        act=RECEIVED,
        by=by,
        at=at,
        on=("source", source),
        details={
            **counts,
            "alerts": changed[:50],
            "quarantined": [held.ulid for held in received.quarantined][:50],
            "body": _digest(body),
        },
    )


def _digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()
