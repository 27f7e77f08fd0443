"""https://docs.aws.amazon.com/service-authorization/latest/reference/list_awskeymanagementservice.html

What the copying of snapshots asks of keys.
"""

from __future__ import annotations

from lib.operations.needs import Need

OPERATIONS: dict[str, Need] = {
    "kms:DescribeKey": Need(
        actions=("kms:DescribeKey",), resources=("arn:{partition}:kms:{region}:{account}:key/{KeyId}",)
    ),
}
