"""Which IAM actions an AWS operation needs, and on what: the one table behind session policies and roles.

Sources: the Service Authorization Reference,
https://docs.aws.amazon.com/service-authorization/latest/reference/. An operation that is not here
cannot be declared by an action type: the build fails.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Need:
    """The IAM actions of one operation, and templates of the resources it acts on.

    A template's names come from the call's parameters; a path (`/`) may lie before a user's or
    role's name, which the trailing wildcard form covers.
    """

    actions: tuple[str, ...]
    resources: tuple[str, ...] = ("*",)


_USER = ("arn:{partition}:iam::{account}:user/{UserName}", "arn:{partition}:iam::{account}:user/*/{UserName}")
_ROLE = ("arn:{partition}:iam::{account}:role/{RoleName}", "arn:{partition}:iam::{account}:role/*/{RoleName}")

OPERATIONS: dict[str, Need] = {
    "ec2:AuthorizeSecurityGroupEgress": Need(actions=("ec2:AuthorizeSecurityGroupEgress",)),
    "ec2:AuthorizeSecurityGroupIngress": Need(actions=("ec2:AuthorizeSecurityGroupIngress",)),
    "ec2:CreateSecurityGroup": Need(actions=("ec2:CreateSecurityGroup", "ec2:CreateTags")),
    "ec2:CreateSnapshots": Need(actions=("ec2:CreateSnapshots", "ec2:CreateTags")),
    "ec2:DeleteSecurityGroup": Need(actions=("ec2:DeleteSecurityGroup",)),
    "ec2:DescribeInstances": Need(actions=("ec2:DescribeInstances",)),
    "ec2:DescribeNetworkInterfaces": Need(actions=("ec2:DescribeNetworkInterfaces",)),
    "ec2:DescribeSecurityGroups": Need(actions=("ec2:DescribeSecurityGroups",)),
    "ec2:DescribeSnapshots": Need(actions=("ec2:DescribeSnapshots",)),
    "ec2:DescribeVpcs": Need(actions=("ec2:DescribeVpcs",)),
    "ec2:ModifyNetworkInterfaceAttribute": Need(actions=("ec2:ModifyNetworkInterfaceAttribute",)),
    "ec2:RevokeSecurityGroupEgress": Need(actions=("ec2:RevokeSecurityGroupEgress",)),
    "iam:DeleteRolePolicy": Need(actions=("iam:DeleteRolePolicy",), resources=_ROLE),
    "iam:GetAccessKeyLastUsed": Need(actions=("iam:GetAccessKeyLastUsed",)),
    "iam:GetRole": Need(actions=("iam:GetRole",), resources=_ROLE),
    "iam:GetRolePolicy": Need(actions=("iam:GetRolePolicy",), resources=_ROLE),
    "iam:ListAccessKeys": Need(actions=("iam:ListAccessKeys",), resources=_USER),
    "iam:PutRolePolicy": Need(actions=("iam:PutRolePolicy",), resources=_ROLE),
    "iam:SimulatePrincipalPolicy": Need(actions=("iam:SimulatePrincipalPolicy",)),
    "iam:UpdateAccessKey": Need(actions=("iam:UpdateAccessKey",), resources=_USER),
}

POLICY_LIMIT = 2048
"""Characters of a session policy that STS accepts.
https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html"""


def session_policy(
    calls: Iterable[tuple[str, Mapping[str, Any]]], *, partition: str, account: str, region: str
) -> str:
    """A session policy that allows exactly these calls (`service:Operation`, resolved parameters).

    Raises `KeyError` for an operation that the table does not know, and `ValueError` above the
    2,048 characters that STS accepts.
    """
    statements: list[dict[str, Any]] = []
    for operation, params in calls:
        need = OPERATIONS[operation]
        values = {"partition": partition, "account": account, "region": region}
        values |= {key: value for key, value in params.items() if isinstance(value, str)}
        statement: dict[str, Any] = {
            "Effect": "Allow",
            "Action": sorted(need.actions),
            "Resource": sorted(template.format(**values) for template in need.resources),
        }
        if operation.startswith("ec2:"):
            statement["Condition"] = {"StringEquals": {"aws:RequestedRegion": region}}
        if statement not in statements:
            statements.append(statement)
    text = json.dumps({"Version": "2012-10-17", "Statement": statements}, separators=(",", ":"))
    if len(text) > POLICY_LIMIT:
        raise ValueError(f"a session policy of {len(text)} characters; STS accepts {POLICY_LIMIT}")
    return text
