"""The doors of other tools: each answers in its tool's shape, and what it takes becomes the right alert."""

from __future__ import annotations

import base64
import hashlib
import json
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.test.utils import override_settings

from cases.models import Alert, Quarantined, RawDocument
from identity.models import ApiKey
from lib import clock
from soc.throttling import throttle
from tests import make

pytestmark = pytest.mark.django_db

HIVE = "/compat/thehive/api/v1/alert"
HIVE_0 = "/compat/thehive/api/alert"
IRIS = "/compat/iris/alerts/add"
WEBHOOK = "/compat/alertmanager/webhook"
V1, V2 = "/compat/alertmanager/api/v1/alerts", "/compat/alertmanager/api/v2/alerts"
ENQUEUE = "/compat/pagerduty/v2/enqueue"
CREATE = "/compat/pagerduty/generic/2010-04-15/create_event.json"
HEADED = (HIVE, HIVE_0, IRIS, WEBHOOK, V1, V2)

ALERT: dict[str, Any] = {
    "type": "edr",
    "source": "falcon",
    "sourceRef": "ldt:1",
    "title": "Credentials read",
    "description": "mimikatz on a host",
    "severity": 3,
    "date": 1763978400000,
    "tags": ["account:111122223333", "tier0"],
    "tlp": 4,
    "pap": 1,
    "externalLink": "https://edr.example.com/1",
    "customFields": {"region": "eu-west-1", "owner": "payments"},
    "observables": [
        {"dataType": "ip", "data": ["198.51.100.7", "198.51.100.8"]},
        {"dataType": "hash", "data": "a" * 64},
        {"dataType": "other", "data": "arn:aws:iam::111122223333:role/admin"},
        {"dataType": "user-agent", "data": "curl/8"},
    ],
    "procedures": [{"patternId": "T1003.001", "occurDate": 1763978400000}],
}


@pytest.fixture(autouse=True)
def _full_buckets() -> None:
    throttle.forget()


@pytest.fixture
def secret() -> str:
    return make.key()


@pytest.fixture
def post(secret: str) -> Callable[..., Any]:
    client = make.program(secret)

    def send(address: str, body: Any, **extra: Any) -> Any:
        data = body if isinstance(body, bytes) else json.dumps(body)
        return client.post(address, data, content_type="application/json", **extra)

    return send


def values(alert: Alert) -> set[tuple[str, str]]:
    return {(one["kind"], one["value"]) for one in alert.observables}


# --- TheHive -------------------------------------------------------------------------------------------


def test_thehive_gets_its_whole_answer_and_the_alert_says_the_same(post: Callable[..., Any]) -> None:
    answer = post(HIVE, ALERT)

    assert answer.status_code == 201
    told = answer.json()
    alert = Alert.objects.get(ulid=told["_id"])
    when = datetime(2025, 11, 24, 10, tzinfo=UTC)
    assert (alert.source, alert.external_id, alert.type) == ("thehive", "edr/falcon/ldt:1", "edr")
    assert (alert.title, alert.summary) == ("Credentials read", "mimikatz on a host")
    assert (alert.severity, alert.account, alert.region) == (80, "111122223333", "eu-west-1")
    assert alert.detected_at == alert.first_seen_at == alert.last_seen_at == when
    assert alert.link == "https://edr.example.com/1"
    assert alert.techniques == ["T1003.001"]
    assert set(alert.tags) >= {"tier0", "owner=payments", "tlp:red", "pap:green"}
    assert [(one["type"], one["id"]) for one in alert.resources] == [("role", "admin")]
    assert values(alert) >= {
        ("ip", "198.51.100.7"),
        ("ip", "198.51.100.8"),
        ("sha256", "a" * 64),
        ("user_agent", "curl/8"),
    }
    expected = {
        "_type": "Alert",
        "type": "edr",
        "source": "falcon",
        "sourceRef": "ldt:1",
        "title": "Credentials read",
        "description": "mimikatz on a host",
        "severity": 3,
        "severityLabel": "HIGH",
        "date": 1763978400000,
        "tlp": 4,
        "tlpLabel": "RED",
        "pap": 1,
        "papLabel": "GREEN",
        "follow": True,
        "observableCount": 5,
        "status": "New",
        "stage": "New",
        "extraData": {},
    }
    assert {name: told[name] for name in expected} == expected
    assert {"_createdBy", "_createdAt", "newDate", "timeToDetect"} <= set(told)


def test_the_same_source_reference_is_the_same_alert_and_told_again(post: Callable[..., Any]) -> None:
    first = post(HIVE, ALERT)
    again = post(HIVE, ALERT)
    later = post(HIVE, {**ALERT, "severity": 4, "date": ALERT["date"] + 1000})

    assert {answer.status_code for answer in (first, again, later)} == {201}
    assert len({answer.json()["_id"] for answer in (first, again, later)}) == 1
    assert Alert.objects.get().severity == 95
    assert RawDocument.objects.count() == 2


def test_a_reference_drawn_at_random_is_no_identity_but_what_is_said_is(post: Callable[..., Any]) -> None:
    body = {
        **ALERT,
        "sourceRef": "5f0c1b1e-3c58-4f6e-9d3c-1f1f6a1b2c3d",
        "description": "At 2025-11-24T10:00:00Z",
        "artifacts": ALERT["observables"],
    }
    again = {
        **body,
        "sourceRef": "0b9d0d35-64d2-4a8e-8d5e-93a5d1f6b111",
        "date": ALERT["date"] + 60_000,
        "description": "At 2025-11-24T10:01:00Z",
    }
    other = {**again, "title": "Another"}

    ids = [post(HIVE_0, one).json()["id"] for one in (body, again, other)]

    assert ids[0] == ids[1] != ids[2]
    assert Alert.objects.get(ulid=ids[0]).count == 2


def test_files_leave_their_digest_and_nothing_else(secret: str) -> None:
    alert = {**ALERT, "observables": [{"dataType": "file", "attachment": "a1"}]}
    form = {
        "_json": SimpleUploadedFile("_json", json.dumps(alert).encode()),
        "a1": SimpleUploadedFile("evil.exe", b"MZ-payload", content_type="application/x-dosexec"),
        "a2": SimpleUploadedFile("second.bin", b"2"),
    }

    answer = make.program(secret).post(HIVE, form)

    assert answer.status_code == 201, answer.content
    kept = Alert.objects.get()
    assert values(kept) == {
        ("filename", "evil.exe"),
        ("sha256", hashlib.sha256(b"MZ-payload").hexdigest()),
        ("filename", "second.bin"),
        ("sha256", hashlib.sha256(b"2").hexdigest()),
    }
    assert "MZ-payload" not in json.dumps(RawDocument.objects.get().body)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"title": None}, "/title"),
        ({"sourceRef": ""}, "/sourceRef"),
        ({"sourceRef": 7}, "/sourceRef"),
        ({"type": "x" * 65}, "/type"),
        ({"severity": 5}, "/severity"),
        ({"severity": True}, "/severity"),
        ({"date": "yesterday"}, "/date"),
        ({"date": 4102444800000}, "future"),
        ({"description": ["x"]}, "/description"),
    ],
)
def test_thehive_is_told_what_is_wrong_and_the_body_is_kept(
    post: Callable[..., Any], change: dict[str, Any], says: str
) -> None:
    answer = post(HIVE, {**ALERT, **change})

    assert answer.status_code == 400
    assert set(answer.json()) == {"type", "message"}
    assert says in answer.json()["message"]
    held = Quarantined.objects.get()
    assert (held.source, held.door) == ("thehive", "thehive")
    assert json.loads(bytes(held.body)) == {**ALERT, **change}
    assert not Alert.objects.exists()


def test_a_key_amends_tags_and_severity_and_adds_observables_but_closes_nothing(
    post: Callable[..., Any], secret: str
) -> None:
    ulid = post(HIVE, ALERT).json()["_id"]
    client = make.program(secret)

    amended = client.patch(f"{HIVE}/{ulid}", json.dumps({"severity": 1, "addTags": ["x"]}))
    added = post(f"{HIVE}/{ulid}/observable", {"dataType": "domain", "data": "evil.example"})
    closed = client.patch(f"{HIVE}/{ulid}", json.dumps({"status": "Ignored"}))

    assert (amended.status_code, added.status_code, closed.status_code) == (204, 201, 400)
    assert [one["data"] for one in added.json()] == ["evil.example"]
    alert = Alert.objects.get()
    assert (alert.severity, alert.status, alert.episode, alert.title) == (20, "new", 1, ALERT["title"])
    assert "x" in alert.tags
    assert ("domain", "evil.example") in values(alert)
    assert client.get(f"{HIVE}/{ulid}").json()["observableCount"] == 6


def test_two_teams_may_use_one_reference_and_neither_sees_the_other(post: Callable[..., Any]) -> None:
    bare = {**ALERT, "tags": [], "observables": []}
    other = make.program(make.key(team="other"))

    first = post(HIVE, bare).json()["_id"]
    ids = {
        other.post(HIVE, json.dumps(bare), content_type="application/json").json()["_id"] for _ in range(2)
    }

    assert len(ids) == 1
    assert first not in ids
    assert Alert.objects.count() == 2
    assert other.get(f"{HIVE}/{first}").status_code == 404
    assert not Quarantined.objects.exists()


# --- IRIS ----------------------------------------------------------------------------------------------

ELASTALERT: dict[str, Any] = {
    "alert_title": "Console sign-in from abroad",
    "alert_description": "userName: ci",
    "alert_source": "ElastAlert2",
    "alert_severity_id": 5,
    "alert_status_id": 2,
    "alert_source_event_time": "2026-11-20T09:00:00",
    "alert_note": "look",
    "alert_tags": "aws,signin",
    "alert_customer_id": 1,
    "alert_source_link": "https://kibana.example.com/1",
    "alert_iocs": [{"ioc_value": "198.51.100.9", "ioc_tlp_id": 1, "ioc_type_id": 76, "ioc_tags": "x"}],
    "alert_context": {"cloud.account.id": "111122223333", "key": "AKIAIOSFODNN7EXAMPLE"},
}


def test_iris_answers_exactly_200_and_a_time_without_zone_is_utc(post: Callable[..., Any]) -> None:
    answer = post(IRIS, ELASTALERT)

    assert answer.status_code == 200
    told = answer.json()
    assert (told["status"], told["message"]) == ("success", "")
    alert = Alert.objects.get(ulid=told["data"]["alert_id"])
    assert (alert.title, alert.summary) == ("Console sign-in from abroad", "userName: ci\n\nlook")
    assert (alert.severity, alert.account) == (80, "111122223333")
    assert alert.detected_at == datetime(2026, 11, 20, 9, tzinfo=UTC)
    assert {"aws", "signin"} <= set(alert.tags)
    assert values(alert) == {("ip", "198.51.100.9")}
    assert [(one["type"], one["id"]) for one in alert.resources] == [("access_key", "AKIAIOSFODNN7EXAMPLE")]
    later = {**ELASTALERT, "alert_source_event_time": "2026-11-20T09:05:00"}
    assert post(IRIS, later).json()["data"]["alert_id"] == alert.ulid
    assert Alert.objects.get().count == 2


def test_iris_takes_its_own_header_and_a_keys_own_severities(secret: str) -> None:
    ApiKey.objects.update(severity_ids={"1": 5, "5": 95})

    answer = Client().post(
        IRIS, json.dumps(ELASTALERT), content_type="application/json", headers={"X-IRIS-AUTH": secret}
    )

    assert answer.status_code == 200
    assert Alert.objects.get().severity == 95


@pytest.mark.parametrize(
    "change",
    [
        {"alert_title": ""},
        {"alert_severity_id": 99},
        {"alert_severity_id": []},
        {"alert_source_event_time": "noon"},
    ],
)
def test_iris_is_told_400_and_the_body_is_kept(post: Callable[..., Any], change: dict[str, Any]) -> None:
    answer = post(IRIS, {**ELASTALERT, **change})

    assert (answer.status_code, answer.json()["status"]) == (400, "error")
    assert Quarantined.objects.get().source == "iris"


# --- Alertmanager --------------------------------------------------------------------------------------

FIRING: dict[str, Any] = {
    "version": "4",
    "groupKey": '{}:{alertname="Exfil"}',
    "status": "firing",
    "receiver": "quell",
    "groupLabels": {"alertname": "Exfil"},
    "commonLabels": {},
    "commonAnnotations": {},
    "externalURL": "http://am.example.com",
    "alerts": [
        {
            "status": "firing",
            "labels": {
                "alertname": "Exfil",
                "severity": "page",
                "instance": "10.0.0.5:9100",
                "account_id": "111122223333",
            },
            "annotations": {"summary": "Much leaves", "description": "4 GB in 5 min"},
            "startsAt": "2026-11-20T09:00:00.123456789Z",
            "endsAt": "0001-01-01T00:00:00Z",
            "generatorURL": "http://prom.example.com/g",
            "fingerprint": "c4edaaf9f9f839b0",
        }
    ],
}


def resolved(body: dict[str, Any], end: str = "2026-11-20T09:30:00Z") -> dict[str, Any]:
    return {
        **body,
        "status": "resolved",
        "alerts": [{**one, "status": "resolved", "endsAt": end} for one in body["alerts"]],
    }


def test_an_alert_fires_and_resolves_as_one(post: Callable[..., Any]) -> None:
    assert post(WEBHOOK, FIRING).status_code == 200
    alert = Alert.objects.get()
    assert (alert.title, alert.type) == ("Exfil: Much leaves", "Exfil")
    assert (alert.severity, alert.account, alert.summary) == (
        95,
        "111122223333",
        "4 GB in 5 min\n\nMuch leaves",
    )
    assert alert.detected_at == datetime(2026, 11, 20, 9, 0, 0, 123456, tzinfo=UTC)
    assert alert.resolved_at is None
    assert values(alert) == {("ip", "10.0.0.5")}
    assert alert.labels["severity"] == "page"
    assert "receiver=quell" in alert.tags

    assert post(WEBHOOK, FIRING).status_code == 200
    assert post(WEBHOOK, resolved(FIRING)).status_code == 200

    alert = Alert.objects.get()
    assert alert.resolved_at == datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
    assert (alert.status, alert.episode) == ("new", 1)
    assert RawDocument.objects.count() == 2


def test_resolved_before_fired_ends_the_same(post: Callable[..., Any]) -> None:
    for body in (resolved(FIRING), FIRING, resolved(FIRING), FIRING):
        assert post(WEBHOOK, body).status_code == 200

    alert = Alert.objects.get()
    assert alert.resolved_at == datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
    assert alert.first_seen_at == datetime(2026, 11, 20, 9, 0, 0, 123456, tzinfo=UTC)


def test_the_next_firing_is_an_alert_of_its_own(post: Callable[..., Any]) -> None:
    again = {**FIRING, "alerts": [{**FIRING["alerts"][0], "startsAt": "2026-11-21T09:00:00Z"}]}

    for body in (FIRING, resolved(FIRING), again):
        post(WEBHOOK, body)

    assert sorted(Alert.objects.values_list("resolved_at", flat=True), key=str)[1] is None
    assert len(set(Alert.objects.values_list("fingerprint", flat=True))) == 1


def test_one_wrong_alert_costs_no_other(post: Callable[..., Any]) -> None:
    body = {**FIRING, "alerts": [{"labels": {}}, FIRING["alerts"][0], "x", {"labels": ["x"]}]}

    answer = post(WEBHOOK, body)

    assert (answer.status_code, answer.json()["alerts"], answer.json()["quarantined"]) == (200, 1, 3)
    assert Alert.objects.count() == 1
    assert Quarantined.objects.count() == 3


@pytest.mark.parametrize(("address", "shape"), [(V1, {"status": "success"}), (V2, None)])
def test_alerts_posted_as_to_an_alertmanager(
    post: Callable[..., Any], address: str, shape: dict[str, str] | None
) -> None:
    now = clock.now()
    labels = {"alertname": "Root", "severity": "warning"}
    live = {
        "labels": labels,
        "annotations": {},
        "startsAt": "2026-11-20T09:00:00Z",
        "endsAt": (now + timedelta(minutes=4)).isoformat(),
    }
    believed = {**live, "endsAt": (now + timedelta(minutes=5)).isoformat()}
    over = {**live, "endsAt": (now - timedelta(seconds=1)).isoformat()}

    answers = [post(address, [one]) for one in (live, believed, over)]

    assert {answer.status_code for answer in answers} == {200}
    assert answers[0].content == (json.dumps(shape).encode() if shape else b"")
    alert = Alert.objects.get()
    assert (alert.severity, alert.title) == (50, "Root")
    assert alert.resolved_at is not None
    assert RawDocument.objects.count() == 2  # a new end that has not come is no news


def test_an_alertmanager_is_told_503_to_slow_down_and_a_bare_text_when_wrong(
    post: Callable[..., Any], secret: str
) -> None:
    wrong = post(V2, [{"labels": {}}])
    assert (wrong.status_code, isinstance(wrong.json(), str)) == (400, True)
    assert post(V1, [{"labels": {}}]).json()["errorType"] == "bad_data"

    ApiKey.objects.update(per_minute=1)
    throttle.forget()
    with override_settings(QUELL_WEB_PROCESSES=1):
        answers = [post(V2, [{"labels": {"a": "b"}}]) for _ in range(3)]
        hive = post(HIVE, ALERT)

    assert [answer.status_code for answer in answers] == [200, 503, 503]
    assert int(answers[1]["Retry-After"]) >= 1
    assert (hive.status_code, hive.json()["type"]) == (429, "TooManyRequests")


def test_basic_where_only_basic_can_be_set(secret: str) -> None:
    def ask(pair: str) -> Any:
        return Client().post(
            WEBHOOK,
            json.dumps(FIRING),
            content_type="application/json",
            headers={"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()},
        )

    assert ask(f"quell:{secret}").status_code == 200
    assert ask("quell:wrong").status_code == 401
    assert ask("quell").status_code == 401
    assert ask("quell:wrong")["WWW-Authenticate"].startswith("Basic")


# --- PagerDuty -----------------------------------------------------------------------------------------


def event(secret: str, action: str = "trigger", **changes: Any) -> dict[str, Any]:
    payload = {
        "summary": "CPU is mining",
        "source": "i-0123456789abcdef0",
        "severity": "critical",
        "timestamp": "2026-11-20T09:00:00",
        "component": "ci",
        "class": "cryptomining",
        "custom_details": {"account": "111122223333", "ip": "198.51.100.3"},
    }
    return {
        "routing_key": secret,
        "event_action": action,
        "dedup_key": "d1",
        "payload": payload,
        "client": "monitor",
        "links": [{"href": "https://m.example.com/1", "text": "m"}],
        **changes,
    }


def send(body: Any, address: str = ENQUEUE) -> Any:
    data = body if isinstance(body, bytes) else json.dumps(body)
    return Client().post(address, data, content_type="application/json")


def test_pagerduty_triggers_acknowledges_and_resolves_one_alert(secret: str) -> None:
    first = send(event(secret))
    assert (first.status_code, first.json()) == (
        202,
        {"status": "success", "message": "Event processed", "dedup_key": "d1"},
    )
    alert = Alert.objects.get()
    assert (alert.title, alert.type, alert.severity) == ("CPU is mining", "cryptomining", 95)
    assert (alert.account, alert.link) == ("111122223333", "https://m.example.com/1")
    assert alert.detected_at == datetime(2026, 11, 20, 9, tzinfo=UTC)
    assert [one["id"] for one in alert.resources] == ["i-0123456789abcdef0"]
    assert ("ip", "198.51.100.3") in values(alert)
    assert {"component=ci", "client=monitor"} <= set(alert.tags)

    bare = {"routing_key": secret, "dedup_key": "d1"}
    assert send({**bare, "event_action": "acknowledge"}).status_code == 202
    assert send({**bare, "event_action": "resolve"}).status_code == 202

    alert = Alert.objects.get()
    assert (alert.title, alert.severity, alert.status) == ("CPU is mining", 95, "new")
    assert "pagerduty:acknowledged" in alert.tags
    assert alert.acknowledged_at is None
    assert alert.resolved_at is not None


def test_a_resolve_that_overtook_its_trigger_still_ends_it(secret: str) -> None:
    send({"routing_key": secret, "dedup_key": "d1", "event_action": "resolve"})
    send(event(secret))

    alert = Alert.objects.get()
    assert (alert.title, alert.severity) == ("CPU is mining", 95)
    assert alert.resolved_at is not None


def test_the_routing_key_is_kept_nowhere(secret: str) -> None:
    send(event(secret))
    send(event(secret, severity="x", payload={}))
    send(event(secret, dedup_key="d\0"))

    kept = [json.dumps(one.body) for one in RawDocument.objects.all()]
    kept += [bytes(one.body).decode() for one in Quarantined.objects.all()]
    assert len(kept) == 3
    assert not any(secret in one or secret[3:20] in one for one in kept)


def test_events_without_a_key_of_their_own_are_one_when_they_say_the_same(secret: str) -> None:
    keys = [
        send(event(secret, dedup_key=dedup, payload={**event(secret)["payload"], "timestamp": when})).json()
        for dedup, when in (("", "2026-11-20T09:00:00"), (None, "2026-11-20T09:05:00"))
    ]

    assert keys[0]["dedup_key"] == keys[1]["dedup_key"]
    assert Alert.objects.get().count == 2


def test_version_1_is_understood_too(secret: str) -> None:
    body = {"service_key": secret, "event_type": "trigger", "incident_key": "k", "description": "Kittens"}

    answer = send(body, CREATE)

    assert (answer.status_code, answer.json()["incident_key"]) == (200, "k")
    assert Alert.objects.get().title == "Kittens"


@pytest.mark.parametrize(
    "change",
    [
        {"routing_key": None},
        {"routing_key": "qk_wrong"},
        {"routing_key": ["x"]},
        {"event_action": "explode"},
        {"payload": None},
        {"payload": {"summary": "x", "source": "y", "severity": "odd"}},
        {"dedup_key": "x" * 256},
        {"dedup_key": 7},
        {"event_action": "resolve", "dedup_key": ""},
    ],
)
def test_pagerduty_calls_an_event_invalid(secret: str, change: dict[str, Any]) -> None:
    answer = send({**event(secret), **change})

    assert answer.status_code == 400
    assert answer.json()["status"] == "invalid event"
    assert answer.json()["errors"]
    assert not Alert.objects.exists()
    assert Quarantined.objects.count() == ("routing_key" not in change)


def test_a_key_without_the_scope_opens_no_door_in_a_body(db: None) -> None:
    del db
    assert send(event(make.key("alerts:read"))).status_code == 400
    assert not Alert.objects.exists()


# --- all of them ---------------------------------------------------------------------------------------

HOSTILE = [
    b"",
    b"{",
    b"[]",
    b"null",
    b"7",
    b'"x"',
    b"\xff\xfe",
    b'{"a":1,"a":2}',
    b"[" * 5000,
    b'{"a":' * 400 + b"1" + b"}" * 400,
    b'{"x":1e999}',
    b'{"x":' + b"9" * 4000 + b"}",
    b'{"title":"\\ud800"}',
    b'{"title":"a\\u0000b"}',
    b"NaN",
    b"[{}]",
    b"[[],[]]",
    b'{"alerts":{}}',
    b'{"alerts":[[]]}',
    b'{"a":1}\n{"b":',
]


@pytest.mark.parametrize("address", [*HEADED, ENQUEUE, CREATE])
def test_no_body_brings_a_door_down_and_good_ones_pass_between(
    address: str, post: Callable[..., Any], secret: str
) -> None:
    good = {
        HIVE: (ALERT, 201),
        HIVE_0: (ALERT, 201),
        IRIS: (ELASTALERT, 200),
        WEBHOOK: (FIRING, 200),
        V1: (FIRING["alerts"], 200),
        V2: (FIRING["alerts"], 200),
        ENQUEUE: (event(secret), 202),
        CREATE: ({"service_key": secret, "event_type": "trigger", "description": "x"}, 200),
    }
    body, expected = good[address]
    spelled = json.dumps(body).encode()
    dice = random.Random(7)
    mutated = []
    for _ in range(60):
        cut = bytearray(spelled)
        for _ in range(dice.randint(1, 6)):
            cut[dice.randrange(len(cut))] = dice.randrange(256)
        mutated.append(bytes(cut))
    for number, hostile in enumerate([*HOSTILE, *mutated]):
        answer = post(address, hostile)
        assert answer.status_code < 500, hostile[:80]
        if number % 10 == 0:
            assert post(address, body).status_code == expected


@pytest.mark.parametrize("address", HEADED)
def test_whatever_stands_in_a_field_it_is_an_alert_or_refused(address: str, post: Callable[..., Any]) -> None:
    base = {HIVE: ALERT, HIVE_0: ALERT, IRIS: ELASTALERT}.get(address, FIRING["alerts"][0])
    odd: list[Any] = [
        None,
        True,
        -1,
        10**18,
        1.5,
        "",
        "x" * 3000,
        [],
        [[]],
        {},
        {"a": {"b": []}},
        ["x", 1, None],
        [{}],
    ]
    for name in base:
        for value in odd:
            changed: Any = {**base, name: value}
            sent = changed if base in (ALERT, ELASTALERT) else [changed]
            answer = post(address, {**FIRING, "alerts": sent} if address == WEBHOOK else sent)
            assert answer.status_code < 500, (name, value)


@pytest.mark.parametrize("source", ["thehive", "iris", "alertmanager", "pagerduty"])
def test_the_same_documents_through_ingest_are_the_same_alerts(
    source: str, post: Callable[..., Any], secret: str
) -> None:
    body, door = {
        "thehive": (ALERT, HIVE),
        "iris": (ELASTALERT, IRIS),
        "alertmanager": (FIRING, WEBHOOK),
        "pagerduty": (event(secret), ENQUEUE),
    }[source]
    post(door, body)

    for name in (source, "auto"):
        answer = post(f"/api/v1/ingest/{name}", body)
        assert [one["outcome"] for one in answer.json()["alerts"]] == ["repeated"], answer.json()

    assert Alert.objects.count() == 1
    assert secret not in json.dumps(RawDocument.objects.get().body)


@pytest.mark.parametrize("address", [*HEADED])
def test_without_a_key_nobody_is_let_in_and_nothing_is_kept(address: str) -> None:
    for headers in ({}, {"Authorization": "Bearer qk_wrong"}, {"Authorization": "Basic %%%"}):
        answer = Client().post(address, b"{", content_type="application/json", headers=headers)
        assert answer.status_code == 401
        assert answer["Content-Type"] == "application/json"
    assert not Quarantined.objects.exists()
