"""https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from containment.actions import register
from containment.actions.s3 import buckets
from containment.describing import ActionType, Context, Steps
from containment.parameters import param
from containment.types import Affected, Category, Check, Plan

ALL = {
    "BlockPublicAcls": True,
    "BlockPublicPolicy": True,
    "IgnorePublicAcls": True,
    "RestrictPublicBuckets": True,
}
ABSENT = ("NoSuchPublicAccessBlockConfiguration",)
PUBLIC_GROUPS = ("/global/AllUsers", "/global/AuthenticatedUsers")


@dataclass(frozen=True, kw_only=True)
class Params:
    whole_account: bool = param(
        "also for the account: every bucket of it, present and future, in every region", default=False
    )


@register
class BlockPublicAccess(ActionType):
    """Turn on all four settings of Block Public Access for a bucket, and where asked for its account.

    Does not stop: principals of the account, and accounts that the policy names; pre-signed URLs,
    which are their signer's own access; copies already made; CloudFront with an origin access control.
    """

    id = "s3.block-public-access"
    title = "Block public access"
    target = "bucket"
    category = Category.DESTINATION
    tier = 2
    order = 61
    params = Params
    pairs_with = ("s3.restrict-bucket",)
    reads = (
        "s3:GetBucketAcl",
        "s3:GetBucketLocation",
        "s3:GetBucketPolicyStatus",
        "s3:GetBucketWebsite",
        "s3:GetPublicAccessBlock",
        "s3control:GetPublicAccessBlock",
    )
    writes = (
        "s3:PutPublicAccessBlock",
        "s3:DeletePublicAccessBlock",
        "s3control:PutPublicAccessBlock",
        "s3control:DeletePublicAccessBlock",
    )
    fallback = (
        (
            "aws s3api put-public-access-block --bucket BUCKET --public-access-block-configuration "
            "BlockPublicAcls=true,IgnorePublicAcls=true,BlockPublicPolicy=true,RestrictPublicBuckets=true"
        ),
        (
            "the whole account: aws s3control put-public-access-block --account-id ACCOUNT"
            " --public-access-block-configuration (the same four)"
        ),
    )

    def plan(self, ctx: Context) -> Plan:
        bucket = buckets.found(ctx)
        setting = bucket.read("GetPublicAccessBlock", missing=ABSENT)
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
        changes = [f"Bucket {bucket.name} is open to nobody by a public policy or a public ACL"]
        warnings = list[str]()
        if ctx.params.whole_account:
            _block_account(ctx, steps)
            changes.append(f"No bucket of account {ctx.target.account} is open to the public")
            warnings.append("every website and download in a public bucket of the account answers 403")
        return steps.plan(changes=tuple(changes), warnings=tuple(warnings))

    def affects(self, ctx: Context) -> Iterator[Affected]:
        bucket = buckets.found(ctx)
        if ctx.params.whole_account:
            yield Affected(
                what=f"every other public bucket of {ctx.target.account}", then="is closed as well"
            )
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


def _block_account(ctx: Context, steps: Steps) -> None:
    """The account's own setting, which stands above that of each bucket and is the same in every region.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_control_PutPublicAccessBlock.html
    """
    control, account = ctx.aws("s3control"), ctx.target.account
    seen = Check(
        read=control.read("GetPublicAccessBlock", AccountId=account, missing=ABSENT),
        select="PublicAccessBlockConfiguration",
        equals=ALL,
    )
    before = ctx.look(seen)
    steps.set(
        "block-account",
        changes=f"s3:account/{account}/public-access-block",
        call=control.call("PutPublicAccessBlock", AccountId=account, PublicAccessBlockConfiguration=ALL),
        seen=seen,
        undo=control.call("PutPublicAccessBlock", AccountId=account, PublicAccessBlockConfiguration=before)
        if before
        else control.call("DeletePublicAccessBlock", AccountId=account),
    )
