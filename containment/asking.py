"""Asking for several actions at once: all of them or none, and none a second time.

What a caller names are only names (`Suggestion.pick`, the id of a named plan). What they mean is looked up
again while the incident's row is held, so that two people who ask at once do not ask for the same twice.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime

from django.db import transaction
from django.db.models import F

from cases.access import permits
from cases.models import Action, Incident
from containment import planning
from containment.named_plans import Expanded, named_plans
from containment.suggesting import Suggestion, suggestions
from identity.actors import Actor
from identity.permissions import Permission
from lib.errors import Conflict, Invalid, NotFound


def plans_for(actor: Actor, incident: Incident, *, permission: Permission) -> list[Expanded]:
    """The named plans that fit, with the actions in accounts for which the actor holds the permission."""
    found = []
    for one in named_plans(incident):
        reached = tuple(action for action in one.actions if _reaches(actor, permission, incident, action))
        if reached or one.asked:
            found.append(one.only(reached))
    return found


@transaction.atomic
def ask_for_picked(
    *, incident: Incident, picks: Collection[str], by: Actor, at: datetime, reason: str = ""
) -> list[Action]:
    """Ask for what was picked among all that is offered.

    Raises `Invalid` for no pick, `Conflict` when nothing of it is offered any more, and whatever
    `planning.propose` raises.
    """
    if not picks:
        raise Invalid("Pick at least one action.", pointer="/pick")
    _hold(incident)
    offered = {one.pick: one for one in suggestions(incident)}
    for expanded in named_plans(incident):
        offered.update({one.pick: one for one in expanded.actions})
    return _ask(offered.values(), picks=picks, incident=incident, by=by, at=at, reason=reason)


@transaction.atomic
def ask_for_plan(
    *,
    incident: Incident,
    plan: str,
    by: Actor,
    at: datetime,
    picks: Collection[str] = (),
    reason: str = "",
) -> list[Action]:
    """Ask for what is left of a named plan, or the picked part of that, as far as the actor's role reaches.

    Raises `NotFound` for a plan that there is not or that does not fit, `Conflict` when nothing is left,
    and whatever `planning.propose` raises.
    """
    if incident.status == "closed":
        raise Conflict("The incident is closed; reopen it before acting.")
    _hold(incident)
    fitting = plans_for(by, incident, permission=Permission.PLAN_ACTIONS)
    expanded = next((one for one in fitting if one.plan.id == plan), None)
    if expanded is None:
        raise NotFound("There is no such plan, or it does not fit what this incident names.")
    return _ask(expanded.actions, picks=picks, incident=incident, by=by, at=at, reason=reason)


def _ask(
    offered: Iterable[Suggestion],
    *,
    picks: Collection[str],
    incident: Incident,
    by: Actor,
    at: datetime,
    reason: str,
) -> list[Action]:
    chosen = [one for one in offered if not picks or one.pick in picks]
    if not chosen:
        raise Conflict("This was asked for already, or no longer fits the incident.")
    return [
        planning.propose(
            incident=incident,
            type_id=one.type,
            target=one.target,
            params=one.params,
            reason=reason or one.reason,
            by=by,
            at=at,
        )
        for one in chosen
    ]


def _hold(incident: Incident) -> None:
    """Take the incident's row until the transaction ends, without changing it."""
    Incident.objects.filter(pk=incident.pk).update(reopened=F("reopened"))


def _reaches(actor: Actor, permission: Permission, incident: Incident, one: Suggestion) -> bool:
    return permits(actor, permission, team=incident.team_id, account=one.target["account"])
