"""https://docs.aws.amazon.com/securityhub/1.0/APIReference/API_BatchUpdateFindings.html

Only the workflow status is written: a note would replace whatever note is there. Each change makes
Security Hub send the finding again; intake knows it as the same finding.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from containment.actions import register
from containment.describing import ActionType, Context, Steps
from containment.parameters import param
from containment.types import Affected, Category, Check, Plan, Read, Refused


@dataclass(frozen=True, kw_only=True)
class Params:
    product_arn: str = param(
        "ARN of the product that the findings come from", pattern=r"arn:[a-z-]+:securityhub:[^\s]{1,300}"
    )
    status: str = param(
        "workflow status to set", default="RESOLVED", choices=("NEW", "NOTIFIED", "RESOLVED", "SUPPRESSED")
    )
    others: tuple[str, ...] = param(
        "ids of further findings of this product, set in the same action",
        default=(),
        maximum=19,
        pattern=r"\S{1,512}",
    )


@register
class SetWorkflowStatus(ActionType):
    """Set the workflow status of Security Hub findings, so that its readers see where the work stands.

    Does not stop: anything, and closes nothing in Quell; a finding that is seen again keeps the status,
    but one whose compliance fails again is set to NEW by Security Hub.
    """

    id = "securityhub.set-workflow-status"
    title = "Set workflow status at source"
    target = "finding"
    category = Category.RECOVERY
    tier = 0
    order = 98
    params = Params
    reads = ("securityhub:GetFindings",)
    writes = ("securityhub:BatchUpdateFindings",)
    fallback = (
        (
            "aws securityhub batch-update-findings --finding-identifiers Id=ID,ProductArn=ARN"
            " --workflow Status=RESOLVED"
        ),
    )

    def plan(self, ctx: Context) -> Plan:
        if not ctx.write_back:
            raise Refused("write-back is switched off (QUELL_WRITE_BACK)")
        hub, steps, changes = ctx.aws("securityhub"), Steps(ctx), list[str]()
        status, product = ctx.params.status, ctx.params.product_arn
        for number, finding in enumerate(_findings(ctx)):
            seen = Check(read=_read(ctx, finding), select="Findings[0].Workflow.Status", equals=status)
            was = ctx.look(seen)
            if was is None:
                raise Refused(f"Security Hub has no finding {finding} of {product}")
            named = [{"Id": finding, "ProductArn": product}]
            steps.set(
                f"set-{number}",
                changes=f"securityhub:finding/{product}/{finding}/workflow",
                lane=finding,
                was=was,
                call=hub.call("BatchUpdateFindings", FindingIdentifiers=named, Workflow={"Status": status}),
                seen=seen,
                undo=hub.call("BatchUpdateFindings", FindingIdentifiers=named, Workflow={"Status": was}),
            )
            changes.append(f"Finding {finding} becomes {status} in Security Hub (it is {was})")
        return steps.plan(changes=tuple(changes))

    def affects(self, ctx: Context) -> Iterator[Affected]:
        for finding in _findings(ctx):
            yield Affected(what=f"whoever works on {finding} in Security Hub", then="sees the new status")


def _findings(ctx: Context) -> list[str]:
    return sorted({ctx.target.id, *ctx.params.others})


def _read(ctx: Context, finding: str) -> Read:
    return ctx.aws("securityhub").read(
        "GetFindings",
        Filters={
            "Id": [{"Value": finding, "Comparison": "EQUALS"}],
            "ProductArn": [{"Value": ctx.params.product_arn, "Comparison": "EQUALS"}],
        },
    )
