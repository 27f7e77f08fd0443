"""Managed policies attached to a user or role.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
"""

from __future__ import annotations

from typing import Any

from containment.actions.iam.principals import Principal, statements
from containment.describing import Context, Steps
from containment.looking import q
from containment.parameters import param
from containment.types import Check, Refused

DENY_ALL = "policy/AWSDenyAll"
"""https://docs.aws.amazon.com/aws-managed-policy/latest/reference/AWSDenyAll.html"""

ATTACHED_QUOTA = 10
"""Managed policies of one principal, where the account's summary does not say."""

POLICY_READS = ("iam:GetAccountSummary", "iam:GetPolicy", "iam:GetPolicyVersion")


def policy_param() -> Any:
    """The parameter that names a managed policy which denies everything."""
    return param(
        "ARN of a managed policy that denies everything, rolled out beforehand; empty for AWSDenyAll",
        default="",
        pattern=r"(arn:[a-z-]+:iam::(aws|\d{12}):policy/[\w+=,.@/-]{1,512})?",
    )


def managed_policy(ctx: Context, arn: str) -> dict[str, Any]:
    """ARN, version and document of a managed policy that can be attached here; raises `Refused` else."""
    arn = arn or ctx.arn("iam", DENY_ALL, account="aws")
    if not arn.startswith(tuple(ctx.arn("iam", "policy/", account=who) for who in (None, "aws"))):
        raise Refused(f"{arn} is neither account {ctx.target.account}'s own policy nor AWS's")
    iam = ctx.aws("iam")
    found = ctx.read(iam.read("GetPolicy", PolicyArn=arn, missing=("NoSuchEntity",)))
    if found is None:
        raise Refused(f"there is no managed policy {arn}")
    version = found["Policy"]["DefaultVersionId"]
    document = ctx.read(iam.read("GetPolicyVersion", PolicyArn=arn, VersionId=version))
    return {"arn": arn, "version": version, "document": document["PolicyVersion"]["Document"]}


def denying_policy(ctx: Context, arn: str) -> dict[str, Any]:
    """Like `managed_policy`; raises `Refused` as well when it does not deny everything."""
    found = managed_policy(ctx, arn)
    if not denies_everything(found["document"]):
        raise Refused(f"{found['arn']} does not deny everything to whoever it is attached to")
    return found


def denies_everything(document: Any) -> bool:
    """Whether a policy denies all actions on all resources and allows nothing.

    A condition is let pass: a rolled-out policy spares the responders by one.
    """
    listed = statements(document)
    return all(one.get("Effect") == "Deny" for one in listed) and any(
        one.get("Action") in ("*", ["*"]) and one.get("Resource") in ("*", ["*"]) for one in listed
    )


def attach(ctx: Context, steps: Steps, one: Principal, arn: str, **more: Any) -> None:
    """Add the step that attaches a managed policy, and detaches it on undo if we attached it.

    Raises `Refused` when the principal has as many policies as its account may attach.
    """
    listing = one.read(ctx, "ListAttached{}Policies")
    present = {str(each["PolicyArn"]) for each in ctx.read(listing)["AttachedPolicies"]}
    quota = _quota(ctx, one)
    if arn not in present and len(present) >= quota:
        raise Refused(
            f"{one.label} has {len(present)} managed policies attached, and the account allows {quota}; "
            "set a permissions boundary (iam.set-boundary) instead"
        )
    steps.set(
        "attach",
        changes=f"iam:{one.kind}/{one.name}/attached/{arn}",
        call=one.call(ctx, "Attach{}Policy", PolicyArn=arn),
        seen=Check(
            read=listing,
            select=f"AttachedPolicies[?PolicyArn=={q(arn)}].PolicyArn | [0]",
            equals=arn,
        ),
        undo=one.call(ctx, "Detach{}Policy", PolicyArn=arn),
        **more,
    )


def _quota(ctx: Context, one: Principal) -> int:
    summary = ctx.read(ctx.aws("iam").read("GetAccountSummary"))["SummaryMap"]
    return int(summary.get(f"AttachedPoliciesPer{one.noun}Quota") or ATTACHED_QUOTA)
