"""What an action's end means for its incident: milestones, and the original of an undo."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from cases import milestones
from cases.access import people_who_may
from cases.models import Action, Incident
from cases.words import ActionStatus, Basis, MilestoneKind, MilestoneSource
from containment import coverage, journal, locks
from containment.journal import WORKER, Story
from containment.looking import UNRESOLVED, resolved_or_not
from containment.models import Step as Row
from containment.models import StepState
from containment.types import CHANGING, Plan, plan_of
from identity.permissions import Permission
from lib import canonical, clock
from notify import outbox

TAKING_PART = frozenset({StepState.APPLIED, StepState.INTENT, StepState.UNKNOWN, StepState.WAITING})


def ring(action: Action, *, kind: str, text: str, severity: int = 90, first: int | None = None) -> None:
    """Ring who may act on it: the responders and leads of the incident's team. Inside a transaction.

    Of these only the person `first`, while that one is among them.
    """
    incident = Incident.objects.get(pk=action.incident_id)
    people = people_who_may(
        Permission.CONFIRM_ACTIONS,
        team=incident.team_id,
        account=action.target["account"],
        incident=incident,
    )
    outbox.ring(
        kind=kind,
        subject=f"incident:{incident.ref}",
        title=text[:300],
        link=f"/actions/{action.ulid}",
        severity=severity,
        to=[first] if first in {person.pk for person in people} else [person.pk for person in people],
        key=ring_key(action, kind, text),
        at=clock.now(),
    )


def ring_key(action: Action, kind: str, text: str) -> str:
    """What makes two rings about an action the same one."""
    return f"{kind}:{action.ulid}:{canonical.sha256(text)[:16]}"


def responded(action: Action, rows: list[Row]) -> None:
    """Set the incident's first response from the journal, if nobody has. Inside a transaction."""
    if action.reverts_id:
        return
    times = [row.finished_at for row in rows if row.state == StepState.APPLIED and row.finished_at]
    incident = Incident.objects.get(pk=action.incident_id)
    if not times or (incident.responded_at and incident.responded_at <= min(times)):
        return
    milestones.record(
        incident=incident,
        kind=MilestoneKind.RESPONDED,
        at=min(times),
        source=MilestoneSource.ACTION,
        by=WORKER,
        recorded_at=clock.now(),
        evidence=f"action {action.ulid}",
    )


def contained(action: Action) -> None:
    """State that the incident is contained, if with this action everything tainted is. In a transaction."""
    _stated(Incident.objects.get(pk=action.incident_id), evidence=f"action {action.ulid}")


def decided(incident: Incident, *, reason: str) -> None:
    """Let "contained" follow a person's decision about what is required, either way. In a transaction."""
    fresh = Incident.objects.get(pk=incident.pk)
    _withdrawn(fresh, reason)
    _stated(Incident.objects.get(pk=incident.pk), evidence=reason)


def _stated(incident: Incident, *, evidence: str) -> None:
    if incident.contained_at is not None:
        return
    since = coverage.contained_since(incident)
    if since is None:
        return
    milestones.record(
        incident=incident,
        kind=MilestoneKind.CONTAINED,
        at=since,
        source=MilestoneSource.ACTION,
        basis=Basis.BY_QUELL,
        by=WORKER,
        recorded_at=clock.now(),
        evidence=evidence,
    )


def no_longer_contained(action: Action, reason: str) -> None:
    """Withdraw "contained" when an action that it rested on no longer holds. Inside a transaction.

    In an incident that handed the action over and is open still, as well: what held there does so no more.
    """
    _withdrawn(Incident.objects.get(pk=action.incident_id), reason)
    earlier = Incident.objects.filter(handed_away__action=action).exclude(pk=action.incident_id)
    for incident in earlier.exclude(status="closed").distinct().order_by("pk"):
        _withdrawn(incident, reason)


def recheck(*, since: datetime) -> int:
    """Withdraw "contained" where an incident that changed since has a new tainted target; how many."""
    changed = Incident.objects.filter(
        contained_at__isnull=False, contained_basis=Basis.BY_QUELL, updated_at__gte=since
    ).exclude(status="closed")
    withdrawn = 0
    for incident in changed.order_by("pk")[:200]:
        if coverage.contained_since(incident) is not None:
            continue
        with transaction.atomic():
            _withdrawn(Incident.objects.get(pk=incident.pk), "a target that is not contained was added")
        withdrawn += 1
    return withdrawn


def _withdrawn(incident: Incident, reason: str) -> None:
    if incident.contained_at is None or coverage.contained_since(incident) is not None:
        return
    milestones.withdraw(
        incident=incident,
        kind=MilestoneKind.CONTAINED,
        by=WORKER,
        recorded_at=clock.now(),
        reason=reason,
        source=MilestoneSource.ACTION,
    )


def reverted(original: Action, rows: list[Row], plan: Plan) -> None:
    """Close the original of a verified undo: its steps, its locks, its status. Inside a transaction."""
    now = clock.now()
    ends = {
        step.changes: StepState.KEPT if row.state == StepState.KEPT else StepState.UNDONE
        for step, row in zip(plan.steps, rows, strict=True)
        if step.kind in CHANGING
    }
    old = plan_of(original.plan or {})
    for step, row in zip(old.steps, Row.objects.filter(action=original).order_by("seq"), strict=True):
        if step.changes in ends and row.state in TAKING_PART:
            Row.objects.filter(pk=row.pk).update(state=ends[step.changes])
    locks.free_own(original)
    kept = [row.error for row in rows if row.state == StepState.KEPT]
    original.move(ActionStatus.REVERTED, reverted_at=now, due_at=None, alarm="", note="; ".join(kept))
    journal.tell(
        original, Story(act="action.reverted", title=f"Undone: {original.type} on {original.target['id']}")
    )
    no_longer_contained(original, f"the action {original.ulid} was undone")


def settled_at(action: Action) -> datetime:
    """The moment from which no late request of an action can land any more, as far as `settle` tells."""
    plan, latest = plan_of(action.plan or {}), action.requested_at
    for step, row in zip(plan.steps, Row.objects.filter(action=action).order_by("seq"), strict=True):
        if row.state in (StepState.INTENT, StepState.UNKNOWN) and row.intent_at:
            latest = max(latest, row.intent_at + timedelta(seconds=step.settle))
    return latest


def values_of(action: Action, changes: str) -> tuple[list[Any], datetime | None]:
    """Every value an action ever gave or meant to give one thing, and when it last tried."""
    plan = plan_of(action.plan or {})
    rows = list(Row.objects.filter(action=action).order_by("seq"))
    results = {row.name: row.result["value"] for row in rows if row.result}
    values: list[Any] = []
    last: datetime | None = None
    for step, row in zip(plan.steps, rows, strict=True):
        if step.changes != changes or step.kind not in CHANGING or step.seen is None:
            continue
        values += [one["equals"] for one in row.attempts]
        values.append(resolved_or_not(step.seen.equals, results=results))
        values.append(resolved_or_not(step.was, results=results))
        times = [moment for moment in (last, row.intent_at) if moment]
        last = max(times) if times else None
    return [value for value in values if value is not UNRESOLVED], last


def withdrawn_from_force(action: Action, *, alarm: str) -> bool:
    """Say that AWS no longer shows what was verified; False when that was said already."""
    with transaction.atomic():
        if not action.move(ActionStatus.UNKNOWN, owner=action.owner, alarm=alarm[:300], note=alarm):
            return False
        story = Story(
            act="action.lifted",
            title=f"No longer in force: {action.type} on {action.target['id']}",
            detail=alarm,
        )
        journal.tell(action, story)
        no_longer_contained(action, alarm)
        ring(action, kind="containment.lifted", text=f"No longer in force: {alarm}")
    return True
