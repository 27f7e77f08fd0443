"""Finding a key of KMS. Pure.

https://docs.aws.amazon.com/kms/latest/APIReference/API_DescribeKey.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from containment.describing import Context, Service
from containment.types import Read, Refused

KEY_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|mrk-[0-9a-f]{32}")


@dataclass(frozen=True, kw_only=True)
class Key:
    """A customer managed key of the target's account."""

    id: str
    arn: str
    state: str
    about: Mapping[str, Any]
    kms: Service

    @property
    def key(self) -> str:
        """What the key is called in `Step.changes`."""
        return f"kms:key/{self.kms.place.region}/{self.id}"

    @property
    def description(self) -> Read:
        """What KMS says about the key."""
        return self.kms.read("DescribeKey", KeyId=self.id)


def found(ctx: Context) -> Key:
    """The target as a key. Raises `Refused` for an alias, a key that AWS manages, and what is no key."""
    kms, given = ctx.aws("kms"), ctx.target.id
    if not KEY_ID.fullmatch(given):
        raise Refused(f"{given[:80]!r} is not the id of a key; aliases can be moved, so give the id itself")
    answer = ctx.read(kms.read("DescribeKey", KeyId=given, missing=("NotFoundException",)))
    if answer is None:
        raise Refused(f"there is no key {given} in {kms.place.region}")
    about = answer["KeyMetadata"]
    if about.get("KeyManager") == "AWS":
        raise Refused(f"key {given} is managed by AWS; neither its policy nor its state can be changed")
    return Key(id=about["KeyId"], arn=about["Arn"], state=about["KeyState"], about=about, kms=kms)
