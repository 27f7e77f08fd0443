"""https://docs.aws.amazon.com/AmazonS3/latest/userguide/RestoringPreviousVersions.html"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from containment.actions import register
from containment.actions.s3 import buckets, versions
from containment.actions.s3.buckets import Bucket
from containment.actions.s3.versions import Version
from containment.describing import ActionType, Context, Steps, ref
from containment.looking import q
from containment.parameters import param
from containment.types import Affected, Category, Check, Plan, Refused

MOST = 50
COPY_BYTES = 5 * 1024**3
"""https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html"""

MOST_TAGS = 10
ARCHIVED = frozenset({"DEEP_ARCHIVE", "GLACIER"})


@dataclass(frozen=True, kw_only=True)
class Params:
    before: str = param(
        "moment (UTC, RFC 3339) to whose state the objects go back: just before the first bad change",
        pattern=r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?Z",
    )
    keys: tuple[str, ...] = param("keys of the objects", default=(), pattern=r".{1,1024}", maximum=20)
    prefix: str = param("or what the keys begin with", default="", pattern=r".{0,1024}")


@dataclass(frozen=True, kw_only=True)
class Restoration:
    """One object: the version that was current, and what lies on top of it now, newest first."""

    good: Version
    over: tuple[Version, ...]

    @property
    def is_only_marked(self) -> bool:
        """Whether nothing but one delete marker hides the version."""
        return len(self.over) == 1 and self.over[0].is_marker


@register
class RestoreObjects(ActionType):
    """Bring back the versions of objects that were current at a moment, over deletion and overwriting.

    Does not stop: whoever deleted or overwrote them from doing so again; it brings nothing back whose
    versions were deleted for good, or were encrypted with a key that is gone. What lies on top is kept.
    """

    id = "s3.restore-objects"
    title = "Restore objects"
    target = "bucket"
    category = Category.RECOVERY
    tier = 2
    order = 92
    params = Params
    pairs_with = ("s3.enable-versioning", "s3.restrict-bucket")
    reads = (
        "s3:GetBucketLocation",
        "s3:GetBucketVersioning",
        "s3:GetObjectTagging",
        "s3:ListObjectVersions",
    )
    writes = ("s3:CopyObject", "s3:DeleteObject")
    fallback = (
        "aws s3api list-object-versions --bucket BUCKET --prefix KEY",
        "deleted: aws s3api delete-object --bucket BUCKET --key KEY --version-id ID-OF-THE-DELETE-MARKER",
        "overwritten: aws s3api copy-object --bucket BUCKET --key KEY --copy-source BUCKET/KEY?versionId=ID",
    )

    def plan(self, ctx: Context) -> Plan:
        bucket = buckets.found(ctx)
        versioning = ctx.read(bucket.read("GetBucketVersioning"))
        if versioning.get("Status") is None:
            raise Refused(f"{bucket.name} keeps no versions; there is nothing to go back to")
        if versioning.get("MFADelete") == "Enabled":
            raise Refused(f"{bucket.name} has MFA delete: only the account's root user can delete a version")
        wanted, skipped = self._wanted(ctx, bucket)
        steps = Steps(ctx)
        for one in wanted:
            if one.is_only_marked:
                self._unmark(steps, bucket, one)
            else:
                self._copy(ctx, steps, bucket, one)
        return steps.plan(
            changes=tuple(
                f"{one.good.key} is again as of {one.good.at:%Y-%m-%d %H:%M:%S} UTC" for one in wanted
            ),
            warnings=tuple(skipped),
            facts={"objects": {one.good.key: [one.good.id, *(o.id for o in one.over)] for one in wanted}},
        )

    def affects(self, ctx: Context) -> Iterator[Affected]:
        wanted, _ = self._wanted(ctx, buckets.found(ctx))
        for one in wanted:
            if not one.over[0].is_marker:
                yield Affected(
                    what=f"version {one.over[0].id} of {one.good.key}", then="is no longer the current one"
                )

    def _wanted(self, ctx: Context, bucket: Bucket) -> tuple[list[Restoration], list[str]]:
        """What to restore, and sentences about what cannot be. Raises `Refused` when it is nothing."""
        moment = datetime.fromisoformat(ctx.params.before)
        wanted: list[Restoration] = []
        skipped: list[str] = []
        found = versions.chosen(ctx, bucket, keys=ctx.params.keys, prefix=ctx.params.prefix)
        for key, listed in found.items():
            then = next((one for one in listed if one.at <= moment), None)
            if then is None or then.is_marker:
                skipped.append(f"{key} was not there at {ctx.params.before}; it is left as it is")
            elif not _is_alike(listed[0], then):
                one = Restoration(good=then, over=listed[: listed.index(then)])
                _check(one)
                wanted.append(one)
        if not wanted:
            why = "; ".join(skipped) or "the objects are as they were then"
            raise Refused(f"nothing to restore: {why}"[:500])
        if len(wanted) > MOST:
            raise Refused(f"{len(wanted)} objects; at most {MOST} at once: give keys or a longer prefix")
        return wanted, skipped

    @staticmethod
    def _unmark(steps: Steps, bucket: Bucket, one: Restoration) -> None:
        key = one.good.key
        steps.set(
            f"unmark-{one.good.step}",
            changes=f"{bucket.named(key)}/current",
            call=bucket.call("DeleteObject", Key=key, VersionId=one.over[0].id),
            seen=Check(
                # The newest comes first; nothing else is needed.
                read=bucket.read("ListObjectVersions", Prefix=key, MaxKeys=2),
                select=f"Versions[?Key=={q(key)} && IsLatest].VersionId | [0]",
                equals=one.good.id,
            ),
            undo=bucket.call("DeleteObject", Key=key),
            lane=one.good.step,
        )

    @staticmethod
    def _copy(ctx: Context, steps: Steps, bucket: Bucket, one: Restoration) -> None:
        good, name = one.good, f"copy-{one.good.step}"
        steps.create(
            name,
            changes=bucket.named(good.key, f"by {ctx.mark}"),
            find=bucket.read("GetObjectTagging", Key=good.key, missing=("NoSuchKey", "MethodNotAllowed")),
            # The tags of the current version, which is ours if it has our tag.
            select=f"TagSet[?Key=='quell:action' && Value=={q(ctx.id)}] && VersionId",
            answer="VersionId",
            call=bucket.call(
                "CopyObject",
                Key=good.key,
                CopySource={"Bucket": bucket.name, "Key": good.key, "VersionId": good.id},
                ExpectedSourceBucketOwner=bucket.owner,
                StorageClass=str(good.about.get("StorageClass") or "STANDARD"),
                TaggingDirective="REPLACE",
                Tagging=_tagging(ctx, bucket, good),
            ),
            undo=bucket.call("DeleteObject", Key=good.key, VersionId=ref(name)),
            lane=good.step,
        )


def _is_alike(now: Version, then: Version) -> bool:
    """Whether the current version is the wanted one, or a copy of it, known by S3's digest."""
    if now.is_marker:
        return False
    return now.id == then.id or all(now.about.get(key) == then.about.get(key) for key in ("ETag", "Size"))


def _check(one: Restoration) -> None:
    """Raise `Refused` for what cannot be copied."""
    good = one.good
    if one.is_only_marked:
        return
    if int(good.about.get("Size") or 0) > COPY_BYTES:
        raise Refused(f"{good.key[:200]} has more than 5 GiB; it has to be copied in parts, by hand")
    if good.about.get("StorageClass") in ARCHIVED:
        raise Refused(f"version {good.id} of {good.key[:200]} is archived; restore it first (RestoreObject)")


def _tagging(ctx: Context, bucket: Bucket, good: Version) -> str:
    """The version's own tags and ours, as CopyObject takes them."""
    answer: Any = ctx.read(bucket.read("GetObjectTagging", Key=good.key, VersionId=good.id))
    tags = {str(one["Key"]): str(one["Value"]) for one in answer.get("TagSet") or []}
    tags["quell:action"] = ctx.id
    if len(tags) > MOST_TAGS:
        raise Refused(
            f"{good.key[:200]} has {MOST_TAGS} tags already; ours, by which the copy is known, has no room"
        )
    return urlencode(sorted(tags.items()))
