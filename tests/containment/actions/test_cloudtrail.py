"""Starting a trail: which one, where, and by whom."""

from __future__ import annotations

from typing import Any

import pytest

from containment.actions import action_type
from containment.types import Plan, Refused
from tests.containment.actions.network_reader import ACCOUNT, MANAGEMENT, context, misfits, planned, said
from tests.containment.subjects.data import TRAIL, make_trail
from tests.containment.world import REGION, SHIPPING, World


def trail(
    *, home: str = "eu-west-1", account: str = ACCOUNT, partition: str = "aws", **more: Any
) -> dict[str, Any]:
    """A trail as DescribeTrails shows it."""
    return {
        "Name": TRAIL,
        "TrailARN": f"arn:{partition}:cloudtrail:{home}:{account}:trail/{TRAIL}",
        "HomeRegion": home,
        "S3BucketName": "trails",
        "IsMultiRegionTrail": True,
        "LogFileValidationEnabled": True,
        **more,
    }


def answers(*trails: dict[str, Any], logging: bool = False) -> dict[str, Any]:
    return {
        "cloudtrail:DescribeTrails": {"trailList": list(trails)},
        "cloudtrail:GetTrailStatus": {"IsLogging": logging},
    }


def start(*trails: dict[str, Any], target: str = TRAIL, logging: bool = False, **more: Any) -> Plan:
    return planned("cloudtrail.start-logging", target, answers(*trails, logging=logging), **more)


@pytest.mark.fast
def test_a_trail_is_started_where_it_is_at_home() -> None:
    plan = start(trail(home="us-east-1"))

    (step,) = plan.steps
    assert step.call
    assert step.seen
    assert (step.call.name, dict(step.call.params)) == ("cloudtrail:StartLogging", {"Name": TRAIL})
    assert step.call.at.region == step.seen.read.at.region == "us-east-1"
    assert (step.was, step.seen.equals) == (False, True)
    assert step.undo is None
    assert plan.warnings == ()


@pytest.mark.fast
def test_a_trail_that_logs_is_so_already() -> None:
    (step,) = start(trail(), logging=True).steps

    assert step.was is True


@pytest.mark.fast
def test_a_trail_may_be_named_by_its_arn_where_two_have_its_name() -> None:
    two = (trail(), trail(home="us-east-1"))

    with pytest.raises(Refused, match=r"there are 2 trails of the name shipping-trail; name one by its ARN"):
        start(*two)
    plan = start(*two, target=two[1]["TrailARN"])
    assert plan.facts["home_region"] == "us-east-1"


@pytest.mark.fast
def test_what_is_not_there_or_another_accounts_is_refused() -> None:
    with pytest.raises(Refused, match=f"account {ACCOUNT} has no trail shipping-trail in eu-west-1"):
        start(trail(Name="other"))
    with pytest.raises(Refused, match=f"belongs to account {MANAGEMENT}; start it there"):
        start(trail(account=MANAGEMENT))


@pytest.mark.fast
def test_a_trail_that_shows_little_or_can_be_changed_unseen_is_warned_of() -> None:
    plan = start(trail(IsMultiRegionTrail=False, LogFileValidationEnabled=False))

    assert [one.split(";")[0] for one in plan.warnings] == [
        "shipping-trail is for one region only",
        "shipping-trail has no log file validation",
    ]
    group = f"arn:aws:logs:eu-west-1:{ACCOUNT}:log-group:trail"
    table = answers(trail(CloudWatchLogsLogGroupArn=group))
    affected = action_type("cloudtrail.start-logging")().affects(
        context("cloudtrail.start-logging", TRAIL, table)
    )
    assert [one.what for one in affected] == ["bucket trails", group]


@pytest.mark.fast
@pytest.mark.parametrize(
    ("partition", "home"), [("aws-cn", "cn-northwest-1"), ("aws-us-gov", "us-gov-east-1")]
)
def test_a_trail_of_another_partition_is_started_there(partition: str, home: str) -> None:
    found = trail(home=home, partition=partition)
    plan = start(found, target=found["TrailARN"], partition=partition, region=home)

    assert "arn:aws:" not in said(plan)
    assert misfits(plan) == []
    assert plan.steps[0].call
    assert plan.steps[0].call.at.region == home


def test_a_trail_of_another_region_is_started_from_wherever_it_is_seen(world: World) -> None:
    make_trail(world)
    target = {"type": "trail", "account": SHIPPING, "region": "us-east-1", "id": TRAIL}

    action = world.apply("cloudtrail.start-logging", target)

    assert action.status == "verified", action.note
    assert world.wire.sent == ["cloudtrail:StartLogging"]
    assert world.admin("cloudtrail", region=REGION).get_trail_status(Name=TRAIL)["IsLogging"]
    with pytest.raises(Exception, match=r"nothing to undo|cannot be undone"):
        world.ask_to_undo(action)
