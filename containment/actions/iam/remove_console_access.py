"""https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeleteLoginProfile.html"""

from __future__ import annotations

from collections.abc import Iterator

from containment.actions import register
from containment.actions.iam import principals
from containment.describing import ActionType, Context, Steps
from containment.types import Affected, Category, Check, Plan


@register
class RemoveConsoleAccess(ActionType):
    """Delete the console password of an IAM user. It cannot be brought back: AWS has no way to read it.

    Does not stop: console sessions that are open already; access keys and sessions fetched with them;
    a new password, for whoever may call iam:CreateLoginProfile.
    """

    id = "iam.remove-console-access"
    title = "Remove console access"
    target = "user"
    category = Category.TECHNIQUE
    tier = 1
    order = 23
    pairs_with = ("iam.revoke-user-sessions", "iam.deactivate-access-key", "iam.deny-user")
    reads = ("iam:GetLoginProfile", "iam:GetUser", "iam:ListMFADevices")
    writes = ("iam:DeleteLoginProfile",)
    fallback = ("aws iam delete-login-profile --user-name USER",)

    def plan(self, ctx: Context) -> Plan:
        user = principals.user(ctx, ctx.target.id)
        profile = user.read(ctx, "GetLoginProfile", missing=("NoSuchEntity",))
        devices = ctx.read(user.read(ctx, "ListMFADevices"))["MFADevices"]
        steps = Steps(ctx)
        steps.set(
            "remove",
            changes=f"iam:user/{user.name}/login-profile",
            call=user.call(ctx, "DeleteLoginProfile"),
            # Nobody can put the old password back, so there is no undo: docs/adr/0018.
            seen=Check(read=profile, select="LoginProfile.UserName", equals=None),
        )
        return steps.plan(
            notes={
                "login_profile": ctx.read(profile),
                "mfa_devices": sorted(str(device["SerialNumber"]) for device in devices),
            },
            changes=(f"User {user.name} loses the console password",),
            warnings=(
                "This cannot be undone: whoever administers the account gives the user a new password",
            ),
        )

    def affects(self, ctx: Context) -> Iterator[Affected]:
        yield Affected(
            what=f"the person who signs in as {ctx.target.id}",
            then="cannot sign in to the console until given a new password",
        )
