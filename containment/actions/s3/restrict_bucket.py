"""https://docs.aws.amazon.com/AmazonS3/latest/userguide/example-bucket-policies.html"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from containment.actions import denials, register
from containment.actions.s3 import buckets
from containment.describing import ActionType, Context, Steps
from containment.parameters import param
from containment.types import Affected, Category, Plan

DESTROYING = [
    "s3:BypassGovernanceRetention",
    "s3:DeleteBucket",
    "s3:DeleteBucketPolicy",
    "s3:DeleteObject",
    "s3:DeleteObjectVersion",
    "s3:PutBucketPolicy",
    "s3:PutBucketVersioning",
    "s3:PutEncryptionConfiguration",
    "s3:PutLifecycleConfiguration",
    "s3:PutObject",
    "s3:PutReplicationConfiguration",
]
"""What overwrites, deletes or ages out objects, which ransoms a bucket; and what would lift the deny."""


@dataclass(frozen=True, kw_only=True)
class Params:
    deny: str = param(
        "what is denied: everything, or only what changes and deletes objects (reading goes on)",
        default="everything",
        choices=("everything", "changes"),
    )
    prefix: str = param(
        "only objects whose keys begin so; empty: the whole bucket",
        default="",
        pattern=r"[^*?$]{0,512}",
    )


@register
class RestrictBucket(ActionType):
    """Deny a bucket, or a part of it, to everyone but the responders, by a statement in its policy.

    Does not stop: copies already made, also by replication; the root user of the bucket's account,
    who can always take the policy away; AWS services acting in their own name (log delivery,
    CloudFront); for a part of the bucket, listing its keys and changing its policy.
    """

    id = "s3.restrict-bucket"
    title = "Restrict bucket"
    target = "bucket"
    category = Category.DESTINATION
    tier = 2
    order = 60
    params = Params
    pairs_with = ("s3.block-public-access", "iam.deny-technique")
    reads = (
        "s3:GetBucketLocation",
        "s3:GetBucketPolicy",
        "s3:GetBucketReplication",
        "s3:GetBucketWebsite",
    )
    writes = ("s3:PutBucketPolicy", "s3:DeleteBucketPolicy")
    fallback = (
        "aws s3api get-bucket-policy --bucket BUCKET --query Policy --output text > policy.json",
        (
            "add to Statement: Effect Deny, Principal *, Action s3:*, both ARNs of the bucket, ArnNotLike "
            "aws:PrincipalArn [responder and break-glass roles]"
        ),
        "aws s3api put-bucket-policy --bucket BUCKET --policy file://policy.json",
    )

    def plan(self, ctx: Context) -> Plan:
        bucket, prefix = buckets.found(ctx), ctx.params.prefix
        whole = ctx.params.deny == "everything"
        resources = [f"{bucket.arn}/{prefix}*"] if prefix else [bucket.arn, f"{bucket.arn}/*"]
        statement = denials.everyone_but_exempt(
            ctx, actions=["s3:*"] if whole else self._destroying(prefix), resources=resources
        )
        steps = Steps(ctx)
        denials.add(steps, "deny", holder=bucket.holder, statement=statement)
        what = "Everything" if whole else "Changing and deleting objects"
        where = f"objects {prefix}* of bucket {bucket.name}" if prefix else f"bucket {bucket.name}"
        return steps.plan(
            changes=(f"{what} on {where} is denied to all but {', '.join(denials.spared(ctx))}",),
            warnings=("service-linked roles are denied as well; services in their own name are not",),
        )

    def affects(self, ctx: Context) -> Iterator[Affected]:
        bucket = buckets.found(ctx)
        yield Affected(what=f"everyone who uses bucket {bucket.name}", then="is denied")
        site = bucket.read("GetBucketWebsite", missing=("NoSuchWebsiteConfiguration",))
        if ctx.read(site) is not None:
            yield Affected(what=f"the website in bucket {bucket.name}", then="answers 403")
        copies = ctx.read(
            bucket.read("GetBucketReplication", missing=("ReplicationConfigurationNotFoundError",))
        )
        for rule in sorted(_destinations(copies)):
            yield Affected(what=f"replication to {rule}", then="stops: its role is denied")

    @staticmethod
    def _destroying(prefix: str) -> list[str]:
        """Of the destroying calls those that fit: on a part of a bucket only what is about objects."""
        on_objects = ("s3:BypassGovernanceRetention", "s3:DeleteObject", "s3:PutObject")
        return [one for one in DESTROYING if not prefix or one.startswith(on_objects)]


def _destinations(answer: object) -> set[str]:
    if not isinstance(answer, dict):
        return set()
    rules = answer.get("ReplicationConfiguration", {}).get("Rules", [])
    return {str(rule["Destination"]["Bucket"]) for rule in rules if rule.get("Status") == "Enabled"}
