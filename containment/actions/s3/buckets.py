"""Finding a bucket, and the parts of it that several types change. Pure.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketLocation.html
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from containment.actions.denials import Holder
from containment.describing import Context, Service
from containment.types import Call, Read, Refused
from lib import canonical

NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
POLICY_BYTES = 20_480
"""https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucket-policies.html"""


@dataclass(frozen=True, kw_only=True)
class Bucket:
    """A bucket of the target's account, in the region where it really is.

    Every read and call names the account as the expected owner: bucket names are global, and one that
    was deleted may belong to a stranger by now.
    """

    name: str
    arn: str
    owner: str
    s3: Service

    def read(self, operation: str, /, **more: Any) -> Read:
        """A read about this bucket."""
        return self.s3.read(operation, Bucket=self.name, ExpectedBucketOwner=self.owner, **more)

    def call(self, operation: str, /, **more: Any) -> Call:
        """A call on this bucket."""
        return self.s3.call(operation, Bucket=self.name, ExpectedBucketOwner=self.owner, **more)

    @property
    def key(self) -> str:
        """What the bucket is called in `Step.changes`."""
        return f"s3:bucket/{self.name}"

    def named(self, key: str, version: str = "") -> str:
        """What an object, or a version of one, is called in `Step.changes`; long keys by their digest."""
        shown = key if len(key) <= 120 else f"{key[:60]}…{canonical.sha256(key)[:16]}"
        return f"{self.key}/object/{shown}" + (f"@{version}" if version else "")

    @property
    def policy(self) -> Read:
        """The bucket's policy; null where it has none."""
        return self.read("GetBucketPolicy", decode=("Policy",), missing=("NoSuchBucketPolicy",))

    @property
    def holder(self) -> Holder:
        """The bucket as the holder of a policy."""
        return Holder(
            what=f"bucket {self.name}",
            changes=f"{self.key}/policy",
            read=self.policy,
            call=self.call("PutBucketPolicy"),
            at="Policy",
            into="Policy",
            limit=POLICY_BYTES,
            empty=self.call("DeleteBucketPolicy"),
        )


def found(ctx: Context) -> Bucket:
    """The target as a bucket. Raises `Refused` for what is no bucket of the account."""
    name = ctx.target.id
    if name.endswith("--x-s3"):
        raise Refused(f"{name} is a directory bucket; their policies are of another service, s3express")
    if not NAME.fullmatch(name):
        raise Refused(f"{name[:80]!r} is not the name of a bucket; give the name alone, not its ARN")
    asked = ctx.aws("s3").read(
        "GetBucketLocation",
        Bucket=name,
        ExpectedBucketOwner=ctx.target.account,
        missing=("NoSuchBucket",),
    )
    answer = ctx.read(asked)
    if answer is None:
        raise Refused(f"there is no bucket {name}")
    # Buckets in us-east-1 have no location, and the oldest in Ireland the one of an older name.
    region = {None: "us-east-1", "": "us-east-1", "EU": "eu-west-1"}.get(
        answer.get("LocationConstraint"), answer.get("LocationConstraint")
    )
    return Bucket(
        name=name,
        arn=ctx.arn("s3", name, account=""),
        owner=ctx.target.account,
        s3=ctx.aws("s3", region=str(region)),
    )
