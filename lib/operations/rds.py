"""https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonrds.html"""

from __future__ import annotations

from lib.operations.needs import Need

_ARN = "arn:{partition}:rds:{region}:{account}:"
_INSTANCE = (_ARN + "db:{DBInstanceIdentifier}",)
_CLUSTER = (_ARN + "cluster:{DBClusterIdentifier}",)
_SNAPSHOT = (_ARN + "snapshot:{DBSnapshotIdentifier}",)
_CLUSTER_SNAPSHOT = (_ARN + "cluster-snapshot:{DBClusterSnapshotIdentifier}",)
_TAGS = ("rds:AddTagsToResource",)

OPERATIONS: dict[str, Need] = {
    "rds:CreateDBClusterSnapshot": Need(
        actions=("rds:CreateDBClusterSnapshot",), resources=_CLUSTER + _CLUSTER_SNAPSHOT, dependents=_TAGS
    ),
    "rds:CreateDBSnapshot": Need(
        actions=("rds:CreateDBSnapshot",), resources=_INSTANCE + _SNAPSHOT, dependents=_TAGS
    ),
    "rds:DescribeDBClusterSnapshotAttributes": Need(
        actions=("rds:DescribeDBClusterSnapshotAttributes",), resources=_CLUSTER_SNAPSHOT
    ),
    "rds:DescribeDBClusterSnapshots": Need(actions=("rds:DescribeDBClusterSnapshots",)),
    "rds:DescribeDBClusters": Need(actions=("rds:DescribeDBClusters",), resources=_CLUSTER),
    "rds:DescribeDBInstances": Need(actions=("rds:DescribeDBInstances",), resources=_INSTANCE),
    "rds:DescribeDBSnapshotAttributes": Need(
        actions=("rds:DescribeDBSnapshotAttributes",), resources=_SNAPSHOT
    ),
    "rds:DescribeDBSnapshots": Need(actions=("rds:DescribeDBSnapshots",)),
    "rds:ModifyDBCluster": Need(actions=("rds:ModifyDBCluster",), resources=_CLUSTER),
    "rds:ModifyDBClusterSnapshotAttribute": Need(
        actions=("rds:ModifyDBClusterSnapshotAttribute",), resources=_CLUSTER_SNAPSHOT
    ),
    "rds:ModifyDBInstance": Need(actions=("rds:ModifyDBInstance",), resources=_INSTANCE),
    "rds:ModifyDBSnapshotAttribute": Need(actions=("rds:ModifyDBSnapshotAttribute",), resources=_SNAPSHOT),
}
