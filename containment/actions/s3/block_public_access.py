"""https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html"""

from __future__ import annotations

from collections.abc import Iterator

from containment.actions import register
from containment.actions.s3 import buckets
from containment.describing import ActionType, Context, Steps
from containment.types import Affected, Category, Check, Plan

ALL = {
    "BlockPublicAcls": True,
    "BlockPublicPolicy": True,
    "IgnorePublicAcls": True,
    "RestrictPublicBuckets": True,
}
PUBLIC_GROUPS = ("/global/AllUsers", "/global/AuthenticatedUsers")


@register
class BlockPublicAccess(ActionType):
    """Turn on all four settings of Block Public Access for a bucket.

    Does not stop: principals of the account, and accounts that the policy names; pre-signed URLs,
    which are their signer's own access; copies already made; CloudFront with an origin access control.
    """

    id = "s3.block-public-access"
    title = "Block public access"
    target = "bucket"
    category = Category.DESTINATION
    tier = 2
    order = 61
    pairs_with = ("s3.restrict-bucket",)
    reads = (
        "s3:GetBucketAcl",
        "s3:GetBucketLocation",
        "s3:GetBucketPolicyStatus",
        "s3:GetBucketWebsite",
        "s3:GetPublicAccessBlock",
    )
    writes = ("s3:PutPublicAccessBlock", "s3:DeletePublicAccessBlock")
    fallback = (
        (
            "aws s3api put-public-access-block --bucket BUCKET --public-access-block-configuration "
            "BlockPublicAcls=true,IgnorePublicAcls=true,BlockPublicPolicy=true,RestrictPublicBuckets=true"
        ),
    )

    def plan(self, ctx: Context) -> Plan:
        bucket = buckets.found(ctx)
        setting = bucket.read("GetPublicAccessBlock", missing=("NoSuchPublicAccessBlockConfiguration",))
        seen = Check(read=setting, select="PublicAccessBlockConfiguration", equals=ALL)
        before = ctx.look(seen)
        undo = (
            bucket.call("PutPublicAccessBlock", PublicAccessBlockConfiguration=before)
            if before
            else bucket.call("DeletePublicAccessBlock")
        )
        steps = Steps(ctx)
        steps.set(
            "block",
            changes=f"{bucket.key}/public-access-block",
            call=bucket.call("PutPublicAccessBlock", PublicAccessBlockConfiguration=ALL),
            seen=seen,
            undo=undo,
        )
        return steps.plan(
            changes=(f"Bucket {bucket.name} is open to nobody by a public policy or a public ACL",)
        )

    def affects(self, ctx: Context) -> Iterator[Affected]:
        bucket = buckets.found(ctx)
        site = bucket.read("GetBucketWebsite", missing=("NoSuchWebsiteConfiguration",))
        if ctx.read(site) is not None:
            yield Affected(what=f"the website in bucket {bucket.name}", then="answers 403")
        status = ctx.read(bucket.read("GetBucketPolicyStatus", missing=("NoSuchBucketPolicy",)))
        if status and status.get("PolicyStatus", {}).get("IsPublic"):
            yield Affected(
                what="everyone whom the bucket's public policy lets in",
                then="is denied; other accounts that it names too, as long as it is public",
            )
        for grant in ctx.read(bucket.read("GetBucketAcl")).get("Grants", []):
            uri = str(grant["Grantee"].get("URI", ""))
            if uri.endswith(PUBLIC_GROUPS):
                yield Affected(what=f"the grant of {grant['Permission']} to {uri}", then="is ignored")
