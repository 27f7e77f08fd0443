"""Alerts as TheHive takes them: version 1 (`observables`) and version 0 (`artifacts`, from ElastAlert2).

https://docs.strangebee.com/thehive/api-docs/ for version 1; version 0 as ElastAlert2 and TheHive 4 spell it.
A file that came with an alert is metadata here (`name`, `size`, `contentType`, `sha256`), never content.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime

from cases.decoding import JSON, Unreadable
from cases.sources import traces
from cases.sources.attack import TECHNIQUE
from cases.sources.reading import objects, text, texts, time
from cases.sources.types import AlertDraft, Observable
from cases.words import Band

ID = "thehive"

NEEDED = {"type", "source", "sourceRef", "title"}
LENGTHS = {"type": 64, "source": 64, "sourceRef": 128, "title": 512}
SEVERITIES = {
    0: Band.MEDIUM,  # version 0: not set
    1: Band.LOW,
    2: Band.MEDIUM,
    3: Band.HIGH,
    4: Band.CRITICAL,
}
TLP = {0: "clear", 1: "green", 2: "amber", 3: "amber+strict", 4: "red"}
TLP_OF_VERSION_0 = {-1: "", 0: "clear", 1: "green", 2: "amber", 3: "red", 4: "red"}
PAP = {0: "clear", 1: "green", 2: "amber", 3: "red"}
KINDS = {
    "autonomous_system": "asn",
    "fqdn": "domain",
    "file": "filename",
    "mail": "email",
    "username": "user",
    "account_name": "user",
}
RANDOM = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", re.IGNORECASE)
"""A version 4 UUID: drawn at random, and by ElastAlert2 anew for each sending."""


def matches(document: JSON) -> bool:
    """Whether this has what an alert of TheHive must have; no other tool says `sourceRef`."""
    return isinstance(document, dict) and set(document) >= NEEDED


def parse(document: JSON) -> Iterator[AlertDraft]:
    """The one draft of an alert. `Unreadable` when something that TheHive demands is missing or wrong."""
    if not isinstance(document, dict):
        raise Unreadable("an alert is a JSON object")
    kind, source, ref = (_demanded(document, name) for name in ("type", "source", "sourceRef"))
    title = _demanded(document, "title")
    if not isinstance(document.get("description", ""), str):
        raise Unreadable("must be a text", "/description")
    fields = list(_fields(document))
    ground = traces.ground_of(fields)
    observables = traces.once(_observables(document))
    detected = None if document.get("date") is None else _date(document)
    content = (
        (title, text(document, "description", most=1024 * 1024), *(f"{n}={v}" for n, v in sorted(fields)))
        if RANDOM.fullmatch(ref)
        else (ref,)
    )
    yield AlertDraft(
        source=ID,
        external_id=f"{kind}/{source}/{ref}",
        content=(ID, kind, source, *(traces.without_times(part) for part in content)),
        fingerprint=(
            ID,
            kind,
            source,
            title,
            ground.account,
            *(f"{r.type}:{r.id}" for r in ground.resources[:1]),
        ),
        title=title[:500],
        summary=text(document, "description", most=20_000),
        severity=_severity(document),
        type=kind,
        account=ground.account,
        region=ground.region,
        resources=ground.resources,
        observables=observables,
        techniques=_techniques(document),
        tags=_tags(document),
        link=traces.web_link(text(document, "externalLink", most=4096)),
        first_seen_at=detected,
        last_seen_at=detected,
        detected_at=detected,
        updated_at=detected,
        raw=document,
    )


def observables_in(document: JSON) -> tuple[Observable, ...]:
    """The traces of one observable by itself, as they stand in an alert. `Unreadable` without a type."""
    if not text(document, "dataType"):
        raise Unreadable("is needed", "/dataType")
    return traces.once(_observables({"observables": document}))


def _demanded(document: dict[str, JSON], name: str) -> str:
    found = document.get(name)
    if not isinstance(found, str) or not found.strip():
        raise Unreadable("is needed, as a text", f"/{name}")
    if len(found) > LENGTHS[name]:
        raise Unreadable(f"longer than {LENGTHS[name]} characters", f"/{name}")
    return found.strip()


def _date(document: dict[str, JSON]) -> datetime:
    try:
        return time(document["date"])
    except Unreadable as failure:
        raise Unreadable("must be milliseconds since 1970", "/date") from failure


def _severity(document: dict[str, JSON]) -> int:
    found = document.get("severity")
    if found is None:
        return Band.MEDIUM.severity
    if isinstance(found, bool) or not isinstance(found, int) or found not in SEVERITIES:
        raise Unreadable("must be a whole number from 1 (low) to 4 (critical)", "/severity")
    return SEVERITIES[found].severity


def _fields(document: dict[str, JSON]) -> Iterator[tuple[str, str]]:
    """Everything that has a name and a value: custom fields, tags, observables."""
    yield from custom_fields(document)
    yield from (traces.split(tag) for tag in texts(document, "tags", most=200))
    for thing in _things(document):
        yield from ((text(thing, "dataType", most=100), value) for value in _data(thing))


def custom_fields(document: dict[str, JSON]) -> Iterator[tuple[str, str]]:
    """`{name: value}`, `[{name, value}]`, and `{name: {"order": 0, "string": value}}` of version 0."""
    told = document.get("customFields")
    if isinstance(told, list):
        told = {text(one, "name"): one.get("value") for one in objects(told, most=200)}
    if not isinstance(told, dict):
        return
    for name, said in list(told.items())[:200]:
        if shown := traces.plain(_value(said)):
            yield name, shown


def _value(said: JSON) -> JSON:
    """The value beside `order`, where a custom field says its type."""
    if not isinstance(said, dict):
        return said
    return next((inner for name, inner in said.items() if name != "order"), None)


def _things(document: dict[str, JSON]) -> Iterator[dict[str, JSON]]:
    yield from objects(document, "observables")
    yield from objects(document, "artifacts")


def _data(thing: JSON) -> list[str]:
    return texts(thing, "data", most=traces.MOST)


def _observables(document: dict[str, JSON]) -> Iterator[Observable]:
    for thing in _things(document):
        said = re.sub(r"[^a-z0-9]+", "_", text(thing, "dataType", most=40).lower()).strip("_")
        for value in _data(thing):
            yield Observable(kind=_kind(said, value), value=value)
        for file in objects(thing, "attachment", most=20):
            yield Observable(kind="filename", value=text(file, "name"))
            if traces.hash_of(sha256 := text(file, "sha256")) == "sha256":
                yield Observable(kind="sha256", value=sha256)


def _kind(said: str, value: str) -> str:
    """Our word for TheHive's data type; where that says nothing, what the value itself shows."""
    if said == "hash":
        return traces.hash_of(value) or "hash"
    if said in ("", "other"):
        return traces.kind_of(value) or "other"
    return KINDS.get(said, said)


def _techniques(document: dict[str, JSON]) -> tuple[str, ...]:
    found = [text(one, "patternId") for one in objects(document, "procedures", most=50)]
    return tuple(dict.fromkeys(one for one in found if TECHNIQUE.fullmatch(one)))


def _tags(document: dict[str, JSON]) -> tuple[str, ...]:
    tags = [tag[:128] for tag in texts(document, "tags", most=200)]
    tags += [f"{name}={value}"[:128] for name, value in custom_fields(document)]
    words = TLP_OF_VERSION_0 if "artifacts" in document else TLP
    for name, known in (("tlp", words), ("pap", PAP)):
        level = document.get(name)
        if isinstance(level, int) and not isinstance(level, bool) and known.get(level):
            tags.append(f"{name}:{known[level]}")
    return tuple(dict.fromkeys(tags))
