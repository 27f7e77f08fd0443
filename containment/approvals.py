"""Who said yes to what: approval binds a person to the hash of one plan (DESIGN §6, docs/adr/0032).

Tier 1 needs the confirmation of a responder, who may be the one that asked; tier 2 a second person;
tier 3 two persons besides the one that asked. Persons are compared, never logins. What changes the
plan, or sends it back, takes every approval with it; and the right to approve is asked about once more
when the action starts. The database refuses the rest as well (`containment.approval_guards`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction
from django.db.models import F

from cases.access import permits
from cases.models import Action, Incident
from cases.words import ActionStatus, Phase
from containment import guardrails, journal, planning, voiding
from containment.actions import UnknownType, action_type
from containment.journal import Story
from containment.models import Approval, Voiding
from estate.queries import account_of
from identity.actors import Actor, of_user
from identity.models import User
from identity.permissions import Permission
from identity.requests import NotFresh
from lib import clock, doorbell
from lib.errors import Conflict, Forbidden, Invalid

WAITING = (ActionStatus.PLANNED, ActionStatus.DRIFTED)
LASTS = timedelta(hours=1)
"""How long after its last approval an action may still be started."""


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

Authority = Callable[[Action], "str | None"]
"""Says whether something other than persons let this action start: None if that is not so, the empty
text if it still does, else why it does no more."""

_authorities: list[Authority] = []


def also_by(authority: Authority) -> None:
    """Let something other than persons stand behind an action: a pre-authorised rule. Called once each."""
    if authority not in _authorities:
        _authorities.append(authority)


def may_approve(action: Action, by: Actor) -> May:
    """Whether this actor could approve this action as it stands."""
    return May(allowed=(why := _objection(action, by)) == "", why=why, needs=NEEDS[action.tier])


def approve(*, action: Action, plan_hash: str, by: Actor, at: datetime, is_fresh: bool) -> Action:
    """Say yes to the plan with this hash. The action is approved once enough persons did.

    Raises `Forbidden` (a key, a role, one's own plan, an account in observe mode, a protected target),
    `NotFresh`, `OtherPlan`, and `Conflict` when it does not wait for approval any more. The same person
    may call it twice; the second time changes nothing.
    """
    objection = _objection(action, by)
    if objection:
        raise Forbidden(objection)
    if not is_fresh:
        raise NotFresh
    with transaction.atomic():
        lock(action, at)
        demand_waiting(action, plan_hash, at)
        if decide(action, by=by, decision="approve", at=at, reason="") is None:
            return action
        journal.tell(
            action, Story(act="action.confirmed", title=f"Approved: {planning.title_of(action)}", by=by)
        )
        if _standing_persons(action) < needed(action):
            return action
        set_off(action, at)
    return action


def reject(*, action: Action, reason: str, by: Actor, at: datetime) -> Action:
    """Say no; ends the action. Raises like `approve`, but one may reject one's own plan."""
    if by.person_id is None or not may_decide(action, by):
        raise Forbidden("Your role does not decide about this plan.")
    with transaction.atomic():
        lock(action, at)
        _demand_status(action)
        own = voiding.live(action).filter(person_id=by.person_id)
        voiding.void(own, why="they rejected the plan", at=at, person_id=by.person_id)
        decide(action, by=by, decision="reject", at=at, reason=reason)
        if not action.move(ActionStatus.REJECTED, note=reason, due_at=None):
            raise Conflict("Someone was faster; load it again.")
        title = f"Rejected: {planning.title_of(action)}"
        journal.tell(action, Story(act="action.rejected", title=title, detail=reason, by=by))
    return action


def revoke(*, action: Action, reason: str, by: Actor, at: datetime) -> Action:
    """Take approvals back before the action starts: one's own, or, for who may decide, everyone's.

    An action that is left with too few waits for approval again. Raises `Forbidden` for who neither
    approved nor may decide, `Invalid` without a reason, `Conflict` once it has started.
    """
    if by.kind != "person" or by.person_id is None:
        raise Forbidden("Approving, and taking it back, is for people.")
    if not reason.strip():
        raise Invalid("Say why the approval is taken back.", pointer="/reason")
    with transaction.atomic():
        lock(action, at)
        if action.status not in (*WAITING, ActionStatus.APPROVED):
            raise Conflict(f"It is {action.status}; what has started is undone, not taken back.")
        standing = list(voiding.live(action))
        own = [one for one in standing if one.person_id == by.person_id]
        if not own and not may_decide(action, by):
            raise Forbidden("You did not approve this plan, and your role does not decide about it.")
        if not standing:
            raise Conflict("There is no approval to take back.")
        voiding.void(own or standing, why=reason, at=at, person_id=by.person_id)
        if action.status == ActionStatus.APPROVED:
            _ask_again(action, f"approval taken back by {by.name or by.label}: {reason}")
        title = f"Approval taken back: {planning.title_of(action)}"
        journal.tell(action, Story(act="action.approval-revoked", title=title, detail=reason, by=by))
    return action


def standing(action: Action, at: datetime) -> str:
    """Why an approved action must not start now; empty when its approvals still hold.

    Asked by the executor right before the first call: of each person who approved, whether they still
    may, under a login that still opens.
    """
    if action.tier == 0:
        return ""
    for authority in _authorities:
        answer = authority(action)
        if answer is not None:
            return answer
    if action.approved_at and at > action.approved_at + LASTS:
        return "it was approved more than an hour ago and has not started; it needs a new approval"
    lost = [one for one in voiding.live(action) if not _still_may(action, one)]
    if lost:
        names = ", ".join(sorted(one.person.name or one.login for one in lost))
        return f"{names} may not approve this any more"
    if _is_broken(action) or _standing_persons(action) >= needed(action):
        return ""
    return "the approvals of this plan do not suffice any more"


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


def needed(action: Action) -> int:
    """How many persons have to approve; of tier 3 none of them is who asked."""
    return 2 if action.tier >= 3 else 1


def may_decide(action: Action, by: Actor) -> bool:
    """Whether the actor's roles decide about plans of this tier, in this account."""
    permission = Permission.CONFIRM_ACTIONS if action.tier <= 1 else Permission.APPROVE_ACTIONS
    return holds(action, by, permission)


def holds(action: Action, by: Actor, permission: Permission) -> bool:
    """Whether the actor holds a permission over the action's target."""
    return permits(by, permission, team=action.incident.team_id, account=action.target["account"])


def lock(action: Action, at: datetime) -> None:
    """Take the row's lock and read it again: two persons deciding at once count each other."""
    Action.objects.filter(pk=action.pk).update(updated_at=at)
    action.refresh_from_db(
        fields=["status", "tier", "plan_hash", "approved_hash", "expires_at", "updated_at"]
    )


def demand_waiting(action: Action, plan_hash: str, at: datetime) -> None:
    """Raise unless the locked action waits for a decision about the plan with this hash.

    The incident's row is held too: whoever closes it has decided about all that may start. An undo may be
    approved after that as well, since it only takes away.
    """
    _demand_status(action)
    is_open = Incident.objects.filter(pk=action.incident_id).exclude(status=Phase.CLOSED)
    if action.reverts_id is None and is_open.update(reopened=F("reopened")) != 1:
        raise Conflict("The incident is closed; reopen it before acting.")
    if plan_hash != action.plan_hash:
        raise OtherPlan
    if action.expires_at and at > action.expires_at:
        raise Conflict("The plan has expired; plan it again.")


def decide(action: Action, *, by: Actor, decision: str, at: datetime, reason: str) -> Approval | None:
    """Write a decision; None when the same person has decided so already. Raises what the database says."""
    assert by.person_id is not None
    of_person = Approval.objects.filter(action=action, plan_hash=action.plan_hash, person_id=by.person_id)
    try:
        with transaction.atomic():
            return Approval.objects.create(
                action=action,
                plan_hash=action.plan_hash,
                person_id=by.person_id,
                login=by.label,
                decision=decision,
                nth=Voiding.objects.filter(approval__in=of_person).count(),
                reason=reason,
                at=at,
            )
    except IntegrityError as refused:
        _, is_guard, said = str(refused).partition("guard: ")
        if is_guard:
            raise Forbidden(f"The database refused it: {said.splitlines()[0]}.") from refused
        earlier = of_person.filter(voiding__isnull=True).get()
        if earlier.decision != decision:
            raise Conflict("You have already decided otherwise about this plan.") from refused
        return None


def set_off(action: Action, at: datetime) -> None:
    """Let the executor take an action that enough persons approved. Inside the deciding transaction."""
    if not action.move(
        ActionStatus.APPROVED, approved_hash=action.plan_hash, approved_at=at, due_at=at, drift=[], note=""
    ):
        raise Conflict("Someone was faster; load it again.")
    doorbell.ring(planning.TOPIC)


def protected(action: Action) -> str:
    """Why the target or a parameter of a stored action must not be touched; an undo may always be."""
    if action.reverts_id:
        return ""
    try:
        declared = action_type(action.type)
    except UnknownType:
        return f"The type {action.type} does not exist any more."
    return guardrails.of_action(action, declared, account_of(action.target["account"]))


def objection_to_plan(action: Action) -> str:
    """Why nobody can approve this plan, whoever they are: the account's mode, or protection."""
    if not guardrails.may_act(account_of(action.target["account"])):
        return "This account is in observe mode: plans are made, not carried out."
    return protected(action)


def _objection(action: Action, by: Actor) -> str:
    if by.kind != "person" or by.person_id is None:
        return "Approving is for people, signed in in a browser."
    objection = objection_to_plan(action)
    if objection:
        return objection
    if not may_decide(action, by):
        return f"Your role does not approve tier {action.tier}; it needs {NEEDS[action.tier]}."
    if action.tier >= 2 and by.person_id == action.requested_by_id:
        return "You asked for this plan; someone else must approve."
    return ""


def _demand_status(action: Action) -> None:
    if action.status not in WAITING:
        raise Conflict(f"It is {action.status}, and does not wait for approval.")


def _ask_again(action: Action, why: str) -> None:
    voiding.void_all(action, why=why, at=clock.now())
    if not action.move(ActionStatus.PLANNED, approved_hash="", due_at=None, note=why[:500]):
        raise Conflict("It has started; undo it instead.")


def _still_may(action: Action, approval: Approval) -> bool:
    """Whether the person behind an approval could give it today."""
    login = User.objects.filter(person_id=approval.person_id, is_active=True).order_by("pk").first()
    if login is None:
        return False
    person = of_user(login)
    if approval.decision == "break-glass":
        return holds(action, person, Permission.BREAK_GLASS)
    if action.tier >= 2 and approval.person_id == action.requested_by_id:
        return False
    return may_decide(action, person)


def _is_broken(action: Action) -> bool:
    return action.tier <= 2 and voiding.live(action, "break-glass").exists()


def _standing_persons(action: Action) -> int:
    """How many persons' yes stands; who asked does not count from tier 2 on."""
    persons = set(voiding.live(action, "approve").values_list("person_id", flat=True))
    return len(persons - {action.requested_by_id} if action.tier >= 2 else persons)
