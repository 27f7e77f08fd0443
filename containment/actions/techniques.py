"""Named sets of actions to deny, one for each technique that an attacker uses. Pure.

They are what an attacker does next, not all that could do harm: a set has to fit into a user's inline
policies (2,048 characters) and must let the business go on.
https://docs.aws.amazon.com/whitepapers/latest/aws-security-incident-response-guide/technique-and-access-containment.html
https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
"""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Any

from containment.types import Refused

SETS: dict[str, tuple[str, ...]] = {
    "ransomware": (
        "backup:DeleteBackupVault*",
        "backup:DeleteRecoveryPoint",
        "dynamodb:DeleteBackup",
        "dynamodb:DeleteTable",
        "ec2:DeleteSnapshot",
        "ec2:DeleteVolume",
        "kms:CreateGrant",
        "kms:CreateKey",
        "kms:DeleteImportedKeyMaterial",
        "kms:DisableKey",
        "kms:PutKeyPolicy",
        "kms:ScheduleKeyDeletion",
        "rds:DeleteDB*",
        "s3:DeleteBucket",
        "s3:DeleteObject*",
        "s3:PutBucketVersioning",
        "s3:PutEncryptionConfiguration",
        "s3:PutLifecycleConfiguration",
    ),
    "crypto-mining": (
        "autoscaling:CreateAutoScalingGroup",
        "autoscaling:SetDesiredCapacity",
        "autoscaling:UpdateAutoScalingGroup",
        "batch:CreateComputeEnvironment",
        "batch:SubmitJob",
        "bedrock:InvokeModel*",
        "ec2:CreateFleet",
        "ec2:CreateLaunchTemplate*",
        "ec2:RequestSpot*",
        "ec2:RunInstances",
        "ec2:StartInstances",
        "ecs:CreateService",
        "ecs:RunTask",
        "ecs:StartTask",
        "lightsail:Create*",
        "sagemaker:Create*",
        "servicequotas:RequestServiceQuotaIncrease",
    ),
    "persistence": (
        "iam:AddUserToGroup",
        "iam:Attach*Policy",
        "iam:CreateAccessKey",
        "iam:CreateLoginProfile",
        "iam:CreateOpenIDConnectProvider",
        "iam:CreatePolicyVersion",
        "iam:CreateRole",
        "iam:CreateSAMLProvider",
        "iam:CreateServiceSpecificCredential",
        "iam:CreateUser",
        "iam:Put*Policy",
        "iam:SetDefaultPolicyVersion",
        "iam:UpdateAssumeRolePolicy",
        "iam:UpdateLoginProfile",
        "iam:UploadSSHPublicKey",
        "lambda:AddPermission",
        "lambda:CreateFunction*",
        "lambda:UpdateFunctionCode",
        "rolesanywhere:Create*",
        "ssm:CreateAssociation",
        "sts:GetFederationToken",
    ),
    "log-tampering": (
        "cloudtrail:DeleteEventDataStore",
        "cloudtrail:DeleteTrail",
        "cloudtrail:PutEventSelectors",
        "cloudtrail:StopLogging",
        "cloudtrail:UpdateTrail",
        "config:DeleteConfigurationRecorder",
        "config:DeleteDeliveryChannel",
        "config:StopConfigurationRecorder",
        "ec2:DeleteFlowLogs",
        "guardduty:CreateFilter",
        "guardduty:DeleteDetector",
        "guardduty:Disassociate*",
        "guardduty:StopMonitoringMembers",
        "guardduty:UpdateDetector",
        "logs:DeleteLogGroup",
        "logs:DeleteLogStream",
        "logs:PutRetentionPolicy",
        "securityhub:BatchDisableStandards",
        "securityhub:Disable*",
    ),
    "org-escape": (
        "account:PutContactInformation",
        "account:StartPrimaryEmailUpdate",
        "organizations:AcceptHandshake",
        "organizations:LeaveOrganization",
    ),
    "exfil-sharing": (
        "dynamodb:ExportTableToPointInTime",
        "ec2:ModifyImageAttribute",
        "ec2:ModifySnapshotAttribute",
        "ecr:SetRepositoryPolicy",
        "kms:CreateGrant",
        "kms:PutKeyPolicy",
        "lambda:AddPermission",
        "ram:AssociateResourceShare",
        "ram:CreateResourceShare",
        "rds:Modify*SnapshotAttribute",
        "rds:StartExportTask",
        "s3:PutAccessPointPolicy",
        "s3:PutBucketAcl",
        "s3:PutBucketPolicy",
        "s3:PutBucketPublicAccessBlock",
        "s3:PutObjectAcl",
        "s3:PutReplicationConfiguration",
        "secretsmanager:PutResourcePolicy",
    ),
}

TECHNIQUES = tuple(sorted(SETS))
ACTION_PATTERN = r"[a-z0-9-]{2,60}:[A-Za-z0-9*?]{1,120}"


def actions_of(techniques: Iterable[str], chosen: Iterable[str] = ()) -> tuple[str, ...]:
    """The actions of named techniques and chosen ones, sorted, without any that another pattern covers.

    Raises `Refused` when there is none.
    """
    wanted = {action for technique in techniques for action in SETS[technique]} | set(chosen)
    if not wanted:
        raise Refused("name a technique, or at least one action to deny")
    return tuple(sorted(one for one in wanted if not _covered(one, wanted)))


def deny(sid: str, actions: Iterable[str], *, exempt: Iterable[str] = ()) -> dict[str, Any]:
    """The statement that denies the actions on everything, except to the exempted principals.

    Where a policy hangs on one principal, nobody else needs an exemption; an SCP must have them.
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html#condition-keys-principalarn
    """
    statement: dict[str, Any] = {
        "Sid": sid,
        "Effect": "Deny",
        "Action": sorted(actions),
        "Resource": "*",
    }
    spared = sorted(exempt)
    if spared:
        statement["Condition"] = {"ArnNotLike": {"aws:PrincipalArn": spared}}
    return statement


def _covered(action: str, wanted: set[str]) -> bool:
    """Whether another, wider pattern already denies the action; IAM takes no notice of case."""
    return any(
        other.lower() != action.lower() and fnmatchcase(action.lower(), other.lower()) for other in wanted
    )
