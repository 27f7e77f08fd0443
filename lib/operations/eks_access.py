"""https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonelastickubernetesservice.html"""

from __future__ import annotations

from lib.operations.needs import Need

_CLUSTER = ("arn:{partition}:eks:{region}:{account}:cluster/{clusterName}",)
_ENTRIES = ("arn:{partition}:eks:{region}:{account}:access-entry/{clusterName}/*",)

OPERATIONS: dict[str, Need] = {
    "eks:AssociateAccessPolicy": Need(actions=("eks:AssociateAccessPolicy",), resources=_ENTRIES),
    "eks:CreateAccessEntry": Need(
        actions=("eks:CreateAccessEntry", "eks:TagResource"), resources=(*_CLUSTER, *_ENTRIES)
    ),
    "eks:DeleteAccessEntry": Need(actions=("eks:DeleteAccessEntry",), resources=_ENTRIES),
    "eks:DescribeAccessEntry": Need(actions=("eks:DescribeAccessEntry",), resources=_ENTRIES),
    "eks:DescribeCluster": Need(
        actions=("eks:DescribeCluster",),
        resources=("arn:{partition}:eks:{region}:{account}:cluster/{name}",),
    ),
    "eks:DisassociateAccessPolicy": Need(actions=("eks:DisassociateAccessPolicy",), resources=_ENTRIES),
    "eks:ListAssociatedAccessPolicies": Need(
        actions=("eks:ListAssociatedAccessPolicies",), resources=_ENTRIES
    ),
}
