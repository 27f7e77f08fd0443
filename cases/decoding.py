"""One decoder for everything that comes from outside: JSON in UTF-8 within hard limits. Pure.

A document that breaks a rule is `Unreadable`, with the reason and, where there is one, the JSON
pointer (RFC 6901) of the value. Two things that databases cannot hold, NUL and half a surrogate pair,
are refused in bodies that we define and replaced by U+FFFD in documents that others send.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sized
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, TypeAlias

JSON: TypeAlias = "bool | int | float | str | list[JSON] | dict[str, JSON] | None"

BOM = b"\xef\xbb\xbf"
REPLACEMENT = "\ufffd"
POINTER = 300
"""So many characters of a pointer are told at most."""
SMALLEST, LARGEST = -(2**63), 2**63 - 1
PLAIN = frozenset({str, int, float, bool, type(None)})


class Text(Enum):
    """What to do with NUL and lone surrogates."""

    REFUSE = "refuse"
    REPLACE = "replace"


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How much of each a body may have; `keys` are those of the whole body, `text` is one string's length.

    `values` are counted before anything is parsed, as the commas and opening brackets that there are:
    `[[],[],…` takes forty times its length in memory.
    """

    bytes: int = 5 * 1024 * 1024
    values: int = 400_000
    documents: int = 10_000
    depth: int = 32
    keys: int = 100_000
    keys_of_object: int = 5_000
    digits: int = 40
    text: int = 1024 * 1024


LIMITS = Limits()


class Unreadable(ValueError):
    """A document cannot be read: why, and where in it (an empty pointer means the whole)."""

    def __init__(self, reason: str, pointer: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.pointer = pointer


@dataclass(frozen=True, kw_only=True)
class Document:
    """One value that could be read, and how it was spelled; `is_altered` when text had to be replaced."""

    pointer: str
    value: JSON
    spelling: str
    is_altered: bool = False


@dataclass(frozen=True, kw_only=True)
class Broken:
    """One part that could not be read, with its bytes."""

    pointer: str
    reason: str
    body: bytes


def decode(body: bytes, *, text: Text = Text.REFUSE, limits: Limits = LIMITS) -> JSON:
    """The one JSON value that the bytes spell. Raises `Unreadable`."""
    return _single(_text_of(body, limits), text=text, limits=limits)


def documents(body: bytes, *, text: Text = Text.REPLACE, limits: Limits = LIMITS) -> list[Document | Broken]:
    """The documents in a body: one, a JSON array of them, one a line (NDJSON), or one after another.

    A part that cannot be read stands in the list as `Broken` and costs no other part. Pointers name
    the position (`/3`) where there may be several. Raises `Unreadable` for what is wrong with the
    whole: too large, too many, empty, or nothing in it that could be told apart.
    """
    failure: Unreadable | None = None
    spans: list[_Span] = []
    try:
        spans = _spans(_text_of(body, limits), limits)
        failure = next((span.value for span in spans if isinstance(span.value, _Stop)), None)
    except _NotUtf8 as wrong:
        failure = wrong
    if failure is not None:
        if b"\n" in body.strip() and (found := _lines(body, text=text, limits=limits)):
            return found
        if len(spans) < 2:
            raise failure
    keys = _Count(limits.keys)
    return [_part(span, text=text, limits=limits, keys=keys) for span in spans]


def bytes_of(document: Document) -> bytes:
    """The document as bytes that can be read again: its own spelling where that is known."""
    if document.spelling:
        return document.spelling.encode("utf-8")
    return json.dumps(document.value, ensure_ascii=False).encode("utf-8")


def step(pointer: str, name: str | int) -> str:
    """A JSON pointer one step further in."""
    return f"{pointer}/{str(name).replace('~', '~0').replace('/', '~1')}"


def _text_of(body: bytes, limits: Limits) -> str:
    if len(body) > limits.bytes:
        raise Unreadable(f"larger than {limits.bytes} bytes")
    if sum(map(body.count, (b",", b"[", b"{"))) > limits.values:
        raise Unreadable(f"more than {limits.values} values")
    try:
        text = body.removeprefix(BOM).decode("utf-8")
    except UnicodeDecodeError as failure:
        raise _NotUtf8(f"not UTF-8: {failure.reason} at byte {failure.start}") from failure
    if not text.strip():
        raise Unreadable("empty")
    return text


def _single(whole: str, *, text: Text, limits: Limits) -> JSON:
    value, end = _value(whole, _skip_space(whole, 0))
    if _skip_space(whole, end) < len(whole):
        raise Unreadable("more follows after the end of the document")
    return _Cleaner(text=text, limits=limits, keys=_Count(limits.keys)).clean(value, "", 0)


def _lines(body: bytes, *, text: Text, limits: Limits) -> list[Document | Broken]:
    """Each line by itself, if at least one is a whole object; none if it was one broken document."""
    found: list[Document | Broken] = []
    if body.count(b"\n") > limits.values:
        raise Unreadable(f"more than {limits.values} lines")
    lines = [line.strip() for line in body.removeprefix(BOM).split(b"\n") if line.strip()]
    _refuse_too_many(lines, limits)
    keys = _Count(limits.keys)
    for number, line in enumerate(lines):
        try:
            whole = _text_of(line, limits)
            value, end = _value(whole, 0)
            if end < len(whole):
                raise Unreadable("more follows after the end of the document")
            span = _Span(pointer=f"/{number}", value=value, spelling=whole)
            found.append(_part(span, text=text, limits=limits, keys=keys))
        except Unreadable as broken:
            found.append(Broken(pointer=f"/{number}", reason=broken.reason, body=line))
    is_lines = any(
        isinstance(part, Document) and isinstance(part.value, dict) and part.value for part in found
    )
    return found if is_lines else []


def _part(span: _Span, *, text: Text, limits: Limits, keys: _Count) -> Document | Broken:
    """A parsed value as a document, or as broken with its own bytes."""
    cleaner = _Cleaner(text=text, limits=limits, keys=keys)
    # Without an escape no text in it can hold what a database cannot, and none is longer than the whole.
    is_plain = "\\u" not in span.spelling and len(span.spelling) <= limits.text
    try:
        if isinstance(span.value, _Stop):
            raise span.value
        clean = cleaner.check if is_plain else cleaner.clean
        value = clean(span.value, span.pointer, 0)
    except Unreadable as broken:
        body = span.spelling.encode("utf-8")
        return Broken(pointer=broken.pointer or span.pointer, reason=broken.reason, body=body)
    return Document(
        pointer=span.pointer, value=value, spelling=span.spelling, is_altered=cleaner.has_replaced
    )


# --- parsing: what is wrong in one place is marked there, so that it costs that part only --------------


class _NotUtf8(Unreadable):
    """The whole is not UTF-8; single lines of it may be."""


class _Stop(Unreadable):
    """Parsing could not go on with the value that begins at `at`."""

    def __init__(self, reason: str, at: int) -> None:
        super().__init__(reason)
        self.at = at


@dataclass(frozen=True, kw_only=True)
class _Span:
    """A value, or the `_Stop` where parsing ended, with the text that it stands for."""

    pointer: str
    value: Any
    spelling: str


class _Twice(dict[str, Any]):
    """An object that named a key twice."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        names = [name for name, _ in pairs]
        self.name = next(name for n, name in enumerate(names) if name in names[:n])


@dataclass(frozen=True)
class _NoNumber:
    """A number that JSON or we do not have: too long, not a number, infinite."""

    reason: str


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    return found if len(found) == len(pairs) else _Twice(pairs)


def _integer(spelling: str) -> int | _NoNumber:
    if len(spelling) > LIMITS.digits:
        return _NoNumber(f"a number of {len(spelling)} characters")
    number = int(spelling)
    if not SMALLEST <= number <= LARGEST:
        return _NoNumber("a number that does not fit into 64 bits")
    return number


def _fraction(spelling: str) -> float | _NoNumber:
    if len(spelling) > LIMITS.digits:
        return _NoNumber(f"a number of {len(spelling)} characters")
    number = float(spelling)
    return number if math.isfinite(number) else _NoNumber("a number that is too large")


def _constant(spelling: str) -> _NoNumber:
    return _NoNumber(f"{spelling} is not JSON")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_fraction, parse_constant=_constant
)


def _value(text: str, at: int) -> tuple[Any, int]:
    try:
        return _DECODER.raw_decode(text, at)
    except RecursionError as failure:
        raise _Stop(f"nested deeper than {LIMITS.depth}", at) from failure
    except json.JSONDecodeError as failure:
        where = f"line {failure.lineno}, column {failure.colno}"
        raise _Stop(f"not JSON: {failure.msg} ({where})", at) from failure


def _spans(text: str, limits: Limits) -> list[_Span]:
    """The values that follow one another, members of lists one by one, up to where parsing has to stop."""
    spans: list[_Span] = []
    at = _skip_space(text, 0)
    is_one = text[at] != "["
    while at < len(text):
        try:
            read = _read_list if text[at] == "[" else _read
            at = read(text, at, spans, limits)
        except _Stop as stop:
            spans.append(_Span(pointer=f"/{len(spans)}", value=stop, spelling=text[stop.at :]))
            break
        at = _skip_space(text, at)
    if is_one and len(spans) == 1:
        return [replace(spans[0], pointer="")]
    return spans


def _read(text: str, at: int, spans: list[_Span], limits: Limits) -> int:
    value, end = _value(text, at)
    spans.append(_Span(pointer=f"/{len(spans)}", value=value, spelling=text[at:end]))
    _refuse_too_many(spans, limits)
    return end


def _refuse_too_many(found: Sized, limits: Limits) -> None:
    if len(found) > limits.documents:
        raise Unreadable(f"more than {limits.documents} documents")


def _read_list(text: str, at: int, spans: list[_Span], limits: Limits) -> int:
    """Add the members of the list that begins at `at`; where the list ends."""
    at = _skip_space(text, at + 1)
    if text[at : at + 1] == "]":
        return at + 1
    while True:
        end = _read(text, at, spans, limits)
        at = _skip_space(text, end)
        if text[at : at + 1] == "]":
            return at + 1
        if text[at : at + 1] != ",":
            raise _Stop(f"not JSON: a list goes on without a comma (character {at})", at)
        at = _skip_space(text, at + 1)


def _skip_space(text: str, at: int) -> int:
    while at < len(text) and text[at] in " \t\r\n":
        at += 1
    return at


# --- checking ------------------------------------------------------------------------------------------


@dataclass
class _Count:
    """What is left of an allowance."""

    left: int


class _At(Exception):
    """Something is wrong here; the way here is put together while it passes up, and costs no other value."""

    def __init__(self, reason: str, *steps: str | int) -> None:
        super().__init__(reason)
        self.reason = reason
        self.steps: list[str | int] = list(steps)

    def pointer(self) -> str:
        return "".join(step("", name) for name in reversed(self.steps))


class _Cleaner:
    """Walks a parsed value once: checks every limit and gives back a copy that a database can hold."""

    def __init__(self, *, text: Text, limits: Limits, keys: _Count) -> None:
        self._text = text
        self._limits = limits
        self._keys = keys
        self.has_replaced = False

    def clean(self, value: Any, pointer: str, depth: int) -> JSON:
        """A copy of the value that lies at the pointer, that many levels deep. Raises `Unreadable`."""
        try:
            return self._clean(value, depth)
        except _At as failure:
            # As deep as the nesting the pointer is as long; its beginning is enough to find the place.
            raise Unreadable(failure.reason, (pointer + failure.pointer())[:POINTER]) from failure

    def check(self, value: Any, pointer: str, depth: int) -> JSON:
        """The value itself, whose texts are known to be fit, within the limits. Raises `Unreadable`."""
        try:
            self._check(value, depth)
        except _At as failure:
            raise Unreadable(failure.reason, (pointer + failure.pointer())[:POINTER]) from failure
        checked: JSON = value
        return checked

    def _check(self, value: Any, depth: int) -> None:
        if isinstance(value, dict):
            self._check_names(value, depth + 1)
            self._check_members(value.items(), depth + 1)
        elif isinstance(value, list):
            self._check_depth(depth + 1)
            self._check_members(enumerate(value), depth + 1)
        elif isinstance(value, _NoNumber):
            raise _At(value.reason)

    def _check_members(self, members: Iterable[tuple[str | int, Any]], depth: int) -> None:
        for place, member in members:
            if type(member) in PLAIN:
                continue
            try:
                self._check(member, depth)
            except _At as failure:
                failure.steps.append(place)
                raise

    def _check_names(self, value: dict[str, Any], depth: int) -> None:
        self._check_depth(depth)
        if isinstance(value, _Twice):
            raise _At("the same key twice in one object", self._shown(value.name))
        self._keys.left -= len(value)
        if len(value) > self._limits.keys_of_object or self._keys.left < 0:
            raise _At("too many keys")

    def _clean(self, value: Any, depth: int) -> JSON:
        if isinstance(value, str):
            return self._string(value)
        if isinstance(value, dict):
            return self._object(value, depth + 1)
        if isinstance(value, list):
            self._check_depth(depth + 1)
            return self._list(value, depth + 1)
        if isinstance(value, _NoNumber):
            raise _At(value.reason)
        plain: JSON = value
        return plain

    def _list(self, value: list[Any], depth: int) -> JSON:
        clean: list[JSON] = []
        for member in value:
            try:
                clean.append(self._clean(member, depth))
            except _At as failure:
                failure.steps.append(len(clean))
                raise
        return clean

    def _object(self, value: dict[str, Any], depth: int) -> JSON:
        self._check_names(value, depth)
        clean: dict[str, JSON] = {}
        for name, member in value.items():
            key = self._string(name)
            if key in clean:
                raise _At("two keys are the same once NUL is replaced")
            try:
                clean[key] = self._clean(member, depth)
            except _At as failure:
                failure.steps.append(key)
                raise
        return clean

    def _string(self, value: str) -> str:
        if len(value) > self._limits.text:
            raise _At(f"a text longer than {self._limits.text} characters")
        if value.isascii() and "\0" not in value:
            return value
        shown = self._shown(value)
        if shown == value:
            return value
        if self._text is Text.REFUSE:
            raise _At("NUL or half a surrogate pair in a text")
        self.has_replaced = True
        return shown

    @staticmethod
    def _shown(value: str) -> str:
        return value.replace("\0", REPLACEMENT).encode("utf-16", "surrogatepass").decode("utf-16", "replace")

    def _check_depth(self, depth: int) -> None:
        if depth > self._limits.depth:
            raise _At(f"nested deeper than {self._limits.depth}")
