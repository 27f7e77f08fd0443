"""What the pure tests cannot show: dry runs, the isolation in one step, and undo after silence."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.containment.subjects.ec2 import SUBJECTS as OF_EC2
from tests.containment.subjects.ec2 import described
from tests.containment.subjects.first import SUBJECTS, groups_of, instance
from tests.containment.world import World


def test_a_dry_run_of_metadata_options_changes_nothing(world: World) -> None:
    before = described(world)["MetadataOptions"]
    with pytest.raises(ClientError, match="DryRunOperation"):
        world.admin("ec2").modify_instance_metadata_options(
            InstanceId=instance(world)["id"], HttpTokens="required", DryRun=True
        )

    assert described(world)["MetadataOptions"] == before


def test_an_isolation_in_one_step_is_verified_and_undone(world: World) -> None:
    before, (target, _) = groups_of(world), SUBJECTS["ec2.isolate-instance"].aim(world)
    action = world.apply("ec2.isolate-instance", target, {"pause": 0})

    assert action.status == "verified", action.note
    assert world.wire.sent.count("ec2:CreateSecurityGroup") == 1
    assert world.revert(action).status == "verified"
    assert groups_of(world) == before


def test_two_hosts_of_one_vpc_are_isolated_side_by_side_and_each_undone(world: World) -> None:
    """Each action has groups of its own, and a lock of one says nothing of the other's."""
    ec2 = world.admin("ec2")
    hosts = [
        one["id"] for one in world.estate["instances"] if one["name"] in ("tracking-api", "carrier-sync")
    ]
    assert len(hosts) == 2
    vpcs = {one["VpcId"] for one in _interfaces(ec2, hosts)}
    assert len(vpcs) == 1
    before = _groups(ec2, hosts)
    target, _ = SUBJECTS["ec2.isolate-instance"].aim(world)

    actions = [world.apply("ec2.isolate-instance", {**target, "id": host}, {}) for host in hosts]

    assert [action.status for action in actions] == ["verified", "verified"], actions[1].note
    groups = [{name for names in _groups(ec2, [host]).values() for name in names} for host in hosts]
    assert all(groups)
    assert not groups[0] & groups[1]
    assert [world.revert(action).status for action in actions] == ["verified", "verified"]
    assert _groups(ec2, hosts) == before


def _interfaces(ec2: Any, hosts: list[str]) -> list[dict[str, Any]]:
    of_hosts = [{"Name": "attachment.instance-id", "Values": hosts}]
    found: list[dict[str, Any]] = ec2.describe_network_interfaces(Filters=of_hosts)["NetworkInterfaces"]
    return found


def _groups(ec2: Any, hosts: list[str]) -> dict[str, list[str]]:
    """The security groups of each interface of the hosts."""
    return {
        one["NetworkInterfaceId"]: sorted(group["GroupId"] for group in one["Groups"])
        for one in _interfaces(ec2, hosts)
    }


def test_an_undo_finds_the_association_that_a_call_without_an_answer_made(world: World) -> None:
    subject = OF_EC2["ec2.replace-instance-profile"]
    assert subject.arrange
    subject.arrange(world)
    before = subject.look(world)
    world.wire.faults[1] = "cut"
    action = world.apply("ec2.replace-instance-profile", *subject.aim(world))
    assert action.status == "verified", action.note
    assert subject.look(world) != before
    # The journal has forgotten what the call made.
    step = world.steps(action)[0]
    type(step).objects.filter(pk=step.pk).update(result=None, state="unknown")

    back = world.revert(action)

    assert back.status == "verified", back.note
    assert subject.look(world) == before
