"""https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_CreateDBSnapshot.html

A member of a cluster has no storage of its own: the cluster's is taken instead.
https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_CreateDBClusterSnapshot.html
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from containment.actions import register
from containment.actions.rds.databases import database_of
from containment.describing import ActionType, Context, Steps
from containment.types import Affected, Category, Check, Plan, Refused

SIX_HOURS = 6 * 3600


@register
class SnapshotInstance(ActionType):
    """Take a manual snapshot of a database, or of the cluster that it is a member of.

    Does not stop: anything; it preserves the data as it is. Sessions, memory and logs of the engine
    are not in it.
    """

    id = "rds.snapshot-instance"
    title = "Snapshot database"
    target = "db_instance"
    category = Category.EVIDENCE
    tier = 0
    order = 10
    pairs_with = ("rds.isolate-instance",)
    reads = (
        "rds:DescribeDBInstances",
        "rds:DescribeDBClusters",
        "rds:DescribeDBSnapshots",
        "rds:DescribeDBClusterSnapshots",
    )
    writes = ("rds:CreateDBSnapshot", "rds:CreateDBClusterSnapshot")
    fallback = (
        "aws rds create-db-snapshot --db-instance-identifier DB --db-snapshot-identifier NAME",
        (
            "Aurora: aws rds create-db-cluster-snapshot --db-cluster-identifier CLUSTER"
            " --db-cluster-snapshot-identifier NAME"
        ),
    )

    def plan(self, ctx: Context) -> Plan:
        database = _database(ctx)
        cluster = database.get("DBClusterIdentifier")
        kind, source = ("DBCluster", cluster) if cluster else ("DB", ctx.target.id)
        steps = Steps(ctx)
        _take(ctx, steps, kind, source)
        warning = (
            "it is encrypted: under the key that AWS manages it cannot be shared with another account"
            " until it is copied under a key of your own"
        )
        return steps.plan(
            facts={
                "source": source,
                "uses": sorted({database["KmsKeyId"]} if database.get("KmsKeyId") else set()),
            },
            notes={"engine": database.get("Engine", ""), "gibibytes": database.get("AllocatedStorage", 0)},
            changes=(f"A snapshot {ctx.mark} of {'cluster' if cluster else 'database'} {source} is taken",),
            warnings=(warning,) if database.get("StorageEncrypted") else (),
        )

    def affects(self, ctx: Context) -> Iterator[Affected]:
        database = _database(ctx)
        if not database.get("MultiAZ") and not database.get("DBClusterIdentifier"):
            yield Affected(what=f"database {ctx.target.id}, in one zone only", then="may pause for seconds")
        else:
            yield Affected(what=f"database {ctx.target.id}", then="goes on")


def _take(ctx: Context, steps: Steps, kind: str, source: str) -> None:
    """The snapshot and the wait for it; `kind` is `DB` or `DBCluster`, as the operations are spelled."""
    rds = ctx.aws("rds")
    operation = "DescribeDBClusterSnapshots" if kind == "DBCluster" else "DescribeDBSnapshots"
    listed = f"{kind}Snapshots[0]"
    named: dict[str, Any] = {f"{kind}SnapshotIdentifier": ctx.mark}
    of = "DBClusterIdentifier" if kind == "DBCluster" else "DBInstanceIdentifier"
    absent = (f"{kind}SnapshotNotFound", f"{kind}SnapshotNotFoundFault")
    find = rds.read(operation, **named, missing=absent)
    steps.create(
        "snapshot",
        changes=f"rds:snapshot/{ctx.mark}",
        find=find,
        select=f"{listed}.{kind}SnapshotArn",
        answer=f"{kind}Snapshot.{kind}SnapshotArn",
        content=Check(read=find, select=f"{listed}.{of}", equals=source),
        call=rds.call(f"Create{kind}Snapshot", **named, **{of: source}, Tags=ctx.tags),
        # A backup that is running holds the database for minutes.
        within=1800,
    )
    steps.wait(
        "available",
        seen=Check(read=find, select=f"{listed}.Status", equals="available"),
        within=SIX_HOURS,
        every=30,
        fails=("failed",),
    )


def _database(ctx: Context) -> dict[str, Any]:
    """The instance, if AWS takes snapshots of it. Raises `Refused`."""
    database = database_of(ctx)
    if database["DBInstanceStatus"] in ("deleting", "failed"):
        raise Refused(
            f"{ctx.target.id} is {database['DBInstanceStatus']}: no snapshot of it can be taken any more"
        )
    return database
