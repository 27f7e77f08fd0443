"""What is in force: everything that Quell holds in AWS, until when somebody has to look at it again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q, QuerySet

from audit.record import record
from cases import timeline
from cases.access import actions_for, permits
from cases.models import Action
from cases.triage import LONGEST_KEPT
from cases.words import IN_FORCE, ActionStatus
from containment import consequences, planning
from containment.models import Watch
from containment.queries import BULKY
from containment.types import Category
from identity.actors import Actor
from identity.permissions import Permission
from lib import clock
from lib.errors import Conflict, Forbidden, Invalid
from notify import outbox

HOLDING = (Category.SOURCE, Category.TECHNIQUE, Category.DESTINATION, Category.ERADICATION)
MOST = 500
REVIEW_DUE = "action.review-due"
TROUBLED = (ActionStatus.UNKNOWN, ActionStatus.PARTIAL, ActionStatus.CONFLICT)
HOLDS = Q(status__in=IN_FORCE, category__in=HOLDING, reverts__isnull=True)
"""What changes something in AWS until it is undone: no evidence, and no undo."""

ALARMING = ~Q(alarm="") | Q(status__in=TROUBLED)


@dataclass(frozen=True, kw_only=True)
class Held:
    """One action in force. `lift` is its place in the order of undoing within its incident, from 1."""

    action: Action
    title: str
    is_overdue: bool
    quiet: str
    lift: int


@dataclass(frozen=True, kw_only=True)
class Holdings:
    """What an actor may see of what is in force, alarming and overdue first.

    `every`, `overdue` and `alarms` count all of it; `more` is how many of the chosen are not among `rows`.
    """

    rows: list[Held]
    every: int
    overdue: int
    alarms: int
    more: int


def holdings(actor: Actor, *, at: datetime, only: str = "") -> Holdings:
    """Everything in force in the actor's accounts; `only` is `overdue`, `alarms` or empty.

    Five queries, however much is in force; the rows are the first 500 by review date.
    """
    everything = _standing(actions_for(actor))
    due, alarming = everything.filter(review_at__lte=at), everything.filter(ALARMING)
    chosen = {"overdue": due, "alarms": alarming}.get(only, everything)
    found = list(chosen.defer(*BULKY)[:MOST])
    rows = _held(found, places=_order_of_lifting(found), at=at)
    rows.sort(
        key=lambda row: (not _is_alarming(row.action), not row.is_overdue, row.action.incident.ref, row.lift)
    )
    every, overdue, alarms = everything.count(), due.count(), alarming.count()
    chosen_count = {"overdue": overdue, "alarms": alarms}.get(only, every)
    return Holdings(
        rows=rows,
        every=every,
        overdue=overdue,
        alarms=alarms,
        more=max(0, chosen_count - len(rows)),
    )


def standing(actor: Actor, *, at: datetime, only: str = "") -> QuerySet[Action]:
    """What `holdings` counts, as rows with incident and requester, by review date."""
    found = _standing(actions_for(actor))
    if only == "overdue":
        return found.filter(review_at__lte=at)
    return found.filter(ALARMING) if only == "alarms" else found


def held(actor: Actor, actions: list[Action], *, at: datetime) -> list[Held]:
    """Some of `standing`, in the order given; their place in undoing counts all that stands. Two queries."""
    whole = _standing(actions_for(actor)).filter(incident__in={action.incident_id for action in actions})
    # What was lifted since the rows were read still has a place of its own.
    every = {action.pk: action for action in (*whole, *actions)}
    return _held(actions, places=_order_of_lifting(list(every.values())), at=at)


def keep(*, action: Action, until: datetime, reason: str, by: Actor, at: datetime) -> Action:
    """Let an action stay in force until a later review, with a reason; it is the person's to look at then.

    Raises `Forbidden` without the right to confirm, `Invalid` for no reason or a date that is past or more
    than ninety days away, `Conflict` when it is not in force any more.
    """
    if not permits(
        by, Permission.CONFIRM_ACTIONS, team=action.incident.team_id, account=action.target["account"]
    ):
        raise Forbidden("Keeping a containment needs the role responder or lead.")
    if not reason.strip():
        raise Invalid("Say why it stays in force.", pointer="/reason")
    if not at < until <= at + LONGEST_KEPT:
        raise Invalid("The next review lies within the next 90 days.", pointer="/until")
    with transaction.atomic():
        in_force = Action.objects.filter(HOLDS, pk=action.pk)
        changed = in_force.update(review_at=until, keeper=by.person_id, updated_at=at)
        if not changed:
            raise Conflict(f"It is {action.status}, not in force.")
        timeline.add(
            incident=action.incident,
            kind="action.kept",
            at=at,
            title=f"Kept in force until {until:%Y-%m-%d %H:%M} UTC: {planning.title_of(action)}",
            detail=reason.strip(),
            by=by,
            recorded_at=at,
            links={"action": action.ulid},
        )
        record(
            act="action.kept",
            by=by,
            at=at,
            on=("action", action.ulid),
            details={"until": until.isoformat(), "incident": action.incident.ref},
        )
    action.refresh_from_db(fields=["review_at", "keeper", "updated_at"])
    return action


def ring_overdue() -> None:
    """Ring once for each action whose review is due."""
    now = clock.now()
    due = _standing(Action.objects.all()).filter(review_at__lte=now)[:MOST]
    texts = {action: _due_words(action) for action in due}
    rung = outbox.rung(consequences.ring_key(action, REVIEW_DUE, text) for action, text in texts.items())
    for action, text in texts.items():
        if consequences.ring_key(action, REVIEW_DUE, text) not in rung:
            with transaction.atomic():
                consequences.ring(action, kind=REVIEW_DUE, text=text, severity=40, first=action.keeper_id)


def _due_words(action: Action) -> str:
    when = f"{action.review_at:%Y-%m-%d %H:%M}" if action.review_at else ""
    return f"Review due {when} UTC: {planning.title_of(action)}"


def quiet_words(watch: Watch | None, at: datetime) -> str:
    """What the watch over a principal says: for how long it was quiet, or what it found."""
    if watch is None or watch.since is None:
        return ""
    if watch.found:
        return f"{len(watch.found)} new since: " + "; ".join(one["what"] for one in watch.found[:3])
    if watch.unread:
        return watch.unread
    if not watch.looked_at:
        return "first look within seconds"
    minutes = int((watch.looked_at - watch.since).total_seconds() // 60)
    span = f"{minutes} min" if minutes else f"{int((watch.looked_at - watch.since).total_seconds())} s"
    ended = "" if watch.due_at and watch.due_at > at - timedelta(minutes=30) else "; the watch is over"
    return f"quiet for {span}{ended}"


def _held(actions: list[Action], *, places: Mapping[int, int], at: datetime) -> list[Held]:
    watches = {watch.action_id: watch for watch in Watch.objects.filter(action__in=[a.pk for a in actions])}
    return [
        Held(
            action=action,
            title=planning.title_of(action),
            is_overdue=_is_overdue(action, at),
            quiet=quiet_words(watches.get(action.pk), at),
            lift=places[action.pk],
        )
        for action in actions
    ]


def _standing(actions: QuerySet[Action]) -> QuerySet[Action]:
    return (
        actions.filter(HOLDS).select_related("incident", "requested_by", "keeper").order_by("review_at", "pk")
    )


def _order_of_lifting(actions: list[Action]) -> dict[int, int]:
    """Last applied, first lifted, within each incident: what rests on another goes before it."""
    places: dict[int, int] = {}
    counted: dict[int, int] = {}
    latest = sorted(actions, key=lambda a: (a.applied_at or a.requested_at, a.pk), reverse=True)
    for action in latest:
        counted[action.incident_id] = counted.get(action.incident_id, 0) + 1
        places[action.pk] = counted[action.incident_id]
    return places


def _is_overdue(action: Action, at: datetime) -> bool:
    return action.review_at is not None and action.review_at <= at


def _is_alarming(action: Action) -> bool:
    return bool(action.alarm) or action.status in TROUBLED
