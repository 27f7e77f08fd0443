"""https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RevokeSecurityGroupIngress.html

A rule that is made again has another id. So a rule is looked for by what it says, which is unique in
its group, and only revoked by its id.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from containment.actions import register
from containment.describing import ActionType, Context, Service, Steps, filters
from containment.looking import q
from containment.parameters import param
from containment.types import Affected, Category, Check, Plan, Refused

GROUP_ID = re.compile(r"sg-[0-9a-f]{8}(?:[0-9a-f]{9})?")
SOURCES = ("CidrIpv4", "CidrIpv6", "PrefixListId")


@dataclass(frozen=True, kw_only=True)
class Params:
    rule_ids: tuple[str, ...] = param(
        "the rules to take away, by their ids (sgr-…)", pattern=r"sgr-[0-9a-f]{8,17}", minimum=1, maximum=60
    )


@register
class RevokeSecurityGroupRule(ActionType):
    """Take single rules out of a security group, and leave the others as they are.

    Does not stop: connections that are tracked already, which live on for up to five days; the same
    traffic by another rule or group; whoever may add the rule again.
    """

    id = "ec2.revoke-security-group-rule"
    title = "Revoke security group rule"
    target = "security_group"
    category = Category.SOURCE
    tier = 2
    order = 43
    params = Params
    pairs_with = ("ec2.isolate-instance", "vpc.deny-address")
    reads = ("ec2:DescribeSecurityGroupRules", "ec2:DescribeNetworkInterfaces")
    writes = (
        "ec2:AuthorizeSecurityGroupEgress",
        "ec2:AuthorizeSecurityGroupIngress",
        "ec2:RevokeSecurityGroupEgress",
        "ec2:RevokeSecurityGroupIngress",
    )
    fallback = (
        "aws ec2 revoke-security-group-ingress --group-id GROUP --security-group-rule-ids RULE",
        "aws ec2 revoke-security-group-egress --group-id GROUP --security-group-rule-ids RULE",
    )

    def plan(self, ctx: Context) -> Plan:
        ec2, steps, group = ctx.aws("ec2"), Steps(ctx), ctx.target.id
        if not GROUP_ID.fullmatch(group):
            raise Refused(f"{group} is not the id of a security group (sg-…)")
        listing = ec2.read(
            "DescribeSecurityGroupRules",
            Filters=filters(**{"group-id": group}),
            missing=("InvalidGroup.NotFound",),
        )
        there = (ctx.read(listing) or {}).get("SecurityGroupRules") or []
        rules = {one["SecurityGroupRuleId"]: one for one in there}
        wanted = sorted(set(ctx.params.rule_ids))
        absent = [one for one in wanted if one not in rules]
        if absent:
            raise Refused(f"{group} has no rule {', '.join(absent)}")
        for rule in sorted((rules[one] for one in wanted), key=itemgetter("SecurityGroupRuleId")):
            self._revoke(ec2, steps, listing, rule)
        return steps.plan(
            facts={"rules": {one: _said(rules[one]) for one in wanted}},
            changes=tuple(f"{group}: {_said(rules[one])} is no longer let through" for one in wanted),
            warnings=("Connections that are open already are not cut",),
        )

    def affects(self, ctx: Context) -> Iterator[Affected]:
        ec2 = ctx.aws("ec2")
        read = ec2.read("DescribeNetworkInterfaces", Filters=filters(**{"group-id": ctx.target.id}))
        found = ctx.read(read)["NetworkInterfaces"]
        for one in sorted(found, key=itemgetter("NetworkInterfaceId")):
            host = (one.get("Attachment") or {}).get("InstanceId") or one.get("Description") or "no instance"
            yield Affected(
                what=f"{one['NetworkInterfaceId']} of {host}", then="loses what the rule let through"
            )

    def _revoke(self, ec2: Service, steps: Steps, listing: Any, rule: dict[str, Any]) -> None:
        group, way = steps.ctx.target.id, "Egress" if rule["IsEgress"] else "Ingress"
        tags = [{"Key": tag["Key"], "Value": tag["Value"]} for tag in rule.get("Tags") or []]
        kept = {"TagSpecifications": [{"ResourceType": "security-group-rule", "Tags": tags}]} if tags else {}
        steps.set(
            f"revoke-{rule['SecurityGroupRuleId']}",
            changes=f"ec2:group/{group}/rule/{_said(rule)}",
            lane=rule["SecurityGroupRuleId"],
            call=ec2.call(
                f"RevokeSecurityGroup{way}",
                GroupId=group,
                SecurityGroupRuleIds=[rule["SecurityGroupRuleId"]],
            ),
            seen=Check(read=listing, select=f"length(SecurityGroupRules[?{_condition(rule)}])", equals=0),
            undo=ec2.call(
                f"AuthorizeSecurityGroup{way}", GroupId=group, IpPermissions=[_permission(rule)], **kept
            ),
        )


def _condition(rule: dict[str, Any]) -> str:
    """JMESPath: which rules say what this one says, its description left aside."""
    wanted = {name: rule.get(name) for name in ("IpProtocol", "FromPort", "ToPort", *SOURCES)}
    tests = ["IsEgress" if rule["IsEgress"] else "!IsEgress"]
    for name, value in wanted.items():
        if isinstance(value, int):
            tests.append(f"{name}==`{value}`")
        elif value:
            tests.append(f"{name}=={q(str(value))}")
    peer = (rule.get("ReferencedGroupInfo") or {}).get("GroupId")
    if peer:
        tests.append(f"ReferencedGroupInfo.GroupId=={q(peer)}")
    return " && ".join(tests)


def _permission(rule: dict[str, Any]) -> dict[str, Any]:
    """The rule in the form in which it is authorised again, with its description."""
    permission: dict[str, Any] = {"IpProtocol": rule["IpProtocol"]}
    if rule["IpProtocol"] != "-1":
        permission |= {name: rule[name] for name in ("FromPort", "ToPort") if rule.get(name) is not None}
    said = {"Description": rule["Description"]} if rule.get("Description") else {}
    if rule.get("CidrIpv4"):
        permission["IpRanges"] = [{"CidrIp": rule["CidrIpv4"], **said}]
    elif rule.get("CidrIpv6"):
        permission["Ipv6Ranges"] = [{"CidrIpv6": rule["CidrIpv6"], **said}]
    elif rule.get("PrefixListId"):
        permission["PrefixListIds"] = [{"PrefixListId": rule["PrefixListId"], **said}]
    else:
        peer = rule["ReferencedGroupInfo"]
        named = ("GroupId", "UserId", "VpcPeeringConnectionId")
        permission["UserIdGroupPairs"] = [{**{n: peer[n] for n in named if peer.get(n)}, **said}]
    return permission


def _said(rule: dict[str, Any]) -> str:
    """The rule in a few words: `tcp 22 from 0.0.0.0/0`."""
    peer = (rule.get("ReferencedGroupInfo") or {}).get("GroupId")
    other = next((rule[name] for name in SOURCES if rule.get(name)), peer)
    first, last = rule.get("FromPort"), rule.get("ToPort")
    ports = str(first) if first == last else f"{first}-{last}"
    what = "everything" if rule["IpProtocol"] == "-1" else f"{rule['IpProtocol']} {ports}"
    return f"{what} {'to' if rule['IsEgress'] else 'from'} {other}"
