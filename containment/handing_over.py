"""Handing an action that is in force over to another incident, which answers for it from then on.

Nothing changes in AWS. The action, its journal and its locks stay as they are; reviews, alarms, undoing and
closing are the other incident's. What it contained stays contained in the first (`containment.coverage`).
"""

from __future__ import annotations

from datetime import datetime

from django.db import transaction
from django.db.models import F, Q, QuerySet

from audit.record import record
from cases import timeline
from cases.access import incidents_for, permits
from cases.models import Action, Incident
from cases.words import ActionStatus, Phase
from containment import consequences, planning
from containment.in_force import HOLDING, HOLDS
from containment.models import HandOver
from identity.actors import Actor
from identity.permissions import Permission
from lib.errors import Conflict, Forbidden, Invalid

SETTLED = (
    ActionStatus.APPLIED,
    ActionStatus.VERIFIED,
    ActionStatus.PARTIAL,
    ActionStatus.UNKNOWN,
    ActionStatus.CONFLICT,
)
"""In force with no worker between two of its steps."""

ENDED = (
    ActionStatus.REFUSED,
    ActionStatus.REJECTED,
    ActionStatus.EXPIRED,
    ActionStatus.WITHDRAWN,
    ActionStatus.FAILED,
    ActionStatus.CONFLICT,
    ActionStatus.VERIFIED,
    ActionStatus.PARTIAL,
)
"""Where an undo that is over stands."""

MOST_OFFERED = 100


class Busy(Conflict):
    """A worker is looking at this action right now; hand it over again in a few seconds."""

    retry_after = 5


def may_hand_over(action: Action, actor: Actor) -> bool:
    """Whether the actor's role hands this action over, if it is in force."""
    return actor.person_id is not None and permits(
        actor, Permission.CONFIRM_ACTIONS, team=action.incident.team_id, account=action.target["account"]
    )


def is_offered(action: Action, actor: Actor) -> bool:
    """Whether handing this action over is worth offering to the actor as it stands."""
    is_held = action.status in SETTLED and action.category in HOLDING and action.reverts_id is None
    return is_held and may_hand_over(action, actor)


def takers(actor: Actor, action: Action) -> QuerySet[Incident]:
    """The open incidents that could take an action, as far as the actor works on them; newest first."""
    incident = action.incident
    found = incidents_for(actor, permission=Permission.WRITE_INCIDENTS).filter(
        team=incident.team_id, is_exercise=incident.is_exercise
    )
    return found.exclude(status=Phase.CLOSED).exclude(pk=incident.pk).order_by("-opened_at", "-pk")


def taker_for(actor: Actor, action: Action, ref: str) -> Incident:
    """The incident of that reference, to which the actor may hand the action over.

    Raises `Forbidden` without the right to confirm, `Conflict` for an action that is not in force, `Invalid`
    for an incident that there is not, or that is not the actor's to work on.
    """
    demand(action, actor)
    found = incidents_for(actor, permission=Permission.WRITE_INCIDENTS).filter(ref=ref.strip()[:20])
    to = found.select_related("team", "owner").first()
    if to is None:
        raise Invalid("There is no such incident, or you do not work on it.", pointer="/incident")
    return to


def demand(action: Action, actor: Actor) -> None:
    """Raise `Forbidden` or `Conflict` unless the actor may hand this action over now."""
    if not may_hand_over(action, actor):
        raise Forbidden("Handing a containment over needs the role responder or lead.")
    if not Action.objects.filter(HOLDS, pk=action.pk).exists():
        raise Conflict(f"It is {action.status}; only what holds something in AWS is handed over.")


def hand_over(*, action: Action, to: Incident, reason: str, by: Actor, at: datetime) -> Action:
    """Let another incident answer for an action from now on. Where it is there already, nothing changes.

    `to` comes from `taker_for`. Raises `Forbidden` without the
    right to confirm, `Invalid` for an incident that cannot take it, `Conflict` for an action that is not in
    force, is being undone, or that somebody else handed over meanwhile, `Busy` while a worker looks at it.
    """
    if by.person_id is None or not may_hand_over(action, by):
        raise Forbidden("Handing a containment over needs the role responder or lead.")
    if action.incident_id == to.pk:
        return action
    if not reason.strip():
        raise Invalid("Say why it is handed over.", pointer="/reason")
    _check(action.incident, to)
    with transaction.atomic():
        _hold(action, to)
        if action.reversions.exclude(status__in=ENDED).exists():
            raise Conflict("It is being undone; wait for that, or reject the undo.")
        made = HandOver.objects.create(
            action=action, source=action.incident, to=to, by_id=by.person_id, reason=reason.strip(), at=at
        )
        if not _moved(action, to, at):
            # Taken back with all that was written here; what happened meanwhile decides what to say.
            transaction.set_rollback(True)
        else:
            _tell(made, action, by=by, at=at)
            return _fresh(action)
    return _not_moved(action, to)


def _check(source: Incident, to: Incident) -> None:
    if to.team_id != source.team_id:
        raise Invalid("An incident takes actions of its own team only.", pointer="/incident")
    if to.is_exercise != source.is_exercise:
        raise Invalid("An exercise and a real incident do not share actions.", pointer="/incident")


def _hold(action: Action, to: Incident) -> None:
    """Take the action's row, as workers do first, then both incidents'; `Conflict` for a closed taker."""
    Action.objects.filter(pk=action.pk).update(updated_at=F("updated_at"))
    for pk in sorted((action.incident_id, to.pk)):
        wanted = Incident.objects.filter(pk=pk)
        if pk == to.pk:
            wanted = wanted.exclude(status=Phase.CLOSED)
        if wanted.update(reopened=F("reopened")) != 1:
            raise Conflict(f"{to.ref} is closed; reopen it first.")


def _moved(action: Action, to: Incident, at: datetime) -> bool:
    """Change the incident of a row that is as it was read and that no worker holds."""
    free = Q(lease_until__isnull=True) | Q(lease_until__lt=at)
    there = Action.objects.filter(HOLDS, free, pk=action.pk, incident=action.incident_id, status__in=SETTLED)
    return there.update(incident=to, keeper=to.owner_id, updated_at=at) == 1


def _not_moved(action: Action, to: Incident) -> Action:
    """The action where somebody handed it over to the same incident meanwhile; else why it stays."""
    now = _fresh(action)
    if now.incident_id == to.pk:
        return now
    if now.incident_id != action.incident_id:
        raise Conflict("Somebody handed it over to another incident meanwhile.")
    if not Action.objects.filter(HOLDS, pk=now.pk).exists():
        raise Conflict(f"It is {now.status}; only what holds something in AWS is handed over.")
    if now.status not in SETTLED:
        raise Conflict(f"It is {now.status}; wait until that is over.")
    raise Busy


def _tell(made: HandOver, action: Action, *, by: Actor, at: datetime) -> None:
    """Write it into both timelines and the ledger, and let "contained" follow in the taker."""
    title = planning.title_of(action)
    for incident, words in (
        (made.source, f"Handed over to {made.to.ref}: {title}"),
        (made.to, f"Taken over from {made.source.ref}: {title}"),
    ):
        timeline.add(
            incident=incident,
            kind="action.handed-over",
            at=at,
            title=words,
            detail=made.reason,
            by=by,
            recorded_at=at,
            links={"action": action.ulid},
        )
    record(
        act="action.handed-over",
        by=by,
        at=at,
        on=("action", action.ulid),
        details={"from": made.source.ref, "to": made.to.ref},
    )
    consequences.decided(made.to, reason=f"action {action.ulid} was taken over from {made.source.ref}")


def _fresh(action: Action) -> Action:
    return Action.objects.select_related("incident", "incident__team", "requested_by").get(pk=action.pk)
