"""https://docs.aws.amazon.com/kms/latest/developerguide/enabling-keys.html"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from containment.actions import register
from containment.actions.kms import keys
from containment.describing import ActionType, Context, Steps
from containment.types import Affected, Category, Check, Plan, Refused


@register
class DisableKey(ActionType):
    """Disable a key: nothing is encrypted or decrypted with it until it is enabled again.

    Does not stop: data keys already in memory, in running instances' volumes and in S3 bucket keys,
    for minutes or until the next attachment; what was decrypted before; replicas of the key elsewhere.
    """

    id = "kms.disable-key"
    title = "Disable key"
    target = "kms_key"
    category = Category.DESTINATION
    tier = 2
    order = 63
    pairs_with = ("kms.deny-principal",)
    reads = (
        "ec2:DescribeVolumes",
        "kms:DescribeKey",
        "kms:ListAliases",
        "s3:GetBucketEncryption",
        "s3:ListBuckets",
    )
    writes = ("kms:DisableKey", "kms:EnableKey")
    fallback = ("aws kms disable-key --key-id KEY",)

    def plan(self, ctx: Context) -> Plan:
        key = keys.found(ctx)
        if key.state not in ("Enabled", "Disabled"):
            raise Refused(f"key {key.id} is {key.state}; nothing can be encrypted or decrypted with it now")
        steps = Steps(ctx)
        steps.set(
            "disable",
            changes=f"{key.key}/state",
            call=key.kms.call("DisableKey", KeyId=key.id),
            seen=Check(read=key.description, select="KeyMetadata.KeyState", equals="Disabled"),
            undo=key.kms.call("EnableKey", KeyId=key.id),
        )
        return steps.plan(
            changes=(f"Key {key.id} becomes Disabled: what it encrypts can be read by nobody",),
            warnings=(
                "copies of snapshots that need this key fail: take evidence first",
                "databases encrypted with it become inaccessible, and some do not come back by themselves",
            ),
            facts={"breaks": [key.arn]},
        )

    def affects(self, ctx: Context) -> Iterator[Affected]:
        key = keys.found(ctx)
        aliases = ctx.read(key.kms.read("ListAliases", KeyId=key.id)).get("Aliases", [])
        for alias in sorted(one["AliasName"] for one in aliases):
            yield Affected(what=f"programs that use {alias}", then="cannot encrypt or decrypt")
        volumes: Any = ctx.read(
            ctx.aws("ec2").read("DescribeVolumes", Filters=[{"Name": "encrypted", "Values": ["true"]}])
        )
        for one in volumes.get("Volumes", []):
            if one.get("KmsKeyId") in (key.arn, key.id):
                yield Affected(what=f"volume {one['VolumeId']}", then="cannot be attached again")
        yield from self._buckets(ctx, {key.arn, key.id, *(one["AliasArn"] for one in aliases)})

    @staticmethod
    def _buckets(ctx: Context, names: set[str]) -> Iterator[Affected]:
        s3 = ctx.aws("s3")
        for name in sorted(one["Name"] for one in ctx.read(s3.read("ListBuckets")).get("Buckets", [])):
            answer = ctx.read(
                s3.read(
                    "GetBucketEncryption",
                    Bucket=name,
                    missing=("ServerSideEncryptionConfigurationNotFoundError",),
                )
            )
            rules = (answer or {}).get("ServerSideEncryptionConfiguration", {}).get("Rules", [])
            used = {one.get("ApplyServerSideEncryptionByDefault", {}).get("KMSMasterKeyID") for one in rules}
            if used & names:
                yield Affected(what=f"objects in bucket {name}", then="can be neither read nor written")
