"""https://docs.aws.amazon.com/service-authorization/latest/reference/list_awssecretsmanager.html"""

from __future__ import annotations

from lib.operations.needs import Need

# Calls name a secret by its whole ARN; a name alone would leave out the six characters AWS adds.
_SECRET = ("{SecretId}",)

OPERATIONS: dict[str, Need] = {
    "secretsmanager:DeleteResourcePolicy": Need(
        actions=("secretsmanager:DeleteResourcePolicy",), resources=_SECRET
    ),
    "secretsmanager:DescribeSecret": Need(actions=("secretsmanager:DescribeSecret",)),
    "secretsmanager:GetResourcePolicy": Need(
        actions=("secretsmanager:GetResourcePolicy",), resources=_SECRET
    ),
    "secretsmanager:ListSecretVersionIds": Need(
        actions=("secretsmanager:ListSecretVersionIds",), resources=_SECRET
    ),
    "secretsmanager:PutResourcePolicy": Need(
        actions=("secretsmanager:PutResourcePolicy",), resources=_SECRET
    ),
    "secretsmanager:RotateSecret": Need(
        actions=("secretsmanager:RotateSecret",), resources=_SECRET, dependents=("lambda:InvokeFunction",)
    ),
}
