"""Intake: one path for all doors. What can be read becomes an alert, the rest is kept in quarantine.

When a use-case here returns, everything is committed (or will be with the caller's transaction);
enrichment, correlation and rules follow from due rows, for which the doorbell is rung.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import F

from audit.record import record as audit
from cases import decoding, storing
from cases.decoding import JSON, Broken, Document, Unreadable
from cases.models import Quarantined
from cases.sources import envelopes
from cases.sources.registry import source_of, sources
from cases.sources.types import AlertDraft, Source
from cases.storing import Draft, Outcome, Stored
from estate.models import Account
from identity.actors import Actor
from identity.models import Team
from identity.permissions import Permission
from lib import doorbell
from lib.errors import Forbidden, NotFound

AUTO = "auto"
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
    """What became of a body: its alerts in the order of their documents, and what was held back."""

    alerts: tuple[Stored, ...]
    quarantined: tuple[Held, ...]

    def count(self, *outcomes: Outcome) -> int:
        """How many documents had one of these outcomes."""
        return sum(stored.outcome in outcomes for stored in self.alerts)


@dataclass(frozen=True, kw_only=True)
class _Read:
    """A draft with the document it was read from."""

    draft: AlertDraft
    document: Document


def receive(*, source: str, body: bytes, by: Actor, at: datetime, team: Team | None = None) -> Received:
    """Take in a body of a source, or of whatever sources it shows itself to be of (`auto`).

    `team` gets what belongs to no known account; without one, the team of the key or person. Raises
    `UnknownSource` and `Forbidden` (nobody to give it to); nothing in a body makes it raise.
    """
    if source != AUTO and source not in sources():
        raise UnknownSource(
            f"There is no source {source[:40]!r}; there are: {', '.join([*sources(), AUTO])}."
        )
    home = home_of(by, team)
    readings, broken = _read(source, body, at=at)
    with transaction.atomic():
        stored, foreign = _store(readings, home=home, at=at)
        held = _hold([*broken, *foreign], source=source, team=home, at=at)
        received = Received(alerts=tuple(stored), quarantined=tuple(held))
        _record(received, source=source, body=body, by=by, at=at)
        doorbell.ring("alerts")
    return received


def receive_drafts(*, drafts: Iterable[AlertDraft], by: Actor, at: datetime) -> list[Stored]:
    """Take in drafts that were read already. One of another team has the outcome `foreign` and no alert."""
    home = home_of(by, None)
    with transaction.atomic():
        stored = storing.store(_placed(drafts, home=home), at=at)
        received = Received(alerts=tuple(stored), quarantined=())
        _record(received, source="native", body=b"", by=by, at=at)
        doorbell.ring("alerts")
    return stored


def replay(*, quarantined: Quarantined, by: Actor, at: datetime) -> Received:
    """Try again what could not be read, with the sources as they are now.

    What can be read this time becomes alerts, and when nothing is left over the row says so.
    """
    with transaction.atomic():
        received = receive(
            source=quarantined.source,
            body=bytes(quarantined.body),
            by=by,
            at=at,
            team=quarantined.team,
        )
        if not received.quarantined:
            Quarantined.objects.filter(pk=quarantined.pk).update(replayed_at=at)
            audit(act="quarantine.replayed", by=by, at=at, on=("quarantined", quarantined.ulid))
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


def _read(source: str, body: bytes, *, at: datetime) -> tuple[list[_Read], list[Broken]]:
    readings: list[_Read] = []
    broken: list[Broken] = []
    for part in _parts(body):
        if isinstance(part, Broken):
            broken.append(part)
            continue
        try:
            parser = _parser(source, part.value)
            drafts = [checked(draft, at=at) for draft in parser.parse(part.value)]
        except Unreadable as failure:
            pointer = part.pointer + failure.pointer
            broken.append(Broken(pointer=pointer, reason=failure.reason, body=decoding.bytes_of(part)))
            continue
        readings += [_Read(draft=draft, document=part) for draft in drafts]
    return readings, broken


def _parts(body: bytes) -> Iterator[Document | Broken]:
    try:
        parts = decoding.documents(body)
    except Unreadable as failure:
        yield Broken(pointer=failure.pointer, reason=failure.reason, body=body)
        return
    for part in parts:
        if isinstance(part, Broken):
            yield part
        else:
            yield from envelopes.unwrap(part)


def _parser(source: str, document: JSON) -> Source:
    if source != AUTO:
        return sources()[source]
    found = source_of(document)
    if found is None:
        raise Unreadable("not a document of any known source")
    return found


# --- storing -------------------------------------------------------------------------------------------


def _store(readings: list[_Read], *, home: int, at: datetime) -> tuple[list[Stored], list[Broken]]:
    """The alerts, and what may not become one because another team uses its id."""
    bodies = [_body_of(reading) for reading in readings]
    drafts = _placed([reading.draft for reading in readings], home=home, bodies=bodies)
    stored = storing.store(drafts, at=at)
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


def _placed(drafts: Iterable[AlertDraft], *, home: int, bodies: list[JSON] | None = None) -> list[Draft]:
    """Drafts with the team each belongs to: that of its account, else the home team."""
    drafts = list(drafts)
    bodies = bodies if bodies is not None else [draft.raw for draft in drafts]
    accounts = {draft.account for draft in drafts if draft.account}
    owners = dict(Account.objects.filter(account_id__in=accounts).values_list("account_id", "team_id"))
    return [
        Draft(number=number, draft=draft, team_id=owners.get(draft.account, home), body=bodies[number])
        for number, draft in enumerate(drafts)
    ]


def _body_of(reading: _Read) -> JSON:
    """The raw copy: what was read, and beside it the spelling of what could not be kept as it was."""
    raw, document = reading.draft.raw, reading.document
    if document.is_altered and isinstance(raw, dict):
        return {**raw, storing.ORIGINAL: document.spelling}
    return raw


def _hold(broken: list[Broken], *, source: str, team: int, at: datetime) -> list[Held]:
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
    """One audit event for the request, if it changed anything."""
    counts: dict[str, Any] = dict(Counter(stored.outcome.value for stored in received.alerts))
    changed = [one.alert.ulid for one in received.alerts if one.alert and one.outcome is not Outcome.REPEATED]
    if not changed and not received.quarantined:
        return
    audit(
        act="alerts.received",
        by=by,
        at=at,
        on=("source", source),
        details={
            **counts,
            "alerts": changed[:50],
            "quarantined": [held.ulid for held in received.quarantined][:50],
            "body": hashlib.sha256(body).hexdigest(),
        },
    )
