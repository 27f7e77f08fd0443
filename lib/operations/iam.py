"""https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsidentityandaccessmanagementiam.html"""

from __future__ import annotations

from lib.operations.needs import Need

_USER = ("arn:{partition}:iam::{account}:user/{UserName}", "arn:{partition}:iam::{account}:user/*/{UserName}")
_ROLE = ("arn:{partition}:iam::{account}:role/{RoleName}", "arn:{partition}:iam::{account}:role/*/{RoleName}")
_POLICY = ("{PolicyArn}",)


def _alike(names: str, resources: tuple[str, ...] = ("*",)) -> dict[str, Need]:
    """Operations whose one IAM action has the operation's own name."""
    return {f"iam:{name}": Need(actions=(f"iam:{name}",), resources=resources) for name in names.split()}


OPERATIONS: dict[str, Need] = {
    **_alike(
        "AttachUserPolicy DeleteAccessKey DeleteLoginProfile DeleteUserPermissionsBoundary DeleteUserPolicy "
        "DetachUserPolicy GetLoginProfile GetUser GetUserPolicy ListAccessKeys ListAttachedUserPolicies "
        "ListGroupsForUser ListMFADevices ListSSHPublicKeys ListServiceSpecificCredentials "
        "ListSigningCertificates ListUserPolicies PutUserPermissionsBoundary PutUserPolicy UpdateAccessKey "
        "UpdateSSHPublicKey UpdateServiceSpecificCredential UpdateSigningCertificate",
        _USER,
    ),
    **_alike(
        "AttachRolePolicy DeleteRolePermissionsBoundary DeleteRolePolicy DetachRolePolicy GetRole "
        "GetRolePolicy ListAttachedRolePolicies ListInstanceProfilesForRole ListRolePolicies "
        "PutRolePermissionsBoundary PutRolePolicy UpdateAssumeRolePolicy",
        _ROLE,
    ),
    **_alike(
        "GetPolicy GetPolicyVersion ListEntitiesForPolicy ListPolicyVersions SetDefaultPolicyVersion",
        _POLICY,
    ),
    **_alike("GetAccessKeyLastUsed GetAccountSummary ListPolicies SimulatePrincipalPolicy"),
}
