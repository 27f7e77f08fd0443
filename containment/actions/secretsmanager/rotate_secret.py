"""https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_RotateSecret.html"""

from __future__ import annotations

from collections.abc import Iterator

from containment.actions import register
from containment.actions.secretsmanager import secrets
from containment.describing import ActionType, Context, Steps
from containment.looking import q
from containment.types import Affected, Category, Check, Plan, Refused

WITHIN_SECONDS = 1800


@register
class RotateSecret(ActionType):
    """Have a secret rotated now, by the rotation that is set up for it, and wait until the new value counts.

    Does not stop: the old value, until the rotation function has changed it at the database or service;
    sessions opened with it; programs that keep it in memory. It cannot be undone: the old value was seen.
    """

    id = "secretsmanager.rotate-secret"
    title = "Rotate secret"
    target = "secret"
    category = Category.RECOVERY
    tier = 2
    order = 95
    pairs_with = ("secretsmanager.restrict-secret",)
    reads = ("secretsmanager:DescribeSecret", "secretsmanager:ListSecretVersionIds")
    writes = ("secretsmanager:RotateSecret",)
    fallback = ("aws secretsmanager rotate-secret --secret-id SECRET --rotate-immediately",)

    def plan(self, ctx: Context) -> Plan:
        secret, version = secrets.found(ctx), ctx.mark
        if not secret.about.get("RotationEnabled"):
            raise Refused(
                f"no rotation is set up for {secret.name}; its owner has to change the password where it "
                "is used and store the new one (PutSecretValue)"
            )
        pending = sorted(
            one
            for one, labels in (secret.about.get("VersionIdsToStages") or {}).items()
            if "AWSPENDING" in labels and "AWSCURRENT" not in labels and one != version
        )
        if pending:
            raise Refused(f"a rotation of {secret.name} is under way already, as version {pending[0]}")
        steps = Steps(ctx)
        # The token names the new version, so that AWS takes a repeated request for the same rotation.
        steps.set(
            "rotate",
            changes=f"{secret.key}/version/{version}",
            call=secret.manager.call(
                "RotateSecret", SecretId=secret.arn, ClientRequestToken=version, RotateImmediately=True
            ),
            # Once superseded twice, a version has no label left, and DescribeSecret names it no more.
            seen=Check(
                read=secret.manager.read("ListSecretVersionIds", SecretId=secret.arn, IncludeDeprecated=True),
                select=f"Versions[?VersionId=={q(version)}].VersionId | [0]",
                equals=version,
            ),
        )
        steps.wait(
            "new-value-counts",
            seen=Check(
                read=secret.description,
                select=f"contains(VersionIdsToStages.\"{version}\" || `[]`, 'AWSCURRENT')",
                equals=True,
            ),
            within=WITHIN_SECONDS,
        )
        return steps.plan(
            changes=(f"Secret {secret.name} gets a new value, version {version}",),
            warnings=("the value cannot be brought back by an undo",),
            facts={"rotation": secret.about.get("RotationLambdaARN") or secret.about.get("OwningService")},
        )

    def affects(self, ctx: Context) -> Iterator[Affected]:
        secret = secrets.found(ctx)
        yield Affected(
            what=f"programs that keep the value of {secret.name}", then="fail until they read it again"
        )
        rotation = secret.about.get("RotationLambdaARN")
        if rotation:
            yield Affected(what=f"function {rotation}", then="changes the password where it is used")
