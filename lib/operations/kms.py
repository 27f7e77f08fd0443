"""https://docs.aws.amazon.com/service-authorization/latest/reference/list_awskeymanagementservice.html"""

from __future__ import annotations

from lib.operations.needs import Need

_KEY = ("arn:{partition}:kms:{region}:{account}:key/{KeyId}",)

OPERATIONS: dict[str, Need] = {
    # What a key is used for is asked of the services that use it.
    "ec2:DescribeVolumes": Need(actions=("ec2:DescribeVolumes",)),
    "kms:CancelKeyDeletion": Need(actions=("kms:CancelKeyDeletion",), resources=_KEY),
    "kms:DescribeKey": Need(actions=("kms:DescribeKey",), resources=_KEY),
    "kms:DisableKey": Need(actions=("kms:DisableKey",), resources=_KEY),
    "kms:EnableKey": Need(actions=("kms:EnableKey",), resources=_KEY),
    "kms:GetKeyPolicy": Need(actions=("kms:GetKeyPolicy",), resources=_KEY),
    "kms:ListAliases": Need(actions=("kms:ListAliases",)),
    "kms:ListGrants": Need(actions=("kms:ListGrants",), resources=_KEY),
    "kms:PutKeyPolicy": Need(actions=("kms:PutKeyPolicy",), resources=_KEY),
}
