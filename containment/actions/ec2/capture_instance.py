"""https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_GetConsoleOutput.html
https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_GetConsoleScreenshot.html
https://docs.aws.amazon.com/config/latest/APIReference/API_GetResourceConfigHistory.html
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from containment.actions import register
from containment.actions.documents import document, nothing, place, told
from containment.describing import ActionType, Context, Steps, filters
from containment.types import Affected, Artefact, Category, Plan, Refused

GONE = ("InvalidInstanceID.NotFound", "InvalidInstanceID.Malformed")
ATTRIBUTES = ("disableApiTermination", "instanceInitiatedShutdownBehavior", "sourceDestCheck")
MOST_GROUPS = 50
"""Target groups of the instance's VPC whose members are asked for: one request each."""


@register
class CaptureInstance(ActionType):
    """Keep what AWS knows of an instance: its description and history, user data, console, surroundings.

    Does not stop: anything; it only reads. Memory and disks are not in it, the console shows what the
    instance last wrote there, and there is a history only where AWS Config records.
    """

    id = "ec2.capture-instance"
    title = "Capture instance"
    target = "instance"
    category = Category.EVIDENCE
    tier = 0
    order = 6
    pairs_with = ("ec2.snapshot-volumes", "ec2.acquire-memory", "ec2.isolate-instance")
    reads = (
        "autoscaling:DescribeAutoScalingInstances",
        "config:GetResourceConfigHistory",
        "ec2:DescribeAddresses",
        "ec2:DescribeIamInstanceProfileAssociations",
        "ec2:DescribeInstanceAttribute",
        "ec2:DescribeInstances",
        "ec2:DescribeNetworkInterfaces",
        "ec2:DescribeSecurityGroups",
        "ec2:DescribeVolumes",
        "ec2:GetConsoleOutput",
        "ec2:GetConsoleScreenshot",
        "elbv2:DescribeTargetGroups",
        "elbv2:DescribeTargetHealth",
        "ssm:DescribeInstanceInformation",
    )
    writes = ()
    fallback = (
        "aws ec2 describe-instances --instance-ids INSTANCE",
        "aws ec2 describe-instance-attribute --instance-id INSTANCE --attribute userData",
        "aws ec2 get-console-output --instance-id INSTANCE --latest",
        "aws ec2 get-console-screenshot --instance-id INSTANCE",
        (
            "aws configservice get-resource-config-history --resource-type AWS::EC2::Instance"
            " --resource-id INSTANCE"
        ),
    )

    def plan(self, ctx: Context) -> Plan:
        _host(ctx)
        steps = Steps(ctx)
        steps.collect(*ARTEFACTS)
        instance = ctx.target.id
        return steps.plan(
            facts={"instance": instance},
            changes=(
                f"Description, user data, console output and screenshot of {instance} are kept as evidence",
                f"Scaling group, target groups and SSM's view of {instance} are kept as evidence",
                f"What AWS Config recorded of {instance} is kept as evidence",
            ),
        )

    def collect(self, ctx: Context, artefact: str) -> Artefact:
        return ARTEFACTS[artefact](ctx)

    def affects(self, ctx: Context) -> Iterator[Affected]:
        yield Affected(what=f"instance {ctx.target.id}", then="goes on; its console is looked at, not woken")


def _host(ctx: Context) -> dict[str, Any]:
    if not re.fullmatch(r"i-[0-9a-f]{8,17}", ctx.target.id):
        raise Refused("an instance is named i- and 8 or 17 hexadecimal digits")
    read = ctx.aws("ec2").read("DescribeInstances", InstanceIds=[ctx.target.id], missing=GONE)
    found = ctx.read(read)
    if not found or not found["Reservations"]:
        raise Refused(f"there is no instance {ctx.target.id}")
    host: dict[str, Any] = found["Reservations"][0]["Instances"][0]
    return host


def _arn(ctx: Context) -> str:
    return ctx.arn("ec2", f"instance/{ctx.target.id}", region=ctx.target.region)


def _description(ctx: Context) -> Artefact:
    ec2, instance, host = ctx.aws("ec2"), ctx.target.id, _host(ctx)
    attached = filters(**{"attachment.instance-id": instance})
    groups = sorted(group["GroupId"] for group in host.get("SecurityGroups", []))
    content = {
        "instance": host,
        "network interfaces": told(ctx, ec2.read("DescribeNetworkInterfaces", Filters=attached)),
        "volumes": told(ctx, ec2.read("DescribeVolumes", Filters=attached)),
        "addresses": told(ctx, ec2.read("DescribeAddresses", Filters=filters(**{"instance-id": instance}))),
        "profile": told(
            ctx,
            ec2.read("DescribeIamInstanceProfileAssociations", Filters=filters(**{"instance-id": instance})),
        ),
        "security groups": told(ctx, ec2.read("DescribeSecurityGroups", GroupIds=groups)) if groups else [],
        "attributes": {
            name: told(ctx, ec2.read("DescribeInstanceAttribute", InstanceId=instance, Attribute=name))
            for name in ATTRIBUTES
        },
    }
    return document(ctx, f"{instance}-description", content, source=_arn(ctx))


def _user_data(ctx: Context) -> Artefact:
    """User data as the instance sees it: it often holds secrets."""
    name, source = f"{ctx.target.id}-user-data", f"{_arn(ctx)} userData"
    read = ctx.aws("ec2").read("DescribeInstanceAttribute", InstanceId=ctx.target.id, Attribute="userData")
    given = (ctx.read(read).get("UserData") or {}).get("Value")
    if not given:
        return nothing(ctx, name, "the instance has no user data", source=source)
    return Artefact(
        name=name,
        media_type="application/octet-stream",
        source=source,
        at=place(ctx),
        chunks=(b64decode(given),),
        is_sensitive=True,
    )


def _console_output(ctx: Context) -> Artefact:
    """The newest output; where the instance's kind has none at once, that of its last start."""
    ec2, name = ctx.aws("ec2"), f"{ctx.target.id}-console.txt"
    source = f"{_arn(ctx)} ec2:GetConsoleOutput"
    answer, _ = ctx.attempt(ec2.read("GetConsoleOutput", InstanceId=ctx.target.id, Latest=True))
    if not answer or not answer.get("Output"):
        answer = ctx.read(ec2.read("GetConsoleOutput", InstanceId=ctx.target.id))
    if not answer.get("Output"):
        return nothing(ctx, name, "the console has written nothing yet", source=source)
    return Artefact(
        name=name,
        media_type="text/plain",
        source=source,
        at=place(ctx),
        chunks=(str(answer["Output"]).encode("utf-8", "replace"),),
        is_sensitive=True,
    )


def _screenshot(ctx: Context) -> Artefact:
    """The screen as it is: a key press to wake it would be an act on the instance."""
    name, source = f"{ctx.target.id}-screen.jpg", f"{_arn(ctx)} ec2:GetConsoleScreenshot"
    read = ctx.aws("ec2").read("GetConsoleScreenshot", InstanceId=ctx.target.id, WakeUp=False)
    answer, why = ctx.attempt(read)
    if why:
        return nothing(ctx, name, f"AWS gives none: {why}", source=source)
    if not answer.get("ImageData"):
        return nothing(ctx, name, "the instance has no screen", source=source)
    return Artefact(
        name=name,
        media_type="image/jpeg",
        source=source,
        at=place(ctx),
        chunks=(b64decode(answer["ImageData"]),),
        is_sensitive=True,
    )


def _surroundings(ctx: Context) -> Artefact:
    """What looks after the instance: a scaling group would replace it, a balancer sends it traffic."""
    instance = ctx.target.id
    scaling = ctx.aws("autoscaling").read("DescribeAutoScalingInstances", InstanceIds=[instance])
    managed = ctx.aws("ssm").read(
        "DescribeInstanceInformation", Filters=[{"Key": "InstanceIds", "Values": [instance]}]
    )
    content = {
        "scaling group": told(ctx, scaling),
        "ssm": told(ctx, managed),
        "target groups": _target_groups(ctx, _host(ctx).get("VpcId", "")),
    }
    return document(ctx, f"{instance}-surroundings", content, source=_arn(ctx))


def _target_groups(ctx: Context, vpc: str) -> Any:
    """The groups that have the instance among their targets, with its health in each."""
    elb = ctx.aws("elbv2")
    listed, why = ctx.attempt(elb.read("DescribeTargetGroups"))
    if why:
        return {"not read": why}
    groups = [one for one in listed.get("TargetGroups", []) if one.get("VpcId") == vpc]
    groups = sorted(groups, key=lambda one: str(one["TargetGroupArn"]))
    members: dict[str, Any] = {"left out": max(0, len(groups) - MOST_GROUPS)}
    for group in groups[:MOST_GROUPS]:
        read = elb.read("DescribeTargetHealth", TargetGroupArn=group["TargetGroupArn"])
        health, refused = ctx.attempt(read)
        ours = [
            one
            for one in (health or {}).get("TargetHealthDescriptions", [])
            if one.get("Target", {}).get("Id") == ctx.target.id
        ]
        if ours or refused:
            members[group["TargetGroupArn"]] = {"not read": refused} if refused else ours
    return members


def _config_history(ctx: Context) -> Artefact:
    """What AWS Config recorded, newest first; where it records nothing, that is the finding."""
    name, source = f"{ctx.target.id}-config-history", f"{_arn(ctx)} config:GetResourceConfigHistory"
    read = ctx.aws("config").read(
        "GetResourceConfigHistory", resourceType="AWS::EC2::Instance", resourceId=ctx.target.id, limit=100
    )
    answer, why = ctx.attempt(read)
    if why:
        return nothing(ctx, name, f"AWS Config shows none: {why}", source=source)
    if not answer.get("configurationItems"):
        return nothing(ctx, name, "AWS Config has recorded nothing of it", source=source)
    return document(ctx, name, answer, source=source)


ARTEFACTS: Mapping[str, Callable[[Context], Artefact]] = {
    "description": _description,
    "user-data": _user_data,
    "console-output": _console_output,
    "screenshot": _screenshot,
    "surroundings": _surroundings,
    "config-history": _config_history,
}
