"""Files of evidence: one for each content, named by its SHA-256, never written a second time.

A file is written beside the others under a name of its own, synced, made read-only, and only then given
its place, in one step. Whoever dies before that leaves a part under `incoming`, which is no artefact and
is cleared away a day later. `QUELL_EVIDENCE_DIR` is shared by the processes that collect and those that
show; nothing here knows of the database.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from lib import ids

CHUNK = 256 * 1024
LEFT_OVER_SECONDS = 24 * 3600
_DIGEST = re.compile(r"[0-9a-f]{64}")


class TooLarge(Exception):
    """An artefact has more bytes than `QUELL_EVIDENCE_MOST_MB` allows; nothing of it was kept."""


class Damaged(Exception):
    """The file of an artefact is not there, or is not what was kept."""


@dataclass(frozen=True, kw_only=True)
class Kept:
    """What was written: the SHA-256 in hexadecimal, and bytes."""

    sha256: str
    size: int


def keep(chunks: Iterable[bytes]) -> Kept:
    """Write an artefact, whatever its size, with no more than one chunk in memory.

    Raises `TooLarge`, `OSError`, and whatever `chunks` raises; nothing is kept then.
    """
    part = incoming() / ids.ulid()
    try:
        kept = _write(part, chunks)
        _clear_left_overs(part.parent, than=part)
        _place(part, kept)
    finally:
        part.unlink(missing_ok=True)
    return kept


def incoming() -> Path:
    """The directory of what is not kept yet; whatever lies there for a day is cleared away."""
    directory = _directory() / "incoming"
    directory.mkdir(mode=0o700, exist_ok=True)
    return directory


def open_checked(sha256: str) -> Iterator[bytes]:
    """The content in chunks, after all of it was hashed again. Raises `Damaged` before the first chunk."""
    check(sha256)
    return _chunks(_path(sha256))


def check(sha256: str) -> None:
    """Hash the file again. Raises `Damaged` with what is wrong, in words."""
    path, found = _path(sha256), hashlib.sha256()
    try:
        for chunk in _chunks(path):
            found.update(chunk)
    except FileNotFoundError:
        raise Damaged("the file is not there") from None
    except OSError as failure:
        raise Damaged(f"the file cannot be read: {failure.strerror}") from failure
    if found.hexdigest() != sha256:
        raise Damaged(f"the file is not what was kept: its SHA-256 is {found.hexdigest()}")


def _write(part: Path, chunks: Iterable[bytes]) -> Kept:
    digest, size, most = hashlib.sha256(), 0, settings.QUELL_EVIDENCE_MOST_BYTES
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
        for chunk in chunks:
            size += len(chunk)
            if size > most:
                raise TooLarge(f"more than the {most // 2**20} MB that QUELL_EVIDENCE_MOST_MB allows")
            digest.update(chunk)
            out.write(chunk)
        out.flush()
        os.fchmod(out.fileno(), 0o400)
        os.fsync(out.fileno())
    return Kept(sha256=digest.hexdigest(), size=size)


def _place(part: Path, kept: Kept) -> None:
    """Give the file its place, if the same content has none yet; a damaged one there is put aside."""
    path = _path(kept.sha256)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    if path.exists():
        try:
            check(kept.sha256)
        except Damaged:
            # Kept for whoever asks what was done to it; what was collected now is whole.
            path.rename(path.with_name(f"{path.name}.damaged-{part.name}"))
    with suppress(FileExistsError):  # someone was faster, with the same content
        os.link(part, path)
    _sync(path.parent)
    _sync(path.parent.parent)


def _clear_left_overs(incoming: Path, *, than: Path) -> None:
    """Remove parts that are a day older than the one just written: whoever wrote them is gone."""
    newest = than.stat().st_mtime
    for other in incoming.iterdir():
        with suppress(FileNotFoundError):  # its writer, or another cleaner, was faster
            if newest - other.stat().st_mtime > LEFT_OVER_SECONDS:
                other.unlink()


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk


def _path(sha256: str) -> Path:
    """Where a content lies. Raises `ValueError` for what is no digest, so that no name leads elsewhere."""
    if not _DIGEST.fullmatch(sha256):
        raise ValueError("not a SHA-256 in hexadecimal")
    return _directory() / sha256[:2] / sha256[2:]


def _directory() -> Path:
    directory: Path = settings.QUELL_EVIDENCE_DIR
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    return directory


def _sync(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
