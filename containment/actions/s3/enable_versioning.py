"""https://docs.aws.amazon.com/AmazonS3/latest/userguide/manage-versioning-examples.html"""

from __future__ import annotations

from collections.abc import Iterator

from containment.actions import register
from containment.actions.s3 import buckets
from containment.describing import ActionType, Context, Steps
from containment.types import Affected, Category, Check, Plan, Refused


@register
class EnableVersioning(ActionType):
    """Keep every version of a bucket's objects from now on.

    Does not stop: deletion of single versions by whoever may call s3:DeleteObjectVersion; lifecycle
    rules that expire old versions; it brings nothing back that was overwritten before.
    """

    id = "s3.enable-versioning"
    title = "Enable versioning"
    target = "bucket"
    category = Category.RECOVERY
    tier = 1
    order = 90
    pairs_with = ("s3.restore-objects", "s3.hold-objects")
    reads = ("s3:GetBucketLifecycleConfiguration", "s3:GetBucketLocation", "s3:GetBucketVersioning")
    writes = ("s3:PutBucketVersioning",)
    fallback = ("aws s3api put-bucket-versioning --bucket BUCKET --versioning-configuration Status=Enabled",)

    def plan(self, ctx: Context) -> Plan:
        bucket = buckets.found(ctx)
        versioning = bucket.read("GetBucketVersioning")
        now = ctx.read(versioning)
        if now.get("MFADelete") == "Enabled" and now.get("Status") != "Enabled":
            raise Refused(
                f"{bucket.name} has MFA delete: only the account's root user, with its MFA device, "
                "may change the versioning of it"
            )
        # A bucket can never go back to having had no versioning: there, nothing is undone.
        was_suspended = now.get("Status") == "Suspended"
        steps = Steps(ctx)
        steps.set(
            "enable",
            changes=f"{bucket.key}/versioning",
            call=bucket.call("PutBucketVersioning", VersioningConfiguration={"Status": "Enabled"}),
            seen=Check(read=versioning, select="Status", equals="Enabled"),
            undo=bucket.call("PutBucketVersioning", VersioningConfiguration={"Status": "Suspended"})
            if was_suspended
            else None,
        )
        never = "this cannot be undone: versioning, once on, can only be suspended"
        return steps.plan(
            changes=(f"Bucket {bucket.name} keeps every version of its objects from now on",),
            warnings=(never,) if now.get("Status") is None else (),
        )

    def affects(self, ctx: Context) -> Iterator[Affected]:
        bucket = buckets.found(ctx)
        yield Affected(what="old versions of every object", then="are kept and are paid for")
        rules = bucket.read("GetBucketLifecycleConfiguration", missing=("NoSuchLifecycleConfiguration",))
        for rule in (ctx.read(rules) or {}).get("Rules", []):
            if rule["Status"] == "Enabled" and rule.get("Expiration"):
                yield Affected(
                    what=f"lifecycle rule {rule['ID']}",
                    then="marks objects as deleted and no longer frees their space",
                )
