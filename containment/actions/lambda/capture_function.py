"""https://docs.aws.amazon.com/lambda/latest/api/API_GetFunction.html"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Iterator
from typing import Any

from containment.actions import register
from containment.actions.documents import document, nothing, place, told
from containment.describing import ActionType, Context, Steps
from containment.types import Affected, Artefact, Category, Plan, Refused

ABSENT = ("ResourceNotFoundException",)
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


@register
class CaptureFunction(ActionType):
    """Keep a function's code, its configuration, and who and what may run it.

    Does not stop: anything; it only reads. Earlier versions are listed and not downloaded, layers and
    container images are named.
    """

    id = "lambda.capture-function"
    title = "Capture function"
    target = "function"
    category = Category.EVIDENCE
    tier = 0
    order = 6
    pairs_with = ("lambda.throttle-function", "lambda.disable-triggers")
    reads = (
        "lambda:GetFunction",
        "lambda:GetFunctionConfiguration",
        "lambda:GetPolicy",
        "lambda:ListAliases",
        "lambda:ListEventSourceMappings",
        "lambda:ListFunctionUrlConfigs",
        "lambda:ListVersionsByFunction",
    )
    writes = ()
    fallback = (
        "aws lambda get-function --function-name NAME   # Code.Location is good for ten minutes",
        "aws lambda get-policy --function-name NAME",
        "aws lambda list-event-source-mappings --function-name NAME",
    )

    def plan(self, ctx: Context) -> Plan:
        found, name = _configuration(ctx), ctx.target.id
        if found is None:
            raise Refused(f"there is no function {name}")
        steps = Steps(ctx)
        steps.collect("configuration", "code", "surroundings")
        return steps.plan(
            facts={"code": found.get("CodeSha256", "")},
            changes=(
                f"Code and configuration of {name} are kept as evidence",
                f"Versions, aliases, policy, triggers and URLs of {name} are kept as evidence",
            ),
        )

    def collect(self, ctx: Context, artefact: str) -> Artefact:
        if artefact == "code":
            return _code(ctx)
        return _kept_configuration(ctx) if artefact == "configuration" else _surroundings(ctx)

    def affects(self, ctx: Context) -> Iterator[Affected]:
        yield Affected(what=f"function {ctx.target.id}", then="goes on as before")


def _configuration(ctx: Context) -> Any:
    if not _NAME.fullmatch(ctx.target.id):
        raise Refused("a function is named by its name alone, without version, alias or ARN")
    read = ctx.aws("lambda").read("GetFunctionConfiguration", FunctionName=ctx.target.id, missing=ABSENT)
    return ctx.read(read)


def _arn(ctx: Context) -> str:
    return ctx.arn("lambda", f"function:{ctx.target.id}", region=ctx.target.region)


def _who(ctx: Context) -> dict[str, Any]:
    return {"FunctionName": ctx.target.id}


def _kept_configuration(ctx: Context) -> Artefact:
    """The configuration; the environment often holds secrets."""
    found = _configuration(ctx)
    if found is None:
        raise Refused(f"there is no function {ctx.target.id} any more")
    return document(ctx, f"{ctx.target.id}-configuration", found, source=_arn(ctx), is_sensitive=True)


def _code(ctx: Context) -> Artefact:
    """The deployed package, from the address that AWS signs for ten minutes and that is kept nowhere."""
    found = ctx.read(ctx.aws("lambda").read("GetFunction", FunctionName=ctx.target.id))
    code, configuration = found.get("Code") or {}, found["Configuration"]
    name, source = f"{ctx.target.id}.zip", f"{_arn(ctx)} code"
    if not code.get("Location"):
        image = code.get("ResolvedImageUri") or code.get("ImageUri") or "an image that AWS does not name"
        return nothing(ctx, name, f"it runs from a container image: {image}", source=source)
    return Artefact(
        name=name,
        media_type="application/zip",
        source=source,
        at=place(ctx),
        chunks=ctx.fetch(str(code["Location"])),
        is_sensitive=True,
        sha256=b64decode(configuration.get("CodeSha256") or "").hex(),
    )


def _surroundings(ctx: Context) -> Artefact:
    aws, who = ctx.aws("lambda"), _who(ctx)
    content = {
        "versions": told(ctx, aws.read("ListVersionsByFunction", **who)),
        "aliases": told(ctx, aws.read("ListAliases", **who)),
        "policy": told(ctx, aws.read("GetPolicy", **who, decode=("Policy",), missing=ABSENT)),
        "event sources": told(ctx, aws.read("ListEventSourceMappings", **who)),
        "urls": told(ctx, aws.read("ListFunctionUrlConfigs", **who, missing=ABSENT)),
    }
    # Configurations of versions repeat the environment.
    return document(ctx, f"{ctx.target.id}-surroundings", content, source=_arn(ctx), is_sensitive=True)
