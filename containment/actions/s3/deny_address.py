"""https://docs.aws.amazon.com/AmazonS3/latest/userguide/amazon-s3-policy-keys.html"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any

from containment.actions import addresses, denials, register
from containment.actions.s3 import buckets
from containment.describing import ActionType, Context, Steps
from containment.parameters import param
from containment.types import Affected, Category, Plan, Refused

PRIVATE = tuple(
    ip_network(block)
    for block in ("10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")
)
"""Where hosts of a VPC have their addresses; they reach S3 with them by an endpoint alone."""


@dataclass(frozen=True, kw_only=True)
class Params:
    addresses: tuple[str, ...] = param(
        "IPv4 or IPv6 addresses or networks (CIDR)",
        pattern=r"[0-9a-fA-F:.]+(/\d{1,3})?",
        minimum=1,
        maximum=50,
    )


@register
class DenyAddress(ActionType):
    """Deny a bucket to some addresses, by a statement in its policy; everyone else goes on.

    Does not stop: the same credentials from any other address; AWS services that read for a caller;
    a VPC endpoint's hosts by their public address; copies already made.
    """

    id = "s3.deny-address"
    title = "Deny bucket to addresses"
    target = "bucket"
    category = Category.SOURCE
    tier = 1
    order = 45
    params = Params
    pairs_with = ("iam.deactivate-access-key", "iam.revoke-role-sessions")
    reads = ("s3:GetBucketLocation", "s3:GetBucketPolicy")
    writes = ("s3:PutBucketPolicy", "s3:DeleteBucketPolicy")
    fallback = (
        "aws s3api get-bucket-policy --bucket BUCKET --query Policy --output text > policy.json",
        (
            "add to Statement: Effect Deny, Principal *, Action s3:*, both ARNs of the bucket, IpAddress "
            "aws:SourceIp [addresses] and ArnNotLike aws:PrincipalArn [responder and break-glass roles]"
        ),
        "aws s3api put-bucket-policy --bucket BUCKET --policy file://policy.json",
    )

    def plan(self, ctx: Context) -> Plan:
        bucket, steps = buckets.found(ctx), Steps(ctx)
        blocks = sorted({addresses.blockable(one) for one in ctx.params.addresses})
        inside = [one for one in blocks if _is_private(one)]
        if inside and inside != blocks:
            # Two edits of one policy in one plan could lose the first where reads lag behind.
            raise Refused(
                f"{inside[0]} is an address inside a VPC and others are outside; S3 knows them by different "
                "names, so make an action for each"
            )
        # Through an endpoint a caller has no aws:SourceIp.
        key = "aws:VpcSourceIp" if inside else "aws:SourceIp"
        denials.add(steps, "deny", holder=bucket.holder, statement=self._statement(ctx, bucket, key, blocks))
        return steps.plan(changes=tuple(f"Bucket {bucket.name} is denied to {one}" for one in blocks))

    def affects(self, ctx: Context) -> Iterator[Affected]:
        for one in sorted({addresses.blockable(text) for text in ctx.params.addresses}):
            yield Affected(what=f"everyone who comes from {one}", then=f"is denied bucket {ctx.target.id}")

    @staticmethod
    def _statement(ctx: Context, bucket: buckets.Bucket, key: str, blocks: list[str]) -> dict[str, Any]:
        statement = denials.everyone_but_exempt(
            ctx, actions=["s3:*"], resources=[bucket.arn, f"{bucket.arn}/*"]
        )
        conditions = {
            **statement["Condition"],
            # A service that acts for a caller comes from an address of its own.
            "BoolIfExists": {**statement["Condition"]["BoolIfExists"], "aws:ViaAWSService": "false"},
            "IpAddress": {key: blocks},
        }
        return {**statement, "Condition": conditions}


def _is_private(block: str) -> bool:
    network = ip_network(block)
    return any(addresses.meets(network, private) for private in PRIVATE)
