"""Instances in Auto Scaling groups and behind load balancers: what is planned, refused and undone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from containment.types import Kind, Refused
from tests.containment.actions.network_reader import planned
from tests.containment.actions.test_ec2_hosts import HOST, answers, calls, host, undos

pytestmark = pytest.mark.fast


def _scaled(state: str = "InService") -> dict[str, Any]:
    member = {"AutoScalingGroupName": "web", "LifecycleState": state}
    return {"autoscaling:DescribeAutoScalingInstances": {"AutoScalingInstances": [member]}}


def test_an_instance_leaves_its_group_which_keeps_its_size() -> None:
    plan = planned("autoscaling.detach-instance", HOST, _scaled())

    assert calls(plan) == [
        (
            "DetachInstances",
            {"InstanceIds": [HOST], "AutoScalingGroupName": "web", "ShouldDecrementDesiredCapacity": False},
        )
    ]
    assert undos(plan) == [{"InstanceIds": [HOST], "AutoScalingGroupName": "web"}]
    assert plan.steps[0].was == "web"
    assert [step.kind for step in plan.steps] == [Kind.SET, Kind.WAIT]
    assert any("one larger" in one for one in plan.warnings)


def test_what_is_in_no_group_or_on_its_way_is_refused() -> None:
    with pytest.raises(Refused, match="in no Auto Scaling group"):
        planned(
            "autoscaling.detach-instance",
            HOST,
            {"autoscaling:DescribeAutoScalingInstances": {"AutoScalingInstances": []}},
        )
    with pytest.raises(Refused, match="is Terminating in its group"):
        planned("autoscaling.detach-instance", HOST, _scaled("Terminating"))


GROUPS = (
    {"TargetGroupName": "web", "TargetGroupArn": "arn:tg/web", "TargetType": "instance", "VpcId": "vpc-1"},
    {"TargetGroupName": "pods", "TargetGroupArn": "arn:tg/pods", "TargetType": "ip", "VpcId": "vpc-1"},
    {"TargetGroupName": "code", "TargetGroupArn": "arn:tg/code", "TargetType": "lambda"},
    {"TargetGroupName": "far", "TargetGroupArn": "arn:tg/far", "TargetType": "instance", "VpcId": "vpc-2"},
)
MEMBERS: dict[str, list[dict[str, Any]]] = {
    "arn:tg/web": [{"Id": HOST, "Port": 80}, {"Id": HOST, "Port": 81}, {"Id": "i-other", "Port": 80}],
    "arn:tg/pods": [{"Id": "10.0.0.9", "Port": 443}, {"Id": "10.0.0.10", "Port": 443}],
}


def _balanced(members: Mapping[str, list[dict[str, Any]]], *, state: str = "healthy") -> dict[str, Any]:
    def health(params: Mapping[str, Any]) -> Any:
        found = members.get(params["TargetGroupArn"], [])
        shown = [{"Target": one, "TargetHealth": {"State": state}} for one in found]
        return {"TargetHealthDescriptions": shown}

    interface = {"NetworkInterfaceId": "eni-1", "PrivateIpAddresses": [{"PrivateIpAddress": "10.0.0.9"}]}
    classic = {"LoadBalancerName": "old", "Instances": [{"InstanceId": HOST}, {"InstanceId": "i-other"}]}
    delay = {"Key": "deregistration_delay.timeout_seconds", "Value": "60"}
    return {
        **answers(host(VpcId="vpc-1", NetworkInterfaces=[interface])),
        "elbv2:DescribeTargetGroups": {"TargetGroups": list(GROUPS)},
        "elbv2:DescribeTargetHealth": health,
        "elbv2:DescribeTargetGroupAttributes": {"Attributes": [delay]},
        "elb:DescribeLoadBalancers": {"LoadBalancerDescriptions": [classic] if members else []},
    }


def test_every_port_and_address_is_taken_out_waited_for_and_registered_again() -> None:
    plan = planned("elb.deregister-instance", HOST, _balanced(MEMBERS))

    web = [{"TargetGroupArn": "arn:tg/web", "Targets": [one]} for one in MEMBERS["arn:tg/web"][:2]]
    pods = {"TargetGroupArn": "arn:tg/pods", "Targets": [MEMBERS["arn:tg/pods"][0]]}
    old = {"LoadBalancerName": "old", "Instances": [{"InstanceId": HOST}]}
    assert [params for _, params in calls(plan)] == [pods, *web, old]
    assert undos(plan) == [pods, *web, old]
    waits = [step for step in plan.steps if step.kind is Kind.WAIT]
    assert [step.within for step in waits] == [180, 180, 180]


def test_what_no_balancer_knows_or_what_is_draining_already_is_refused() -> None:
    with pytest.raises(Refused, match="no target group and no classic load balancer"):
        planned("elb.deregister-instance", HOST, _balanced({}))
    draining = _balanced(MEMBERS, state="draining")
    draining["elb:DescribeLoadBalancers"] = {"LoadBalancerDescriptions": []}
    with pytest.raises(Refused, match="no target group and no classic load balancer"):
        planned("elb.deregister-instance", HOST, draining)
