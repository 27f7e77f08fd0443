"""IAM Identity Center and its store of people. The service is `sso-admin`, its IAM prefix `sso`.

https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsiamidentitycenter.html
https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsidentitystore.html
"""

from __future__ import annotations

from lib.operations.needs import Need

_ASSIGNMENT = (
    "{InstanceArn}",
    "{PermissionSetArn}",
    "arn:{partition}:sso:::account/{TargetId}",
)

OPERATIONS: dict[str, Need] = {
    "identitystore:CreateGroupMembership": Need(actions=("identitystore:CreateGroupMembership",)),
    "identitystore:DeleteGroupMembership": Need(actions=("identitystore:DeleteGroupMembership",)),
    "identitystore:DescribeUser": Need(actions=("identitystore:DescribeUser",)),
    "identitystore:ListGroupMembershipsForMember": Need(
        actions=("identitystore:ListGroupMembershipsForMember",)
    ),
    "sso-admin:CreateAccountAssignment": Need(
        actions=("sso:CreateAccountAssignment",), resources=_ASSIGNMENT
    ),
    "sso-admin:DeleteAccountAssignment": Need(
        actions=("sso:DeleteAccountAssignment",), resources=_ASSIGNMENT
    ),
    "sso-admin:ListAccountAssignments": Need(actions=("sso:ListAccountAssignments",)),
    "sso-admin:ListAccountAssignmentsForPrincipal": Need(actions=("sso:ListAccountAssignmentsForPrincipal",)),
    "sso-admin:ListInstances": Need(actions=("sso:ListInstances",)),
}
