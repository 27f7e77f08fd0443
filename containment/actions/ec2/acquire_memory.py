"""https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_SendCommand.html"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from containment.actions import register
from containment.actions.documents import document, nothing, told
from containment.describing import ActionType, Context, Ref, Steps
from containment.looking import q
from containment.parameters import param
from containment.types import Affected, Artefact, Category, Check, Plan, Read, Refused

ENDS = ("Failed", "Cancelled", "TimedOut", "Cancelling")
HOUR = 3600
_SECRET_NAME = re.compile(r"secret|token|passw|credential|access.?key|private.?key", re.IGNORECASE)
_SECRET_VALUE = re.compile(
    r"\b(AKIA|ASIA)[A-Z0-9]{16}\b|X-Amz-(Signature|Security-Token|Credential)=|-----BEGIN", re.IGNORECASE
)


@dataclass(frozen=True, kw_only=True)
class Params:
    """With which document, and where to."""

    document: str = param("name of the SSM document that takes the memory", pattern=r"[A-Za-z0-9_.-]{3,128}")
    bucket: str = param("bucket in the forensic account for the output", pattern=r"[a-z0-9][a-z0-9.-]{2,62}")
    parameters: tuple[str, ...] = param(
        "parameters of the document, each Name=value; {mark} stands for the action's own name",
        default=(),
        pattern=r"[A-Za-z0-9_]{1,100}=.{0,1000}",
        maximum=20,
    )
    hours: int = param("hours that it may take", default=2, minimum=1, maximum=24)


@register
class AcquireMemory(ActionType):
    """Have SSM run a document on an instance that writes its memory into a bucket of the forensic account.

    Does not stop: anything; and it is no neutral look: the document's tool runs on the instance, whose
    root can see it, hinder it, or deceive it.
    """

    id = "ec2.acquire-memory"
    title = "Acquire memory"
    target = "instance"
    category = Category.EVIDENCE
    tier = 0
    order = 7
    params = Params
    pairs_with = ("ec2.snapshot-volumes", "ec2.isolate-instance")
    reads = (
        "s3:ListObjectsV2",
        "ssm:DescribeDocument",
        "ssm:DescribeInstanceInformation",
        "ssm:GetCommandInvocation",
        "ssm:ListCommands",
    )
    writes = ("ssm:SendCommand",)
    fallback = (
        "aws ssm send-command --document-name DOCUMENT --instance-ids INSTANCE --output-s3-bucket-name B",
        "aws ssm get-command-invocation --command-id COMMAND --instance-id INSTANCE",
    )

    def plan(self, ctx: Context) -> Plan:
        instance, ssm, steps = ctx.target.id, ctx.aws("ssm"), Steps(ctx)
        agent, tool = _agent(ctx), _document(ctx)
        ctx.at("forensic")
        made = steps.create(
            "command",
            changes=f"ssm:instance/{instance}/command/{ctx.mark}",
            find=_commands(ctx),
            select=_ours(ctx),
            answer="Command.CommandId",
            call=ssm.call(
                "SendCommand",
                DocumentName=ctx.params.document,
                DocumentVersion=tool["DocumentVersion"],
                DocumentHash=tool["Hash"],
                DocumentHashType=tool["HashType"],
                InstanceIds=[instance],
                Comment=ctx.mark,
                TimeoutSeconds=600,
                Parameters=_parameters(ctx),
                OutputS3BucketName=ctx.params.bucket,
                OutputS3KeyPrefix=ctx.mark,
            ),
        )
        steps.wait(
            "finished",
            seen=Check(read=_invocation(ctx, made), select="Status", equals="Success"),
            within=ctx.params.hours * HOUR,
            every=30,
            fails=ENDS,
            lane="finished",  # what a command that failed has said is evidence too
        )
        steps.collect("invocation", "output")
        return steps.plan(
            facts={"document": tool, "platform": agent.get("PlatformName", "")},
            changes=(
                f"Document {ctx.params.document}, version {tool['DocumentVersion']}, runs on {instance}",
                f"Its output goes to bucket {ctx.params.bucket} under {ctx.mark}",
            ),
            warnings=("Isolating the instance or taking its role first cuts SSM off: take memory before",),
        )

    def collect(self, ctx: Context, artefact: str) -> Artefact:
        if artefact == "output":
            return _output(ctx)
        command = _command(ctx)
        content = {
            "command": command,
            "invocation": told(ctx, _invocation(ctx, str(command["CommandId"]))),
            "document": _document(ctx),
        }
        name = f"{ctx.target.id}-memory-command"
        return document(ctx, name, content, source=f"ssm:command/{command['CommandId']}", is_sensitive=True)

    def affects(self, ctx: Context) -> Iterator[Affected]:
        yield Affected(
            what=f"instance {ctx.target.id}",
            then="runs the document's tool: its memory and disk change a little, and it may be slow",
        )


def _agent(ctx: Context) -> dict[str, Any]:
    """What SSM says of the instance's agent, which must be online."""
    read = ctx.aws("ssm").read(
        "DescribeInstanceInformation", Filters=[{"Key": "InstanceIds", "Values": [ctx.target.id]}]
    )
    found = ctx.read(read).get("InstanceInformationList", [])
    if not found or found[0].get("PingStatus") != "Online":
        state = found[0].get("PingStatus", "silent") if found else "not known to it"
        raise Refused(f"SSM does not reach {ctx.target.id}: the agent is {state}")
    agent: dict[str, Any] = found[0]
    return agent


def _document(ctx: Context) -> dict[str, str]:
    """The document by its hash, so that what was approved is what runs."""
    name = ctx.params.document
    read = ctx.aws("ssm").read("DescribeDocument", Name=name, missing=("InvalidDocument",))
    found = (ctx.read(read) or {}).get("Document")
    if not found:
        raise Refused(f"there is no SSM document {name} here")
    if found.get("DocumentType") != "Command":
        raise Refused(f"{name} is no document of commands, but of {found.get('DocumentType')}")
    return {key: str(found[key]) for key in ("Name", "DocumentVersion", "Hash", "HashType")}


def _parameters(ctx: Context) -> dict[str, list[str]]:
    """The document's parameters. They are kept in SSM's history: no secret may be among them."""
    given: dict[str, list[str]] = {}
    for one in sorted(ctx.params.parameters):
        name, _, value = one.partition("=")
        if _SECRET_NAME.search(name) or _SECRET_VALUE.search(value):
            raise Refused(f"the parameter {name} looks like a secret; SSM keeps parameters for all to read")
        given.setdefault(name, []).append(value.replace("{mark}", ctx.mark))
    return given


def _commands(ctx: Context) -> Read:
    return ctx.aws("ssm").read("ListCommands", InstanceId=ctx.target.id)


def _ours(ctx: Context) -> str:
    return f"sort(Commands[?Comment=={q(ctx.mark)}].CommandId) | [0]"


def _command(ctx: Context) -> dict[str, Any]:
    listed = ctx.read(_commands(ctx)).get("Commands", [])
    ours = sorted((c for c in listed if c.get("Comment") == ctx.mark), key=lambda c: str(c["CommandId"]))
    if not ours:
        raise Refused("SSM does not show the command any more")
    found: dict[str, Any] = ours[0]
    return found


def _invocation(ctx: Context, command: str | Ref) -> Read:
    return ctx.aws("ssm").read(
        "GetCommandInvocation",
        CommandId=command,
        InstanceId=ctx.target.id,
        missing=("InvocationDoesNotExist",),
    )


def _output(ctx: Context) -> Artefact:
    """What lies in the bucket under the action's name: keys, sizes, checksums. The image stays there."""
    bucket = ctx.params.bucket
    read = ctx.aws("s3", "forensic").read("ListObjectsV2", Bucket=bucket, Prefix=f"{ctx.mark}/")
    found = sorted(ctx.read(read).get("Contents", []), key=lambda one: str(one["Key"]))
    name, source = f"{ctx.target.id}-memory-output", ctx.arn("s3", f"{bucket}/{ctx.mark}/", account="")
    if not found:
        return nothing(ctx, name, f"nothing lies in {bucket} under {ctx.mark}/", source=source)
    return document(ctx, name, {"bucket": bucket, "objects": found}, source=source)
