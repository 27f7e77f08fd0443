"""The contract (CONTRACT §10), for every registered type. A new type passes these or does not land."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import transaction

from cases.models import Action
from containment import locks, planning, presentation, starting, sweeps
from containment.actions import catalogue
from containment.deciding import Decision
from containment.describing import ActionType
from containment.expecting import in_force_compare
from containment.looking import resolved_check, same, select
from containment.models import StepState
from containment.types import CHANGING, Kind, plan_of
from containment.wire import Eyes, Names, reads_of
from lib import canonical, clock, iam
from lib.aws import AwsError
from lib.errors import Forbidden
from tests.containment import edit_type
from tests.containment.matrix import isolated
from tests.containment.subjects import SUBJECTS
from tests.containment.subjects.first import groups_of, instance
from tests.containment.subjects.subject import Subject
from tests.containment.world import SHIPPING, World

EVERY = sorted(declared.id for declared in catalogue())
TYPES = [type_id for type_id in EVERY if type_id in SUBJECTS]
UNDOABLE = [type_id for type_id in TYPES if SUBJECTS[type_id].has_undo]
ROOT = Path(__file__).resolve().parents[2]


def declared(type_id: str) -> type[ActionType]:
    return next(one for one in catalogue() if one.id == type_id)


def arranged(world: World, type_id: str) -> Subject:
    """The type's subject, with the world made ready for it."""
    subject = SUBJECTS[type_id]
    if subject.arrange:
        subject.arrange(world)
    return subject


def restored(subject: Subject, world: World | None = None, *, before: object = None) -> object:
    """What undo has to bring back, of the world as it is or of an earlier look."""
    look = subject.look(world) if world else before
    return subject.restored(look) if subject.restored else look


def planned(world: World, type_id: str) -> Action:
    target, params = arranged(world, type_id).aim(world)
    action = planning.propose(
        incident=world.incident,
        type_id=type_id,
        target=target,
        params=params,
        by=world.asks,
        at=clock.now(),
    )
    # Tier 0 would go on by itself; here it is only planned.
    Action.objects.filter(pk=action.pk).update(tier=max(1, action.tier))
    sweeps.run_due_actions()
    action = world.fresh(action)
    assert action.status == "planned", action.note
    return action


# --- what an author declares ------------------------------------------------------------------------


@pytest.mark.fast
def test_every_registered_type_is_held_to_the_contract() -> None:
    assert sorted(SUBJECTS) == EVERY


@pytest.mark.fast
@pytest.mark.parametrize("type_id", EVERY)
def test_its_id_is_its_path_and_its_docstring_says_what_it_does_not_stop(type_id: str) -> None:
    one = declared(type_id)

    assert one.__module__ == "containment.actions." + type_id.replace("-", "_")
    assert one.does_not_stop()
    assert one.fallback
    assert len((one.__doc__ or "").split("\n")[0]) > 20


@pytest.mark.fast
@pytest.mark.parametrize("type_id", TYPES)
def test_every_operation_it_declares_is_in_the_table_of_iam_actions(type_id: str) -> None:
    one = declared(type_id)

    for operation in (*one.reads, *one.writes):
        assert operation in iam.OPERATIONS
        assert re.fullmatch(r"[a-z0-9-]+:[A-Z][A-Za-z0-9]+", operation)


# --- planning ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("type_id", TYPES)
def test_planning_sends_no_write_and_reads_only_what_it_declares(world: World, type_id: str) -> None:
    action = planned(world, type_id)

    assert world.wire.sent == []
    assert world.wire.reads <= set(declared(type_id).reads)
    ours = [c for c in world.simulator.calls() if c["userIdentity"].get("type") == "AssumedRole"]
    wrote = {c["eventName"] for c in ours if not c.get("readOnly")}
    assert wrote <= {"AssumeRole"} | _read_names(type_id)
    assert action.plan


def _read_names(type_id: str) -> set[str]:
    """What CloudTrail does not call read-only, though the type declares it as a read."""
    return {name.split(":")[1] for name in declared(type_id).reads}


@pytest.mark.parametrize("type_id", TYPES)
def test_the_same_world_gives_the_same_hash(world: World, type_id: str) -> None:
    action = planned(world, type_id)
    one = declared(type_id)

    again = planning.make_plan(action, one).digest
    world.clock.advance(61)
    later = planning.make_plan(action, one).digest
    world.wire.reverse_lists = True
    reversed_lists = planning.make_plan(action, one).digest
    stored = json.loads(json.dumps(action.plan))

    assert {again, later, reversed_lists, planning.hash_of(action, stored)} == {action.plan_hash}


@pytest.mark.parametrize("type_id", TYPES)
def test_what_it_changes_of_an_object_of_its_own_carries_its_mark(world: World, type_id: str) -> None:
    """Else a second action that makes such an object meets the lock of the first, on another thing."""
    action = planned(world, type_id)
    assert unmarked(action) == []


def unmarked(action: Action) -> list[str]:
    """What steps change that is named after a step which makes it, and could be another action's as well."""
    steps = plan_of(action.plan or {}).steps
    made = {step.name for step in steps if step.kind == Kind.CREATE}
    mark = f"quell-{action.ulid}".lower()
    return [
        step.changes
        for step in steps
        if step.kind in (Kind.SET, Kind.EDIT)
        and made & set(re.split(r"[:/]", step.changes))
        and mark not in step.changes.lower()
    ]


@pytest.mark.fast
def test_a_change_without_a_mark_is_found(world: World) -> None:
    action = planned(world, "ec2.isolate-instance")
    assert action.plan
    text = json.dumps(action.plan).replace(f"ec2:group/quell-{action.ulid.lower()}-", "ec2:group/")
    action.plan = json.loads(text)
    assert len(unmarked(action)) == 3


@pytest.mark.parametrize("type_id", TYPES)
def test_two_processes_give_the_same_hash(world: World, type_id: str, tmp_path: Path) -> None:
    action = planned(world, type_id)
    kept: dict[str, object] = {}
    context = planning.context_of(action, declared(type_id))
    recording = Recording(context.reader, kept)
    declared(type_id)().plan(
        type(context)(
            **{**{f: getattr(context, f) for f in context.__dataclass_fields__}, "reader": recording}
        )
    )
    brief = {
        "type": type_id,
        "id": action.ulid,
        "target": action.target,
        "params": action.params,
        "duty": context.duty.value,
        "places": {where: canonical_place(place) for where, place in context.places.items()},
        "answers": kept,
        "partition": context.partition,
        "exempt": list(context.exempt),
        "write_back": context.write_back,
        "regions": list(context.regions),
        "tier": (action.plan or {})["facts"]["tier"],
    }
    path = tmp_path / "brief.json"
    path.write_text(json.dumps(brief), encoding="utf-8")

    digests = {action.plan_hash}
    for seed in ("1", "4242"):
        command = [sys.executable, "-m", "tests.containment.plan_alone", str(path)]
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        told = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
        digests.add(told.stdout.strip())

    assert len(digests) == 1


class Recording:
    """A reader that keeps what it was told."""

    def __init__(self, reader: object, kept: dict[str, object]) -> None:
        self.reader, self.kept = reader, kept

    def read(self, read: object) -> object:
        from containment.types import plain

        answer = self.reader.read(read)  # type: ignore[attr-defined]
        self.kept[canonical.dumps(plain(read))] = answer
        return answer


def canonical_place(place: object) -> dict[str, str]:
    from containment.types import plain

    stored = plain(place)
    assert isinstance(stored, dict)
    return {key: str(value) for key, value in stored.items()}


@pytest.mark.parametrize("type_id", TYPES)
def test_a_plan_survives_json_and_can_be_read_by_a_person(world: World, type_id: str) -> None:
    action = planned(world, type_id)
    stored = json.loads(json.dumps(action.plan))

    from containment.types import plain

    assert plain(plan_of(stored)) == stored
    view = presentation.present(action, world.approves)
    assert view.sentences
    assert bool(view.changes) is not SUBJECTS[type_id].collects
    assert bool(view.calls) is not SUBJECTS[type_id].collects
    assert view.does_not_stop
    assert all("$ref" not in line.left + line.right for change in view.changes for line in change.lines)


@pytest.mark.parametrize("type_id", TYPES)
def test_every_session_policy_fits(world: World, type_id: str) -> None:
    action = world.apply(type_id, *arranged(world, type_id).aim(world))
    assert action.status == "verified", action.note

    asked = [c for c in world.simulator.calls() if c["eventName"] == "AssumeRole"]
    policies = [c["requestParameters"].get("policy", "") for c in asked]

    assert all(policies), "a session that may do whatever its role may"
    assert max(len(policy) for policy in policies) <= iam.POLICY_LIMIT


# --- applying ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("type_id", TYPES)
def test_apply_then_undo_restores_the_first_state(world: World, type_id: str) -> None:
    subject = arranged(world, type_id)
    before = subject.look(world)
    action = world.apply(type_id, *subject.aim(world))

    assert action.status == "verified", action.note
    assert set(world.wire.sent) <= set(declared(type_id).writes)
    assert subject.look(world) != before
    assert world.incident.timeline.filter(kind="action.verified").exists()
    if not subject.has_undo:
        return
    back = world.revert(action)
    assert back.status == "verified", back.note
    assert world.fresh(action).status == "reverted"
    assert restored(subject, world) == restored(subject, before=before)
    assert world.locks() == []


@pytest.mark.parametrize("type_id", TYPES)
def test_each_look_gives_the_shape_that_the_answer_gave(world: World, type_id: str) -> None:
    action = world.apply(type_id, *arranged(world, type_id).aim(world))
    plan = plan_of(action.plan or {})
    eyes = Eyes(names=Names.of(action), allowed=reads_of(plan))
    rows = world.steps(action)
    results = {row.name: row.result["value"] for row in rows if row.result}

    last = {step.changes: step.name for step in plan.steps if step.kind in CHANGING}
    for step, row in zip(plan.steps, rows, strict=True):
        if step.kind not in CHANGING or last[step.changes] != step.name:
            continue
        assert step.seen
        assert row.result
        check = resolved_check(step.seen, results=results)
        # What later steps refer to lies elsewhere in the same answer where a step has a `value`.
        found = select(step.value or check.select, eyes.read(check.read))
        assert same(found, row.result["value"], in_force_compare(step)), step.name


@pytest.mark.parametrize("type_id", [t for t in TYPES if SUBJECTS[t].already])
def test_what_is_already_so_is_neither_sent_nor_undone(world: World, type_id: str) -> None:
    already = arranged(world, type_id).already
    assert already
    already(world)
    before = SUBJECTS[type_id].look(world)

    action = world.apply(type_id, *SUBJECTS[type_id].aim(world))

    assert action.status == "verified"
    assert "already" in action.note
    assert world.wire.sent == []
    states = {row.state for row in world.steps(action)}
    assert StepState.ALREADY in states
    assert states <= {StepState.ALREADY, StepState.DONE}
    with pytest.raises(Exception, match="nothing to undo"):
        world.ask_to_undo(action)
    assert SUBJECTS[type_id].look(world) == before


@pytest.mark.parametrize("type_id", [t for t in TYPES if SUBJECTS[t].drift])
def test_an_edit_between_approval_and_start_is_drift_with_the_new_plan(world: World, type_id: str) -> None:
    action = planned(world, type_id)
    approved_plan, digest = action.plan, action.plan_hash
    world.approve(action)
    drift = SUBJECTS[type_id].drift
    assert drift
    drift(world)

    action = world.drive(action)

    assert action.status == "drifted", action.note
    assert world.wire.sent == []
    assert action.plan != approved_plan
    assert action.plan_hash != digest
    assert action.drift
    assert world.locks() == []
    assert world.drive(world.approve(action)).status == "verified"


@pytest.mark.parametrize("type_id", UNDOABLE)
def test_a_change_of_ours_by_someone_else_is_a_conflict(world: World, type_id: str) -> None:
    disturb = arranged(world, type_id).disturb
    assert disturb
    action = world.apply(type_id, *SUBJECTS[type_id].aim(world))
    disturb(world)
    disturbed, sent = SUBJECTS[type_id].look(world), len(world.wire.sent)

    back = world.revert(action)

    if SUBJECTS[type_id].two_valued:
        # What someone else put back is what undo would have made.
        assert back.status == "verified"
    else:
        assert back.status == "conflict", back.note
        assert world.fresh(action).status == "conflict"
        assert "now it is" in back.note
    assert len(world.wire.sent) == sent
    assert SUBJECTS[type_id].look(world) == disturbed


@pytest.mark.parametrize("type_id", [t for t in UNDOABLE if SUBJECTS[t].unrelated])
def test_unrelated_edits_survive_apply_and_undo(world: World, type_id: str) -> None:
    subject = arranged(world, type_id)
    assert subject.unrelated
    action = world.apply(type_id, *subject.aim(world))
    subject.unrelated(world)

    back = world.revert(action)

    assert back.status == "verified", back.note
    after = subject.look(world)
    isolated_before = {}
    beside = subject.unrelated
    assert beside is not None

    def look_at_unrelated_alone() -> None:
        arranged(world, type_id)
        beside(world)
        isolated_before["look"] = subject.look(world)

    isolated(world, look_at_unrelated_alone)
    assert after == isolated_before["look"]


@pytest.mark.parametrize("type_id", TYPES)
def test_reads_that_lag_behind_do_not_mislead(world: World, type_id: str) -> None:
    subject = arranged(world, type_id)
    world.wire.stale = 8.0

    action = world.apply(type_id, *subject.aim(world))

    world.wire.stale = 0.0
    assert action.status == "verified", action.note
    if subject.has_undo:
        world.wire.stale = 8.0
        back = world.revert(action)
        world.wire.stale = 0.0
        assert back.status == "verified", back.note


@pytest.mark.parametrize("type_id", TYPES)
def test_a_refusal_of_each_call_in_turn_leaves_nothing_open(world: World, type_id: str) -> None:
    subject = SUBJECTS[type_id]
    numbers: list[int] = []

    def count() -> None:
        arranged(world, type_id)
        world.apply(type_id, *subject.aim(world))
        numbers.append(len(world.wire.sent))

    isolated(world, count)
    for number in range(1, numbers[0] + 1):
        isolated(world, lambda number=number: _refuse(world, type_id, number))


def _refuse(world: World, type_id: str, number: int) -> None:
    subject = arranged(world, type_id)
    before = subject.look(world)
    world.wire.faults[number] = AwsError("AccessDenied", "not authorized", status=403)

    action = world.apply(type_id, *subject.aim(world))

    assert action.status in ("failed", "partial", "unknown"), (number, action.status)
    assert action.status != "unknown" or "LEFT OPEN" not in action.note
    if type_id == "ec2.isolate-instance":
        untracked = [name for name in str(subject.look(world)["interfaces"]).split("'") if "untrack" in name]
        assert untracked == [], f"call {number} refused: an interface is left in the open group"
    if action.status == "failed":
        assert world.locks() == []
        assert subject.look(world) == before
    elif subject.has_undo:
        back = world.revert(action)
        assert back.status == "verified", (number, back.note)
        assert restored(subject, world) == restored(subject, before=before)


# --- together ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("type_id", UNDOABLE)
def test_a_second_action_on_the_same_thing_names_the_first(world: World, type_id: str) -> None:
    aim = arranged(world, type_id).aim(world)
    first = world.apply(type_id, *aim)

    second = world.propose(type_id, *aim)

    if not SUBJECTS[type_id].meets_itself:
        assert second.status != "refused", second.note
        return
    assert second.status == "refused"
    assert (SUBJECTS[type_id].nothing_left or first.ulid) in second.note


def test_two_plans_for_one_interface_lead_to_one_effect(world: World) -> None:
    aim = SUBJECTS["ec2.isolate-instance"].aim(world)
    first, second = (world.propose("ec2.isolate-instance", *aim) for _ in range(2))
    for action in (first, second):
        world.approve(action)

    ends = sorted(world.drive(action).status for action in (first, second))

    assert ends in (["drifted", "verified"], ["refused", "verified"])
    assert world.wire.sent.count("ec2:CreateSecurityGroup") == 2


def test_a_hold_that_someone_breaks_is_an_alarm_and_not_contained(world: World) -> None:
    action = world.apply("ec2.isolate-instance", *SUBJECTS["ec2.isolate-instance"].aim(world))
    isolate = next(
        r.result["value"] for r in world.steps(action) if r.name.startswith("isolate-vpc") and r.result
    )
    world.admin("ec2").authorize_security_group_ingress(
        GroupId=isolate,
        IpPermissions=[
            {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
        ],
    )
    world.clock.advance(60)

    sweeps.look_at_due()

    action = world.fresh(action)
    assert action.status == "unknown"
    assert "must hold" in action.alarm


# --- isolating an instance --------------------------------------------------------------------------


def test_every_interface_goes_through_the_open_group_into_the_closed_one(world: World) -> None:
    before = groups_of(world)
    seen: list[dict[str, list[str]]] = []
    world.wire.before_write = lambda _, name: (
        seen.append(groups_of(world)) if name == "ec2:ModifyNetworkInterfaceAttribute" else None
    )

    action = world.apply("ec2.isolate-instance", *SUBJECTS["ec2.isolate-instance"].aim(world))

    groups = {
        row.name.split("-")[0]: row.result["value"]
        for row in world.steps(action)
        if "vpc" in row.name and row.kind == "CREATE" and row.result
    }
    assert len(before) == 3
    assert groups_of(world) == {eni: [groups["isolate"]] for eni in before}
    assert seen[3] == {eni: [groups["untrack"]] for eni in before}

    world.wire.before_write = None
    world.revert(action)
    assert groups_of(world) == before


def test_an_interface_that_appeared_after_approval_is_drift(world: World) -> None:
    action = planned(world, "ec2.isolate-instance")
    world.approve(action)
    host = instance(world)
    ec2 = world.admin("ec2")
    made = ec2.create_network_interface(SubnetId=host["interfaces"][0]["subnet"])["NetworkInterface"]
    ec2.attach_network_interface(
        NetworkInterfaceId=made["NetworkInterfaceId"], InstanceId=host["id"], DeviceIndex=7
    )

    action = world.drive(action)

    assert action.status == "drifted"
    assert any(made["NetworkInterfaceId"] in line for line in action.drift)


def test_undoing_a_revocation_early_needs_a_reason_and_warns(world: World) -> None:
    from containment import undo
    from lib.errors import Invalid

    action = world.apply("iam.revoke-role-sessions", *SUBJECTS["iam.revoke-role-sessions"].aim(world))

    with pytest.raises(Invalid, match="live again"):
        undo.propose_revert(action=action, reason=" ", by=world.asks, at=clock.now())
    asked = world.ask_to_undo(action)
    assert asked.plan
    assert "live again" in asked.plan["warnings"][0]


# --- approval ---------------------------------------------------------------------------------------


def test_a_plan_changed_in_the_database_is_not_carried_out(world: World) -> None:
    action = planned(world, "iam.deactivate-access-key")
    world.approve(action)
    plan = dict(action.plan or {})
    plan["steps"][0]["call"]["params"]["UserName"] = "etl-runner"
    Action.objects.filter(pk=action.pk).update(plan=plan)

    sweeps.run_due_actions()

    action = world.fresh(action)
    assert action.status == "planned"
    assert action.note == "the stored plan is not the approved one"
    assert world.wire.sent == []
    assert world.incident.timeline.filter(kind="action.tampered").exists()


def test_who_asked_for_a_disruptive_plan_does_not_approve_it(world: World) -> None:
    world.asks = world.approves
    action = planned(world, "ec2.isolate-instance")

    with pytest.raises(Forbidden, match="someone else must approve"):
        world.approve(action)


# --- an edit of a document that others edit too ------------------------------------------------------


@pytest.fixture
def restrict() -> Iterator[str]:
    with edit_type.registered() as one:
        yield one.id


def _bucket(world: World) -> str:
    return str(next(b["name"] for b in world.estate["buckets"] if b["account"] == SHIPPING))


def _bucket_target(world: World) -> dict[str, str]:
    return {"type": "bucket", "account": SHIPPING, "region": "eu-west-1", "id": _bucket(world)}


def _statements(world: World) -> list[str]:
    s3 = world.admin("s3")
    try:
        document = json.loads(s3.get_bucket_policy(Bucket=_bucket(world))["Policy"])
    except s3.exceptions.from_code("NoSuchBucketPolicy"):
        return []
    return sorted(str(statement["Sid"]) for statement in document["Statement"])


def _add_statement(world: World, sid: str) -> None:
    s3 = world.admin("s3")
    try:
        document = json.loads(s3.get_bucket_policy(Bucket=_bucket(world))["Policy"])
    except s3.exceptions.from_code("NoSuchBucketPolicy"):
        document = {"Version": "2012-10-17", "Statement": []}
    document["Statement"].append(
        {
            "Sid": sid,
            "Effect": "Allow",
            "Principal": {"AWS": f"arn:aws:iam::{SHIPPING}:root"},
            "Action": "s3:GetObject",
            "Resource": "*",
        }
    )
    s3.put_bucket_policy(Bucket=_bucket(world), Policy=json.dumps(document))


def test_an_edit_changes_our_statement_only(world: World, restrict: str) -> None:
    _add_statement(world, "Theirs")
    action = world.apply(restrict, _bucket_target(world))
    assert action.status == "verified", action.note
    _add_statement(world, "TheirsLater")

    assert _statements(world) == sorted(["Theirs", "TheirsLater", f"Quell{action.ulid}"])
    back = world.revert(action)

    assert back.status == "verified", back.note
    assert _statements(world) == ["Theirs", "TheirsLater"]


def test_an_edit_of_nothing_makes_the_document_and_takes_it_away_again(world: World, restrict: str) -> None:
    before = _statements(world)
    action = world.apply(restrict, _bucket_target(world))
    assert action.status == "verified", action.note

    back = world.revert(action)

    assert back.status == "verified", back.note
    assert _statements(world) == before


def test_two_actions_on_one_document_are_both_in_force(world: World, restrict: str) -> None:
    first, second = (world.propose(restrict, _bucket_target(world)) for _ in range(2))
    for action in (first, second):
        world.approve(action)

    ends = [world.drive(action).status for action in (first, second)]

    assert ends == ["verified", "verified"]
    assert {f"Quell{first.ulid}", f"Quell{second.ulid}"} <= set(_statements(world))


def test_a_document_is_left_alone_while_another_edits_it(world: World, restrict: str) -> None:
    first = world.propose(restrict, _bucket_target(world))
    second = world.propose(restrict, _bucket_target(world))
    edit = plan_of(first.plan or {}).steps[0].edit
    assert edit
    assert locks.take_document(first, edit)
    world.approve(second)
    sweeps.run_due_actions()
    held = world.fresh(second)

    assert held.status == "applying"
    assert [row.state for row in world.steps(held)] == [StepState.PENDING]
    assert world.wire.sent == []
    with transaction.atomic():
        locks.free_document(first)
    assert world.drive(second).status == "verified"


@pytest.mark.fast
def test_the_table_of_decisions_has_a_word_for_each_answer() -> None:
    assert {one.value for one in Decision} == {
        "send",
        "already",
        "ours",
        "applied",
        "look again",
        "drifted",
        "unknown",
    }
    assert starting.difference({}, {}) == ["its sentences have changed"]
    assert Kind.CREATE in CHANGING
