"""What is looked for in the ledger: what fits, and what makes no sense."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from audit import record, search
from audit.models import AuditEvent
from audit.search import Asked
from identity.actors import SYSTEM, Actor
from lib.errors import Invalid

pytestmark = [pytest.mark.django_db, pytest.mark.fast]

AT = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
LEA = "01JABCDEFGHJKMNPQRSTVWXYZ0"


@pytest.fixture
def events() -> None:
    lea = Actor(kind="person", label="lea", person_ulid=LEA, ip="2001:db8::1", request_id="request-1")
    with transaction.atomic():
        for hour, (act, by, on) in enumerate(
            [
                ("alert.acknowledged", lea, ("alert", "a-1")),
                ("alert.dismissed", lea, ("alert", "a-1")),
                ("alerts.counted", SYSTEM, ("alert", "a-2")),
                ("signed-in", Actor(kind="person", label="max", ip="192.0.2.7"), ("login", "a-1")),
            ]
        ):
            record.record(act=act, by=by, at=AT + timedelta(hours=hour), on=on)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, [4, 3, 2, 1]),
        ({"act": "alert.dismissed"}, [2]),
        ({"act": "alert.*"}, [2, 1]),
        ({"act": "alert*"}, [3, 2, 1]),
        ({"act": "*"}, [4, 3, 2, 1]),
        ({"act": "alert"}, []),
        ({"act": "ALERT.*"}, []),
        ({"actor": "lea"}, [2, 1]),
        ({"person": LEA.lower()}, [2, 1]),
        ({"type": "alert"}, [3, 2, 1]),
        ({"id": "a-1"}, [4, 2, 1]),
        ({"type": "alert", "id": "a-1"}, [2, 1]),
        ({"ip": "2001:0DB8:0::1"}, [2, 1]),
        ({"request": "request-1"}, [2, 1]),
        ({"from": "2026-11-20T11:00:00Z"}, [4, 3, 2]),
        ({"until": "2026-11-20T11:00Z"}, [1]),
        ({"from": "2026-11-20", "until": "2026-11-21"}, [4, 3, 2, 1]),
        ({"from": "2026-11-21"}, []),
        ({"from_seq": "2", "to_seq": "3"}, [3, 2]),
        ({"act": " alert.* ", "actor": "max"}, []),
        ({"unknown": "x"}, [4, 3, 2, 1]),
    ],
)
def test_all_conditions_have_to_fit(events: None, query: dict[str, str], expected: list[int]) -> None:
    if query.get("act") == "ALERT.*" and connection.vendor == "sqlite":
        pytest.skip("LIKE of SQLite takes no notice of case")
    found = search.matching(Asked.of(query))
    assert list(found.values_list("seq", flat=True)) == expected


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ({"act": "al*ert"}, "/act"),
        ({"act": "x" * 62}, "/act"),
        ({"actor": "a\0b"}, "/actor"),
        ({"person": "lea"}, "/person"),
        ({"ip": "192.0.2"}, "/ip"),
        ({"from": "yesterday"}, "/from"),
        ({"from": "2026-02-30"}, "/from"),
        ({"from": "2026-11-20T10:00:00+02:00"}, "/from"),
        ({"from": "2026-11-21", "until": "2026-11-20"}, "/until"),
        ({"from_seq": "0"}, "/from_seq"),
        ({"to_seq": "9" * 30}, "/to_seq"),
        ({"to_seq": "-1"}, "/to_seq"),
        ({"from_seq": "3", "to_seq": "2"}, "/to_seq"),
    ],
)
def test_what_can_fit_nothing_is_refused_with_its_place(query: dict[str, str], pointer: str) -> None:
    with pytest.raises(Invalid) as refused:
        Asked.of(query)
    assert refused.value.pointer == pointer


def test_what_was_asked_can_be_asked_again_from_its_address() -> None:
    query = {
        "act": "alert.*",
        "actor": "lea",
        "person": LEA,
        "type": "alert",
        "id": "a-1",
        "ip": "192.0.2.7",
        "request": "request-1",
        "from": "2026-11-20T10:30:00Z",
        "until": "2026-11-21",
        "from_seq": "1",
        "to_seq": "9",
    }
    asked = Asked.of(query)
    assert dict(asked.pairs) == query
    assert set(query) == search.NAMES
    assert Asked.of(dict(asked.pairs)) == asked
    assert not asked.without(*Asked.__dataclass_fields__).is_narrow


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="the planner of PostgreSQL is asked")
@pytest.mark.parametrize(
    ("query", "index"),
    [
        ({"act": "nothing"}, "audit_act"),
        ({"act": "nothing.*"}, "audit_act"),
        ({"actor": "nobody"}, "audit_actor"),
        ({"person": LEA}, "audit_person"),
        ({"ip": "192.0.2.99"}, "audit_ip"),
        ({"request": "request-0"}, "audit_request"),
        ({"from": "2020-01-01", "until": "2020-01-02"}, "audit_at"),
    ],
)
def test_a_search_reads_an_index(events: None, query: dict[str, str], index: str) -> None:
    """With the table read whole ruled out the planner shows which index can serve the question."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("SET LOCAL enable_indexscan = on")
    plan = search.matching(Asked.of(query)).order_by().explain()
    assert index in plan


def test_a_search_is_one_query(events: None) -> None:
    with CaptureQueriesContext(connection) as queries:
        assert len(search.matching(Asked.of({"act": "alert.*", "actor": "lea"}))) == 2
    assert len(queries) == 1
    assert AuditEvent.objects.count() == 4
