"""Sessions: as few as a plan allows, no wider than its calls, none kept over a wait (docs/adr/0026).

Counted in the log of the simulated AWS, which holds a session to the operations of its policy; that it
holds it to the resources as well is shown in `test_blocked_sessions.py`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from cases.models import Action
from containment import failpoints
from containment.describing import ref
from containment.models import StepState
from containment.sessions import SHORT_ENOUGH, as_far_as_known, is_settled
from containment.turn import Turn
from containment.types import Call, Duty, Kind, Place, Step, plan_of
from containment.wire import Eyes, Hand, Names, NotDeclared
from lib import aws, iam
from lib.aws import AwsError
from tests.containment.subjects import SUBJECTS
from tests.containment.world import REGION, SHIPPING, World, dying
from tests.simulator.conftest import post

CONTAIN = Place(account=SHIPPING, region="us-east-1", duty=Duty.CONTAIN)
NAMES = Names(session="INC-2026-0001-test", source_identity="quell-test")

COUNTED = {
    # Type: sessions of READ and of the acting role, in apply and in undo. ADR 26 says what they were.
    "ec2.isolate-instance": (Counter(read=3, contain=3), Counter(read=1, contain=1)),
    "iam.deactivate-access-key": (Counter(read=3, contain=1), Counter(read=1, contain=1)),
    "s3.restrict-bucket": (Counter(read=3, contain=1), Counter(read=1, contain=1)),
    "dns-firewall.block-domain": (Counter(read=3, contain=3), Counter(read=1, contain=2)),
}


def assumed(world: World, since: int = 0) -> list[dict[str, Any]]:
    """What the simulated AWS was asked for in sessions and gave."""
    calls = world.simulator.calls()[since:]
    return [one for one in calls if one["eventName"] == "AssumeRole" and "errorCode" not in one]


def by_role(calls: list[dict[str, Any]]) -> Counter[str]:
    return Counter(one["requestParameters"]["roleArn"].rsplit("quell-", 1)[-1] for one in calls)


def applied(world: World, type_id: str) -> Action:
    subject = SUBJECTS[type_id]
    if subject.arrange:
        subject.arrange(world)
    action = world.apply(type_id, *subject.aim(world))
    assert action.status == "verified", action.note
    return action


def keys_of(world: World, *operations: str) -> list[str]:
    """The session that each call of these operations was made in, in order; dry runs apart."""
    return [
        one["userIdentity"]["accessKeyId"]
        for one in world.simulator.calls()
        if one["eventName"] in operations and not one["dryRun"]
        and one["userIdentity"]["type"] == "AssumedRole"
    ]  # fmt: skip


def refuse_sessions(world: World, times: int) -> None:
    """Let AWS say of the next sessions that their policies are too large, packed."""
    rule = {"match": "sts:AssumeRole", "times": times, "status": 400, "code": "PackedPolicyTooLarge"}
    post(f"{world.simulator.url}/_sim/faults", [rule])


# --- how many -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("type_id", COUNTED)
def test_a_run_of_steps_takes_one_session_at_each_place(world: World, type_id: str) -> None:
    in_apply, in_undo = COUNTED[type_id]
    began = len(world.simulator.calls())
    action = applied(world, type_id)
    assert by_role(assumed(world, began)) == in_apply

    began = len(world.simulator.calls())
    assert world.revert(action).status == "verified"
    assert by_role(assumed(world, began)) == in_undo


def test_the_count_is_of_calls_and_finds_one_too_many(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted: no call knows what follows it, as it was when each had a session of its own."""
    monkeypatch.setattr(Turn, "run_from", lambda _self, _seq: iter(()))

    applied(world, "ec2.isolate-instance")

    assert by_role(assumed(world))["contain"] > COUNTED["ec2.isolate-instance"][0]["contain"]


def test_each_session_has_a_policy_and_lasts_fifteen_minutes(world: World) -> None:
    applied(world, "ec2.isolate-instance")

    for one in assumed(world):
        asked = one["requestParameters"]
        assert 0 < len(asked["policy"]) <= SHORT_ENOUGH
        assert int(asked["durationSeconds"]) == 900


# --- how wide -----------------------------------------------------------------------------------------


def test_planning_may_read_what_the_type_declares_and_no_more(world: World) -> None:
    subject = SUBJECTS["iam.deactivate-access-key"]
    world.propose("iam.deactivate-access-key", *subject.aim(world))

    (policy,) = [json.loads(one["requestParameters"]["policy"]) for one in assumed(world)]
    assert policy["Statement"] == [
        {"Effect": "Allow", "Action": _reads("iam.deactivate-access-key"), "Resource": ["*"]}
    ]


def _reads(type_id: str) -> list[str]:
    from containment.actions import action_type

    actions = {a for name in action_type(type_id).reads for a in iam.OPERATIONS[name].actions}
    return sorted(actions)


def test_carrying_out_reads_and_writes_only_about_what_the_plan_names(world: World) -> None:
    action = applied(world, "iam.deactivate-access-key")

    user = f"arn:aws:iam::{SHIPPING}:user/{action.params['user']}"
    elsewhere = f"arn:aws:iam::{SHIPPING}:user/*/{action.params['user']}"
    said = {
        (one["requestParameters"]["roleArn"].rsplit("/")[-1], statement["Action"][0])
        for one in assumed(world)
        for statement in json.loads(one["requestParameters"]["policy"])["Statement"]
        if statement["Resource"] == sorted([user, elsewhere])
    }
    assert said == {("quell-read", "iam:ListAccessKeys"), ("quell-contain", "iam:UpdateAccessKey")}


def test_a_read_that_is_not_declared_is_sent_nowhere(world: World) -> None:
    action = applied(world, "iam.deactivate-access-key")
    plan = plan_of(action.plan or {})
    seen = plan.steps[0].seen
    assert seen
    began = len(world.simulator.calls())

    with pytest.raises(NotDeclared):
        Eyes.of(plan, names=NAMES, results={}).read(replace(seen.read, operation="ListUsers", params={}))

    assert len(world.simulator.calls()) == began


def test_aws_refuses_what_the_list_of_reads_would_let_through(world: World) -> None:
    """The list and the session are two locks: with the first one open the second still holds."""
    action = applied(world, "iam.deactivate-access-key")
    plan = plan_of(action.plan or {})
    eyes = Eyes.of(plan, names=NAMES, results={})
    seen = plan.steps[0].seen
    assert seen
    eyes.read(seen.read)
    (shared,) = eyes.sessions.opened

    def look(role: aws.Role, operation: str) -> Any:
        return aws.read(role, region="us-east-1", service="iam", operation=operation, params={})

    with pytest.raises(AwsError, match="no session policy allows"):
        look(replace(shared.base, policy=shared.policy), "ListUsers")
    assert look(shared.base, "ListUsers")["Users"], "the role itself may"


# --- over a wait, and after a death -------------------------------------------------------------------


def test_no_session_is_kept_over_a_pause(world: World) -> None:
    action = applied(world, "ec2.isolate-instance")

    moved = keys_of(world, "ModifyNetworkInterfaceAttribute")
    assert len(moved) % 2 == 0
    before, after = moved[: len(moved) // 2], moved[len(moved) // 2 :]
    assert len(set(before)) == len(set(after)) == 1
    assert set(before) != set(after)
    assert set(keys_of(world, "CreateSecurityGroup")) == set(before)
    assert any(row.kind == Kind.PAUSE for row in world.steps(action))


def test_no_session_is_kept_over_a_wait(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    subject = SUBJECTS["ec2.share-snapshots"]
    if subject.arrange:
        subject.arrange(world)
    monkeypatch.setattr(failpoints, "on_reach", lambda point, _step: _unread(world, point))

    action = world.propose("ec2.share-snapshots", *subject.aim(world))  # evidence goes on by itself

    assert StepState.WAITING in {row.state for row in world.steps(action)}
    assert _held(action) == []
    monkeypatch.setattr(failpoints, "on_reach", None)
    assert world.drive(action).status == "verified"
    assert _held(action), "after the last wait nothing lets go of what is kept for fifteen minutes"
    keys = keys_of(world, "CopySnapshot", "ModifySnapshotAttribute")
    assert len(set(keys)) > 1


def _unread(world: World, point: str) -> None:
    """When a wait begins, let AWS not say twice (a read is repeated once) whether the snapshots are there."""
    if point != "waited":
        return
    rule = {"match": "ec2:DescribeSnapshots", "times": 2, "status": 500, "code": "InternalError"}
    post(f"{world.simulator.url}/_sim/faults", [rule])


def _held(action: Action) -> list[str]:
    """The ARNs of roles of which the process keeps a session for this action."""
    mine = Names.of(action).source_identity
    return [role.arn for role in aws._sessions if role.source_identity == mine]


def test_whoever_takes_over_makes_sessions_of_their_own(world: World) -> None:
    subject = SUBJECTS["ec2.isolate-instance"]
    action = world.approve(world.propose("ec2.isolate-instance", *subject.aim(world)))

    with dying(lambda point, step: point == "recorded" and step.startswith("isolate-vpc")) as died:
        action = world.drive(action)

    assert died
    assert action.status == "verified", action.note
    made = keys_of(world, "CreateSecurityGroup")
    assert set(made).isdisjoint(keys_of(world, "ModifyNetworkInterfaceAttribute"))


# --- split --------------------------------------------------------------------------------------------


def _of_user(name: str) -> Call:
    params = {"UserName": name, "AccessKeyId": "AKIAQ3EGXMZJ7WLV5TNA", "Status": "Inactive"}
    return Call(at=CONTAIN, service="iam", operation="UpdateAccessKey", params=params)


def _hand() -> Hand:
    return Hand(names=NAMES, allowed=frozenset({"iam:UpdateAccessKey"}))


def _allowed(call: Call) -> list[dict[str, Any]]:
    need = iam.statements(call.name, call.params, partition="aws", account=SHIPPING, region=call.at.region)
    return [dict(one) for one in need]


def test_what_does_not_fit_into_two_thousand_characters_is_split(world: World) -> None:
    calls = [_of_user(f"{'long' * 9}-{number:02}") for number in range(40)]
    hand = _hand()

    for number, call in enumerate(calls):
        hand.ready(call, calls[number + 1 :])

    policies = [one["requestParameters"]["policy"] for one in assumed(world)]
    assert 1 < len(policies) < len(calls) / 4
    assert max(map(len, policies)) <= SHORT_ENOUGH
    assert sorted(_users(policies)) == sorted(call.params["UserName"] for call in calls)


def _users(policies: list[str]) -> list[str]:
    """The users that policies name, each once for each policy that does."""
    return [
        resource.rsplit("/", 1)[-1]
        for policy in policies
        for statement in json.loads(policy)["Statement"]
        for resource in statement["Resource"]
        if "user/*/" not in resource
    ]


@pytest.mark.parametrize(("refusals", "kept"), [(1, 4), (2, 2), (3, 1)])
def test_what_aws_finds_too_large_is_halved_down_to_one_call(world: World, refusals: int, kept: int) -> None:
    calls = [_of_user(f"user-{number}") for number in range(8)]
    refuse_sessions(world, refusals)

    _hand().ready(calls[0], calls[1:])

    (made,) = assumed(world)
    assert len(_users([made["requestParameters"]["policy"]])) == kept


def test_one_call_that_is_too_large_is_a_refusal(world: World) -> None:
    refuse_sessions(world, 1)

    with pytest.raises(AwsError, match="PackedPolicyTooLarge"):
        _hand().ready(_of_user("user-1"))


def test_a_plan_goes_on_where_its_sessions_are_refused_as_too_large(world: World) -> None:
    subject = SUBJECTS["ec2.isolate-instance"]
    action = world.approve(world.propose("ec2.isolate-instance", *subject.aim(world)))
    refuse_sessions(world, 3)

    action = world.drive(action)

    assert action.status == "verified", action.note
    refused = [c for c in world.simulator.calls() if c.get("errorCode") == "PackedPolicyTooLarge"]
    assert len(refused) == 3
    wanted = COUNTED["ec2.isolate-instance"][0]
    assert by_role(assumed(world)).total() > wanted.total()


# --- values that are not known yet --------------------------------------------------------------------


def _step(call: Call) -> Step:
    return Step(name="one", kind=Kind.SET, call=call)


def test_a_call_is_settled_once_it_is_known_what_it_acts_on() -> None:
    at = replace(CONTAIN, duty=Duty.ORGANIZATION)
    call = Call(
        at=at,
        service="organizations",
        operation="AttachPolicy",
        params={"PolicyId": ref("policy"), "TargetId": "ou-1"},
    )
    known = {"policy": "p-1"}

    assert not is_settled(_step(call), call, results={})
    assert is_settled(_step(call), call, results=known)
    assert as_far_as_known(call, results={}).params == call.params
    assert as_far_as_known(call, results=known).params == {"PolicyId": "p-1", "TargetId": "ou-1"}


def test_a_value_that_no_policy_names_does_not_end_a_run() -> None:
    moved: Mapping[str, Any] = {"NetworkInterfaceId": "eni-1", "Groups": [ref("group")]}
    at = replace(CONTAIN, region=REGION)
    call = Call(at=at, service="ec2", operation="ModifyNetworkInterfaceAttribute", params=moved)

    assert is_settled(_step(call), call, results={})


def test_no_session_of_a_plan_allows_a_write_on_everything_that_could_be_named(world: World) -> None:
    """The domain list and the rule group are made by the plan: no session is opened before they are known."""
    applied(world, "dns-firewall.block-domain")

    wide = [
        statement
        for one in assumed(world)
        if one["requestParameters"]["roleArn"].endswith("quell-contain")
        for statement in json.loads(one["requestParameters"]["policy"])["Statement"]
        if statement["Resource"] == ["*"] and set(statement["Action"]) & _narrow()
    ]
    assert wide == []


def _narrow() -> set[str]:
    """IAM actions of the type that can be limited to a resource."""
    from containment.actions import action_type

    return {
        action
        for name in action_type("dns-firewall.block-domain").writes
        if iam.tells_resource(name)
        for action in iam.OPERATIONS[name].actions
    }
