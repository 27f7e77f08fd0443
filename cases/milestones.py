"""The milestones of an incident: the only writer of these rows and of the incident's columns.

A statement is never changed. The newest one of a kind counts; one without a time withdraws what was
said before. `first_contained_at` stays when `contained_at` is withdrawn.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models.functions import Coalesce

from audit.record import record as audit
from cases import timeline
from cases.models import Incident, Milestone, MilestoneText
from cases.words import Basis, MilestoneKind, MilestoneSource
from identity.actors import Actor
from lib.errors import Invalid

AHEAD = timedelta(minutes=5)
"""How far a person's statement may lie ahead of our clock: clocks differ by minutes, not more."""

EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)

LABELS = {
    MilestoneKind.ATTACKER_ACCESS: "Attacker access",
    MilestoneKind.FIRST_IOC: "First indicator of compromise",
    MilestoneKind.DETECTED: "Detected",
    MilestoneKind.RECEIVED: "Received",
    MilestoneKind.ACKNOWLEDGED: "Acknowledged",
    MilestoneKind.PRIORITISED: "Prioritised",
    MilestoneKind.RESPONDED: "First response",
    MilestoneKind.CONTAINED: "Contained",
    MilestoneKind.ERADICATED: "Eradicated",
    MilestoneKind.RECOVERED: "Recovered",
    MilestoneKind.CLOSED: "Closed",
}


def record(
    *,
    incident: Incident,
    kind: MilestoneKind,
    at: datetime,
    source: MilestoneSource,
    by: Actor,
    recorded_at: datetime,
    estimated: bool = False,
    not_before: datetime | None = None,
    not_after: datetime | None = None,
    basis: str = "",
    reason: str = "",
    evidence: str = "",
) -> Milestone:
    """State when something happened: milestone, column, timeline entry and audit event, in one go.

    Runs in the caller's transaction. `basis` is needed for `contained_at` and refused elsewhere; only
    an import may leave it out, when the other system does not tell.
    Raises `Invalid` when a person's time lies in the future, outside its own bounds, or the basis
    does not fit.
    """
    _check_times(at=at, not_before=not_before, not_after=not_after, source=source, recorded_at=recorded_at)
    is_told = bool(basis) or (source == MilestoneSource.IMPORT and kind == MilestoneKind.CONTAINED)
    if (kind == MilestoneKind.CONTAINED) != is_told or (basis and basis not in set(Basis)):
        raise Invalid("contained_at says what it rests on, and nothing else does.", pointer="/basis")
    return _state(
        incident=incident,
        kind=kind,
        at=at,
        source=source,
        by=by,
        recorded_at=recorded_at,
        estimated=estimated,
        not_before=not_before,
        not_after=not_after,
        basis=basis,
        reason=reason,
        evidence=evidence,
    )


def record_history(
    *,
    incident: Incident,
    stated: Mapping[MilestoneKind, datetime],
    estimated: Collection[MilestoneKind] = (),
    by: Actor,
    recorded_at: datetime,
) -> None:
    """The milestones of a new incident that comes from another system, without a reason or evidence.

    In the caller's transaction, before anything else was stated about the incident. What the other
    system's "contained" rests on is not known, so the basis stays empty. The import is audited as a
    whole by the caller.
    """
    found = Milestone.objects.bulk_create(
        Milestone(
            incident=incident,
            kind=kind,
            at=at,
            estimated=kind in estimated,
            source=MilestoneSource.IMPORT,
            actor=by.label[:80],
            person_id=by.person_id,
            recorded_at=recorded_at,
        )
        for kind, at in stated.items()
    )
    values: dict[str, Any] = {kind.value: at for kind, at in stated.items()}
    if MilestoneKind.CONTAINED in stated:
        values["first_contained_at"] = stated[MilestoneKind.CONTAINED]
    Incident.objects.filter(pk=incident.pk).update(updated_at=recorded_at, **values)
    timeline.add_history(
        incident=incident,
        kind="milestone",
        happened=[
            (
                stated[MilestoneKind(milestone.kind)],
                _title(MilestoneKind(milestone.kind), at=milestone.at, estimated=milestone.estimated),
                {"milestone": milestone.ulid, "kind": milestone.kind},
            )
            for milestone in found
        ],
        by=by,
        recorded_at=recorded_at,
    )


def withdraw(
    *,
    incident: Incident,
    kind: MilestoneKind,
    by: Actor,
    recorded_at: datetime,
    reason: str,
    source: MilestoneSource,
) -> Milestone | None:
    """Take back the milestone of a kind; None, with nothing written, when there is none to take back."""
    if not Incident.objects.filter(pk=incident.pk, **{f"{kind.value}__isnull": False}).exists():
        return None
    return _state(
        incident=incident, kind=kind, at=None, source=source, by=by, recorded_at=recorded_at, reason=reason
    )


def check_meant(at: datetime, *, recorded_at: datetime) -> None:
    """Refuse (`Invalid`) a time that a person cannot mean: in the future, or before there were clouds."""
    if at > recorded_at + AHEAD:
        raise Invalid("That time lies in the future.", pointer="/at")
    if at < EARLIEST:
        raise Invalid("That time cannot be meant.", pointer="/at")


def _check_times(
    *,
    at: datetime,
    not_before: datetime | None,
    not_after: datetime | None,
    source: MilestoneSource,
    recorded_at: datetime,
) -> None:
    if source == MilestoneSource.PERSON:
        check_meant(at, recorded_at=recorded_at)
    if not_before is not None and not_before > at:
        raise Invalid("It cannot have happened before its own lower bound.", pointer="/not_before")
    if not_after is not None and not_after < at:
        raise Invalid("It cannot have happened after its own upper bound.", pointer="/not_after")


def _state(
    *,
    incident: Incident,
    kind: MilestoneKind,
    at: datetime | None,
    source: MilestoneSource,
    by: Actor,
    recorded_at: datetime,
    estimated: bool = False,
    not_before: datetime | None = None,
    not_after: datetime | None = None,
    basis: str = "",
    reason: str = "",
    evidence: str = "",
) -> Milestone:
    if not connection.in_atomic_block:
        raise RuntimeError("a milestone is written in the transaction of the change it tells of")
    # The update comes first: it takes the incident's row lock, so two statements of one kind queue up
    # and each supersedes the one before it.
    _set_column(incident, kind=kind, at=at, basis=basis, recorded_at=recorded_at)
    salt = secrets.token_hex(16) if reason or evidence else ""
    milestone = Milestone.objects.create(
        incident=incident,
        kind=kind,
        at=at,
        estimated=estimated,
        not_before=not_before,
        not_after=not_after,
        source=source,
        basis=basis,
        actor=by.label[:80],
        person_id=by.person_id,
        recorded_at=recorded_at,
        supersedes=Milestone.objects.filter(incident=incident, kind=kind).order_by("-pk").first(),
        text_digest=timeline.digest(salt, reason, evidence) if salt else "",
    )
    if salt:
        MilestoneText.objects.create(milestone=milestone, salt=salt, reason=reason, evidence=evidence)
    timeline.add(
        incident=incident,
        kind="milestone" if at else "milestone_withdrawn",
        at=at or recorded_at,
        title=_title(kind, at=at, estimated=estimated),
        detail=reason,
        by=by,
        recorded_at=recorded_at,
        links={"milestone": milestone.ulid, "kind": kind.value},
    )
    audit(
        act="milestone.recorded" if at else "milestone.withdrawn",
        by=by,
        at=recorded_at,
        on=("incident", incident.ref),
        details={"kind": kind.value, "at": _utc(at), "source": source.value, "milestone": milestone.ulid},
    )
    return milestone


def _set_column(
    incident: Incident, *, kind: MilestoneKind, at: datetime | None, basis: str, recorded_at: datetime
) -> None:
    values: dict[str, Any] = {kind.value: at, "updated_at": recorded_at}
    if kind == MilestoneKind.CONTAINED:
        values["contained_basis"] = basis
        if at is not None:
            values["first_contained_at"] = Coalesce("first_contained_at", at)
    Incident.objects.filter(pk=incident.pk).update(**values)
    setattr(incident, kind.value, at)
    incident.updated_at = recorded_at
    if kind == MilestoneKind.CONTAINED:
        incident.contained_basis = basis
        if at is not None and incident.first_contained_at is None:
            incident.first_contained_at = at


def _title(kind: MilestoneKind, *, at: datetime | None, estimated: bool) -> str:
    label = LABELS[kind]
    if at is None:
        return f"{label}: withdrawn"
    return f"{label}: {_utc(at)}" + (" (estimated)" if estimated else "")


def _utc(at: datetime | None) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z") if at else ""
