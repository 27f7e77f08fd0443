"""Block Public Access of a whole account: beside the bucket's own, only where it is asked for."""

from __future__ import annotations

from typing import Any

import pytest

from cases.models import Action
from containment.types import Plan
from tests.containment.actions.network_reader import ACCOUNT, misfits, planned, said
from tests.containment.world import REGION, SHIPPING, World

TYPE = "s3.block-public-access"
BUCKET = "labels"
ALL = {
    "BlockPublicAcls": True,
    "BlockPublicPolicy": True,
    "IgnorePublicAcls": True,
    "RestrictPublicBuckets": True,
}
SOME = {**ALL, "BlockPublicPolicy": False, "RestrictPublicBuckets": False}


def plan_of(own: Any = None, of_account: Any = None, *, whole: bool = True, **more: Any) -> Plan:
    def setting(found: Any) -> Any:
        return {"PublicAccessBlockConfiguration": found} if found else None

    table = {
        "s3:GetBucketLocation": {"LocationConstraint": more.get("region", "eu-west-1")},
        "s3:GetPublicAccessBlock": setting(own),
        "s3control:GetPublicAccessBlock": setting(of_account),
    }
    return planned(TYPE, BUCKET, table, {"whole_account": whole}, **more)


def of_account(plan: Plan) -> Any:
    """The account's call, its undo, and what was there."""
    (step,) = [one for one in plan.steps if one.name == "block-account"]
    assert step.call
    assert step.undo
    return (
        (step.call.name, dict(step.call.params)),
        (step.undo.name, dict(step.undo.params)),
        step.was,
    )


@pytest.mark.fast
def test_the_account_is_left_alone_where_it_was_not_asked_for() -> None:
    plan = plan_of(whole=False)

    assert [step.name for step in plan.steps] == ["block"]
    assert "s3control" not in said(plan)


@pytest.mark.fast
def test_an_account_without_a_setting_gets_one_and_loses_it_again() -> None:
    plan = plan_of()

    assert of_account(plan) == (
        ("s3control:PutPublicAccessBlock", {"AccountId": ACCOUNT, "PublicAccessBlockConfiguration": ALL}),
        ("s3control:DeletePublicAccessBlock", {"AccountId": ACCOUNT}),
        None,
    )
    assert any("every website and download" in one for one in plan.warnings)


@pytest.mark.fast
def test_an_account_with_a_setting_gets_it_back() -> None:
    _, undo, was = of_account(plan_of(of_account=SOME))

    asked = {"AccountId": ACCOUNT, "PublicAccessBlockConfiguration": SOME}
    assert undo == ("s3control:PutPublicAccessBlock", asked)
    assert was == SOME
    assert of_account(plan_of(of_account=ALL))[2] == ALL  # so already: not sent, and never undone


@pytest.mark.fast
@pytest.mark.parametrize(("partition", "region"), [("aws-cn", "cn-north-1"), ("aws-us-gov", "us-gov-west-1")])
def test_it_names_no_other_partition(partition: str, region: str) -> None:
    plan = plan_of(partition=partition, region=region)

    assert "arn:aws:" not in said(plan)
    assert misfits(plan) == []
    assert {step.call.at.region for step in plan.steps if step.call} == {region}


# --- over the wire ----------------------------------------------------------------------------------


def setting(world: World) -> Any:
    control = _control(world)
    try:
        return control.get_public_access_block(AccountId=SHIPPING)["PublicAccessBlockConfiguration"]
    except control.exceptions.NoSuchPublicAccessBlockConfiguration:
        return None


def _control(world: World) -> Any:
    """The administrator's client, which has to find the simulated AWS's host as well."""
    control = world.admin("s3control")
    url = world.simulator.url

    def host(request: Any, **_: Any) -> None:
        request.url = url + request.url.split(url.partition("://")[2], 1)[1]

    control.meta.events.register("before-sign.s3-control", host)
    return control


def applied(world: World, bucket: str = "", **params: Any) -> Action:
    buckets = [one["name"] for one in world.estate["buckets"] if one["account"] == SHIPPING]
    target = {"type": "bucket", "account": SHIPPING, "region": REGION, "id": bucket or buckets[0]}
    return world.apply(TYPE, target, {"whole_account": True, **params})


@pytest.mark.parametrize("before", [None, SOME])
def test_the_account_is_closed_and_put_back(world: World, before: Any) -> None:
    if before:
        _control(world).put_public_access_block(AccountId=SHIPPING, PublicAccessBlockConfiguration=before)

    action = applied(world)

    assert action.status == "verified", action.note
    assert world.wire.sent == ["s3:PutPublicAccessBlock", "s3control:PutPublicAccessBlock"]
    assert setting(world) == ALL
    back = world.revert(action)
    assert back.status == "verified", back.note
    assert setting(world) == before


def test_what_somebody_changed_of_the_account_is_not_overwritten(world: World) -> None:
    action = applied(world)
    _control(world).put_public_access_block(AccountId=SHIPPING, PublicAccessBlockConfiguration=SOME)

    back = world.revert(action)

    assert back.status == "conflict"
    assert setting(world) == SOME


def test_two_actions_do_not_both_hold_the_account(world: World) -> None:
    first = applied(world)
    others = [one["name"] for one in world.estate["buckets"] if one["account"] == SHIPPING]

    second = applied(world, others[1])

    assert second.status == "refused"
    assert first.ulid in second.note
    assert "account/444455556666/public-access-block" in second.note
