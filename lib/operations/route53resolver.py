"""https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonroute53resolver.html"""

from __future__ import annotations

from lib.operations.needs import Need

_NAMES = (
    "AssociateFirewallRuleGroup",
    "CreateFirewallDomainList",
    "CreateFirewallRule",
    "CreateFirewallRuleGroup",
    "DeleteFirewallDomainList",
    "DeleteFirewallRule",
    "DeleteFirewallRuleGroup",
    "DisassociateFirewallRuleGroup",
    "ListFirewallDomainLists",
    "ListFirewallDomains",
    "ListFirewallRuleGroupAssociations",
    "ListFirewallRuleGroups",
    "ListFirewallRules",
    "UpdateFirewallDomains",
)
_DEPENDENTS = {
    "AssociateFirewallRuleGroup": ("ec2:DescribeVpcs", "route53resolver:TagResource"),
    "CreateFirewallDomainList": ("route53resolver:TagResource",),
    "CreateFirewallRuleGroup": ("route53resolver:TagResource",),
}
_OWN = "arn:{partition}:route53resolver:{region}:{account}:"
_RESOURCES = {
    "CreateFirewallRule": (
        _OWN + "firewall-rule-group/{FirewallRuleGroupId}",
        _OWN + "firewall-domain-list/{FirewallDomainListId}",
    ),
    "DeleteFirewallDomainList": (_OWN + "firewall-domain-list/{FirewallDomainListId}",),
    "DeleteFirewallRuleGroup": (_OWN + "firewall-rule-group/{FirewallRuleGroupId}",),
    "UpdateFirewallDomains": (_OWN + "firewall-domain-list/{FirewallDomainListId}",),
}

OPERATIONS: dict[str, Need] = {
    f"route53resolver:{name}": Need(
        actions=(f"route53resolver:{name}",),
        resources=_RESOURCES.get(name, ("*",)),
        dependents=_DEPENDENTS.get(name, ()),
    )
    for name in _NAMES
}
