"""https://docs.aws.amazon.com/sns/latest/dg/sns-access-policy-use-cases.html"""

from __future__ import annotations

import re
from collections.abc import Iterator

from containment.actions import denials, register
from containment.actions.denials import Holder
from containment.describing import ActionType, Context, Steps
from containment.types import Affected, Category, Plan, Refused

NAME = re.compile(r"[A-Za-z0-9_-]{1,256}|[A-Za-z0-9_-]{1,251}\.fifo")
POLICY_BYTES = 30_720
"""https://docs.aws.amazon.com/general/latest/gr/sns.html"""

ACTIONS = [
    "sns:AddPermission",
    "sns:DeleteTopic",
    "sns:GetTopicAttributes",
    "sns:ListSubscriptionsByTopic",
    "sns:Publish",
    "sns:RemovePermission",
    "sns:SetTopicAttributes",
    "sns:Subscribe",
]
"""What a topic's policy may be about; SNS refuses `sns:*` there ("action out of service scope")."""


@register
class RestrictTopic(ActionType):
    """Deny a topic to everyone but the responders, by a statement in its policy.

    Does not stop: AWS services that publish in their own name (alarms, buckets, rules); subscriptions
    that are there already, which get what such services publish; the root user of the topic's account.
    """

    id = "sns.restrict-topic"
    title = "Restrict topic"
    target = "topic"
    category = Category.DESTINATION
    tier = 2
    order = 71
    reads = ("sns:GetTopicAttributes", "sns:ListSubscriptionsByTopic")
    writes = ("sns:SetTopicAttributes",)
    fallback = (
        "aws sns get-topic-attributes --topic-arn ARN --query Attributes.Policy --output text",
        (
            "add to Statement: Effect Deny, Principal *, each SNS action by name, the topic's ARN, "
            "ArnNotLike aws:PrincipalArn [responder and break-glass roles]"
        ),
        "aws sns set-topic-attributes --topic-arn ARN --attribute-name Policy --attribute-value file://policy.json",
    )

    def plan(self, ctx: Context) -> Plan:
        sns, arn = ctx.aws("sns"), self._arn(ctx)
        attributes = sns.read("GetTopicAttributes", TopicArn=arn, decode=("Attributes.Policy",))
        if ctx.read(sns.read("GetTopicAttributes", TopicArn=arn, missing=("NotFound",))) is None:
            raise Refused(f"there is no topic {ctx.target.id}")
        holder = Holder(
            what=f"topic {ctx.target.id}",
            changes=f"sns:topic/{sns.place.region}/{ctx.target.id}/policy",
            read=attributes,
            call=sns.call("SetTopicAttributes", TopicArn=arn, AttributeName="Policy"),
            at="Attributes.Policy",
            into="AttributeValue",
            limit=POLICY_BYTES,
        )
        statement = denials.everyone_but_exempt(ctx, actions=ACTIONS, resources=arn)
        steps = Steps(ctx)
        denials.add(steps, "deny", holder=holder, statement=statement)
        return steps.plan(
            changes=(
                f"Everything on topic {ctx.target.id} is denied to all but {', '.join(denials.spared(ctx))}",
            ),
            warnings=("service-linked roles are denied as well; services in their own name are not",),
        )

    def affects(self, ctx: Context) -> Iterator[Affected]:
        yield Affected(what=f"programs that publish to {ctx.target.id}", then="are denied")
        listing = ctx.aws("sns").read("ListSubscriptionsByTopic", TopicArn=self._arn(ctx))
        for one in ctx.read(listing).get("Subscriptions", []):
            yield Affected(
                what=f"subscription {one['Protocol']} {one['Endpoint']}",
                then="gets only what AWS services publish in their own name",
            )

    @staticmethod
    def _arn(ctx: Context) -> str:
        name = ctx.target.id
        if not NAME.fullmatch(name):
            raise Refused(f"{name[:80]!r} is not the name of a topic; give the name alone, not its ARN")
        return ctx.arn("sns", name, region=ctx.aws("sns").place.region)
