"""Reads of a thing's tags: whether it must be left alone.

https://docs.aws.amazon.com/service-authorization/latest/reference/
"""

from __future__ import annotations

from lib.operations.needs import Need

_BUCKET = ("arn:{partition}:s3:::{Bucket}",)
_KEY = ("arn:{partition}:kms:{region}:{account}:key/{KeyId}",)
_QUEUES = ("arn:{partition}:sqs:{region}:{account}:*",)

OPERATIONS: dict[str, Need] = {
    "dynamodb:ListTagsOfResource": Need(
        actions=("dynamodb:ListTagsOfResource",), resources=("{ResourceArn}",)
    ),
    "ec2:DescribeTags": Need(actions=("ec2:DescribeTags",)),
    "kms:ListResourceTags": Need(actions=("kms:ListResourceTags",), resources=_KEY),
    "lambda:ListTags": Need(actions=("lambda:ListTags",), resources=("{Resource}",)),
    "rds:ListTagsForResource": Need(actions=("rds:ListTagsForResource",), resources=("{ResourceName}",)),
    "s3:GetBucketTagging": Need(actions=("s3:GetBucketTagging",), resources=_BUCKET),
    "sns:ListTagsForResource": Need(actions=("sns:ListTagsForResource",), resources=("{ResourceArn}",)),
    "sqs:ListQueueTags": Need(actions=("sqs:ListQueueTags",), resources=_QUEUES),
}
