"""https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html"""

from __future__ import annotations

from lib.operations.needs import Need

_AT = "arn:{partition}:ec2:{region}:{account}:"
_INSTANCE = (_AT + "instance/{InstanceId}",)

_COPIES = (
    "kms:CreateGrant",
    "kms:Decrypt",
    "kms:DescribeKey",
    "kms:GenerateDataKeyWithoutPlaintext",
    "kms:ReEncryptFrom",
    "kms:ReEncryptTo",
)
"""What EBS does with the keys on the caller's behalf.
https://docs.aws.amazon.com/ebs/latest/userguide/ebs-encryption-requirements.html"""

OPERATIONS: dict[str, Need] = {
    "ec2:AssociateAddress": Need(actions=("ec2:AssociateAddress",)),
    "ec2:AssociateIamInstanceProfile": Need(
        actions=("ec2:AssociateIamInstanceProfile",), resources=_INSTANCE, dependents=("iam:PassRole",)
    ),
    "ec2:AuthorizeSecurityGroupEgress": Need(actions=("ec2:AuthorizeSecurityGroupEgress",)),
    "ec2:AuthorizeSecurityGroupIngress": Need(actions=("ec2:AuthorizeSecurityGroupIngress",)),
    "ec2:CopySnapshot": Need(actions=("ec2:CopySnapshot", "ec2:CreateTags"), dependents=_COPIES),
    "ec2:CreateSecurityGroup": Need(actions=("ec2:CreateSecurityGroup", "ec2:CreateTags")),
    "ec2:CreateSnapshots": Need(actions=("ec2:CreateSnapshots", "ec2:CreateTags")),
    "ec2:DeleteSecurityGroup": Need(actions=("ec2:DeleteSecurityGroup",)),
    "ec2:DescribeAddresses": Need(actions=("ec2:DescribeAddresses",)),
    "ec2:DescribeIamInstanceProfileAssociations": Need(
        actions=("ec2:DescribeIamInstanceProfileAssociations",)
    ),
    "ec2:DescribeImageAttribute": Need(actions=("ec2:DescribeImageAttribute",)),
    "ec2:DescribeImages": Need(actions=("ec2:DescribeImages",)),
    "ec2:DescribeInstanceAttribute": Need(actions=("ec2:DescribeInstanceAttribute",)),
    "ec2:DescribeInstances": Need(actions=("ec2:DescribeInstances",)),
    "ec2:DescribeNetworkInterfaces": Need(actions=("ec2:DescribeNetworkInterfaces",)),
    "ec2:DescribeSecurityGroupRules": Need(actions=("ec2:DescribeSecurityGroupRules",)),
    "ec2:DescribeSecurityGroups": Need(actions=("ec2:DescribeSecurityGroups",)),
    "ec2:DescribeSnapshotAttribute": Need(actions=("ec2:DescribeSnapshotAttribute",)),
    "ec2:DescribeSnapshots": Need(actions=("ec2:DescribeSnapshots",)),
    "ec2:DescribeSpotInstanceRequests": Need(actions=("ec2:DescribeSpotInstanceRequests",)),
    "ec2:DescribeVpcs": Need(actions=("ec2:DescribeVpcs",)),
    "ec2:DisassociateAddress": Need(actions=("ec2:DisassociateAddress",)),
    "ec2:DisassociateIamInstanceProfile": Need(actions=("ec2:DisassociateIamInstanceProfile",)),
    "ec2:ModifyImageAttribute": Need(
        actions=("ec2:ModifyImageAttribute",), resources=("arn:{partition}:ec2:{region}::image/{ImageId}",)
    ),
    "ec2:ModifyInstanceAttribute": Need(
        actions=("ec2:ModifyInstanceAttribute",), resources=(*_INSTANCE, _AT + "volume/*")
    ),
    "ec2:ModifyInstanceMetadataOptions": Need(
        actions=("ec2:ModifyInstanceMetadataOptions",), resources=_INSTANCE
    ),
    "ec2:ModifyNetworkInterfaceAttribute": Need(actions=("ec2:ModifyNetworkInterfaceAttribute",)),
    "ec2:ModifySnapshotAttribute": Need(
        actions=("ec2:ModifySnapshotAttribute",),
        resources=("arn:{partition}:ec2:{region}::snapshot/{SnapshotId}",),
    ),
    "ec2:ReplaceIamInstanceProfileAssociation": Need(
        actions=("ec2:ReplaceIamInstanceProfileAssociation",), dependents=("iam:PassRole",)
    ),
    "ec2:RevokeSecurityGroupEgress": Need(actions=("ec2:RevokeSecurityGroupEgress",)),
    "ec2:RevokeSecurityGroupIngress": Need(actions=("ec2:RevokeSecurityGroupIngress",)),
    "ec2:StartInstances": Need(actions=("ec2:StartInstances",), dependents=("kms:CreateGrant",)),
    "ec2:StopInstances": Need(actions=("ec2:StopInstances",)),
    "ec2:TerminateInstances": Need(actions=("ec2:TerminateInstances",)),
}
