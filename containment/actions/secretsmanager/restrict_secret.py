"""https://docs.aws.amazon.com/secretsmanager/latest/userguide/auth-and-access_resource-policies.html"""

from __future__ import annotations

from collections.abc import Iterator

from containment.actions import denials, register
from containment.actions.denials import Holder
from containment.actions.secretsmanager import secrets
from containment.describing import ActionType, Context, Steps
from containment.types import Affected, Category, Plan

POLICY_BYTES = 20_480
"""https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_limits.html"""


@register
class RestrictSecret(ActionType):
    """Deny a secret to everyone but the responders, by a statement in its resource policy.

    Does not stop: whoever read the value already, until it is rotated; copies that programs keep in
    memory; replicas of the secret in other regions; the root user of the secret's account.
    """

    id = "secretsmanager.restrict-secret"
    title = "Restrict secret"
    target = "secret"
    category = Category.DESTINATION
    tier = 2
    order = 65
    pairs_with = ("secretsmanager.rotate-secret",)
    reads = ("secretsmanager:DescribeSecret", "secretsmanager:GetResourcePolicy")
    writes = ("secretsmanager:PutResourcePolicy", "secretsmanager:DeleteResourcePolicy")
    fallback = (
        "aws secretsmanager get-resource-policy --secret-id SECRET --query ResourcePolicy --output text",
        (
            "add to Statement: Effect Deny, Principal *, Action secretsmanager:*, Resource *, "
            "ArnNotLike aws:PrincipalArn [responder and break-glass roles]"
        ),
        "aws secretsmanager put-resource-policy --secret-id SECRET --resource-policy file://policy.json",
    )

    def plan(self, ctx: Context) -> Plan:
        secret, steps = secrets.found(ctx), Steps(ctx)
        manager = secret.manager
        holder = Holder(
            what=f"secret {secret.name}",
            changes=f"{secret.key}/policy",
            read=manager.read("GetResourcePolicy", SecretId=secret.arn, decode=("ResourcePolicy",)),
            # Without BlockPublicPolicy: where somebody else's statement is too broad already, it would
            # refuse ours, which only takes access away.
            call=manager.call("PutResourcePolicy", SecretId=secret.arn),
            at="ResourcePolicy",
            into="ResourcePolicy",
            limit=POLICY_BYTES,
            empty=manager.call("DeleteResourcePolicy", SecretId=secret.arn),
        )
        statement = denials.everyone_but_exempt(ctx, actions=["secretsmanager:*"], resources="*")
        denials.add(steps, "deny", holder=holder, statement=statement)
        replicas = sorted(one["Region"] for one in secret.about.get("ReplicationStatus", []))
        return steps.plan(
            changes=(
                f"Everything on secret {secret.name} is denied to all but {', '.join(denials.spared(ctx))}",
            ),
            warnings=tuple(f"the replica in {region} stays open" for region in replicas),
        )

    def affects(self, ctx: Context) -> Iterator[Affected]:
        secret = secrets.found(ctx)
        yield Affected(what=f"programs that read secret {secret.name}", then="are denied")
        rotation = secret.about.get("RotationLambdaARN")
        if rotation:
            yield Affected(what=f"rotation by {rotation}", then="fails")
        service = secret.about.get("OwningService")
        if service:
            yield Affected(what=f"{service}, which manages this secret", then="can no longer renew it")
