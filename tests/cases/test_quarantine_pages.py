"""The pages of quarantine: what is shown of hostile bytes, replaying one and many, and two people at once."""

from __future__ import annotations

import json
import threading
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection, connections
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from audit.models import AuditEvent
from cases import ingest, quarantine, quarantine_list
from cases.models import Alert, Quarantined
from cases.quarantine_list import Filter, head_of, visible
from cases.templatetags import intake
from identity.actors import SYSTEM, Actor
from identity.models import Membership, Person, Role
from lib import clock
from lib.errors import AppError
from tests import make
from tests.cases.test_pages import HTMX, MARKER, read, tags_of

pytestmark = pytest.mark.django_db

BIDI = "abc\u202egpj.exe"
QUERIES = 12


def good(number: int = 7) -> bytes:
    """A body that can be read: what was in its way then is mended now."""
    return json.dumps({"source": "edr", "external_id": str(number), "title": f"Odd {number}"}).encode()


def unreadable(*, at: datetime) -> Quarantined:
    """What cannot be read now either, received as anything is."""
    ingest.receive(source="native", body=b"nonsense", by=SYSTEM, at=at, team=make.team())
    return Quarantined.objects.get(body=b"nonsense")


def text_of(answer: Any) -> str:
    return " ".join(answer.content.decode().split())


# --- the list --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, {"waits native", "waits auto"}),
        ({"state": "replayed"}, {"was replayed"}),
        ({"state": "discarded"}, {"was put aside"}),
        ({"state": "all", "source": "auto"}, {"waits auto", "was replayed"}),
        ({"q": "NATIVE"}, {"waits native"}),
        ({"state": "nonsense", "source": "a\0uto"}, {"waits auto"}),
    ],
)
def test_the_filter_stands_in_the_address(analyst: Actor, query: dict[str, str], expected: set[str]) -> None:
    at = clock.now()
    make.quarantined(reason="waits native")
    make.quarantined(reason="waits auto", source="auto")
    make.quarantined(reason="was replayed", source="auto", replayed_at=at, settled_by="rui")
    make.quarantined(reason="was put aside", discarded_at=at, settled_by="rui")
    reasons = {"waits native", "waits auto", "was replayed", "was put aside"}

    page = read(make.browser(analyst), "quarantine", query=query)

    assert {reason for reason in reasons if f'title="{reason}"' in page} == expected


def test_pages_follow_one_another_without_gap_or_repeat(analyst: Actor) -> None:
    at = clock.now()
    for number in range(105):
        make.quarantined(reason=f"r{number:03}", received_at=at - timedelta(seconds=number // 3))
    found: list[str] = []
    cursor = ""
    for _ in range(3):
        page = quarantine_list.page(analyst, Filter(), cursor=cursor)
        found += [row.reason for row in page.rows]
        cursor = page.next_cursor

    assert len(found) == len(set(found)) == 105
    assert cursor == ""
    assert make.browser(analyst).get("/quarantine?cursor=made-up").status_code == 422


def test_ten_thousand_items_cost_the_queries_of_ten_and_none_of_their_bytes(analyst: Actor) -> None:
    client, counts, page = make.browser(analyst), [], ""
    for number in (10, 10_000):
        Quarantined.objects.bulk_create(
            [
                Quarantined(
                    source="auto",
                    digest=f"{number}-{n}",
                    body=b"x" * 500,
                    reason="not JSON",
                    received_at=clock.now(),
                    team=make.team(),
                )
                for n in range(number)
            ],
            batch_size=1000,
        )
        with CaptureQueriesContext(connection) as queries:
            page = read(client, "quarantine")
        counts.append(len(queries))
        told = [one["sql"].replace('LENGTH("cases_quarantined"."body")', "") for one in queries]
        assert not [sql for sql in told if '"body"' in sql]

    assert counts[0] == counts[1] <= QUERIES
    assert "1000+ items wait." in page


def test_a_list_with_nothing_in_it_says_what_that_means(analyst: Actor) -> None:
    client = make.browser(analyst)
    limited = make.browser(make.person("analyst", accounts=[make.ACCOUNT]))
    make.quarantined(replayed_at=clock.now())

    assert "Nothing is held back" in read(client, "quarantine")
    assert "No item matches" in read(client, "quarantine", query={"q": "x"})
    assert "None here" in read(client, "quarantine", query={"state": "discarded"})
    assert "Hidden from you" in read(limited, "quarantine")


# --- hostile bytes ---------------------------------------------------------------------------------------


def test_nothing_of_an_item_becomes_an_element_or_turns_text_around(analyst: Actor) -> None:
    body = json.dumps({"a": MARKER, "b": BIDI}, ensure_ascii=False).encode()
    item = make.quarantined(
        body,
        source=MARKER[:40],
        reason=f"{MARKER} {BIDI}",
        pointer=f"/{MARKER}/{BIDI}",
        door=MARKER[:40],
        discarded_at=clock.now(),
        discard_reason=f"{MARKER} {BIDI}",
        settled_by=MARKER,
    )
    client = make.browser(analyst)

    for path in (
        f"/quarantine?state=all&q={MARKER}&source={MARKER}",
        f"/quarantine/{item.ulid}",
        f"/quarantine/{item.ulid}?as=page",
    ):
        page = client.get(path).content.decode()
        tags = tags_of(page)
        assert "img" not in tags.elements, path
        assert "style" not in {name for name, _ in tags.attributes}, path
        assert not [name for name, _ in tags.attributes if name.startswith("on")], path
        assert "\u202e" not in page, path
        if "?state" not in path:
            assert "abc\\u202egpj.exe" in page, path
            assert '<pre class="untrusted">' in page, path


def test_a_long_line_is_cut_with_words(analyst: Actor) -> None:
    item = make.quarantined(b'{"' + b"x" * 10_000)

    page = read(make.browser(analyst), "quarantine-item", item.ulid)

    assert page.count("x" * 4094) == 1
    assert "x" * 4095 not in page
    assert "The first 4,096 of 10,002 bytes. The download has all." in page


def test_the_page_of_an_item_reads_its_first_bytes_alone(analyst: Actor) -> None:
    item = make.quarantined(b"x" * 100_000)

    with CaptureQueriesContext(connection) as queries:
        make.browser(analyst).get(f"/quarantine/{item.ulid}?as=page")

    asked = [one["sql"] for one in queries if '"body"' in one["sql"]]
    assert len(asked) == 1
    assert "SUBSTR" in asked[0].upper()


@pytest.mark.parametrize(
    ("body", "size", "is_text", "text"),
    [
        (b"", 0, True, ""),
        ("a\u00e9".encode(), 3, True, "a\u00e9"),
        ("a\u00e9".encode()[:2], 3, True, "a"),
        ("a\u00e9".encode()[:2], 2, False, "000000  61 c3                                            a."),
        (b"a\0b", 3, False, "000000  61 00 62                                         a.b"),
        (b"\x1b[2Ja\r\n", 7, True, "\\u001b[2Ja\\u000d\n"),
        ("\u200b\ufeff\u2028x".encode(), 10, True, "\\u200b\\ufeff\\u2028x"),
    ],
)
def test_the_first_bytes_are_text_or_a_dump(body: bytes, size: int, is_text: bool, text: str) -> None:
    head = head_of(body, size=size)
    assert (head.text, head.is_text) == (text, is_text)


def test_a_dump_ends_after_its_first_kilobyte() -> None:
    head = head_of(bytes(range(256)) * 16, size=9999)
    assert (head.shown, head.is_cut, len(head.text.splitlines())) == (1024, True, 64)
    assert head.text.splitlines()[1] == (
        "000010  10 11 12 13 14 15 16 17 18 19 1a 1b 1c 1d 1e 1f  ................"
    )


def test_every_character_that_is_not_seen_is_spelled_out() -> None:
    assert visible("a\u061cb\u2066c\U000e0041d\ud800") == "a\\u061cb\\u2066c\\ue0041d\\ud800"


def test_the_raw_bytes_come_as_a_file_that_no_browser_opens(analyst: Actor) -> None:
    body = b"<html><script>alert(1)</script>\xff"
    item = make.quarantined(body)

    answer = make.browser(analyst).get(f"/quarantine/{item.ulid}/raw")

    assert answer.content == body
    assert answer["Content-Type"] == "application/octet-stream"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Content-Disposition"] == f'attachment; filename="quarantine-{item.ulid}.bin"'
    assert "no-store" in answer["Cache-Control"]


def test_sizes_reasons_and_pointers_are_worded() -> None:
    assert [intake.size(n) for n in (0, 1, 999, 1000, 5_242_880)] == [
        "0 bytes",
        "1 byte",
        "999 bytes",
        "1.0 kB",
        "5.2 MB",
    ]
    assert intake.pointer_words("/3") == "item 4 of the body"
    assert intake.pointer_words("/a/3") == "in the document"
    assert intake.reason_words("not UTF-8: invalid start byte at byte 0").startswith("Text comes as UTF-8")
    assert intake.reason_words("title is missing") == intake.OTHERWISE


# --- replaying and putting aside --------------------------------------------------------------------------


def test_a_replay_leads_to_the_alert(analyst: Actor) -> None:
    item = make.quarantined(good())
    client = make.browser(analyst)

    answer = client.post(f"/quarantine/{item.ulid}/replay", headers=HTMX)

    alert = Alert.objects.get()
    said = text_of(answer)
    assert "Replayed: 1 document became an alert." in said
    assert f'href="/alerts/{alert.ulid}?as=page"' in said
    assert 'data-state="leaving"' in said
    assert "replayed it" in said
    assert "Odd 7" in read(client, "quarantine-item", item.ulid)


def test_the_alert_of_a_replay_is_named_to_those_who_see_it_alone(analyst: Actor, lead: Actor) -> None:
    item = make.quarantined(good())
    make.browser(analyst).post(f"/quarantine/{item.ulid}/replay")
    Alert.objects.update(incident=make.incident(named=[lead]))

    page = read(make.browser(analyst), "quarantine-item", item.ulid)

    assert "Odd 7" not in page
    assert "No alert that you may see" in page
    assert make.browser(analyst).get(f"/quarantine/{item.ulid}/raw").status_code == 404
    assert make.browser(analyst).get(f"/api/v1/quarantine/{item.ulid}").json()["head"] is None
    assert make.browser(lead).get(f"/quarantine/{item.ulid}/raw").content == good()
    assert "Odd 7" in read(make.browser(lead), "quarantine-item", item.ulid)


def test_what_still_cannot_be_read_waits_on_with_its_reason(analyst: Actor) -> None:
    item = unreadable(at=clock.now())

    answer = make.browser(analyst).post(f"/quarantine/{item.ulid}/replay", headers=HTMX)

    assert "Still not readable: not JSON" in text_of(answer)
    assert 'data-tone="bad"' in text_of(answer)
    assert quarantine_list.detail(analyst, item.ulid).row.state == "waiting"


def test_putting_aside_asks_for_a_reason_in_place(analyst: Actor) -> None:
    item = make.quarantined()
    client = make.browser(analyst)
    path = f"/quarantine/{item.ulid}/discard"

    for headers in (HTMX, {}):
        refused = client.post(path, {"reason": "  "}, headers=headers)
        assert refused.status_code == 422
        assert "Say why, in at most 500 characters." in text_of(refused)
        assert 'id="panel"' in text_of(refused)
    done = client.post(path, {"reason": f"noise {MARKER}"}, headers=HTMX)

    assert "Put aside. The bytes are kept." in text_of(done)
    assert "img" not in tags_of(done.content.decode()).elements
    item.refresh_from_db()
    assert (item.discard_reason, item.settled_by) == (f"noise {MARKER}", "analyst")


def test_a_reader_is_told_what_it_takes(viewer: Actor) -> None:
    item = make.quarantined()
    client = make.browser(viewer)

    page = read(client, "quarantine-item", item.ulid)

    assert "needs the role analyst, responder or lead in Blue team" in page
    assert reverse("quarantine-replay", args=[item.ulid]) not in page
    assert "Replay what waits" not in page
    client.post("/quarantine/replay-waiting")
    assert not Quarantined.objects.exclude(replayed_at=None).exists()


def test_who_comes_second_is_told_who_was_first(analyst: Actor, lead: Actor) -> None:
    item = make.quarantined(good())
    make.browser(lead).post(f"/quarantine/{item.ulid}/discard", {"reason": "noise"})

    for verb, data in (("replay", {}), ("discard", {"reason": "noise"})):
        answer = make.browser(analyst).post(f"/quarantine/{item.ulid}/{verb}", data, headers=HTMX)
        assert answer.status_code == 409
        assert "Not done: lead put it aside at" in text_of(answer)
    assert not Alert.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_one_replays_while_another_puts_it_aside_and_one_of_the_two_is_done() -> None:
    people = [make.person(Role.ANALYST, login=f"analyst-{n}") for n in range(6)]
    item = make.quarantined(good())
    told: dict[str, str] = {}
    barrier = threading.Barrier(len(people))

    def act(number: int, by: Actor) -> None:
        try:
            barrier.wait(20)
            if number % 2:
                quarantine.replay(item=item, by=by, at=clock.now())
            else:
                quarantine.discard(item=item, reason="noise", by=by, at=clock.now())
            told[by.label] = "done"
        except AppError as refused:
            told[by.label] = refused.detail
        finally:
            connections.close_all()

    threads = [threading.Thread(target=act, args=one) for one in enumerate(people)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    [first] = [label for label, said in told.items() if said == "done"]
    item.refresh_from_db()
    assert len(told) == 6
    assert item.settled_by == first
    assert (item.replayed_at is None) is not (item.discarded_at is None)
    assert {said.split(" at ")[0] for label, said in told.items() if label != first} == {
        f"Not done: {first} {'replayed it' if item.replayed_at else 'put it aside'}"
    }
    assert Alert.objects.count() == (1 if item.replayed_at else 0)
    assert AuditEvent.objects.filter(object_type="quarantined", object_id=item.ulid).count() == 1


# --- many at once ----------------------------------------------------------------------------------------


def waiting(count: int, **values: Any) -> list[Quarantined]:
    at = clock.now()
    return [
        make.quarantined(good(number), received_at=at - timedelta(seconds=number), **values)
        for number in range(count)
    ]


def test_a_round_replays_what_fits_and_says_what_is_left(
    analyst: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quarantine, "MOST_AT_ONCE", 4)
    waiting(6)
    unreadable(at=clock.now() - timedelta(seconds=2, milliseconds=500))
    other = make.quarantined(good(99), source="auto")
    client = make.browser(analyst)

    first = client.post("/quarantine/replay-waiting?source=native", follow=True)

    assert "Tried 4: 3 read, with 3 alerts. 1 still cannot be read and wait on. 3 not tried yet." in text_of(
        first
    )
    assert "Replay the next 4" in text_of(first)
    after = first.context["after"]
    second = client.post("/quarantine/replay-waiting?source=native", {"after": after}, follow=True)
    assert "Tried 3: 3 read, with 3 alerts." in text_of(second)
    assert "not tried yet" not in text_of(second)
    assert Alert.objects.count() == 6
    other.refresh_from_db()
    assert other.replayed_at is None


def test_a_round_ends_when_whoever_asked_has_waited_long_enough(
    analyst: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quarantine, "PATIENCE_SECONDS", -1.0)
    waiting(3)

    done = quarantine.replay_waiting(by=analyst, at=clock.now())

    assert (done.tried, done.left) == (1, 2)


def test_a_round_reaches_the_teams_in_which_one_may_replay(analyst: Actor) -> None:
    mine, theirs, read_only = waiting(1), waiting(1, team="red"), waiting(1, team="green")
    person = Person.objects.get(ulid=analyst.person_ulid)
    Membership.objects.create(person=person, team=make.team("green"), role="viewer")
    client: Client = make.browser(analyst)

    client.post("/quarantine/replay-waiting")

    done = set(Quarantined.objects.exclude(replayed_at=None).values_list("pk", flat=True))
    assert done == {mine[0].pk}
    assert not done & {theirs[0].pk, read_only[0].pk}
