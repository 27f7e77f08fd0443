"""Objects from S3 as bodies that intake takes: opened, within limits, and cut into parts.

A file of CloudTrail may hold tens of megabytes, a body only five; so a large object becomes several
bodies, cut between its records. All of one object is at most `INFLATED` bytes in memory.
"""

from __future__ import annotations

import gzip
import io
import json
import re
import zlib
from collections.abc import Iterator

from cases.collecting.notices import Location
from cases.decoding import BOM
from cases.sources import vpc_flow
from lib import aws

OBJECT_BYTES = 32 * 1024 * 1024
INFLATED = 64 * 1024 * 1024
"""Bytes of an opened object: a file that inflates to more is a bomb, or nothing that AWS delivers."""

PIECE = 512 * 1024
"""So many bytes a body at most, when it is cut: few enough to hold fewer keys than the decoder takes."""

RECORDS = re.compile(r'\s*\{\s*"Records"\s*:\s*\[')
GZIP = b"\x1f\x8b"


class Unfit(Exception):
    """An object that cannot be taken in, now or later; the message is the reason."""


def fetch(location: Location, *, region: str) -> Iterator[bytes]:
    """The bodies of an object, one after the other. `region` counts where its notice names none.

    Raises `Unfit` (also in the middle), `lib.aws.AwsError` and `lib.aws.NoAnswer`.
    """
    try:
        data = aws.own_object(
            region=location.region or region,
            bucket=location.bucket,
            key=location.key,
            version=location.version,
            limit=OBJECT_BYTES,
        )
    except aws.TooLarge as large:
        raise Unfit(f"the object is larger than {OBJECT_BYTES} bytes") from large
    except aws.AwsError as refusal:
        if refusal.code in ("NoSuchKey", "NoSuchVersion", "NoSuchBucket"):
            raise Unfit(f"the object is not there: {refusal.code}") from refusal
        raise
    yield from pieces(_opened(data))


def pieces(data: bytes) -> Iterator[bytes]:
    """The bytes as bodies of at most about `PIECE`, each whole in itself. Raises `Unfit`."""
    if len(data) <= PIECE or vpc_flow.reads(data):
        yield data  # what is alarming in flow logs shows in the whole of them; they are read line by line
        return
    try:
        whole = data.removeprefix(BOM).decode("utf-8")
    except UnicodeDecodeError as failure:
        raise Unfit("the object is large and not UTF-8") from failure
    if opening := RECORDS.match(whole):
        yield from _records(whole, opening.end())
    else:
        yield from _lines(whole)


def _opened(data: bytes) -> bytes:
    if not data.startswith(GZIP):
        return data
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
            inside = file.read(INFLATED + 1)
    except (OSError, EOFError, zlib.error) as failure:
        raise Unfit(f"the object is not whole: {failure}") from failure
    if len(inside) > INFLATED:
        raise Unfit(f"the object inflates to more than {INFLATED} bytes")
    return inside


def _records(whole: str, start: int) -> Iterator[bytes]:
    """`{"Records": [...]}` in parts of the same form, each record spelled as it was."""
    at, size = start, 0
    part: list[str] = []
    while True:
        at = _skip(whole, at, " \t\r\n,")
        if whole[at : at + 1] == "]":
            break
        try:
            _, end = _DECODER.raw_decode(whole, at)
        except (ValueError, RecursionError) as failure:
            if part:
                yield _together(part)
            raise Unfit(f"the object cannot be read from character {at} on") from failure
        record = whole[at:end]
        if len(record) > PIECE:
            raise Unfit(f"the object has a record of {len(record)} characters, at {at}")
        if part and size + len(record) > PIECE:
            yield _together(part)
            part, size = [], 0
        part.append(record)
        size += len(record)
        at = end
    if part:
        yield _together(part)


_DECODER = json.JSONDecoder(parse_int=str, parse_float=str)
"""Finds where a record ends; intake's own decoder reads it."""


def _together(records: list[str]) -> bytes:
    return f'{{"Records":[{",".join(records)}]}}'.encode()


def _lines(whole: str) -> Iterator[bytes]:
    """Lines in parts; where the first is not JSON it is a header, and each part begins with it."""
    lines = whole.split("\n")  # what Unicode calls a line end too may stand within a record
    header = "" if lines[0].lstrip().startswith(("{", "[")) else lines[0]
    part, size = ([header], len(header)) if header else ([], 0)
    begun = len(part)
    for line in lines[begun:]:
        if len(line) > PIECE:
            raise Unfit(f"the object has a line of {len(line)} characters")
        if len(part) > begun and size + len(line) > PIECE:
            yield "\n".join(part).encode()
            part, size = ([header], len(header)) if header else ([], 0)
        part.append(line)
        size += len(line) + 1
    if len(part) > begun:
        yield "\n".join(part).encode()


def _skip(whole: str, at: int, characters: str) -> int:
    while at < len(whole) and whole[at] in characters:
        at += 1
    return at
