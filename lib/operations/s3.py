"""https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html"""

from __future__ import annotations

from lib.operations.needs import Need

_BUCKET = ("arn:{partition}:s3:::{Bucket}",)
# Not the object's own key: what looks like a wildcard in it would be one, and long keys do not fit.
_OBJECTS = ("arn:{partition}:s3:::{Bucket}/*",)

OPERATIONS: dict[str, Need] = {
    "s3:CopyObject": Need(
        actions=(
            "s3:GetObject",
            "s3:GetObjectTagging",
            "s3:GetObjectVersion",
            "s3:GetObjectVersionTagging",
            "s3:PutObject",
            "s3:PutObjectTagging",
        ),
        resources=_OBJECTS,
        dependents=("kms:Decrypt", "kms:GenerateDataKey"),
    ),
    "s3:DeleteBucketPolicy": Need(actions=("s3:DeleteBucketPolicy",), resources=_BUCKET),
    "s3:DeleteObject": Need(actions=("s3:DeleteObject", "s3:DeleteObjectVersion"), resources=_OBJECTS),
    "s3:DeletePublicAccessBlock": Need(actions=("s3:PutBucketPublicAccessBlock",), resources=_BUCKET),
    "s3:GetBucketAcl": Need(actions=("s3:GetBucketAcl",), resources=_BUCKET),
    "s3:GetBucketEncryption": Need(actions=("s3:GetEncryptionConfiguration",), resources=_BUCKET),
    "s3:GetBucketLifecycleConfiguration": Need(actions=("s3:GetLifecycleConfiguration",), resources=_BUCKET),
    "s3:GetBucketLocation": Need(actions=("s3:GetBucketLocation",), resources=_BUCKET),
    "s3:GetBucketPolicy": Need(actions=("s3:GetBucketPolicy",), resources=_BUCKET),
    "s3:GetBucketPolicyStatus": Need(actions=("s3:GetBucketPolicyStatus",), resources=_BUCKET),
    "s3:GetBucketReplication": Need(actions=("s3:GetReplicationConfiguration",), resources=_BUCKET),
    "s3:GetBucketVersioning": Need(actions=("s3:GetBucketVersioning",), resources=_BUCKET),
    "s3:GetBucketWebsite": Need(actions=("s3:GetBucketWebsite",), resources=_BUCKET),
    "s3:GetObjectLegalHold": Need(actions=("s3:GetObjectLegalHold",), resources=_OBJECTS),
    "s3:GetObjectLockConfiguration": Need(
        actions=("s3:GetBucketObjectLockConfiguration",), resources=_BUCKET
    ),
    "s3:GetObjectTagging": Need(
        actions=("s3:GetObjectTagging", "s3:GetObjectVersionTagging"), resources=_OBJECTS
    ),
    "s3:GetPublicAccessBlock": Need(actions=("s3:GetBucketPublicAccessBlock",), resources=_BUCKET),
    "s3:ListBuckets": Need(actions=("s3:ListAllMyBuckets",)),
    "s3:ListObjectVersions": Need(actions=("s3:ListBucketVersions",), resources=_BUCKET),
    "s3:PutBucketLifecycleConfiguration": Need(actions=("s3:PutLifecycleConfiguration",), resources=_BUCKET),
    "s3:PutBucketPolicy": Need(actions=("s3:PutBucketPolicy",), resources=_BUCKET),
    "s3:PutBucketVersioning": Need(actions=("s3:PutBucketVersioning",), resources=_BUCKET),
    "s3:PutObjectLegalHold": Need(actions=("s3:PutObjectLegalHold",), resources=_OBJECTS),
    "s3:PutPublicAccessBlock": Need(actions=("s3:PutBucketPublicAccessBlock",), resources=_BUCKET),
    # Of the account; these are asked of S3's control plane.
    "s3control:DeletePublicAccessBlock": Need(actions=("s3:PutAccountPublicAccessBlock",)),
    "s3control:GetPublicAccessBlock": Need(actions=("s3:GetAccountPublicAccessBlock",)),
    "s3control:PutPublicAccessBlock": Need(actions=("s3:PutAccountPublicAccessBlock",)),
}
