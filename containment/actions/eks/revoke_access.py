"""https://docs.aws.amazon.com/eks/latest/userguide/access-entries.html

Deleting an entry takes its policies with it. So each policy is taken off first, as a step of its own
that remembers where it applied: undo makes the entry again and then gives each policy back.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from containment.actions import register
from containment.describing import ActionType, Context, Service, Steps
from containment.looking import q
from containment.parameters import param
from containment.types import Affected, Category, Check, Plan, Read, Refused

MISSING = ("ResourceNotFoundException",)
ENTRY = "accessEntry.[principalArn, sort(kubernetesGroups || `[]`), username, type]"


@dataclass(frozen=True, kw_only=True)
class Params:
    principal_arn: str = param(
        "ARN of the role or user that loses its access",
        pattern=r"arn:aws[a-z-]*:iam::\d{12}:(role|user)/[\w+=,.@/-]{1,512}",
    )
    keep_entry: bool = param(
        "take the access policies off, and leave the entry with its Kubernetes groups", default=False
    )


@register
class RevokeAccess(ActionType):
    """Take a principal's access to a Kubernetes cluster away: its access policies and its access entry.

    Does not stop: service account tokens, certificates and role bindings made inside the cluster, with
    which the same person comes back; the aws-auth ConfigMap, where the cluster still reads it; pods that
    run already; tokens in use, for up to 15 minutes.
    """

    id = "eks.revoke-access"
    title = "Revoke cluster access"
    target = "eks_cluster"
    category = Category.TECHNIQUE
    tier = 2
    order = 34
    params = Params
    pairs_with = ("iam.revoke-role-sessions", "iam.deny-role")
    reads = ("eks:DescribeAccessEntry", "eks:DescribeCluster", "eks:ListAssociatedAccessPolicies")
    writes = (
        "eks:AssociateAccessPolicy",
        "eks:CreateAccessEntry",
        "eks:DeleteAccessEntry",
        "eks:DisassociateAccessPolicy",
    )
    fallback = (
        "aws eks list-associated-access-policies --cluster-name CLUSTER --principal-arn PRINCIPAL",
        "aws eks describe-access-entry --cluster-name CLUSTER --principal-arn PRINCIPAL",
        "aws eks delete-access-entry --cluster-name CLUSTER --principal-arn PRINCIPAL",
        "where the cluster reads aws-auth: kubectl -n kube-system edit configmap aws-auth",
    )

    def plan(self, ctx: Context) -> Plan:
        eks, principal = ctx.aws("eks"), ctx.params.principal_arn
        mode = self._mode(ctx, eks)
        entry, policies = self._entry(ctx, eks), self._policies(ctx, eks)
        if ctx.params.keep_entry and not policies:
            raise Refused(f"{principal} has no access policy in {ctx.target.id}")
        steps = Steps(ctx)
        for policy in policies:
            self._take_off(ctx, eks, steps, policy)
        if not ctx.params.keep_entry:
            self._delete(ctx, eks, steps, entry)
        names = [one["policyArn"].rpartition("/")[2] for one in policies]
        groups = ", ".join(sorted(entry.get("kubernetesGroups") or [])) or "none"
        return steps.plan(
            facts={"mode": mode, "policies": names},
            changes=(
                *(f"{principal} loses {name} in {ctx.target.id}" for name in names),
                *(
                    ()
                    if ctx.params.keep_entry
                    else (f"The access entry of {principal}, Kubernetes groups {groups}, is deleted",)
                ),
            ),
            warnings=tuple(_warnings(ctx, mode, groups)),
        )

    def affects(self, ctx: Context) -> Iterator[Affected]:
        yield Affected(
            what=f"whoever assumes {ctx.params.principal_arn}, people and pipelines alike",
            then=f"is refused by the API of {ctx.target.id}",
        )

    def _mode(self, ctx: Context, eks: Service) -> str:
        found: Any = ctx.read(eks.read("DescribeCluster", name=ctx.target.id, missing=MISSING))
        if not found:
            raise Refused(f"there is no cluster {ctx.target.id}")
        mode = str((found["cluster"].get("accessConfig") or {}).get("authenticationMode") or "CONFIG_MAP")
        if mode == "CONFIG_MAP":
            raise Refused(f"{ctx.target.id} knows no access entries; edit its aws-auth ConfigMap instead")
        return mode

    def _named(self, ctx: Context) -> dict[str, Any]:
        return {"clusterName": ctx.target.id, "principalArn": ctx.params.principal_arn}

    def _entry(self, ctx: Context, eks: Service) -> dict[str, Any]:
        principal = ctx.params.principal_arn
        if principal in ctx.exempt:
            raise Refused(f"{principal} is one of Quell's own roles or a break-glass principal")
        found: Any = ctx.read(eks.read("DescribeAccessEntry", **self._named(ctx), missing=MISSING))
        if not found:
            raise Refused(f"{principal} has no access entry in {ctx.target.id}")
        entry: dict[str, Any] = found["accessEntry"]
        if entry["type"] != "STANDARD":
            raise Refused(f"{principal} is how nodes join the cluster ({entry['type']}), not how people do")
        return entry

    def _policies(self, ctx: Context, eks: Service) -> list[dict[str, Any]]:
        found: Any = ctx.read(self._listing(ctx, eks))
        listed = (found or {}).get("associatedAccessPolicies") or []
        return sorted(listed, key=lambda one: str(one["policyArn"]))

    def _listing(self, ctx: Context, eks: Service) -> Read:
        return eks.read("ListAssociatedAccessPolicies", **self._named(ctx), missing=MISSING)

    def _take_off(self, ctx: Context, eks: Service, steps: Steps, policy: dict[str, Any]) -> None:
        arn, scope = policy["policyArn"], policy["accessScope"]
        name, namespaces = arn.rpartition("/")[2], sorted(scope.get("namespaces") or [])
        applied = {"type": scope["type"], **({"namespaces": namespaces} if namespaces else {})}
        steps.set(
            f"take-off-{name}",
            changes=f"eks:cluster/{ctx.target.id}/{ctx.params.principal_arn}/policy/{name}",
            call=eks.call("DisassociateAccessPolicy", **self._named(ctx), policyArn=arn),
            seen=Check(
                read=self._listing(ctx, eks),
                select=f"associatedAccessPolicies[?policyArn=={q(arn)}] | [0].accessScope"
                ".[type, sort(namespaces || `[]`)]",
                equals=None,
            ),
            undo=eks.call("AssociateAccessPolicy", **self._named(ctx), policyArn=arn, accessScope=applied),
        )

    def _delete(self, ctx: Context, eks: Service, steps: Steps, entry: dict[str, Any]) -> None:
        again: dict[str, Any] = {"type": entry["type"], "tags": entry.get("tags") or {}}
        again["kubernetesGroups"] = sorted(entry.get("kubernetesGroups") or [])
        if entry["username"] != _default_username(ctx):
            again["username"] = entry["username"]
        steps.set(
            "delete",
            changes=f"eks:cluster/{ctx.target.id}/{ctx.params.principal_arn}/entry",
            call=eks.call("DeleteAccessEntry", **self._named(ctx)),
            seen=Check(
                read=eks.read("DescribeAccessEntry", **self._named(ctx), missing=MISSING),
                select=ENTRY,
                equals=None,
            ),
            undo=eks.call("CreateAccessEntry", **self._named(ctx), **again),
        )


def _default_username(ctx: Context) -> str:
    """The user name that EKS gives a STANDARD entry by itself, and refuses to be told.

    https://docs.aws.amazon.com/eks/latest/userguide/creating-access-entries.html
    """
    principal: str = ctx.params.principal_arn
    owner, name = principal.split(":")[4], principal.rpartition("/")[2]
    if ":role/" in principal:
        return ctx.arn("sts", f"assumed-role/{name}/{{{{SessionName}}}}", account=owner)
    return principal


def _warnings(ctx: Context, mode: str, groups: str) -> Iterator[str]:
    if mode == "API_AND_CONFIG_MAP":
        yield f"{ctx.target.id} reads its aws-auth ConfigMap as well, which may let the principal in again"
    if ctx.params.keep_entry and groups != "none":
        yield f"The Kubernetes groups {groups} stay, with whatever the cluster's role bindings give them"
