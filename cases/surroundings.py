"""What stands around an alert on its page: what enrichment found, what rules did, what it belongs to.

Enrichment wrote it down for the whole team; what is shown is only what the person may read. All of it is
text from outside.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from cases import access, correlation, rules, ruling
from cases.models import Alert, RawDocument
from cases.techniques import name_of
from cases.words import PRINCIPALS, RuleEffect
from identity.actors import Actor

NEAR = timedelta(days=30)
MOST_TOGETHER = 5
MOST_COUNTED = 50
MOST_RULES = 10
MOST_COPIES = 50
MOST_OBSERVED = 50
SAID = {
    RuleEffect.ROUTE.value: "Given to another team",
    RuleEffect.SUPPRESS.value: "Dismissed as suppressed",
    RuleEffect.OPEN.value: "Put into an incident",
    rules.SETTLED: "Dismissed, as it was over at its source and nobody had touched it",
}
CREDENTIALS = {"long_lived": "long-lived credential", "session": "credential of a session"}


@dataclass(frozen=True, kw_only=True)
class Fact:
    """One line about the asset, with where it is known from."""

    label: str
    value: str
    known_from: str = ""


@dataclass(frozen=True, kw_only=True)
class Principal:
    """Who acted: what kind, under which id, with what kind of credential; how much else in 30 days."""

    kind: str
    name: str
    credential: str
    others: int


@dataclass(frozen=True, kw_only=True)
class Observed:
    """One observable; of an address its class and place, in words."""

    kind: str
    value: str
    about: str = ""


@dataclass(frozen=True, kw_only=True)
class Closing:
    """How the same was closed last time. `ulid` is an alert that the person may read."""

    ulid: str
    verdict: str
    reason: str
    by: str
    at: datetime | None


@dataclass(frozen=True, kw_only=True)
class Seen:
    """How often the same type was seen on the same resource before."""

    count: int
    first_at: datetime | None
    last_at: datetime | None
    closed: Closing | None


@dataclass(frozen=True, kw_only=True)
class Change:
    """What a rule did. Without `rule` it was none, without `name` one that the person may not read."""

    says: str
    rule: str
    name: str
    at: datetime | None
    episode: int
    incident: str = ""


@dataclass(frozen=True, kw_only=True)
class Together:
    """Other alerts of the team about the same thing, near in time; `by` says what they share."""

    by: str
    alerts: list[Alert]
    more: int
    is_cut: bool


@dataclass(frozen=True, kw_only=True)
class Around:
    """Everything that the page shows around an alert's own columns."""

    asset: list[Fact]
    principal: Principal | None
    observed: list[Observed]
    techniques: list[tuple[str, str]]
    seen: Seen | None
    changes: list[Change]
    together: Together | None
    copies: list[RawDocument]
    older: list[RawDocument]
    more_copies: bool


def around(actor: Actor, alert: Alert, *, opened: int) -> Around:
    """A handful of queries, whatever the alert holds. `opened` of its documents are shown with their content.

    `copies` have no content: `older` are those of them that are only named.
    """
    context = alert.context if isinstance(alert.context, dict) else {}
    copies = list(alert.documents.defer("body").order_by("-received_at", "-pk")[: MOST_COPIES + 1])
    return Around(
        asset=_asset(alert, context),
        principal=_principal(context.get("principal")),
        observed=_observed(alert, context.get("addresses")),
        techniques=[(str(one), name_of(str(one))) for one in alert.techniques],
        seen=_seen(actor, context.get("seen_before")),
        changes=_changes(actor, alert),
        together=_together(actor, alert),
        copies=copies[:MOST_COPIES],
        older=copies[opened:MOST_COPIES],
        more_copies=len(copies) > MOST_COPIES,
    )


# --- the asset, who acted, and from where --------------------------------------------------------------


def _asset(alert: Alert, context: Mapping[str, Any]) -> list[Fact]:
    facts = [
        Fact(label="Asset owner", value=alert.owner, known_from=_text(context.get("owner_from"))),
        Fact(label="Environment", value=alert.environment, known_from=_text(context.get("environment_from"))),
        Fact(label="Criticality", value=alert.criticality),
        Fact(label="Data class", value=alert.data_class),
    ]
    return [one for one in facts if one.value]


def _principal(told: object) -> Principal | None:
    if not isinstance(told, dict) or not told.get("id"):
        return None
    return Principal(
        kind=_text(told.get("kind")),
        name=_text(told.get("id")),
        credential=CREDENTIALS.get(_text(told.get("credential")), ""),
        others=_number(told.get("alerts_30d")),
    )


def _observed(alert: Alert, addresses: object) -> list[Observed]:
    known = {_text(one.get("address")): one for one in _dicts(addresses)}
    shown = [one for one in alert.observables[:MOST_OBSERVED] if isinstance(one, dict)]
    return [
        Observed(
            kind=_text(one.get("kind")),
            value=_text(one.get("value")),
            about=_about(known.get(_text(one.get("value")), {})),
        )
        for one in shown
    ]


def _about(address: Mapping[str, Any]) -> str:
    """`known scanner (office), AS64500 Example Hosting, Lisbon, Portugal`."""
    name, kind = _text(address.get("name")), _text(address.get("kind"))
    number = _number(address.get("asn"))
    network = f"{f'AS{number}' if number else ''} {_text(address.get('organization'))}".strip()
    country = _text(address.get("country_name")) or _text(address.get("country"))
    what = f"{kind} ({name})" if kind and name else kind or name
    return ", ".join(part for part in (what, network, _text(address.get("city")), country) if part)


# --- what was before -----------------------------------------------------------------------------------


def _seen(actor: Actor, told: object) -> Seen | None:
    if not isinstance(told, dict) or not told.get("count"):
        return None
    return Seen(
        count=_number(told.get("count")),
        first_at=_moment(told.get("first_at")),
        last_at=_moment(told.get("last_at")),
        closed=_closing(actor, told.get("closed")),
    )


def _closing(actor: Actor, told: object) -> Closing | None:
    """The closing, if its alert is the person's to read: a seat for some accounts reads not all of a team."""
    if not isinstance(told, dict):
        return None
    ulid = _text(told.get("alert"))
    if not access.alerts_for(actor).filter(ulid=ulid).exists():
        return None
    return Closing(
        ulid=ulid,
        verdict=_text(told.get("verdict")),
        reason=_text(told.get("reason")),
        by=_text(told.get("by")),
        at=_moment(told.get("at")),
    )


# --- what rules did ------------------------------------------------------------------------------------


def _changes(actor: Actor, alert: Alert) -> list[Change]:
    """What rules did, the newest first; names of rules and incidents only where the person may read them."""
    notes = list(reversed(rules.notes_of(alert)))[:MOST_RULES]
    ulids = {_text(note.get("rule")) for note in notes} - {""}
    refs = {_text(note.get("incident")) for note in notes} - {""}
    names = dict(ruling.rules_for(actor).filter(ulid__in=ulids).values_list("ulid", "name")) if ulids else {}
    seen = access.incidents_for(actor).filter(ref__in=refs).values_list("ref", flat=True) if refs else ()
    readable = set(seen)
    return [
        Change(
            says=_says(note),
            rule=_text(note.get("rule")),
            name=names.get(_text(note.get("rule")), ""),
            at=_moment(note.get("at")),
            episode=_number(note.get("episode")),
            incident=ref if (ref := _text(note.get("incident"))) in readable else "",
        )
        for note in notes
    ]


def _says(note: Mapping[str, Any]) -> str:
    effect = note.get("effect")
    if effect == RuleEffect.ADJUST:
        before, after = _number(note.get("before")), _number(note.get("severity"))
        return f"Severity {before} → {after}, shifted by {_number(note.get('shift')):+d}"
    return SAID.get(str(effect), "")


# --- what it belongs to --------------------------------------------------------------------------------


def _together(actor: Actor, alert: Alert) -> Together | None:
    if not alert.correlation_key:
        return None
    others = (
        access.alerts_for(actor)
        .select_related("incident")
        .filter(
            team_id=alert.team_id,
            correlation_key=alert.correlation_key,
            detected_at__range=(alert.detected_at - NEAR, alert.detected_at + NEAR),
        )
        .exclude(pk=alert.pk)
        .order_by("-detected_at")
    )
    found = list(others[: MOST_COUNTED + 1])
    if not found:
        return None
    more = min(len(found), MOST_COUNTED) - MOST_TOGETHER
    return Together(
        by=_shared(alert), alerts=found[:MOST_TOGETHER], more=max(more, 0), is_cut=len(found) > MOST_COUNTED
    )


def _shared(alert: Alert) -> str:
    """What alerts with the same correlation key have in common, as that key is made."""
    kinds = {kind for kind, _ in correlation.subjects_of(alert)}
    if kinds & set(PRINCIPALS):
        return "same principal"
    return "same resource" if kinds else "same type in this account"


# --- reading what was written down ---------------------------------------------------------------------


def _dicts(value: object) -> Iterable[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0


def _moment(value: object) -> datetime | None:
    return datetime.fromisoformat(value) if isinstance(value, str) and value else None
