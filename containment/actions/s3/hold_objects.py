"""https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock-managing.html"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from containment.actions import register
from containment.actions.s3 import buckets, versions
from containment.actions.s3.buckets import Bucket
from containment.actions.s3.versions import Version
from containment.describing import ActionType, Context, Steps
from containment.looking import q
from containment.parameters import param
from containment.types import Affected, Category, Check, Compare, Edit, Plan, Refused
from lib import canonical

MOST = 50
"""Versions in one action: each is a call, and each is looked at before and after."""


@dataclass(frozen=True, kw_only=True)
class Params:
    keys: tuple[str, ...] = param("keys of the objects", default=(), pattern=r".{1,1024}", maximum=20)
    prefix: str = param("or what the keys begin with", default="", pattern=r".{0,1024}")
    versions: str = param(
        "which versions are held: all that there are, or each object's current one",
        default="all",
        choices=("all", "current"),
    )
    suspend_expiry: bool = param(
        "disable the lifecycle rules that expire old versions of these objects", default=True
    )


@register
class HoldObjects(ActionType):
    """Put a legal hold on versions of objects, and keep lifecycle rules from expiring others beside them.

    Does not stop: new versions and delete markers on top of what is held; removal of the hold by whoever
    may call s3:PutObjectLegalHold; reading. Undo gives the lifecycle rules back and leaves the holds.
    """

    id = "s3.hold-objects"
    title = "Hold objects"
    target = "bucket"
    category = Category.EVIDENCE
    tier = 0
    order = 8
    params = Params
    pairs_with = ("s3.restrict-bucket",)
    reads = (
        "s3:GetBucketLifecycleConfiguration",
        "s3:GetBucketLocation",
        "s3:GetObjectLegalHold",
        "s3:GetObjectLockConfiguration",
        "s3:ListObjectVersions",
    )
    writes = ("s3:PutBucketLifecycleConfiguration", "s3:PutObjectLegalHold")
    fallback = (
        "aws s3api put-object-legal-hold --bucket BUCKET --key KEY --version-id ID --legal-hold Status=ON",
        "to release a hold: the same with Status=OFF",
    )

    def plan(self, ctx: Context) -> Plan:
        bucket, params = buckets.found(ctx), ctx.params
        lock = ctx.read(
            bucket.read("GetObjectLockConfiguration", missing=("ObjectLockConfigurationNotFoundError",))
        )
        if lock is None:
            raise Refused(
                f"{bucket.name} has no Object Lock, so nothing in it can be held; copy the objects to the "
                "evidence bucket, or enable Object Lock on the bucket (it cannot be taken away again)"
            )
        held = self._held(ctx, bucket)
        steps = Steps(ctx)
        rules = self._expiring(ctx, bucket) if params.suspend_expiry else []
        if rules:
            self._suspend(steps, bucket, rules)
        for version in held:
            self._hold(steps, bucket, version)
        return steps.plan(
            changes=(
                *(f"Lifecycle rule {one['ID']} of {bucket.name} is disabled, all of it" for one in rules),
                *(f"Version {one.id} of {one.key} is held" for one in held),
            ),
            warnings=("holds stay when this is undone; they are released by hand",),
            facts={"rules": rules},
        )

    def affects(self, ctx: Context) -> Iterator[Affected]:
        bucket = buckets.found(ctx)
        yield Affected(
            what=f"{len(self._held(ctx, bucket))} versions in {bucket.name}",
            then="can be deleted by nobody while they are held, and are paid for",
        )

    @staticmethod
    def _held(ctx: Context, bucket: Bucket) -> list[Version]:
        """The versions to hold, in a fixed order; raises `Refused` when there are none or too many."""
        found = versions.chosen(ctx, bucket, keys=ctx.params.keys, prefix=ctx.params.prefix)
        wanted = [
            one
            for listed in found.values()
            for one in listed
            if not one.is_marker and (one.is_latest or ctx.params.versions == "all")
        ]
        if not wanted:
            raise Refused(f"there is no version to hold in {bucket.name}")
        if len(wanted) > MOST:
            raise Refused(f"{len(wanted)} versions; at most {MOST} at once: give keys or a longer prefix")
        return wanted

    @staticmethod
    def _hold(steps: Steps, bucket: Bucket, version: Version) -> None:
        named: dict[str, Any] = {"Key": version.key, "VersionId": version.id}
        steps.set(
            f"hold-{version.step}",
            changes=f"{bucket.named(version.key, version.id)}/hold",
            call=bucket.call("PutObjectLegalHold", **named, LegalHold={"Status": "ON"}),
            seen=Check(
                read=bucket.read("GetObjectLegalHold", **named, missing=("NoSuchObjectLockConfiguration",)),
                select="LegalHold.Status",
                equals="ON",
            ),
            lane=version.step,
        )

    @staticmethod
    def _expiring(ctx: Context, bucket: Bucket) -> list[dict[str, Any]]:
        """The enabled rules that expire old versions of objects of ours, in a fixed order."""
        answer: Any = ctx.read(_lifecycle(bucket)) or {}
        wanted = ctx.params.keys or (ctx.params.prefix,)
        rules = [
            _sorted(rule)
            for rule in answer.get("Rules", [])
            if rule["Status"] == "Enabled"
            and rule.get("NoncurrentVersionExpiration")
            and any(_meets(_prefix(rule), one) for one in wanted)
        ]
        return sorted(rules, key=lambda rule: str(rule["ID"]))

    @staticmethod
    def _suspend(steps: Steps, bucket: Bucket, rules: list[dict[str, Any]]) -> None:
        ids = " || ".join(f"ID=={q(str(rule['ID']))}" for rule in rules)
        steps.edit(
            "suspend-expiry",
            changes=f"{bucket.key}/lifecycle/noncurrent",
            call=bucket.call("PutBucketLifecycleConfiguration"),
            seen=Check(
                read=_lifecycle(bucket),
                select=f"Rules[?{ids}].[ID, Status, NoncurrentVersionExpiration]",
                equals=[[rule["ID"], "Disabled", rule["NoncurrentVersionExpiration"]] for rule in rules],
                compare=Compare.SET,
            ),
            edit=Edit(
                read=_lifecycle(bucket),
                at="Rules",
                into="LifecycleConfiguration.Rules",
                add=tuple({**rule, "Status": "Disabled"} for rule in rules),
                remove=tuple(rules),
                id="ID",
                copy={"TransitionDefaultMinimumObjectSize": "TransitionDefaultMinimumObjectSize"},
            ),
            lane="lifecycle",
        )


def _lifecycle(bucket: Bucket) -> Any:
    return bucket.read("GetBucketLifecycleConfiguration", missing=("NoSuchLifecycleConfiguration",))


def _prefix(rule: dict[str, Any]) -> str:
    """What the keys of a rule's objects begin with; empty for all."""
    kept = rule.get("Filter") or {}
    return str(kept.get("Prefix") or (kept.get("And") or {}).get("Prefix") or rule.get("Prefix") or "")


def _meets(one: str, other: str) -> bool:
    return one.startswith(other) or other.startswith(one)


def _sorted(value: Any) -> Any:
    """A rule with its lists (tags, transitions) in one order, whatever order S3 gives them in."""
    if isinstance(value, dict):
        return {key: _sorted(member) for key, member in value.items()}
    if isinstance(value, list):
        return sorted((_sorted(member) for member in value), key=canonical.dumps)
    return value
