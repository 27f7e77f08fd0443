"""Who said yes to what: approval binds a person to the hash of one plan (DESIGN §6).

Tier 1 needs the confirmation of a responder, who may be the one that asked; tier 2 a second person;
tier 3 two persons besides the one that asked. Persons are compared, never logins. The database
refuses self-approval and an approval of another plan as well (`containment.apps`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db import IntegrityError, transaction

from cases.access import permits
from cases.models import Action
from cases.words import ActionStatus
from containment import guardrails, journal, planning
from containment.journal import Story
from containment.models import Approval
from estate.queries import account_of
from identity.actors import Actor
from identity.permissions import Permission
from identity.requests import NotFresh
from lib import clock, doorbell
from lib.errors import Conflict, Forbidden

WAITING = (ActionStatus.PLANNED, ActionStatus.DRIFTED)


class OtherPlan(Conflict):
    """The plan is no longer the one you read; it was planned again."""

    code = "other-plan"


@dataclass(frozen=True, kw_only=True)
class May:
    """Whether an actor may approve an action now, and if not, why; `needs` in words for everyone."""

    allowed: bool
    why: str
    needs: str


NEEDS = {
    0: "no approval",
    1: "confirmation by a responder",
    2: "approval by a second person",
    3: "approval by two persons besides who asked",
}


def may_approve(action: Action, by: Actor) -> May:
    """Whether this actor could approve this action as it stands."""
    return May(allowed=(why := _objection(action, by)) == "", why=why, needs=NEEDS[action.tier])


def approve(*, action: Action, plan_hash: str, by: Actor, at: datetime, is_fresh: bool) -> Action:
    """Say yes to the plan with this hash. The action is approved once enough persons did.

    Raises `Forbidden` (a key, a role, one's own plan, an account in observe mode), `NotFresh`,
    `OtherPlan`, and `Conflict` when it does not wait for approval any more. The same person may call
    it twice; the second time changes nothing.
    """
    objection = _objection(action, by)
    if objection:
        raise Forbidden(objection)
    if not is_fresh:
        raise NotFresh
    with transaction.atomic():
        _lock(action, at)
        if action.status not in WAITING:
            raise Conflict(f"It is {action.status}, and does not wait for approval.")
        if plan_hash != action.plan_hash:
            raise OtherPlan
        if action.expires_at and at > action.expires_at:
            raise Conflict("The plan has expired; plan it again.")
        _decide(action, by=by, decision="approve", at=at, reason="")
        journal.tell(
            action, Story(act="action.confirmed", title=f"Approved: {planning.title_of(action)}", by=by)
        )
        if _count(action) < _needed(action):
            return action
        if not action.move(
            ActionStatus.APPROVED, approved_hash=plan_hash, approved_at=at, due_at=at, drift=[], note=""
        ):
            raise Conflict("Someone was faster; load it again.")
        doorbell.ring(planning.TOPIC)
    return action


def reject(*, action: Action, reason: str, by: Actor, at: datetime) -> Action:
    """Say no; ends the action. Raises like `approve`, but one may reject one's own plan."""
    if by.kind != "person" or not _may_decide(action, by):
        raise Forbidden("Your role does not decide about this plan.")
    with transaction.atomic():
        _lock(action, at)
        if action.status not in WAITING:
            raise Conflict(f"It is {action.status}, and does not wait for approval.")
        _decide(action, by=by, decision="reject", at=at, reason=reason)
        if not action.move(ActionStatus.REJECTED, note=reason, due_at=None):
            raise Conflict("Someone was faster; load it again.")
        title = f"Rejected: {planning.title_of(action)}"
        journal.tell(action, Story(act="action.rejected", title=title, detail=reason, by=by))
    return action


def expire_due() -> int:
    """End every plan that waited too long; how many there were."""
    waiting = Action.objects.filter(status__in=WAITING, expires_at__lt=clock.now())
    expired = 0
    for action in waiting.select_related("incident")[:100]:
        with transaction.atomic():
            if action.move(ActionStatus.EXPIRED, due_at=None, note="nobody approved it in time"):
                story = Story(act="action.expired", title=f"Expired: {planning.title_of(action)}")
                journal.tell(action, story)
                expired += 1
    return expired


def _lock(action: Action, at: datetime) -> None:
    """Take the row's lock and read it again: two persons deciding at once count each other."""
    Action.objects.filter(pk=action.pk).update(updated_at=at)
    action.refresh_from_db(fields=["status", "plan_hash", "expires_at", "updated_at"])


def _objection(action: Action, by: Actor) -> str:
    if by.kind != "person" or by.person_id is None:
        return "Approving is for people, signed in in a browser."
    if not guardrails.may_act(account_of(action.target["account"])):
        return "This account is in observe mode: plans are made, not carried out."
    if not _may_decide(action, by):
        return f"Your role does not approve tier {action.tier}; it needs {NEEDS[action.tier]}."
    if action.tier >= 2 and by.person_id == action.requested_by_id:
        return "You asked for this plan; someone else must approve."
    return ""


def _may_decide(action: Action, by: Actor) -> bool:
    needed = Permission.CONFIRM_ACTIONS if action.tier <= 1 else Permission.APPROVE_ACTIONS
    return permits(by, needed, team=action.incident.team_id, account=action.target["account"])


def _decide(action: Action, *, by: Actor, decision: str, at: datetime, reason: str) -> None:
    """Write the decision once; the same person's second one for the same plan changes nothing."""
    assert by.person_id is not None
    try:
        with transaction.atomic():
            Approval.objects.create(
                action=action,
                plan_hash=action.plan_hash,
                person_id=by.person_id,
                login=by.label,
                decision=decision,
                reason=reason,
                at=at,
            )
    except IntegrityError as refused:
        if "guard" in str(refused):
            raise Forbidden("You asked for this plan; someone else must approve.") from refused
        earlier = Approval.objects.get(action=action, plan_hash=action.plan_hash, person_id=by.person_id)
        if earlier.decision != decision:
            raise Conflict("You have already decided otherwise about this plan.") from refused


def _count(action: Action) -> int:
    return Approval.objects.filter(action=action, plan_hash=action.plan_hash, decision="approve").count()


def _needed(action: Action) -> int:
    return 2 if action.tier >= 3 else 1
