"""Route 53 Resolver DNS Firewall, which moto does not have: lists, rule groups, rules, associations.

https://docs.aws.amazon.com/Route53/latest/APIReference/API_Operations_Amazon_Route_53_Resolver.html
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from moto.core.exceptions import JsonRESTError
from moto.moto_api._internal import mock_random
from moto.route53resolver.responses import Route53ResolverResponse

from simulator.patches import clock

Kept = dict[str, dict[str, Any]]
PER_VPC = 5


def _kept(self: Any, kind: str) -> Kept:
    kept: Kept = vars(self.route53resolver_backend).setdefault(f"quell_{kind}", {})
    return kept


def _one(self: Any, kind: str, key: str) -> dict[str, Any]:
    found = _kept(self, kind).get(str(self._get_param(key)))
    if found is None:
        raise JsonRESTError("ResourceNotFoundException", f"{kind} {self._get_param(key)} does not exist")
    return found


def _new(self: Any, kind: str, prefix: str, names: tuple[str, ...], more: Mapping[str, Any]) -> Any:
    """A new object; the same request again gives the object that it made."""
    asked, kept = str(self._get_param("CreatorRequestId")), _kept(self, kind)
    for one in kept.values():
        if one["CreatorRequestId"] == asked and one["Name"] == self._get_param("Name"):
            return one
    made = f"rslvr-{prefix}-{mock_random.get_random_hex(16)}"
    backend, at = self.route53resolver_backend, clock.now().isoformat()
    kind_of_arn = {"fdl": "firewall-domain-list", "frg": "firewall-rule-group"}.get(
        prefix, "firewall-rule-group-association"
    )
    kept[made] = {
        "Id": made,
        "Arn": f"arn:aws:route53resolver:{backend.region_name}:{backend.account_id}:{kind_of_arn}/{made}",
        "Name": self._get_param("Name"),
        "CreatorRequestId": asked,
        "Status": "COMPLETE",
        "CreationTime": at,
        "ModificationTime": at,
        **{name: self._get_param(name) for name in names},
        **more,
    }
    return kept[made]


def create_firewall_domain_list(self: Any) -> str:
    made = _new(self, "domain_lists", "fdl", (), {"DomainCount": 0})
    return json.dumps({"FirewallDomainList": made})


def list_firewall_domain_lists(self: Any) -> str:
    shown = ("Id", "Arn", "Name", "CreatorRequestId")
    found = [{key: one[key] for key in shown} for one in _kept(self, "domain_lists").values()]
    return json.dumps({"FirewallDomainLists": found})


def update_firewall_domains(self: Any) -> str:
    one, operation = _one(self, "domain_lists", "FirewallDomainListId"), self._get_param("Operation")
    domains = _kept(self, "domains").setdefault(one["Id"], {})
    given = {f"{name.rstrip('.')}.": True for name in self._get_param("Domains")}
    if operation == "REPLACE":
        domains.clear()
    if operation == "REMOVE":
        for name in given:
            domains.pop(name, None)
    else:
        domains.update(given)
    one["DomainCount"] = len(domains)
    return json.dumps({key: one[key] for key in ("Id", "Name", "Status")})


def list_firewall_domains(self: Any) -> str:
    one = _one(self, "domain_lists", "FirewallDomainListId")
    return json.dumps({"Domains": list(_kept(self, "domains").get(one["Id"], {}))})


def delete_firewall_domain_list(self: Any) -> str:
    one = _one(self, "domain_lists", "FirewallDomainListId")
    if any(rule["FirewallDomainListId"] == one["Id"] for rule in _kept(self, "rules").values()):
        raise JsonRESTError("ConflictException", f"{one['Id']} is used by a rule")
    _kept(self, "domains").pop(one["Id"], None)
    return json.dumps({"FirewallDomainList": _kept(self, "domain_lists").pop(one["Id"])})


def create_firewall_rule_group(self: Any) -> str:
    owner = {"OwnerId": self.route53resolver_backend.account_id, "ShareStatus": "NOT_SHARED"}
    return json.dumps({"FirewallRuleGroup": _new(self, "rule_groups", "frg", (), {"RuleCount": 0, **owner})})


def list_firewall_rule_groups(self: Any) -> str:
    shown = ("Id", "Arn", "Name", "CreatorRequestId", "OwnerId", "ShareStatus")
    found = [{key: one[key] for key in shown} for one in _kept(self, "rule_groups").values()]
    return json.dumps({"FirewallRuleGroups": found})


def delete_firewall_rule_group(self: Any) -> str:
    one = _one(self, "rule_groups", "FirewallRuleGroupId")
    for kind in ("rules", "associations"):
        if any(other["FirewallRuleGroupId"] == one["Id"] for other in _kept(self, kind).values()):
            raise JsonRESTError("ConflictException", f"{one['Id']} has {kind}")
    return json.dumps({"FirewallRuleGroup": _kept(self, "rule_groups").pop(one["Id"])})


def _rule_key(self: Any) -> str:
    return f"{self._get_param('FirewallRuleGroupId')}/{self._get_param('FirewallDomainListId')}"


def create_firewall_rule(self: Any) -> str:
    group = _one(self, "rule_groups", "FirewallRuleGroupId")
    _one(self, "domain_lists", "FirewallDomainListId")
    rules, key = _kept(self, "rules"), _rule_key(self)
    siblings = [one for one in rules.values() if one["FirewallRuleGroupId"] == group["Id"]]
    if key in rules or any(one["Priority"] == self._get_param("Priority") for one in siblings):
        raise JsonRESTError("ValidationException", "A rule of this list or priority is there already")
    names = ("FirewallRuleGroupId", "FirewallDomainListId", "Name", "Priority", "Action", "BlockResponse")
    asked = {name: self._get_param(name) for name in (*names, "CreatorRequestId")}
    rules[key] = {**asked, "CreationTime": clock.now().isoformat()}
    group["RuleCount"] += 1
    return json.dumps({"FirewallRule": rules[key]})


def _rule(self: Any) -> dict[str, Any]:
    found = _kept(self, "rules").get(_rule_key(self))
    if found is None:
        raise JsonRESTError("ResourceNotFoundException", f"there is no rule {_rule_key(self)}")
    return found


def update_firewall_rule(self: Any) -> str:
    one = _rule(self)
    for name in ("Name", "Priority", "Action", "BlockResponse"):
        one[name] = self._get_param(name) or one[name]
    return json.dumps({"FirewallRule": one})


def list_firewall_rules(self: Any) -> str:
    group = _one(self, "rule_groups", "FirewallRuleGroupId")
    found = [one for one in _kept(self, "rules").values() if one["FirewallRuleGroupId"] == group["Id"]]
    return json.dumps({"FirewallRules": sorted(found, key=lambda one: int(one["Priority"]))})


def delete_firewall_rule(self: Any) -> str:
    one = _rule(self)
    _one(self, "rule_groups", "FirewallRuleGroupId")["RuleCount"] -= 1
    return json.dumps({"FirewallRule": _kept(self, "rules").pop(_rule_key(self)) and one})


def associate_firewall_rule_group(self: Any) -> str:
    _one(self, "rule_groups", "FirewallRuleGroupId")
    vpc, asked = self._get_param("VpcId"), self._get_param("CreatorRequestId")
    others = [
        one
        for one in _kept(self, "associations").values()
        if one["VpcId"] == vpc and one["CreatorRequestId"] != asked
    ]
    if any(one["Priority"] == self._get_param("Priority") for one in others):
        raise JsonRESTError("ValidationException", "The priority is taken by another association of the VPC")
    if len(others) >= PER_VPC:
        raise JsonRESTError("LimitExceededException", f"{vpc} has {len(others)} associations")
    names = ("FirewallRuleGroupId", "VpcId", "Priority", "MutationProtection")
    return json.dumps({"FirewallRuleGroupAssociation": _new(self, "associations", "frgassoc", names, {})})


def list_firewall_rule_group_associations(self: Any) -> str:
    found = list(_kept(self, "associations").values())
    for name in ("FirewallRuleGroupId", "VpcId", "Priority", "Status"):
        wanted = self._get_param(name)
        found = [one for one in found if wanted is None or one[name] == wanted]
    return json.dumps({"FirewallRuleGroupAssociations": found})


def disassociate_firewall_rule_group(self: Any) -> str:
    one = _one(self, "associations", "FirewallRuleGroupAssociationId")
    gone = _kept(self, "associations").pop(one["Id"])
    return json.dumps({"FirewallRuleGroupAssociation": {**gone, "Status": "DELETING"}})


OPERATIONS: tuple[Callable[[Any], str], ...] = (
    create_firewall_domain_list,
    list_firewall_domain_lists,
    update_firewall_domains,
    list_firewall_domains,
    delete_firewall_domain_list,
    create_firewall_rule_group,
    list_firewall_rule_groups,
    delete_firewall_rule_group,
    create_firewall_rule,
    update_firewall_rule,
    list_firewall_rules,
    delete_firewall_rule,
    associate_firewall_rule_group,
    list_firewall_rule_group_associations,
    disassociate_firewall_rule_group,
)


def apply() -> None:
    """Let moto's responses know the operations."""
    for operation in OPERATIONS:
        setattr(Route53ResolverResponse, operation.__name__, operation)
