"""https://docs.aws.amazon.com/service-authorization/latest/reference/list_awswafv2.html"""

from __future__ import annotations

from lib.operations.needs import Need

_SETS = (
    "arn:{partition}:wafv2:{region}:{account}:regional/ipset/{Name}/{Id}",
    "arn:{partition}:wafv2:{region}:{account}:global/ipset/{Name}/{Id}",
)

OPERATIONS: dict[str, Need] = {
    "wafv2:GetIPSet": Need(actions=("wafv2:GetIPSet",), resources=_SETS),
    "wafv2:GetWebACL": Need(actions=("wafv2:GetWebACL",)),
    "wafv2:ListResourcesForWebACL": Need(actions=("wafv2:ListResourcesForWebACL",)),
    "wafv2:ListWebACLs": Need(actions=("wafv2:ListWebACLs",)),
    "wafv2:UpdateIPSet": Need(actions=("wafv2:UpdateIPSet",), resources=_SETS),
}
