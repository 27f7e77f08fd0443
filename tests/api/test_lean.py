"""The short way in answers as the long one does, and leaves to it whatever it does not understand."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from audit.models import Receipt
from cases import ingest, inserting
from cases.models import Alert, RawDocument
from identity import keys
from identity.actors import SYSTEM
from identity.models import ApiKey
from lib import clock, remembered
from soc.api import alerts, lean
from tests import make

# Committed for real: one statement outside a transaction is what this is about.
pytestmark = pytest.mark.django_db(transaction=True)

ALERT = {
    "source": "edr",
    "external_id": "e-1",
    "title": "Ünusual “login” 🦊 </script>",
    "severity": "high",
    "type": "Login",
    "account": make.ACCOUNT,
    "region": "eu-west-1",
    "resources": [{"type": "user", "id": "alice"}],
    "observables": [{"kind": "ip", "value": "198.51.100.7"}],
    "techniques": ["T1078.004"],
    "detected_at": "2026-11-20T09:14:07.412Z",
    "first_seen_at": "2026-11-20T09:00:00+01:00",
    "raw": {"x": [1, 2.5, None, "é", {"deep": True}]},
}


@pytest.fixture
def secret() -> str:
    return make.key("alerts:write", "alerts:read")


@pytest.fixture
def is_lean(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Says which way each request went."""
    went: list[str] = []
    short, long = ingest.receive_new, ingest.receive_drafts

    def noting_short(**given: Any) -> Any:
        went.append("short")
        return short(**given)

    def noting_long(**given: Any) -> Any:
        went.append("long")
        return long(**given)

    monkeypatch.setattr(ingest, "receive_new", noting_short)
    monkeypatch.setattr(ingest, "receive_drafts", noting_long)
    return went


def post(secret: str, alert: object, **headers: str) -> Any:
    body = alert if isinstance(alert, bytes) else json.dumps(alert).encode()
    return make.program(secret).post("/api/v1/alerts", body, content_type="application/json", headers=headers)


ONLY_POSTGRESQL = pytest.mark.skipif(
    "not __import__('cases.inserting').inserting.is_possible()",
    reason="one statement for everything is PostgreSQL's way; SQLite goes the long one",
)


def test_what_is_answered_and_kept_is_what_the_long_way_answers_and_keeps(secret: str) -> None:
    make.account()
    first = post(secret, ALERT)
    second = post(secret, {**ALERT, "external_id": "e-2"}, **{"Idempotency-Key": "goes-the-long-way"})

    assert (first.status_code, second.status_code) == (201, 201)
    own = {"id", "external_id", "received_at", "updated_at", "last_seen_at"}
    one, two = first.json(), second.json()
    assert {name: one[name] for name in one if name not in own} == {
        name: two[name] for name in two if name not in own
    }
    again = make.program(secret).get(f"/api/v1/alerts/{one['id']}").json()
    assert one == again | {"deduplicated": False}
    rows = {
        name: [getattr(alert, name) for alert in Alert.objects.order_by("pk")]
        for name in (field.attname for field in Alert._meta.concrete_fields)
    }
    differing = {name for name, (a, b) in rows.items() if a != b}
    assert differing <= {"id", "ulid", "external_id", "received_at", "updated_at", "due_at"}
    bodies = [{**copy.body, "external_id": ""} for copy in RawDocument.objects.order_by("pk")]
    assert bodies == [{**ALERT, "external_id": ""}] * 2
    receipts = Receipt.objects.order_by("pk")
    assert [receipt.details["alerts"] for receipt in receipts] == [[one["id"]], [two["id"]]]
    assert {(receipt.act, receipt.actor_kind, receipt.object_id) for receipt in receipts} == {
        ("alerts.received", "key", "native")
    }


@ONLY_POSTGRESQL
def test_a_new_alert_is_one_statement(
    secret: str, django_assert_num_queries: Any, is_lean: list[str]
) -> None:
    post(secret, ALERT)

    # Key, team and account are known for a second; the statement itself goes past Django's cursor.
    with django_assert_num_queries(0):
        answer = post(secret, {**ALERT, "external_id": "e-2"})

    assert answer.status_code == 201
    assert is_lean == ["short", "short"]
    assert Alert.objects.count() == RawDocument.objects.count() == Receipt.objects.count() == 2


def test_a_repeat_is_told_as_such_and_changes_nothing(secret: str) -> None:
    first = post(secret, ALERT)
    again = post(secret, ALERT)

    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == first.json() | {"deduplicated": True}
    assert Alert.objects.count() == RawDocument.objects.count() == Receipt.objects.count() == 1


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 422),
        (b"{", 400),
        (b"[]", 422),
        (b'{"a": "\\u0000"}', 400),
        (b'{"source": "s", "external_id": "1", "title": "t", "titel": "t"}', 422),
        (b'{"source": "s", "external_id": "1", "title": "t", "detected_at": "2099-01-01T00:00:00Z"}', 422),
        (b"x" * 6_000_000, 413),
    ],
)
def test_what_is_refused_is_refused_by_the_long_way(
    secret: str, body: bytes, status: int, is_lean: list[str]
) -> None:
    answer = post(secret, body)

    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert is_lean == []
    assert not Alert.objects.exists()


def test_other_ways_of_asking_are_left_to_the_long_way(secret: str, is_lean: list[str]) -> None:
    client = make.program(secret)
    for number, (kind, headers) in enumerate(
        [
            ("application/json; charset=utf-8", {}),
            ("application/json", {"Idempotency-Key": "k"}),
            ("application/json", {"Authorization": f"bearer  {secret}"}),
        ]
    ):
        alert = {**ALERT, "external_id": f"e-{number}"}
        client.post("/api/v1/alerts", json.dumps(alert), content_type=kind, headers=headers)
    lead = make.browser(make.person("lead"))
    lead.post("/api/v1/alerts", json.dumps({**ALERT, "external_id": "p"}), content_type="application/json")

    assert "short" not in is_lean


def test_who_may_not_is_told_so_however_often(secret: str) -> None:
    reader = make.key("alerts:read")

    assert post(reader, ALERT).status_code == 403
    assert post("qk_" + "x" * 43, ALERT).status_code == 401
    assert Client().post("/api/v1/alerts", ALERT, content_type="application/json").status_code == 401
    assert not Alert.objects.exists()


def test_a_revoked_key_ends_within_a_second(secret: str) -> None:
    post(secret, ALERT)
    keys.revoke(key=ApiKey.objects.get(digest=keys.digest(secret)), by=SYSTEM, at=clock.now())

    remembered.forget_all()  # what a second does

    assert post(secret, {**ALERT, "external_id": "e-2"}).status_code == 401
    assert lean._keys._seconds <= 1.0


def test_a_key_ends_when_its_time_is_over_although_it_is_remembered(
    secret: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ApiKey.objects.update(expires_at=clock.now() + timedelta(minutes=5))
    assert post(secret, ALERT).status_code == 201

    later = clock.now() + timedelta(minutes=6)
    monkeypatch.setattr(clock, "now", lambda: later)

    assert post(secret, {**ALERT, "external_id": "e-2"}).status_code == 401


@ONLY_POSTGRESQL
def test_a_connection_that_went_away_costs_no_alert(secret: str, is_lean: list[str]) -> None:
    post(secret, ALERT)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        [pid] = cursor.fetchone()
    other = connection.copy()
    try:
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s)", [pid])
    finally:
        other.close()

    answer = post(secret, {**ALERT, "external_id": "e-2"})

    assert answer.status_code == 201
    assert is_lean[-1] == "long", "the long way opened a new connection"
    assert Alert.objects.count() == 2


@ONLY_POSTGRESQL
def test_columns_added_to_a_model_are_given_by_the_statement() -> None:
    given = set(inserting._usual())

    assert given == {field.attname for field in Alert._meta.concrete_fields} - {"id", "ulid"}


def test_the_answer_says_every_field_of_an_alert(secret: str) -> None:
    assert set(post(secret, ALERT).json()) == set(alerts.AlertOut().fields)
