"""https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-using-identity-based-policies.html"""

from __future__ import annotations

import re
from collections.abc import Iterator

from containment.actions import denials, register
from containment.actions.denials import Holder
from containment.describing import ActionType, Context, Steps
from containment.types import Affected, Category, Plan, Refused

NAME = re.compile(r"[A-Za-z0-9_-]{1,80}|[A-Za-z0-9_-]{1,75}\.fifo")
NOT_THERE = ("AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist")
POLICY_BYTES = 8_192
POLICY_STATEMENTS = 20
"""https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-policies.html"""


@register
class RestrictQueue(ActionType):
    """Deny a queue to everyone but the responders, by a statement in its policy.

    Does not stop: AWS services that send in their own name (topics, buckets, rules); messages received
    before; the root user of the queue's account. What arrives meanwhile is lost once it is older than the
    queue's retention.
    """

    id = "sqs.restrict-queue"
    title = "Restrict queue"
    target = "queue"
    category = Category.DESTINATION
    tier = 2
    order = 70
    reads = ("sqs:GetQueueAttributes", "sqs:GetQueueUrl", "lambda:ListEventSourceMappings")
    writes = ("sqs:SetQueueAttributes",)
    fallback = (
        "aws sqs get-queue-attributes --queue-url URL --attribute-names Policy",
        (
            "add to Statement: Effect Deny, Principal *, Action sqs:*, the queue's ARN, "
            "ArnNotLike aws:PrincipalArn [responder and break-glass roles]"
        ),
        "aws sqs set-queue-attributes --queue-url URL --attributes file://attributes.json",
    )

    def plan(self, ctx: Context) -> Plan:
        name, sqs = ctx.target.id, ctx.aws("sqs")
        url = self._url(ctx)
        holder = Holder(
            what=f"queue {name}",
            changes=f"sqs:queue/{sqs.place.region}/{name}/policy",
            read=sqs.read(
                "GetQueueAttributes", QueueUrl=url, AttributeNames=["Policy"], decode=("Attributes.Policy",)
            ),
            call=sqs.call("SetQueueAttributes", QueueUrl=url),
            at="Attributes.Policy",
            into="Attributes.Policy",
            limit=POLICY_BYTES,
            most=POLICY_STATEMENTS,
            empty=sqs.call("SetQueueAttributes", QueueUrl=url, Attributes={"Policy": ""}),
        )
        statement = denials.everyone_but_exempt(ctx, actions=["sqs:*"], resources=self._arn(ctx))
        steps = Steps(ctx)
        denials.add(steps, "deny", holder=holder, statement=statement)
        return steps.plan(
            changes=(f"Everything on queue {name} is denied to all but {', '.join(denials.spared(ctx))}",),
            warnings=("service-linked roles are denied as well; services in their own name are not",),
        )

    def affects(self, ctx: Context) -> Iterator[Affected]:
        yield Affected(what=f"programs that send to or receive from {ctx.target.id}", then="are denied")
        listing = ctx.aws("lambda").read("ListEventSourceMappings", EventSourceArn=self._arn(ctx))
        for one in ctx.read(listing).get("EventSourceMappings", []):
            yield Affected(what=f"function {one['FunctionArn']}", then="gets no more messages of the queue")

    @staticmethod
    def _arn(ctx: Context) -> str:
        return ctx.arn("sqs", ctx.target.id, region=ctx.aws("sqs").place.region)

    @staticmethod
    def _url(ctx: Context) -> str:
        name = ctx.target.id
        if not NAME.fullmatch(name):
            raise Refused(f"{name[:80]!r} is not the name of a queue; give the name alone, not ARN or URL")
        asked = ctx.aws("sqs").read(
            "GetQueueUrl", QueueName=name, QueueOwnerAWSAccountId=ctx.target.account, missing=NOT_THERE
        )
        answer = ctx.read(asked)
        if answer is None:
            raise Refused(f"there is no queue {name}")
        return str(answer["QueueUrl"])
