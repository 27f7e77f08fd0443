"""https://docs.aws.amazon.com/lambda/latest/dg/lambda-invocation.html

Three things start a function from outside: event source mappings, which Lambda itself polls; its
URLs; and the services and accounts that its resource policy lets in. A statement of that policy can
be taken away by its id only, and comes back only in the words of AddPermission.
https://docs.aws.amazon.com/lambda/latest/dg/API_AddPermission.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from containment.actions import register
from containment.describing import ActionType, Context, Steps
from containment.looking import q
from containment.types import Affected, Category, Check, Compare, Plan, Refused

ABSENT = ("ResourceNotFoundException",)
RUNNING = ["Creating", "Enabled", "Enabling", "Updating"]
NAMED = re.compile(r"\*|\d{12}|arn:.+")
CONDITIONS = {
    ("ArnLike", "aws:sourcearn"): "SourceArn",
    ("StringEquals", "aws:sourceaccount"): "SourceAccount",
    ("StringEquals", "aws:principalorgid"): "PrincipalOrgID",
    ("StringEquals", "lambda:functionurlauthtype"): "FunctionUrlAuthType",
    ("StringEquals", "lambda:eventsourcetoken"): "EventSourceToken",
    ("Bool", "lambda:invokedviafunctionurl"): "InvokedViaFunctionUrl",
}
"""Where AddPermission puts its parameters; keys of conditions are compared without case."""


@register
class DisableTriggers(ActionType):
    """Switch off what starts a function: event source mappings, public URLs, and its resource policy.

    Does not stop: runs that have begun; principals of the account whose own policies allow
    lambda:InvokeFunction, and schedules, pipes, state machines and APIs that act through a role; what
    is attached to a numbered version, since only the function and its aliases are looked at;
    statements that AddPermission could not put back, which stay and are named; new triggers.
    """

    id = "lambda.disable-triggers"
    title = "Disable triggers"
    target = "function"
    category = Category.TECHNIQUE
    tier = 2
    order = 50
    pairs_with = ("lambda.throttle-function",)
    reads = (
        "lambda:GetFunctionConfiguration",
        "lambda:ListAliases",
        "lambda:ListEventSourceMappings",
        "lambda:GetEventSourceMapping",
        "lambda:ListFunctionUrlConfigs",
        "lambda:GetFunctionUrlConfig",
        "lambda:GetPolicy",
    )
    writes = (
        "lambda:UpdateEventSourceMapping",
        "lambda:UpdateFunctionUrlConfig",
        "lambda:RemovePermission",
        "lambda:AddPermission",
    )
    fallback = (
        "aws lambda update-event-source-mapping --uuid UUID --no-enabled",
        "aws lambda update-function-url-config --function-name NAME --auth-type AWS_IAM",
        "aws lambda remove-permission --function-name NAME --statement-id SID",
    )

    def plan(self, ctx: Context) -> Plan:
        function = ctx.read(
            ctx.aws("lambda").read("GetFunctionConfiguration", FunctionName=_name(ctx), missing=ABSENT)
        )
        if function is None:
            raise Refused(f"there is no function {ctx.target.id} in {ctx.target.region}")
        steps, changes, stay = Steps(ctx), list[str](), list[str]()
        qualifiers = _qualifiers(ctx)
        for mapping in _mappings(ctx, qualifiers):
            changes.append(_stop_mapping(ctx, steps, mapping))
        for url in _urls(ctx):
            changes.append(_close_url(ctx, steps, url))
        for qualifier in qualifiers:
            for statement in _statements(ctx, qualifier):
                undo = rebuilt(statement)
                label = f"statement {statement.get('Sid', 'without a Sid')} of {_full(ctx, qualifier)}"
                if undo is None:
                    stay.append(f"{label} stays: AddPermission could not put it back as it is")
                    continue
                changes.append(_remove_statement(ctx, steps, qualifier, statement, undo))
        if not steps.steps:
            raise Refused(f"{ctx.target.id} has no trigger that can be switched off and on again")
        return steps.plan(
            notes={"role": function.get("Role", "")}, changes=tuple(changes), warnings=tuple(sorted(stay))
        )

    def affects(self, ctx: Context) -> Iterator[Affected]:
        qualifiers = _qualifiers(ctx)
        for mapping in _mappings(ctx, qualifiers):
            then = "is not read any more; its records may expire"
            yield Affected(what=mapping.get("EventSourceArn") or mapping["UUID"], then=then)
        for url in _urls(ctx):
            if url["AuthType"] == "NONE":
                yield Affected(what=url["FunctionUrl"], then="answers signed requests only")
        for qualifier in qualifiers:
            for statement in _statements(ctx, qualifier):
                if rebuilt(statement) is not None:
                    yield Affected(what=_who(statement), then="may not start the function")


def rebuilt(statement: Mapping[str, Any]) -> dict[str, Any] | None:
    """The parameters of AddPermission that make this statement, or None where none do."""
    action = statement.get("Action")
    if statement.get("Effect") != "Allow" or not isinstance(action, str) or not statement.get("Sid"):
        return None
    if set(statement) - {"Sid", "Effect", "Principal", "Action", "Resource", "Condition"}:
        return None
    principal = _principal(statement.get("Principal"))
    conditions = _conditions(statement.get("Condition") or {})
    if principal is None or conditions is None:
        return None
    return {"StatementId": statement["Sid"], "Action": action, "Principal": principal, **conditions}


def _principal(given: Any) -> str | None:
    """Who is let in, as AddPermission takes it; None for several, and for the id of one deleted since."""
    if isinstance(given, str):
        return given
    if not isinstance(given, Mapping) or len(given) != 1:
        return None
    ((kind, who),) = given.items()
    if not isinstance(who, str):
        return None
    if kind == "Service" or (kind == "AWS" and NAMED.fullmatch(who)):
        return who
    return None


def _conditions(given: Mapping[str, Any]) -> dict[str, Any] | None:
    found: dict[str, Any] = {}
    for operator, tests in given.items():
        for key, value in tests.items():
            name = CONDITIONS.get((operator, key.lower()))
            if name is None or not isinstance(value, str):
                return None
            found[name] = value == "true" if operator == "Bool" else value
    return found


def _name(ctx: Context) -> str:
    if ":" in ctx.target.id:
        raise Refused("name the function alone, without ARN, version or alias")
    return ctx.target.id


def _full(ctx: Context, qualifier: str) -> str:
    return f"{ctx.target.id}:{qualifier}" if qualifier else ctx.target.id


def _qualified(ctx: Context, qualifier: str) -> dict[str, Any]:
    return {"FunctionName": ctx.target.id, **({"Qualifier": qualifier} if qualifier else {})}


def _qualifiers(ctx: Context) -> list[str]:
    """Empty for the function itself, then its aliases: each has mappings and a policy of its own."""
    found = ctx.read(ctx.aws("lambda").read("ListAliases", FunctionName=ctx.target.id))
    return ["", *sorted(one["Name"] for one in found.get("Aliases") or [])]


def _mappings(ctx: Context, qualifiers: list[str]) -> list[dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for qualifier in qualifiers:
        read = ctx.aws("lambda").read("ListEventSourceMappings", FunctionName=_full(ctx, qualifier))
        listed = ctx.read(read).get("EventSourceMappings") or []
        found |= {one["UUID"]: one for one in listed if one.get("State") != "Deleting"}
    return [one for _, one in sorted(found.items())]


def _urls(ctx: Context) -> list[dict[str, Any]]:
    read = ctx.aws("lambda").read("ListFunctionUrlConfigs", FunctionName=ctx.target.id)
    found = ctx.read(read).get("FunctionUrlConfigs") or []
    return sorted(found, key=lambda one: str(one["FunctionArn"]))


def _statements(ctx: Context, qualifier: str) -> list[dict[str, Any]]:
    """Every statement that lets somebody in, by its id."""
    read = ctx.aws("lambda").read(
        "GetPolicy", **_qualified(ctx, qualifier), decode=("Policy",), missing=ABSENT
    )
    found = ctx.read(read)
    statements = found["Policy"]["Statement"] if found else []
    return sorted(
        (one for one in statements if one.get("Effect") == "Allow"),
        key=lambda one: json.dumps(one, sort_keys=True),
    )


def _stop_mapping(ctx: Context, steps: Steps, mapping: Mapping[str, Any]) -> str:
    aws, uuid = ctx.aws("lambda"), mapping["UUID"]
    read = aws.read("GetEventSourceMapping", UUID=uuid)
    steps.set(
        f"stop-{uuid}",
        changes=f"lambda:mapping/{uuid}/enabled",
        lane=uuid,
        call=aws.call("UpdateEventSourceMapping", UUID=uuid, Enabled=False),
        # Disabling takes a while; asked for, it counts, and the wait sees to the rest.
        seen=Check(read=read, select=f"contains(`{json.dumps(RUNNING)}`, State)", equals=False),
        undo=aws.call("UpdateEventSourceMapping", UUID=uuid, Enabled=True),
        within=300,
    )
    steps.wait(
        f"stopped-{uuid}",
        seen=Check(read=read, select="State", equals="Disabled"),
        within=900,
        lane=uuid,
    )
    return f"Mapping {uuid} from {mapping.get('EventSourceArn', 'its source')} is switched off"


def _close_url(ctx: Context, steps: Steps, url: Mapping[str, Any]) -> str:
    aws = ctx.aws("lambda")
    qualifier = url["FunctionArn"].split(":")[7] if url["FunctionArn"].count(":") == 7 else ""
    named, full = _qualified(ctx, qualifier), _full(ctx, qualifier)
    steps.set(
        f"close-url-{qualifier or 'own'}",
        changes=f"lambda:function/{full}/url/auth",
        lane=f"url {qualifier}",
        call=aws.call("UpdateFunctionUrlConfig", **named, AuthType="AWS_IAM"),
        seen=Check(read=aws.read("GetFunctionUrlConfig", **named), select="AuthType", equals="AWS_IAM"),
        undo=aws.call("UpdateFunctionUrlConfig", **named, AuthType=url["AuthType"]),
    )
    return f"The URL of {full} takes signed requests only (it took {url['AuthType']})"


def _remove_statement(
    ctx: Context, steps: Steps, qualifier: str, statement: Mapping[str, Any], undo: Mapping[str, Any]
) -> str:
    aws, sid = ctx.aws("lambda"), statement["Sid"]
    named = _qualified(ctx, qualifier)
    steps.set(
        f"remove-{_full(ctx, qualifier)}-{sid}",
        changes=f"lambda:function/{_full(ctx, qualifier)}/policy#{sid}",
        lane=f"policy {qualifier}#{sid}",
        call=aws.call("RemovePermission", **named, StatementId=sid),
        seen=Check(
            read=aws.read("GetPolicy", **named, decode=("Policy",), missing=ABSENT),
            select=f"Policy.Statement[?Sid=={q(sid)}] | [0]",
            equals=None,
            compare=Compare.POLICY,
        ),
        undo=aws.call("AddPermission", **named, **undo),
    )
    return f"{_who(statement)} may not start {_full(ctx, qualifier)} any more (statement {sid})"


def _who(statement: Mapping[str, Any]) -> str:
    principal = _principal(statement.get("Principal")) or "somebody"
    who = "everyone" if principal == "*" else principal
    source = (_conditions(statement.get("Condition") or {}) or {}).get("SourceArn")
    return f"{who} for {source}" if source else who
