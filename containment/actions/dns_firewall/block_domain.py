"""https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/resolver-dns-firewall.html

Four objects make one block: a list of domains, a group with a rule that blocks by the list, and the
association of the group with the VPC. All are ours, so that undo takes away exactly these.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from containment.actions import register
from containment.describing import ActionType, Context, Ref, Service, Steps, filters, ref
from containment.looking import q
from containment.parameters import param
from containment.types import Affected, Category, Check, Compare, Plan, Refused

MISSING = ("ResourceNotFoundException",)
PER_VPC = 5
FIRST, LAST = 101, 9899
"""https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/DNSLimitations.html"""

LABEL = r"(?!-)[a-z0-9_-]{1,63}(?<!-)"
NAME = re.compile(rf"{LABEL}(\.{LABEL})+")
VITAL = ("amazonaws.com", "amazonaws.com.cn", "api.aws", "internal", "local", "arpa")
REGIONAL_LABELS = 4
"""`service.region.amazonaws.com`: what has more labels belongs to one customer's resource."""


@dataclass(frozen=True, kw_only=True)
class Params:
    domains: tuple[str, ...] = param(
        "domain names to block, without wildcard",
        pattern=r"[A-Za-z0-9_.-]{3,253}",
        minimum=1,
        maximum=100,
    )
    subdomains: bool = param("block every name below them as well", default=True)


@register
class BlockDomain(ActionType):
    """Answer NXDOMAIN to a VPC that asks its resolver for a domain.

    Does not stop: connections to an address that is already known; queries to other resolvers and DNS
    over HTTPS; answers that hosts have cached; other domains of the same attacker.
    """

    id = "dns-firewall.block-domain"
    title = "Block domain"
    target = "vpc"
    category = Category.DESTINATION
    tier = 2
    order = 48
    params = Params
    pairs_with = ("ec2.isolate-instance", "network-firewall.block-address", "vpc.deny-address")
    reads = (
        "ec2:DescribeNetworkInterfaces",
        "ec2:DescribeVpcs",
        "route53resolver:ListFirewallDomainLists",
        "route53resolver:ListFirewallDomains",
        "route53resolver:ListFirewallRuleGroupAssociations",
        "route53resolver:ListFirewallRuleGroups",
        "route53resolver:ListFirewallRules",
    )
    writes = (
        "route53resolver:AssociateFirewallRuleGroup",
        "route53resolver:CreateFirewallDomainList",
        "route53resolver:CreateFirewallRule",
        "route53resolver:CreateFirewallRuleGroup",
        "route53resolver:DeleteFirewallDomainList",
        "route53resolver:DeleteFirewallRule",
        "route53resolver:DeleteFirewallRuleGroup",
        "route53resolver:DisassociateFirewallRuleGroup",
        "route53resolver:UpdateFirewallDomains",
    )
    fallback = (
        "aws route53resolver create-firewall-domain-list --name NAME",
        (
            "aws route53resolver update-firewall-domains --firewall-domain-list-id LIST --operation ADD"
            " --domains DOMAIN '*.DOMAIN'"
        ),
        "aws route53resolver create-firewall-rule-group --name NAME",
        (
            "aws route53resolver create-firewall-rule --firewall-rule-group-id GROUP"
            " --firewall-domain-list-id LIST --priority 1 --action BLOCK --block-response NXDOMAIN --name N"
        ),
        (
            "aws route53resolver associate-firewall-rule-group --firewall-rule-group-id GROUP --vpc-id VPC"
            " --priority 101 --name NAME"
        ),
    )

    def plan(self, ctx: Context) -> Plan:
        resolver, steps, vpc = ctx.aws("route53resolver"), Steps(ctx), ctx.target.id
        missing = ("InvalidVpcID.NotFound",)
        found: Any = ctx.read(ctx.aws("ec2").read("DescribeVpcs", VpcIds=[vpc], missing=missing))
        if not found or not found["Vpcs"]:
            raise Refused(f"there is no VPC {vpc}")
        names = _names(ctx.params)
        priority, present = self._priority(ctx, resolver)
        domains = self._list(ctx, resolver, steps)
        self._fill(ctx, resolver, steps, domains, names)
        group = self._group(ctx, resolver, steps)
        self._rule(ctx, resolver, steps, group, domains)
        self._associate(ctx, resolver, steps, group, priority)
        return steps.plan(
            facts={"associations": present},
            changes=tuple(f"Hosts of {vpc} get NXDOMAIN for {name.rstrip('.')}" for name in names),
        )

    def affects(self, ctx: Context) -> Iterator[Affected]:
        asked = filters(**{"vpc-id": ctx.target.id})
        found: Any = ctx.read(ctx.aws("ec2").read("DescribeNetworkInterfaces", Filters=asked))
        for one in sorted(found["NetworkInterfaces"], key=lambda one: str(one["NetworkInterfaceId"])):
            host = (one.get("Attachment") or {}).get("InstanceId") or one.get("Description") or "no host"
            yield Affected(
                what=f"{one['NetworkInterfaceId']}, of {host}", then="can no longer resolve these names"
            )

    def _priority(self, ctx: Context, resolver: Service) -> tuple[int, list[str]]:
        """The lowest free priority, so that ours is asked first, and the associations that are there."""
        found: Any = ctx.read(resolver.read("ListFirewallRuleGroupAssociations", VpcId=ctx.target.id))
        others = [one for one in found["FirewallRuleGroupAssociations"] if one["Name"] != ctx.mark]
        if len(others) >= PER_VPC:
            raise Refused(f"{ctx.target.id} has {len(others)} firewall rule groups; AWS allows {PER_VPC}")
        taken = {one["Priority"] for one in others}
        return next(n for n in range(FIRST, LAST) if n not in taken), sorted(one["Id"] for one in others)

    def _list(self, ctx: Context, resolver: Service, steps: Steps) -> Ref:
        me = ref("domain-list")
        return steps.create(
            "domain-list",
            changes=f"route53resolver:domain-list/{ctx.mark}",
            find=resolver.read("ListFirewallDomainLists"),
            select=f"FirewallDomainLists[?Name=={q(ctx.mark)}].Id | [0]",
            answer="FirewallDomainList.Id",
            call=resolver.call(
                "CreateFirewallDomainList", CreatorRequestId=ctx.mark, Name=ctx.mark, Tags=ctx.tags
            ),
            undo=resolver.call("DeleteFirewallDomainList", FirewallDomainListId=me),
        )

    def _fill(self, ctx: Context, resolver: Service, steps: Steps, domains: Ref, names: list[str]) -> None:
        steps.set(
            "domains",
            changes=f"route53resolver:domain-list/{ctx.mark}/domains",
            was=None,
            call=resolver.call(
                "UpdateFirewallDomains", FirewallDomainListId=domains, Operation="REPLACE", Domains=names
            ),
            seen=Check(
                read=resolver.read("ListFirewallDomains", FirewallDomainListId=domains, missing=MISSING),
                select="Domains",
                equals=names,
                compare=Compare.SET,
            ),
        )

    def _group(self, ctx: Context, resolver: Service, steps: Steps) -> Ref:
        me = ref("rule-group")
        return steps.create(
            "rule-group",
            changes=f"route53resolver:rule-group/{ctx.mark}",
            find=resolver.read("ListFirewallRuleGroups"),
            select=f"FirewallRuleGroups[?Name=={q(ctx.mark)}].Id | [0]",
            answer="FirewallRuleGroup.Id",
            call=resolver.call(
                "CreateFirewallRuleGroup", CreatorRequestId=ctx.mark, Name=ctx.mark, Tags=ctx.tags
            ),
            undo=resolver.call("DeleteFirewallRuleGroup", FirewallRuleGroupId=me),
        )

    def _rule(self, ctx: Context, resolver: Service, steps: Steps, group: Ref, domains: Ref) -> None:
        named: dict[str, Any] = {"FirewallRuleGroupId": group, "FirewallDomainListId": domains}
        steps.set(
            "rule",
            changes=f"route53resolver:rule-group/{ctx.mark}/rule",
            was=None,
            call=resolver.call(
                "CreateFirewallRule",
                CreatorRequestId=ctx.mark,
                Name=ctx.mark,
                Priority=1,
                Action="BLOCK",
                BlockResponse="NXDOMAIN",
                **named,
            ),
            seen=Check(
                read=resolver.read("ListFirewallRules", FirewallRuleGroupId=group, missing=MISSING),
                select=f"FirewallRules[?Name=={q(ctx.mark)}] | [0]"
                ".[FirewallDomainListId, Action, BlockResponse]",
                equals=[domains, "BLOCK", "NXDOMAIN"],
            ),
            undo=resolver.call("DeleteFirewallRule", **named),
        )

    def _associate(self, ctx: Context, resolver: Service, steps: Steps, group: Ref, priority: int) -> None:
        listing = resolver.read("ListFirewallRuleGroupAssociations", VpcId=ctx.target.id)
        mine = f"FirewallRuleGroupAssociations[?Name=={q(ctx.mark)}]"
        steps.create(
            "association",
            changes=f"route53resolver:vpc/{ctx.target.id}/rule-group/{ctx.mark}",
            find=listing,
            select=f"{mine}.Id | [0]",
            answer="FirewallRuleGroupAssociation.Id",
            call=resolver.call(
                "AssociateFirewallRuleGroup",
                CreatorRequestId=ctx.mark,
                FirewallRuleGroupId=group,
                VpcId=ctx.target.id,
                Priority=priority,
                Name=ctx.mark,
                MutationProtection="DISABLED",
                Tags=ctx.tags,
            ),
            undo=resolver.call(
                "DisassociateFirewallRuleGroup", FirewallRuleGroupAssociationId=ref("association")
            ),
            # An association that is being deleted is still listed, and the group in use, for minutes.
            undo_seen=Check(read=listing, select=f"{mine}.Id | [0]", equals=None),
            settle=60,
            within=600,
        )
        steps.wait(
            "associated",
            seen=Check(read=listing, select=f"{mine}.Status | [0]", equals="COMPLETE"),
            within=900,
        )


def _names(params: Params) -> list[str]:
    """The names as DNS Firewall lists them, with a last dot; raises `Refused` for what hosts need."""
    names: set[str] = set()
    for given in params.domains:
        name = given.lower().rstrip(".")
        if not NAME.fullmatch(name):
            raise Refused(f"{given} is not a domain name below a top-level domain")
        for vital in VITAL:
            if name == vital or (name.endswith(f".{vital}") and name.count(".") < REGIONAL_LABELS):
                raise Refused(f"{given} must never be blocked: hosts need {vital}")
        names |= {f"{name}.", f"*.{name}."} if params.subdomains else {f"{name}."}
    return sorted(names)
