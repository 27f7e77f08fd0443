"""What changed the simulated AWS, kept in a directory and done again at the next start.

DIR/state.bin     everything at some moment (a checkpoint), with the number of the last call in it
DIR/estate.bin    the estate as first built, which reset returns to
DIR/journal.jsonl calls after the checkpoint, one a line, in the order they were applied

A call is written after it was applied and before it is answered, so a call lost to a kill was never
answered. Half a last line is cut off. A checkpoint is taken when the journal has `CALL_LIMIT` calls
or `BYTE_LIMIT` bytes, and at a clean stop; a start therefore replays at most `CALL_LIMIT` calls.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from simulator import wire
from simulator.wire import Call

CALL_LIMIT = 1_000
BYTE_LIMIT = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Entry:
    """One journalled call: its number (which seeds its ids), its time, on whose account."""

    number: int
    at: datetime
    account: str
    call: Call


class Journal:
    """The directory. Not safe for several processes; the server locks it by its port."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._path = directory / "journal.jsonl"
        _cut_torn_line(self._path)
        self._file = private(self._path).open("ab")
        self._count = sum(1 for _ in self._lines())
        self._call_limit, self._byte_limit = CALL_LIMIT, BYTE_LIMIT

    def _lines(self) -> Iterator[bytes]:
        with self._path.open("rb") as lines:
            yield from lines

    def entries(self, *, epoch: int, after: int) -> Iterator[Entry]:
        """Journalled calls of an epoch with a number above `after`, oldest first."""
        for line in self._lines():
            document = json.loads(line)
            if document["epoch"] == epoch and document["n"] > after:
                yield _entry(document)

    def append(self, number: int, *, epoch: int, at: datetime, account: str, call: Call) -> None:
        """Keep a call that was applied."""
        document = {
            "n": number,
            "epoch": epoch,
            "at": at.isoformat(),
            "account": account,
            "environ": wire.kept_environ(call.environ),
            "body": wire.encode_body(call.body),
        }
        self._file.write(json.dumps(document).encode() + b"\n")
        self._file.flush()
        self._count += 1

    @property
    def full(self) -> bool:
        """Whether it is time for a checkpoint."""
        return self._count >= self._call_limit or self._file.tell() >= self._byte_limit

    def postpone(self) -> None:
        """Ask for the next checkpoint later: this one could not be taken."""
        self._call_limit, self._byte_limit = self._count + CALL_LIMIT, self._file.tell() + BYTE_LIMIT

    @property
    def empty(self) -> bool:
        """Whether there is nothing to replay."""
        return self._count == 0

    def clear(self) -> None:
        """Forget the calls: a checkpoint holds them."""
        self._file.truncate(0)
        self._count = 0
        self._call_limit, self._byte_limit = CALL_LIMIT, BYTE_LIMIT

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _entry(document: Mapping[str, Any]) -> Entry:
    body = wire.decode_body(document["body"])
    environ = {**document["environ"], "wsgi.input": _Bytes(body), "CONTENT_LENGTH": str(len(body))}
    return Entry(
        document["n"], datetime.fromisoformat(document["at"]), document["account"], Call.read(environ)
    )


class _Bytes:
    """A body that can be read once, as from a socket."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def read(self, _: int = -1) -> bytes:
        body, self._body = self._body, b""
        return body


def _cut_torn_line(path: Path) -> None:
    """A kill may leave half a line, which was never answered."""
    if not path.exists():
        return
    whole = path.read_bytes()
    end = whole.rfind(b"\n") + 1
    if end != len(whole):
        os.truncate(path, end)


def private(path: Path) -> Path:
    """The file, readable by its owner alone: it holds the estate's secrets."""
    path.touch(mode=0o600, exist_ok=True)
    return path


def write_whole(path: Path, header: Mapping[str, Any], content: bytes) -> None:
    """Replace a file in one step: a line of JSON, then bytes."""
    draft = path.with_suffix(".new")
    private(draft).write_bytes(json.dumps(header).encode() + b"\n" + content)
    draft.replace(path)


def read_whole(path: Path) -> tuple[Mapping[str, Any], bytes] | None:
    """Header and bytes of a file written by `write_whole`, or None if there is none."""
    if not path.exists():
        return None
    head, _, content = path.read_bytes().partition(b"\n")
    header: Mapping[str, Any] = json.loads(head)
    return header, content
