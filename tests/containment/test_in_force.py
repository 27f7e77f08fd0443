"""Looking again at what is in force, and what it means for the incident's milestones."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import transaction

from audit import record
from audit.models import AuditEvent
from cases import milestones
from cases.models import Action, Alert, Incident
from cases.words import MilestoneKind, MilestoneSource
from containment import approvals, coverage, journal, planning, preflight, reconciling, sweeps
from containment.suggesting import suggestions
from lib import clock
from lib.aws import NoAnswer
from lib.errors import Forbidden
from tests import make
from tests.containment.subjects import SUBJECTS
from tests.containment.subjects.first import _key, _keys, _turn_key
from tests.containment.world import SHIPPING, World, dying

KEY = "iam.deactivate-access-key"
ROLE = "iam.revoke-role-sessions"
SNAPSHOTS = "ec2.snapshot-volumes"


def look(world: World, action: Action) -> Action:
    sweeps.look_at_due()
    return world.fresh(action)


def alert_about_key(world: World) -> Alert:
    return make.alert(
        incident=world.incident,
        account=SHIPPING,
        resources=[
            {"type": "access_key", "id": _key(world)["access_key_id"], "arn": "", "role": "target"},
            {"type": "user", "id": "ci-deploy", "arn": "", "role": "target"},
        ],
    )


def test_the_second_look_comes_after_settle_and_is_shown(world: World) -> None:
    action = world.apply(KEY, *SUBJECTS[KEY].aim(world))
    assert look(world, action).confirmed_at is None

    world.clock.advance(31)
    action = look(world, action)

    assert action.status == "verified"
    assert action.confirmed_at == clock.now()
    assert world.incident.timeline.filter(kind="action.confirmed-again").count() == 1
    world.clock.advance(600)
    look(world, action)
    assert world.incident.timeline.filter(kind="action.confirmed-again").count() == 1


def test_a_key_switched_on_again_is_an_alarm_and_no_longer_contained(world: World) -> None:
    alert_about_key(world)
    action = world.apply(KEY, *SUBJECTS[KEY].aim(world))
    world.incident.refresh_from_db()
    assert world.incident.contained_at is not None
    assert world.incident.contained_basis == "by_quell"
    first = world.incident.contained_at

    _turn_key("Active")(world)
    world.clock.advance(40)
    action = look(world, action)

    lifted = Incident.objects.get(pk=world.incident.pk)
    assert action.status == "unknown"
    assert "lifted by someone" in action.alarm
    assert lifted.contained_at is None
    assert lifted.first_contained_at == first
    assert world.wire.sent == ["iam:UpdateAccessKey"], "the reconciler does not fight"

    _turn_key("Inactive")(world)
    world.clock.advance(400)
    action = look(world, action)
    assert action.status == "verified"
    assert action.alarm == ""
    assert Incident.objects.get(pk=world.incident.pk).contained_at is not None


def test_a_late_request_of_ours_is_set_right_again(world: World) -> None:
    world.wire.faults[1] = "lost"
    action = world.apply(ROLE, *SUBJECTS[ROLE].aim(world))
    assert action.status == "verified", action.note
    step = world.steps(action)[0]
    assert len(step.attempts) == 2
    older, ours = step.attempts[0], step.attempts[1]
    assert older["equals"] != ours["equals"]
    # The first request arrives now, a hundred seconds late, and moves the cut-off back.
    world.admin("iam").put_role_policy(**older["params"])
    world.clock.advance(100)

    action = look(world, action)

    found = world.admin("iam").get_role_policy(
        RoleName=older["params"]["RoleName"], PolicyName=older["params"]["PolicyName"]
    )["PolicyDocument"]
    assert found == ours["equals"]
    assert action.status == "verified"
    assert action.alarm == ""


def test_an_unread_aws_is_no_alarm(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    action = world.apply(KEY, *SUBJECTS[KEY].aim(world))
    world.clock.advance(40)

    def silent(_: str) -> None:
        raise NoAnswer("connect time-out")

    world.wire.before_read = silent
    action = look(world, action)
    assert action.status == "verified"
    assert action.confirmed_at is None

    world.wire.before_read = None
    world.clock.advance(40)
    assert look(world, action).confirmed_at is not None


def test_a_second_set_of_snapshots_is_reported(world: World) -> None:
    action = world.apply(SNAPSHOTS, *SUBJECTS[SNAPSHOTS].aim(world))
    host, tags = action.target["id"], [{"Key": "quell:action", "Value": action.ulid}]
    world.admin("ec2").create_snapshots(
        InstanceSpecification={"InstanceId": host},
        TagSpecifications=[{"ResourceType": "snapshot", "Tags": tags}],
    )
    world.clock.advance(90)

    action = look(world, action)

    assert "made twice" in action.alarm


def test_an_unknown_step_that_shows_later_is_verified_after_all(world: World) -> None:
    """AWS hides the change longer than it was looked for; the reconciler sees it, and says so."""
    action = world.propose(KEY, *SUBJECTS[KEY].aim(world))
    world.approve(action)
    for number in (1, 2, 3):
        world.wire.faults[number] = "lost"
    action = world.drive(action)
    assert action.status == "unknown", action.note
    _turn_key("Inactive")(world)
    world.clock.advance(400)

    action = look(world, action)

    assert action.status == "verified"
    assert world.incident.timeline.filter(kind="action.verified").count() == 1


def test_milestones_come_from_the_journal(world: World) -> None:
    alert_about_key(world)
    action = world.propose(KEY, *SUBJECTS[KEY].aim(world))
    world.clock.advance(60)
    action = world.drive(world.approve(action))

    world.incident.refresh_from_db()
    step = world.steps(action)[0]
    assert world.incident.responded_at == step.finished_at
    assert world.incident.contained_at == action.verified_at
    back = world.revert(action)
    undone = Incident.objects.get(pk=world.incident.pk)
    assert back.status == "verified"
    assert undone.contained_at is None
    assert undone.responded_at == step.finished_at


def test_coverage_names_what_is_open_first(world: World) -> None:
    alert_about_key(world)
    row, user = coverage.coverage(world.incident)
    assert row.is_open
    assert row.technique.state == "open"
    assert not user.is_required
    assert row.id in user.why
    suggested = next(one for one in suggestions(world.incident) if one.type == KEY)
    assert suggested.params == {"user": "ci-deploy"}

    action = world.propose(suggested.type, suggested.target, suggested.params)
    assert KEY not in {one.type for one in suggestions(world.incident)}
    assert coverage.coverage(world.incident)[0].technique.state == "planned"
    world.drive(world.approve(action))

    row = next(row for row in coverage.coverage(world.incident) if row.is_required)
    assert not row.is_open
    assert row.technique.state == "contained"


def test_a_stale_worker_writes_nothing(world: World) -> None:
    """It stopped for longer than its lease; by then another has finished the work."""
    from containment import journal

    action = world.propose(KEY, *SUBJECTS[KEY].aim(world))
    world.approve(action)
    stale = journal.claim(action.pk, owner="stale")
    assert stale
    world.clock.advance(100)
    assert world.drive(action).status == "verified"

    with pytest.raises(journal.LostLease):
        journal.put(stale, world.steps(stale)[0], state="failed")
    with pytest.raises(journal.LostLease):
        journal.renew(stale)
    assert world.fresh(action).status == "verified"


def test_a_plan_that_nobody_approves_expires(world: World) -> None:
    action = world.propose(KEY, *SUBJECTS[KEY].aim(world))
    world.clock.advance(timedelta(hours=25).total_seconds())

    sweeps.run_due_actions()

    assert world.fresh(action).status == "expired"


def test_in_observe_mode_plans_are_made_and_not_carried_out(world: World) -> None:
    from estate.models import Account

    Account.objects.filter(account_id=SHIPPING).update(mode="observe")
    action = world.propose(KEY, *SUBJECTS[KEY].aim(world))
    assert action.status == "planned"

    with pytest.raises(Forbidden, match="observe"):
        world.approve(action)
    evidence = world.propose(SNAPSHOTS, *SUBJECTS[SNAPSHOTS].aim(world))
    assert world.fresh(evidence).status == "planned"
    assert world.wire.sent == []


def test_quells_own_and_protected_principals_are_refused(world: World) -> None:
    own = world.propose(ROLE, {"type": "role", "account": SHIPPING, "region": "", "id": "quell-read"})
    management = world.propose(ROLE, {"type": "role", "account": "111122223333", "region": "", "id": "any"})

    assert own.status == "refused"
    assert "own" in own.note
    assert management.status == "refused"
    assert "protected" in management.note


def test_nothing_in_force_is_looked_at_twice_at_once(world: World) -> None:
    action = world.apply(KEY, *SUBJECTS[KEY].aim(world))
    world.clock.advance(40)
    claimed = reconciling._claim(action.pk)
    assert claimed

    assert reconciling.look_at(action.pk) is None
    world.clock.advance(100)
    assert reconciling.look_at(action.pk) is not None


def test_a_death_while_planning_is_made_good(world: World) -> None:
    from containment import planning
    from tests.containment.world import Death

    target, params = SUBJECTS[KEY].aim(world)
    with dying(lambda point, _: point == "claimed") as died:
        action = planning.propose(
            incident=world.incident, type_id=KEY, target=target, params=params, by=world.asks, at=clock.now()
        )
        with pytest.raises(Death):
            sweeps.run_due_actions()
        world.clock.advance(100)
        sweeps.run_due_actions()

    assert died
    assert world.fresh(action).status == "planned"
    assert _keys(world)[0][1] == "Active"


def test_a_change_that_is_taken_back_at_once_is_never_verified(world: World) -> None:
    """Someone switches the key on again between our call and our look."""
    action = world.propose(KEY, *SUBJECTS[KEY].aim(world))
    world.approve(action)

    def take_back(name: str) -> None:
        if world.wire.landed and name == "iam:ListAccessKeys":
            _turn_key("Active")(world)

    world.wire.before_read = take_back
    action = world.drive(action)

    assert action.status == "unknown"
    assert not world.incident.timeline.filter(kind="action.verified").exists()
    assert Incident.objects.get(pk=world.incident.pk).contained_at is None


def test_every_change_of_status_is_in_the_ledger(world: World) -> None:
    action = world.apply(KEY, *SUBJECTS[KEY].aim(world))
    back = world.revert(action)

    told = AuditEvent.objects.filter(object_type="action", object_id__in=[action.ulid, back.ulid])
    acts = list(told.order_by("seq").values_list("act", flat=True))
    assert acts[:5] == [
        "action.proposed",
        "action.planned",
        "action.confirmed",
        "action.started",
        "action.verified",
    ]
    assert acts[-2:] == ["action.verified", "action.reverted"]
    assert record.verify() is None


def test_one_action_that_cannot_be_looked_at_does_not_hide_the_others(world: World) -> None:
    broken = world.apply(KEY, *SUBJECTS[KEY].aim(world))
    other = world.apply(ROLE, *SUBJECTS[ROLE].aim(world))
    plan = dict(broken.plan or {})
    plan["steps"][0]["seen"]["select"] = "not ] a path"
    Action.objects.filter(pk=broken.pk).update(plan=plan)
    world.clock.advance(60)

    sweeps.look_at_due()

    assert world.fresh(other).confirmed_at is not None
    broken = world.fresh(broken)
    assert broken.owner == ""
    assert "fault" in broken.alarm
    assert broken.looked_at == clock.now()


def test_a_fault_of_our_own_is_shown_and_goes_away_with_its_cause(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    action = world.propose(KEY, *SUBJECTS[KEY].aim(world))
    world.approve(action)
    with monkeypatch.context() as broken:
        broken.setattr(preflight, "check", lambda *_, **__: 1 / 0)
        sweeps.run_due_actions()
    action = world.fresh(action)
    assert action.status == "approved"
    assert "fault" in action.alarm
    assert "ZeroDivisionError" in action.alarm

    action = world.drive(action)

    assert action.status == "verified"
    assert action.alarm == ""


def test_a_plan_made_anew_while_someone_approves_the_old_one_is_not_approved(world: World) -> None:
    """The page was read before the plan changed; the row is read again under its lock."""
    stale = world.propose(KEY, *SUBJECTS[KEY].aim(world))
    Action.objects.filter(pk=stale.pk).update(plan_hash="0" * 64)

    with pytest.raises(approvals.OtherPlan):
        approvals.approve(
            action=stale, plan_hash=stale.plan_hash, by=world.approves, at=clock.now(), is_fresh=True
        )
    assert world.fresh(stale).status == "planned"


def test_asking_needs_the_account_at_every_door(world: World) -> None:
    """The check is the use-case's own, so that a third door cannot forget it."""
    world.asks = make.person("lead", login="elsewhere", accounts=["999999999999"])

    with pytest.raises(Forbidden, match="account"):
        world.propose(KEY, *SUBJECTS[KEY].aim(world))


def test_coverage_says_when_someone_else_contained_it(world: World) -> None:
    alert_about_key(world)
    with transaction.atomic():
        milestones.record(
            incident=world.incident,
            kind=MilestoneKind.CONTAINED,
            at=clock.now(),
            source=MilestoneSource.PERSON,
            basis="observed",
            by=world.approves,
            recorded_at=clock.now(),
            evidence="seen in CloudTrail",
        )

    row = next(row for row in coverage.coverage(world.incident) if row.is_required)

    assert row.technique.state == "elsewhere"
    assert not row.is_open
    assert coverage.contained_since(world.incident) is None, "that is not contained by Quell"


def test_an_approval_between_a_workers_last_write_and_its_letting_go_stays_due(world: World) -> None:
    """A plan may be approved the moment it is there, before the worker that made it has let go."""
    target, params = SUBJECTS[KEY].aim(world)
    action = planning.propose(
        incident=world.incident, type_id=KEY, target=target, params=params, by=world.asks, at=clock.now()
    )
    held = journal.claim(action.pk, owner=journal.me())
    assert held
    due = planning.plan_claimed(held)
    assert (held.status, due) == ("planned", None)
    world.approve(action)

    journal.release(held, due_at=due, alarm="")

    action = world.fresh(action)
    assert action.owner == ""
    assert action.due_at is not None
    assert world.drive(action).status == "verified"
