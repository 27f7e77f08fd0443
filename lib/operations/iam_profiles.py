"""https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsidentityandaccessmanagementiam.html"""

from __future__ import annotations

from lib.operations.needs import Need

_PROFILE = (
    "arn:{partition}:iam::{account}:instance-profile/{InstanceProfileName}",
    "arn:{partition}:iam::{account}:instance-profile/*/{InstanceProfileName}",
)

OPERATIONS: dict[str, Need] = {
    "iam:GetInstanceProfile": Need(actions=("iam:GetInstanceProfile",), resources=_PROFILE),
}
