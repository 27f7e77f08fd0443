"""Milestones: one writer, append-only, each change with its timeline entry and audit event."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.db import Error, connection, transaction

from audit import record as ledger
from audit.models import AuditEvent
from cases import milestones, timeline
from cases.models import Incident, Milestone
from cases.words import Basis, MilestoneKind, MilestoneSource
from identity.actors import SYSTEM, Actor
from lib import clock
from lib.errors import Invalid
from tests import make

pytestmark = [pytest.mark.fast, pytest.mark.django_db]


def state(
    incident: Incident, kind: MilestoneKind, at: datetime, by: Actor = SYSTEM, **values: object
) -> Milestone:
    with transaction.atomic():
        return milestones.record(
            incident=incident,
            kind=kind,
            at=at,
            by=by,
            recorded_at=clock.now(),
            **{"source": MilestoneSource.PERSON, **values},  # type: ignore[arg-type]
        )


def test_a_statement_sets_the_column_and_says_where_it_comes_from(lead: Actor) -> None:
    incident, at = make.incident(), clock.now() - timedelta(days=3)

    said = state(
        incident,
        MilestoneKind.ATTACKER_ACCESS,
        at,
        lead,
        estimated=True,
        not_before=at - timedelta(hours=6),
        not_after=at + timedelta(hours=6),
        reason="first odd sign-in",
        evidence="event 12ab",
    )

    incident.refresh_from_db()
    assert incident.attacker_access_at == at
    said.refresh_from_db()
    assert (said.text.reason, said.text.evidence, said.person_id) == (
        "first odd sign-in",
        "event 12ab",
        lead.person_id,
    )
    assert said.text_digest == timeline.digest(said.text.salt, "first odd sign-in", "event 12ab")
    entry = incident.timeline.get()
    assert (entry.kind, entry.at, entry.links["milestone"]) == ("milestone", at, said.ulid)
    assert "(estimated)" in entry.text.title
    event = AuditEvent.objects.get(object_id=incident.ref)
    assert (event.act, event.person) == ("milestone.recorded", lead.person_ulid)
    assert ledger.verify() is None


def test_the_newest_statement_counts_and_names_the_one_before() -> None:
    incident, at = make.incident(), clock.now()

    first = state(incident, MilestoneKind.RESPONDED, at)
    second = state(incident, MilestoneKind.RESPONDED, at - timedelta(hours=1))

    incident.refresh_from_db()
    assert incident.responded_at == at - timedelta(hours=1)
    assert second.supersedes == first


def test_a_withdrawal_empties_the_column_and_first_contained_stays() -> None:
    incident, at = make.incident(), clock.now() - timedelta(hours=1)
    state(incident, MilestoneKind.CONTAINED, at, basis=Basis.BY_QUELL)

    with transaction.atomic():
        taken = milestones.withdraw(
            incident=incident,
            kind=MilestoneKind.CONTAINED,
            by=SYSTEM,
            recorded_at=clock.now(),
            reason="a new key",
            source=MilestoneSource.ACTION,
        )
        nothing = milestones.withdraw(
            incident=incident,
            kind=MilestoneKind.RECOVERED,
            by=SYSTEM,
            recorded_at=clock.now(),
            reason="",
            source=MilestoneSource.ACTION,
        )
    state(incident, MilestoneKind.CONTAINED, at + timedelta(minutes=30), basis=Basis.OBSERVED)

    incident.refresh_from_db()
    assert taken is not None
    assert taken.at is None
    assert nothing is None
    assert incident.contained_at == at + timedelta(minutes=30)
    assert (incident.first_contained_at, incident.contained_basis) == (at, "observed")


@pytest.mark.parametrize(
    ("values", "pointer"),
    [
        ({"at": timedelta(hours=1)}, "/at"),
        ({"not_before": timedelta(minutes=1)}, "/not_before"),
        ({"not_after": timedelta(minutes=-1)}, "/not_after"),
        ({"basis": "by_quell"}, "/basis"),
    ],
)
def test_a_statement_that_cannot_be_is_refused(values: dict[str, object], pointer: str) -> None:
    incident, now = make.incident(), clock.now()
    given = {name: now + value if isinstance(value, timedelta) else value for name, value in values.items()}

    with pytest.raises(Invalid) as refused:
        state(incident, MilestoneKind.RESPONDED, **{"at": now, **given})  # type: ignore[arg-type]

    assert refused.value.pointer == pointer
    assert not incident.milestones.exists()


def test_contained_says_what_it_rests_on() -> None:
    with pytest.raises(Invalid):
        state(make.incident(), MilestoneKind.CONTAINED, clock.now())


def test_the_database_itself_refuses_to_change_what_was_written() -> None:
    incident = make.incident()
    state(incident, MilestoneKind.RESPONDED, clock.now())

    for change in (
        "UPDATE cases_milestone SET actor = 'x'",
        "DELETE FROM cases_milestone",
        "UPDATE cases_timelineentry SET actor = 'x'",
        "DELETE FROM cases_timelineentry",
    ):
        with pytest.raises(Error, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(change)


@pytest.mark.django_db(transaction=True)
def test_nothing_is_written_outside_the_transaction_of_the_change() -> None:
    incident, at = make.incident(), clock.now()

    with pytest.raises(RuntimeError):
        milestones.record(
            incident=incident,
            kind=MilestoneKind.RESPONDED,
            at=at,
            source=MilestoneSource.PERSON,
            by=SYSTEM,
            recorded_at=at,
        )
    with pytest.raises(RuntimeError):
        timeline.add(incident=incident, kind="note", at=at, title="x", by=SYSTEM, recorded_at=at)


def test_a_title_that_is_too_long_is_cut_visibly() -> None:
    at = clock.now()

    entry = timeline.add(
        incident=make.incident(), kind="note", at=at, title="x" * 600, by=SYSTEM, recorded_at=at
    )

    entry.refresh_from_db()
    assert entry.text.title == "x" * 499 + "…"
