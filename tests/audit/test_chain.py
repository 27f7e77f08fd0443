"""The ledger: whole after anything honest, broken in the right place after anything else."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable

import pytest
from django.core.checks import run_checks
from django.core.management import call_command
from django.db import DatabaseError, close_old_connections, connection, connections, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit import record
from audit.models import AuditEvent
from identity.actors import SYSTEM, Actor
from lib import clock, guards

pytestmark = pytest.mark.django_db

EVENTS = "audit_auditevent"


def add(count: int, *, by: Actor = SYSTEM) -> list[int]:
    made = []
    for number in range(count):
        with transaction.atomic():
            details = {"number": number, "note": "é \U0001f600"}
            made.append(
                record.record(act="tested", by=by, at=clock.now(), on=("test", str(number)), details=details)
            )
    return made


def run(sql: str, *parameters: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return int(cursor.rowcount)


@pytest.fixture
def unguarded() -> None:
    """An intruder with all rights to the database took the triggers away."""
    guards.drop()


def verified() -> tuple[int, str]:
    """What the command says: its exit status and its words."""
    out, err = io.StringIO(), io.StringIO()
    try:
        call_command("verify_audit", stdout=out, stderr=err)
    except SystemExit as end:
        return int(end.code or 0), err.getvalue()
    return 0, out.getvalue()


@pytest.mark.fast
def test_a_chain_holds() -> None:
    assert record.verify() is None
    person = Actor(kind="person", label="lea", person_ulid="0" * 26, ip="2001:db8::1", request_id="r-1")
    assert add(3) == [1, 2, 3]
    assert add(2, by=person) == [4, 5]
    assert verified() == (0, "the audit chain is whole\n")
    first, second = AuditEvent.objects.order_by("seq")[:2]
    assert first.prev_hash == record.GENESIS
    assert second.prev_hash == first.hash


@pytest.mark.fast
def test_an_event_needs_the_transaction_of_its_change(transactional_db: None) -> None:
    with pytest.raises(RuntimeError, match="in the transaction"):
        record.record(act="tested", by=SYSTEM, at=clock.now(), on=("test", "1"))


@pytest.mark.fast
def test_what_is_rolled_back_leaves_no_gap() -> None:
    add(1)
    with transaction.atomic():
        record.record(act="tested", by=SYSTEM, at=clock.now(), on=("test", "1"))
        transaction.set_rollback(True)
    assert add(1) == [2]
    assert record.verify() is None


@pytest.mark.fast
@pytest.mark.parametrize(
    ("sql", "first_bad", "reason"),
    [
        ("UPDATE audit_auditevent SET actor = 'someone else' WHERE seq = 3", 3, "its content does not fit"),
        ("UPDATE audit_auditevent SET details = '{}' WHERE seq = 3", 3, "its content does not fit"),
        ("UPDATE audit_auditevent SET ip = '192.0.2.1' WHERE seq = 1", 1, "its content does not fit"),
        ("UPDATE audit_auditevent SET hash = prev_hash WHERE seq = 4", 4, "its content does not fit"),
        ("UPDATE audit_auditevent SET prev_hash = hash WHERE seq = 4", 4, "does not follow"),
        ("DELETE FROM audit_auditevent WHERE seq = 3", 3, "event 3 is missing, 4 follows"),
        ("DELETE FROM audit_auditevent WHERE seq = 1", 1, "event 1 is missing, 2 follows"),
        ("DELETE FROM audit_auditevent WHERE seq > 4", 5, "the head says 6 events, found 4"),
        ("DELETE FROM audit_auditevent", 1, "the head says 6 events, found 0"),
        ("UPDATE audit_audithead SET seq = 4", 4, "the head says 4 events, found 6"),
        ("UPDATE audit_audithead SET hash = 'ffff'", 6, "the head does not fit"),
        ("DELETE FROM audit_audithead", 1, "the head of the chain is missing"),
        ("UPDATE audit_auditevent SET seq = 99 WHERE seq = 6", 6, "event 6 is missing, 99 follows"),
    ],
)
def test_tampering_is_found_at_its_first_place(
    unguarded: None, sql: str, first_bad: int, reason: str
) -> None:
    add(6)
    assert run(sql)
    status, words = verified()
    assert status == 1
    assert words.startswith(f"broken at {first_bad}: ")
    assert reason in words


@pytest.mark.fast
@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE audit_auditevent SET act = 'x' WHERE seq = 1",
        "UPDATE audit_auditevent SET act = act",
        "DELETE FROM audit_auditevent WHERE seq = 3",
        "DELETE FROM audit_auditevent",
        "UPDATE audit_audithead SET seq = seq - 1",
        "UPDATE audit_audithead SET seq = seq + 2",
        "UPDATE audit_audithead SET seq = 0, hash = '0000'",
        "DELETE FROM audit_audithead",
        "INSERT INTO audit_auditevent SELECT * FROM audit_auditevent WHERE seq = 1",
    ],
)
def test_the_database_itself_refuses(sql: str) -> None:
    add(3)
    with pytest.raises(DatabaseError), transaction.atomic():
        run(sql)
    assert record.verify() is None
    assert AuditEvent.objects.count() == 3


@pytest.mark.fast
@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite has no TRUNCATE")
@pytest.mark.parametrize("table", [EVENTS, "cases_timelineentry", "cases_milestone"])
def test_truncate_is_refused_too(table: str) -> None:
    add(1)
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        run(f"TRUNCATE {table} CASCADE")


@pytest.mark.fast
def test_a_replaced_row_is_refused_on_sqlite() -> None:
    """REPLACE removes the row in its way, past the delete triggers unless the connection says otherwise."""
    if connection.vendor != "sqlite":
        pytest.skip("REPLACE is SQLite's")
    add(3)
    with pytest.raises(DatabaseError), transaction.atomic():
        run("REPLACE INTO audit_auditevent SELECT * FROM audit_auditevent WHERE seq = 2")


@pytest.mark.fast
def test_missing_triggers_are_reported_and_migrate_puts_them_back() -> None:
    guards.drop()
    names = guards.missing()
    assert f"guard_{EVENTS}_update" in names
    assert f"guard_{EVENTS}_delete" in names
    reported = {str(message.id) for message in run_checks(databases=["default"])}
    assert "quell.W010" in reported
    call_command("migrate", verbosity=0)
    assert guards.missing() == []
    assert not [m for m in run_checks(databases=["default"]) if m.id == "quell.W010"]


@pytest.mark.fast
@pytest.mark.parametrize("guard", list(guards.registered()), ids=lambda guard: guard.trigger)
def test_each_trigger_is_missed_by_its_name(guard: guards.Guard) -> None:
    if not guards._applies(connection.vendor, guard):
        pytest.skip("not of this engine")
    run(guards._drop(connection.vendor, guard))
    assert guards.missing() == [guard.trigger]


@pytest.mark.fast
@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite cannot switch a trigger off")
def test_a_trigger_switched_off_counts_as_missing() -> None:
    run(f'ALTER TABLE {EVENTS} DISABLE TRIGGER "guard_{EVENTS}_update"')
    assert guards.missing() == [f"guard_{EVENTS}_update"]


@given(
    st.lists(
        st.dictionaries(st.text(max_size=5), st.one_of(st.none(), st.integers(-(2**53), 2**53), st.text())),
        max_size=4,
    )
)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_details_survive_the_database(details: list[dict[str, object]]) -> None:
    clean = [
        {k.replace("\0", ""): v.replace("\0", "") if isinstance(v, str) else v for k, v in one.items()}
        for one in details
    ]
    for one in clean:
        with transaction.atomic():
            record.record(act="tested", by=SYSTEM, at=clock.now(), on=("test", "1"), details=one)
    assert record.verify() is None


def in_threads(count: int, work: Callable[[], object]) -> list[DatabaseError]:
    """Run the work in so many threads at once; how the database failed them."""
    failures: list[DatabaseError] = []
    barrier = threading.Barrier(count)

    def one() -> None:
        try:
            barrier.wait()
            work()
        except DatabaseError as failure:
            failures.append(failure)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=one) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    close_old_connections()
    return failures


@pytest.mark.django_db(transaction=True)
def test_eight_at_once_give_one_unbroken_chain() -> None:
    with transaction.atomic():
        record.record(act="first", by=SYSTEM, at=clock.now(), on=("test", "0"))
    assert in_threads(8, lambda: add(25)) == []
    assert AuditEvent.objects.count() == 201
    assert record.verify() is None


@pytest.mark.django_db(transaction=True)
def test_eight_at_once_may_even_begin_it() -> None:
    failures = in_threads(8, lambda: add(3))
    assert failures == []
    assert AuditEvent.objects.count() == 24
    assert record.verify() is None
