"""The attacker races IAM: what a principal gets after it was contained is found, told and rung."""

from __future__ import annotations

from typing import Any

import pytest

from cases.models import Action
from containment import coverage, sweeps, watching
from containment.in_force import quiet_words
from containment.models import Watch
from lib import clock
from notify.models import Delivery, Notice
from tests import make
from tests.containment.subjects import SUBJECTS
from tests.containment.world import World

KEY = "iam.deactivate-access-key"
SESSIONS = "iam.revoke-role-sessions"


def contained(world: World, type_id: str = KEY) -> Action:
    """An incident about the target, contained by one verified action."""
    target, params = SUBJECTS[type_id].aim(world)
    resources = [{"type": target["type"], "id": target["id"]}]
    resources += [{"type": "user", "id": params["user"]}] if "user" in params else []
    make.alert(incident=world.incident, account=target["account"], resources=resources)
    action = world.apply(type_id, target, params)
    assert action.status == "verified", action.note
    world.incident.refresh_from_db()
    assert world.incident.contained_at == action.verified_at
    return action


def later(world: World, seconds: float) -> Watch:
    """Let time pass, and whatever watch is due be looked after."""
    world.clock.advance(seconds)
    sweeps.watch_due()
    return Watch.objects.get()


def test_a_second_key_minted_after_containment_is_found_told_and_rung(world: World) -> None:
    action = contained(world)
    world.clock.advance(3)
    minted = world.admin("iam").create_access_key(UserName="ci-deploy")["AccessKey"]["AccessKeyId"]

    watch = later(world, 2)

    assert [(one["kind"], one["id"]) for one in watch.found] == [("access_key", minted)]
    world.incident.refresh_from_db()
    assert world.incident.contained_at is None
    row = coverage.coverage(world.incident)[0]
    assert (row.kind, row.id, row.is_open, row.found_by_watch) == ("access_key", minted, True, True)
    assert world.incident.timeline.filter(kind="containment.raced").count() == 1
    notice = Notice.objects.get(kind="containment.raced")
    assert minted in notice.title
    assert notice.link == f"/actions/{action.ulid}"
    people = set(Delivery.objects.filter(notice=notice).values_list("person_id", flat=True))
    assert {world.asks.person_id, world.approves.person_id} <= people


def test_the_same_find_is_told_once_and_its_containment_makes_it_whole_again(world: World) -> None:
    contained(world)
    minted = world.admin("iam").create_access_key(UserName="ci-deploy")["AccessKey"]["AccessKeyId"]
    for seconds in (5, 10, 15):
        later(world, seconds)
    assert Notice.objects.filter(kind="containment.raced").count() == 1

    target, params = SUBJECTS[KEY].aim(world)
    second = world.apply(KEY, {**target, "id": minted}, params)

    assert second.status == "verified", second.note
    world.incident.refresh_from_db()
    assert world.incident.contained_at == second.verified_at
    assert not any(row.is_open for row in coverage.coverage(world.incident))


@pytest.mark.parametrize("what", ["policy", "group", "password", "attached"])
def test_whatever_else_the_user_gets_is_found(world: World, what: str) -> None:
    contained(world)
    iam, user = world.admin("iam"), "ci-deploy"
    if what == "policy":
        iam.put_user_policy(UserName=user, PolicyName="quell-lookalike", PolicyDocument=ALLOW)
    if what == "group":
        iam.create_group(GroupName="admins")
        iam.add_user_to_group(GroupName="admins", UserName=user)
    if what == "password":
        iam.create_login_profile(UserName=user, Password="Correct-horse-battery-9")
    if what == "attached":
        iam.attach_user_policy(UserName=user, PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")

    watch = later(world, 5)

    kinds = {"policy": "inline_policy", "attached": "attached_policy"}
    assert [one["kind"] for one in watch.found] == [kinds.get(what, what)]
    world.incident.refresh_from_db()
    assert world.incident.contained_at is None


ALLOW = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}'


def test_a_trust_policy_that_lets_someone_else_in_is_found(world: World) -> None:
    contained(world, SESSIONS)
    iam, role = world.admin("iam"), "tracking-api"
    import json

    document = iam.get_role(RoleName=role)["Role"]["AssumeRolePolicyDocument"]
    document["Statement"].append(
        {
            "Effect": "Allow",
            "Principal": {"AWS": "arn:aws:iam::999988887777:root"},
            "Action": "sts:AssumeRole",
        }
    )
    iam.update_assume_role_policy(RoleName=role, PolicyDocument=json.dumps(document))

    assert [one["kind"] for one in later(world, 5).found] == ["trust"]


def test_what_our_own_actions_give_the_user_is_no_find(world: World) -> None:
    contained(world)
    target = {
        "type": "user",
        "account": SUBJECTS[KEY].aim(world)[0]["account"],
        "region": "",
        "id": "ci-deploy",
    }
    ours = world.apply("iam.revoke-user-sessions", target, {})
    assert ours.status == "verified", ours.note

    world.clock.advance(5)
    sweeps.watch_due()

    assert [watch.found for watch in Watch.objects.all()] == [[], []]


def test_it_looks_at_5_15_30_60_and_300_seconds_and_for_half_an_hour(world: World) -> None:
    contained(world)
    watch = Watch.objects.get()
    start, looks = watch.since, []
    assert start
    while watch.due_at:
        world.clock.move_to(watch.due_at)
        assert sweeps.watch_due() == 1
        looks.append(int((clock.now() - start).total_seconds()))
        watch.refresh_from_db()

    assert looks[:5] == [5, 15, 30, 60, 300]
    assert looks[-1] == 1800
    assert watch.looks == len(watching.AFTER_SECONDS)
    assert quiet_words(watch, clock.now()) == "quiet for 30 min; the watch is over"


def test_what_the_credential_still_gets_done_is_found_where_a_trail_can_be_read(world: World) -> None:
    contained(world)
    key = next(u for u in world.estate["users"] if u["name"] == "ci-deploy")["access_keys"][0]
    world.clock.advance(12)
    # Someone switches the key on again and uses it: the reconciler sees the key, the watch sees the calls.
    world.admin("iam").update_access_key(
        UserName="ci-deploy", AccessKeyId=key["access_key_id"], Status="Active"
    )
    from tests.containment.world import REGION, client

    client(world.simulator.url, "s3", key, REGION).list_buckets()

    watch = later(world, 60)

    assert "trail read in" in watch.trail
    assert any("ListBuckets" in one["what"] for one in watch.found), watch.found


def test_two_workers_look_once(world: World) -> None:
    contained(world)
    world.clock.advance(5)
    looked: list[Any] = [watching.look_at_due(), watching.look_at_due()]

    assert looked == [1, 0]


def test_a_user_that_cannot_be_read_is_said_and_tried_again(world: World) -> None:
    action = contained(world)
    world.admin("iam").put_role_policy(
        RoleName="quell-read",
        PolicyName="no",
        PolicyDocument='{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"iam:List*","Resource":"*"}]}',
    )

    watch = later(world, 5)

    assert "could not be read" in watch.unread
    assert watch.found == []
    assert watch.due_at
    world.incident.refresh_from_db()
    assert world.incident.contained_at == action.verified_at


def test_an_undo_ends_the_watch(world: World) -> None:
    action = contained(world)
    world.revert(action)

    assert later(world, 5).due_at is None


def test_a_principal_whose_state_before_could_not_be_read_is_never_called_quiet(world: World) -> None:
    contained(world)
    Watch.objects.update(baseline={}, unread="what it had before could not be read: AccessDenied")

    watch = later(world, 5)

    assert watch.looks == 1
    assert "before could not be read" in quiet_words(watch, clock.now())
    assert "quiet for" not in quiet_words(watch, clock.now())


def test_a_policy_found_after_containment_is_covered_by_denying_the_user_everything(world: World) -> None:
    contained(world)
    world.admin("iam").put_user_policy(UserName="ci-deploy", PolicyName="more", PolicyDocument=ALLOW)
    later(world, 5)
    assert coverage.coverage(world.incident)[0].kind == "inline_policy"
    account = SUBJECTS[KEY].aim(world)[0]["account"]

    denied = world.apply(
        "iam.deny-user", {"type": "user", "account": account, "region": "", "id": "ci-deploy"}, {}
    )

    assert denied.status == "verified", denied.note
    assert not any(row.is_open for row in coverage.coverage(world.incident))
    world.incident.refresh_from_db()
    assert world.incident.contained_at == denied.verified_at
