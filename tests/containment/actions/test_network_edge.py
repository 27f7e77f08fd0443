from __future__ import annotations

from typing import Any

import pytest

from containment import editing
from containment.types import Refused
from lib import clock
from tests.containment.actions.network_reader import ACCOUNT, Answers, planned, said

pytestmark = pytest.mark.fast

# --- WAF --------------------------------------------------------------------------------------------

ARN = f"arn:aws:wafv2:eu-west-1:{ACCOUNT}:regional/ipset/blocked/id-1"


def waf(
    *, addresses: Any = (), version: str = "IPV4", action: str = "Block", arn: str = ARN
) -> dict[str, Any]:
    rule = {
        "Name": "known-bad",
        "Action": {action: {}},
        "Statement": {"IPSetReferenceStatement": {"ARN": arn}},
    }
    ip_set = {"ARN": ARN, "IPAddressVersion": version, "Addresses": list(addresses), "Description": "bad"}
    return {
        "wafv2:GetIPSet": {"IPSet": ip_set, "LockToken": "token-1"},
        "wafv2:ListWebACLs": {"WebACLs": [{"Name": "front", "Id": "acl-1", "ARN": "arn:acl"}]},
        "wafv2:GetWebACL": {"WebACL": {"Rules": [rule]}},
    }


BLOCK = {"address": "203.0.113.9", "name": "blocked"}


def test_the_whole_list_is_sent_with_the_token_of_the_list_it_was_made_from() -> None:
    table = waf(addresses=["198.51.100.0/24"])
    plan = planned("waf.block-address", "id-1", table, BLOCK)

    step = plan.steps[0]
    assert step.edit
    assert step.call
    sent = editing.edited(step.edit, step.call, eyes=Answers(table), results={}, at=clock.now())
    assert sent.params == {
        "Name": "blocked",
        "Scope": "REGIONAL",
        "Id": "id-1",
        "Addresses": ["198.51.100.0/24", "203.0.113.9/32"],
        "LockToken": "token-1",
        "Description": "bad",
    }
    assert plan.holds[0].equals == "known-bad"


def test_a_set_for_cloudfront_is_asked_in_the_home_region() -> None:
    plan = planned("waf.block-address", "id-1", waf(), {**BLOCK, "scope": "CLOUDFRONT"})

    assert plan.steps[0].call
    assert plan.steps[0].call.params["Scope"] == "CLOUDFRONT"
    assert plan.steps[0].call.at.region == "us-east-1"
    assert plan.holds[0].read.at.region == "us-east-1"


@pytest.mark.parametrize(
    ("table", "params", "reason"),
    [
        (waf(action="Count"), BLOCK, "no web ACL has a rule that blocks by blocked"),
        (waf(arn="arn:another"), BLOCK, "no web ACL has a rule that blocks"),
        (waf(version="IPV6"), BLOCK, "takes IPV6 addresses; 203.0.113.9/32 is IPV4"),
        (waf(), {**BLOCK, "address": "0.0.0.0/0"}, "too wide"),
        (waf(addresses=["192.0.2.1/32"] * 10_000), BLOCK, "holds 10000 addresses; AWS allows 10000"),
        ({**waf(), "wafv2:GetIPSet": None}, BLOCK, "there is no REGIONAL IP set blocked"),
    ],
)
def test_a_block_that_would_do_nothing_is_refused(table: Any, params: Any, reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        planned("waf.block-address", "id-1", table, params)


# --- Network Firewall -------------------------------------------------------------------------------

FIREWALL = "network-firewall.block-address"


def stateful(
    *rules: Any, capacity: int = 10, used: int | None = None, policies: int = 1, **source: Any
) -> Any:
    group = {
        "RuleVariables": {"IPSets": {"HOME": {"Definition": ["10.0.0.0/8"]}}},
        "RulesSource": source or {"StatefulRules": list(rules)},
        "StatefulRuleOptions": {"RuleOrder": "STRICT_ORDER"},
    }
    said = {
        "Capacity": capacity,
        "ConsumedCapacity": len(rules) if used is None else used,
        "NumberOfAssociations": policies,
        "Description": "bad",
    }
    answer = {"UpdateToken": "token-1", "RuleGroup": group, "RuleGroupResponse": said}
    return {"network-firewall:DescribeRuleGroup": answer}


def five_tuple(address: str, action: str = "DROP") -> dict[str, Any]:
    header = {"Protocol": "IP", "Source": address, "Direction": "ANY", "Destination": "ANY"}
    ports = {"SourcePort": "ANY", "DestinationPort": "ANY"}
    options = [{"Keyword": "sid", "Settings": ["5"]}]
    return {"Action": action, "Header": {**header, **ports}, "RuleOptions": options}


def edited(plan: Any, table: Any) -> Any:
    step = plan.steps[0]
    return editing.edited(step.edit, step.call, eyes=Answers(table), results={}, at=clock.now()).params


def test_the_rest_of_the_rule_group_goes_back_as_it_was_read() -> None:
    table = stateful(five_tuple("198.51.100.0/24", "PASS"))
    plan = planned(FIREWALL, "stateful/blocked", table, {"address": "203.0.113.9"})

    sent = edited(plan, table)
    before = table["network-firewall:DescribeRuleGroup"]["RuleGroup"]
    rules = sent["RuleGroup"]["RulesSource"].pop("StatefulRules")
    assert sent["RuleGroup"] == {**before, "RulesSource": {}}
    assert (sent["UpdateToken"], sent["Description"]) == ("token-1", "bad")
    assert rules[0] == five_tuple("198.51.100.0/24", "PASS")
    assert rules[1]["Header"]["Source"] == "203.0.113.9/32"
    assert rules[1]["Action"] == "DROP"
    assert "pass stand before ours" in " ".join(plan.warnings)
    assert "start-flow-flush" in " ".join(plan.warnings)


def test_the_number_of_our_rule_comes_from_the_action_alone() -> None:
    numbers = {
        edited(planned(FIREWALL, "stateful/b", table, {"address": "203.0.113.9"}), table)["RuleGroup"][
            "RulesSource"
        ]["StatefulRules"][-1]["RuleOptions"][0]["Settings"][0]
        for table in (stateful(), stateful(five_tuple("198.51.100.0/24")))
    }

    assert len(numbers) == 1
    assert 1_000_000_000 <= int(numbers.pop()) < 2_000_000_000


def stateless(*rules: Any) -> Any:
    return stateful(
        used=len(rules),
        StatelessRulesAndCustomActions={"StatelessRules": list(rules), "CustomActions": ["c"]},
    )


def rule(priority: int, action: str) -> dict[str, Any]:
    matched = {"MatchAttributes": {"Sources": [{"AddressDefinition": "0.0.0.0/0"}]}, "Actions": [action]}
    return {"Priority": priority, "RuleDefinition": matched}


def test_stateless_drops_stand_before_the_first_rule_that_passes() -> None:
    table = stateless(rule(10, "aws:pass"), rule(9, "aws:drop"))
    plan = planned(FIREWALL, "stateless/blocked", table, {"address": "203.0.113.9"})

    source = edited(plan, table)["RuleGroup"]["RulesSource"]["StatelessRulesAndCustomActions"]
    ours = source["StatelessRules"][2:]
    assert [one["Priority"] for one in ours] == [8, 7]
    assert [list(one["RuleDefinition"]["MatchAttributes"]) for one in ours] == [["Destinations"], ["Sources"]]
    assert source["CustomActions"] == ["c"]
    after = stateless(rule(10, "aws:pass"), rule(9, "aws:drop"), *ours)
    again = planned(FIREWALL, "stateless/blocked", after, {"address": "203.0.113.9"})
    assert again.steps[0].was == again.steps[0].seen.equals  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("table", "target", "reason"),
    [
        (stateful(capacity=1, used=1), "stateful/b", "uses 1 of its capacity of 1; 1 is needed"),
        (stateful(policies=0), "stateful/b", "no firewall policy uses stateful/b"),
        (stateful(RulesString="drop ip any any -> any any"), "stateful/b", "made of Suricata text"),
        (stateful(RulesSourceList={"Targets": ["a"]}), "stateful/b", "made of a list of domains"),
        (stateful(), "blocked", "has the form stateful/NAME"),
        ({"network-firewall:DescribeRuleGroup": None}, "stateful/b", "there is no rule group"),
        (
            stateless(rule(1, "aws:pass")),
            "stateless/b",
            "no free priority before the first rule that passes, 1",
        ),
    ],
)
def test_what_would_do_nothing_or_not_fit_is_refused(table: Any, target: str, reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        planned(FIREWALL, target, table, {"address": "203.0.113.9"})


def test_a_rule_group_is_named_in_the_partition_of_the_target() -> None:
    plan = planned(
        FIREWALL,
        "stateful/b",
        stateful(),
        {"address": "203.0.113.9"},
        partition="aws-us-gov",
        region="us-gov-west-1",
    )

    assert "arn:aws:" not in said(plan)
    assert f"arn:aws-us-gov:network-firewall:us-gov-west-1:{ACCOUNT}:stateful-rulegroup/b" in said(plan)


# --- DNS Firewall -----------------------------------------------------------------------------------

DNS = "dns-firewall.block-domain"


def resolver(*priorities: int, vpc: bool = True) -> dict[str, Any]:
    associations = [{"Id": f"a-{one}", "Name": f"theirs-{one}", "Priority": one} for one in priorities]
    return {
        "ec2:DescribeVpcs": {"Vpcs": [{"VpcId": "vpc-0a"}]} if vpc else None,
        "route53resolver:ListFirewallRuleGroupAssociations": {"FirewallRuleGroupAssociations": associations},
        "route53resolver:ListFirewallDomainLists": {"FirewallDomainLists": []},
        "route53resolver:ListFirewallRuleGroups": {"FirewallRuleGroups": []},
    }


def domains(plan: Any) -> Any:
    return next(step.call.params["Domains"] for step in plan.steps if step.name == "domains")


def test_a_domain_is_blocked_with_all_names_below_it() -> None:
    plan = planned(DNS, "vpc-0a", resolver(101, 103), {"domains": ["Evil.Example.", "c2.test"]})

    assert domains(plan) == ["*.c2.test.", "*.evil.example.", "c2.test.", "evil.example."]
    association = next(step for step in plan.steps if step.name == "association")
    assert association.call
    assert association.call.params["Priority"] == 102
    alone = planned(DNS, "vpc-0a", resolver(), {"domains": ["c2.test"], "subdomains": False})
    assert domains(alone) == ["c2.test."]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("com", "below a top-level domain"),
        ("amazonaws.com", "hosts need amazonaws.com"),
        ("sts.eu-west-1.amazonaws.com", "hosts need amazonaws.com"),
        ("ip-10-0-0-1.eu-west-1.compute.internal", "hosts need internal"),
        ("-bad.example", "not a domain name"),
        ("a..b", "not a domain name"),
    ],
)
def test_names_that_hosts_need_are_refused(name: str, reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        planned(DNS, "vpc-0a", resolver(), {"domains": [name]})


def test_the_endpoint_of_one_customers_resource_may_be_blocked() -> None:
    plan = planned(DNS, "vpc-0a", resolver(), {"domains": ["abc.execute-api.eu-west-1.amazonaws.com"]})

    assert "abc.execute-api.eu-west-1.amazonaws.com." in domains(plan)


def test_a_vpc_full_of_rule_groups_or_unknown_is_refused() -> None:
    with pytest.raises(Refused, match="has 5 firewall rule groups; AWS allows 5"):
        planned(DNS, "vpc-0a", resolver(101, 102, 103, 104, 105), {"domains": ["c2.test"]})
    with pytest.raises(Refused, match="there is no VPC vpc-0a"):
        planned(DNS, "vpc-0a", resolver(vpc=False), {"domains": ["c2.test"]})
