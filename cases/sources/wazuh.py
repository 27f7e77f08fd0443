"""Wazuh: what its `shuffle` integration posts, and alerts as Wazuh itself writes them.

https://documentation.wazuh.com/current/user-manual/manager/integration-with-external-apis.html,
https://documentation.wazuh.com/current/user-manual/ruleset/rules/rules-classification.html for levels.
"""

from __future__ import annotations

from collections.abc import Iterator

from cases.decoding import JSON, Unreadable
from cases.sources import traces
from cases.sources.attack import TECHNIQUE
from cases.sources.generic import Named, moment
from cases.sources.reading import at, text, texts
from cases.sources.types import AlertDraft, Observable
from cases.words import Band

ID = "wazuh"

OF_POSTED = {1: Band.LOW.severity, 2: Band.MEDIUM.severity, 3: Band.HIGH.severity}
"""The integration's own three steps, where the alert itself did not come along."""


def matches(document: JSON) -> bool:
    """Whether this is surely an alert of Wazuh, posted or as it is."""
    if isinstance(document, dict) and isinstance(document.get("all_fields"), dict):
        return {"rule_id", "title", "pretext"} <= set(document) or _is_alert(document["all_fields"])
    return _is_alert(document)


def parse(document: JSON) -> Iterator[AlertDraft]:
    """The one draft of an alert. Raises `Unreadable` when what makes it an alert is missing."""
    if not isinstance(document, dict):
        raise Unreadable("an alert of Wazuh is an object")
    inner = document.get("all_fields")
    alert = inner if isinstance(inner, dict) else document
    pointer = "/all_fields" if isinstance(inner, dict) else ""
    identity = text(alert, "id", most=100) or text(document, "id", most=100)
    rule = text(alert, "rule", "id", most=40) or text(document, "rule_id", most=40)
    title = text(alert, "rule", "description", most=500) or text(document, "title", most=500)
    if not identity:
        raise Unreadable("an alert of Wazuh has an id", f"{pointer}/id")
    if not title:
        raise Unreadable("an alert of Wazuh has a rule with a description", f"{pointer}/rule/description")
    data = at(alert, "data")
    ground = traces.ground_of(traces.leaves(data))
    agent, manager = text(alert, "agent", "name", most=80), text(alert, "manager", "name", most=80)
    seen = moment(at(alert, "timestamp")) or moment(at(document, "timestamp"))
    yield AlertDraft(
        source=ID,
        external_id=f"{manager}/{identity}" if manager else identity,
        finding=_finding(data, ground.account),
        fingerprint=(ID, manager, agent, rule),
        title=title,
        summary=text(alert, "full_log", most=20_000) or text(document, "text", most=20_000),
        severity=_severity(alert, document),
        type=f"Wazuh:{rule}" if rule else "Wazuh",
        account=ground.account,
        region=ground.region,
        resources=ground.resources,
        observables=traces.once(_observables(alert, data, agent)),
        techniques=tuple(t for t in texts(alert, "rule", "mitre", "id", most=50) if TECHNIQUE.fullmatch(t)),
        tags=tuple(dict.fromkeys(group[:100] for group in texts(alert, "rule", "groups", most=50))),
        richness=50 if _finding(data, ground.account) else 100,
        detected_at=seen,
        last_seen_at=seen,
        raw=document,
    )


def _is_alert(value: JSON) -> bool:
    return bool(
        text(value, "rule", "id")
        and text(value, "rule", "description")
        and isinstance(at(value, "rule", "level"), int)
        and isinstance(at(value, "agent"), dict)
    )


def _finding(data: JSON, account: str) -> tuple[str, ...]:
    """The canonical key of a GuardDuty finding that Wazuh relays; none for all else."""
    if text(data, "aws", "source") != "guardduty" or not account:
        return ()
    identity = text(data, "aws", "id", most=300)
    return ("guardduty", account, identity) if identity else ()


def _severity(alert: JSON, document: JSON) -> int:
    """Levels 0 to 15 as Wazuh's own bands: up to 6 low, to 11 medium, to 14 high, 15 critical."""
    level = at(alert, "rule", "level")
    if isinstance(level, bool) or not isinstance(level, int):
        posted = at(document, "severity")
        return (
            OF_POSTED.get(posted, Band.MEDIUM.severity) if isinstance(posted, int) else Band.MEDIUM.severity
        )
    for floor, band in ((15, Band.CRITICAL), (12, Band.HIGH), (7, Band.MEDIUM), (1, Band.LOW)):
        if level >= floor:
            return band.severity
    return Band.INFORMATIONAL.severity


def _observables(alert: JSON, data: JSON, agent: str) -> Iterator[Observable]:
    if agent:
        yield Observable(kind="host", value=agent)
    address = text(alert, "agent", "ip", most=60)
    if traces.is_address(address):
        yield Observable(kind="ip", value=address)
    yield from Named(data).observables()
