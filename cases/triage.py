"""What people and rules do with alerts and incidents.

Each use-case is one transaction: the row, its timeline entry and the audit event stand or fall
together. A row is changed only if it is still as it was read, else `Conflict`. Permission is the
caller's business (`cases.access`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Greatest

from audit.record import record as audit
from cases import linking, milestones, numbering, timeline
from cases.models import Action, Alert, Incident, TimelineEntry
from cases.priority import kind_of, priority_of
from cases.words import (
    IN_FORCE,
    ActionStatus,
    AlertStatus,
    Band,
    Basis,
    MilestoneKind,
    MilestoneSource,
    Phase,
    Tlp,
    Verdict,
)
from estate.queries import account_of
from identity.actors import Actor
from identity.models import Person, Team
from lib.errors import Conflict, Invalid

PHASES = list(Phase)
STOPPING = ("source", "technique", "destination")
"""Categories of actions that stop something: an incident is not closed over them by accident."""

LONGEST_KEPT = timedelta(days=90)
"""For how long a containment stays in force without anybody looking at it again."""

MOST_NAMED = 5

PLAIN = ("title", "summary", "kind", "tlp", "impact")
"""Columns of an incident that hold only words, changed by `amend`."""


# --- alerts --------------------------------------------------------------------------------------------


@transaction.atomic
def acknowledge(*, alert: Alert, by: Actor, at: datetime) -> None:
    """Take an alert: it becomes the person's and counts as acknowledged. Twice by one person: nothing."""
    if alert.status == AlertStatus.ACKNOWLEDGED and by.person_id and alert.assignee_id == by.person_id:
        return
    values: dict[str, Any] = {
        "status": AlertStatus.ACKNOWLEDGED,
        "assignee_id": by.person_id,
        "acknowledged_at": at,
        "updated_at": at,
    }
    is_free = Q(status=AlertStatus.NEW) | Q(status=AlertStatus.ACKNOWLEDGED, assignee__isnull=True)
    _change_alert(
        alert, Q(status=alert.status) & is_free, values, refusal="Someone has taken this alert, or closed it."
    )
    audit(act="alert.acknowledged", by=by, at=at, on=("alert", alert.ulid))


@transaction.atomic
def dismiss(*, alert: Alert, verdict: Verdict, reason: str, by: Actor, at: datetime) -> None:
    """Close an alert that needs no incident, with what it turned out to be."""
    values: dict[str, Any] = {
        "status": AlertStatus.DISMISSED,
        "verdict": verdict,
        "verdict_reason": _short(reason, 500, "/reason"),
        "dismissed_at": at,
        "updated_at": at,
        "due_at": None,
    }
    if alert.acknowledged_at is None and by.kind == "person":
        values |= {"acknowledged_at": at, "assignee_id": by.person_id}
    is_open = Q(status=alert.status, status__in=linking.OPEN)
    _change_alert(alert, is_open, values, refusal="This alert is in an incident or was dismissed already.")
    audit(
        act="alert.dismissed",
        by=by,
        at=at,
        on=("alert", alert.ulid),
        details={"verdict": verdict.value, "episode": alert.episode},
    )


@transaction.atomic
def restore(*, alert: Alert, by: Actor, at: datetime) -> None:
    """Undo a dismissal: the alert is open again, as its assignee's where it has one."""
    status = AlertStatus.ACKNOWLEDGED if alert.assignee_id else AlertStatus.NEW
    values: dict[str, Any] = {
        "status": status,
        "verdict": "",
        "verdict_reason": "",
        "dismissed_at": None,
        "updated_at": at,
    }
    _change_alert(alert, Q(status=AlertStatus.DISMISSED), values, refusal="This alert is not dismissed.")
    audit(act="alert.restored", by=by, at=at, on=("alert", alert.ulid), details={"episode": alert.episode})


@transaction.atomic
def amend_alert(*, alert: Alert, changes: dict[str, Any], by: Actor, at: datetime) -> None:
    """Change what a person may correct: title, summary, severity, tags, assignee (a `Person` or None)."""
    values = dict(changes)
    if "severity" in values:
        values["severity_band"] = Band.of(values["severity"])
    if values.get("assignee") is not None:
        _check_member(values["assignee"], alert.team, pointer="/assignee")
    _change_alert(alert, Q(updated_at=alert.updated_at), {**values, "updated_at": at})
    audit(act="alert.amended", by=by, at=at, on=("alert", alert.ulid), details={"fields": sorted(changes)})


@transaction.atomic
def escalate(*, alerts: Sequence[Alert], incident: Incident | None, by: Actor, at: datetime) -> Incident:
    """Put alerts into an incident, a new one when none is given, named and weighed after the worst alert.

    Raises `Conflict` for a closed incident and for alerts that are not open, `Invalid` for none at all
    or alerts of several teams.
    """
    if not alerts:
        raise Invalid("Name at least one alert.", pointer="/alerts")
    if incident is None:
        worst = max(alerts, key=lambda one: (one.severity, -one.pk))
        return _open(
            title=worst.title,
            severity=worst.severity,
            team=worst.team,
            alerts=alerts,
            kind=kind_of(worst.type),
            account=worst.account,
            # An incident made of nothing but sample findings is a drill.
            is_exercise=all(alert.is_sample for alert in alerts),
            by=by,
            at=at,
        )
    _change_incident(
        incident, ~Q(status=Phase.CLOSED), {}, at=at, refusal="The incident is closed; reopen it first."
    )
    linked = linking.link(incident=incident, alerts=alerts, by=by, at=at)
    if linked:
        linking.learn(incident=incident, by=by, at=at)
        _acknowledged(incident, alerts=linked, by=by, at=at)
        audit(
            act="incident.alerts_added",
            by=by,
            at=at,
            on=("incident", incident.ref),
            details={"alerts": [alert.ulid for alert in linked]},
        )
    return incident


# --- incidents -----------------------------------------------------------------------------------------


@transaction.atomic
def open_incident(
    *,
    title: str,
    severity: int,
    team: Team,
    by: Actor,
    at: datetime,
    alerts: Sequence[Alert] = (),
    kind: str = "",
    account: str = "",
    is_exercise: bool = False,
    summary: str = "",
    tlp: Tlp = Tlp.AMBER,
) -> Incident:
    """Open an incident by hand. A person who does has acknowledged it and weighed it.

    Without alerts it counts as detected now: someone noticed something and said so.
    """
    incident = _open(
        title=title,
        severity=severity,
        team=team,
        alerts=alerts,
        kind=kind,
        account=account,
        is_exercise=is_exercise,
        summary=summary,
        tlp=tlp,
        by=by,
        at=at,
    )
    if not alerts:
        source = MilestoneSource.PERSON if by.kind == "person" else MilestoneSource.IMPORT
        _reached(incident, MilestoneKind.DETECTED, by=by, at=at, source=source)
    if by.kind == "person":
        _reached(incident, MilestoneKind.PRIORITISED, by=by, at=at)
    return incident


@transaction.atomic
def open_by_rule(*, alert: Alert, kind: str, by: Actor, at: datetime) -> Incident:
    """Open an incident for one alert without a person: nobody has acknowledged it yet."""
    return _open(
        title=alert.title,
        severity=alert.severity,
        team=alert.team,
        alerts=[alert],
        kind=kind,
        account=alert.account,
        by=by,
        at=at,
    )


@transaction.atomic
def amend(*, incident: Incident, changes: dict[str, Any], by: Actor, at: datetime) -> None:
    """Change plain columns (`PLAIN`) of an incident."""
    changed = {name: value for name, value in changes.items() if getattr(incident, name) != value}
    if unknown := set(changed) - set(PLAIN):
        raise Invalid("That is changed elsewhere.", pointer=f"/{min(unknown)}")
    if not changed:
        return
    _change_incident(incident, Q(updated_at=incident.updated_at), changed, at=at)
    names = sorted(changed)
    _tell(incident, kind="amended", title=f"Changed: {', '.join(names)}", by=by, at=at)
    audit(act="incident.amended", by=by, at=at, on=("incident", incident.ref), details={"fields": names})


@transaction.atomic
def set_severity(*, incident: Incident, severity: int, by: Actor, at: datetime) -> None:
    """Say how bad it is. The first time that a person does, also unchanged, the incident is prioritised."""
    if not 0 <= severity <= 100:
        raise Invalid("A severity is a number from 0 to 100.", pointer="/severity")
    before = incident.severity
    values: dict[str, Any] = {
        "severity": severity,
        "severity_band": Band.of(severity),
        "highest_severity": Greatest("highest_severity", severity),
        "priority": priority_of(severity=severity, account=account_of(incident.account)),
    }
    is_same = ~Q(status=Phase.CLOSED) & Q(severity=before)
    _change_incident(
        incident, is_same, values, at=at, refusal="The incident is closed or was changed meanwhile."
    )
    incident.refresh_from_db(fields=["highest_severity"])
    if severity != before:
        _tell(incident, kind="severity", title=f"Severity {before} → {severity}", by=by, at=at)
    if by.kind == "person":
        _reached(incident, MilestoneKind.PRIORITISED, by=by, at=at)
    details = {"from": before, "to": severity}
    audit(act="incident.severity_set", by=by, at=at, on=("incident", incident.ref), details=details)


@transaction.atomic
def assign(*, incident: Incident, person: Person | None, by: Actor, at: datetime) -> None:
    """Give an incident an owner, or none. Who takes it for themselves has acknowledged it."""
    if person is not None:
        _check_member(person, incident.team, pointer="/owner")
    if person is not None and incident.is_restricted and not incident.named.filter(pk=person.pk).exists():
        raise Invalid("This incident is restricted, and that person is not named in it.", pointer="/owner")
    before = incident.owner_id
    _change_incident(incident, Q(owner=before), {"owner": person}, at=at)
    title = f"Owner: {person.name}" if person else "Owner: nobody"
    if before != (person.pk if person else None):
        _tell(incident, kind="owner", title=title, by=by, at=at)
    if person is not None and person.pk == by.person_id:
        _reached(incident, MilestoneKind.ACKNOWLEDGED, by=by, at=at)
    audit(
        act="incident.assigned",
        by=by,
        at=at,
        on=("incident", incident.ref),
        details={"owner": person.ulid if person else ""},
    )


@transaction.atomic
def note(*, incident: Incident, text: str, at: datetime, by: Actor, recorded_at: datetime) -> TimelineEntry:
    """Write a line into the timeline by hand; `at` is when it happened."""
    if not text.strip():
        raise Invalid("Write what happened.", pointer="/title")
    milestones.check_meant(at, recorded_at=recorded_at)
    title, _, detail = text.strip().partition("\n")
    entry = timeline.add(
        incident=incident,
        kind="note",
        at=at,
        title=title.strip(),
        detail=detail.strip(),
        by=by,
        recorded_at=recorded_at,
    )
    audit(
        act="timeline.noted",
        by=by,
        at=recorded_at,
        on=("incident", incident.ref),
        details={"entry": entry.ulid, "digest": entry.text_digest},
    )
    return entry


@transaction.atomic
def state(
    *,
    incident: Incident,
    kind: MilestoneKind,
    at: datetime | None,
    by: Actor,
    recorded_at: datetime,
    estimated: bool = False,
    not_before: datetime | None = None,
    not_after: datetime | None = None,
    basis: str = "",
    reason: str = "",
    evidence: str = "",
) -> None:
    """A person's statement about when something happened; without a time, that the last one was wrong.

    "Contained" said by a person is attested, unless they say that it was not needed; attesting needs
    the evidence for it. Raises `Invalid` for what cannot be, `Conflict` when there is nothing to take back.
    """
    if at is None:
        source = MilestoneSource.PERSON
        if not milestones.withdraw(
            incident=incident, kind=kind, by=by, recorded_at=recorded_at, reason=reason, source=source
        ):
            raise Conflict("There is no such milestone to take back.")
        return
    if kind == MilestoneKind.CONTAINED:
        basis = basis or Basis.ATTESTED
        if basis not in (Basis.ATTESTED, Basis.NOT_NEEDED):
            raise Invalid("A person attests, or says that it was not needed.", pointer="/basis")
        if not (evidence.strip() or reason.strip()):
            raise Invalid("Say what shows it.", pointer="/evidence")
    milestones.record(
        incident=incident,
        kind=kind,
        at=at,
        source=MilestoneSource.PERSON,
        by=by,
        recorded_at=recorded_at,
        estimated=estimated,
        not_before=not_before,
        not_after=not_after,
        basis=basis,
        reason=reason.strip(),
        evidence=evidence.strip(),
    )


@transaction.atomic
def move_phase(*, incident: Incident, to: Phase, by: Actor, at: datetime, reason: str = "") -> None:
    """Go to another phase, forwards or back; from `closed` this reopens.

    Leaving eradication or recovery forwards states that it was reached; going back to it or behind it
    takes that back. Reopening withdraws `closed_at` and `recovered_at` and the verdict. Closing has a
    use-case of its own.
    """
    phase = Phase(incident.status)
    if to == Phase.CLOSED:
        raise Invalid("An incident is closed with a verdict and a resolution.", pointer="/status")
    if to == phase:
        return
    values: dict[str, Any] = {"status": to}
    if phase == Phase.CLOSED:
        values |= {"verdict": "", "resolution": "", "reopened": incident.reopened + 1}
    _change_incident(incident, Q(status=phase), values, at=at)
    title = f"Reopened in {to.value}" if phase == Phase.CLOSED else f"Phase {phase.value} → {to.value}"
    _tell(incident, kind="phase", title=title, detail=reason, by=by, at=at, links={"from": phase, "to": to})
    _leave(incident, phase=phase, to=to, by=by, at=at)
    if phase == Phase.CLOSED:
        _withdraw(incident, MilestoneKind.CLOSED, MilestoneKind.RECOVERED, by=by, at=at, reason="reopened")
    if PHASES.index(to) <= PHASES.index(Phase.RECOVERY):
        _withdraw(incident, MilestoneKind.RECOVERED, by=by, at=at, reason=f"back in {to.value}")
    if PHASES.index(to) <= PHASES.index(Phase.ERADICATION):
        _withdraw(incident, MilestoneKind.ERADICATED, by=by, at=at, reason=f"back in {to.value}")
    audit(
        act="incident.reopened" if phase == Phase.CLOSED else "incident.moved",
        by=by,
        at=at,
        on=("incident", incident.ref),
        details={"from": phase.value, "to": to.value},
    )


@transaction.atomic
def close(
    *,
    incident: Incident,
    verdict: Verdict,
    resolution: str,
    by: Actor,
    at: datetime,
    keep: Iterable[str] = (),
    keep_reason: str = "",
    keep_until: datetime | None = None,
    keeper: Person | None = None,
) -> None:
    """Close with a verdict and a resolution.

    Raises `Conflict` while an action that stops something is in force, or about to be, and is not
    named (by ULID) in `keep`, for which a reason is needed. What is kept is looked at again at
    `keep_until`, else at its own review date, by the keeper: without one the incident's owner, or who closes.
    """
    if not resolution.strip():
        raise Invalid("Say how it ended.", pointer="/resolution")
    phase, keep = Phase(incident.status), set(keep)
    if keep and not keep_reason.strip():
        raise Invalid("Say why these actions stay in force.", pointer="/keep_reason")
    if keep_until is not None and not at < keep_until <= at + LONGEST_KEPT:
        raise Invalid("The next review lies within the next 90 days.", pointer="/keep_until")
    if keeper is not None:
        _check_member(keeper, incident.team, pointer="/keeper")
    # Taken before the incident's row, as workers do, so that nobody waits in a circle.
    incident.actions.filter(ulid__in=keep).update(updated_at=at)
    values = {"status": Phase.CLOSED, "verdict": verdict, "resolution": resolution.strip()}
    is_open = Q(status=phase) & ~Q(status=Phase.CLOSED)
    _change_incident(
        incident, is_open, values, at=at, refusal="It is closed already, or has changed meanwhile."
    )
    whose = keeper or incident.owner or _person(by)
    _decide(incident, keep=keep, reason=keep_reason.strip(), until=keep_until, keeper=whose, by=by, at=at)
    _tell(incident, kind="closed", title=f"Closed: {verdict.value}", detail=resolution.strip(), by=by, at=at)
    _leave(incident, phase=phase, to=Phase.CLOSED, by=by, at=at)
    _reached(incident, MilestoneKind.CLOSED, by=by, at=at)
    audit(
        act="incident.closed",
        by=by,
        at=at,
        on=("incident", incident.ref),
        details={"verdict": verdict.value, "keep": sorted(keep)},
    )


def undecided(incident: Incident) -> list[Action]:
    """Actions that stop something now, or will when a worker comes to them."""
    waiting = {*IN_FORCE, ActionStatus.APPROVED}
    found = incident.actions.filter(status__in=waiting, category__in=STOPPING, reverts__isnull=True)
    return list(found.order_by("pk"))


# --- what they share -----------------------------------------------------------------------------------


def _open(
    *,
    title: str,
    severity: int,
    team: Team,
    alerts: Sequence[Alert],
    kind: str,
    account: str,
    by: Actor,
    at: datetime,
    is_exercise: bool = False,
    summary: str = "",
    tlp: Tlp = Tlp.AMBER,
) -> Incident:
    if not title.strip():
        raise Invalid("An incident has a title.", pointer="/title")
    if not 0 <= severity <= 100:
        raise Invalid("A severity is a number from 0 to 100.", pointer="/severity")
    incident = Incident.objects.create(
        ref=numbering.next_ref(at),
        title=title.strip()[:500],
        summary=summary,
        severity=severity,
        severity_band=Band.of(severity),
        highest_severity=severity,
        priority=priority_of(severity=severity, account=account_of(account)),
        kind=kind,
        account=account,
        owner_id=by.person_id,
        team=team,
        tlp=tlp,
        is_exercise=is_exercise,
        opened_at=at,
        updated_at=at,
    )
    linked = linking.link(incident=incident, alerts=alerts, by=by, at=at)
    _tell(incident, kind="opened", title=f"Incident opened: {incident.ref}", by=by, at=at)
    linking.learn(incident=incident, by=by, at=at)
    _acknowledged(incident, alerts=linked, by=by, at=at)
    audit(
        act="incident.opened",
        by=by,
        at=at,
        on=("incident", incident.ref),
        details={"severity": severity, "kind": kind, "alerts": [alert.ulid for alert in linked]},
    )
    return incident


def _acknowledged(incident: Incident, *, alerts: Sequence[Alert], by: Actor, at: datetime) -> None:
    """A person's hand is what acknowledges: now, or when one took one of these alerts before."""
    if by.kind != "person":
        return
    taken = [alert.acknowledged_at for alert in alerts if alert.acknowledged_at]
    _reached(incident, MilestoneKind.ACKNOWLEDGED, by=by, at=at, moment=min([*taken, at]))


def _reached(
    incident: Incident,
    kind: MilestoneKind,
    *,
    by: Actor,
    at: datetime,
    moment: datetime | None = None,
    source: MilestoneSource = MilestoneSource.PERSON,
) -> None:
    """State a milestone unless it is stated already."""
    if getattr(incident, kind.value) is None:
        milestones.record(incident=incident, kind=kind, at=moment or at, source=source, by=by, recorded_at=at)


def _withdraw(incident: Incident, *kinds: MilestoneKind, by: Actor, at: datetime, reason: str) -> None:
    for kind in kinds:
        milestones.withdraw(
            incident=incident, kind=kind, by=by, recorded_at=at, reason=reason, source=MilestoneSource.PERSON
        )


def _leave(incident: Incident, *, phase: Phase, to: Phase, by: Actor, at: datetime) -> None:
    """Leaving eradication or recovery forwards is to say that it is done."""
    done = {Phase.ERADICATION: MilestoneKind.ERADICATED, Phase.RECOVERY: MilestoneKind.RECOVERED}.get(phase)
    if done is not None and PHASES.index(to) > PHASES.index(phase):
        _reached(incident, done, by=by, at=at)


def _decide(
    incident: Incident,
    *,
    keep: set[str],
    reason: str,
    until: datetime | None,
    keeper: Person | None,
    by: Actor,
    at: datetime,
) -> None:
    """Write down what stays in force, until when and whose it is; refuse what nobody decided about."""
    standing = undecided(incident)
    if left := [action for action in standing if action.ulid not in keep]:
        raise Conflict(_left(left))
    for action in standing:
        mine = action.review_at if action.review_at and action.review_at > at else None
        review = until or mine or at + settings.QUELL_REVIEW_AFTER
        Action.objects.filter(pk=action.pk).update(review_at=review, keeper=keeper, updated_at=at)
        whose = f", by {keeper.name}" if keeper else ""
        _tell(
            incident,
            kind="kept",
            title=f"Kept in force, looked at again {review:%Y-%m-%d %H:%M} UTC{whose}: {_named(action)}",
            detail=reason,
            by=by,
            at=at,
            links={"action": action.ulid},
        )


def _person(by: Actor) -> Person | None:
    return Person.objects.filter(pk=by.person_id).first() if by.person_id else None


def _left(actions: list[Action]) -> str:
    """What still needs a decision, and which decisions there are."""
    named = ", ".join(f"{_named(action)} ({action.ulid}, {action.status})" for action in actions[:MOST_NAMED])
    more = f" and {len(actions) - MOST_NAMED} more" if len(actions) > MOST_NAMED else ""
    return (
        f"In force and without a decision: {named}{more}. "
        "Keep each with a reason, undo it, or hand it over to another incident."
    )


def _named(action: Action) -> str:
    return f"{action.type} on {str(action.target.get('id', 'its target'))[:200]}"


def _tell(
    incident: Incident,
    *,
    kind: str,
    title: str,
    by: Actor,
    at: datetime,
    detail: str = "",
    links: dict[str, Any] | None = None,
) -> None:
    timeline.add(
        incident=incident, kind=kind, at=at, title=title, detail=detail, by=by, recorded_at=at, links=links
    )


def _change_alert(alert: Alert, condition: Q, values: dict[str, Any], refusal: str = "") -> None:
    """Change the row if it is as the condition says, and of the episode that was read; else `Conflict`."""
    if Alert.objects.filter(condition, pk=alert.pk, episode=alert.episode).update(**values) != 1:
        raise Conflict(refusal or None)
    for name, value in values.items():
        setattr(alert, name, value)


def _change_incident(
    incident: Incident, condition: Q, values: dict[str, Any], *, at: datetime, refusal: str = ""
) -> None:
    """Change the row, and take its lock, if it is as the condition says; else `Conflict`."""
    values = {**values, "updated_at": at}
    if Incident.objects.filter(condition, pk=incident.pk).update(**values) != 1:
        raise Conflict(refusal or None)
    for name, value in values.items():
        setattr(incident, name, value)


def _check_member(person: Person, team: Team, *, pointer: str) -> None:
    if not person.memberships.filter(team=team).exists():
        raise Invalid("That person is not in the team.", pointer=pointer)


def _short(text: str, most: int, pointer: str) -> str:
    text = text.strip()
    if len(text) > most:
        raise Invalid(f"At most {most} characters.", pointer=pointer)
    return text
