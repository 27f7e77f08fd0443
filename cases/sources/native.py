"""Quell's own alert document, for senders that have no format of their own (`POST /api/v1/alerts`).

Unlike documents that others define, this one is ours: an unknown key or a wrong value is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import cache
from typing import Any

from cases.decoding import JSON, Unreadable
from cases.sources.attack import TECHNIQUE
from cases.sources.reading import time
from cases.sources.types import AlertDraft, Observable, Resource
from cases.words import Band

ID = "native"

SOURCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,39}")
TACTIC = re.compile(r"TA\d{4}")
OFFSET = re.compile(r"(?:[zZ]|[+-]\d\d:?\d\d)$")
DEFAULT_SEVERITY = Band.MEDIUM.severity
NO_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


class Refused(Unreadable):
    """Several values are wrong: `errors` pairs each JSON pointer with what is wrong there."""

    def __init__(self, errors: list[tuple[str, str]]) -> None:
        pointer, reason = errors[0]
        super().__init__(reason, pointer)
        self.errors = errors


def matches(document: JSON) -> bool:
    """Whether this has what only our own document must have."""
    return isinstance(document, dict) and {"source", "external_id", "title"} <= set(document)


def parse(document: JSON) -> Iterator[AlertDraft]:
    """The one draft of a native alert. Raises `Refused` naming everything that is wrong."""
    if not isinstance(document, dict):
        raise Unreadable("an alert is a JSON object")
    reader = _Reader(document)
    source = reader.take("source", _source, is_needed=True)
    external_id = reader.take("external_id", _text(300), is_needed=True)
    title = reader.take("title", _text(500), is_needed=True)
    kind = reader.take("type", _text(200), default="")
    account = reader.take("account", _account, default="")
    region = reader.take("region", _region, default="")
    resources = reader.take_list("resources", _resource, most=200)
    first = reader.take("first_seen_at", _time)
    last = reader.take("last_seen_at", _time)
    draft = AlertDraft(
        source=source,
        external_id=external_id,
        fingerprint=(
            source,
            account,
            region,
            kind or title,
            *(f"{r.type}:{r.id or r.arn}" for r in resources[:1]),
        ),
        title=title,
        summary=reader.take("summary", _text(20_000, is_long=True), default=""),
        severity=reader.take("severity", _severity, default=DEFAULT_SEVERITY),
        type=kind,
        account=account,
        region=region,
        resources=resources,
        observables=reader.take_list("observables", _observable, most=500),
        techniques=reader.take_list("techniques", _technique, most=50),
        tags=reader.take_list("tags", _text(100), most=50),
        first_seen_at=first,
        last_seen_at=last,
        detected_at=reader.take("detected_at", _time),
        raw=document,
    )
    reader.allow("raw")
    if first and last and first > last:
        reader.complain("/first_seen_at", "later than last_seen_at")
    reader.finish()
    yield draft


class _Reader:
    """Takes values out of the document and gathers what is wrong with them."""

    def __init__(self, document: dict[str, JSON]) -> None:
        self._document = document
        self._known: set[str] = set()
        self._errors: list[tuple[str, str]] = []

    def take(
        self, name: str, read: Callable[[JSON], Any], *, is_needed: bool = False, default: Any = None
    ) -> Any:
        """The value as `read` gives it; the default where it is absent, null or wrong."""
        self._known.add(name)
        value = self._document.get(name)
        if value is None:
            if is_needed:
                self.complain(f"/{name}", "is needed")
            return "" if is_needed else default
        return self._read(read, value, f"/{name}", "" if is_needed else default)

    def take_list(self, name: str, read: Callable[[JSON], Any], *, most: int) -> tuple[Any, ...]:
        """The members of a list, each as `read` gives it."""
        self._known.add(name)
        value = self._document.get(name)
        if value is None:
            return ()
        if not isinstance(value, list) or len(value) > most:
            self.complain(f"/{name}", f"must be a list of at most {most}")
            return ()
        read_ones = [self._read(read, member, f"/{name}/{n}", None) for n, member in enumerate(value)]
        return tuple(dict.fromkeys(one for one in read_ones if one is not None))

    def allow(self, name: str) -> None:
        """Say that this key may be there, whatever it holds."""
        self._known.add(name)

    def complain(self, pointer: str, reason: str) -> None:
        self._errors.append((pointer, reason))

    def finish(self) -> None:
        """Raise `Refused` if anything was wrong."""
        for name in sorted(set(self._document) - self._known):
            shown = name[:60].replace("~", "~0").replace("/", "~1")
            self.complain(f"/{shown}", "is not a field of an alert")
        if self._errors:
            raise Refused(self._errors[:50])

    def _read(self, read: Callable[[JSON], Any], value: JSON, pointer: str, default: Any) -> Any:
        try:
            return read(value)
        except Unreadable as failure:
            self.complain(pointer + failure.pointer, failure.reason)
            return default


@cache
def _text(most: int, *, is_long: bool = False) -> Callable[[JSON], str]:
    def read(value: JSON) -> str:
        if not isinstance(value, str) or (not value.strip() and not is_long):
            raise Unreadable("must be a text that is not empty")
        if len(value) > most:
            raise Unreadable(f"longer than {most} characters")
        if not value.isprintable() and NO_CONTROL.search(value):
            raise Unreadable("holds control characters")
        return value.strip()

    return read


def _source(value: JSON) -> str:
    if not isinstance(value, str) or not SOURCE.fullmatch(value):
        raise Unreadable("must be 1 to 40 letters, digits, dots, dashes, colons or underscores")
    return value


def _account(value: JSON) -> str:
    if value == "":
        return ""
    if not isinstance(value, str) or not re.fullmatch(r"[0-9]{12}", value):
        raise Unreadable("must be the twelve digits of an AWS account, as a text")
    return value


def _region(value: JSON) -> str:
    if value == "":
        return ""
    if not isinstance(value, str) or not re.fullmatch(r"[a-z0-9-]{1,30}", value):
        raise Unreadable("must be the name of an AWS region")
    return value


def _severity(value: JSON) -> int:
    """A number from 0 to 100, or the name of a band."""
    if isinstance(value, str) and value in set(Band):
        return Band(value).severity
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 100:
        raise Unreadable(f"must be a whole number from 0 to 100, or one of {', '.join(Band)}")
    return value


def _time(value: JSON) -> datetime:
    if not isinstance(value, str) or not OFFSET.search(value.strip()):
        raise Unreadable("must be a time as in RFC 3339, with its offset (2026-11-24T09:30:00Z)")
    return time(value)


def _technique(value: JSON) -> str:
    if not isinstance(value, str) or not (TECHNIQUE.fullmatch(value) or TACTIC.fullmatch(value)):
        raise Unreadable("must be the id of an ATT&CK technique or tactic (T1078.004)")
    return value


def _resource(value: JSON) -> Resource:
    found = _strings(value, {"type": 60, "id": 500, "arn": 2000, "role": 40}, needed=("type",))
    if not found.get("id") and not found.get("arn"):
        raise Unreadable("a resource has an id or an arn")
    identity = found.get("id") or found["arn"].rsplit("/", maxsplit=1)[-1].rsplit(":", maxsplit=1)[-1]
    return Resource(type=found["type"], id=identity, arn=found.get("arn", ""), role=found.get("role", ""))


def _observable(value: JSON) -> Observable:
    found = _strings(value, {"kind": 40, "value": 2000}, needed=("kind", "value"))
    return Observable(kind=found["kind"], value=found["value"])


def _strings(value: JSON, lengths: dict[str, int], *, needed: tuple[str, ...]) -> dict[str, str]:
    """An object whose values are texts of at most these lengths; null and empty count as absent."""
    if not isinstance(value, dict):
        raise Unreadable("must be an object")
    found: dict[str, str] = {}
    for name, member in value.items():
        if name not in lengths:
            raise Unreadable("is not a field of it", "/" + name[:60].replace("~", "~0").replace("/", "~1"))
        if member is None or member == "":
            continue
        try:
            found[name] = _text(lengths[name])(member)
        except Unreadable as failure:
            raise Unreadable(failure.reason, f"/{name}") from failure
    for name in needed:
        if name not in found:
            raise Unreadable("is needed", f"/{name}")
    return found
