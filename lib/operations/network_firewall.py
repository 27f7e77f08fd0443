"""https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsnetworkfirewall.html"""

from __future__ import annotations

from lib.operations.needs import Need

OPERATIONS: dict[str, Need] = {
    f"network-firewall:{name}": Need(actions=(f"network-firewall:{name}",), resources=("{RuleGroupArn}",))
    for name in ("DescribeRuleGroup", "UpdateRuleGroup")
}
