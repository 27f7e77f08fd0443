"""https://docs.aws.amazon.com/network-firewall/latest/APIReference/API_UpdateRuleGroup.html

An update replaces the whole rule group and carries the token of the group it was made from; the
executor reads both together and changes our rules only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from containment.actions import register
from containment.actions.addresses import blockable
from containment.describing import ActionType, Context, Service, Steps
from containment.looking import q
from containment.parameters import param
from containment.types import Affected, Category, Check, Edit, Plan, Read, Refused

SOURCE = "RuleGroup.RulesSource"
KINDS = ("stateful", "stateless")
STATELESS = f"{SOURCE}.StatelessRulesAndCustomActions"
PASSING = frozenset({"aws:pass", "aws:forward_to_sfe"})
LAST_PRIORITY = 65535


@dataclass(frozen=True, kw_only=True)
class Params:
    address: str = param("IP address or network in CIDR form, IPv4 or IPv6", pattern=r"[0-9A-Fa-f.:/]{2,49}")


@register
class BlockAddress(ActionType):
    """Drop all traffic from and to an address in a rule group of a network firewall.

    Does not stop: flows that the firewall judged before, until they are flushed; traffic that an earlier
    rule or rule group passes; traffic that is not routed through the firewall; the same attacker from
    another address.
    """

    id = "network-firewall.block-address"
    title = "Block address in firewall"
    target = "firewall_rule_group"
    category = Category.SOURCE
    tier = 2
    order = 43
    params = Params
    pairs_with = ("vpc.deny-address", "dns-firewall.block-domain")
    reads = ("network-firewall:DescribeRuleGroup",)
    writes = ("network-firewall:UpdateRuleGroup",)
    fallback = (
        "aws network-firewall describe-rule-group --rule-group-name NAME --type STATEFUL",
        (
            "aws network-firewall update-rule-group --rule-group-name NAME --type STATEFUL"
            " --rule-group file://whole-group-with-the-drop-rule.json --update-token TOKEN"
        ),
        (
            "aws network-firewall start-flow-flush --firewall-arn FIREWALL --availability-zone ZONE"
            " --flow-filters SourceAddress={AddressDefinition=ADDRESS}"
        ),
    )

    def plan(self, ctx: Context) -> Plan:
        firewall, address = ctx.aws("network-firewall"), blockable(ctx.params.address)
        kind, arn, listing = self._read(ctx, firewall)
        found: Any = ctx.read(listing)
        if not found:
            raise Refused(f"there is no rule group {ctx.target.id}")
        rules, source = _rules_of(found, kind, ctx.target.id)
        added, seen = (_stateful if kind == "stateful" else _stateless)(ctx, rules, address)
        used, whole = (found["RuleGroupResponse"].get(name) or 0 for name in ("ConsumedCapacity", "Capacity"))
        is_new = not any(one in rules for one in added)
        if is_new and used + len(added) > whole:
            raise Refused(f"{ctx.target.id} uses {used} of its capacity of {whole}; {len(added)} is needed")
        in_use = Check(read=listing, select="RuleGroupResponse.NumberOfAssociations > `0`", equals=True)
        if not ctx.look(in_use):
            raise Refused(f"no firewall policy uses {ctx.target.id}; a rule in it would do nothing")
        steps = Steps(ctx)
        steps.edit(
            "drop",
            changes=f"network-firewall:{ctx.target.id}/{address}",
            call=firewall.call("UpdateRuleGroup", RuleGroupArn=arn, Type=kind.upper()),
            seen=Check(read=listing, select=f"{source}{seen[0]}", equals=seen[1]),
            edit=Edit(
                read=listing,
                at=source,
                into=source,
                add=tuple(added),
                id="Priority" if kind == "stateless" else None,
                token={"UpdateToken": "UpdateToken"},
                copy=_kept(kind),
            ),
        )
        return steps.plan(
            holds=(in_use,),
            facts={"capacity": whole, "order": _order(found)},
            changes=(f"{ctx.target.id} drops all traffic from and to {address}",),
            warnings=tuple(_warnings(found, rules, kind)),
        )

    def affects(self, ctx: Context) -> Iterator[Affected]:
        _, _, listing = self._read(ctx, ctx.aws("network-firewall"))
        found: Any = ctx.read(listing)
        number = found["RuleGroupResponse"].get("NumberOfAssociations") or 0
        yield Affected(
            what=f"every network behind the {number} firewall policies that use the rule group",
            then=f"exchanges nothing with {ctx.params.address} any more",
        )

    def _read(self, ctx: Context, firewall: Service) -> tuple[str, str, Read]:
        kind, _, name = ctx.target.id.partition("/")
        if kind not in KINDS or not name:
            raise Refused("the target's id has the form stateful/NAME or stateless/NAME")
        resource, region = f"{kind}-rulegroup/{name}", firewall.place.region
        arn = ctx.arn("network-firewall", resource, region=region)
        missing = ("ResourceNotFoundException",)
        return kind, arn, firewall.read("DescribeRuleGroup", RuleGroupArn=arn, missing=missing)


def _rules_of(found: dict[str, Any], kind: str, name: str) -> tuple[list[dict[str, Any]], str]:
    """The rules of a group and where they stand; refused where they are not in the form of rules."""
    source: dict[str, Any] = found["RuleGroup"]["RulesSource"]
    if kind == "stateless":
        within = source.get("StatelessRulesAndCustomActions") or {}
        return list(within.get("StatelessRules") or []), f"{STATELESS}.StatelessRules"
    for other, words in (("RulesString", "Suricata text"), ("RulesSourceList", "a list of domains")):
        if source.get(other):
            raise Refused(f"{name} is made of {words}; choose a rule group of standard rules")
    return list(source.get("StatefulRules") or []), f"{SOURCE}.StatefulRules"


def _stateful(
    ctx: Context, rules: list[dict[str, Any]], address: str
) -> tuple[list[dict[str, Any]], tuple[str, Any]]:
    """One rule, for both directions, under a number that comes from the action's id."""
    sid = str(1_000_000_000 + int(hashlib.sha256(ctx.id.encode()).hexdigest()[:8], 16) % 1_000_000_000)
    present = next((one for one in rules if _drops(one, address)), None)
    rule = present or {
        "Action": "DROP",
        "Header": {
            "Protocol": "IP",
            "Source": address,
            "SourcePort": "ANY",
            "Direction": "ANY",
            "Destination": "ANY",
            "DestinationPort": "ANY",
        },
        "RuleOptions": [{"Keyword": "sid", "Settings": [sid]}],
    }
    mine = (
        f"[?Action=='DROP' && Header.Protocol=='IP' && Header.Direction=='ANY'"
        f" && Header.Source=={q(address)} && Header.Destination=='ANY'] | [0].Header.Source"
    )
    return [rule], (mine, address)


def _drops(rule: dict[str, Any], address: str) -> bool:
    header = rule["Header"]
    said = (rule["Action"], header["Protocol"], header["Direction"], header["Source"], header["Destination"])
    return said == ("DROP", "IP", "ANY", address, "ANY")


def _stateless(
    _: Context, rules: list[dict[str, Any]], address: str
) -> tuple[list[dict[str, Any]], tuple[str, Any]]:
    """Two rules, one for each direction, before the first that lets anything pass."""
    here = {"AddressDefinition": address}
    added = []
    letting = [one["Priority"] for one in rules if PASSING & set(one["RuleDefinition"]["Actions"])]
    taken, first = {one["Priority"] for one in rules}, min(letting, default=LAST_PRIORITY + 1)
    free = [number for number in range(1, first) if number not in taken]
    for side in ("Destinations", "Sources"):
        present = next(
            (one for one in rules if _drops_side(one, side, here) and one["Priority"] < first), None
        )
        if present is None and not free:
            raise Refused(f"there is no free priority before the first rule that passes, {first}")
        made = {"RuleDefinition": {"MatchAttributes": {side: [here]}, "Actions": ["aws:drop"]}}
        added.append(present or {**made, "Priority": free.pop()})
    numbers = " || ".join(f"Priority==`{one['Priority']}`" for one in added)
    parts = "RuleDefinition.Actions[0], RuleDefinition.MatchAttributes.[Sources, Destinations][]"
    mine = f"[?{numbers}].[{parts}[].AddressDefinition | [0]] | sort_by(@, &[1])"
    return added, (mine, [["aws:drop", address]] * 2)


def _drops_side(rule: dict[str, Any], side: str, here: dict[str, str]) -> bool:
    definition = rule["RuleDefinition"]
    matched = {key: value for key, value in definition["MatchAttributes"].items() if value}
    return definition["Actions"] == ["aws:drop"] and matched == {side: [here]}


def _kept(kind: str) -> dict[str, str]:
    """The rest of the group, which goes back as it was read."""
    kept = ["RuleGroup.RuleVariables", "RuleGroup.ReferenceSets", "RuleGroup.StatefulRuleOptions"]
    kept += [f"{STATELESS}.CustomActions"] if kind == "stateless" else []
    return {path: path for path in kept} | {"Description": "RuleGroupResponse.Description"}


def _order(found: dict[str, Any]) -> str:
    return str((found["RuleGroup"].get("StatefulRuleOptions") or {}).get("RuleOrder") or "")


def _warnings(found: dict[str, Any], rules: list[dict[str, Any]], kind: str) -> Iterator[str]:
    yield (
        "Flows that the firewall has judged keep their verdict: flush them afterwards with"
        " aws network-firewall start-flow-flush, for the address as source and as destination"
    )
    if kind == "stateful" and any(one["Action"] == "PASS" for one in rules):
        when = "stand before ours" if _order(found) == "STRICT_ORDER" else "are tried before any that drops"
        yield f"Rules of this group that pass {when}; what they let through is not dropped"
