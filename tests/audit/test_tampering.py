"""What the database's owner can do to the ledger, who has all rights but not our key: it shows, and where."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import transaction
from django.test import override_settings

from audit import anchors, record, signing
from audit.models import AuditEvent, AuditHead
from audit.record import GENESIS
from identity.actors import SYSTEM
from lib import clock, guards

pytestmark = pytest.mark.django_db

COUNT = 8


@pytest.fixture
def chain() -> None:
    """Eight events, and an owner who took the triggers away."""
    for number in range(COUNT):
        with transaction.atomic():
            record.record(act="tested", by=SYSTEM, at=clock.now(), on=("test", str(number)))
    guards.drop()


def link(first: int) -> None:
    """Make all hashes fit from an event on, as whoever knows the algorithm can."""
    before = AuditEvent.objects.filter(seq=first - 1).values_list("hash", flat=True).first() or GENESIS
    for event in AuditEvent.objects.filter(seq__gte=first).order_by("seq"):
        event.prev_hash = before
        before = record.digest(event)
        AuditEvent.objects.filter(seq=event.seq).update(prev_hash=event.prev_hash, hash=before)
    last = AuditEvent.objects.order_by("-seq").first()
    assert last is not None
    AuditHead.objects.filter(pk=1).update(seq=last.seq, hash=last.hash)


def alter() -> None:
    AuditEvent.objects.filter(seq=4).update(actor="someone else")


def alter_and_link() -> None:
    AuditEvent.objects.filter(seq=4).update(actor="someone else")
    link(4)


def delete() -> None:
    AuditEvent.objects.filter(seq=4).delete()


def delete_and_link() -> None:
    AuditEvent.objects.filter(seq=4).delete()
    for seq in range(5, COUNT + 1):
        AuditEvent.objects.filter(seq=seq).update(seq=seq - 1)
    link(4)


def delete_tail() -> None:
    AuditEvent.objects.filter(seq__gt=6).delete()
    link(6)


def insert() -> None:
    for seq in range(COUNT, 3, -1):
        AuditEvent.objects.filter(seq=seq).update(seq=seq + 1)
    AuditEvent.objects.create(
        seq=4,
        at=clock.now(),
        act="made.up",
        actor_kind="person",
        actor="lea",
        object_type="test",
        object_id="9",
    )
    link(4)


def swap() -> None:
    AuditEvent.objects.filter(seq=4).update(seq=99)
    AuditEvent.objects.filter(seq=5).update(seq=4)
    AuditEvent.objects.filter(seq=99).update(seq=5)


def swap_and_link() -> None:
    swap()
    link(4)


def rewrite_all() -> None:
    AuditEvent.objects.update(actor="someone else", signature=signing.of_head(1, "0" * 64))
    link(1)


TAMPERINGS: dict[str, tuple[Callable[[], None], int]] = {
    "alter": (alter, 4),
    "alter, and link": (alter_and_link, 4),
    "delete": (delete, 4),
    "delete, and link": (delete_and_link, 4),
    "delete the tail, and set the head": (delete_tail, 6),
    "insert, and link": (insert, 4),
    "swap": (swap, 4),
    "swap, and link": (swap_and_link, 4),
    "rewrite the whole chain": (rewrite_all, 1),
}


@pytest.mark.fast
@pytest.mark.parametrize("kind", TAMPERINGS)
def test_what_an_owner_does_is_found_at_its_first_place(chain: None, kind: str) -> None:
    assert record.verify() is None
    tamper, first_bad = TAMPERINGS[kind]
    tamper()
    broken = record.verify()
    assert broken is not None
    assert broken.seq == first_bad, broken


@pytest.mark.fast
def test_an_event_is_no_head_and_no_signature_serves_twice(chain: None) -> None:
    last = AuditEvent.objects.get(seq=6)
    delete_tail()
    AuditHead.objects.update(signature=last.signature)
    assert record.verify() is not None
    assert not signing.is_event(signing.of_head(6, last.hash), last.hash)
    assert not signing.is_head(signing.of_event(last.hash), 6, last.hash)


@pytest.mark.fast
def test_a_chain_without_signatures_does_not_hold(chain: None) -> None:
    AuditEvent.objects.update(signature="")
    AuditHead.objects.update(signature="")
    assert record.verify() == record.Broken(seq=1, reason="it was not signed by Quell")


@pytest.mark.fast
def test_a_key_that_signed_earlier_stays_good_and_an_unknown_one_is_none(chain: None) -> None:
    from django.conf import settings

    with override_settings(QUELL_AUDIT_KEY="k" * 40, QUELL_AUDIT_KEYS_BEFORE=[settings.QUELL_AUDIT_KEY]):
        assert record.verify() is None
        with transaction.atomic():
            record.record(act="tested", by=SYSTEM, at=clock.now(), on=("test", "new key"))
        assert record.verify() is None
    broken = record.verify()
    assert broken is not None
    assert broken.seq == COUNT + 1


# --- anchors -------------------------------------------------------------------------------------------


def told(*arguments: str) -> tuple[int, str]:
    """What `verify_audit` says: its exit status and words."""
    out, err = io.StringIO(), io.StringIO()
    try:
        call_command("verify_audit", *arguments, stdout=out, stderr=err)
    except SystemExit as end:
        return int(end.code or 0), err.getvalue()
    return 0, out.getvalue()


def anchored(path: Path) -> Path:
    out = io.StringIO()
    call_command("anchor_audit", stdout=out)
    path.write_text(out.getvalue(), encoding="utf-8")
    return path


@pytest.mark.fast
def test_an_old_head_put_back_shows_against_an_anchor_kept_elsewhere(chain: None, tmp_path: Path) -> None:
    """The limit of signatures: the head as it was signed then still is. What was noted outside says more."""
    old = AuditHead.objects.get()
    for number in range(3):
        with transaction.atomic():
            record.record(act="tested", by=SYSTEM, at=clock.now(), on=("test", f"later {number}"))
    anchors_file = anchored(tmp_path / "anchors")
    assert told("--anchors", str(anchors_file)) == (0, "the audit chain is whole\n")

    guards.drop()
    AuditEvent.objects.filter(seq__gt=COUNT).delete()
    AuditHead.objects.update(seq=old.seq, hash=old.hash, signature=old.signature)

    assert record.verify() is None
    status, words = told("--anchors", str(anchors_file))
    assert status == 1
    assert words.startswith(f"broken at {COUNT + 3}: the chain reached event {COUNT + 3} at ")


@pytest.mark.fast
def test_lines_of_the_log_are_anchors_and_others_are_refused(
    chain: None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    telling = anchors.Telling()
    with caplog.at_level("INFO", logger="audit.anchors"):
        assert (telling.sweep(), telling.sweep()) == (1, 0)
    [line] = [one for one in caplog.records if one.message == "audit.anchor"]
    anchor = line.__dict__["anchor"]
    good = json.dumps({"message": "audit.anchor", "anchor": anchor})
    path = tmp_path / "log"
    path.write_text(good + "\n\n", encoding="utf-8")
    assert told("--anchors", str(path))[0] == 0
    for bad in ("{}", "no", json.dumps({**anchor, "seq": anchor["seq"] - 1})):
        path.write_text(bad, encoding="utf-8")
        with pytest.raises(CommandError):
            told("--anchors", str(path))


@pytest.mark.fast
def test_before_the_first_event_there_is_nothing_to_anchor() -> None:
    with pytest.raises(CommandError):
        call_command("anchor_audit", stdout=io.StringIO())
    assert anchors.Telling().sweep() == 0
