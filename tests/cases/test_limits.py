"""Bodies that would become very much: told by a count before they are parsed, and kept whole."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import Any

import pytest

from cases import decoding, ingest
from cases.decoding import LIMITS, Limits, Unreadable
from cases.ingest import MOST_HELD, Received
from cases.models import Alert, Quarantined
from identity.actors import system
from tests import make

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
MOST = LIMITS.bytes


def filled(begin: bytes, member: bytes, end: bytes) -> bytes:
    """A list as long as a body may be."""
    count = (MOST - len(begin) - len(end)) // (len(member) + 1)
    return begin + b",".join([member] * count) + end


BOMBS = {
    "numbers": filled(b"[", b"1", b"]"),
    "texts": filled(b"[", b'"a"', b"]"),
    "lists": filled(b"[", b"[]", b"]"),
    "objects": filled(b"[", b"{}", b"]"),
    "deep lists": filled(b"[", b"[" * 30 + b"]" * 30, b"]"),
    "records": filled(b'{"Records":[', b"1", b"]}"),
    "lines of nothing": b"{}\n" * (MOST // 3),
    "lines after a byte that is none": b"\xff\n" + b"{}\n" * (MOST // 3 - 1),
    "one after another": b"1 " * (MOST // 2),
}


def received(body: bytes, source: str = "auto") -> Received:
    return ingest.receive(source=source, body=body, by=system("test"), at=NOW, team=make.team())


def native(number: int) -> dict[str, Any]:
    return {"source": "s", "external_id": f"{number}", "title": "t"}


@pytest.mark.parametrize("name", BOMBS)
def test_what_would_become_very_much_is_refused_before_it_does(name: str) -> None:
    started = time.monotonic()

    with pytest.raises(Unreadable, match="more than"):
        decoding.documents(BOMBS[name])
    with pytest.raises(Unreadable):
        decoding.decode(BOMBS[name])

    assert time.monotonic() - started < 2


@pytest.mark.django_db
@pytest.mark.parametrize("name", BOMBS)
def test_it_is_kept_whole_in_quarantine(name: str) -> None:
    [held] = received(BOMBS[name]).quarantined

    assert "more than" in held.reason
    assert bytes(Quarantined.objects.get().body) == BOMBS[name]


def test_values_and_documents_are_counted_to_the_last() -> None:
    few = Limits(values=6, documents=3)

    assert decoding.decode(b'{"a":[1,2,3,4]}', limits=few) == {"a": [1, 2, 3, 4]}
    with pytest.raises(Unreadable, match="more than 6 values"):
        decoding.decode(b'{"a":[1,2,3,4,5,6]}', limits=few)
    for body in (b"[1,2,3]", b"1 2 3", b'{"a":1}\n{"a":2}\n{"a":3', b'\xff\n{"a":1}\n{"a":2}'):
        assert len(decoding.documents(body, limits=few)) == 3
    for body in (b"[1,2,3,4]", b"1 2 3 4", b"\xff\n{}\n{}\n{}"):
        with pytest.raises(Unreadable, match="more than 3 documents"):
            decoding.documents(body, limits=few)


def test_a_body_full_of_texts_with_commas_is_no_bomb() -> None:
    alert = {"title": "a, b, c", "summary": "one, two, three; " * 20_000}

    assert decoding.decode(json.dumps(alert).encode()) == alert


@pytest.mark.django_db
def test_many_parts_that_cannot_be_read_are_kept_as_the_one_body_they_came_in() -> None:
    good = [native(number) for number in range(3)]
    body = json.dumps([good[0], *({"wrong": n} for n in range(MOST_HELD + 1)), *good[1:]]).encode()

    told = received(body)
    again = received(body)

    assert [one.external_id for one in told.alerts] == ["0", "1", "2"]
    [held] = told.quarantined
    assert (held.pointer, held.reason[:40]) == ("/1", f"more than {MOST_HELD} parts cannot be read, the"[:40])
    assert again.quarantined == told.quarantined
    row = Quarantined.objects.get()
    assert (bytes(row.body), row.count, Alert.objects.count()) == (body, 2, 3)


@pytest.mark.django_db
def test_as_many_as_may_be_are_kept_one_by_one() -> None:
    body = json.dumps([{"wrong": n} for n in range(MOST_HELD)]).encode()

    assert len(received(body).quarantined) == Quarantined.objects.count() == MOST_HELD


@pytest.mark.slow
@pytest.mark.django_db
def test_more_documents_in_an_envelope_than_may_be_are_kept_with_it() -> None:
    count = LIMITS.documents
    body = json.dumps({"Records": [native(number) for number in range(count + 2)]}).encode()

    told = received(body)

    assert len(told.alerts) == Alert.objects.count() == count
    assert [(held.pointer, held.reason) for held in told.quarantined] == [
        (f"/Records/{count}", f"more than {count} documents")
    ]
    assert bytes(Quarantined.objects.get().body) == body
