"""Proving from a point on: the same findings as of the whole, as far as they lie behind the point."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import connections, transaction

from audit import proving, receipts, record
from audit.models import AuditEvent, AuditHead, Receipt, Sealed
from audit.proving import Point
from identity.actors import SYSTEM
from lib import clock, guards

pytestmark = pytest.mark.django_db


def add(count: int) -> None:
    for number in range(count):
        with transaction.atomic():
            record.record(act="tested", by=SYSTEM, at=clock.now(), on=("test", str(number)))


def receive(count: int) -> None:
    for number in range(count):
        with transaction.atomic():
            receipts.write(
                act="received", by=SYSTEM, at=clock.now(), on=("source", "edr"), details={"n": number}
            )
    assert receipts.seal(at=clock.now()) == count


@pytest.fixture
def point() -> Point:
    """Proved up to event 6, a seal; five events and a seal follow, and the triggers are gone."""
    add(5)
    receive(3)
    found = proving.prove()
    assert found.broken is None
    add(5)
    receive(3)
    guards.drop()
    return found.upto


@pytest.mark.fast
def test_a_proof_goes_on_where_the_last_one_ended(point: Point) -> None:
    whole, rest = proving.prove(), proving.prove(point)
    assert point.seq == 6
    assert whole.broken is rest.broken is None
    assert whole.upto == rest.upto
    assert whole.upto.seq == 12
    assert proving.prove(rest.upto).upto == rest.upto


def alter(seq: int) -> None:
    AuditEvent.objects.filter(seq=seq).update(actor="someone else")


def cut(seq: int) -> None:
    AuditEvent.objects.filter(seq__gt=seq).delete()


TAMPERINGS: dict[str, tuple[Callable[[], object], int]] = {
    "an event": (lambda: alter(9), 9),
    "the event of the point": (lambda: alter(6), 6),
    "an event deleted": (lambda: AuditEvent.objects.filter(seq=8).delete(), 8),
    "the tail": (lambda: cut(10), 11),
    "all from the point on": (lambda: cut(5), 6),
    "the head": (lambda: AuditHead.objects.update(hash="f" * 64), 12),
    "no head": (lambda: AuditHead.objects.all().delete(), 1),
    "a receipt": (lambda: Receipt.objects.filter(pk=last_receipt()).update(actor="x"), 12),
    "a receipt deleted": (lambda: Receipt.objects.filter(pk=last_receipt()).delete(), 12),
    "a receipt taken out": (lambda: Sealed.objects.filter(receipt=last_receipt()).delete(), 12),
    "a receipt listed behind the end": (
        lambda: Sealed.objects.filter(receipt=last_receipt()).update(seq=99),
        12,
    ),
}


def last_receipt() -> int:
    return int(Receipt.objects.order_by("-pk").values_list("pk", flat=True)[0])


@pytest.mark.fast
@pytest.mark.parametrize("kind", TAMPERINGS)
def test_what_changed_behind_the_point_is_found(point: Point, kind: str) -> None:
    tamper, first_bad = TAMPERINGS[kind]
    tamper()
    found = proving.prove(point)
    assert found.broken is not None
    assert found.broken.seq == first_bad, found.broken
    assert found.upto == point


@pytest.mark.fast
def test_what_lies_before_the_point_is_for_the_whole_proof(point: Point) -> None:
    alter(3)
    assert proving.prove(point).broken is None
    whole = proving.prove().broken
    assert whole is not None
    assert whole.seq == 3


@pytest.mark.fast
def test_a_receipt_put_in_behind_the_seals_is_seen_from_the_point_on(point: Point) -> None:
    """The point knows what the seals of the hour before it had reached."""
    with clock.using(clock.ManualClock(clock.now() + timedelta(hours=3))):
        receive(1)
        upto = proving.prove(point).upto
        Receipt.objects.create(
            at=clock.now() - timedelta(hours=3),
            written_at=clock.now() - timedelta(hours=3),
            act="received",
            actor_kind="system",
            actor="x",
            object_type="source",
            object_id="edr",
        )
        found = proving.prove(upto).broken
    assert found is not None
    assert "put in after the seals had passed it by" in found.reason


@pytest.mark.django_db(transaction=True)
def test_a_proof_beside_writers_finds_nothing() -> None:
    """No transaction is held, so events and seals come while it walks: none may look like a defect."""
    add(300)
    stop, failures = threading.Event(), []

    def write() -> None:
        try:
            while not stop.is_set():
                add(1)
                receive_one()
        except Exception as failure:  # noqa: BLE001 - told below
            failures.append(failure)
        finally:
            connections.close_all()

    writers = [threading.Thread(target=write) for _ in range(2)]
    for writer in writers:
        writer.start()
    try:
        broken = [proving.prove().broken for _ in range(15)]
    finally:
        stop.set()
        for writer in writers:
            writer.join()
    assert failures == []
    assert set(broken) == {None}
    assert AuditEvent.objects.count() > 300
    assert proving.prove().broken is None


def receive_one() -> None:
    with transaction.atomic():
        receipts.write(act="received", by=SYSTEM, at=clock.now(), on=("source", "edr"), details={})
    receipts.seal(at=clock.now())
