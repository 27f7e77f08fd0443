"""https://docs.aws.amazon.com/service-authorization/latest/reference/list_awselasticloadbalancing.html
https://docs.aws.amazon.com/service-authorization/latest/reference/list_awselasticloadbalancingv2.html
"""

from __future__ import annotations

from lib.operations.needs import Need

_BALANCER = ("arn:{partition}:elasticloadbalancing:{region}:{account}:loadbalancer/{LoadBalancerName}",)
_TARGETS = ("{TargetGroupArn}",)


def _need(operation: str, resources: tuple[str, ...] = ("*",)) -> Need:
    """Both generations of load balancers have one prefix in IAM."""
    return Need(actions=(f"elasticloadbalancing:{operation}",), resources=resources)


OPERATIONS: dict[str, Need] = {
    "elb:DeregisterInstancesFromLoadBalancer": _need("DeregisterInstancesFromLoadBalancer", _BALANCER),
    "elb:DescribeLoadBalancers": _need("DescribeLoadBalancers"),
    "elb:RegisterInstancesWithLoadBalancer": _need("RegisterInstancesWithLoadBalancer", _BALANCER),
    "elbv2:DeregisterTargets": _need("DeregisterTargets", _TARGETS),
    "elbv2:DescribeTargetGroupAttributes": _need("DescribeTargetGroupAttributes"),
    "elbv2:DescribeTargetGroups": _need("DescribeTargetGroups"),
    "elbv2:DescribeTargetHealth": _need("DescribeTargetHealth"),
    "elbv2:RegisterTargets": _need("RegisterTargets", _TARGETS),
}
