"""Drafts become rows: one alert per finding, whoever sends it, however often, and at the same moment.

Uniqueness is the database's: two requests with one finding both try to insert, one succeeds, the
other finds the row and goes on as an update. An update is conditional on the row being as it was
read, and is tried again when it was not. Every new document changes the row's `updated_at`, so
whoever wins an update knows which documents there were.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Q

from cases import inserting, merging
from cases.drafts import Draft
from cases.models import Alert, RawDocument
from lib import canonical
from lib.errors import Conflict

ORIGINAL = "quell:original"
"""The key under which a raw copy holds the document's own spelling, where text had to be replaced."""

CARRIERS = "quell:carried_by"
"""The key under which a raw copy holds what carried it: the same finding by two ways is two copies."""

ROUNDS = 50
"""How often a draft may lose its race before the request is refused."""


class Outcome(StrEnum):
    """What became of a document that could be read."""

    CREATED = "created"
    UPDATED = "updated"
    RECURRED = "recurred"
    REPEATED = "repeated"
    FOREIGN = "foreign"


@dataclass(frozen=True, kw_only=True)
class Stored:
    """The alert that a document belongs to, as it is now. No alert where it is of another team."""

    number: int
    external_id: str
    outcome: Outcome
    alert: Alert | None


def store(drafts: Sequence[Draft], *, at: datetime) -> list[Stored]:
    """Store drafts in the caller's transaction, in the order given. `Conflict` when races go on and on."""
    done: dict[int, Stored] = {}
    pending = list(drafts)
    for _ in range(ROUNDS + len(drafts)):
        if not pending:
            return [done[draft.number] for draft in drafts]
        now, later = _one_of_each(pending)
        for stored in _round(now, at=at):
            done[stored.number] = stored
        pending = [draft for draft in now if draft.number not in done] + later
    raise Conflict("Others keep changing these alerts; send them again.")


def _one_of_each(drafts: Iterable[Draft]) -> tuple[list[Draft], list[Draft]]:
    """The first draft of each finding, in one order for everybody, and the rest for a later round."""
    now: list[Draft] = []
    later: list[Draft] = []
    seen: set[Any] = set()
    for draft in drafts:
        marks = {draft.pair, draft.finding_key} - {None}
        (later if marks & seen else now).append(draft)
        seen |= marks
    return sorted(now, key=lambda draft: draft.pair), later


def _round(drafts: list[Draft], *, at: datetime) -> list[Stored]:
    """Those that got through; the others lost a race and come again."""
    stored = _inserted_first(drafts, at=at) if inserting.is_possible() else []
    done = {one.number for one in stored}
    left = [draft for draft in drafts if draft.number not in done]
    if not left:
        return stored
    known = _known(left)
    others = _insert([draft for draft in left if draft.number not in known], at=at)
    standing = sorted((d for d in left if d.number in known), key=lambda d: known[d.number].pk)
    pairs = [(draft, known[draft.number]) for draft in standing]
    present = _present(pairs)
    for draft, alert in pairs:
        if outcome := _update(draft, alert, present=present, at=at):
            is_ours = outcome is not Outcome.FOREIGN
            others.append(_told(draft, outcome, alert if is_ours else None))
    _keep_copies(others, {draft.number: draft for draft in left}, at=at)
    return [*stored, *others]


def _inserted_first(drafts: list[Draft], *, at: datetime) -> list[Stored]:
    """Those that nobody has seen, with their copies; most are, so it is tried before anything is read."""
    made = inserting.insert(drafts, at=at)
    return [_told(d, Outcome.CREATED, made[d.number]) for d in drafts if d.number in made]


def _known(drafts: list[Draft]) -> dict[int, Alert]:
    """The alert of each draft that has one; the canonical key counts before the sender's id."""
    condition = Q(finding_key__in=[draft.finding_key for draft in drafts if draft.finding_key])
    for source in {draft.draft.source for draft in drafts}:
        ids = [draft.draft.external_id for draft in drafts if draft.draft.source == source]
        condition |= Q(source=source, external_id__in=ids)
    alerts = list(Alert.objects.select_related("incident").filter(condition))
    by_key = {alert.finding_key: alert for alert in alerts if alert.finding_key}
    by_pair = {(alert.source, alert.external_id): alert for alert in alerts}
    found = {d.number: by_key.get(d.finding_key or "") or by_pair.get(d.pair) for d in drafts}
    return {number: alert for number, alert in found.items() if alert is not None}


def _insert(drafts: list[Draft], *, at: datetime) -> list[Stored]:
    if not drafts:
        return []
    rows = [row_of(draft, at=at) for draft in drafts]
    try:
        with transaction.atomic():
            Alert.objects.bulk_create(rows)
    except IntegrityError:  # someone was faster with at least one of them
        Alert.objects.bulk_create(rows, ignore_conflicts=True)
        inserted = {a.ulid: a for a in Alert.objects.filter(ulid__in=[row.ulid for row in rows])}
        return [
            _told(draft, Outcome.CREATED, inserted[row.ulid])
            for draft, row in zip(drafts, rows, strict=True)
            if row.ulid in inserted
        ]
    return [_told(draft, Outcome.CREATED, row) for draft, row in zip(drafts, rows, strict=True)]


def row_of(draft: Draft, *, at: datetime) -> Alert:
    """The alert that a draft nobody has seen becomes; not stored."""
    return Alert(
        finding_key=draft.finding_key,
        fingerprint=canonical.sha256(list(draft.draft.fingerprint)),
        team_id=draft.team_id,
        **merging.columns_of(draft.draft, at=at),
    )


def _present(pairs: list[tuple[Draft, Alert]]) -> set[tuple[int, str]]:
    """Which of the documents are there already."""
    if not pairs:
        return set()
    copies = RawDocument.objects.filter(
        alert__in=[alert.pk for _, alert in pairs], digest__in=[draft.digest for draft, _ in pairs]
    )
    return set(copies.values_list("alert_id", "digest"))


def _update(draft: Draft, alert: Alert, *, present: set[tuple[int, str]], at: datetime) -> Outcome | None:
    """What became of the draft; None when the row changed in between."""
    if _is_foreign(draft, alert):
        return Outcome.FOREIGN
    if (alert.pk, draft.digest) in present:
        return Outcome.REPEATED
    values = merging.changes(alert, draft.draft, at=at)
    held = Alert.objects.filter(
        pk=alert.pk,
        updated_at=alert.updated_at,
        episode=alert.episode,
        status=alert.status,
        count=alert.count,
    )
    if held.update(**values) != 1:
        return None
    for name, value in values.items():
        setattr(alert, name, value)
    return Outcome.RECURRED if "episode" in values else Outcome.UPDATED


def _is_foreign(draft: Draft, alert: Alert) -> bool:
    """Whether the sender's id happens to be in use by another team for something else.

    The same finding, or the same account, may be told by any team's key: accounts change teams, and
    an administrator's feed speaks for all.
    """
    if alert.team_id == draft.team_id or (draft.finding_key and draft.finding_key == alert.finding_key):
        return False
    return not draft.draft.account or draft.draft.account != alert.account


def _keep_copies(stored: list[Stored], drafts: dict[int, Draft], *, at: datetime) -> None:
    copies = [
        copy_of(drafts[one.number], alert=one.alert, at=at)
        for one in stored
        if one.alert is not None and one.outcome is not Outcome.REPEATED
    ]
    RawDocument.objects.bulk_create(copies, ignore_conflicts=True)


def copy_of(draft: Draft, *, alert: Alert | None = None, at: datetime) -> RawDocument:
    """The raw copy of a draft's document; not stored."""
    return RawDocument(
        alert=alert,
        digest=draft.digest,
        body=draft.body,
        source=draft.read_as,
        door=draft.door,
        received_at=at,
    )


def _told(draft: Draft, outcome: Outcome, alert: Alert | None) -> Stored:
    return Stored(number=draft.number, external_id=draft.draft.external_id, outcome=outcome, alert=alert)
