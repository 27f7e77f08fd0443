"""IAM users and roles as targets: that they are there, and may be changed.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from containment.describing import Context
from containment.types import Affected, Call, Read, Refused

AWS_MANAGED_PATHS = ("/aws-service-role/", "/aws-reserved/")
RESPONDER_PREFIX = "quell-"
USER_SESSION_SECONDS = 129_600
"""How long a session that a user's key fetched may live.
https://docs.aws.amazon.com/STS/latest/APIReference/API_GetSessionToken.html"""


@dataclass(frozen=True, kw_only=True)
class Principal:
    """A user or role, in words and in the spelling of IAM's operations.

    `about` is what IAM says of it. `session_seconds` is how long a session may go on living after
    whatever stopped it is taken away.
    """

    kind: str
    name: str
    arn: str
    about: Mapping[str, Any]
    session_seconds: int

    @property
    def noun(self) -> str:
        """`User` or `Role`, as it stands in the names of operations."""
        return self.kind.capitalize()

    @property
    def named(self) -> dict[str, Any]:
        """The parameter that names it."""
        return {f"{self.noun}Name": self.name}

    @property
    def label(self) -> str:
        """`user NAME` or `role NAME`, for sentences."""
        return f"{self.kind} {self.name}"

    def read(self, ctx: Context, operation: str, *, missing: tuple[str, ...] = (), **params: Any) -> Read:
        """A read about it; `{}` in the operation's name stands for `User` or `Role`."""
        return ctx.aws("iam").read(operation.format(self.noun), missing=missing, **self.named, **params)

    def call(self, ctx: Context, operation: str, **params: Any) -> Call:
        """A call on it; `{}` in the operation's name stands for `User` or `Role`."""
        return ctx.aws("iam").call(operation.format(self.noun), **self.named, **params)


def user(ctx: Context, name: str) -> Principal:
    """A user; raises `Refused` when there is none or Quell must not touch it."""
    found = ctx.read(ctx.aws("iam").read("GetUser", UserName=name, missing=("NoSuchEntity",)))
    if found is None:
        raise Refused(f"there is no user {name} in account {ctx.target.account}")
    about = found["User"]
    made = Principal(
        kind="user", name=name, arn=about["Arn"], about=about, session_seconds=USER_SESSION_SECONDS
    )
    return _touchable(ctx, made)


def role(ctx: Context, name: str) -> Principal:
    """A role; raises `Refused` when there is none, AWS keeps it, or Quell must not touch it."""
    found = ctx.read(ctx.aws("iam").read("GetRole", RoleName=name, missing=("NoSuchEntity",)))
    if found is None:
        raise Refused(f"there is no role {name} in account {ctx.target.account}")
    about = found["Role"]
    if about["Path"].startswith("/aws-service-role/"):
        raise Refused(f"{name} is a service-linked role, managed by AWS; it cannot be changed")
    if about["Path"].startswith(AWS_MANAGED_PATHS):
        raise Refused(
            f"{name} is managed by AWS through IAM Identity Center; change its permission set instead"
        )
    made = Principal(
        kind="role",
        name=name,
        arn=about["Arn"],
        about=about,
        session_seconds=int(about.get("MaxSessionDuration") or 3600),
    )
    return _touchable(ctx, made)


def principal(ctx: Context) -> Principal:
    """The target of a type that takes users and roles; raises `Refused` like `user` and `role`."""
    matched = re.fullmatch(r"(user|role)/([\w+=,.@-]{1,64})", ctx.target.id)
    if matched is None:
        raise Refused("name the principal as user/NAME or role/NAME, without a path")
    return user(ctx, matched[2]) if matched[1] == "user" else role(ctx, matched[2])


def affected(ctx: Context, one: Principal, *, then: str) -> list[Affected]:
    """Who else acts as this principal: services that assume the role, hosts and accounts it serves."""
    if one.kind == "user":
        keys = ctx.read(one.read(ctx, "ListAccessKeys"))["AccessKeyMetadata"]
        return [
            Affected(what=f"whatever uses access key {key['AccessKeyId']}", then=then)
            for key in sorted(keys, key=lambda key: str(key["AccessKeyId"]))
            if key["Status"] == "Active"
        ]
    found = [Affected(what=f"{who}, which may assume this role", then=then) for who in trusted(one)]
    profiles = ctx.read(one.read(ctx, "ListInstanceProfilesForRole"))["InstanceProfiles"]
    names = sorted(str(profile["InstanceProfileName"]) for profile in profiles)
    return found + [
        Affected(what=f"every instance with the instance profile {name}", then=then) for name in names
    ]


def trusted(one: Principal) -> list[str]:
    """Whom the trust policy of a role lets in, sorted."""
    return named_in_trust(one, effects=("Allow",))


def named_in_trust(one: Principal, *, effects: tuple[str, ...] = ("Allow", "Deny")) -> list[str]:
    """Whom the statements of a role's trust policy name, sorted."""
    found: set[str] = set()
    for statement in statements(one.about.get("AssumeRolePolicyDocument")):
        if statement.get("Effect") not in effects:
            continue
        named = statement.get("Principal")
        members = named.values() if isinstance(named, dict) else [named] if named else []
        for member in members:
            found.update([member] if isinstance(member, str) else member)
    return sorted(found)


def statements(document: object) -> list[dict[str, Any]]:
    """The statements of a policy document; a single one may stand without a list."""
    if not isinstance(document, dict):
        return []
    listed = document.get("Statement")
    return listed if isinstance(listed, list) else [listed] if isinstance(listed, dict) else []


def _touchable(ctx: Context, one: Principal) -> Principal:
    """Raises `Refused` for Quell's own principals and break-glass, whatever the target's ARN said."""
    if one.arn in ctx.exempt or one.name.startswith(RESPONDER_PREFIX):
        raise Refused(f"{one.label} is one of Quell's own principals or a break-glass principal")
    return one
