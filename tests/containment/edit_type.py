"""An action type of the tests' own, for the parts of the contract that no type of the catalogue uses yet.

It denies everything on one S3 bucket by a statement of its own in the bucket's policy: an EDIT of a
document that others edit as well, with JSON text, a seed and an empty form. `lib.iam` does not know
its operations, so the tests add them while it is in use.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from containment import actions
from containment.describing import ActionType, Context, Steps
from containment.looking import q
from containment.types import Category, Check, Compare, Edit, Plan
from lib import iam
from lib.operations.needs import Need


class RestrictBucket(ActionType):
    """Deny everything on a bucket.

    Does not stop: copies already made.
    """

    id = "tests.restrict-bucket"
    title = "Restrict bucket"
    target = "bucket"
    category = Category.DESTINATION
    tier = 2
    reads = ("s3:GetBucketPolicy",)
    writes = ("s3:PutBucketPolicy", "s3:DeleteBucketPolicy")

    def plan(self, ctx: Context) -> Plan:
        s3, bucket = ctx.aws("s3"), ctx.target.id
        statement = {
            "Sid": ctx.sid,
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:*",
            "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"],
            "Condition": {"ArnNotLike": {"aws:PrincipalArn": list(ctx.exempt)}},
        }
        policy = s3.read(
            "GetBucketPolicy", Bucket=bucket, decode=("Policy",), missing=("NoSuchBucketPolicy",)
        )
        steps = Steps(ctx)
        steps.edit(
            "deny",
            changes=f"s3:bucket/{bucket}/policy#{ctx.sid}",
            call=s3.call("PutBucketPolicy", Bucket=bucket),
            seen=Check(
                read=policy,
                select=f"Policy.Statement[?Sid=={q(ctx.sid)}] | [0]",
                equals=statement,
                compare=Compare.POLICY,
            ),
            edit=Edit(
                read=policy,
                at="Policy.Statement",
                into="Policy",
                add=(statement,),
                id="Sid",
                text=True,
                seed={"Version": "2012-10-17"},
                empty=s3.call("DeleteBucketPolicy", Bucket=bucket),
            ),
        )
        return steps.plan(changes=(f"Everything on {bucket} is denied",))


NEEDS = {
    "s3:GetBucketPolicy": Need(actions=("s3:GetBucketPolicy",)),
    "s3:PutBucketPolicy": Need(actions=("s3:PutBucketPolicy",)),
    "s3:DeleteBucketPolicy": Need(actions=("s3:DeleteBucketPolicy",)),
}


@contextmanager
def registered() -> Iterator[type[ActionType]]:
    """Have the type in the catalogue for the length of a `with` block."""
    added = {name: need for name, need in NEEDS.items() if name not in iam.OPERATIONS}
    iam.OPERATIONS.update(added)
    actions.register(RestrictBucket)
    try:
        yield RestrictBucket
    finally:
        del actions._types[RestrictBucket.id]
        for name in added:
            del iam.OPERATIONS[name]
