"""https://docs.aws.amazon.com/waf/latest/APIReference/API_UpdateIPSet.html

An update replaces the whole list, and is refused unless it carries the lock token of the list it was
made from. So the executor reads list and token together, and changes one member.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from containment.actions import register
from containment.actions.addresses import blockable, network_of
from containment.describing import ActionType, Context, Service, Steps
from containment.looking import q
from containment.parameters import param
from containment.types import Affected, Category, Check, Edit, Plan, Read, Refused

SET_SIZE = 10_000
"""https://docs.aws.amazon.com/waf/latest/developerguide/limits.html"""


@dataclass(frozen=True, kw_only=True)
class Params:
    address: str = param("IP address or network in CIDR form, IPv4 or IPv6", pattern=r"[0-9A-Fa-f.:/]{2,49}")
    name: str = param("name of the IP set, which AWS asks for beside its id", pattern=r"[\w-]{1,128}")
    scope: str = param(
        "REGIONAL, or CLOUDFRONT for distributions",
        default="REGIONAL",
        choices=("REGIONAL", "CLOUDFRONT"),
    )


@register
class BlockAddress(ActionType):
    """Add an address to an IP set by which a web ACL blocks.

    Does not stop: traffic that does not pass this web ACL: other load balancers, distributions and APIs,
    network load balancers, the instances' own addresses; clients behind a proxy, unless the rule reads
    the forwarded address; the same attacker from another address.
    """

    id = "waf.block-address"
    title = "Block address at the edge"
    target = "ip_set"
    category = Category.SOURCE
    tier = 1
    order = 42
    params = Params
    pairs_with = ("vpc.deny-address", "network-firewall.block-address")
    reads = ("wafv2:GetIPSet", "wafv2:GetWebACL", "wafv2:ListResourcesForWebACL", "wafv2:ListWebACLs")
    writes = ("wafv2:UpdateIPSet",)
    fallback = (
        "aws wafv2 get-ip-set --name NAME --scope SCOPE --id ID",
        (
            "aws wafv2 update-ip-set --name NAME --scope SCOPE --id ID --addresses ALL_AND_THE_NEW_ONE"
            " --lock-token TOKEN"
        ),
    )

    def plan(self, ctx: Context) -> Plan:
        waf, address = self._waf(ctx), blockable(ctx.params.address)
        here, listing = self._set(ctx, waf, address)
        rules = self._blocking(ctx, waf, here["ARN"])
        named = {"Name": ctx.params.name, "Scope": ctx.params.scope, "Id": ctx.target.id}
        used, steps = [f"{acl['Name']}/{rule}" for acl, rule in rules], Steps(ctx)
        steps.edit(
            "block",
            changes=f"wafv2:ip-set/{ctx.target.id}/{address}",
            call=waf.call("UpdateIPSet", **named),
            seen=Check(read=listing, select=f"IPSet.Addresses[?@=={q(address)}] | [0]", equals=address),
            edit=Edit(
                read=listing,
                at="IPSet.Addresses",
                into="Addresses",
                add=(address,),
                token={"LockToken": "LockToken"},
                copy={"Description": "IPSet.Description"},
            ),
        )
        return steps.plan(
            holds=tuple(self._holds(waf, ctx.params.scope, acl, rule, here["ARN"]) for acl, rule in rules),
            facts={"rules": used},
            changes=(f"{address} is blocked by {', '.join(used)}",),
        )

    def affects(self, ctx: Context) -> Iterator[Affected]:
        waf = self._waf(ctx)
        here, _ = self._set(ctx, waf, blockable(ctx.params.address))
        for acl, rule in self._blocking(ctx, waf, here["ARN"]):
            found = self._behind(ctx, waf, acl)
            what = f"{acl['Name']}, rule {rule}"
            yield Affected(what=what, then=f"answers 403 to {ctx.params.address}")
            for arn in found:
                yield Affected(what=f"{arn}, behind {acl['Name']}", then="is no longer reached from there")

    def _waf(self, ctx: Context) -> Service:
        return ctx.aws("wafv2", "edge" if ctx.params.scope == "CLOUDFRONT" else "target")

    def _set(self, ctx: Context, waf: Service, address: str) -> tuple[dict[str, Any], Read]:
        """The IP set, if it can take the address, and the read of it."""
        name = ctx.params.name
        listing = waf.read(
            "GetIPSet",
            Name=name,
            Scope=ctx.params.scope,
            Id=ctx.target.id,
            missing=("WAFNonexistentItemException",),
        )
        found: Any = ctx.read(listing)
        if not found:
            raise Refused(f"there is no {ctx.params.scope} IP set {name} with the id {ctx.target.id}")
        here: dict[str, Any] = found["IPSet"]
        wanted = f"IPV{network_of(address).version}"
        if here["IPAddressVersion"] != wanted:
            raise Refused(f"{name} takes {here['IPAddressVersion']} addresses; {address} is {wanted}")
        if address not in here["Addresses"] and len(here["Addresses"]) >= SET_SIZE:
            raise Refused(f"{name} holds {len(here['Addresses'])} addresses; AWS allows {SET_SIZE}")
        return here, listing

    def _blocking(self, ctx: Context, waf: Service, arn: str) -> list[tuple[dict[str, Any], str]]:
        """The web ACLs, each with a rule that blocks by the set; refused where there is none."""
        listed: Any = ctx.read(waf.read("ListWebACLs", Scope=ctx.params.scope, Limit=100))
        found = []
        for acl in sorted(listed["WebACLs"], key=lambda one: str(one["Id"])):
            whole: Any = ctx.read(_web_acl(waf, ctx.params.scope, acl))
            for rule in whole["WebACL"]["Rules"]:
                by = (rule["Statement"].get("IPSetReferenceStatement") or {}).get("ARN")
                if by == arn and "Block" in (rule.get("Action") or {}):
                    found.append((acl, str(rule["Name"])))
        if not found:
            raise Refused(
                f"no web ACL has a rule that blocks by {ctx.params.name}; the set alone does nothing"
            )
        return found

    def _holds(self, waf: Service, scope: str, acl: dict[str, Any], rule: str, arn: str) -> Check:
        mine = f"Name=={q(rule)} && Action.Block!=`null` && Statement.IPSetReferenceStatement.ARN=={q(arn)}"
        return Check(read=_web_acl(waf, scope, acl), select=f"WebACL.Rules[?{mine}].Name | [0]", equals=rule)

    def _behind(self, ctx: Context, waf: Service, acl: dict[str, Any]) -> list[str]:
        """The load balancers behind a web ACL; those of CloudFront are known to CloudFront alone."""
        if ctx.params.scope == "CLOUDFRONT":
            return []
        found: Any = ctx.read(
            waf.read("ListResourcesForWebACL", WebACLArn=acl["ARN"], ResourceType="APPLICATION_LOAD_BALANCER")
        )
        return sorted(found.get("ResourceArns") or [])


def _web_acl(waf: Service, scope: str, acl: dict[str, Any]) -> Read:
    return waf.read("GetWebACL", Name=acl["Name"], Scope=scope, Id=acl["Id"])
