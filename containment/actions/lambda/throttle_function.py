"""https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html

A function with a reserved concurrency of zero is not run at all. Provisioned concurrency may not be
above what is reserved, so it is taken away first.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from containment.actions import register
from containment.describing import ActionType, Context, Steps
from containment.types import Affected, Category, Check, Plan, Refused

ABSENT = ("ResourceNotFoundException",)
NOT_PROVISIONED = ("ProvisionedConcurrencyConfigNotFoundException", *ABSENT)


@register
class ThrottleFunction(ActionType):
    """Set a function's reserved concurrency to zero, so that it is not run any more.

    Does not stop: runs that have begun, for up to 15 minutes; credentials already taken from the
    function's environment; asynchronous events, which wait for up to six hours and are run when the
    action is undone; Lambda@Edge replicas.
    """

    id = "lambda.throttle-function"
    title = "Throttle function"
    target = "function"
    category = Category.DESTINATION
    tier = 2
    order = 60
    pairs_with = ("lambda.disable-triggers", "iam.revoke-role-sessions")
    reads = (
        "lambda:GetFunctionConfiguration",
        "lambda:GetFunctionConcurrency",
        "lambda:ListProvisionedConcurrencyConfigs",
        "lambda:GetProvisionedConcurrencyConfig",
        "lambda:ListEventSourceMappings",
    )
    writes = (
        "lambda:PutFunctionConcurrency",
        "lambda:DeleteFunctionConcurrency",
        "lambda:DeleteProvisionedConcurrencyConfig",
        "lambda:PutProvisionedConcurrencyConfig",
    )
    fallback = (
        "aws lambda put-function-concurrency --function-name NAME --reserved-concurrent-executions 0",
    )

    def plan(self, ctx: Context) -> Plan:
        function, name = _function(ctx), ctx.target.id
        aws, steps = ctx.aws("lambda"), Steps(ctx)
        provisioned = _provisioned(ctx)
        for qualifier, number in provisioned:
            self._unprovision(ctx, steps, qualifier, number)
        seen = Check(
            read=aws.read("GetFunctionConcurrency", FunctionName=name),
            select="ReservedConcurrentExecutions",
            equals=0,
        )
        reserved = ctx.look(seen)
        steps.set(
            "throttle",
            changes=f"lambda:function/{name}/concurrency",
            call=aws.call("PutFunctionConcurrency", FunctionName=name, ReservedConcurrentExecutions=0),
            seen=seen,
            undo=aws.call("DeleteFunctionConcurrency", FunctionName=name)
            if reserved is None
            else aws.call("PutFunctionConcurrency", FunctionName=name, ReservedConcurrentExecutions=reserved),
        )
        before = "no limit of its own" if reserved is None else f"a limit of {reserved}"
        return steps.plan(
            notes={"role": function.get("Role", ""), "runtime": function.get("Runtime", "")},
            changes=(
                *(f"{name}:{q} loses its {number} provisioned executions" for q, number in provisioned),
                f"{name} had {before} and may run zero times at once",
            ),
            warnings=("events that come meanwhile may be run all at once when this is undone",),
        )

    def affects(self, ctx: Context) -> Iterator[Affected]:
        name = ctx.target.id
        yield Affected(what=f"whatever calls {name}", then="is refused as throttled")
        read = ctx.aws("lambda").read("ListEventSourceMappings", FunctionName=name)
        for one in sorted(ctx.read(read)["EventSourceMappings"], key=lambda one: str(one["UUID"])):
            source = one.get("EventSourceArn") or one["UUID"]
            yield Affected(what=f"{source}, which feeds it", then="tries again, and its records may expire")

    def _unprovision(self, ctx: Context, steps: Steps, qualifier: str, number: int) -> None:
        aws = ctx.aws("lambda")
        named: dict[str, Any] = {"FunctionName": ctx.target.id, "Qualifier": qualifier}
        steps.set(
            f"unprovision-{qualifier}",
            changes=f"lambda:function/{ctx.target.id}:{qualifier}/provisioned",
            call=aws.call("DeleteProvisionedConcurrencyConfig", **named),
            seen=Check(
                read=aws.read("GetProvisionedConcurrencyConfig", **named, missing=NOT_PROVISIONED),
                select="RequestedProvisionedConcurrentExecutions",
                equals=None,
            ),
            undo=aws.call("PutProvisionedConcurrencyConfig", **named, ProvisionedConcurrentExecutions=number),
        )


def _function(ctx: Context) -> dict[str, Any]:
    """The function's configuration. Raises `Refused`."""
    name = ctx.target.id
    if ":" in name:
        raise Refused("name the function alone, without ARN, version or alias")
    found = ctx.read(ctx.aws("lambda").read("GetFunctionConfiguration", FunctionName=name, missing=ABSENT))
    if found is None:
        raise Refused(f"there is no function {name} in {ctx.target.region}")
    function: dict[str, Any] = found
    return function


def _provisioned(ctx: Context) -> list[tuple[str, int]]:
    """Version or alias, and how many executions are kept ready for it; sorted."""
    read = ctx.aws("lambda").read("ListProvisionedConcurrencyConfigs", FunctionName=ctx.target.id)
    return sorted(
        (one["FunctionArn"].rsplit(":", 1)[-1], int(one["RequestedProvisionedConcurrentExecutions"]))
        for one in ctx.read(read).get("ProvisionedConcurrencyConfigs") or []
    )
