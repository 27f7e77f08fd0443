"""Break-glass: starting one plan without the second person, loudly, to be reviewed by another afterwards.

For the night on which nobody who may approve can be reached. It is a way of its own: a permission of its
own, a reason, the target typed out, a fresh sign-in, a notice to every lead, and a review that stays on
the screen until someone else has written it. What cannot be undone has no such way (docs/adr/0032).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import QuerySet
from django.urls import reverse

from cases.access import actions_for, hidden_incidents
from cases.models import Action, Incident
from containment import approvals, journal, planning
from containment.approval_guards import SHORTEST_REASON
from containment.journal import Story
from containment.models import GlassReview
from identity.actors import Actor, of_user
from identity.models import User
from identity.permissions import Permission
from identity.requests import NotFresh
from lib.errors import Conflict, Forbidden, Invalid, NotFound
from notify import outbox

REVIEWED_WITHIN = timedelta(hours=24)
"""How soon another person has to say whether it was right."""


@dataclass(frozen=True, kw_only=True)
class Breaking:
    """Whether an actor could break the glass over an action now, and if not, why."""

    allowed: bool
    why: str


def may_break(action: Action, by: Actor) -> Breaking:
    """Whether this actor could start this plan without a second person."""
    why = _objection(action, by)
    return Breaking(allowed=not why, why=why)


def break_glass(
    *, action: Action, plan_hash: str, reason: str, typed: str, by: Actor, at: datetime, is_fresh: bool
) -> Action:
    """Start the plan with this hash on one person's word.

    `typed` is the id of the target, written out. Raises `Forbidden`, `NotFresh`, `Invalid` for a short
    reason or another id, `OtherPlan` and `Conflict` like an approval.
    """
    objection = _objection(action, by)
    if objection:
        raise Forbidden(objection)
    if not is_fresh:
        raise NotFresh
    reason = reason.strip()
    if len(reason) < SHORTEST_REASON:
        raise Invalid(f"Say why in at least {SHORTEST_REASON} characters.", pointer="/reason")
    if typed.strip() != action.target["id"]:
        raise Invalid("Type the id of the target exactly as it is written.", pointer="/typed")
    with transaction.atomic():
        approvals.lock(action, at)
        approvals.demand_waiting(action, plan_hash, at)
        made = approvals.decide(action, by=by, decision="break-glass", at=at, reason=reason)
        if made is None:
            raise Conflict("You have already decided about this plan.")
        GlassReview.objects.create(approval=made, due_at=at + REVIEWED_WITHIN)
        title = f"BREAK-GLASS: {planning.title_of(action)}"
        journal.tell(action, Story(act="action.break-glass", title=title, detail=reason, by=by))
        approvals.set_off(action, at)
        _ring(action, title=title, detail=f"{by.name or by.label}: {reason}", at=at, key="glass")
    return action


def reviews_for(actor: Actor) -> QuerySet[GlassReview]:
    """The reviews of actions that the actor may read, open ones first, the longest due at the top."""
    found = GlassReview.objects.filter(approval__action__in=actions_for(actor).values("pk"))
    found = found.select_related("approval__action__incident", "approval__person", "reviewer")
    return found.order_by("reviewed_at", "due_at", "pk")


def may_review(one: GlassReview, by: Actor) -> bool:
    """Whether the actor could write this review: another person, who may approve there."""
    is_other = by.kind == "person" and by.person_id != one.approval.person_id
    return (
        is_other
        and one.reviewed_at is None
        and approvals.holds(one.approval.action, by, Permission.APPROVE_ACTIONS)
    )


def review(*, ulid: str, is_justified: bool, finding: str, by: Actor, at: datetime) -> GlassReview:
    """Write the review: was it right, and what follows.

    Raises `NotFound`, `Forbidden` for who broke the glass or may not approve, `Invalid`, `Conflict`.
    """
    found = reviews_for(by).filter(ulid=ulid).first()
    if found is None:
        raise NotFound("There is no such review, or it is not yours to see.")
    action = found.approval.action
    if by.kind != "person" or not approvals.holds(action, by, Permission.APPROVE_ACTIONS):
        raise Forbidden("Who may approve reviews what was done without approval.")
    if by.person_id == found.approval.person_id:
        raise Forbidden("You broke the glass; someone else reviews it.")
    if not finding.strip():
        raise Invalid("Write what you found.", pointer="/finding")
    with transaction.atomic():
        rows = GlassReview.objects.filter(pk=found.pk, reviewed_at__isnull=True).update(
            reviewer_id=by.person_id, reviewed_at=at, is_justified=is_justified, finding=finding.strip()
        )
        if rows != 1:
            raise Conflict("Someone reviewed it already.")
        word = "justified" if is_justified else "not justified"
        title = f"Break-glass reviewed, {word}: {planning.title_of(action)}"
        journal.tell(action, Story(act="action.glass-reviewed", title=title, detail=finding.strip(), by=by))
    found.refresh_from_db()
    return found


def ring_overdue(at: datetime) -> int:
    """Ring once about each review that nobody has written in time; how many there were."""
    late = GlassReview.objects.filter(reviewed_at__isnull=True, rung_at__isnull=True, due_at__lte=at)
    rung = 0
    for one in late.select_related("approval__action__incident")[:50]:
        with transaction.atomic():
            if not GlassReview.objects.filter(pk=one.pk, rung_at__isnull=True).update(rung_at=at):
                continue
            action = one.approval.action
            title = f"Review overdue, break-glass: {planning.title_of(action)}"
            _ring(action, title=title, detail="It was due within a day.", at=at, key="glass-overdue")
            rung += 1
    return rung


def persons_with(permission: Permission, action: Action) -> list[Actor]:
    """The persons who hold a permission over the action and may see its incident, by primary key."""
    logins = User.objects.filter(
        is_active=True, person__memberships__team_id=action.incident.team_id
    ).select_related("person")
    people: dict[int, Actor] = {}
    for login in logins.order_by("person_id", "pk").distinct():
        actor = of_user(login)
        if actor.person_id in people or actor.person_id is None:
            continue
        if approvals.holds(action, actor, permission) and sees(actor, action.incident):
            people[actor.person_id] = actor
    return list(people.values())


def sees(actor: Actor, incident: Incident) -> bool:
    """Whether a restricted incident names the person."""
    return not hidden_incidents(actor).filter(pk=incident.pk).exists()


def _objection(action: Action, by: Actor) -> str:
    if by.kind != "person" or by.person_id is None:
        return "Breaking the glass is for people, signed in in a browser."
    if not approvals.holds(action, by, Permission.BREAK_GLASS):
        return "Your role does not break the glass."
    if action.tier not in (1, 2):
        return "What cannot be undone is approved by two persons, also at night."
    return approvals.objection_to_plan(action)


def _ring(action: Action, *, title: str, detail: str, at: datetime, key: str) -> None:
    leads = persons_with(Permission.KEEP_RULES, action)
    outbox.ring(
        kind="break-glass",
        subject=action.ulid,
        title=title,
        detail=detail,
        link=reverse("action", args=[action.ulid]),
        severity=90,
        to=[one.person_id for one in leads if one.person_id is not None],
        key=f"{key}:{action.ulid}:{action.plan_hash[:16]}",
        at=at,
    )
