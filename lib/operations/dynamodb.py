"""https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazondynamodb.html"""

from __future__ import annotations

from lib.operations.needs import Need

_BY_ARN = ("{ResourceArn}",)

OPERATIONS: dict[str, Need] = {
    "dynamodb:DeleteResourcePolicy": Need(actions=("dynamodb:DeleteResourcePolicy",), resources=_BY_ARN),
    "dynamodb:DescribeTable": Need(
        actions=("dynamodb:DescribeTable",),
        resources=("arn:{partition}:dynamodb:{region}:{account}:table/{TableName}",),
    ),
    "dynamodb:GetResourcePolicy": Need(actions=("dynamodb:GetResourcePolicy",), resources=_BY_ARN),
    "dynamodb:PutResourcePolicy": Need(actions=("dynamodb:PutResourcePolicy",), resources=_BY_ARN),
}
