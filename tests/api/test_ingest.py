"""Raw documents over HTTP: whatever is posted is answered, nothing is lost, nothing is a 5xx."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from cases.models import Alert, Quarantined
from tests import make
from tests.cases.test_decoding import REFUSED, deep

pytestmark = [pytest.mark.fast, pytest.mark.django_db]

FIXTURES = Path(__file__).parent.parent / "cases" / "fixtures" / "guardduty"
EVENT = (FIXTURES / "access-key-eventbridge.json").read_bytes()


@pytest.fixture
def sender(db: None) -> Client:
    client = make.program(make.key("alerts:write", "alerts:read"))
    client.raise_request_exception = False
    return client


def post(client: Client, body: bytes, source: str = "guardduty", kind: str = "application/json") -> Any:
    # `generic` sends the bytes as they are; `post` would spell them in the charset of their kind.
    return client.generic("POST", f"/api/v1/ingest/{source}", body, kind)


@pytest.mark.parametrize("source", ["guardduty", "auto"])
def test_a_finding_is_an_alert_at_once_and_only_once(sender: Client, source: str) -> None:
    first, again = post(sender, EVENT, source), post(sender, EVENT, source)

    alert = Alert.objects.get()
    assert first.status_code == 200
    assert first.json() == {
        "alerts": [{"id": alert.ulid, "external_id": alert.external_id, "outcome": "created"}],
        "quarantined": [],
        "passed": 0,
    }
    assert again.json()["alerts"][0] == {**first.json()["alerts"][0], "outcome": "repeated"}
    assert sender.get(f"/api/v1/alerts/{alert.ulid}").json()["raw"] == json.loads(EVENT)["detail"]


def test_every_fixture_and_all_in_one_body(sender: Client) -> None:
    bodies = [path.read_bytes() for path in sorted(FIXTURES.glob("*.json"))]
    lines = b"\n".join(json.dumps(json.loads(body)).encode() for body in bodies)

    together = post(sender, lines, "auto", "application/x-ndjson").json()
    apart = [post(sender, body).json() for body in bodies]

    assert together["quarantined"] == []
    assert len(together["alerts"]) == len(bodies)
    assert {one["outcome"] for answer in apart for one in answer["alerts"]} == {"repeated"}
    assert Alert.objects.count() == len(bodies) - 1  # one finding is there as event and as API answer


def test_native_documents_come_by_this_door_too(sender: Client) -> None:
    answer = post(sender, b'[{"source": "s", "external_id": "1", "title": "t"}, {"source": "s"}]', "native")

    assert answer.json()["alerts"][0]["outcome"] == "created"
    assert answer.json()["quarantined"][0]["pointer"] == "/1/external_id"


def test_a_source_that_does_not_exist_is_404(sender: Client) -> None:
    answer = post(sender, EVENT, "nonsense")

    assert answer.status_code == 404
    assert answer["Content-Type"] == "application/problem+json"
    assert "guardduty" in answer.json()["detail"]
    assert not Quarantined.objects.exists()


def message(inner: bytes) -> bytes:
    return json.dumps({"TopicArn": "t", "Message": inner.decode()}).encode()


HOSTILE: dict[str, bytes] = {
    **{name: body for name, (body, _) in REFUSED.items() if len(body) <= 5 * 1024 * 1024},
    "null": b"null",
    "true": b"true",
    "a number": b"7",
    "a text": b'"x"',
    "lists of lists": b"[[[[[[]]]]]]",
    "a list of nothings": b"[null, 1, {}, [], \"x\"]",
    "an int4 overflow": EVENT.replace(b'"count": 4', b'"count": 2147483648'),
    "a negative count": EVENT.replace(b'"count": 4', b'"count": -1'),
    "year 9999": EVENT.replace(b"2026-11-20T09:10:40Z", b"9999-12-31T23:59:59-14:00"),
    "year 1": EVENT.replace(b"2026-11-20T09:14:07.412Z", b"0001-01-01T00:00:00+14:00"),
    "a bool severity": EVENT.replace(b'"severity": 5.0', b'"severity": true'),
    "an endless id": EVENT.replace(b"a1c0ffee00000000000000000000000a", b"x" * 400),
    "NUL in the id": EVENT.replace(b"a1c0ffee00000000000000000000000a", b"a\\u0000b"),
    "half a pair in the type": EVENT.replace(b"UnauthorizedAccess:", b"\\ud800:"),
    "NUL in a key": EVENT.replace(b'"userName"', b'"user\\u0000Name"'),
    "markup": EVENT.replace(b"API ListBuckets", b"<script>alert(1)</script>{{7*7}}"),
    "a detail that is a text": b'{"detail-type": "GuardDuty Finding", "detail": "x"}',
    "a message in a message": json.dumps({"TopicArn": "t", "Message": json.dumps({"TopicArn": "t", "Message": "{"})}).encode(),  # noqa: E501
    "a deep message": message(deep(5000)),
    "records of nothing": b'{"Records": [{"body": 7, "messageId": 1}, {"Sns": {"Message": "[]"}}]}',
    "findings of the wrong kind": b'{"Findings": {"a": 1}, "findings": [7]}',
    "deep in the middle": EVENT.replace(b'"additionalInfo": {', b'"additionalInfo": {"a": %b,' % deep(60)),
    "a sample flag in a bomb": EVENT.replace(b'"value": "{}"', b'"value": "' + b"[" * 50_000 + b'"'),
}  # fmt: skip


@pytest.mark.parametrize(
    "kind", ["application/json", "text/plain; charset=utf-7", "application/x-www-form-urlencoded"]
)
@pytest.mark.parametrize("name", HOSTILE)
def test_nothing_that_is_posted_fails_and_nothing_is_lost(sender: Client, name: str, kind: str) -> None:
    body = HOSTILE[name]

    started = time.monotonic()
    answer = post(sender, body, "guardduty", kind)

    assert answer.status_code == 200, answer.content
    told = answer.json()
    is_empty = name == "lists of lists"
    assert told["alerts"] or told["quarantined"] or is_empty
    assert Alert.objects.count() == len(told["alerts"])
    assert Quarantined.objects.count() == len({held["id"] for held in told["quarantined"]})
    for held in told["quarantined"]:
        assert held["reason"]
    for alert in told["alerts"]:
        shown = sender.get(f"/api/v1/alerts/{alert['id']}")
        assert shown.status_code == 200
    assert time.monotonic() - started < 2


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("path", ["alerts", "alerts/batch", "ingest/auto", "ingest/native"])
def test_no_other_door_fails_either(sender: Client, name: str, path: str) -> None:
    for kind in (
        "application/json",
        "application/json; charset=utf-32",
        "multipart/form-data; boundary=x",
        "",
    ):
        answer = sender.generic("POST", f"/api/v1/{path}", HOSTILE[name], kind)

        assert answer.status_code < 500, (kind, answer.content)


def test_a_body_that_is_too_large_is_413(sender: Client) -> None:
    assert post(sender, b" " * 6_000_000).status_code == 413


def test_who_has_no_key_for_it_is_refused(db: None) -> None:
    for client, status in ((Client(), 401), (make.program(make.key("alerts:read")), 403)):
        assert post(client, EVENT).status_code == status
    assert not Alert.objects.exists()
