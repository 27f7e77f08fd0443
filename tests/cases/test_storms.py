"""The same finding from everywhere at once, against real web processes: one alert, and no failure."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from audit.models import Receipt
from cases.models import Alert, IdempotentAnswer, Incident, RawDocument
from tests import make
from tests.cases.test_routes import ROUTES
from tests.faults.web import Post, Web, send_all, serving, statuses

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]

CLIENTS = 32
MANY = 1_000
FINDING = ROUTES["member"]["detail"]["id"]


@pytest.fixture
def web(transactional_db: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    make.account()
    with serving(tmp_path_factory.mktemp("web")) as running:
        yield running


@pytest.fixture
def secret(transactional_db: None) -> str:
    return make.key()


def spelled(document: Any) -> bytes:
    return json.dumps(document).encode()


def outcomes(answers: list[Any]) -> Counter[str]:
    return Counter(one["outcome"] for answer in answers for one in answer.body["alerts"])


def assert_every_receipt_is_of_one_alert() -> None:
    """Each alert is in exactly one receipt that says it was made."""
    made = [
        ulid for row in Receipt.objects.all() if row.details.get("created") for ulid in row.details["alerts"]
    ]
    assert sorted(made) == sorted(Alert.objects.values_list("ulid", flat=True))


def test_a_thousand_posts_of_the_same_alert_are_one(web: Web, secret: str) -> None:
    alert = {"source": "edr", "external_id": "e-1", "title": "Beacon", "account": make.ACCOUNT}
    post = Post(path="/api/v1/alerts", body=spelled(alert))

    answers = send_all(web, [post] * MANY, secret=secret, clients=CLIENTS)

    assert statuses(answers) == {201: 1, 200: MANY - 1}
    assert {answer.body["id"] for answer in answers} == {Alert.objects.get().ulid}
    assert Counter(answer.body["deduplicated"] for answer in answers) == {False: 1, True: MANY - 1}
    assert (Alert.objects.get().count, RawDocument.objects.count()) == (1, 1)
    assert_every_receipt_is_of_one_alert()


def test_a_thousand_posts_of_the_same_finding_are_one(web: Web, secret: str) -> None:
    post = Post(path="/api/v1/ingest/auto", body=spelled(ROUTES["member"]))

    answers = send_all(web, [post] * MANY, secret=secret, clients=CLIENTS)

    assert statuses(answers) == {200: MANY}
    assert outcomes(answers) == {"created": 1, "repeated": MANY - 1}
    assert Alert.objects.get().count == ROUTES["member"]["detail"]["service"]["count"]
    assert RawDocument.objects.count() == 1
    assert_every_receipt_is_of_one_alert()


def test_two_hundred_posts_of_twenty_findings_by_five_routes_are_twenty(web: Web, secret: str) -> None:
    draw = random.Random(20261124)
    findings = [f"{number:032x}" for number in range(20)]
    posts = [
        Post(
            path="/api/v1/ingest/auto",
            body=spelled(ROUTES[route]).replace(FINDING.encode(), finding.encode()),
        )
        for finding in findings
        for route in ROUTES
        for _ in range(2)
    ]
    draw.shuffle(posts)

    answers = send_all(web, posts, secret=secret, clients=CLIENTS)

    assert statuses(answers) == {200: 200}
    assert sorted(Alert.objects.values_list("external_id", flat=True)) == findings
    assert [alert.documents.count() for alert in Alert.objects.all()] == [len(ROUTES)] * 20
    assert outcomes(answers) == {"created": 20, "updated": 80, "repeated": 100}
    told = ("title", "severity", "count", "type", "account", "richness")
    assert Alert.objects.order_by().values(*told).distinct().count() == 1, "the order of routes is nothing"
    assert_every_receipt_is_of_one_alert()


def test_batches_that_overlap_store_each_alert_once(web: Web, secret: str) -> None:
    """In any order, so that whoever locks rows as they come would wait for ever for somebody else's."""
    draw = random.Random(1)
    alerts = [{"source": "edr", "external_id": f"e-{n}", "title": "x"} for n in range(60)]
    bodies = [spelled(draw.sample(alerts, 30)) for _ in range(100)]

    answers = send_all(
        web, [Post(path="/api/v1/alerts/batch", body=body) for body in bodies], secret=secret, clients=CLIENTS
    )

    assert statuses(answers) == {200: 100}
    assert sum(answer.body["failed"] for answer in answers) == 0
    assert sum(answer.body["created"] for answer in answers) == Alert.objects.count() == 60
    assert RawDocument.objects.count() == 60


def test_posts_with_one_idempotency_key_open_one_incident(web: Web, secret: str) -> None:
    post = Post(
        path="/api/v1/incidents",
        body=spelled({"title": "By hand"}),
        headers={"Idempotency-Key": "8e03978e-40d5-43dd-bc93-6894a57f9324"},
    )

    answers = send_all(web, [post] * 200, secret=secret, clients=CLIENTS)
    insisted = send_all(web, [post] * 50, secret=secret, clients=CLIENTS, retry=True)

    told = statuses(answers)
    assert set(told) <= {201, 409}, told
    good = [answer for answer in answers if answer.status == 201]
    assert sum("Idempotency-Replayed" not in answer.headers for answer in good) == 1
    assert {json.dumps(answer.body) for answer in [*good, *insisted]} == {json.dumps(good[0].body)}
    for refused in (answer for answer in answers if answer.status == 409):
        assert refused.body["type"] == "urn:quell:problem:in-progress"
        assert refused.headers["Retry-After"] == "1"
    assert Incident.objects.get().ref == good[0].body["ref"]
    assert IdempotentAnswer.objects.count() == 1


def test_as_many_keys_as_posts_open_as_many_incidents(web: Web, secret: str) -> None:
    posts = [
        Post(path="/api/v1/incidents", body=spelled({"title": f"{n}"}), headers={"Idempotency-Key": f"k-{n}"})
        for n in range(64)
    ]

    answers = send_all(web, posts, secret=secret, clients=CLIENTS)

    assert statuses(answers) == {201: 64}
    assert len({answer.body["ref"] for answer in answers}) == Incident.objects.count() == 64
