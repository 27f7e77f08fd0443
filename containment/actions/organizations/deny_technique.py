"""https://docs.aws.amazon.com/organizations/latest/userguide/orgs_manage_policies_scps_evaluation.html

A service control policy is out of reach for whoever holds the account, its root user included. It
hits Quell's own roles as well, so they are exempted by name.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from containment.actions import register
from containment.actions.organizations.members import READS, SCP, member, policies_on, unit
from containment.actions.techniques import ACTION_PATTERN, TECHNIQUES, actions_of, deny
from containment.describing import ActionType, Context, Ref, Service, Steps, ref
from containment.looking import q
from containment.parameters import param
from containment.types import Affected, Category, Check, Compare, Plan, Refused
from lib import canonical

PER_TARGET = 10
OLDER_PER_TARGET = 5
SIZE = 10_240
OLDER_SIZE = 5_120
"""Characters and policies per target; the smaller figures held until 2026 and may hold for some.
https://docs.aws.amazon.com/organizations/latest/userguide/orgs_reference_limits.html"""


@dataclass(frozen=True, kw_only=True)
class Params:
    techniques: tuple[str, ...] = param("named sets of actions to deny", default=(), choices=TECHNIQUES)
    actions: tuple[str, ...] = param(
        "single actions to deny (ec2:RunInstances, say)", default=(), pattern=ACTION_PATTERN
    )
    ou_id: str = param(
        "organizational unit above the account to deny it in; empty: the account alone",
        default="",
        pattern=r"(ou-[0-9a-z]{4,32}-[0-9a-z]{8,32})?",
    )


@register
class DenyTechnique(ActionType):
    """Deny the actions of a technique in an account, or a unit of accounts, by a service control policy.

    Does not stop: actions that are not named; principals of the management account and service-linked
    roles, which no service control policy restricts; principals of other accounts whom a resource
    policy lets in; Quell's own roles and the break-glass principals, which are exempted by name.
    """

    id = "organizations.deny-technique"
    title = "Deny technique in account"
    target = "account"
    category = Category.TECHNIQUE
    tier = 2
    order = 28
    params = Params
    pairs_with = ("iam.deny-technique", "organizations.quarantine-account")
    reads = (
        *READS,
        "organizations:DescribePolicy",
        "organizations:ListPolicies",
        "organizations:ListRoots",
        "organizations:ListAccountsForParent",
        "organizations:ListTargetsForPolicy",
    )
    writes = (
        "organizations:AttachPolicy",
        "organizations:CreatePolicy",
        "organizations:DeletePolicy",
        "organizations:DetachPolicy",
    )
    fallback = (
        (
            "aws organizations create-policy --type SERVICE_CONTROL_POLICY --name quell-deny"
            " --description containment --content file://deny.json"
        ),
        "aws organizations attach-policy --policy-id POLICY --target-id ACCOUNT",
    )

    def plan(self, ctx: Context) -> Plan:
        organizations, steps = ctx.aws("organizations", "management"), Steps(ctx)
        parent, ou = member(ctx, organizations), ctx.params.ou_id
        where = self._where(ctx, organizations, parent)
        document: dict[str, Any] = {"Version": "2012-10-17", "Statement": [self._statement(ctx)]}
        size = len(canonical.dumps(document))
        if size > SIZE:
            raise Refused(f"the policy has {size} characters; AWS takes {SIZE}")
        attached = sorted(p["Id"] for p in ctx.read(policies_on(organizations, where))["Policies"])
        if len(attached) >= PER_TARGET:
            raise Refused(f"{where} has {len(attached)} service control policies; AWS allows {PER_TARGET}")
        self._attach(organizations, steps, ctx, where, self._policy(organizations, steps, ctx, document))
        actions = document["Statement"][0]["Action"]
        return steps.plan(
            facts={"parent": parent, "where": where, "characters": size},
            changes=(f"{where} is denied {', '.join(actions)}, but for {', '.join(_exempt(ctx))}",),
            warnings=tuple(_warnings(where, size, len(attached), ou)),
        )

    def affects(self, ctx: Context) -> Iterator[Affected]:
        then = "is denied these actions, people and programs alike"
        if not ctx.params.ou_id:
            yield Affected(what=f"everybody in account {ctx.target.id}", then=then)
            return
        organizations = ctx.aws("organizations", "management")
        found: Any = ctx.read(organizations.read("ListAccountsForParent", ParentId=ctx.params.ou_id))
        for one in sorted(found["Accounts"], key=lambda one: str(one["Id"])):
            yield Affected(what=f"everybody in account {one['Id']}, {one['Name']}", then=then)

    def _where(self, ctx: Context, organizations: Service, parent: str) -> str:
        """The account or the unit to attach to; SCPs must be turned on in the organization."""
        roots: Any = ctx.read(organizations.read("ListRoots"))["Roots"]
        types = {one["Type"] for root in roots for one in root["PolicyTypes"] if one["Status"] == "ENABLED"}
        if SCP not in types:
            raise Refused("service control policies are not turned on in the organization")
        if not ctx.params.ou_id:
            return ctx.target.id
        unit(ctx, organizations, ctx.params.ou_id)
        if ctx.params.ou_id != parent:
            raise Refused(f"{ctx.target.id} lies in {parent}, not directly in {ctx.params.ou_id}")
        return str(ctx.params.ou_id)

    def _statement(self, ctx: Context) -> dict[str, Any]:
        if not ctx.exempt:
            raise Refused("the estate names no roles to exempt; the policy would lock Quell out as well")
        actions = actions_of(ctx.params.techniques, ctx.params.actions)
        return deny(ctx.sid, actions, exempt=_exempt(ctx))

    def _policy(self, organizations: Service, steps: Steps, ctx: Context, document: dict[str, Any]) -> Ref:
        me = ref("policy")
        return steps.create(
            "policy",
            changes=f"organizations:policy/{ctx.mark}",
            find=organizations.read("ListPolicies", Filter=SCP),
            select=f"Policies[?Name=={q(ctx.mark)}].Id | [0]",
            answer="Policy.PolicySummary.Id",
            call=organizations.call(
                "CreatePolicy",
                Name=ctx.mark,
                Description=f"Quell containment {ctx.id}",
                Type=SCP,
                Content={"$json": document},
                Tags=ctx.tags,
            ),
            content=Check(
                read=organizations.read("DescribePolicy", PolicyId=me, decode=("Policy.Content",)),
                select="Policy.Content",
                equals=document,
                compare=Compare.POLICY,
            ),
            undo=organizations.call("DeletePolicy", PolicyId=me),
            unless=Check(
                read=organizations.read("ListTargetsForPolicy", PolicyId=me),
                select="Targets[0].TargetId",
                equals=True,
                compare=Compare.PRESENT,
            ),
        )

    def _attach(self, organizations: Service, steps: Steps, ctx: Context, where: str, policy: Ref) -> None:
        steps.set(
            "attach",
            changes=f"organizations:target/{where}/policy/{ctx.mark}",
            call=organizations.call("AttachPolicy", PolicyId=policy, TargetId=where),
            seen=Check(
                read=policies_on(organizations, where),
                select=f"Policies[?Name=={q(ctx.mark)}].Name | [0]",
                equals=ctx.mark,
            ),
            undo=organizations.call("DetachPolicy", PolicyId=policy, TargetId=where),
        )


def _exempt(ctx: Context) -> tuple[str, ...]:
    """Quell's roles and the break-glass principals; of every account where the target is a unit."""
    if not ctx.params.ou_id:
        return ctx.exempt
    return tuple(sorted({one.replace(f"::{ctx.target.account}:", "::*:") for one in ctx.exempt}))


def _warnings(where: str, size: int, attached: int, ou: str) -> Iterator[str]:
    if ou:
        yield f"Every account in {ou} is meant, and principals of the exempted names in each are spared"
    if size > OLDER_SIZE:
        yield f"The policy has {size} characters; an organization of the older quota takes {OLDER_SIZE}"
    if attached >= OLDER_PER_TARGET:
        yield f"{where} has {attached} policies; an organization of the older quota takes {OLDER_PER_TARGET}"
