"""https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonsqs.html"""

from __future__ import annotations

from lib.operations.needs import Need

# The call names a queue by its URL, in which the ARN's form does not occur.
_QUEUES = ("arn:{partition}:sqs:{region}:{account}:*",)

OPERATIONS: dict[str, Need] = {
    # Who reads a queue is asked of Lambda.
    "lambda:ListEventSourceMappings": Need(actions=("lambda:ListEventSourceMappings",)),
    "sqs:GetQueueAttributes": Need(actions=("sqs:GetQueueAttributes",), resources=_QUEUES),
    "sqs:GetQueueUrl": Need(
        actions=("sqs:GetQueueUrl",), resources=("arn:{partition}:sqs:{region}:{account}:{QueueName}",)
    ),
    "sqs:SetQueueAttributes": Need(actions=("sqs:SetQueueAttributes",), resources=_QUEUES),
}
