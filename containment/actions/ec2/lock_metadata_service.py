"""https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifyInstanceMetadataOptions.html"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from containment.actions import register
from containment.actions.ec2.instances import described, instance_of
from containment.describing import ActionType, Context, Steps
from containment.parameters import param
from containment.types import Affected, Category, Check, Plan, Refused

OPTIONS = "Reservations[0].Instances[0].MetadataOptions"
SWITCHED_OFF = "switch-off"


@dataclass(frozen=True, kw_only=True)
class Params:
    how: str = param(
        "require-tokens: sessions only (IMDSv2), one network hop; switch-off: no metadata at all",
        default="require-tokens",
        choices=("require-tokens", SWITCHED_OFF),
    )


@register
class LockMetadataService(ActionType):
    """Let nothing but the instance itself, and only with a session token, ask for its credentials.

    Does not stop: credentials already taken, which live up to six hours; with require-tokens,
    whoever runs code on the instance; user data already read.
    """

    id = "ec2.lock-metadata-service"
    title = "Lock instance metadata"
    target = "instance"
    category = Category.TECHNIQUE
    tier = 2
    order = 42
    params = Params
    pairs_with = ("iam.revoke-role-sessions", "ec2.replace-instance-profile")
    reads = ("ec2:DescribeInstances",)
    writes = ("ec2:ModifyInstanceMetadataOptions",)
    fallback = (
        (
            "aws ec2 modify-instance-metadata-options --instance-id INSTANCE"
            " --http-tokens required --http-put-response-hop-limit 1"
        ),
        "aws ec2 modify-instance-metadata-options --instance-id INSTANCE --http-endpoint disabled",
    )

    def plan(self, ctx: Context) -> Plan:
        ec2, steps, instance = ctx.aws("ec2"), Steps(ctx), ctx.target.id
        now = instance_of(ctx, ec2).get("MetadataOptions") or {}
        if not now:
            raise Refused(f"AWS shows no metadata options for {instance}")
        off = ctx.params.how == SWITCHED_OFF
        if not off and now["HttpEndpoint"] == "disabled":
            raise Refused(f"the metadata service of {instance} is switched off already")
        names = ("HttpEndpoint",) if off else ("HttpTokens", "HttpPutResponseHopLimit")
        wanted: list[Any] = ["disabled"] if off else ["required", 1]
        described_now = described(ec2, instance)
        applied = Check(read=described_now, select=f"{OPTIONS}.State", equals="applied")
        steps.set(
            "lock",
            changes=f"ec2:instance/{instance}/metadata-options",
            call=self._call(ec2, instance, dict(zip(names, wanted, strict=True))),
            seen=Check(read=described_now, select=f"{OPTIONS}.[{', '.join(names)}]", equals=wanted),
            undo=self._call(ec2, instance, {name: now[name] for name in names}),
            undo_seen=applied,
        )
        steps.wait("applied", seen=applied, within=600, every=5)
        return steps.plan(changes=(self._sentence(now, off=off),), warnings=self._warnings(now, off=off))

    def affects(self, ctx: Context) -> Iterator[Affected]:
        host = instance_of(ctx, ctx.aws("ec2"))
        profile = (host.get("IamInstanceProfile") or {}).get("Arn")
        if not profile:
            return
        off = ctx.params.how == SWITCHED_OFF
        then = "get no new credentials" if off else "that speak the old protocol get no new credentials"
        yield Affected(what=f"programs and agents that use {profile}", then=then)
        if not off:
            yield Affected(
                what="containers behind a bridge on the instance", then="no longer reach the metadata service"
            )

    def _call(self, ec2: Any, instance: str, options: dict[str, Any]) -> Any:
        return ec2.call("ModifyInstanceMetadataOptions", InstanceId=instance, **options)

    def _sentence(self, now: dict[str, Any], *, off: bool) -> str:
        if off:
            return "The metadata service is switched off"
        return (
            f"Metadata only with a session token (now {now['HttpTokens']})"
            f" and within one hop (now {now['HttpPutResponseHopLimit']})"
        )

    def _warnings(self, now: dict[str, Any], *, off: bool) -> tuple[str, ...]:
        if off:
            return ("Agents that live on the instance's role (Systems Manager, CloudWatch) fall silent",)
        if now["HttpTokens"] != "required":
            return ("Programs that only know the first version of the metadata service stop working",)
        return ()
