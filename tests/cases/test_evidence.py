"""The evidence store and its record: what is kept stays as it was, and who had it is written down."""

from __future__ import annotations

import hashlib
import os
import re
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import DatabaseError, connection, transaction
from django.test import Client

from cases import evidence, evidence_store
from cases.models import Custody, Evidence, Incident
from identity.actors import Actor
from lib import clock
from lib.errors import Conflict, NotFound
from tests import make

pytestmark = pytest.mark.django_db
BODY = b"what the attacker left"
HOSTILE = '../../etc/passwd"\r\nX-Evil: 1<script>alert(1)</script>\u202etxt.exe'


@pytest.fixture(autouse=True)
def store(settings: Any, tmp_path: Path) -> Path:
    settings.QUELL_EVIDENCE_DIR = tmp_path / "evidence"
    return tmp_path / "evidence"


@pytest.fixture
def incident() -> Incident:
    make.account()
    return make.incident()


def added(incident: Incident, by: Actor, *, name: str = "notes.txt", sensitive: bool = False) -> Evidence:
    return evidence.upload(
        incident=incident,
        name=name,
        media_type="text/plain",
        source="the owner's laptop",
        chunks=[BODY],
        is_sensitive=sensitive,
        by=by,
        at=clock.now(),
    )


def path_of(one: Evidence, store: Path) -> Path:
    return store / one.sha256[:2] / one.sha256[2:]


def tampered(path: Path, body: bytes) -> None:
    path.chmod(0o600)
    path.write_bytes(body)


def files(store: Path) -> list[Path]:
    return sorted(path for path in store.rglob("*") if path.is_file())


def acts(one: Evidence) -> list[str]:
    return list(one.custody.order_by("pk").values_list("what", flat=True))


# --- the store --------------------------------------------------------------------------------------------


def test_the_same_content_is_one_read_only_file(store: Path) -> None:
    first, second = (evidence_store.keep(iter([b"a", b"b"])) for _ in range(2))

    assert first == second
    assert first.sha256 == hashlib.sha256(b"ab").hexdigest()
    assert [path.stat().st_mode & 0o777 for path in files(store)] == [0o400]


def test_what_is_larger_than_allowed_is_not_kept(settings: Any, store: Path) -> None:
    settings.QUELL_EVIDENCE_MOST_BYTES = 10
    with pytest.raises(evidence_store.TooLarge):
        evidence_store.keep(iter([b"x" * 6, b"x" * 6]))

    assert files(store) == []
    assert evidence_store.keep(iter([b"x" * 10])).size == 10


def test_two_hundred_megabytes_take_no_more_memory_than_some_chunks() -> None:
    chunk = os.urandom(1024 * 1024)

    def chunks() -> Iterator[bytes]:
        for _ in range(200):
            yield chunk

    tracemalloc.start()
    kept = evidence_store.keep(chunks())
    evidence_store.check(kept.sha256)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert kept.size == 200 * 1024 * 1024
    assert peak < 8 * 1024 * 1024


def test_a_damaged_file_is_put_aside_when_its_content_comes_again(store: Path) -> None:
    kept = evidence_store.keep(iter([BODY]))
    tampered(store / kept.sha256[:2] / kept.sha256[2:], b"other")

    evidence_store.keep(iter([BODY]))

    evidence_store.check(kept.sha256)
    assert sorted(path.read_bytes() for path in files(store)) == sorted([BODY, b"other"])


def test_parts_of_the_dead_are_cleared_after_a_day_and_those_of_the_living_are_not(store: Path) -> None:
    evidence_store.keep(iter([b"1"]))
    old, new = store / "incoming" / "old", store / "incoming" / "new"
    for part in (old, new):
        part.write_bytes(b"half")
    os.utime(old, (old.stat().st_mtime - 90_000,) * 2)

    evidence_store.keep(iter([b"2"]))

    assert not old.exists()
    assert new.exists()


@pytest.mark.parametrize("digest", ["", "..", "../" * 20, "A" * 64, "0" * 63 + "/"])
def test_no_name_but_a_digest_leads_to_a_file(digest: str) -> None:
    with pytest.raises(ValueError, match="not a SHA-256"):
        evidence_store.check(digest)


# --- the record -------------------------------------------------------------------------------------------


def test_each_touch_is_in_the_custody_record(incident: Incident, analyst: Actor) -> None:
    one = added(incident, analyst)

    assert evidence.view(evidence=one, by=analyst, at=clock.now()) == BODY.decode()
    assert b"".join(evidence.download(evidence=one, by=analyst, at=clock.now())) == BODY
    assert evidence.verify(evidence=one, by=analyst, at=clock.now()) == ""
    assert acts(one) == ["collected", "viewed", "downloaded", "verified"]
    assert set(one.custody.values_list("digest", "actor")) == {(one.sha256, "analyst")}
    assert incident.timeline.filter(kind="evidence").count() == 1


@pytest.mark.parametrize("how", ["altered", "missing"])
def test_a_damaged_file_is_found_shown_and_not_given_out(
    incident: Incident, analyst: Actor, store: Path, how: str
) -> None:
    one = added(incident, analyst)
    path = path_of(one, store)
    if how == "altered":
        tampered(path, BODY[:-1] + b"!")
    else:
        path.unlink()
    browser = make.browser(analyst)

    answer = browser.get(f"/api/v1/evidence/{one.ulid}/content")
    checked = browser.post(f"/api/v1/evidence/{one.ulid}/verify", "{}", content_type="application/json")

    assert answer.status_code == 409
    assert answer.json()["type"].endswith("evidence-damaged")
    assert checked.json()["intact"] is False
    assert acts(one) == ["collected", "damaged", "damaged"]
    assert incident.timeline.filter(kind="evidence.damaged").count() == 1
    assert "Damaged" in browser.get(f"/incidents/{incident.ref}/evidence").content.decode()
    assert "not what was kept" in browser.get(f"/evidence/{one.ulid}").content.decode()


@pytest.mark.parametrize("table", ["cases_evidence", "cases_custody"])
@pytest.mark.parametrize("verb", ["UPDATE {} SET id = id", "DELETE FROM {}"])
def test_neither_row_can_be_changed_even_in_sql(
    incident: Incident, analyst: Actor, table: str, verb: str
) -> None:
    added(incident, analyst)
    with (
        pytest.raises(DatabaseError, match="append-only"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(verb.format(table))

    assert (Evidence.objects.count(), Custody.objects.count()) == (1, 1)


def test_who_is_not_of_the_team_gets_404_whatever_they_ask(
    incident: Incident, analyst: Actor, outsider: Actor
) -> None:
    one = added(incident, analyst)
    browser = make.browser(outsider)

    for address in (f"/evidence/{one.ulid}", f"/evidence/{one.ulid}/view", f"/evidence/{one.ulid}/content"):
        assert browser.get(address).status_code == 404
        assert browser.get(f"/api/v1{address}").status_code == 404
    with pytest.raises(NotFound):
        evidence.evidence_for(outsider, one.ulid)
    assert acts(one) == ["collected"]


def test_what_may_hold_secrets_is_for_those_who_work_on_it(
    incident: Incident, analyst: Actor, viewer: Actor
) -> None:
    one = added(incident, analyst, sensitive=True)

    assert make.browser(viewer).get(f"/evidence/{one.ulid}").status_code == 200
    for address in ("view", "content"):
        assert make.browser(viewer).get(f"/evidence/{one.ulid}/{address}").status_code == 403
        assert make.browser(analyst).get(f"/evidence/{one.ulid}/{address}").status_code == 200


def test_hostile_names_and_contents_stay_words(incident: Incident, analyst: Actor, store: Path) -> None:
    browser: Client = make.browser(analyst)
    file = SimpleUploadedFile("x.html", b"<script>alert(2)</script>", content_type="text/html")
    browser.post(
        f"/incidents/{incident.ref}/evidence", {"file": file, "source": "<img src=x onerror=alert(3)>"}
    )
    one = added(incident, analyst, name=HOSTILE)
    html = Evidence.objects.exclude(pk=one.pk).get()

    pages = [browser.get(f"/incidents/{incident.ref}/evidence"), browser.get(f"/evidence/{html.ulid}/view")]
    answer = browser.get(f"/evidence/{one.ulid}/content")

    for page in pages:
        assert page.status_code == 200
        text = page.content.decode()
        assert "<script>alert" not in text
        assert "<img src=x" not in text
        assert "\u202e" not in text
    assert answer["Content-Type"] == "application/octet-stream"
    assert re.fullmatch(r'attachment; filename="[A-Za-z0-9._-]+"', answer["Content-Disposition"])
    assert "X-Evil" not in answer
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in answer["Content-Security-Policy"]
    assert all(store in path.parents for path in files(store))


def test_a_closed_incident_takes_no_more_evidence(analyst: Actor) -> None:
    make.account()
    closed = make.incident()
    closed.status = "closed"

    with pytest.raises(Conflict, match="reopen"):
        added(closed, analyst)


def test_an_upload_needs_a_file_and_a_source(incident: Incident, analyst: Actor) -> None:
    browser = make.browser(analyst)

    for given in ({"source": "x"}, {"file": SimpleUploadedFile("a", b"a"), "source": " "}):
        assert browser.post(f"/incidents/{incident.ref}/evidence", given).status_code == 422
    assert not Evidence.objects.exists()
