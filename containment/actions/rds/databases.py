"""What the actions on a database read of it. No action type of its own.

https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_DescribeDBInstances.html
"""

from __future__ import annotations

from typing import Any

from containment.describing import Context
from containment.types import Refused


def database_of(ctx: Context) -> dict[str, Any]:
    """The target as AWS describes it. Raises `Refused` where there is no such instance."""
    read = ctx.aws("rds").read(
        "DescribeDBInstances",
        DBInstanceIdentifier=ctx.target.id,
        missing=("DBInstanceNotFound", "DBInstanceNotFoundFault"),
    )
    found = ctx.read(read)
    if not found or not found["DBInstances"]:
        raise Refused(_no_instance(ctx))
    database: dict[str, Any] = found["DBInstances"][0]
    return database


def cluster_of(ctx: Context, database: dict[str, Any]) -> dict[str, Any]:
    """The cluster that the instance is a member of; empty for an instance of its own. Raises `Refused`."""
    name = database.get("DBClusterIdentifier")
    if not name:
        return {}
    cluster = _cluster(ctx, name)
    if not cluster:
        raise Refused(f"{ctx.target.id} is a member of cluster {name}, which AWS does not show")
    return cluster


def _cluster(ctx: Context, name: str) -> dict[str, Any]:
    read = ctx.aws("rds").read(
        "DescribeDBClusters",
        DBClusterIdentifier=name,
        missing=("DBClusterNotFound", "DBClusterNotFoundFault"),
    )
    found = ctx.read(read)
    cluster: dict[str, Any] = found["DBClusters"][0] if found and found["DBClusters"] else {}
    return cluster


def _no_instance(ctx: Context) -> str:
    """Why there is no instance of the target's name: a cluster is not one."""
    name = ctx.target.id
    cluster = _cluster(ctx, name)
    if not cluster:
        return f"there is no database {name} in {ctx.target.region}"
    members = sorted(one["DBInstanceIdentifier"] for one in cluster.get("DBClusterMembers") or [])
    if not members:
        return f"{name} is a cluster without instances (serverless), which has to be dealt with by hand"
    return f"{name} is a cluster; name one of its instances ({', '.join(members)}), and all of it is meant"
