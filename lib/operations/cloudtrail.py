"""https://docs.aws.amazon.com/service-authorization/latest/reference/list_awscloudtrail.html"""

from __future__ import annotations

from lib.operations.needs import Need

_TRAIL = ("arn:{partition}:cloudtrail:{region}:{account}:trail/{Name}",)

OPERATIONS: dict[str, Need] = {
    "cloudtrail:DescribeTrails": Need(actions=("cloudtrail:DescribeTrails",)),
    "cloudtrail:GetTrailStatus": Need(actions=("cloudtrail:GetTrailStatus",), resources=_TRAIL),
    "cloudtrail:StartLogging": Need(actions=("cloudtrail:StartLogging",), resources=_TRAIL),
}
