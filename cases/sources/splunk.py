"""Splunk's webhook alert action: the name of a search, and the first row of what it found.

https://docs.splunk.com/Documentation/Splunk/latest/Alert/Webhooks. The id of the search run and the row
together are the alert: the same run posted again is a repeat.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from cases.decoding import JSON, Unreadable
from cases.sources import traces
from cases.sources.attack import techniques_in
from cases.sources.generic import Named
from cases.sources.reading import at, text
from cases.sources.types import AlertDraft

ID = "splunk"

TIMES = ("time", "timestamp", "eventtime")


def matches(document: JSON) -> bool:
    """Whether this is surely what Splunk posts."""
    return isinstance(document, dict) and {"sid", "search_name", "results_link"} <= set(document)


def parse(document: JSON) -> Iterator[AlertDraft]:
    """The one draft of an alert. Raises `Unreadable` without the search's run and name."""
    run, search = text(document, "sid", most=1000), text(document, "search_name", most=500)
    if not isinstance(document, dict) or not run:
        raise Unreadable("an alert of Splunk has a sid", "/sid")
    found = at(document, "result")
    row = found if isinstance(found, dict) else {}
    named, ground = Named(row), traces.ground_of(traces.leaves(row))
    title = search or named.first(("signature", "title", "name")) or "Splunk search without a name"
    observables = named.observables()
    main = next((f"{one.kind}:{one.value}" for one in observables), "")
    detected = named.moment(TIMES)
    yield AlertDraft(
        source=ID,
        external_id=traces.digest([run, json.dumps(row, sort_keys=True)]),
        fingerprint=(ID, ground.account, ground.region, title, main),
        title=title[:500],
        summary=named.first(("description", "summary", "message", "raw"))[:20_000],
        severity=named.severity(),
        type=f"Splunk:{text(document, 'app', most=80) or 'search'}/{title}"[:200],
        account=ground.account,
        region=ground.region,
        resources=ground.resources,
        observables=observables,
        techniques=techniques_in(json.dumps(row)[:200_000])[:50],
        tags=tuple(f"{name}:{said}" for name in ("app", "owner") if (said := text(document, name, most=80))),
        link=traces.web_link(text(document, "results_link")),
        detected_at=detected,
        last_seen_at=detected,
        raw=document,
    )
