"""Documents of whatever program: read by a declared field map, or by the names that most tools use.

Never chosen by itself (`auto`): it would take everything. A document without an id of its sender's is
identified by its content, times and counts left out, so that the same alarm sent again is a repeat.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cases.decoding import JSON, Unreadable
from cases.sources import traces
from cases.sources.attack import techniques_in
from cases.sources.reading import time
from cases.sources.types import AlertDraft, Observable, Resource
from cases.words import Band
from lib.fields import FieldMap

ID = "generic"

TITLES = (
    "title", "alertname", "alarmname", "alerttitle", "shortdescription", "subject", "searchname", "rulename",
    "name", "summary", "signature", "message", "msg", "description", "text",
)  # fmt: skip
SUMMARIES = ("description", "summary", "details", "message", "text", "fulllog", "comments", "reason")
SEVERITIES = ("severity", "alertseverity", "level", "urgency", "priority", "criticality", "riskscore")
IDS = (
    "fingerprint", "dedupkey", "deduplicationkey", "alias", "externalid", "alertid", "findingid", "eventid",
    "incidentid", "sourceref", "uuid", "guid", "uid", "id",
)  # fmt: skip
TYPES = ("type", "alerttype", "category", "eventtype", "ruleid")
TIMES = (
    "detectedat",
    "timestamp",
    "eventtime",
    "time",
    "startsat",
    "firedat",
    "createdat",
    "created",
    "date",
)
FIRSTS, LASTS = ("firstseen", "firstseenat", "firsttime"), ("lastseen", "lastseenat", "updatedat", "lasttime")
STATES, OVER = ("status", "state"), frozenset({"resolved", "ok", "closed", "recovered", "cleared", "normal"})
SENDERS = ("source", "sender", "product", "tool", "provider")
LINKS = ("link", "url", "alerturl", "externalurl", "generatorurl", "resultslink")
HOSTS = {"host", "hostname", "instance", "cmdbci", "computername", "agentname"}
USERS = {"user", "username", "srcuser", "dstuser"}
VOLATILE = {*TIMES, *FIRSTS, *LASTS, "count", "occurrences", "firedtimes"}

WORDS = {
    **dict.fromkeys(("critical", "crit", "fatal", "emergency", "emerg", "page", "p1", "sev1", "s1"), 95),
    **dict.fromkeys(("high", "error", "err", "major", "severe", "alert", "p2", "sev2", "s2"), 80),
    **dict.fromkeys(("medium", "moderate", "warning", "warn", "p3", "sev3", "s3"), 50),
    **dict.fromkeys(("low", "minor", "notice", "p4", "sev4", "s4"), 20),
    **dict.fromkeys(("info", "informational", "information", "none", "debug", "ok", "p5", "sev5"), 0),
}
PRIORITIES = {1: 95, 2: 80, 3: 50, 4: 20, 5: 0}
OFFSET = re.compile(r"([+-]\d\d)\.(\d\d)$")
"""`+01.00`: an offset as Keep's own Wazuh script writes it."""


def matches(document: JSON) -> bool:
    """Never: every document would be."""
    del document
    return False


def parse(document: JSON) -> Iterator[AlertDraft]:
    """The one draft of a document, by the names that most tools use. `Unreadable` without a title."""
    return Reading().parse(document)


@dataclass(kw_only=True)
class Reading:
    """A source of its own: by a field map, or by usual names, with who sent it where that is known."""

    field_map: FieldMap | None = None
    sender: str = ""
    ID: str = ID

    def matches(self, document: JSON) -> bool:
        """Never: it is chosen by the hook it belongs to."""
        return matches(document)

    def parse(self, document: JSON) -> Iterator[AlertDraft]:
        """The one draft of a document. Raises `Unreadable` without a title."""
        if not isinstance(document, dict):
            raise Unreadable("an alert is a JSON object")
        if self.field_map:
            yield _mapped(self.field_map, document)
        else:
            yield _recognised(Named(document), document, sender=self.sender)


class Named:
    """The single values of a document under their bare names: `@timestamp` and `time_stamp` are one."""

    def __init__(self, document: JSON) -> None:
        self.leaves = list(traces.leaves(document))
        self._top: dict[str, str] = {}
        self._inner: dict[str, str] = {}
        for name, value in self.leaves:
            kept = self._inner if "." in name.strip(".") else self._top
            kept.setdefault(_bare(name.rpartition(".")[2]), value)

    def first(self, names: Iterable[str], *, only_top: bool = False) -> str:
        """The first of these names that has a value, at the top before further in; empty for none."""
        names = tuple(names)
        for values in (self._top,) if only_top else (self._top, self._inner):
            for name in names:
                if values.get(name):
                    return values[name]
        return ""

    def severity(self) -> int:
        """0 to 100 from whatever says it; medium where nothing does."""
        for values in (self._top, self._inner):
            for name in SEVERITIES:
                found = severity_of(values.get(name, ""), is_priority=name == "priority")
                if found is not None:
                    return found
        return Band.MEDIUM.severity

    def moment(self, names: Iterable[str]) -> datetime | None:
        """The time of the first of these names, None where it cannot be read."""
        return moment(self.first(names))

    def observables(self) -> tuple[Observable, ...]:
        """Addresses and hashes wherever they stand whole, hosts and users by their names."""
        return traces.once(self._observables())

    def _observables(self) -> Iterator[Observable]:
        for name, value in self.leaves:
            bare = _bare(name.rpartition(".")[2])
            kind = traces.kind_of(value)
            # An id may look like a hash: GuardDuty's are 32 hexadecimal digits.
            if kind == "ip" or (kind in ("md5", "sha1", "sha256") and not bare.endswith("id")):
                yield Observable(kind=kind, value=value)
            elif bare in HOSTS:
                yield Observable(kind="host", value=value)
            elif bare in USERS:
                yield Observable(kind="user", value=value)


def severity_of(value: str, *, is_priority: bool = False) -> int | None:
    """0 to 100 of a word or a number: up to 10 by ten, above as it is; priorities count from 1 down."""
    if value.strip().lower() in WORDS:
        return WORDS[value.strip().lower()]
    if not re.fullmatch(r"\d{1,3}(\.\d{1,4})?", value.strip()):
        return None
    number = float(value)
    if is_priority:
        return PRIORITIES.get(int(number))
    return min(round(number * 10 if number <= 10 else number), 100)


def moment(value: JSON) -> datetime | None:
    """The moment that a value tells; numbers may come as text."""
    if isinstance(value, str):
        value = OFFSET.sub(r"\1:\2", value.strip())
        if re.fullmatch(r"\d{9,13}(\.\d{1,9})?", value):
            value = float(value)
    try:
        return time(value)
    except Unreadable:
        return None


def content_of(document: JSON) -> str:
    """What stands for a document's content, whenever and however often it is sent."""
    return traces.digest([traces.without_times(json.dumps(_lasting(document), sort_keys=True))])


def _lasting(value: JSON) -> JSON:
    if isinstance(value, dict):
        return {name: _lasting(member) for name, member in value.items() if _bare(name) not in VOLATILE}
    return [_lasting(member) for member in value] if isinstance(value, list) else value


def _recognised(named: Named, document: dict[str, JSON], *, sender: str) -> AlertDraft:
    title = named.first(TITLES)
    if not title:
        raise Unreadable("nothing in it could be the title of an alert")
    ground = traces.ground_of(named.leaves)
    sender = named.first(SENDERS, only_top=True) or sender
    identity, digest = named.first(IDS, only_top=True), content_of(document)
    kind = named.first(TYPES, only_top=True)
    summary = next((said for name in SUMMARIES if (said := named.first((name,))) and said != title), "")
    observables = named.observables()
    main = next((f"{one.kind}:{one.value}" for one in observables), "")
    return AlertDraft(
        source=ID,
        external_id=f"{sender}:{identity or digest}"[:300] if sender else (identity or digest)[:300],
        content=() if identity else (ID, sender, digest),
        fingerprint=(ID, sender, ground.account, ground.region, kind or title, main),
        title=title[:500],
        summary=summary[:20_000],
        severity=named.severity(),
        type=kind[:200],
        account=ground.account,
        region=ground.region,
        resources=ground.resources,
        observables=observables,
        techniques=techniques_in(json.dumps(document)[:200_000])[:50],
        link=traces.web_link(named.first(LINKS, only_top=True)),
        first_seen_at=named.moment(FIRSTS),
        last_seen_at=named.moment(LASTS),
        detected_at=named.moment(TIMES),
        is_resolved=named.first(STATES, only_top=True).lower() in OVER,
        raw=document,
    )


def _mapped(mapped: FieldMap, document: dict[str, JSON]) -> AlertDraft:
    def word(name: str, most: int) -> str:
        return traces.plain(mapped.find(name, document), most=most)

    title = word("title", 500)
    if not title:
        raise Unreadable(f"the field map finds no title at {mapped.paths['title'].spelling}")
    identity, digest = word("external_id", 300), content_of(document)
    account, region = word("account", 40), word("region", 40)
    account = account if traces.ACCOUNT.fullmatch(account) else ""
    region = region if traces.REGION.fullmatch(region) else ""
    kind = word("type", 200)
    resources = tuple(
        dict.fromkeys(
            _resource(listed.kind, value)
            for listed in mapped.resources
            for value in _values(listed.path.find(document))
        )
    )[: traces.MOST_RESOURCES]
    over = traces.plain(mapped.resolved.path.find(document)).lower() if mapped.resolved else ""
    return AlertDraft(
        source=mapped.source,
        external_id=identity or digest,
        content=() if identity else (mapped.source, digest),
        fingerprint=(mapped.source, account, region, kind or title, *(one.id for one in resources[:1])),
        title=title,
        summary=word("summary", 20_000),
        severity=_severity(mapped, document),
        type=kind,
        account=account,
        region=region,
        resources=resources,
        observables=traces.once(
            Observable(kind=listed.kind, value=value)
            for listed in mapped.observables
            for value in _values(listed.path.find(document))
        ),
        techniques=techniques_in(" ".join(_values(mapped.find("techniques", document))))[:50],
        tags=tuple(dict.fromkeys(value[:100] for value in _values(mapped.find("tags", document))))[:50],
        link=traces.web_link(word("link", 2000)),
        first_seen_at=moment(mapped.find("first_seen_at", document)),
        last_seen_at=moment(mapped.find("last_seen_at", document)),
        detected_at=moment(mapped.find("detected_at", document)),
        updated_at=moment(mapped.find("updated_at", document)),
        is_resolved=bool(mapped.resolved and over in mapped.resolved.values),
        raw=document,
    )


def _severity(mapped: FieldMap, document: JSON) -> int:
    if mapped.severity is None:
        return Band.MEDIUM.severity
    said = traces.plain(mapped.severity.path.find(document))
    usual = Band.MEDIUM.severity if mapped.severity.default is None else mapped.severity.default
    if said.lower() in mapped.severity.words:
        return mapped.severity.words[said.lower()]
    found = severity_of(said)
    return usual if found is None else found


def _resource(kind: str, value: str) -> Resource:
    known = traces.resource_of(value)
    return Resource(type=kind, id=(known.id if known else value)[:500], arn=known.arn if known else "")


def _values(found: Any) -> list[str]:
    members = found if isinstance(found, list) else [found]
    return [value for member in members[:500] if (value := traces.plain(member, most=2000))]


def _bare(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
