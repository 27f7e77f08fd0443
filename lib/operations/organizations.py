"""https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsorganizations.html"""

from __future__ import annotations

from lib.operations.needs import Need

_OWN = "arn:{partition}:organizations::{account}:"
_POLICY = _OWN + "policy/*/service_control_policy/{PolicyId}"
_TARGETS = (_OWN + "account/*/{TargetId}", _OWN + "ou/*/{TargetId}")
_PARENTS = (_OWN + "ou/*/*", _OWN + "root/*/*")

OPERATIONS: dict[str, Need] = {
    "organizations:AttachPolicy": Need(
        actions=("organizations:AttachPolicy",), resources=(_POLICY, *_TARGETS)
    ),
    "organizations:CreatePolicy": Need(actions=("organizations:CreatePolicy", "organizations:TagResource")),
    "organizations:DeletePolicy": Need(actions=("organizations:DeletePolicy",), resources=(_POLICY,)),
    "organizations:DescribeOrganization": Need(actions=("organizations:DescribeOrganization",)),
    "organizations:DescribeOrganizationalUnit": Need(actions=("organizations:DescribeOrganizationalUnit",)),
    "organizations:DescribePolicy": Need(actions=("organizations:DescribePolicy",)),
    "organizations:DetachPolicy": Need(
        actions=("organizations:DetachPolicy",), resources=(_POLICY, *_TARGETS)
    ),
    "organizations:ListAccountsForParent": Need(actions=("organizations:ListAccountsForParent",)),
    "organizations:ListParents": Need(actions=("organizations:ListParents",)),
    "organizations:ListPolicies": Need(actions=("organizations:ListPolicies",)),
    "organizations:ListPoliciesForTarget": Need(actions=("organizations:ListPoliciesForTarget",)),
    "organizations:ListRoots": Need(actions=("organizations:ListRoots",)),
    "organizations:ListTargetsForPolicy": Need(actions=("organizations:ListTargetsForPolicy",)),
    "organizations:MoveAccount": Need(
        actions=("organizations:MoveAccount",), resources=(_OWN + "account/*/{AccountId}", *_PARENTS)
    ),
}
