"""https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html"""

from __future__ import annotations

from lib.operations.needs import Need

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
}
