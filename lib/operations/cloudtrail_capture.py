"""https://docs.aws.amazon.com/service-authorization/latest/reference/list_awscloudtrail.html"""

from __future__ import annotations

from lib.operations.needs import Need

OPERATIONS: dict[str, Need] = {"cloudtrail:LookupEvents": Need(actions=("cloudtrail:LookupEvents",))}
