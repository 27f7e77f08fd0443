"""Verifies an export of Quell's ledger. Needs Python 3.8 or later and nothing else.

    python verify.py [FOLDER OR ZIP] [--key-file FILE]

Without arguments it looks at the folder it lies in. It checks every file against the manifest, every event
against its hash and the event before it, and every receipt against the seal it lies under. With the audit
key (QUELL_AUDIT_KEY; earlier ones may follow, one a line) it also checks that Quell signed all of it: only
that shows a slice that somebody made up as a whole.

Ends with 0 when all holds, with 1 naming the first bad row, with 2 when it cannot be looked at.
"""

from __future__ import annotations

import argparse
import hashlib
import hmac
import json
import sys
import zipfile
from pathlib import Path
from typing import IO, Any, Dict, Iterator, List, Optional, Tuple

Row = Dict[str, Any]
GENESIS = "0" * 64
SEALED = "receipts.sealed"
FILES = ("events.jsonl", "seals.jsonl", "receipts.jsonl", "anchor.json", "verify.py")


class Bad(Exception):
    """The first place at which the export does not hold."""


class Source:
    """The files of an export, in a folder or still in the zip."""

    def __init__(self, path: Path) -> None:
        self.folder = path
        self.zip = None if path.is_dir() else zipfile.ZipFile(path)
        names = self.zip.namelist() if self.zip else []
        if len(names) != len(set(names)):
            raise Bad("the zip holds a file twice")

    def open(self, name: str) -> IO[bytes]:
        try:
            return self.zip.open(name) if self.zip else (self.folder / name).open("rb")
        except (KeyError, FileNotFoundError):
            raise Bad(f"{name}: is missing") from None

    def sha256(self, name: str) -> str:
        hashed = hashlib.sha256()
        with self.open(name) as found:
            for part in iter(lambda: found.read(1 << 20), b""):
                hashed.update(part)
        return hashed.hexdigest()

    def document(self, name: str) -> Row:
        with self.open(name) as found:
            return parsed(found.read(), name)

    def lines(self, name: str) -> Iterator[Tuple[str, Row]]:
        """Each line with words for where it is."""
        with self.open(name) as found:
            for number, line in enumerate(found, start=1):
                where = f"{name} line {number}"
                yield where, parsed(line, where)


def parsed(text: bytes, where: str) -> Row:
    try:
        found = json.loads(text.decode("utf-8"))
    except ValueError:
        raise Bad(f"{where}: is no JSON") from None
    if not isinstance(found, dict):
        raise Bad(f"{where}: is no object")
    return found


def digest(value: Any) -> str:
    """SHA-256 of canonical JSON: sorted keys, no spaces, UTF-8 as it is."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def is_signed(keys: List[str], signature: Any, message: str) -> bool:
    """True when one of the keys made it, and when there is no key to ask."""
    made = [hmac.new(key.encode("utf-8"), message.encode("utf-8"), hashlib.sha256) for key in keys]
    given = str(signature).encode("utf-8")
    return not keys or any(hmac.compare_digest(one.hexdigest().encode(), given) for one in made)


def doubts_about(source: Source, manifest: Row, keys: List[str]) -> Iterator[Bad]:
    """What does not fit the manifest, or the manifest itself."""
    listed = manifest.get("sha256", {})
    for name in FILES:
        if source.sha256(name) != listed.get(name):
            yield Bad(f"{name}: is not the file that was exported")
    said = {name: value for name, value in manifest.items() if name != "signature"}
    if not is_signed(keys, manifest.get("signature"), "export:" + digest(said)):
        yield Bad("manifest.json: was not signed by Quell with this key")


def check_event(where: str, line: Row, expected: int, before: str, keys: List[str]) -> Optional[Row]:
    """What one event says, when it is the one expected here; None where that is withheld."""
    said = line.get("event")
    seen = line.get("withheld") if said is None else said
    if not isinstance(seen, dict) or not isinstance(line.get("hash"), str):
        raise Bad(f"{where}: holds no event")
    if seen.get("seq") != expected:
        raise Bad(f"event {expected}: is missing, {seen.get('seq')} follows")
    if seen.get("prev") != before:
        raise Bad(f"event {expected}: does not follow from the event before it")
    if said is not None and digest(said) != line["hash"]:
        raise Bad(f"event {expected}: its content does not fit its hash")
    if not is_signed(keys, line.get("signature"), "event:" + line["hash"]):
        raise Bad(f"event {expected}: was not signed by Quell with this key")
    return said if said is None else dict(said)


def check_events(source: Source, manifest: Row, keys: List[str]) -> Tuple[Dict[int, Any], int, int]:
    """Walk the events: the seals among them (number to details), how many there are, how many withheld."""
    asked = manifest.get("range", {})
    first, last, before = asked.get("from"), asked.get("to"), asked.get("before")
    if not isinstance(first, int) or not isinstance(last, int) or (first == 1 and before != GENESIS):
        raise Bad("manifest.json: its range is none")
    expected, seals, withheld = first, {}, 0
    for where, line in source.lines("events.jsonl"):
        if expected > last:
            raise Bad(f"{where}: more events than the {first} to {last} that were exported")
        said = check_event(where, line, expected, before, keys)
        if said is None:
            withheld += 1
        elif said.get("act") == SEALED:
            seals[expected] = said.get("details")
        expected, before = expected + 1, line["hash"]
    if expected != last + 1:
        raise Bad(f"event {expected}: is missing, the slice goes up to {last}")
    check_anchor(source, last, before, keys)
    return seals, expected - first, withheld


def check_anchor(source: Source, last: int, before: str, keys: List[str]) -> None:
    """Whether the slice fits the end that the chain had when it was exported."""
    anchor = source.document("anchor.json")
    if not is_signed(keys, anchor.get("signature"), f"head:{anchor.get('seq')}:{anchor.get('hash')}"):
        raise Bad("anchor.json: was not signed by Quell with this key")
    if not isinstance(anchor.get("seq"), int) or anchor["seq"] < last:
        raise Bad(f"event {last}: lies behind the end of the chain in anchor.json")
    if anchor["seq"] == last and anchor.get("hash") != before:
        raise Bad(f"event {last}: is not the end of the chain in anchor.json")


def check_seals(source: Source, seals: Dict[int, Any]) -> int:
    """Every seal lists what its event says, every receipt is as it was sealed; how many there are."""
    receipts, left, count = source.lines("receipts.jsonl"), dict(seals), 0
    for where, line in source.lines("seals.jsonl"):
        seq, listed = line.get("seq"), line.get("receipts")
        if seq not in left or not listed:
            raise Bad(f"{where}: there is no such seal in the slice")
        told = {"count": len(listed), "first": listed[0][0], "last": listed[-1][0], "digest": digest(listed)}
        if told != left.pop(seq):
            raise Bad(f"event {seq}: the list of receipts does not fit this seal")
        for number, expected in listed:
            check_receipt(next(receipts, ("", {}))[1], seq, number, expected)
        count += len(listed)
    if left:
        raise Bad(f"event {min(left)}: the list of receipts under this seal is missing")
    for where, _ in receipts:
        raise Bad(f"{where}: this receipt lies under no seal")
    return count


def check_receipt(line: Row, seq: int, number: int, expected: str) -> None:
    receipt = line.get("receipt", {})
    if line.get("seal") != seq or receipt.get("id") != number:
        raise Bad(f"receipt {number}: is missing under the seal that is event {seq}")
    if digest(receipt) != expected:
        raise Bad(f"receipt {number}: was changed after it was sealed by event {seq}")


def verify(path: Path, keys: List[str]) -> str:
    """What holds, in words. Raises `Bad`."""
    source = Source(path)
    manifest = source.document("manifest.json")
    doubts = list(doubts_about(source, manifest, keys))
    # The rows speak first, for they name the place; that a file is another one is said after them.
    seals, events, withheld = check_events(source, manifest, keys)
    receipts = check_seals(source, seals)
    if doubts:
        raise doubts[0]
    asked = manifest["range"]
    words = f"events {asked['from']} to {asked['to']} hold: {events} events, {receipts} receipts"
    if withheld:
        words += f"\n{withheld} events are withheld: their place is proved, what they say is not shown"
    if not keys:
        words += "\nsignatures were not checked: give the audit key with --key-file"
    return words


def keys_in(path: Optional[Path]) -> List[str]:
    if path is None:
        return []
    keys = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    if not keys:
        raise OSError(f"{path} holds no key")
    return keys


def main() -> int:
    parser = argparse.ArgumentParser(description="Verify an export of Quell's ledger.")
    parser.add_argument("path", nargs="?", type=Path, default=Path(__file__).resolve().parent)
    parser.add_argument("--key-file", type=Path, help="file with the audit key, and earlier ones, one a line")
    given = parser.parse_args()
    try:
        print(verify(given.path, keys_in(given.key_file)))
    except Bad as bad:
        print(f"broken: {bad}", file=sys.stderr)
        return 1
    except (TypeError, KeyError, IndexError, AttributeError, ValueError) as failure:
        print(f"broken: a row is not of the form that was exported: {failure!r}", file=sys.stderr)
        return 1
    except (OSError, zipfile.BadZipFile, EOFError) as failure:
        print(f"cannot verify: {failure}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
