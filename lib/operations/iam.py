"""https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsidentityandaccessmanagementiam.html"""

from __future__ import annotations

from lib.operations.needs import Need

_USER = ("arn:{partition}:iam::{account}:user/{UserName}", "arn:{partition}:iam::{account}:user/*/{UserName}")
_ROLE = ("arn:{partition}:iam::{account}:role/{RoleName}", "arn:{partition}:iam::{account}:role/*/{RoleName}")

OPERATIONS: dict[str, Need] = {
    "iam:DeleteRolePolicy": Need(actions=("iam:DeleteRolePolicy",), resources=_ROLE),
    "iam:GetAccessKeyLastUsed": Need(actions=("iam:GetAccessKeyLastUsed",)),
    "iam:GetRole": Need(actions=("iam:GetRole",), resources=_ROLE),
    "iam:GetRolePolicy": Need(actions=("iam:GetRolePolicy",), resources=_ROLE),
    "iam:ListAccessKeys": Need(actions=("iam:ListAccessKeys",), resources=_USER),
    "iam:PutRolePolicy": Need(actions=("iam:PutRolePolicy",), resources=_ROLE),
    "iam:SimulatePrincipalPolicy": Need(actions=("iam:SimulatePrincipalPolicy",)),
    "iam:UpdateAccessKey": Need(actions=("iam:UpdateAccessKey",), resources=_USER),
}
