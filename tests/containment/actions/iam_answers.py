"""IAM as a plan sees it, from answers written down: for tests of what a type plans, without any AWS."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from containment.actions import action_type
from containment.describing import Context
from containment.parameters import check
from containment.types import Duty, Place, Plan, Read, Target, plain
from lib.aws import AwsError

ACCOUNT = "444455556666"
ID = "01KBTESTACTION000000000000"
SID = f"Quell{ID}"
MARK = f"quell-{ID.lower()}"
SUMMARY = {
    "AttachedPoliciesPerUserQuota": 10,
    "AttachedPoliciesPerRoleQuota": 10,
    "AssumeRolePolicySizeQuota": 2048,
}
DENY_ALL = {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": ["*"], "Resource": "*"}]}
TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
    ],
}


@dataclass
class Iam:
    """Answers by operation, or by operation and one parameter's value (`GetUserPolicy:own`)."""

    partition: str = "aws"
    answers: dict[str, Any] = field(default_factory=dict)
    asked: list[Read] = field(default_factory=list)

    def __post_init__(self) -> None:
        standing: dict[str, Any] = {
            "GetAccountSummary": {"SummaryMap": SUMMARY},
            "GetRole": self.role(),
            "GetUser": {"User": {"UserName": "eve", "Arn": self.arn("user/eve"), "Path": "/"}},
            "GetPolicy": {"Policy": {"DefaultVersionId": "v1"}},
            "GetPolicyVersion": {"PolicyVersion": {"Document": DENY_ALL}},
            "ListAttachedRolePolicies": {"AttachedPolicies": []},
            "ListAttachedUserPolicies": {"AttachedPolicies": []},
            "ListInstanceProfilesForRole": {"InstanceProfiles": [{"InstanceProfileName": "web"}]},
            "ListRolePolicies": {"PolicyNames": []},
            "ListUserPolicies": {"PolicyNames": []},
            f"GetRolePolicy:{MARK}": None,
            f"GetUserPolicy:{MARK}": None,
        }
        self.answers = {**standing, **self.answers}

    def arn(self, resource: str, account: str = ACCOUNT) -> str:
        """An ARN of IAM in the partition."""
        return f"arn:{self.partition}:iam::{account}:{resource}"

    def role(self, *, path: str = "/", trust: Mapping[str, Any] = TRUST, **more: Any) -> dict[str, Any]:
        """The answer of GetRole."""
        about = {"Arn": self.arn(f"role{path}web"), "Path": path, "RoleId": "AROAWEB", "RoleName": "web"}
        return {"Role": {**about, "MaxSessionDuration": 7200, "AssumeRolePolicyDocument": trust, **more}}

    def read(self, read: Read) -> Any:
        """The answer that was written down; None where the thing is said not to be there."""
        self.asked.append(read)
        for name in (read.operation, *(f"{read.operation}:{value}" for value in read.params.values())):
            if name in self.answers:
                return self.answers[name]
        named = str(read.params.get("PolicyName", ""))
        if named.startswith(MARK) and "NoSuchEntity" in read.missing:
            return None
        raise AwsError("NoSuchEntity", f"{read.operation} {plain(read.params)}")


def context(type_id: str, aws: Iam, target: str, *, exempt: tuple[str, ...] = (), **params: Any) -> Context:
    """What planning of a type may know of a target in this IAM."""
    declared = action_type(type_id)
    home = {"aws-us-gov": "us-gov-west-1", "aws-cn": "cn-north-1"}.get(aws.partition, "us-east-1")
    return Context(
        id=ID,
        target=Target(type=declared.target, account=ACCOUNT, region=home, id=target),
        params=check(declared.params, params),
        duty=Duty.CONTAIN,
        places={"target": Place(account=ACCOUNT, region=home, duty=Duty.CONTAIN)},
        reader=aws,
        partition=aws.partition,
        exempt=exempt,
    )


def planned(type_id: str, aws: Iam, target: str, *, exempt: tuple[str, ...] = (), **params: Any) -> Plan:
    """The plan; fails the test where it reads what the type does not declare."""
    plan = action_type(type_id)().plan(context(type_id, aws, target, exempt=exempt, **params))
    assert {read.name for read in aws.asked} <= set(action_type(type_id).reads)
    return plan


def affects(type_id: str, aws: Iam, target: str, **params: Any) -> list[str]:
    """What else is touched, in words."""
    return [one.what for one in action_type(type_id)().affects(context(type_id, aws, target, **params))]


def text(plan: Plan) -> str:
    """The whole plan as text."""
    return json.dumps(plain(plan))
