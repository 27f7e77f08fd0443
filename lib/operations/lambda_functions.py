"""https://docs.aws.amazon.com/service-authorization/latest/reference/list_awslambda.html"""

from __future__ import annotations

from lib.operations.needs import Need

# The last form covers versions and aliases, which FunctionName may carry or a Qualifier name.
_FUNCTION = (
    "arn:{partition}:lambda:{region}:{account}:function:{FunctionName}",
    "arn:{partition}:lambda:{region}:{account}:function:{FunctionName}:*",
)
_MAPPING = ("arn:{partition}:lambda:{region}:{account}:event-source-mapping:{UUID}",)

OPERATIONS: dict[str, Need] = {
    "lambda:AddPermission": Need(actions=("lambda:AddPermission",), resources=_FUNCTION),
    "lambda:DeleteFunctionConcurrency": Need(
        actions=("lambda:DeleteFunctionConcurrency",), resources=_FUNCTION
    ),
    "lambda:DeleteProvisionedConcurrencyConfig": Need(
        actions=("lambda:DeleteProvisionedConcurrencyConfig",), resources=_FUNCTION
    ),
    "lambda:GetEventSourceMapping": Need(actions=("lambda:GetEventSourceMapping",), resources=_MAPPING),
    "lambda:GetFunctionConcurrency": Need(actions=("lambda:GetFunctionConcurrency",), resources=_FUNCTION),
    "lambda:GetFunctionConfiguration": Need(
        actions=("lambda:GetFunctionConfiguration",), resources=_FUNCTION
    ),
    "lambda:GetFunctionUrlConfig": Need(actions=("lambda:GetFunctionUrlConfig",), resources=_FUNCTION),
    "lambda:GetPolicy": Need(actions=("lambda:GetPolicy",), resources=_FUNCTION),
    "lambda:GetProvisionedConcurrencyConfig": Need(
        actions=("lambda:GetProvisionedConcurrencyConfig",), resources=_FUNCTION
    ),
    "lambda:ListAliases": Need(actions=("lambda:ListAliases",), resources=_FUNCTION),
    "lambda:ListEventSourceMappings": Need(actions=("lambda:ListEventSourceMappings",)),
    "lambda:ListFunctionUrlConfigs": Need(actions=("lambda:ListFunctionUrlConfigs",), resources=_FUNCTION),
    "lambda:ListProvisionedConcurrencyConfigs": Need(
        actions=("lambda:ListProvisionedConcurrencyConfigs",), resources=_FUNCTION
    ),
    "lambda:PutFunctionConcurrency": Need(actions=("lambda:PutFunctionConcurrency",), resources=_FUNCTION),
    "lambda:PutProvisionedConcurrencyConfig": Need(
        actions=("lambda:PutProvisionedConcurrencyConfig",), resources=_FUNCTION
    ),
    "lambda:RemovePermission": Need(actions=("lambda:RemovePermission",), resources=_FUNCTION),
    "lambda:UpdateEventSourceMapping": Need(actions=("lambda:UpdateEventSourceMapping",), resources=_MAPPING),
    "lambda:UpdateFunctionUrlConfig": Need(actions=("lambda:UpdateFunctionUrlConfig",), resources=_FUNCTION),
}
