"""Receipts are sealed into the chain, and whoever changes, removes or puts in one afterwards is found out."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import connection, transaction

from audit import receipts, record
from audit.models import AuditEvent, Receipt, Sealed
from identity.actors import SYSTEM
from lib import clock, guards
from tests.cases.test_ingest import together

pytestmark = pytest.mark.django_db


def written(number: int) -> None:
    with transaction.atomic():
        for n in range(number):
            receipts.write(
                act="alerts.received", by=SYSTEM, at=clock.now(), on=("source", "s"), details={"created": n}
            )


def test_every_receipt_is_sealed_once_and_the_whole_holds() -> None:
    written(3)
    assert record.verify() is None, "what has no seal yet breaks nothing"

    assert receipts.Sealing().sweep() == 3
    assert receipts.Sealing().sweep() == 0
    written(2)
    assert receipts.Sealing().sweep() == 2

    assert record.verify() is None
    assert Sealed.objects.count() == 5
    assert [
        event.details["count"] for event in AuditEvent.objects.filter(act=receipts.SEALED).order_by("seq")
    ] == [3, 2]


def altered() -> None:
    Receipt.objects.filter(details={"created": 1}).update(actor="somebody else")


def removed() -> None:
    Receipt.objects.filter(details={"created": 1}).delete()


def removed_with_its_line() -> None:
    one = Receipt.objects.get(details={"created": 1})
    Sealed.objects.filter(receipt=one.pk).delete()
    one.delete()


def line_altered() -> None:
    Sealed.objects.filter(receipt=Receipt.objects.earliest("pk").pk).update(digest="0" * 64)


def put_in_as_if_old() -> None:
    Receipt.objects.create(
        at=clock.now() - timedelta(days=2),
        written_at=clock.now() - timedelta(days=2),
        act="alerts.received",
        actor_kind="system",
        actor="quell",
        object_type="source",
        object_id="s",
    )


@pytest.mark.parametrize(
    "tamper",
    [altered, removed, removed_with_its_line, line_altered, put_in_as_if_old],
    ids=lambda one: one.__name__,
)
def test_what_was_done_to_receipts_is_found(tamper: Callable[[], None]) -> None:
    written(3)
    receipts.Sealing().sweep()
    assert record.verify() is None
    guards.drop()
    try:
        tamper()
    finally:
        guards.install()

    broken = record.verify()

    assert broken is not None
    assert "receipt" in broken.reason


def test_the_database_refuses_to_change_a_receipt() -> None:
    written(1)
    with pytest.raises(Exception, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("UPDATE audit_receipt SET actor = 'x'")


@pytest.mark.django_db(transaction=True)
class TestAtOnce:
    def test_writers_and_sealers_at_once_leave_each_receipt_under_one_seal(self) -> None:
        def writer() -> None:
            for _ in range(20):
                written(3)

        def sealer() -> None:
            sealing = receipts.Sealing()
            for _ in range(20):
                sealing.sweep()

        failures = together(writer, sealer, writer, sealer, sealer)
        receipts.Sealing().sweep()

        assert failures == []
        assert Receipt.objects.count() == Sealed.objects.count() == 120
        seals = AuditEvent.objects.filter(act=receipts.SEALED)
        assert sum(seal.details["count"] for seal in seals) == 120
        assert record.verify() is None

    @pytest.mark.skipif("connection.vendor == 'sqlite'", reason="SQLite has one writer: none is late")
    def test_a_receipt_that_is_committed_after_a_later_one_was_sealed_gets_a_seal_too(self) -> None:
        numbered, is_sealed = threading.Event(), threading.Event()
        sealing = receipts.Sealing()
        sealing.sweep()

        def late() -> None:
            with transaction.atomic():
                written(1)
                numbered.set()
                assert is_sealed.wait(10)

        def early() -> None:
            assert numbered.wait(10)
            written(1)
            assert sealing.sweep() == 1
            is_sealed.set()

        assert together(late, early) == []
        assert sealing.sweep() == 1, "the short look goes back far enough"
        first, second = Sealed.objects.order_by("receipt")
        assert first.seq > second.seq
        assert record.verify() is None
