"""A slice of the ledger taken along: it proves itself in another process, and what was done to it shows."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext

from audit import anchors, receipts, record, signing
from audit.models import AuditEvent, Receipt
from identity.actors import SYSTEM
from identity.models import Role
from lib import canonical, clock, guards
from soc.ledger import exporting, verify_export
from soc.models import LedgerExport
from tests import make

pytestmark = pytest.mark.django_db

FOR = {"recipient": "Example Auditors Ltd", "purpose": "ISO 27001, clause 9.2"}


WHOLE = "events 1 to 7 hold: 7 events, 6 receipts\n"


def tell(count: int, *, kind: str = "tier-policy", number: str = "1") -> None:
    for one in range(count):
        with transaction.atomic():
            record.record(
                act="tested",
                by=SYSTEM,
                at=clock.now(),
                on=(kind, number),
                details={"n": one, "é": ["ü", None]},
            )


def receive(count: int) -> None:
    for number in range(count):
        with transaction.atomic():
            receipts.write(
                act="received", by=SYSTEM, at=clock.now(), on=("source", "edr"), details={"n": number}
            )
    assert receipts.seal(at=clock.now()) == count


@pytest.fixture
def auditor() -> Client:
    return make.browser(make.person(Role.AUDITOR, login="ada"))


def taken(client: Client, *, door: str = "/audit/export", **given: Any) -> bytes:
    answer: Any = client.get(door, FOR | given)
    assert answer.status_code == 200, answer.content
    body: bytes = b"".join(answer.streaming_content)
    return body


@pytest.fixture
def export(auditor: Client, tmp_path: Path) -> Path:
    """Four events, two seals with three receipts each between them, and the export; unpacked."""
    tell(2)
    receive(3)
    tell(2)
    receive(3)
    return unpacked(taken(auditor), tmp_path / "export")


def unpacked(body: bytes, folder: Path) -> Path:
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        assert archive.testzip() is None
        archive.extractall(folder)
    return folder


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    path.write_text(f"{settings.QUELL_AUDIT_KEY}\n", encoding="utf-8")
    return path


def verified(*arguments: object, program: Path | None = None) -> tuple[int, str]:
    """What verify.py says, run alone: no package of ours within its reach."""
    script = program or Path(str(arguments[0])) / "verify.py"
    done = subprocess.run(
        [sys.executable, "-I", str(script), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.defpath, "LC_ALL": "C"},
        cwd="/",
        timeout=60,
    )
    return done.returncode, done.stdout + done.stderr


def rows(folder: Path, name: str = "events.jsonl") -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / name).read_text(encoding="utf-8").splitlines()]


def put(folder: Path, found: list[dict[str, Any]], name: str = "events.jsonl") -> None:
    (folder / name).write_text("".join(f"{canonical.dumps(one)}\n" for one in found), encoding="utf-8")


def linked(found: list[dict[str, Any]]) -> None:
    """Make numbers and hashes fit from the first event on, as whoever knows the algorithm can."""
    before = record.GENESIS
    for number, one in enumerate(found, start=1):
        one["event"] |= {"seq": number, "prev": before}
        before = one["hash"] = canonical.sha256(one["event"])


def listed(folder: Path) -> None:
    """Make manifest and files fit."""
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    for name in manifest["sha256"]:
        manifest["sha256"][name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")


# --- what is in it ----------------------------------------------------------------------------------------


def test_it_holds_with_and_without_the_key(export: Path, key: Path) -> None:
    assert verified(export) == (
        0,
        f"{WHOLE}signatures were not checked: give the audit key with --key-file\n",
    )
    assert verified(export, "--key-file", key) == (0, WHOLE)
    assert verified(program=export / "verify.py")[0] == 0


def test_it_holds_still_in_the_zip(auditor: Client, tmp_path: Path, key: Path) -> None:
    tell(1)
    path = tmp_path / "slice.zip"
    path.write_bytes(taken(auditor))
    assert verified(path, "--key-file", key, program=exporting.VERIFIER)[0] == 0
    path.write_bytes(path.read_bytes()[:-200])
    assert verified(path, program=exporting.VERIFIER)[0] == 2
    assert verified(tmp_path / "nothing", program=exporting.VERIFIER)[0] == 2


def test_the_files_say_what_the_database_has(export: Path) -> None:
    events = list(AuditEvent.objects.order_by("seq"))
    assert [one["event"] for one in rows(export)] == [record.body(event) for event in events]
    assert [one["hash"] for one in rows(export)] == [event.hash for event in events]
    assert [one["receipt"] for one in rows(export, "receipts.jsonl")] == [
        receipts.body(one) for one in Receipt.objects.order_by("pk")
    ]
    manifest = json.loads((export / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["exported_by"]["label"] == "ada"
    assert manifest["range"] == {"from": 1, "to": 7, "before": record.GENESIS}
    assert {name: manifest[name] for name in FOR} == FOR
    assert set(manifest["sha256"]) == {one.name for one in export.iterdir()} - {"manifest.json"}
    anchor = json.loads((export / "anchor.json").read_text(encoding="utf-8"))
    assert anchors.check(anchors.read([json.dumps(anchor)])) is None


def test_the_ledger_keeps_who_took_it_and_digests_of_the_words(export: Path, auditor: Client) -> None:
    event = AuditEvent.objects.order_by("-seq")[0]
    kept = LedgerExport.objects.get()
    assert (event.act, event.actor, event.object_id) == ("ledger.exported", "ada", kept.ulid)
    assert event.details == {
        "from": 1,
        "to": None,
        "recipient": exporting.salted(FOR["recipient"], kept.salt),
        "purpose": exporting.salted(FOR["purpose"], kept.salt),
    }
    assert FOR["recipient"] not in json.dumps(event.details)
    assert FOR["recipient"] in auditor.get(f"/audit/{event.seq}").content.decode()
    assert record.verify() is None


def test_a_slice_from_the_middle(auditor: Client, tmp_path: Path, key: Path) -> None:
    tell(3)
    receive(2)
    tell(3)
    found = unpacked(taken(auditor, from_seq=3, to_seq=6, door="/api/v1/audit/export"), tmp_path / "x")
    assert [one["event"]["seq"] for one in rows(found)] == [3, 4, 5, 6]
    assert verified(found, "--key-file", key) == (0, "events 3 to 6 hold: 4 events, 2 receipts\n")


@pytest.mark.parametrize(
    ("given", "pointer"),
    [
        ({"recipient": " "}, "/recipient"),
        ({"purpose": ""}, "/purpose"),
        ({"recipient": "x" * 201}, "/recipient"),
        ({"purpose": "a\u202eb"}, "/purpose"),
        ({"from_seq": "x"}, "/from_seq"),
        ({"from_seq": "5", "to_seq": "4"}, "/to_seq"),
        ({"to_seq": "9"}, "/to_seq"),
        ({"from_seq": "9"}, "/to_seq"),
        ({"q": "1"}, "/q"),
    ],
)
def test_what_cannot_be_exported_is_not_recorded_either(
    auditor: Client, given: dict[str, str], pointer: str
) -> None:
    tell(4)
    answer = auditor.get("/api/v1/audit/export", FOR | given)
    assert answer.status_code == 422
    assert pointer in answer.content.decode()
    assert AuditEvent.objects.count() == 4
    assert not LedgerExport.objects.exists()


def test_asking_for_the_head_alone_records_nothing(auditor: Client) -> None:
    tell(1)
    for door in ("/audit/export", "/api/v1/audit/export"):
        assert auditor.head(door, FOR).status_code == 405
    assert AuditEvent.objects.count() == 1


def test_only_who_reads_everything_takes_it_along(auditor: Client) -> None:
    tell(1)
    make.team("other")
    for client in (auditor, make.program(make.key("audit:read"))):
        assert client.get("/api/v1/audit/export", FOR).status_code == 403
    assert auditor.get("/audit/export", FOR).status_code == 403
    assert "take-along" not in auditor.get("/audit").content.decode()
    assert not AuditEvent.objects.filter(act="ledger.exported").exists()


def test_what_is_restricted_is_withheld_and_the_rest_proved(
    auditor: Client, tmp_path: Path, key: Path
) -> None:
    named = make.person(Role.LEAD)
    hidden = make.incident(named=[named])
    tell(1, kind="incident", number=hidden.ref)
    tell(1)
    body = taken(auditor)
    found = unpacked(body, tmp_path / "x")
    assert hidden.ref not in "".join(one.read_text(encoding="utf-8") for one in found.iterdir())
    assert set(rows(found)[0]) == {"hash", "signature", "withheld"}
    status, words = verified(found, "--key-file", key)
    assert status == 0
    assert "1 events are withheld" in words

    whole = unpacked(taken(make.browser(named)), tmp_path / "y")
    assert rows(whole)[0]["event"]["object"] == ["incident", hidden.ref]


def test_its_reading_takes_as_many_questions_per_thousand_and_no_more(auditor: Client) -> None:
    counts = []
    for more in (1, 200):
        tell(more)
        with CaptureQueriesContext(connection) as queries:
            taken(auditor)
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_it_is_written_piece_by_piece(auditor: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "CHUNK", 3)
    tell(40)
    answer: Any = auditor.get("/audit/export", FOR)
    pieces = [len(piece) for piece in answer.streaming_content]
    assert len(pieces) > 15
    assert max(pieces) < sum(pieces) / 2
    assert answer["Content-Disposition"] == 'attachment; filename="quell-ledger-1-41.zip"'


@pytest.mark.fast
def test_the_program_is_read_by_old_pythons_and_reaches_for_nothing_of_ours() -> None:
    import ast

    tree = ast.parse(exporting.VERIFIER.read_text(encoding="utf-8"), feature_version=(3, 8))
    used = {
        alias.name.split(".")[0] if isinstance(node, ast.Import) else str(node.module).split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    assert used <= set(sys.stdlib_module_names)
    assert verify_export.digest({"é": [1, None, True]}) == canonical.sha256({"é": [1, None, True]})


# --- what was done to it ----------------------------------------------------------------------------------


def alter(folder: Path) -> None:
    found = rows(folder)
    found[1]["event"]["actor"] = "someone else"
    put(folder, found)


def alter_and_link(folder: Path) -> None:
    found = rows(folder)
    found[1]["event"]["actor"] = "someone else"
    linked(found)
    put(folder, found)


def delete(folder: Path) -> None:
    found = rows(folder)
    del found[1]
    put(folder, found)


def delete_and_link(folder: Path) -> None:
    found = rows(folder)
    del found[1]
    linked(found)
    put(folder, found)


def insert(folder: Path) -> None:
    found = rows(folder)
    found.insert(1, json.loads(json.dumps(found[1])))
    put(folder, found)


def insert_and_link(folder: Path) -> None:
    found = rows(folder)
    found.insert(1, json.loads(json.dumps(found[1])))
    linked(found)
    put(folder, found)


def swap(folder: Path) -> None:
    found = rows(folder)
    found[0], found[1] = found[1], found[0]
    put(folder, found)


def swap_and_link(folder: Path) -> None:
    found = rows(folder)
    found[0], found[1] = found[1], found[0]
    linked(found)
    put(folder, found)


def cut(folder: Path) -> None:
    put(folder, rows(folder)[:-2])


def cut_and_say_so(folder: Path) -> None:
    """The tail with its seal and its receipts goes, and the manifest says that it never was in the slice."""
    cut(folder)
    put(folder, rows(folder, "seals.jsonl")[:1], "seals.jsonl")
    put(folder, rows(folder, "receipts.jsonl")[:3], "receipts.jsonl")
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    manifest["range"]["to"] = 5
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")


def cut_head(folder: Path) -> None:
    put(folder, rows(folder)[2:])


def withhold(folder: Path) -> None:
    """An event passed off as withheld, so that nobody looks into it; its hash is that of another."""
    found = rows(folder)
    found[1] = {
        "hash": "a" * 64,
        "signature": found[1]["signature"],
        "withheld": {"seq": 2, "prev": found[1]["event"]["prev"]},
    }
    put(folder, found)


def rewrite(folder: Path) -> None:
    """Everything that says who it was, made up from the first event to the anchor."""
    found = rows(folder)
    for one in found:
        one["event"]["actor"] = "someone else"
        one["signature"] = "f" * 64
    linked(found)
    put(folder, found)
    anchor = json.loads((folder / "anchor.json").read_text(encoding="utf-8"))
    anchor |= {"hash": found[-1]["hash"]}
    (folder / "anchor.json").write_text(json.dumps(anchor), encoding="utf-8")


def receipt_altered(folder: Path) -> None:
    found = rows(folder, "receipts.jsonl")
    found[4]["receipt"]["details"] = {"n": 7}
    put(folder, found, "receipts.jsonl")


def receipt_deleted(folder: Path) -> None:
    found = rows(folder, "receipts.jsonl")
    del found[4]
    put(folder, found, "receipts.jsonl")


def receipt_added(folder: Path) -> None:
    found = rows(folder, "receipts.jsonl")
    put(folder, [*found, found[-1]], "receipts.jsonl")


def receipt_replaced_with_its_line(folder: Path) -> None:
    found, seals = rows(folder, "receipts.jsonl"), rows(folder, "seals.jsonl")
    found[4]["receipt"]["details"] = {"n": 7}
    seals[1]["receipts"][1][1] = canonical.sha256(found[4]["receipt"])
    put(folder, found, "receipts.jsonl")
    put(folder, seals, "seals.jsonl")


def seal_deleted(folder: Path) -> None:
    put(folder, rows(folder, "seals.jsonl")[:1], "seals.jsonl")
    put(folder, rows(folder, "receipts.jsonl")[:3], "receipts.jsonl")


def another_purpose(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    manifest["purpose"] = "another"
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")


TAMPERINGS: dict[str, tuple[Callable[[Path], None], str, bool]] = {
    "altered": (alter, "event 2: its content", True),
    "altered, and linked": (alter_and_link, "event 7: is not the end", True),
    "deleted": (delete, "event 2: is missing, 3 follows", True),
    "deleted, and linked": (delete_and_link, "event 7: is missing", True),
    "inserted": (insert, "event 3: is missing, 2 follows", True),
    "inserted, and linked": (insert_and_link, "events.jsonl line 8: more events", True),
    "swapped": (swap, "event 1: is missing, 2 follows", True),
    "swapped, and linked": (swap_and_link, "event 7: is not the end", True),
    "tail cut": (cut, "event 6: is missing", True),
    "tail cut, and the range with it": (cut_and_say_so, "manifest.json: was not signed", False),
    "beginning cut": (cut_head, "event 1: is missing, 3 follows", True),
    "passed off as withheld": (withhold, "event 3: does not follow", True),
    "rewritten from end to end": (rewrite, "event 1: was not signed", False),
    "a receipt altered": (receipt_altered, "was changed after it was sealed by event 6", True),
    "a receipt deleted": (receipt_deleted, "is missing under the seal that is event 6", True),
    "a receipt added": (receipt_added, "lies under no seal", True),
    "a receipt altered with its line": (receipt_replaced_with_its_line, "event 6: the list", True),
    "a seal deleted": (seal_deleted, "event 6: the list of receipts under this seal is missing", True),
    "another purpose": (another_purpose, "manifest.json: was not signed", False),
}
"""What is done, what is said of it, and whether it shows without the key, though manifest and files fit."""


@pytest.mark.parametrize("kind", TAMPERINGS)
def test_what_was_done_to_a_slice_is_found(export: Path, key: Path, kind: str) -> None:
    tamper, words, shows_without = TAMPERINGS[kind]
    tamper(export)
    listed(export)
    status, said = verified(export, "--key-file", key)
    assert status == 1
    assert said.startswith("broken: ")
    if shows_without:
        status, said = verified(export)
        assert status == 1
    assert words in said


@pytest.mark.parametrize(
    "name", ["events.jsonl", "seals.jsonl", "receipts.jsonl", "anchor.json", "verify.py"]
)
def test_a_file_that_is_another_or_gone_is_named(export: Path, name: str) -> None:
    good = (export / name).read_bytes()
    if name != "verify.py":  # which would be asked about itself
        (export / name).unlink()
        assert verified(export) == (1, f"broken: {name}: is missing\n")
    (export / name).write_bytes(good.replace(b"\n", b"\r\n"))
    assert verified(export, program=exporting.VERIFIER) == (
        1,
        f"broken: {name}: is not the file that was exported\n",
    )


@pytest.mark.parametrize("line", [b"[]", b"{}", b"no", b'{"event":{"seq":1},"hash":1}', b"\xff"])
def test_a_row_of_another_form_is_bad_and_breaks_nothing(export: Path, line: bytes) -> None:
    path = export / "events.jsonl"
    path.write_bytes(line + b"\n" + path.read_bytes())
    status, said = verified(export)
    assert status == 1
    assert said.startswith("broken: ")
    assert "Traceback" not in said


def test_another_key_signed_nothing_of_it_and_an_earlier_one_is_given_beside_it(
    export: Path, key: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.write_text("another-key-of-some-length-0123456789\n", encoding="utf-8")
    assert verified(export, "--key-file", other) == (
        1,
        "broken: event 1: was not signed by Quell with this key\n",
    )
    other.write_text(other.read_text(encoding="utf-8") + key.read_text(encoding="utf-8"), encoding="utf-8")
    assert verified(export, "--key-file", other)[0] == 0
    other.write_text("\n", encoding="utf-8")
    assert verified(export, "--key-file", other)[0] == 2


def test_an_export_of_a_broken_ledger_is_broken(auditor: Client, tmp_path: Path) -> None:
    tell(4)
    guards.drop()
    AuditEvent.objects.filter(seq=3).update(actor="someone else")
    found = unpacked(taken(auditor), tmp_path / "x")
    assert verified(found) == (1, "broken: event 3: its content does not fit its hash\n")


@pytest.mark.fast
def test_the_signature_of_an_export_is_none_of_an_event() -> None:
    made = {signing.of_export("a" * 64), signing.of_event("a" * 64), signing.of_head(1, "a" * 64)}
    assert len(made) == 3
