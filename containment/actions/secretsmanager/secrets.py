"""Finding a secret. Pure.

https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_DescribeSecret.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from containment.describing import Context, Service
from containment.types import Read, Refused

NAME = re.compile(r"[A-Za-z0-9/_+=.@-]{1,512}")


@dataclass(frozen=True, kw_only=True)
class Secret:
    """A secret of the target's account; its value is never read."""

    name: str
    arn: str
    about: Mapping[str, Any]
    manager: Service

    @property
    def key(self) -> str:
        """What the secret is called in `Step.changes`."""
        return f"secretsmanager:secret/{self.manager.place.region}/{self.name}"

    @property
    def description(self) -> Read:
        """What Secrets Manager says about the secret."""
        return self.manager.read("DescribeSecret", SecretId=self.arn)


def found(ctx: Context) -> Secret:
    """The target, given by name or ARN, as a secret; raises `Refused` for what is none of the account."""
    manager, given = ctx.aws("secretsmanager"), ctx.target.id
    own = ctx.arn("secretsmanager", "secret:", region=manager.place.region)
    if not given.startswith(own) and not NAME.fullmatch(given):
        raise Refused(f"{given[:80]!r} is neither name nor ARN of a secret in this account and region")
    about = ctx.read(manager.read("DescribeSecret", SecretId=given, missing=("ResourceNotFoundException",)))
    if about is None:
        raise Refused(f"there is no secret {given}")
    if about.get("DeletedDate"):
        raise Refused(f"{about['Name']} is scheduled for deletion; restore it first (RestoreSecret)")
    if about.get("PrimaryRegion", manager.place.region) != manager.place.region:
        raise Refused(
            f"{about['Name']} is a replica of the secret in {about['PrimaryRegion']}; act on it there"
        )
    return Secret(name=about["Name"], arn=about["ARN"], about=about, manager=manager)
