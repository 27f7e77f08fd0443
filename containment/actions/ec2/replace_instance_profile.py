"""https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ReplaceIamInstanceProfileAssociation.html

The new association has an id of its own; undo asks for it when it is built.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from containment.actions import register
from containment.actions.ec2.instances import instance_of
from containment.describing import ActionType, Context, Service, Steps, ref
from containment.parameters import param
from containment.types import Affected, Category, Check, Compare, Plan, Refused

LIVE = "IamInstanceProfileAssociations[?State=='associating' || State=='associated']"
PROFILES = f"{LIVE}.IamInstanceProfile.Arn"


@dataclass(frozen=True, kw_only=True)
class Params:
    profile: str = param(
        "the instance profile that takes its place, with a role that may do nothing; none for no profile",
        default="quell-isolation",
        pattern=r"[\w+=,.@-]{1,128}",
    )


@register
class ReplaceInstanceProfile(ActionType):
    """Give an instance a profile whose role may do nothing, or none at all.

    Does not stop: credentials of the old role that the instance or an attacker already holds, for up
    to six hours (revoke the role's sessions); other instances with the same role; keys stored on disk.
    """

    id = "ec2.replace-instance-profile"
    title = "Replace instance profile"
    target = "instance"
    category = Category.TECHNIQUE
    tier = 2
    order = 41
    params = Params
    pairs_with = ("iam.revoke-role-sessions", "ec2.acquire-memory")
    reads = (
        "ec2:DescribeInstances",
        "ec2:DescribeIamInstanceProfileAssociations",
        "iam:GetInstanceProfile",
    )
    writes = (
        "ec2:AssociateIamInstanceProfile",
        "ec2:DisassociateIamInstanceProfile",
        "ec2:ReplaceIamInstanceProfileAssociation",
    )
    fallback = (
        "aws ec2 describe-iam-instance-profile-associations --filters Name=instance-id,Values=INSTANCE",
        (
            "aws ec2 replace-iam-instance-profile-association --association-id ID"
            " --iam-instance-profile Name=NAME"
        ),
        "aws ec2 disassociate-iam-instance-profile --association-id ID",
    )

    def plan(self, ctx: Context) -> Plan:
        ec2, steps, instance = ctx.aws("ec2"), Steps(ctx), ctx.target.id
        instance_of(ctx, ec2)
        listing = self._listing(ctx, ec2)
        present = self._present(ctx, ec2)
        wanted = None if ctx.params.profile == "none" else self._profile(ctx, ctx.params.profile)
        if present is None:
            raise Refused(f"{instance} has no instance profile")
        old = present["IamInstanceProfile"]["Arn"]
        more: dict[str, Any] = {}
        if wanted is None:
            call = ec2.call("DisassociateIamInstanceProfile", AssociationId=present["AssociationId"])
            undo = ec2.call(
                "AssociateIamInstanceProfile", InstanceId=instance, IamInstanceProfile={"Arn": old}
            )
        else:
            call = ec2.call(
                "ReplaceIamInstanceProfileAssociation",
                AssociationId=present["AssociationId"],
                IamInstanceProfile={"Arn": wanted},
            )
            undo = ec2.call(
                "ReplaceIamInstanceProfileAssociation",
                AssociationId=ref("replace"),
                IamInstanceProfile={"Arn": old},
            )
            more["value"] = f"{LIVE}.AssociationId | [0]"
        steps.set(
            "replace",
            changes=f"ec2:instance/{instance}/profile",
            call=call,
            seen=Check(
                read=listing,
                select=PROFILES,
                equals=[wanted] if wanted else None,
                compare=Compare.SET,
            ),
            undo=undo,
            **more,
        )
        return steps.plan(
            changes=(f"{_name(old)} gives way to {_name(wanted) if wanted else 'no profile'}",),
            warnings=(
                "Credentials that were handed out live on until they expire: revoke the role's sessions",
                "Agents that live on the instance's role (Systems Manager, CloudWatch) fall silent",
            ),
        )

    def affects(self, ctx: Context) -> Iterator[Affected]:
        ec2 = ctx.aws("ec2")
        present = self._present(ctx, ec2)
        if present is None:
            return
        old = present["IamInstanceProfile"]["Arn"]
        yield Affected(what=f"programs on the instance that use {_name(old)}", then="may do nothing any more")
        for one in self._others(ctx, ec2, old):
            yield Affected(what=f"{one}, with the same profile", then="keeps it: act on it by itself")

    def _listing(self, ctx: Context, ec2: Service) -> Any:
        by = [{"Name": "instance-id", "Values": [ctx.target.id]}]
        return ec2.read("DescribeIamInstanceProfileAssociations", Filters=by)

    def _present(self, ctx: Context, ec2: Service) -> dict[str, Any] | None:
        """The association in force, or None."""
        found = ctx.read(self._listing(ctx, ec2))["IamInstanceProfileAssociations"]
        live = [one for one in found if one["State"] in ("associating", "associated")]
        return live[0] if live else None

    def _others(self, ctx: Context, ec2: Service, profile: str) -> list[str]:
        """The other instances with a profile, sorted."""
        found = ctx.read(ec2.read("DescribeIamInstanceProfileAssociations"))["IamInstanceProfileAssociations"]
        sharing = {one["InstanceId"] for one in found if one["IamInstanceProfile"]["Arn"] == profile}
        return sorted(sharing - {ctx.target.id})

    def _profile(self, ctx: Context, name: str) -> str:
        """The ARN of the profile to come. Raises `Refused` where there is none, or it has no role."""
        read = ctx.aws("iam").read("GetInstanceProfile", InstanceProfileName=name, missing=("NoSuchEntity",))
        answer = ctx.read(read)
        if answer is None:
            raise Refused(
                f"there is no instance profile {name} in the account: make it with a role that may do"
                " nothing, or choose none"
            )
        if not answer["InstanceProfile"]["Roles"]:
            raise Refused(f"the instance profile {name} has no role")
        return str(answer["InstanceProfile"]["Arn"])


def _name(arn: str) -> str:
    return arn.rsplit("/", 1)[-1]
