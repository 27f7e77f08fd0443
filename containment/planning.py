"""From "I want this" to a plan that a person can approve.

A request is stored at once as `proposed`; the containment worker, which alone may read AWS, plans
it, usually within a second.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction

from audit.record import record
from cases.access import permits
from cases.models import Action, Incident
from cases.words import ActionStatus
from containment import guardrails, hitting, journal, keeping_out, locks, tiers
from containment.actions import UnknownType, action_type
from containment.describing import HOME_REGIONS, ActionType, Context
from containment.hashing import plan_hash
from containment.journal import Story
from containment.models import Step
from containment.parameters import check, load
from containment.refusals import Refusal, classify, told
from containment.types import (
    CONTRACT_VERSION,
    Category,
    Duty,
    Place,
    Plan,
    Refused,
    Target,
    plain,
    plan_of,
)
from containment.wire import Eyes, Names, NotDeclared, reads_of, writes_of
from estate.models import Account, Environment
from estate.queries import account_of
from identity.actors import Actor
from identity.permissions import Permission
from lib import clock, doorbell
from lib.aws import AwsError, NoAnswer, WrongAccount
from lib.canonical import JSON
from lib.errors import Conflict, Forbidden, Invalid

TOPIC = "actions"
AFFECTS_SECONDS = 3.0
AGAIN = timedelta(seconds=3)
GIVE_UP = timedelta(minutes=2)


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A plan as JSON, with its hash."""

    plan: dict[str, Any]
    digest: str


class CannotRead(Exception):
    """AWS refused a read that planning needs."""


def propose(
    *,
    incident: Incident,
    type_id: str,
    target: Mapping[str, Any],
    params: Mapping[str, Any],
    by: Actor,
    at: datetime,
    reason: str = "",
) -> Action:
    """Store a request for an action; the worker is rung after the commit.

    Raises `Forbidden` for a target in an account that the actor's role does not cover, `Invalid` for
    an unknown type, a target of the wrong kind or wrong parameters, `Conflict` on a closed incident.
    """
    if incident.status == "closed":
        raise Conflict("The incident is closed; reopen it before acting.")
    account = str(target.get("account", ""))
    if not permits(by, Permission.PLAN_ACTIONS, team=incident.team_id, account=account):
        raise Forbidden("Your role does not cover the account of this target.")
    declared = _declared(type_id)
    aim = _target(declared, target)
    given = plain(check(declared.params, params))
    assert isinstance(given, dict)
    with transaction.atomic():
        action = Action.objects.create(
            incident=incident,
            type=declared.id,
            target=plain(aim),
            params=given,
            category=declared.category.value,
            tier=tiers.effective(declared.tier, account_of(aim.account)),
            status=ActionStatus.PROPOSED,
            contract=CONTRACT_VERSION,
            does_not_stop=declared.does_not_stop(),
            reason=reason,
            requested_by_id=by.person_id,
            requested_label=by.label,
            requested_at=at,
            due_at=at,
            updated_at=at,
        )
        record(
            act="action.proposed",
            by=by,
            at=at,
            on=("action", action.ulid),
            details={"type": action.type, "incident": incident.ref, "tier": action.tier},
        )
        doorbell.ring(TOPIC)
    return action


def plan_claimed(action: Action) -> datetime | None:
    """Plan a claimed request; the moment to try again, or None when it is planned or refused."""
    try:
        declared = action_type(action.type)
        account = account_of(action.target["account"])
        objection = guardrails.of_action(action, declared, account)
        if objection:
            raise Refused(objection)
        made = make_plan(action, declared)
        held = locks.holder_of(locks.own_keys(plan_from(made)), besides=action)
        if held:
            raise Refused(f"{held.key} is already held by action {held.holder.ulid}")
        needed = locks.needed_by(plan_from(made), besides=action)
        if needed:
            raise Refused(f"action {needed.holder.ulid} is under way and needs {needed.key}")
    except UnknownType:
        return refuse(action, f"the type {action.type} does not exist any more")
    except Refused as reason:
        return refuse(action, str(reason))
    except (CannotRead, NotDeclared, WrongAccount) as reason:
        return refuse(action, f"it could not be planned: {reason}")
    except NoAnswer as silence:
        if clock.now() > action.requested_at + GIVE_UP:
            return refuse(action, f"AWS could not be read for two minutes: {silence}")
        return clock.now() + AGAIN
    store(action, made, affects=_affects(action, declared))
    return clock.now() if action.status == ActionStatus.APPROVED else None


def refuse(action: Action, reason: str) -> datetime | None:
    """End a request with the reason why it cannot be done; nothing is due any more (None)."""
    story = Story(act="action.refused", title=f"Cannot be done: {title_of(action)}", detail=reason)
    journal.move(action, ActionStatus.REFUSED, story=story, note=reason, due_at=None)
    return None


def store(action: Action, made: Planned, *, affects: JSON) -> None:
    """Keep a plan and its empty journal; tier 0 goes on by itself where acting is allowed."""
    now = clock.now()
    with transaction.atomic():
        journal.move(
            action,
            ActionStatus.PLANNED,
            story=Story(act="action.planned", title=f"Planned: {title_of(action)}"),
            plan=made.plan,
            plan_hash=made.digest,
            tier=tier_of(action, made),
            affects=affects,
            planned_at=now,
            expires_at=now + settings.QUELL_PLAN_EXPIRES,
        )
        write_journal(action, plan_from(made))
        if action.tier == 0 and guardrails.may_act(account_of(action.target["account"])):
            journal.move(
                action,
                ActionStatus.APPROVED,
                story=None,
                approved_hash=made.digest,
                approved_at=now,
            )


def write_journal(action: Action, plan: Plan) -> None:
    """One empty row for each step of a plan that nothing of was sent."""
    Step.objects.filter(action=action).delete()
    Step.objects.bulk_create(
        Step(action=action, seq=seq, name=step.name, kind=step.kind.value)
        for seq, step in enumerate(plan.steps)
    )


def make_plan(action: Action, declared: type[ActionType]) -> Planned:
    """Plan by reading AWS. Raises `Refused`, `CannotRead`, `NotDeclared`, `lib.aws.NoAnswer`."""
    context = context_of(action, declared)
    try:
        plan = declared().plan(context)
        tagged = keeping_out.kept_out(declared, plan, context, is_ours=_is_ours)
    except AwsError as refusal:
        if classify(refusal) is Refusal.THROTTLED:
            raise NoAnswer(str(refusal)) from refusal
        raise CannotRead(told(refusal)) from refusal
    for said in (tagged, *hitting.hits(plan, context.exempt)):
        if said:
            raise Refused(said)
    undeclared = (reads_of(plan) - set(declared.reads)) | (writes_of(plan) - set(declared.writes))
    if undeclared:
        raise NotDeclared(f"{declared.id} does not declare {', '.join(sorted(undeclared))}")
    tier = tiers.facts(declared.tier, account_of(action.target["account"]))
    stored = plain(replace(plan, facts={**plan.facts, "tier": tier}))
    assert isinstance(stored, dict)
    return Planned(plan=stored, digest=hash_of(action, stored))


def tier_of(action: Action, made: Planned) -> int:
    """The tier under which a plan is approved: that of the policy, and never less than it was."""
    return max(action.tier, int(made.plan["facts"].get("tier", {}).get("effective", 0)))


def hash_of(action: Action, plan: Mapping[str, Any]) -> str:
    """The hash that approval of a plan of this action is bound to."""
    return plan_hash(
        contract=action.contract,
        type_id=action.type,
        target=action.target,
        params=action.params,
        plan=plan,
    )


def plan_from(made: Planned) -> Plan:
    """The plan as its type."""
    return plan_of(made.plan)


def context_of(action: Action, declared: type[ActionType]) -> Context:
    """What planning of this action may know and read."""
    target = Target.of(action.target)
    account = account_of(target.account)
    partition = account.partition if account else "aws"
    return Context(
        id=action.ulid,
        target=target,
        params=load(declared.params, action.params),
        duty=Duty.EVIDENCE if declared.category is Category.EVIDENCE else Duty.CONTAIN,
        places=_places(target, partition),
        reader=Eyes(names=Names.of(action), allowed=frozenset(declared.reads)),
        partition=partition,
        exempt=guardrails.exempt(account) if account else (),
        write_back=settings.QUELL_WRITE_BACK,
        regions=tuple(sorted(account.regions)) if account else (),
    )


def title_of(action: Action) -> str:
    """The action in a few words, from its type and target alone."""
    try:
        title = action_type(action.type).title
    except UnknownType:
        title = action.type
    if action.reverts_id:
        title = f"Undo: {title.lower()}"
    return f"{title} {action.target['id']}"


def _is_ours(account: str) -> bool:
    return account_of(account) is not None


def _declared(type_id: str) -> type[ActionType]:
    try:
        return action_type(type_id)
    except UnknownType:
        raise Invalid(f"There is no action type {type_id[:60]!r}.", pointer="/type") from None


def _target(declared: type[ActionType], given: Mapping[str, Any]) -> Target:
    unknown = set(given) - {"type", "account", "region", "id", "arn"}
    if unknown:
        raise Invalid(f"A target has no {min(unknown)[:60]!r}.", pointer="/target")
    for name in ("type", "account", "id"):
        if not isinstance(given.get(name), str) or not given[name]:
            raise Invalid(f"The target needs {name}.", pointer=f"/target/{name}")
    for name in ("region", "arn"):
        if not isinstance(given.get(name, ""), str):
            raise Invalid(f"{name} must be text.", pointer=f"/target/{name}")
    if given["type"] != declared.target:
        raise Invalid(f"{declared.id} acts on a target of type {declared.target}.", pointer="/target/type")
    if account_of(given["account"]) is None:
        raise Invalid("That account is not in the estate.", pointer="/target/account")
    return Target.of(given)


def _places(target: Target, partition: str) -> dict[str, Place]:
    """Where the calls of a plan may go; `identity` is where the organization keeps Identity Center."""
    home = HOME_REGIONS.get(partition, "us-east-1")
    region = target.region or home
    places = {
        "target": Place(account=target.account, region=region, duty=Duty.CONTAIN),
        "edge": Place(account=target.account, region=home, duty=Duty.CONTAIN),
    }
    for where, environment in (("management", Environment.MANAGEMENT), ("forensic", Environment.SECURITY)):
        account = (
            Account.objects.filter(environment=environment, partition=partition)
            .order_by("account_id")
            .first()
        )
        if account:
            places[where] = Place(account=account.account_id, region=region, duty=Duty.CONTAIN)
        if account and where == "management":
            at = account.regions[0] if account.regions else home
            places["identity"] = Place(account=account.account_id, region=at, duty=Duty.ORGANIZATION)
    return places


def _affects(action: Action, declared: type[ActionType]) -> JSON:
    """What else is touched, as far as three seconds allow; says so when it is not all."""
    found: list[JSON] = []
    until = clock.now() + timedelta(seconds=AFFECTS_SECONDS)
    try:
        for one in declared().affects(context_of(action, declared)):
            found.append(plain(one))
            if clock.now() > until:
                return {"found": found, "incomplete": "it took longer than three seconds"}
    except (AwsError, NoAnswer, NotDeclared) as failure:
        return {"found": found, "incomplete": str(failure)[:300]}
    return {"found": found, "incomplete": ""}
