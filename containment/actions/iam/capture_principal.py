"""https://docs.aws.amazon.com/IAM/latest/UserGuide/security-audit-guide.html"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from containment.actions import register
from containment.actions.documents import document, told
from containment.actions.iam import calls
from containment.describing import ActionType, Context, Service, Steps
from containment.parameters import param
from containment.types import Affected, Artefact, Category, Plan, Refused

_NAME = r"[\w+=,.@-]{1,64}"
_TARGET = re.compile(rf"access_key/[A-Z0-9]{{16,128}}|(user|role)/{_NAME}", re.ASCII)
_UNKNOWN_KEY = ("NoSuchEntity", "AccessDenied")
"""AWS does not tell a key that is gone from one of another account."""


@dataclass(frozen=True, kw_only=True)
class Params:
    """Whose key it is, where AWS cannot tell."""

    principal: str = param(
        "user/NAME or role/NAME, for a key of which AWS does not say whose it is",
        default="",
        pattern=rf"(|(user|role)/{_NAME})",
    )


@register
class CapturePrincipal(ActionType):
    """Keep what a user or role is, may do and holds, and the last 50 calls of the credential.

    Does not stop: anything; it only reads. Calls of the last minutes may not be in the event history
    yet, and reads of objects and other data events never are.
    """

    id = "iam.capture-principal"
    title = "Capture principal"
    target = "principal"
    category = Category.EVIDENCE
    tier = 0
    order = 5
    params = Params
    pairs_with = ("iam.deactivate-access-key", "iam.deny-user", "iam.deny-role")
    reads = (
        *calls.READS,
        "iam:GetAccessKeyLastUsed",
        "iam:GetGroupPolicy",
        "iam:GetLoginProfile",
        "iam:GetPolicyVersion",
        "iam:GetPolicy",
        "iam:GetRolePolicy",
        "iam:GetUser",
        "iam:GetUserPolicy",
        "iam:ListAccessKeys",
        "iam:ListAttachedGroupPolicies",
        "iam:ListAttachedRolePolicies",
        "iam:ListAttachedUserPolicies",
        "iam:ListGroupPolicies",
        "iam:ListGroupsForUser",
        "iam:ListInstanceProfilesForRole",
        "iam:ListMFADevices",
        "iam:ListRolePolicies",
        "iam:ListServiceSpecificCredentials",
        "iam:ListSigningCertificates",
        "iam:ListUserPolicies",
    )
    writes = ()
    fallback = (
        "aws iam get-access-key-last-used --access-key-id KEY",
        "aws iam get-account-authorization-details --filter User Role Group LocalManagedPolicy",
        "aws cloudtrail lookup-events --lookup-attributes AttributeKey=AccessKeyId,AttributeValue=KEY",
    )

    def plan(self, ctx: Context) -> Plan:
        principal = _principal(ctx)
        steps = Steps(ctx)
        if principal.startswith("user/"):
            steps.collect("principal", "policies", "credentials")
        elif principal.startswith("role/"):
            steps.collect("principal", "policies")
        steps.collect("calls")
        key, asked = _key(ctx), calls.regions(ctx)
        whose = "" if principal else f"Whose key {key} is could not be found out; only its calls are kept"
        kept = f"What {principal} is, may do and holds is kept as evidence"
        return steps.plan(
            facts={"principal": principal, "key": key, "regions": asked},
            changes=(
                *((kept,) if "/" in principal else ()),
                f"The last {calls.MOST_CALLS} calls of {key or principal} are read in {', '.join(asked)}",
            ),
            warnings=(whose,) if whose else (),
        )

    def collect(self, ctx: Context, artefact: str) -> Artefact:
        principal = _principal(ctx)
        kind, _, name = principal.partition("/")
        if artefact == "calls":
            return _calls(ctx, principal)
        if artefact == "principal":
            return _identity(ctx, kind, name)
        return _policies(ctx, kind, name) if artefact == "policies" else _credentials(ctx, name)

    def affects(self, ctx: Context) -> Iterator[Affected]:  # noqa: ARG002 - nothing to read
        yield Affected(
            what="the event history of the account",
            then="is asked; it answers two requests a second in each region, which others share",
        )


def _key(ctx: Context) -> str:
    kind, _, name = ctx.target.id.partition("/")
    return name if kind == "access_key" else ""


def _principal(ctx: Context) -> str:
    """`user/NAME`, `role/NAME` or `root`; empty where nobody says whose key it is."""
    if not _TARGET.fullmatch(ctx.target.id):
        raise Refused("a principal is access_key/AKIA…, user/NAME or role/NAME")
    key = _key(ctx)
    if not key:
        return ctx.target.id
    if ctx.params.principal:
        return str(ctx.params.principal)
    if key.startswith("AKIA"):
        used = ctx.read(ctx.aws("iam").read("GetAccessKeyLastUsed", AccessKeyId=key, missing=_UNKNOWN_KEY))
        if used and used.get("UserName"):
            return f"user/{used['UserName']}"
    return _by_its_calls(ctx, key)


def _by_its_calls(ctx: Context, key: str) -> str:
    for region in calls.regions(ctx):
        read = calls.lookup(ctx, region, "AccessKeyId", key)
        found = calls.identity_of(calls.events_of(ctx.read(read)))
        if found:
            return found
    return ""


def _calls(ctx: Context, principal: str) -> Artefact:
    key, (kind, _, name) = _key(ctx), principal.partition("/")
    if key:
        return calls.last_calls(ctx, attribute="AccessKeyId", value=key, principal=principal)
    attribute = "Role" if kind == "role" else "Username"
    return calls.last_calls(ctx, attribute=attribute, value=name, principal=principal)


def _identity(ctx: Context, kind: str, name: str) -> Artefact:
    """The user or role itself; for a role with its trust, and the instance profiles it is in."""
    iam = ctx.aws("iam")
    if kind == "user":
        content = {"user": ctx.read(iam.read("GetUser", UserName=name))["User"]}
    else:
        content = {
            "role": ctx.read(iam.read("GetRole", RoleName=name))["Role"],
            "instance profiles": told(ctx, iam.read("ListInstanceProfilesForRole", RoleName=name)),
        }
    return document(ctx, f"{kind}-{name}", content, source=ctx.arn("iam", f"{kind}/{name}"), region=ctx.home)


def _policies(ctx: Context, kind: str, name: str) -> Artefact:
    """Every policy with its document: inline and attached, the user's groups' as well."""
    iam = ctx.aws("iam")
    content: dict[str, Any] = _of_owner(ctx, iam, kind.capitalize(), name)
    if kind == "user":
        groups = ctx.read(iam.read("ListGroupsForUser", UserName=name)).get("Groups", [])
        content["groups"] = {
            one["GroupName"]: _of_owner(ctx, iam, "Group", one["GroupName"])
            for one in sorted(groups, key=lambda one: str(one["GroupName"]))
        }
    source = f"{ctx.arn('iam', f'{kind}/{name}')} policies"
    return document(ctx, f"{kind}-{name}-policies", content, source=source, region=ctx.home)


def _of_owner(ctx: Context, iam: Service, owner: str, name: str) -> dict[str, Any]:
    who: dict[str, Any] = {f"{owner}Name": name}
    inline = ctx.read(iam.read(f"List{owner}Policies", **who)).get("PolicyNames", [])
    attached = ctx.read(iam.read(f"ListAttached{owner}Policies", **who)).get("AttachedPolicies", [])
    return {
        "inline": {
            one: told(ctx, iam.read(f"Get{owner}Policy", **who, PolicyName=one)) for one in sorted(inline)
        },
        "attached": {
            one["PolicyArn"]: _managed(ctx, iam, one["PolicyArn"])
            for one in sorted(attached, key=lambda one: str(one["PolicyArn"]))
        },
    }


def _managed(ctx: Context, iam: Service, arn: str) -> Any:
    policy = told(ctx, iam.read("GetPolicy", PolicyArn=arn))
    if "Policy" not in policy:
        return policy
    version = policy["Policy"]["DefaultVersionId"]
    return told(ctx, iam.read("GetPolicyVersion", PolicyArn=arn, VersionId=version))


def _credentials(ctx: Context, user: str) -> Artefact:
    """What the user can sign in with: ids, states and last use, no secret. Null: there is none."""
    iam = ctx.aws("iam")
    keys = ctx.read(iam.read("ListAccessKeys", UserName=user)).get("AccessKeyMetadata", [])
    profile = iam.read("GetLoginProfile", UserName=user, missing=("NoSuchEntity",))
    content = {
        "access keys": [
            {**one, "last used": told(ctx, iam.read("GetAccessKeyLastUsed", AccessKeyId=one["AccessKeyId"]))}
            for one in sorted(keys, key=lambda one: str(one["AccessKeyId"]))
        ],
        "login profile": told(ctx, profile),
        "mfa devices": told(ctx, iam.read("ListMFADevices", UserName=user)),
        "service-specific credentials": told(ctx, iam.read("ListServiceSpecificCredentials", UserName=user)),
        "signing certificates": told(ctx, iam.read("ListSigningCertificates", UserName=user)),
    }
    source = f"{ctx.arn('iam', f'user/{user}')} credentials"
    return document(ctx, f"user-{user}-credentials", content, source=source, region=ctx.home)
