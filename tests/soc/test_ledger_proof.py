"""The proof that runs by itself: when, from where, and who is told of what does not hold."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import transaction
from django.test import Client

from audit import proving, record
from audit.models import AuditEvent
from identity.actors import SYSTEM
from identity.models import Role, User
from lib import clock, doorbell, guards
from notify.models import Delivery, Notice
from soc.ledger import watching
from soc.models import LedgerProof
from tests import make

pytestmark = [pytest.mark.django_db, pytest.mark.fast]


@pytest.fixture
def hands() -> Iterator[clock.ManualClock]:
    manual = clock.ManualClock(clock.now())
    with clock.using(manual):
        yield manual


def tell(count: int) -> None:
    for number in range(count):
        with transaction.atomic():
            record.record(act="tested", by=SYSTEM, at=clock.now(), on=("test", str(number)))


def known() -> LedgerProof:
    return LedgerProof.objects.get()


def ledger() -> object:
    return Client().get("/readyz").json()["ledger"]


def test_the_worker_for_general_work_sweeps() -> None:
    sweep = doorbell.sweep_of("ledger")
    assert (sweep.queue, sweep.run) == ("general", watching.prove_due)


def test_it_proves_the_whole_first_and_then_by_the_hour_from_there_on(
    hands: clock.ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    began: list[int] = []
    prove = proving.prove

    def noted(after: proving.Point | None = None) -> proving.Proved:
        began.append(after.seq if after else 0)
        return prove(after)

    monkeypatch.setattr(proving, "prove", noted)
    tell(3)
    assert (watching.prove_due(), watching.prove_due()) == (1, 0)
    assert (known().seq, ledger()) == (3, "ok")
    tell(2)
    hands.advance(3599)
    assert watching.prove_due() == 0
    hands.advance(2)
    assert watching.prove_due() == 1
    assert known().seq == 5
    for _ in range(23):
        hands.advance(3601)
        assert watching.prove_due() == 1
    assert began == [0, 3, *[5] * 22, 0]


def test_an_empty_ledger_is_proved(hands: clock.ManualClock) -> None:
    assert watching.prove_due() == 1
    assert (known().seq, known().broken_seq) == (0, None)


def test_what_does_not_hold_is_told_once_and_shown_until_it_holds(hands: clock.ManualClock) -> None:
    people = {role: make.person(role) for role in (Role.AUDITOR, Role.LEAD, Role.ANALYST, Role.ADMIN)}
    gone = make.person(Role.AUDITOR)
    User.objects.filter(username=gone.label).update(is_active=False)
    tell(6)
    watching.prove_due()
    guards.drop()
    AuditEvent.objects.filter(seq=6).update(actor="someone else")
    for _ in range(3):
        hands.advance(3601)
        assert watching.prove_due() == 1

    assert (known().broken_seq, known().broken_reason) == (6, "its content does not fit its hash")
    assert ledger() == "broken"
    notice = Notice.objects.get()
    assert (notice.severity, notice.link) == (100, "/audit")
    assert "event 6" in notice.title
    told = set(Delivery.objects.values_list("person_id", flat=True))
    assert told == {people[Role.AUDITOR].person_id, people[Role.LEAD].person_id}
    assert "does not hold at event 6" in make.browser(people[Role.LEAD]).get("/audit").content.decode()

    AuditEvent.objects.filter(seq=6).update(actor=SYSTEM.label)
    hands.advance(3601)
    watching.prove_due()
    assert (known().broken_seq, known().seq, ledger()) == (None, 6, "ok")


def test_it_is_no_reason_to_stop_working() -> None:
    LedgerProof.objects.create(
        pk=1,
        due_at=clock.now(),
        proved_at=clock.now(),
        broken_seq=2,
        broken_reason="x",
        broken_at=clock.now(),
    )
    answer = Client().get("/readyz")
    assert (answer.status_code, answer.json()["ledger"]) == (200, "broken")
    assert "quell_ledger_broken 1.0" in Client().get("/metrics").content.decode()


def test_what_changed_long_ago_is_found_within_a_day(hands: clock.ManualClock) -> None:
    """The hourly look begins behind it; the daily one does not."""
    tell(6)
    watching.prove_due()
    guards.drop()
    AuditEvent.objects.filter(seq=2).update(actor="someone else")
    found = []
    for _ in range(24):
        hands.advance(3601)
        watching.prove_due()
        found.append(known().broken_seq)
    assert found[0] is None
    assert found[-1] == 2


def test_a_second_defect_is_told_too(hands: clock.ManualClock) -> None:
    make.person(Role.AUDITOR)
    tell(6)
    guards.drop()
    for seq in (5, 3):
        AuditEvent.objects.filter(seq=seq).update(actor="someone else")
        watching.prove_due()
        hands.advance(3601)
    assert sorted(Notice.objects.values_list("title", flat=True)) == [
        "The ledger does not hold at event 3",
        "The ledger does not hold at event 5",
    ]
