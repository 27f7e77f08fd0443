"""One incident as a person reads it: head, verdict line, brief, clock, timeline, milestones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.db.models import Q, QuerySet

from cases import access, queries
from cases import ruler as rulers
from cases.forms import PhaseForm, SeverityForm
from cases.milestones import LABELS
from cases.models import Alert, Incident, Milestone, TimelineEntry
from cases.words import MilestoneKind, Phase, Verdict
from estate.queries import accounts_for
from identity.actors import Actor
from identity.models import Person
from identity.permissions import Permission
from lib import clock
from lib.errors import Forbidden, NotFound

BRIEF_ALERTS = 200
PAGE = 200
NOT_AN_ATTACK = frozenset({Verdict.FALSE_POSITIVE.value, Verdict.BENIGN.value, Verdict.DUPLICATE.value})
SHORT = {
    MilestoneKind.ATTACKER_ACCESS: "Attacker access",
    MilestoneKind.FIRST_IOC: "First IOC",
    MilestoneKind.DETECTED: "Detected",
    MilestoneKind.ACKNOWLEDGED: "Acknowledged",
    MilestoneKind.RESPONDED: "Responded",
    MilestoneKind.CONTAINED: "Contained",
    MilestoneKind.ERADICATED: "Eradicated",
    MilestoneKind.RECOVERED: "Recovered",
    MilestoneKind.CLOSED: "Closed",
}
BASES = {
    "by_quell": "by Quell, read back from AWS",
    "observed": "someone else's change, read back from AWS",
    "attested": "a person's word, with evidence",
    "not_needed": "nothing had to be contained",
}


@dataclass(frozen=True, kw_only=True)
class Standing:
    """The one sentence the page exists for. `state` is `open`, `contained` or `none`."""

    state: str
    glyph: str
    title: str
    at: datetime | None
    detail: str
    inside_since: datetime | None
    inside_for: timedelta | None
    is_estimated: bool


@dataclass(frozen=True, kw_only=True)
class PhaseLine:
    """A phase of the list: behind us, where we are, or to come."""

    phase: Phase
    is_past: bool
    is_current: bool


@dataclass(frozen=True, kw_only=True)
class Step:
    """Something to do next, where, and why."""

    title: str
    detail: str
    url_name: str


@dataclass(frozen=True, kw_only=True)
class Head:
    """What stands above every tab of an incident, and what the person may do about it."""

    tab: str
    standing: Standing
    account_name: str
    alerts: int
    actions: int
    evidence: int
    entries: int
    milestones: int
    phases: list[PhaseLine]
    nexts: list[Step]
    may_write: bool
    may_plan: bool
    may_state: bool
    is_mine: bool
    phase_form: PhaseForm
    severity_form: SeverityForm


@dataclass(frozen=True, kw_only=True)
class Brief:
    """The answers to what, who, where and since when, gathered from the alerts."""

    what: str
    types: list[str]
    techniques: list[str]
    who: list[str]
    addresses: list[str]
    places: list[str]
    regions: list[str]
    since: datetime | None
    since_basis: str


@dataclass(frozen=True, kw_only=True)
class Line:
    """One entry of the timeline with its drawing; `action` and `alert` are public ids to link to."""

    entry: TimelineEntry
    kind: str
    glyph: str
    title: str
    detail: str
    action: str
    alert: str


@dataclass(frozen=True, kw_only=True)
class Day:
    """The entries of one day, newest first."""

    date: date
    lines: list[Line]


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """A page of the timeline; `older` is the public id to continue before, or empty."""

    days: list[Day]
    total: int
    older: str


@dataclass(frozen=True, kw_only=True)
class Statement:
    """A milestone as a row: its newest statement, and those before it."""

    kind: MilestoneKind
    label: str
    current: Milestone | None
    after_detection: timedelta | None
    earlier: list[Milestone]


# --- head ---------------------------------------------------------------------------------------------


def head(actor: Actor, incident: Incident, *, tab: str) -> Head:
    """The head of an incident's pages."""
    may_write = _may(actor, Permission.WRITE_INCIDENTS, incident)
    account = accounts_for(actor).filter(account_id=incident.account).first() if incident.account else None
    latest = _latest(incident)
    alerts = alerts_of(actor, incident).count()
    return Head(
        tab=tab,
        standing=_standing(incident, latest),
        account_name=account.name if account else incident.account,
        alerts=alerts,
        actions=incident.actions.count(),
        evidence=incident.evidence.count(),
        entries=incident.timeline.count(),
        milestones=sum(1 for milestone in latest.values() if milestone.at),
        phases=_phases(incident),
        nexts=_nexts(incident),
        may_write=may_write,
        may_plan=_may(actor, Permission.PLAN_ACTIONS, incident),
        may_state=_may(actor, Permission.WRITE_MILESTONES, incident),
        is_mine=actor.person_id is not None and incident.owner_id == actor.person_id,
        phase_form=PhaseForm(),
        severity_form=SeverityForm(initial={"severity": incident.severity_band}),
    )


def alerts_of(actor: Actor, incident: Incident) -> QuerySet[Alert]:
    """The incident's alerts that the actor may read, worst first."""
    return queries.alerts_of(actor, incident).select_related("assignee", "incident")


def person_of(actor: Actor) -> Person:
    """The person who acts; `Forbidden` for a program, which cannot own an incident."""
    person = Person.objects.filter(pk=actor.person_id).first() if actor.person_id is not None else None
    if person is None:
        raise Forbidden("Only a person can own an incident.")
    return person


def _may(actor: Actor, permission: Permission, incident: Incident) -> bool:
    return access.permits(actor, permission, team=incident.team_id, account=incident.account)


def _standing(incident: Incident, latest: dict[str, Milestone]) -> Standing:
    since = incident.attacker_access_at
    start = latest.get(MilestoneKind.ATTACKER_ACCESS)
    estimated = bool(start and start.estimated)
    if incident.contained_at:
        inside = incident.contained_at - since if since else None
        return Standing(
            state="contained",
            glyph="st-verified",
            title="Contained",
            at=incident.contained_at,
            detail=BASES.get(incident.contained_basis, ""),
            inside_since=None,
            inside_for=inside,
            is_estimated=estimated,
        )
    is_over = incident.status == Phase.CLOSED
    if is_over or incident.verdict in NOT_AN_ATTACK:
        said = incident.verdict.replace("_", " ") if incident.verdict else "without a verdict"
        return Standing(
            state="none",
            glyph="st-none",
            title="Not contained" if incident.verdict == Verdict.TRUE_POSITIVE else "Nothing to contain",
            at=None,
            detail=f"Closed as {said}." if is_over else f"Judged {said}.",
            inside_since=None,
            inside_for=None,
            is_estimated=False,
        )
    withdrawn = latest.get(MilestoneKind.CONTAINED)
    return Standing(
        state="open",
        glyph="st-open",
        title="Not contained",
        at=None,
        detail="It was, and no longer is: the statement was withdrawn."
        if withdrawn and withdrawn.at is None
        else "Contained is written only after AWS was read back.",
        inside_since=since,
        inside_for=clock.now() - since if since else None,
        is_estimated=estimated,
    )


def _phases(incident: Incident) -> list[PhaseLine]:
    order = list(Phase)
    here = order.index(Phase(incident.status))
    return [
        PhaseLine(phase=phase, is_past=index < here, is_current=index == here)
        for index, phase in enumerate(order)
    ]


def _nexts(incident: Incident) -> list[Step]:
    """What is missing, in the order in which it is usually needed."""
    if incident.status == Phase.CLOSED:
        return []
    wanted = (
        (incident.owner_id is None, "Take it", "Nobody owns this incident.", "incident"),
        (incident.prioritised_at is None, "Set the severity", "It is still what the alert said.", "incident"),
        (
            incident.contained_at is None and incident.verdict not in NOT_AN_ATTACK,
            "Plan containment",
            "Until it is verified, the attacker may still be inside.",
            "incident-containment",
        ),
        (
            incident.attacker_access_at is None,
            "Find the attacker's first access",
            "Dwell time cannot be measured without it.",
            "incident-milestones",
        ),
        (
            incident.contained_at is not None and incident.status in {Phase.TRIAGE, Phase.CONTAINMENT},
            "Move on to eradication",
            "Contained is not removed.",
            "incident",
        ),
        (incident.status == Phase.REVIEW, "Close it", "With a verdict and how it ended.", "incident-close"),
    )
    return [
        Step(title=title, detail=detail, url_name=url) for is_due, title, detail, url in wanted if is_due
    ][:4]


# --- brief and clock ----------------------------------------------------------------------------------


def brief(actor: Actor, incident: Incident) -> Brief:
    """What the incident's alerts say together; names and addresses that occur most come first."""
    alerts = list(alerts_of(actor, incident)[:BRIEF_ALERTS])
    ids = {alert.account for alert in alerts if alert.account} | (
        {incident.account} if incident.account else set()
    )
    names = {a.account_id: a.name for a in accounts_for(actor).filter(account_id__in=ids)}
    since, basis = _since(incident)
    return Brief(
        what=incident.summary or (alerts[0].title if alerts else ""),
        types=_most(alert.type for alert in alerts if alert.type),
        techniques=_most(str(t) for alert in alerts for t in alert.techniques),
        who=_most(_names(alerts)),
        addresses=_most(_addresses(alerts)),
        places=[names.get(account, account) for account in sorted(ids)],
        regions=sorted({alert.region for alert in alerts if alert.region}),
        since=since,
        since_basis=basis,
    )


def ruler(incident: Incident, *, now: datetime) -> rulers.Ruler | None:
    """The clock of the incident."""
    latest = _latest(incident)
    points = []
    for kind, label in SHORT.items():
        at = getattr(incident, kind.value)
        if at is not None:
            stated = latest.get(kind)
            points.append(rulers.Point(label=label, at=at, estimated=bool(stated and stated.estimated)))
    ended = incident.contained_at or incident.closed_at
    return rulers.draw(points, detected=incident.detected_at, ended=ended, now=now)


def _since(incident: Incident) -> tuple[datetime | None, str]:
    if incident.attacker_access_at:
        return incident.attacker_access_at, "Attacker access"
    if incident.first_ioc_at:
        return incident.first_ioc_at, "First indicator; the attacker's access is not known yet"
    return incident.detected_at, "Detection; nothing earlier is known yet"


def _names(alerts: Iterable[Alert]) -> Iterable[str]:
    for alert in alerts:
        for resource in alert.resources:
            if isinstance(resource, dict) and (name := resource.get("id") or resource.get("arn")):
                yield str(name)


def _addresses(alerts: Iterable[Alert]) -> Iterable[str]:
    for alert in alerts:
        for observable in alert.observables:
            if isinstance(observable, dict) and "ip" in str(observable.get("kind", "")).lower():
                yield str(observable.get("value", ""))


def _most(found: Iterable[str], limit: int = 4) -> list[str]:
    return [name for name, _ in Counter(found).most_common(limit)]


# --- timeline -----------------------------------------------------------------------------------------


def timeline(incident: Incident, *, before: str = "", limit: int = PAGE) -> Timeline:
    """Entries newest first by event time, by days. `NotFound` when `before` names no entry of it."""
    entries = incident.timeline.select_related("text", "person").order_by("-at", "-pk")
    if before:
        last = incident.timeline.filter(ulid=before).first()
        if last is None:
            raise NotFound("There is no such entry in this timeline.")
        entries = entries.filter(Q(at__lt=last.at) | Q(at=last.at, pk__lt=last.pk))
    found = list(entries[: limit + 1])
    more, found = len(found) > limit, found[:limit]
    days: dict[date, list[Line]] = {}
    for entry in found:
        days.setdefault(entry.at.date(), []).append(_line(entry))
    return Timeline(
        days=[Day(date=day, lines=lines) for day, lines in days.items()],
        total=incident.timeline.count(),
        older=found[-1].ulid if more else "",
    )


def _line(entry: TimelineEntry) -> Line:
    text: Any = getattr(entry, "text", None)
    kind, glyph = DRAWINGS.get(entry.kind, ("plan", "st-planned"))
    links = entry.links if isinstance(entry.links, dict) else {}
    return Line(
        entry=entry,
        kind=kind,
        glyph=glyph,
        title=_title(entry, text.title if text else "This text was redacted."),
        detail=text.detail if text else "",
        action=str(links.get("action", "")),
        alert=str(links.get("alert", "")),
    )


def _title(entry: TimelineEntry, written: str) -> str:
    """A milestone's entry repeats its time in words; the line has it already."""
    if entry.kind != "milestone" or not isinstance(entry.links, dict):
        return written
    label = LABELS.get(entry.links.get("kind", ""), written)
    return f"{label}, estimated" if written.endswith("(estimated)") else label


DRAWINGS: dict[str, tuple[str, str]] = {
    "milestone": ("milestone", "st-flag"),
    "milestone_withdrawn": ("milestone", "st-none"),
    "opened": ("milestone", "st-dot"),
    "closed": ("milestone", "st-dot"),
    "note": ("note", "st-note"),
    "alert": ("alert", "st-new"),
    "attacker": ("attacker", "st-square"),
    "attempt": ("attempt", "st-square"),
    "kept": ("response", "st-applied"),
    "evidence": ("note", "st-note"),
    "evidence.damaged": ("attempt", "st-open"),
    "action.confirmed": ("plan", "st-approved"),
    "action.started": ("plan", "st-dot"),
    "action.applied": ("response", "st-applied"),
    "action.verified": ("response", "st-verified"),
    "action.confirmed-again": ("response", "st-verified"),
    "action.failed": ("attempt", "st-failed"),
    "action.partial": ("attempt", "st-open"),
    "action.unknown": ("attempt", "st-unknown"),
    "action.conflict": ("attempt", "st-conflict"),
    "action.lifted": ("attempt", "st-open"),
    "action.tampered": ("attempt", "st-open"),
    "action.drifted": ("plan", "st-drifted"),
    "action.expired": ("plan", "st-expired"),
    "action.refused": ("plan", "st-rejected"),
    "action.rejected": ("plan", "st-rejected"),
    "action.withdrawn": ("plan", "st-rejected"),
    "action.reverting": ("plan", "st-reverting"),
    "action.reverted": ("plan", "st-reverted"),
}
"""Kind of entry → what it is in the drawing's own words, and its glyph; others are plain steps."""


# --- milestones ---------------------------------------------------------------------------------------


def statements(incident: Incident) -> list[Statement]:
    """One row per kind in the order of an incident, with what was said before about each."""
    by_kind: dict[str, list[Milestone]] = {}
    for milestone in incident.milestones.select_related("text", "person").order_by("-pk"):
        by_kind.setdefault(milestone.kind, []).append(milestone)
    rows = []
    for kind in MilestoneKind:
        said = by_kind.get(kind, [])
        current = said[0] if said else None
        rows.append(
            Statement(
                kind=kind,
                label=LABELS[kind],
                current=current,
                after_detection=_after_detection(incident, current),
                earlier=said[1:],
            )
        )
    return rows


def _after_detection(incident: Incident, current: Milestone | None) -> timedelta | None:
    if current is None or current.at is None or incident.detected_at is None:
        return None
    return current.at - incident.detected_at if current.kind != MilestoneKind.DETECTED else None


def _latest(incident: Incident) -> dict[str, Milestone]:
    return {m.kind: m for m in incident.milestones.order_by("pk")}
