"""Automation against the simulated AWS: what a rule may do, and everything that it must not."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError, transaction

from audit.models import AuditEvent
from cases import triage
from cases.models import Action, Alert, Incident
from cases.words import ActionStatus, Verdict
from containment import auto_rules, automation, holds, sweeps
from containment.auto_rules import Wording
from containment.automation_models import Authorisation, AutoMatch, Automation, AutoRule, Hold
from estate.models import Account, Mode
from identity.actors import Actor
from identity.models import Membership, Role
from lib import clock
from lib.errors import Conflict, Forbidden, Invalid, NotFound
from notify.models import Notice
from tests import make
from tests.containment.subjects.first import _key
from tests.containment.world import SHIPPING, START, World

KEY = "iam.deactivate-access-key"
FINDING = "UnauthorizedAccess:IAMUser/Custom"
MANY = 500


@pytest.fixture
def second(db: None) -> Actor:
    return make.person(Role.APPROVER, login="second")


def wording(**values: Any) -> Wording:
    given: dict[str, Any] = {
        "name": "Keys off",
        "type": "UnauthorizedAccess:IAMUser/*",
        "expires_at": clock.now() + timedelta(days=30),
        "environments": ("production", "staging", "development", "sandbox"),
        "action_types": (KEY,),
        "max_tier": 2,
        "per_hour": 5,
        "per_account": 5,
    }
    return Wording(**{**given, **values})


def live(world: World, second: Actor, **values: Any) -> AutoRule:
    """A rule that a lead wrote and an approver approved, in accounts that are in auto mode."""
    Account.objects.filter(account_id=SHIPPING).update(mode=Mode.AUTO)
    rule = auto_rules.create(wording=wording(**values), team=make.team(), by=world.approves, at=clock.now())
    return auto_rules.approve(rule=rule, seen=rule.version, by=second, at=clock.now(), is_fresh=True)


def about_key(world: World, key: str = "", user: str = "ci-deploy", **values: Any) -> Alert:
    """A fresh alert about a user's key."""
    named = [("access_key", key or _key(world)["access_key_id"]), ("user", user)]
    return about(named, **values)


def about(named: Iterable[tuple[str, str]], **values: Any) -> Alert:
    resources = [{"type": kind, "id": name, "arn": "", "role": "target"} for kind, name in named]
    given = {"account": SHIPPING, "resources": resources, "type": FINDING, "at": clock.now()}
    return make.alert(**{**given, **values})


def go_on(world: World, rounds: int = 6) -> None:
    """Let automation and the worker do whatever is due, for as long as something is."""
    for _ in range(rounds):
        automation.run()
        sweeps.run_due_actions()
        world.clock.advance(1)


def of_automation() -> list[Action]:
    return list(Action.objects.filter(requested_label="automation").order_by("pk"))


def extra_keys(world: World, count: int) -> list[tuple[str, str]]:
    """Users of the simulated account with a key each: their names and key ids."""
    iam, made = world.admin("iam"), []
    for number in range(count):
        name = f"worker-{number}"
        iam.create_user(UserName=name)
        made.append((iam.create_access_key(UserName=name)["AccessKey"]["AccessKeyId"], name))
    return made


def mutations(world: World) -> list[str]:
    """What reached the simulated AWS by a role of Quell's that may change things, by its own log."""
    by_us = [
        call
        for call in world.simulator.calls()
        if not call["readOnly"] and "quell-contain" in json.dumps(call["userIdentity"])
    ]
    found = [f"{call['eventSource'].partition('.')[0]}:{call['eventName']}" for call in by_us]
    assert found == world.wire.sent
    return found


# --- what it does --------------------------------------------------------------------------------------


def test_a_live_rule_contains_without_asking_and_says_by_whose_leave(world: World, second: Actor) -> None:
    rule = live(world, second)
    alert = about_key(world)

    go_on(world)

    [action] = of_automation()
    world.drive(action)
    action.refresh_from_db()
    assert action.status == ActionStatus.VERIFIED, action.note
    assert action.requested_by_id is None
    alert.refresh_from_db()
    assert alert.incident_id == action.incident_id
    authorisation = Authorisation.objects.get()
    assert (authorisation.rule, authorisation.plan_hash) == (rule, action.plan_hash)
    assert not action.approvals.exists(), "a rule is no person"
    assert AuditEvent.objects.filter(act="action.authorised", object_id=action.ulid).count() == 1
    assert mutations(world) == ["iam:UpdateAccessKey"]


def test_the_same_alert_again_asks_for_nothing_more(world: World, second: Actor) -> None:
    live(world, second)
    alert = about_key(world)
    go_on(world)
    for _ in range(5):
        Alert.objects.filter(pk=alert.pk).update(updated_at=clock.now(), last_seen_at=clock.now())
        go_on(world, rounds=2)

    assert len(of_automation()) == 1
    assert AutoMatch.objects.get(outcome="already").type == KEY


# --- what it must not do -------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [Mode.OBSERVE, Mode.APPROVE])
def test_nothing_happens_in_accounts_that_are_not_in_auto_mode(
    world: World, second: Actor, mode: Mode
) -> None:
    live(world, second)
    Account.objects.filter(account_id=SHIPPING).update(mode=mode)
    about_key(world)

    go_on(world)

    assert of_automation() == []
    assert mutations(world) == []


@pytest.mark.parametrize(
    "values",
    [
        {"is_sample": True},
        {"is_archived": True},
        {"severity": 40},
        {"type": "Recon:IAMUser/Custom"},
        {"type": "unauthorizedaccess:iamuser/custom"},
        {"status": "dismissed"},
        {"team": "other"},
    ],
    ids=lambda values: next(iter(values)) if isinstance(values, dict) else str(values),
)
def test_what_a_rule_is_not_about_is_left_alone(
    world: World, second: Actor, values: Mapping[str, Any]
) -> None:
    live(world, second)
    about_key(world, **values)
    go_on(world)
    assert of_automation() == []


def test_a_stale_alert_and_one_from_the_future_are_left_to_people(world: World, second: Actor) -> None:
    live(world, second)
    about_key(world, at=clock.now() - timedelta(minutes=61))
    about_key(world, at=clock.now() + timedelta(minutes=10))
    go_on(world, rounds=2)
    assert of_automation() == []


def test_an_alert_that_rules_have_not_looked_at_yet_waits(world: World, second: Actor) -> None:
    live(world, second)
    alert = about_key(world, due_at=clock.now())
    go_on(world, rounds=2)
    assert of_automation() == []

    Alert.objects.filter(pk=alert.pk).update(due_at=None)
    go_on(world, rounds=2)
    assert len(of_automation()) == 1


def test_an_exercise_is_left_to_people(world: World, second: Actor) -> None:
    live(world, second)
    about_key(world, incident=make.incident(is_exercise=True))
    go_on(world)
    assert of_automation() == []


def test_what_aws_does_not_show_is_refused_by_planning(world: World, second: Actor) -> None:
    live(world, second)
    about_key(world, key="AKIAFORGED0000000001")

    go_on(world)

    [action] = of_automation()
    assert action.status == ActionStatus.REFUSED
    assert not Authorisation.objects.exists()
    assert mutations(world) == []


def test_a_rule_of_one_person_does_nothing(world: World) -> None:
    Account.objects.filter(account_id=SHIPPING).update(mode=Mode.AUTO)
    rule = auto_rules.create(wording=wording(), team=make.team(), by=world.approves, at=clock.now())
    about_key(world)
    go_on(world)
    assert of_automation() == []
    with pytest.raises(Forbidden, match="someone else"):
        auto_rules.approve(rule=rule, seen=1, by=world.approves, at=clock.now(), is_fresh=True)


# --- must show 6 ---------------------------------------------------------------------------------------


def test_500_forged_alerts_about_protected_things_change_nothing(world: World, second: Actor) -> None:
    every = ("iam.deactivate-access-key", "iam.revoke-role-sessions", "ec2.isolate-instance")
    live(world, second, type="Forged:*", action_types=every, per_hour=100, per_account=100)
    Account.objects.exclude(account_id=SHIPPING).update(mode=Mode.AUTO)
    ours = Account.objects.get(account_id=SHIPPING)
    glass = f"arn:aws:iam::{SHIPPING}:role/break-glass"
    Account.objects.filter(pk=ours.pk).update(break_glass=[glass])
    management = Account.objects.get(environment="management").account_id
    security = Account.objects.filter(environment="security").first()
    assert security is not None
    forged: list[tuple[str, list[tuple[str, str]]]] = [
        (SHIPPING, [("role", "quell-contain")]),
        (SHIPPING, [("role", "quell-read")]),
        (SHIPPING, [("access_key", "0.0.0.0/0"), ("user", "quell-hub")]),
        (SHIPPING, [("instance", "0.0.0.0/0")]),
        (SHIPPING, [("address", "0.0.0.0/0"), ("ip", "::/0")]),
        (management, [("role", "OrganizationAccountAccessRole"), ("instance", "i-0123456789abcdef0")]),
        (security.account_id, [("access_key", "AKIAFORGED0000000001"), ("user", "forensics")]),
        ("999988887777", [("role", "anything")]),
    ]
    before = list(world.wire.landed)
    for number in range(MANY):
        account, named = forged[number % len(forged)]
        about(named, account=account, type=f"Forged:{number}", severity=99)

    for _ in range(30):
        go_on(world, rounds=1)

    assert mutations(world) == []
    assert world.wire.landed == before
    assert not Authorisation.objects.exists()
    assert set(Action.objects.values_list("status", flat=True)) <= {ActionStatus.REFUSED}


def test_500_alerts_about_ordinary_things_stay_within_the_budget_and_page_once(
    world: World, second: Actor
) -> None:
    live(world, second, type="Forged:*", per_hour=3, per_account=3)
    keys = extra_keys(world, 8)
    for number in range(MANY):
        key, user = keys[number % len(keys)]
        about_key(world, key=key, user=user, type=f"Forged:{number}", severity=99)

    for _ in range(25):
        go_on(world, rounds=1)

    assert mutations(world) == ["iam:UpdateAccessKey"] * 3
    assert Authorisation.objects.count() == 3
    state = Automation.objects.get()
    assert state.breaker_opened_at is not None
    assert state.openings == 1
    [page] = Notice.objects.all()
    assert page.kind == "automation.breaker"
    rung = {one.person_id for one in page.deliveries.all()}
    assert rung == set(Membership.objects.filter(role="lead").values_list("person_id", flat=True))


def test_what_was_undone_stays_undone_until_a_person_releases_it(world: World, second: Actor) -> None:
    live(world, second)
    about_key(world)
    go_on(world)
    [action] = of_automation()
    world.revert(world.drive(action))
    done = mutations(world)
    assert done == ["iam:UpdateAccessKey"] * 2

    for _ in range(20):
        about_key(world)
        go_on(world, rounds=1)

    assert mutations(world) == done
    hold = Hold.objects.get(released_at__isnull=True)
    assert hold.thing == f"access_key/{_key(world)['access_key_id']}"
    with pytest.raises(Invalid):
        holds.release(ulid=hold.ulid, reason=" ", by=world.asks, at=clock.now())
    holds.release(ulid=hold.ulid, reason="It is the attacker after all.", by=world.approves, at=clock.now())
    with pytest.raises(Conflict):
        holds.release(ulid=hold.ulid, reason="again", by=world.approves, at=clock.now())
    about_key(world)
    go_on(world)
    world.drive(of_automation()[-1])
    assert mutations(world) == [*done, "iam:UpdateAccessKey"]


@pytest.mark.parametrize("verdict", [Verdict.FALSE_POSITIVE, Verdict.BENIGN])
def test_what_was_dismissed_as_harmless_is_held_though_it_came_back_at_once(
    world: World, second: Actor, verdict: Verdict
) -> None:
    live(world, second)
    alert = about_key(world)
    triage.dismiss(alert=alert, verdict=verdict, reason="ours", by=world.asks, at=clock.now())
    triage.restore(alert=alert, by=world.asks, at=clock.now())

    go_on(world)

    assert of_automation() == []
    held = AutoMatch.objects.get(outcome="held")
    assert "dismissed" in held.detail
    about_key(world, key="AKIAOTHER00000000001")
    go_on(world)
    assert len(of_automation()) == 1, "another key is not held"


def test_a_hold_that_was_released_is_not_placed_again_by_the_same_cause(world: World, second: Actor) -> None:
    alert = about_key(world)
    triage.dismiss(alert=alert, verdict=Verdict.BENIGN, reason="", by=world.asks, at=clock.now())
    holds.gather(at=clock.now())
    for hold in Hold.objects.all():
        holds.release(ulid=hold.ulid, reason="fine", by=world.approves, at=clock.now())
    Automation.objects.update(read_seq=0)
    holds.gather(at=clock.now())
    assert not Hold.objects.filter(released_at__isnull=True).exists()


# --- the switch ----------------------------------------------------------------------------------------


def test_the_kill_switch_stops_what_is_proposed_and_what_is_approved(world: World, second: Actor) -> None:
    live(world, second)
    about_key(world)
    automation.run()
    [action] = of_automation()
    auto_rules.stop(reason="looks wrong", by=world.asks, at=clock.now())

    go_on(world)

    action.refresh_from_db()
    assert action.status == ActionStatus.PLANNED
    assert "automation was stopped" in action.note
    assert mutations(world) == []
    world.drive(world.approve(action))
    assert mutations(world) == ["iam:UpdateAccessKey"], "a person still may"


def test_an_authorised_action_that_has_not_started_is_called_back(world: World, second: Actor) -> None:
    live(world, second)
    about_key(world)
    automation.run()
    [action] = of_automation()
    planned(action)
    auto_rules.stop(reason="looks wrong", by=world.asks, at=clock.now())

    world.clock.advance(5)
    sweeps.run_due_actions()

    action.refresh_from_db()
    assert (action.status, action.approved_hash) == (ActionStatus.PLANNED, "")
    assert mutations(world) == []
    assert action.incident.timeline.filter(kind="action.approval-lost").count() == 1


def planned(action: Action) -> None:
    """Plan and authorise it as the worker does, and die before the next step."""
    from containment import journal, planning

    claimed = journal.claim(action.pk, owner="test")
    assert claimed is not None
    planning.plan_claimed(claimed)
    assert automation.authorise(claimed)
    journal.release(claimed, due_at=clock.now())


def test_only_a_lead_lets_it_go_on_and_says_why(world: World, second: Actor, analyst: Actor) -> None:
    live(world, second)
    with pytest.raises(Forbidden):
        auto_rules.stop(reason="x", by=analyst, at=clock.now())
    responder = make.person(Role.RESPONDER, login="on-call")
    auto_rules.stop(reason="strange", by=responder, at=clock.now())
    auto_rules.stop(reason="again", by=responder, at=clock.now())
    assert Notice.objects.filter(kind="automation.stopped").count() == 1
    with pytest.raises(Forbidden):
        auto_rules.resume(reason="fine", by=responder, at=clock.now(), is_fresh=True)
    with pytest.raises(Invalid):
        auto_rules.resume(reason=" ", by=world.approves, at=clock.now(), is_fresh=True)
    auto_rules.resume(reason="fine", by=world.approves, at=clock.now(), is_fresh=True)
    assert automation.current().is_running
    with pytest.raises(Conflict):
        auto_rules.resume(reason="fine", by=world.approves, at=clock.now(), is_fresh=True)


# --- rules ---------------------------------------------------------------------------------------------


def test_a_change_needs_a_second_person_anew_and_two_at_once_are_told(world: World, second: Actor) -> None:
    rule = live(world, second)
    auto_rules.change(rule=rule, wording=wording(per_hour=9), seen=1, by=world.approves, at=clock.now())
    assert (rule.version, rule.approved_by_id) == (2, None)
    assert automation.live_rules(clock.now()) == []
    with pytest.raises(auto_rules.Stale):
        auto_rules.change(rule=rule, wording=wording(per_hour=8), seen=1, by=world.approves, at=clock.now())
    with pytest.raises(auto_rules.Stale):
        auto_rules.approve(rule=rule, seen=1, by=second, at=clock.now(), is_fresh=True)


@pytest.mark.parametrize(
    ("values", "pointer"),
    [
        ({"max_tier": 3}, "/max_tier"),
        ({"action_types": ("iam.unknown",)}, "/action_types"),
        ({"action_types": ()}, "/action_types"),
        ({"environments": ("management",)}, "/environments"),
        ({"type": "*"}, "/type"),
        ({"type": "a*b*"}, "/type"),
        ({"per_hour": 0}, "/per_hour"),
        ({"expires_at": None}, "/expires_at"),
    ],
)
def test_what_a_rule_cannot_mean_is_refused(world: World, values: dict[str, Any], pointer: str) -> None:
    given = {**values}
    if "expires_at" in given:
        given["expires_at"] = clock.now() + timedelta(days=400)
    with pytest.raises(Invalid) as refused:
        auto_rules.create(wording=wording(**given), team=make.team(), by=world.approves, at=clock.now())
    assert refused.value.pointer == pointer


def test_others_neither_see_nor_keep_a_rule(
    world: World, second: Actor, outsider: Actor, analyst: Actor
) -> None:
    rule = live(world, second)
    with pytest.raises(NotFound):
        auto_rules.rule_for(outsider, rule.ulid)
    assert auto_rules.rule_for(analyst, rule.ulid) == rule
    with pytest.raises(Forbidden):
        auto_rules.withdraw(rule=rule, by=analyst, at=clock.now())
    narrow = make.person(Role.LEAD, login="narrow", accounts=[SHIPPING])
    with pytest.raises(NotFound):
        auto_rules.rule_for(narrow, rule.ulid)


# --- the database --------------------------------------------------------------------------------------


def waiting(world: World) -> Action:
    """An action that automation asked for and whose plan waits, with nothing said to it."""
    automation.run()
    [action] = of_automation()
    from containment import journal, planning

    claimed = journal.claim(action.pk, owner="test")
    assert claimed is not None
    planning.plan_claimed(claimed)
    journal.release(claimed, due_at=None)
    return world.fresh(action)


def write_yes(action: Action, rule: AutoRule, **values: Any) -> None:
    at = clock.now()
    given: dict[str, Any] = {
        "action": action,
        "plan_hash": action.plan_hash,
        "rule": rule,
        "rule_version": rule.version,
        "account": action.target["account"],
        "thing": holds.thing_of(action.target),
        "finding": FINDING,
        "at": at,
        "second": int(at.timestamp()),
    }
    with transaction.atomic():
        Authorisation.objects.create(**{**given, **values})


def test_the_database_takes_a_yes_that_is_covered_and_the_approval_by_it(world: World, second: Actor) -> None:
    rule = live(world, second)
    about_key(world)
    action = waiting(world)
    with pytest.raises(DatabaseError, match="guard"), transaction.atomic():
        Action.objects.filter(pk=action.pk).update(status="approved", approved_hash=action.plan_hash)
    write_yes(action, rule)
    Action.objects.filter(pk=action.pk).update(status="approved", approved_hash=action.plan_hash)
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        Authorisation.objects.update(account="1")


Spoil = Callable[[World, AutoRule, Action, Actor], dict[str, Any]]


def giving(**values: Any) -> Spoil:
    """The row itself is wrong."""
    return lambda *_: values


def rule_with(**values: Any) -> Spoil:
    """The rule says something else, in a version that two persons stand behind."""

    def spoil(_: World, rule: AutoRule, __: Action, second: Actor) -> dict[str, Any]:
        AutoRule.objects.filter(pk=rule.pk).update(version=2, approved_by=None, **values)
        AutoRule.objects.filter(pk=rule.pk).update(approved_by_id=second.person_id)
        return {"rule_version": 2}

    return spoil


def changing(model: type[Any], of: Callable[[World, AutoRule, Action], int], **values: Any) -> Spoil:
    """Something that the rule stands on is otherwise."""

    def spoil(world: World, rule: AutoRule, action: Action, second: Actor) -> dict[str, Any]:
        changed = {name: value(second) if callable(value) else value for name, value in values.items()}
        assert model.objects.filter(pk=of(world, rule, action)).update(**changed) == 1
        return {}

    return spoil


def held(world: World, rule: AutoRule, action: Action, second: Actor) -> dict[str, Any]:
    Hold.objects.create(
        team=make.team(),
        account=SHIPPING,
        thing=holds.thing_of(action.target),
        finding=FINDING,
        reason="test",
        cause="test",
        placed_by="test",
        placed_at=clock.now(),
    )
    return {}


def the_rule(world: World, rule: AutoRule, action: Action) -> int:
    return rule.pk


def the_account(world: World, rule: AutoRule, action: Action) -> int:
    return Account.objects.get(account_id=SHIPPING).pk


def the_switch(world: World, rule: AutoRule, action: Action) -> int:
    return automation.current().pk


LATER = START + timedelta(days=31)
SPOILT: dict[str, Spoil] = {
    "another plan": giving(plan_hash="0" * 64),
    "another version": giving(rule_version=7),
    "another account": giving(account="123456789012"),
    "after its end": giving(at=LATER),
    "not approved": changing(AutoRule, the_rule, approved_by=None),
    "removed": changing(AutoRule, the_rule, removed_at=START),
    "tier": rule_with(max_tier=0),
    "type": rule_with(action_types=["iam.deny-user"]),
    "environment": rule_with(environments=["sandbox"]),
    "budget": rule_with(per_hour=0),
    "budget of the account": rule_with(per_account=0),
    "mode": changing(Account, the_account, mode=Mode.APPROVE),
    "protected": changing(Account, the_account, is_protected=True),
    "stopped": changing(Automation, the_switch, stopped_at=START),
    "breaker": changing(Automation, the_switch, breaker_opened_at=START),
    "hold": held,
    "exercise": changing(Incident, lambda _, __, action: action.incident_id, is_exercise=True),
}


@pytest.mark.parametrize("spoil", SPOILT)
def test_the_database_refuses_a_yes_that_is_not_covered(world: World, second: Actor, spoil: str) -> None:
    rule = live(world, second)
    about_key(world)
    action = waiting(world)
    given = SPOILT[spoil](world, rule, action, second)
    with pytest.raises(DatabaseError, match="guard"):
        write_yes(action, rule, **given)


def test_the_database_keeps_a_rule_two_persons(world: World, second: Actor) -> None:
    rule = live(world, second)
    for values in (
        {"per_hour": 99},
        {"action_types": ["iam.deny-user"]},
        {"written_by_id": second.person_id},
        {"version": 2},
        {"approved_by_id": world.approves.person_id},
        {"version": 2, "approved_by_id": None, "max_tier": 3},
    ):
        with pytest.raises(DatabaseError), transaction.atomic():
            AutoRule.objects.filter(pk=rule.pk).update(**values)
