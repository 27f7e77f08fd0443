"""Sources and quarantine over the API: the same facts as the pages, and what is refused."""

from __future__ import annotations

import json
from datetime import UTC, timedelta
from typing import Any

import pytest
from django.test import Client

from cases.models import Alert, Heard, Quarantined, SourceHour
from identity.actors import Actor
from lib import clock
from tests import make
from tests.soc.test_schema_cases import operations, play

pytestmark = pytest.mark.django_db

QUARANTINE = "/api/v1/quarantine"
GOOD = json.dumps({"source": "edr", "external_id": "7", "title": "Odd"}).encode()
MINE = ("sources_list", "sources_places", "quarantine_list", "quarantine_read", "quarantine_replay")


def send(client: Client, path: str, body: Any = None) -> Any:
    return client.post(path, json.dumps(body or {}), content_type="application/json")


@pytest.fixture
def program(db: None) -> Client:
    return make.program(make.key())


def test_a_source_is_told_as_on_its_page(program: Client) -> None:
    at = clock.now()
    make.account(name="prod")
    make.heard(silent_after=timedelta(minutes=15), last_at=at - timedelta(hours=1))
    make.heard(region="eu-west-2")
    this = at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    SourceHour.objects.create(
        team=make.team(),
        source="guardduty",
        hour=this,
        documents=3,
        quarantined=0,
        latency_count=2,
        latency_sum_ms=3000,
        latency_max_ms=2500,
    )

    [one] = program.get("/api/v1/sources").json()["results"]

    assert (one["source"], one["state"], one["places"], one["expected"]) == ("guardduty", "fell_silent", 2, 1)
    assert (one["silent"], one["never_heard"], one["documents"], one["waiting"]) == (1, 0, 3, 0)
    assert one["latency"] == {
        "n": 2,
        "mean_seconds": 1.5,
        "longest_seconds": 2.5,
        "sampled": 0,
        "median_seconds": None,
        "p95_seconds": None,
    }
    assert len(one["hours"]) == 24
    assert one["hours"][-1] == {"at": f"{this:%Y-%m-%dT%H:%M:%SZ}", "documents": 3, "quarantined": 0}
    assert len(one["reasons"]) == 1
    assert one["reasons"][0].startswith("Silent in 1 of 1 place where it is expected")


def test_places_are_told_one_by_one_with_their_state(program: Client) -> None:
    at, quarter = clock.now(), timedelta(minutes=15)
    make.heard(region="a", silent_after=quarter, last_at=at - timedelta(hours=1), alarmed_at=at)
    never: dict[str, Any] = {"first_at": None, "last_at": None, "silent_after": quarter}
    make.heard(region="b", expected_since=at - timedelta(hours=1), **never)
    make.heard(region="c", expected_since=at, **never)
    make.heard(region="d")

    first = program.get("/api/v1/sources/guardduty/places?limit=3").json()
    second = program.get(first["next"]).json()

    told = [
        (one["region"], one["state"], one["silent_after"]) for one in first["results"] + second["results"]
    ]
    assert told == [
        ("a", "fell_silent", 900),
        ("b", "never_heard", 900),
        ("c", "awaited", 900),
        ("d", "heard", None),
    ]
    assert first["results"][0]["alarmed_at"] is not None
    assert second["next"] is None


def test_a_key_sees_the_whole_of_its_team_and_nothing_else(program: Client) -> None:
    make.heard("macie", team=make.team("other"))
    make.quarantined(team="other")

    assert program.get("/api/v1/sources").json()["results"] == []
    assert program.get(QUARANTINE).json()["results"] == []
    assert program.get("/api/v1/sources/macie/places").status_code == 404


def test_a_seat_for_some_accounts_gets_no_counts() -> None:
    make.heard()
    make.heard(account="444455556666")
    make.quarantined(source="guardduty")
    client = make.browser(make.person("analyst", accounts=[make.ACCOUNT]))

    [one] = client.get("/api/v1/sources").json()["results"]

    assert (one["places"], one["documents"], one["latency"], one["hours"]) == (1, None, None, [])
    assert one["waiting"] == 0
    assert len(client.get("/api/v1/sources/guardduty/places").json()["results"]) == 1


def test_items_are_listed_narrowed_and_read(program: Client) -> None:
    at = clock.now()
    old = make.quarantined(b"\xff\xfe", source="auto", received_at=at - timedelta(hours=1), pointer="/2")
    make.quarantined(replayed_at=at, settled_by="rui")

    page = program.get(f"{QUARANTINE}?limit=1").json()
    assert page["next"] is None
    [listed] = page["results"]
    assert (listed["id"], listed["state"], listed["size"], listed["pointer"]) == (
        old.ulid,
        "waiting",
        2,
        "/2",
    )
    assert [one["state"] for one in program.get(f"{QUARANTINE}?state=all").json()["results"]] == [
        "replayed",
        "waiting",
    ]
    assert (
        program.get(f"{QUARANTINE}?state=all&source=native&q=json").json()["results"][0]["settled_by"]
        == "rui"
    )
    one = program.get(f"{QUARANTINE}/{old.ulid}").json()
    assert (one["head_is_text"], one["head_bytes"], one["team"], one["digest"]) == (
        False,
        2,
        "blue",
        old.digest,
    )
    assert one["head"].startswith("000000  ff fe")


@pytest.mark.parametrize("query", ["state=gone", "colour=red", "limit=0", "cursor=x"])
def test_what_cannot_be_asked_is_refused(program: Client, query: str) -> None:
    assert program.get(f"{QUARANTINE}?{query}").status_code in (400, 422)


def test_a_program_replays_and_is_told_what_came_of_it(program: Client) -> None:
    item = make.quarantined(GOOD)

    told = send(program, f"{QUARANTINE}/{item.ulid}/replay").json()

    alert = Alert.objects.get()
    assert told == {
        "state": "replayed",
        "alerts": [{"id": alert.ulid, "external_id": "7", "outcome": "created"}],
        "quarantined": [],
        "passed": 0,
    }
    assert program.get(f"{QUARANTINE}/{item.ulid}").json()["alerts"] == [alert.ulid]
    again = send(program, f"{QUARANTINE}/{item.ulid}/replay")
    assert again.status_code == 409
    assert "replayed it at" in again.json()["detail"]
    assert send(program, f"{QUARANTINE}/{item.ulid}/replay", {"no": "field"}).status_code == 422


def test_a_person_puts_aside_and_a_program_does_not(program: Client, analyst: Actor) -> None:
    item = make.quarantined()
    path = f"{QUARANTINE}/{item.ulid}/discard"
    client = make.browser(analyst)

    assert send(program, path, {"reason": "noise"}).status_code == 403
    assert send(client, path, {"reason": ""}).status_code == 422
    assert send(client, path, {"reason": "x" * 501}).status_code == 422
    done = send(client, path, {"reason": "noise"}).json()
    assert (done["state"], done["discard_reason"], done["settled_by"]) == ("discarded", "noise", "analyst")
    assert send(client, path, {"reason": "noise"}).status_code == 409
    assert Quarantined.objects.get().discard_reason == "noise"


def test_made_up_requests_are_never_answered_with_a_failure(db: None) -> None:
    make.heard()
    make.quarantined(GOOD)
    headers = {"Authorization": f"Bearer {make.key()}", "Host": "127.0.0.1"}
    known = operations()

    for name in (*MINE, "quarantine_discard"):
        statuses = play(known[name], headers=headers, most=25)
        assert sum(statuses.values()) >= 5, name
        assert max(statuses) < 500, name
    assert Heard.objects.count() == 1
