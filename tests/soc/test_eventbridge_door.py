"""The target of an EventBridge API destination: what it sends is kept, quickly, whatever it is."""

from __future__ import annotations

import base64
import gzip
import json
import statistics
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connections
from django.test import Client
from django.urls import reverse

from cases.models import Alert, Quarantined, RawDocument
from cases.priority import kind_of
from identity.models import ApiKey
from lib import clock
from soc.throttling import throttle
from tests import make

pytestmark = pytest.mark.django_db

FIXTURES = Path(__file__).parents[1] / "cases" / "fixtures"
PATIENCE = 5.0
"""Seconds after which EventBridge gives a request up, and sends it again."""


@pytest.fixture(autouse=True)
def _full_buckets(settings: Any) -> Iterator[None]:
    settings.QUELL_WEB_PROCESSES = 1
    throttle.forget()
    yield
    throttle.forget()


def send(body: Any, *, media: str = "application/json; charset=utf-8", **headers: str) -> Any:
    data = body if isinstance(body, bytes) else json.dumps(body)
    return Client().generic("POST", reverse("hook-eventbridge"), data, media, headers=headers)


def by_key(body: Any, secret: str, **headers: str) -> Any:
    return send(body, **{"X-Api-Key": secret, **headers})


def event(number: int = 1, *, account: str = make.ACCOUNT) -> dict[str, Any]:
    uid = f"{number:032x}"
    detail = {
        "schemaVersion": "2.0",
        "accountId": account,
        "region": "eu-west-1",
        "id": uid,
        "arn": f"arn:aws:guardduty:eu-west-1:{account}:detector/d/finding/{uid}",
        "type": "Recon:IAMUser/UserPermissions",
        "resource": {"resourceType": "AccessKey"},
        "service": {"serviceName": "guardduty", "count": 1},
        "severity": 5,
        "createdAt": "2026-11-20T11:50:00.000Z",
        "updatedAt": "2026-11-20T11:50:00.000Z",
        "title": f"Finding {number}",
        "description": "A finding.",
    }
    told = {"version": "0", "id": uid, "detail-type": "GuardDuty Finding", "source": "aws.guardduty"}
    return {**told, "account": account, "region": "eu-west-1", "resources": [], "detail": detail}


# --- who may -----------------------------------------------------------------------------------------------


def test_the_three_ways_in_which_a_connection_can_send_a_key() -> None:
    secret = make.key("alerts:write")
    pair = base64.b64encode(f"quell:{secret}".encode()).decode()

    answers = [
        send(event(number), **headers)
        for number, headers in enumerate(
            (
                {"X-Api-Key": secret},
                {"Authorization": f"Bearer {secret}"},
                {"Authorization": f"Basic {pair}"},
            )
        )
    ]

    assert [answer.status_code for answer in answers] == [202] * 3
    assert answers[0].json() == {"status": "received", "alerts": 1, "quarantined": 0, "passed": 0}
    assert Alert.objects.count() == 3
    assert set(RawDocument.objects.values_list("door", flat=True)) == {"eventbridge"}


HOSTILE = {
    "absent": {},
    "empty": {"X-Api-Key": ""},
    "another": {"X-Api-Key": "qk_" + "x" * 43},
    "long": {"X-Api-Key": "qk_" + "x" * 60_000},
    "not ASCII": {"X-Api-Key": "qk_ä"},
    "NUL": {"X-Api-Key": "qk_\0"},
    "a bare word": {"Authorization": "Bearer"},
    "no base64": {"Authorization": "Basic !"},
    "Basic without a password": {"Authorization": "Basic " + base64.b64encode(b"quell").decode()},
    "Basic that is not UTF-8": {"Authorization": "Basic " + base64.b64encode(b"\xff:\xff").decode()},
    "SQL": {"X-Api-Key": "' OR 1=1 --"},
    "a hook's": {"X-Api-Key": "qh_" + "x" * 43},
}


@pytest.mark.parametrize("name", HOSTILE)
def test_without_a_key_nobody_is_let_in_and_nothing_is_kept(name: str) -> None:
    make.key("alerts:write")

    answer = send(event(), **HOSTILE[name])

    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"]
    assert not Alert.objects.exists()
    assert not Quarantined.objects.exists()


def test_a_key_that_was_good_or_is_for_something_else_is_refused() -> None:
    over = make.key("alerts:write", expires_at=clock.now() - timedelta(seconds=1))
    revoked = make.key("alerts:write", name="revoked")
    ApiKey.objects.filter(account__name="revoked").update(revoked_at=clock.now())

    codes = [by_key(event(), secret).status_code for secret in (over, revoked, make.key("alerts:read"))]

    assert codes == [401, 401, 403]
    assert not Alert.objects.exists()


def test_what_comes_by_another_teams_key_is_that_teams_but_for_accounts_of_ours() -> None:
    make.account(team="blue")
    theirs = make.key("alerts:write", team="green")

    by_key(event(1), theirs)
    by_key(event(2, account="999988887777"), theirs)

    assert sorted(Alert.objects.values_list("external_id", "team__slug")) == [
        (f"{1:032x}", "blue"),
        (f"{2:032x}", "green"),
    ]


def test_a_session_does_not_count() -> None:
    client = make.browser(make.person("lead"))

    assert (
        client.post(reverse("hook-eventbridge"), event(), content_type="application/json").status_code == 401
    )


# --- what comes --------------------------------------------------------------------------------------------

SENT = {
    "guardduty/access-key-eventbridge": ("guardduty", 1),
    "guardduty/attack-sequence": ("guardduty", 1),
    "security_hub/control-custom-action": ("security_hub", 1),
    "security_hub/guardduty-imported": ("guardduty", 1),
    "security_hub/insight": ("security_hub", 1),
    "inspector/package-event": ("inspector", 1),
    "macie/sensitive-event": ("macie", 1),
    "access_analyzer/external-event": ("access_analyzer", 1),
    "ocsf/guardduty-imported-v2": ("guardduty", 1),
    "health/credentials-exposed": ("health", 1),
}


@pytest.mark.parametrize("name", SENT)
def test_every_service_that_the_intake_stack_forwards_becomes_an_alert(name: str) -> None:
    body = (FIXTURES / f"{name}.json").read_bytes()
    expected = json.loads((FIXTURES / Path(name).parent / "expected" / f"{Path(name).name}.json").read_text())

    answer = by_key(body, make.key("alerts:write"))

    source, alerts = SENT[name]
    assert (answer.status_code, answer.json()["alerts"], answer.json()["quarantined"]) == (202, alerts, 0)
    alert = Alert.objects.get()
    assert alert.source == source
    for field in ("external_id", "title", "severity", "type", "account", "region"):
        assert getattr(alert, field) == expected[0][field], field


def test_an_event_with_several_findings_is_several_alerts() -> None:
    finding = json.loads((FIXTURES / "security_hub" / "guardduty-imported.json").read_text())
    [one] = finding["detail"]["findings"]
    finding["detail"]["findings"] = [
        {**one, "Id": f"arn:aws:guardduty:eu-west-1:{make.ACCOUNT}:detector/d/finding/{n:032x}"}
        for n in range(7)
    ]

    assert by_key(finding, make.key()).json()["alerts"] == 7


def test_an_exposed_key_begins_an_incident_about_credentials() -> None:
    by_key((FIXTURES / "health" / "credentials-exposed.json").read_bytes(), make.key("alerts:write"))

    alert = Alert.objects.get()
    assert [(one["type"], one["id"]) for one in alert.resources] == [("access_key", "AKIAIOSFODNN7EXAMPLE")]
    assert (alert.severity, kind_of(alert.type)) == (95, "compromised_credentials")


@pytest.mark.parametrize(
    "body",
    [
        json.dumps({"source": "my.shop", "detail-type": "Order Placed", "detail": {"id": 1}}).encode(),
        b"{",
        b"",
        b"\xff\xfe{}",
        gzip.compress(b"{}"),
        b"[[[[[1]]]]]",
        b'"text"',
    ],
    ids=["an unknown event", "cut", "empty", "UTF-16", "gzip", "lists", "a text"],
)
def test_what_is_not_known_is_kept_and_answered_202_as_else_it_were_lost(body: bytes) -> None:
    answer = by_key(body, make.key())

    assert (answer.status_code, answer.json()["alerts"]) == (202, 0)
    assert answer.json()["quarantined"] == Quarantined.objects.count() == 1
    assert Quarantined.objects.get().door == "eventbridge"


@pytest.mark.parametrize("media", ["", "text/plain; charset=utf-7", "application/x-www-form-urlencoded", "x"])
def test_the_bytes_count_and_not_what_the_header_calls_them(media: str) -> None:
    assert send(event(), media=media, **{"X-Api-Key": make.key()}).json()["alerts"] == 1


def test_a_body_beyond_all_limits_is_refused_and_the_next_is_taken() -> None:
    secret = make.key()

    assert by_key(b'{"x": "' + b"x" * 6_000_000 + b'"}', secret).status_code == 413
    assert by_key(event(), secret).status_code == 202


def test_who_sends_too_much_is_told_to_come_again() -> None:
    secret = make.key()
    ApiKey.objects.update(per_minute=2)

    answers = [by_key(event(number), secret) for number in range(3)]

    assert [answer.status_code for answer in answers] == [202, 202, 429]
    assert int(answers[2].headers["Retry-After"]) > 0


# --- again and at once -------------------------------------------------------------------------------------


def test_an_event_that_is_sent_again_changes_nothing() -> None:
    secret = make.key()

    answers = [by_key(event(), secret) for _ in range(3)]

    assert {answer.status_code for answer in answers} == {202}
    assert (Alert.objects.get().count, RawDocument.objects.count()) == (1, 1)


@pytest.mark.django_db(transaction=True)
def test_sixteen_deliveries_of_three_findings_at_once_are_three_alerts() -> None:
    secret = make.key("alerts:write")
    start, codes = threading.Barrier(16), []

    def go(number: int) -> None:
        try:
            start.wait(30)
            codes.append(by_key(event(number % 3), secret).status_code)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=go, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert codes == [202] * 16
    assert sorted(Alert.objects.values_list("external_id", "count")) == [(f"{n:032x}", 1) for n in range(3)]


def test_an_answer_takes_a_small_part_of_what_eventbridge_waits() -> None:
    secret = make.key("alerts:write")
    longest_of_all = event(0)
    longest_of_all["detail"]["description"] = "x" * 250_000
    bodies = [json.dumps(event(number)).encode() for number in range(1, 200)]
    by_key(event(999), secret)
    took = []
    for body in (*bodies, json.dumps(longest_of_all).encode()):
        begun = time.perf_counter()
        assert by_key(body, secret).status_code == 202
        took.append(time.perf_counter() - begun)

    assert statistics.median(took) < PATIENCE / 50
    assert max(took) < PATIENCE / 5
    assert Alert.objects.count() == 201
