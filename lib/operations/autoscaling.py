"""https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2autoscaling.html"""

from __future__ import annotations

from lib.operations.needs import Need

_GROUP = (
    (
        "arn:{partition}:autoscaling:{region}:{account}:autoScalingGroup:*:autoScalingGroupName/"
        "{AutoScalingGroupName}"
    ),
)

OPERATIONS: dict[str, Need] = {
    "autoscaling:AttachInstances": Need(actions=("autoscaling:AttachInstances",), resources=_GROUP),
    "autoscaling:DescribeAutoScalingGroups": Need(actions=("autoscaling:DescribeAutoScalingGroups",)),
    "autoscaling:DescribeAutoScalingInstances": Need(actions=("autoscaling:DescribeAutoScalingInstances",)),
    "autoscaling:DetachInstances": Need(actions=("autoscaling:DetachInstances",), resources=_GROUP),
}
