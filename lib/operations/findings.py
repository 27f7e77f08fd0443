"""https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonguardduty.html

https://docs.aws.amazon.com/service-authorization/latest/reference/list_awssecurityhub.html
"""

from __future__ import annotations

from lib.operations.needs import Need

_DETECTOR = ("arn:{partition}:guardduty:{region}:{account}:detector/{DetectorId}",)
_HUB = ("arn:{partition}:securityhub:{region}:{account}:hub/default",)

OPERATIONS: dict[str, Need] = {
    "guardduty:ArchiveFindings": Need(actions=("guardduty:ArchiveFindings",), resources=_DETECTOR),
    "guardduty:GetAdministratorAccount": Need(
        actions=("guardduty:GetAdministratorAccount",), resources=_DETECTOR
    ),
    "guardduty:GetFindings": Need(actions=("guardduty:GetFindings",), resources=_DETECTOR),
    "guardduty:ListDetectors": Need(actions=("guardduty:ListDetectors",)),
    "guardduty:ListFindings": Need(actions=("guardduty:ListFindings",), resources=_DETECTOR),
    "guardduty:UnarchiveFindings": Need(actions=("guardduty:UnarchiveFindings",), resources=_DETECTOR),
    "securityhub:BatchUpdateFindings": Need(actions=("securityhub:BatchUpdateFindings",), resources=_HUB),
    "securityhub:GetFindings": Need(actions=("securityhub:GetFindings",), resources=_HUB),
}
