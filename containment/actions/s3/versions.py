"""The versions of some of a bucket's objects. Pure.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectVersions.html
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from containment.actions.s3.buckets import Bucket
from containment.describing import Context
from containment.types import Refused
from lib import canonical

PAGE = 1000
"""The most versions that S3 lists at once; who needs more has to narrow the prefix."""


@dataclass(frozen=True, kw_only=True)
class Version:
    """One version of an object, or the mark that it was deleted."""

    key: str
    id: str
    at: datetime
    is_latest: bool
    is_marker: bool
    about: Mapping[str, Any]

    @property
    def step(self) -> str:
        """A step's name for this version."""
        return canonical.sha256([self.key, self.id])[:16]


def chosen(
    ctx: Context, bucket: Bucket, *, keys: tuple[str, ...], prefix: str
) -> dict[str, tuple[Version, ...]]:
    """The versions of the named keys, or of all keys that begin with the prefix, newest first.

    Raises `Refused` when neither is given, a key is not there, or there are too many.
    """
    if bool(keys) == bool(prefix):
        raise Refused("name the objects' keys, or a prefix of them; not both, and not the whole bucket")
    found: dict[str, list[Version]] = defaultdict(list)
    for start in sorted(set(keys)) or [prefix]:
        for version in _listed(ctx, bucket, start, is_exact=bool(keys)):
            found[version.key].append(version)
    for key in sorted(set(keys) - set(found)):
        raise Refused(f"{bucket.name} has no object {key[:200]}, and had none that it keeps")
    return {
        key: tuple(sorted(versions, key=lambda one: (one.at, one.is_latest, one.id), reverse=True))
        for key, versions in sorted(found.items())
    }


def _listed(ctx: Context, bucket: Bucket, start: str, *, is_exact: bool) -> list[Version]:
    answer: Any = ctx.read(bucket.read("ListObjectVersions", Prefix=start, MaxKeys=PAGE))
    listed = [
        _version(one, is_marker=is_marker)
        for name, is_marker in (("Versions", False), ("DeleteMarkers", True))
        for one in answer.get(name) or []
    ]
    # A key's own versions come before those of longer keys; another key behind them shows that all are here.
    complete = not answer.get("IsTruncated") or (is_exact and any(one.key != start for one in listed))
    if not complete:
        raise Refused(
            f"more than {PAGE:,} versions of {start[:200]} in {bucket.name}; give keys, or a longer prefix"
        )
    return [one for one in listed if not is_exact or one.key == start]


def _version(one: Mapping[str, Any], *, is_marker: bool) -> Version:
    return Version(
        key=str(one["Key"]),
        id=str(one["VersionId"]),
        at=datetime.fromisoformat(str(one["LastModified"])),
        is_latest=bool(one.get("IsLatest")),
        is_marker=is_marker,
        about=one,
    )
