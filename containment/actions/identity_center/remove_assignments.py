"""https://docs.aws.amazon.com/singlesignon/latest/APIReference/API_DeleteAccountAssignment.html

Identity Center takes an assignment away in its own time: the call only begins it. Each assignment and
each membership is a step in a lane of its own, so that one that fails does not keep the others.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from containment.actions import register
from containment.describing import ActionType, Context, Service, Steps
from containment.looking import q
from containment.parameters import param
from containment.types import Affected, Category, Check, Plan, Refused

MINUTES = 600
MOST = 100
"""More assignments than this are not one person's; they are refused with the figure."""

PUT_BACK = "Where an identity provider keeps the groups, it may put the user back: disable the user there"


@dataclass(frozen=True, kw_only=True)
class Params:
    groups: bool = param(
        "take the user out of every group as well, through which most people get their access", default=True
    )


@register
class RemoveAssignments(ActionType):
    """Take every account assignment of an Identity Center user away, and every group membership.

    Does not stop: role sessions already open, for up to 12 hours; the sign-in itself, and a session of
    the access portal, which lives for up to 90 days; memberships that an identity provider puts back
    (SCIM); applications that are assigned to the user.
    """

    id = "identity-center.remove-assignments"
    title = "Remove assignments"
    target = "identity_user"
    category = Category.TECHNIQUE
    tier = 2
    order = 24
    params = Params
    pairs_with = ("iam.revoke-role-sessions", "organizations.deny-technique")
    reads = (
        "identitystore:DescribeUser",
        "identitystore:ListGroupMembershipsForMember",
        "sso-admin:ListAccountAssignments",
        "sso-admin:ListAccountAssignmentsForPrincipal",
        "sso-admin:ListInstances",
    )
    writes = (
        "identitystore:CreateGroupMembership",
        "identitystore:DeleteGroupMembership",
        "sso-admin:CreateAccountAssignment",
        "sso-admin:DeleteAccountAssignment",
    )
    fallback = (
        "disable the user in the identity provider, or in the Identity Center console under Users",
        (
            "aws sso-admin list-account-assignments-for-principal --instance-arn INSTANCE --principal-id USER"
            " --principal-type USER"
        ),
        (
            "aws sso-admin delete-account-assignment --instance-arn INSTANCE --target-id ACCOUNT"
            " --target-type AWS_ACCOUNT --permission-set-arn SET --principal-type USER --principal-id USER"
        ),
        "aws identitystore delete-group-membership --identity-store-id STORE --membership-id MEMBERSHIP",
    )

    def plan(self, ctx: Context) -> Plan:
        sso, store = ctx.aws("sso-admin", "identity"), ctx.aws("identitystore", "identity")
        instance, where = self._instance(ctx, sso)
        name = self._user(ctx, store, where)
        assigned = self._assigned(ctx, sso, instance)
        member_of = self._member_of(ctx, store, where) if ctx.params.groups else []
        if not assigned and not member_of:
            raise Refused(f"{name} has no assignment of its own and is in no group")
        if len(assigned) + len(member_of) > MOST:
            raise Refused(
                f"{name} has {len(assigned) + len(member_of)} assignments and groups; at most {MOST}"
            )
        steps = Steps(ctx)
        for account, permissions in assigned:
            self._unassign(ctx, sso, steps, instance, account, permissions)
        for group, membership in member_of:
            self._leave(ctx, store, steps, where, group, membership)
        for account, permissions in assigned:
            steps.wait(
                f"gone-{_short(account, permissions)}",
                seen=self._assignment(ctx, sso, instance, account, permissions),
                within=MINUTES,
            )
        return steps.plan(
            facts={"user": name, "groups": [group for group, _ in member_of]},
            changes=(
                *(f"{name} loses {one.rpartition('/')[2]} in account {account}" for account, one in assigned),
                *(f"{name} leaves group {group}" for group, _ in member_of),
            ),
            warnings=(PUT_BACK,) if member_of else (),
        )

    def affects(self, ctx: Context) -> Iterator[Affected]:
        yield Affected(
            what=f"whoever signs in as user {ctx.target.id}", then="gets no new session in any account"
        )
        yield Affected(what="applications that read the user's groups", then="no longer see the user in them")

    def _instance(self, ctx: Context, sso: Service) -> tuple[str, str]:
        found: Any = ctx.read(sso.read("ListInstances"))
        instances = sorted(found["Instances"], key=itemgetter("InstanceArn"))
        if not instances:
            raise Refused("the organization has no Identity Center instance in its region")
        return instances[0]["InstanceArn"], instances[0]["IdentityStoreId"]

    def _user(self, ctx: Context, store: Service, where: str) -> str:
        missing = ("ResourceNotFoundException",)
        found: Any = ctx.read(
            store.read("DescribeUser", IdentityStoreId=where, UserId=ctx.target.id, missing=missing)
        )
        if not found:
            raise Refused(f"there is no Identity Center user {ctx.target.id}")
        return str(found.get("UserName") or ctx.target.id)

    def _assigned(self, ctx: Context, sso: Service, instance: str) -> list[tuple[str, str]]:
        """Account and permission set of every assignment to the user itself, not by a group."""
        found: Any = ctx.read(
            sso.read(
                "ListAccountAssignmentsForPrincipal",
                InstanceArn=instance,
                PrincipalId=ctx.target.id,
                PrincipalType="USER",
            )
        )
        return sorted(
            (one["AccountId"], one["PermissionSetArn"])
            for one in found["AccountAssignments"]
            if one["PrincipalType"] == "USER" and one["PrincipalId"] == ctx.target.id
        )

    def _member_of(self, ctx: Context, store: Service, where: str) -> list[tuple[str, str]]:
        """Group and membership of every group that the user is in."""
        found: Any = ctx.read(
            store.read(
                "ListGroupMembershipsForMember", IdentityStoreId=where, MemberId={"UserId": ctx.target.id}
            )
        )
        return sorted((one["GroupId"], one["MembershipId"]) for one in found["GroupMemberships"])

    def _assignment(self, ctx: Context, sso: Service, instance: str, account: str, permissions: str) -> Check:
        return Check(
            read=sso.read(
                "ListAccountAssignments",
                InstanceArn=instance,
                AccountId=account,
                PermissionSetArn=permissions,
            ),
            select=f"AccountAssignments[?PrincipalId=={q(ctx.target.id)} && PrincipalType=='USER']"
            ".PrincipalId | [0]",
            equals=None,
        )

    def _unassign(
        self, ctx: Context, sso: Service, steps: Steps, instance: str, account: str, permissions: str
    ) -> None:
        named = {
            "InstanceArn": instance,
            "TargetId": account,
            "TargetType": "AWS_ACCOUNT",
            "PermissionSetArn": permissions,
            "PrincipalType": "USER",
            "PrincipalId": ctx.target.id,
        }
        short, there = (
            _short(account, permissions),
            self._assignment(ctx, sso, instance, account, permissions),
        )
        steps.set(
            f"unassign-{short}",
            changes=f"sso:user/{ctx.target.id}/assignment/{short}",
            lane=f"assignment-{short}",
            call=sso.call("DeleteAccountAssignment", **named),
            seen=there,
            undo=sso.call("CreateAccountAssignment", **named),
            undo_seen=Check(read=there.read, select=there.select, equals=ctx.target.id),
            # Identity Center takes an assignment away in minutes, not at once.
            settle=300,
            within=MINUTES,
        )

    def _leave(
        self, ctx: Context, store: Service, steps: Steps, where: str, group: str, membership: str
    ) -> None:
        member = {"UserId": ctx.target.id}
        steps.set(
            f"leave-{group}",
            changes=f"sso:user/{ctx.target.id}/group/{group}",
            lane=f"group-{group}",
            call=store.call("DeleteGroupMembership", IdentityStoreId=where, MembershipId=membership),
            seen=Check(
                read=store.read("ListGroupMembershipsForMember", IdentityStoreId=where, MemberId=member),
                select=f"GroupMemberships[?GroupId=={q(group)}].GroupId | [0]",
                equals=None,
            ),
            undo=store.call("CreateGroupMembership", IdentityStoreId=where, GroupId=group, MemberId=member),
        )


def _short(account: str, permissions: str) -> str:
    return f"{account}-{permissions.rpartition('/')[2]}"
