"""Instances in Auto Scaling groups and behind load balancers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.containment.subjects.first import instance
from tests.containment.subjects.subject import Subject
from tests.containment.world import REGION, SHIPPING, World

Aim = tuple[Mapping[str, Any], Mapping[str, Any]]
GROUP = "tracking"
CLASSIC = "tracking-classic"


def _aim(world: World) -> Aim:
    target = {"type": "instance", "account": SHIPPING, "region": REGION, "id": instance(world)["id"]}
    return target, {}


# --- Auto Scaling -----------------------------------------------------------------------------------


def _put_into_group(world: World) -> None:
    """A group that the instance is attached to; it could hold five."""
    scaling, host = world.admin("autoscaling"), instance(world)
    scaling.create_launch_configuration(
        LaunchConfigurationName=GROUP, ImageId=host["image"], InstanceType="t3.medium"
    )
    scaling.create_auto_scaling_group(
        AutoScalingGroupName=GROUP,
        LaunchConfigurationName=GROUP,
        MinSize=0,
        MaxSize=5,
        DesiredCapacity=0,
        VPCZoneIdentifier=host["interfaces"][0]["subnet"],
    )
    _attach(world)


def _attach(world: World) -> None:
    world.admin("autoscaling").attach_instances(
        InstanceIds=[instance(world)["id"]], AutoScalingGroupName=GROUP
    )


def _move_to_other_group(world: World) -> None:
    """Out of its group by somebody else, and into another."""
    scaling, host = world.admin("autoscaling"), instance(world)
    if _membership(world):
        scaling.detach_instances(
            InstanceIds=[host["id"]], AutoScalingGroupName=GROUP, ShouldDecrementDesiredCapacity=True
        )
    scaling.create_auto_scaling_group(
        AutoScalingGroupName="elsewhere",
        LaunchConfigurationName=GROUP,
        MinSize=0,
        MaxSize=5,
        DesiredCapacity=0,
        VPCZoneIdentifier=host["interfaces"][0]["subnet"],
    )
    scaling.attach_instances(InstanceIds=[host["id"]], AutoScalingGroupName="elsewhere")


def _membership(world: World) -> Any:
    """The groups of the instance alone: its replacement stays when it comes back."""
    found = world.admin("autoscaling").describe_auto_scaling_instances(InstanceIds=[instance(world)["id"]])
    return [one["AutoScalingGroupName"] for one in found["AutoScalingInstances"]]


def _tag_group(world: World) -> None:
    tag = {"ResourceId": GROUP, "ResourceType": "auto-scaling-group", "Key": "note", "Value": "elsewhere"}
    world.admin("autoscaling").create_or_update_tags(Tags=[{**tag, "PropagateAtLaunch": False}])


# --- load balancers ---------------------------------------------------------------------------------


def _put_behind_balancers(world: World) -> None:
    """A target group that knows it by id, one that knows it by address, and a classic load balancer."""
    elbv2, host = world.admin("elbv2"), instance(world)
    for name, kind, target in (
        ("tracking-web", "instance", {"Id": host["id"], "Port": 8443}),
        ("tracking-pods", "ip", {"Id": host["interfaces"][0]["private_address"], "Port": 443}),
    ):
        made = elbv2.create_target_group(
            Name=name, Protocol="HTTP", Port=80, VpcId=host["vpc"], TargetType=kind
        )["TargetGroups"][0]
        elbv2.register_targets(TargetGroupArn=made["TargetGroupArn"], Targets=[target])
    listener = {"Protocol": "tcp", "LoadBalancerPort": 80, "InstancePort": 80}
    world.admin("elb").create_load_balancer(
        LoadBalancerName=CLASSIC, Listeners=[listener], AvailabilityZones=[f"{REGION}a"]
    )
    _register_with_classic(world, host["id"])


def _register_with_classic(world: World, host: str) -> None:
    world.admin("elb").register_instances_with_load_balancer(
        LoadBalancerName=CLASSIC, Instances=[{"InstanceId": host}]
    )


def _target_groups(world: World) -> dict[str, str]:
    found = world.admin("elbv2").describe_target_groups()["TargetGroups"]
    return {one["TargetGroupName"]: one["TargetGroupArn"] for one in found}


def _registrations(world: World) -> Any:
    elbv2 = world.admin("elbv2")
    groups = {
        name: sorted(
            (one["Target"]["Id"], one["Target"]["Port"])
            for one in elbv2.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
        )
        for name, arn in _target_groups(world).items()
    }
    classic = world.admin("elb").describe_load_balancers(LoadBalancerNames=[CLASSIC])
    members = classic["LoadBalancerDescriptions"][0]["Instances"]
    return {**groups, CLASSIC: sorted(one["InstanceId"] for one in members)}


def _register_all_again(world: World) -> None:
    host = instance(world)
    for name, target in (
        ("tracking-web", {"Id": host["id"], "Port": 8443}),
        ("tracking-pods", {"Id": host["interfaces"][0]["private_address"], "Port": 443}),
    ):
        world.admin("elbv2").register_targets(TargetGroupArn=_target_groups(world)[name], Targets=[target])
    _register_with_classic(world, host["id"])


def _leave_classic(world: World) -> None:
    world.admin("elb").deregister_instances_from_load_balancer(
        LoadBalancerName=CLASSIC, Instances=[{"InstanceId": instance(world)["id"]}]
    )


def _register_other_host(world: World) -> None:
    other = next(i for i in world.estate["instances"] if i["name"] == "carrier-sync")
    _register_with_classic(world, other["id"])
    world.admin("elbv2").register_targets(
        TargetGroupArn=_target_groups(world)["tracking-web"], Targets=[{"Id": other["id"], "Port": 8443}]
    )


SUBJECTS: dict[str, Subject] = {
    "autoscaling.detach-instance": Subject(
        arrange=_put_into_group,
        aim=_aim,
        look=_membership,
        disturb=_move_to_other_group,
        drift=_move_to_other_group,
        unrelated=_tag_group,
        nothing_left="in no Auto Scaling group",
    ),
    "elb.deregister-instance": Subject(
        arrange=_put_behind_balancers,
        aim=_aim,
        look=_registrations,
        disturb=_register_all_again,
        drift=_leave_classic,
        unrelated=_register_other_host,
        two_valued=True,
        nothing_left="no target group and no classic load balancer",
    ),
}
