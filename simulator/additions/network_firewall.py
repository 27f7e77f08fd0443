"""Rule groups and policies of Network Firewall, which moto does not have.

https://docs.aws.amazon.com/network-firewall/latest/APIReference/API_UpdateRuleGroup.html
"""

from __future__ import annotations

import json
from typing import Any

from moto.core.exceptions import JsonRESTError
from moto.moto_api._internal import mock_random
from moto.networkfirewall.responses import NetworkFirewallResponse

Kept = dict[str, dict[str, Any]]


def _kept(self: Any, kind: str) -> Kept:
    kept: Kept = vars(self.networkfirewall_backend).setdefault(f"quell_{kind}", {})
    return kept


def _arn(self: Any, kind: str, name: str) -> str:
    backend = self.networkfirewall_backend
    return f"arn:aws:network-firewall:{backend.region_name}:{backend.account_id}:{kind}/{name}"


def _rules(group: dict[str, Any]) -> list[Any]:
    source = group.get("RulesSource") or {}
    stateless = (source.get("StatelessRulesAndCustomActions") or {}).get("StatelessRules")
    found: list[Any] = source.get("StatefulRules") or stateless or []
    return found


def _check(group: dict[str, Any], capacity: int) -> None:
    rules = _rules(group)
    if len(rules) > capacity:
        raise JsonRESTError("InvalidRequestException", "capacity exceeded")
    numbers = [one["Priority"] for one in rules if "Priority" in one]
    if len(set(numbers)) != len(numbers):
        raise JsonRESTError("InvalidRequestException", "priorities must be unique")


def create_rule_group(self: Any) -> str:
    kind, name = self._get_param("Type"), self._get_param("RuleGroupName")
    arn, group = _arn(self, f"{kind.lower()}-rulegroup", name), self._get_param("RuleGroup")
    if arn in _kept(self, "rule_groups"):
        raise JsonRESTError("InvalidRequestException", f"{name} is there already")
    _check(group, int(self._get_param("Capacity")))
    _kept(self, "rule_groups")[arn] = {
        "group": group,
        "token": str(mock_random.uuid4()),
        "said": {
            "RuleGroupArn": arn,
            "RuleGroupName": name,
            "RuleGroupId": str(mock_random.uuid4()),
            "Type": kind,
            "Capacity": int(self._get_param("Capacity")),
            "RuleGroupStatus": "ACTIVE",
        },
    }
    return json.dumps(_answer(self, arn, with_group=False))


def _find(self: Any) -> str:
    name, kind = self._get_param("RuleGroupName"), self._get_param("Type")
    arn = str(self._get_param("RuleGroupArn") or _arn(self, f"{str(kind).lower()}-rulegroup", name))
    if arn not in _kept(self, "rule_groups"):
        raise JsonRESTError("ResourceNotFoundException", f"there is no rule group {arn}")
    return arn


def _answer(self: Any, arn: str, *, with_group: bool) -> dict[str, Any]:
    one = _kept(self, "rule_groups")[arn]
    policies = _kept(self, "policies").values()
    using = sum(1 for policy in policies if arn in json.dumps(policy["FirewallPolicy"]))
    counted = {"ConsumedCapacity": len(_rules(one["group"])), "NumberOfAssociations": using}
    answer = {"UpdateToken": one["token"], "RuleGroupResponse": {**one["said"], **counted}}
    return {**answer, "RuleGroup": one["group"]} if with_group else answer


def describe_rule_group(self: Any) -> str:
    return json.dumps(_answer(self, _find(self), with_group=True))


def update_rule_group(self: Any) -> str:
    arn = _find(self)
    one, group = _kept(self, "rule_groups")[arn], self._get_param("RuleGroup")
    if one["token"] != self._get_param("UpdateToken"):
        raise JsonRESTError("InvalidTokenException", "The token is not the group's present one")
    _check(group, one["said"]["Capacity"])
    one["group"], one["token"] = group, str(mock_random.uuid4())
    return json.dumps(_answer(self, arn, with_group=False))


def create_firewall_policy(self: Any) -> str:
    name = self._get_param("FirewallPolicyName")
    arn = _arn(self, "firewall-policy", name)
    _kept(self, "policies")[arn] = {"FirewallPolicy": self._get_param("FirewallPolicy")}
    said = {
        "FirewallPolicyName": name,
        "FirewallPolicyArn": arn,
        "FirewallPolicyId": str(mock_random.uuid4()),
    }
    return json.dumps({"UpdateToken": str(mock_random.uuid4()), "FirewallPolicyResponse": said})


def apply() -> None:
    """Let moto's responses know the operations."""
    for operation in (create_rule_group, describe_rule_group, update_rule_group, create_firewall_policy):
        setattr(NetworkFirewallResponse, operation.__name__, operation)
