"""A request with an `Idempotency-Key` is carried out once; a repeat is told what it may still be told."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import Client

from audit.models import AuditEvent, Receipt
from cases import once
from cases.models import Action, Alert, IdempotentAnswer, Incident, Quarantined, RawDocument, TimelineEntry
from containment import sweeps
from estate.models import Environment
from identity.models import ApiKey, Membership, Person
from lib import clock, guards
from lib.clock import ManualClock
from soc import throttling
from tests import make
from tests.cases.test_sources import FIXTURES

pytestmark = pytest.mark.django_db

ONLY_POSTGRESQL = pytest.mark.skipif(
    "__import__('django.db').db.connection.vendor != 'postgresql'",
    reason="on SQLite a second writer waits for the first",
)
SERIAL = pytest.mark.django_db(transaction=True)

ALERT = {"source": "edr", "external_id": "e-1", "title": "Beacon", "raw": {"b": 1.0, "a": "é\u2028"}}
FINDING = json.loads((FIXTURES / "guardduty" / "access-key-eventbridge.json").read_text())
TARGET = {"type": "access_key", "account": make.ACCOUNT, "region": "eu-west-1", "id": "AKIAEXAMPLE0000001"}
REQUEST = {"type": "iam.deactivate-access-key", "target": TARGET, "params": {"user": "ci"}}
ENDPOINTS = ("alerts", "alerts/batch", "ingest/auto", "incidents", "actions")
"""Undo takes the header as well; `tests.containment.test_api` has something to undo."""

MODELS = (
    Alert, RawDocument, Quarantined, Incident, TimelineEntry, Action, Receipt, AuditEvent, IdempotentAnswer,
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Call:
    """One of the requests that take the header."""

    path: str
    body: Any


def call(endpoint: str) -> Call:
    """A good request to an endpoint, with what it needs."""
    if endpoint == "alerts/batch":
        return Call(path=endpoint, body=[ALERT, {"source": "edr"}])
    if endpoint == "ingest/auto":
        return Call(path=endpoint, body=[FINDING, {"not": "a finding"}])
    if endpoint == "incidents":
        return Call(path=endpoint, body={"title": "By hand", "alerts": [make.alert().ulid]})
    if endpoint == "actions":
        return Call(path=f"incidents/{make.incident().ref}/actions", body=REQUEST)
    return Call(path=endpoint, body=ALERT)


def post(client: Client, path: str, body: Any, key: str | None = "k-1") -> Any:
    headers = {} if key is None else {"Idempotency-Key": key}
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()
    return client.generic("POST", f"/api/v1/{path}", sent, "application/json", headers=headers)


def rows() -> dict[str, int]:
    return {model.__name__: model.objects.count() for model in MODELS}


def problem(answer: Any) -> tuple[int, str]:
    assert answer["Content-Type"] == "application/problem+json", answer.content
    return answer.status_code, answer.json()["type"].removeprefix("urn:quell:problem:")


@pytest.fixture
def program(db: None) -> Client:
    make.account()
    throttling.throttle.forget()
    client = make.program(make.key())
    client.raise_request_exception = False
    return client


# --- once, and the same answer -------------------------------------------------------------------------


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_a_repeat_does_nothing_and_is_answered_alike(program: Client, endpoint: str) -> None:
    made = call(endpoint)

    first = post(program, made.path, made.body, 'a-key-with-"quotes"')
    there = rows()
    repeats = [post(program, made.path, made.body, key) for key in ('a-key-with-"quotes"',) * 2]
    repeats.append(post(program, made.path, made.body, r'"a-key-with-\"quotes\""'))

    assert first.status_code in (200, 201), first.content
    assert "Idempotency-Replayed" not in first
    for repeat in repeats:
        assert (repeat.status_code, repeat.json()) == (first.status_code, first.json())
        assert repeat["Content-Type"] == first["Content-Type"] == "application/json"
        assert repeat["Idempotency-Replayed"] == "true"
    assert rows() == there
    assert there["IdempotentAnswer"] == 1


@pytest.mark.parametrize("endpoint", ["incidents", "actions"])
def test_without_the_header_a_repeat_is_a_second_request(program: Client, endpoint: str) -> None:
    made = call(endpoint)
    body = {**made.body, "alerts": []} if endpoint == "incidents" else made.body

    answers = [post(program, made.path, body, None) for _ in range(2)]

    assert {answer.status_code for answer in answers} == {201}
    assert answers[0].json() != answers[1].json()
    assert not IdempotentAnswer.objects.exists()


def test_what_was_answered_is_told_although_it_has_changed_since(program: Client) -> None:
    first = post(program, "incidents", {"title": "By hand"})
    ref = first.json()["ref"]
    program.patch(f"/api/v1/incidents/{ref}", {"title": "Renamed"}, content_type="application/json")

    again = post(program, "incidents", {"title": "By hand"})

    assert again.json() == first.json()
    assert program.get(f"/api/v1/incidents/{ref}").json()["title"] == "Renamed"


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_the_key_with_another_body_is_refused(program: Client, endpoint: str) -> None:
    made = call(endpoint)
    post(program, made.path, made.body)
    there = rows()

    answer = post(program, made.path, json.dumps(made.body).encode() + b" ")

    assert problem(answer) == (422, "idempotency-key-reused")
    assert rows() == there


def test_a_key_belongs_to_who_sent_it_and_to_one_endpoint(program: Client) -> None:
    body = {"title": "By hand"}
    lead = make.browser(make.person("lead"))
    others = [make.program(make.key()), lead, make.browser(make.person("lead"))]

    refs = [post(client, "incidents", body).json()["ref"] for client in [program, *others]]
    one, many = post(program, "alerts", ALERT), post(program, "alerts/batch", [ALERT])

    assert len(set(refs)) == 4
    assert post(lead, "incidents", body).json()["ref"] == refs[2]
    assert (one.status_code, many.status_code) == (201, 200)
    elsewhere = (
        post(program, f"incidents/{refs[0]}/actions", REQUEST, "a"),
        post(program, f"incidents/{refs[1]}/actions", REQUEST, "a"),
    )
    assert elsewhere[0].status_code == 201
    assert problem(elsewhere[1]) == (422, "idempotency-key-reused")


GOOD = [
    "k",
    "'",
    "a,b",
    "~" * 255,
    '"k"',
    r'"\"\\"',
    '"' + "x" * 255 + '"',
    "8e03978e-40d5-43dd-bc93-6894a57f9324",
]
BAD = [
    "", " ", "a b", "é", "x" * 256, '"', '""', '"a', r'"\a"', '"a b"', '"a";b=1', "\x7f", '"a", "b"',
    '"' + "x" * 256 + '"',
]  # fmt: skip


@pytest.mark.parametrize("key", GOOD)
def test_keys_that_are_taken(program: Client, key: str) -> None:
    assert [post(program, "alerts", ALERT, key).status_code for _ in range(2)] == [201, 201]
    assert Alert.objects.count() == 1


@pytest.mark.parametrize("key", BAD)
def test_keys_that_are_none(program: Client, key: str) -> None:
    # As WSGI hands a header on: a character for each byte.
    answer = program.generic(
        "POST", "/api/v1/alerts", json.dumps(ALERT), "application/json", HTTP_IDEMPOTENCY_KEY=key
    )

    assert problem(answer) == (400, "idempotency-key-malformed")
    assert not any(rows()[model.__name__] for model in (Alert, RawDocument, IdempotentAnswer))


def test_where_the_header_means_nothing_it_is_left_alone() -> None:
    ulid = make.alert().ulid

    answer = make.browser(make.person("analyst")).post(
        f"/api/v1/alerts/{ulid}/acknowledge", content_type="application/json", HTTP_IDEMPOTENCY_KEY="a b"
    )
    assert answer.status_code == 200
    assert not IdempotentAnswer.objects.exists()


# --- what is not carried out leaves nothing ------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "wrong", "status", "right"),
    [
        ("alerts", {**ALERT, "titel": "x"}, 422, ALERT),
        ("alerts", b"{", 400, ALERT),
        ("alerts/batch", b"[", 422, [ALERT]),
        ("incidents", {"title": "x", "alerts": ["0" * 26]}, 404, {"title": "x"}),
        ("ingest/nonsense", FINDING, 404, None),
        ("ingest/" + "n" * 500, FINDING, 404, None),
    ],
)
def test_a_refusal_leaves_the_key_free(
    program: Client, path: str, wrong: Any, status: int, right: Any
) -> None:
    assert post(program, path, wrong).status_code == status
    assert not IdempotentAnswer.objects.exists()

    if right is not None:
        assert post(program, path, right).status_code in (200, 201)


def test_no_key_is_kept_for_who_may_not(program: Client) -> None:
    reader = make.program(make.key("alerts:read"))

    assert post(reader, "alerts", ALERT).status_code == 403
    assert post(Client(), "alerts", ALERT).status_code == 401
    assert not IdempotentAnswer.objects.exists()


@pytest.fixture
def unkeepable() -> Iterator[Callable[[], None]]:
    """The database refuses to keep answers until the returned function is called."""
    [guard, *_] = guards.append_only(IdempotentAnswer._meta.db_table)
    known = dict(guards._guards)
    guards.register(guard)
    guards.install()

    def mend() -> None:
        guards.drop()
        guards._guards.clear()
        guards._guards.update(known)
        guards.install()

    yield mend
    mend()


@SERIAL
@pytest.mark.parametrize("endpoint", ["alerts", "incidents", "ingest/auto"])
def test_a_failure_undoes_the_work_and_frees_the_key(
    program: Client, unkeepable: Callable[[], None], endpoint: str
) -> None:
    made = call(endpoint)
    there = rows()

    assert problem(post(program, made.path, made.body)) == (500, "failed")
    assert rows() == there

    unkeepable()
    assert post(program, made.path, made.body).status_code in (200, 201)
    assert rows()["IdempotentAnswer"] == 1


# --- while the first is under way ----------------------------------------------------------------------


def under_way(
    key: ApiKey, *, commits: bool, hold: threading.Event, held: threading.Event
) -> threading.Thread:
    """A thread in the middle of a request that opens an incident, until it is told to end."""

    def run() -> None:
        try:
            with transaction.atomic():
                once.claim(
                    principal=f"key:{key.ulid}", route="api-incidents", key="k-1", digest="0", at=clock.now()
                )
                held.set()
                hold.wait(20)
                transaction.set_rollback(not commits)
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    assert held.wait(10)
    return thread


@SERIAL
@ONLY_POSTGRESQL
@pytest.mark.parametrize("commits", [True, False])
def test_a_second_request_meanwhile_is_told_to_come_again(program: Client, commits: bool) -> None:
    hold, held = threading.Event(), threading.Event()
    thread = under_way(ApiKey.objects.get(), commits=commits, hold=hold, held=held)

    meanwhile = post(program, "incidents", {"title": "By hand"})
    other = post(program, "incidents", {"title": "By hand"}, "k-2")
    hold.set()
    thread.join()
    later = post(program, "incidents", {"title": "By hand"})

    assert problem(meanwhile) == (409, "in-progress")
    assert meanwhile["Retry-After"] == "1"
    assert other.status_code == 201, "another key waits for nobody"
    # The thread's request was another one; had it been the same, its answer would be told.
    assert later.status_code == (422 if commits else 201)


@SERIAL
def test_on_sqlite_a_second_request_waits_for_the_first(program: Client) -> None:
    if connection.vendor != "sqlite":
        pytest.skip("PostgreSQL's answer at once is in the test above")
    hold, held = threading.Event(), threading.Event()
    thread = under_way(ApiKey.objects.get(), commits=False, hold=hold, held=held)
    threading.Timer(0.5, hold.set).start()

    assert post(program, "incidents", {"title": "By hand"}).status_code == 201
    assert hold.is_set()
    thread.join()


@SERIAL
def test_the_answer_that_was_waited_for_is_the_one_that_is_kept(program: Client) -> None:
    """It is refused, as the account is protected; what counts is that this came while waiting."""
    make.account("999999999999", environment=Environment.MANAGEMENT)
    body = {**REQUEST, "target": {**TARGET, "account": "999999999999"}}
    path = f"incidents/{make.incident().ref}/actions"
    ended = threading.Event()

    def worker() -> None:
        try:
            while not ended.wait(0.05):
                sweeps.run_due_actions()
        finally:
            connection.close()

    thread = threading.Thread(target=worker)
    thread.start()
    try:
        first = post(program, f"{path}?wait=10", body)
    finally:
        ended.set()
        thread.join()
    again = post(program, path, body)

    assert first.status_code == 201
    assert first.json()["status"] == "refused"
    assert again.json() == first.json()
    assert Action.objects.count() == 1


# --- long answers --------------------------------------------------------------------------------------


def test_intake_whose_answer_is_too_long_is_taken_in_again_and_changes_nothing(program: Client) -> None:
    wrong = [{f"field-{number}-{more}": 1 for more in range(10)} for number in range(999)]
    body = [ALERT, *wrong]

    first = post(program, "alerts/batch", body)
    there = rows()
    again = post(program, "alerts/batch", body)

    assert len(first.content) > once.LARGEST_ANSWER
    assert IdempotentAnswer.objects.get().answer is None
    assert "Idempotency-Replayed" not in again
    assert again.json()["results"][1:] == first.json()["results"][1:]
    assert [answer.json()["results"][0]["status"] for answer in (first, again)] == ["created", "updated"]
    assert rows() == there
    assert problem(post(program, "alerts/batch", [ALERT])) == (422, "idempotency-key-reused")


def test_an_incident_whose_answer_is_too_long_is_told_as_it_is_now(program: Client) -> None:
    ids = [make.alert(title="é" * 500).ulid for _ in range(300)]

    first = post(program, "incidents", {"title": "By hand", "alerts": ids})
    ref = first.json()["ref"]
    program.patch(f"/api/v1/incidents/{ref}", {"title": "Renamed"}, content_type="application/json")
    again = post(program, "incidents", {"title": "By hand", "alerts": ids})

    assert len(first.content) > once.LARGEST_ANSWER
    assert IdempotentAnswer.objects.get().answer == {"ref": ref}
    assert (again.status_code, again["Idempotency-Replayed"]) == (201, "true")
    assert (again.json()["ref"], again.json()["title"], len(again.json()["alerts"])) == (ref, "Renamed", 300)
    assert Incident.objects.count() == 1


# --- who may not see it any more -----------------------------------------------------------------------


@pytest.fixture
def lead(program: Client) -> tuple[Client, Person]:
    actor = make.person("lead", login="asks")
    return make.browser(actor), Person.objects.get(ulid=actor.person_ulid)


def test_an_incident_that_was_restricted_is_told_no_more(lead: tuple[Client, Person]) -> None:
    client, person = lead
    opened = post(client, "incidents", {"title": "By hand"})
    incident = Incident.objects.get()
    asked = post(client, f"incidents/{incident.ref}/actions", REQUEST)
    assert (opened.status_code, asked.status_code) == (201, 201)

    Incident.objects.update(is_restricted=True)

    assert problem(post(client, "incidents", {"title": "By hand"})) == (404, "not-found")
    assert problem(post(client, f"incidents/{incident.ref}/actions", REQUEST)) == (404, "not-found")
    incident.named.add(person)
    assert post(client, "incidents", {"title": "By hand"}).json() == opened.json()
    assert post(client, f"incidents/{incident.ref}/actions", REQUEST).json() == asked.json()


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_who_left_the_team_is_told_nothing(lead: tuple[Client, Person], endpoint: str) -> None:
    client, _ = lead
    made = call(endpoint)
    first = post(client, made.path, made.body)
    assert first.status_code in (200, 201), first.content

    Membership.objects.update(team=make.team("other"))
    elsewhere = post(client, made.path, made.body)
    Membership.objects.all().delete()
    nowhere = post(client, made.path, made.body)

    if endpoint == "alerts":
        told = {name for name, value in elsewhere.json().items() if value is not None}
        assert told == {"id", "source", "external_id", "deduplicated"}
    elif endpoint in ("alerts/batch", "ingest/auto"):
        assert elsewhere.json() == first.json(), "ids, and what is wrong with what was sent"
    else:
        assert problem(elsewhere) == (404, "not-found")
    assert problem(nowhere) == (401, "not-signed-in"), "a session ends with the last membership"


def test_an_alert_in_a_restricted_incident_is_told_by_its_names(program: Client) -> None:
    first = post(program, "alerts", ALERT).json()
    Alert.objects.update(incident=make.incident(named=[make.person("lead")]))

    told = post(program, "alerts", ALERT).json()

    names = ("id", "source", "external_id", "deduplicated")
    assert told == dict.fromkeys(first) | {name: first[name] for name in names}


def test_alerts_of_an_account_that_is_theirs_no_more_are_left_out(lead: tuple[Client, Person]) -> None:
    client, _ = lead
    ours, gone = make.alert(severity=90), make.alert(account="999999999999", severity=10)
    body = {"title": "By hand", "alerts": [ours.ulid, gone.ulid]}
    first = post(client, "incidents", body).json()
    assert [one["id"] for one in first["alerts"]] == [ours.ulid, gone.ulid]

    Membership.objects.update(accounts=[make.ACCOUNT])

    # It names an alert that is not theirs, and the answer is from before that: what it lists is not.
    told = post(client, "incidents", body).json()
    assert [one["id"] for one in told["alerts"]] == [ours.ulid]
    assert told == {**first, "alerts": first["alerts"][:1]}


def test_an_action_on_an_account_that_is_theirs_no_more(lead: tuple[Client, Person]) -> None:
    client, _ = lead
    ref = make.incident(account="999999999999").ref
    asked = post(client, f"incidents/{ref}/actions", REQUEST)
    assert asked.status_code == 201

    Membership.objects.update(accounts=["999999999999"])

    assert problem(post(client, f"incidents/{ref}/actions", REQUEST)) == (404, "not-found")


def test_repeats_count_against_the_budget(program: Client) -> None:
    ApiKey.objects.update(per_minute=6)  # three for each of the two web processes

    statuses = [post(program, "alerts", ALERT).status_code for _ in range(5)]

    assert statuses == [201, 201, 201, 429, 429]


# --- a week --------------------------------------------------------------------------------------------


def test_keys_and_marks_of_sns_are_forgotten_after_a_week(program: Client) -> None:
    now = clock.now()
    marks = [
        IdempotentAnswer(principal="hook:1", route="sns", key=f"{n}", digest="", status=200, at=at)
        for n, at in enumerate([now - timedelta(days=8)] * (once.BATCH + 1) + [now - timedelta(days=6)])
    ]
    IdempotentAnswer.objects.bulk_create(marks)
    first = post(program, "incidents", {"title": "By hand"}).json()

    assert once.sweep_answers() == once.BATCH + 1
    assert IdempotentAnswer.objects.count() == 2
    later = ManualClock(now + timedelta(days=7, minutes=1))
    with clock.using(later):
        assert once.sweep_answers() == 2
        assert once.sweep_answers() == 0
    assert post(program, "incidents", {"title": "By hand"}).json()["ref"] != first["ref"]


def test_the_schema_names_the_header_where_it_counts() -> None:
    told = Client().get("/api/schema/", headers={"Accept": "application/vnd.oai.openapi+json"}).json()
    takes = {
        operation["operationId"]
        for path in told["paths"].values()
        for operation in path.values()
        if any(one["name"] == "Idempotency-Key" for one in operation.get("parameters", []))
    }

    assert takes == {
        "alerts_create", "alerts_batch", "ingest", "incidents_create", "incident_actions_create",
        "actions_revert", "incident_plans_ask",
    }  # fmt: skip
    created = told["paths"]["/api/v1/incidents"]["post"]["responses"]["201"]
    assert created["headers"]["Idempotency-Replayed"]["schema"]["enum"] == ["true"]
