"""Network ACLs and flow logs.

https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html
"""

from __future__ import annotations

from lib.operations.needs import Need

OPERATIONS: dict[str, Need] = {
    "ec2:CreateFlowLogs": Need(
        actions=("ec2:CreateFlowLogs", "ec2:CreateTags"),
        dependents=("iam:PassRole", "logs:CreateLogDelivery", "s3:GetBucketPolicy", "s3:PutBucketPolicy"),
    ),
    "ec2:CreateNetworkAcl": Need(actions=("ec2:CreateNetworkAcl", "ec2:CreateTags")),
    "ec2:CreateNetworkAclEntry": Need(actions=("ec2:CreateNetworkAclEntry",)),
    "ec2:DeleteFlowLogs": Need(actions=("ec2:DeleteFlowLogs",), dependents=("logs:DeleteLogDelivery",)),
    "ec2:DeleteNetworkAcl": Need(actions=("ec2:DeleteNetworkAcl",)),
    "ec2:DeleteNetworkAclEntry": Need(actions=("ec2:DeleteNetworkAclEntry",)),
    "ec2:DescribeFlowLogs": Need(actions=("ec2:DescribeFlowLogs",)),
    "ec2:DescribeNetworkAcls": Need(actions=("ec2:DescribeNetworkAcls",)),
    "ec2:DescribeSubnets": Need(actions=("ec2:DescribeSubnets",)),
    "ec2:ReplaceNetworkAclAssociation": Need(actions=("ec2:ReplaceNetworkAclAssociation",)),
}
