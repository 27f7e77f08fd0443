"""https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_ModifyDBInstance.html

The security groups of a member of a cluster are the cluster's; whether it has a public address is its
own in Aurora, and the cluster's in a Multi-AZ DB cluster, whose members cannot be changed at all.
https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/modify-multi-az-db-cluster.html
`ApplyImmediately` also applies whatever was waiting for the maintenance window.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from containment.actions import register
from containment.actions.ec2 import isolation_groups
from containment.actions.rds.databases import cluster_of, database_of
from containment.describing import ActionType, Context, Ref, Service, Steps
from containment.parameters import param
from containment.types import Affected, Category, Check, Compare, Plan, Refused

# What is on its way out counts as gone: AWS has taken the call.
GROUPS = "sort({}.VpcSecurityGroups[?Status!='removing'].VpcSecurityGroupId)"
HALF_AN_HOUR = 1800
TEN_MINUTES = 600
"""How long a database may be busy with a backup or another change before it takes ours."""


@dataclass(frozen=True, kw_only=True)
class Params:
    with_pending: bool = param(
        "apply the modifications that wait for the maintenance window as well; they cannot be held back",
        default=False,
    )


@register
class IsolateInstance(ActionType):
    """Move a database into a security group without rules and take its public address away.

    Does not stop: connections that are open, which security groups go on tracking until they are idle
    or the database is rebooted; the Data API and RDS Proxies with groups of their own; restores and
    copies of snapshots; whoever may change the database back.
    """

    id = "rds.isolate-instance"
    title = "Isolate database"
    target = "db_instance"
    category = Category.DESTINATION
    tier = 2
    order = 60
    params = Params
    pairs_with = ("rds.snapshot-instance", "rds.unshare-snapshot")
    reads = (
        "rds:DescribeDBInstances",
        "rds:DescribeDBClusters",
        "ec2:DescribeSecurityGroups",
        "ec2:DescribeNetworkInterfaces",
        "ec2:DescribeVpcs",
    )
    writes = (
        "ec2:CreateSecurityGroup",
        "ec2:DeleteSecurityGroup",
        "ec2:RevokeSecurityGroupEgress",
        "rds:ModifyDBInstance",
        "rds:ModifyDBCluster",
    )
    fallback = (
        "make a security group without any rule in the database's VPC",
        (
            "aws rds modify-db-instance --db-instance-identifier DB --vpc-security-group-ids GROUP"
            " --no-publicly-accessible --apply-immediately"
        ),
        (
            "Aurora: aws rds modify-db-cluster --db-cluster-identifier CLUSTER --vpc-security-group-ids GROUP"
            " --apply-immediately"
        ),
    )

    def plan(self, ctx: Context) -> Plan:
        database = _database(ctx)
        cluster = cluster_of(ctx, database)
        pending = _pending(database, cluster, allowed=ctx.params.with_pending)
        steps = Steps(ctx)
        group, shut = _group_without_rules(ctx, steps, database["DBSubnetGroup"]["VpcId"])
        name = cluster.get("DBClusterIdentifier", "")
        if not cluster:
            self._move(ctx, steps, group)
        else:
            self._move_cluster(ctx, steps, name, group)
        if cluster and _has_own_address(database):
            self._hide(ctx, steps)
        groups = ", ".join(_groups(database)) or "no group"
        hidden = not cluster or _has_own_address(database)
        return steps.plan(
            holds=(shut,),
            facts={"cluster": name, "pending": pending},
            notes={"database": _brief(database)},
            changes=(
                f"{name or ctx.target.id}: {groups} replaced by a group without rules",
                *([f"{ctx.target.id}: no public address"] if hidden else []),
            ),
            warnings=tuple(_warnings(database, cluster, pending)),
        )

    def affects(self, ctx: Context) -> Iterator[Affected]:
        database = _database(ctx)
        cluster = cluster_of(ctx, database)
        for member in cluster.get("DBClusterMembers") or []:
            yield Affected(what=f"database {member['DBInstanceIdentifier']}", then="takes no new connection")
        if not cluster:
            yield Affected(what=f"whatever uses {ctx.target.id}", then="cannot connect any more")
        for replica in sorted(database.get("ReadReplicaDBInstanceIdentifiers") or []):
            yield Affected(what=f"replica {replica}", then="holds the same data and is not isolated itself")

    def _move(self, ctx: Context, steps: Steps, group: Ref) -> None:
        """Groups and public address in one call; AWS applies them together."""
        rds, name = ctx.aws("rds"), ctx.target.id
        read = rds.read("DescribeDBInstances", DBInstanceIdentifier=name)
        seen = Check(
            read=read,
            select=f"DBInstances[0].[{GROUPS.format('@')}, PubliclyAccessible]",
            equals=[[group], False],
        )
        was: Any = ctx.look(seen)
        steps.set(
            "isolate",
            changes=f"rds:db/{name}/network",
            call=rds.call(
                "ModifyDBInstance",
                DBInstanceIdentifier=name,
                VpcSecurityGroupIds=[group],
                PubliclyAccessible=False,
                ApplyImmediately=True,
            ),
            seen=seen,
            undo=rds.call(
                "ModifyDBInstance",
                DBInstanceIdentifier=name,
                VpcSecurityGroupIds=was[0],
                PubliclyAccessible=bool(was[1]),
                ApplyImmediately=True,
            ),
            undo_seen=_settled(rds, name),
            within=TEN_MINUTES,
        )
        steps.wait("available", seen=_settled(rds, name), within=HALF_AN_HOUR)

    def _move_cluster(self, ctx: Context, steps: Steps, cluster: str, group: Ref) -> None:
        rds = ctx.aws("rds")
        read = rds.read("DescribeDBClusters", DBClusterIdentifier=cluster)
        seen = Check(read=read, select=GROUPS.format("DBClusters[0]"), equals=[group], compare=Compare.SET)
        was: Any = ctx.look(seen)
        named = {"DBClusterIdentifier": cluster, "ApplyImmediately": True}
        done = Check(
            read=read,
            select="DBClusters[0].[Status, length(VpcSecurityGroups[?Status!='active'])]",
            equals=["available", 0],
        )
        steps.set(
            "isolate-cluster",
            changes=f"rds:cluster/{cluster}/groups",
            call=rds.call("ModifyDBCluster", **named, VpcSecurityGroupIds=[group]),
            seen=seen,
            undo=rds.call("ModifyDBCluster", **named, VpcSecurityGroupIds=was),
            undo_seen=done,
            within=TEN_MINUTES,
        )
        steps.wait("cluster-available", seen=done, within=HALF_AN_HOUR)

    def _hide(self, ctx: Context, steps: Steps) -> None:
        rds, name = ctx.aws("rds"), ctx.target.id
        named = {"DBInstanceIdentifier": name, "ApplyImmediately": True}
        steps.set(
            "hide",
            changes=f"rds:db/{name}/public",
            call=rds.call("ModifyDBInstance", **named, PubliclyAccessible=False),
            seen=Check(
                read=rds.read("DescribeDBInstances", DBInstanceIdentifier=name),
                select="DBInstances[0].PubliclyAccessible",
                equals=False,
            ),
            undo=rds.call("ModifyDBInstance", **named, PubliclyAccessible=True),
            within=TEN_MINUTES,
        )


def _database(ctx: Context) -> dict[str, Any]:
    """The instance, if its network can be changed. Raises `Refused`."""
    name, database = ctx.target.id, database_of(ctx)
    if not (database.get("DBSubnetGroup") or {}).get("VpcId"):
        raise Refused(f"{name} is not in a VPC; it has no security groups that could be changed")
    if database["DBInstanceStatus"] in ("stopped", "stopping", "deleting"):
        raise Refused(
            f"{name} is {database['DBInstanceStatus']}: AWS changes no network of it, and nothing connects"
        )
    return database


def _has_own_address(database: dict[str, Any]) -> bool:
    """Whether it is Aurora: members of a Multi-AZ DB cluster cannot be changed one by one."""
    return str(database.get("Engine", "")).startswith("aurora")


def _pending(database: dict[str, Any], cluster: dict[str, Any], *, allowed: bool) -> list[str]:
    """What waits for the maintenance window, of the instance and of its cluster. Raises `Refused`."""
    waiting = [one.get("PendingModifiedValues") or {} for one in (database, cluster)]
    pending = sorted({name for values in waiting for name, value in values.items() if value})
    if pending and not allowed:
        raise Refused(
            f"{', '.join(pending)} waits for the maintenance window and would be applied at once;"
            " plan it with with_pending to accept that"
        )
    return pending


def _warnings(database: dict[str, Any], cluster: dict[str, Any], pending: list[str]) -> Iterator[str]:
    name = database["DBInstanceIdentifier"]
    for one in pending:
        yield f"the waiting modification of {one} is applied as well"
    if cluster:
        yield f"every member of cluster {cluster['DBClusterIdentifier']} is cut off, not {name} alone"
    if cluster and not _has_own_address(database) and database.get("PubliclyAccessible"):
        yield f"{name} keeps its public address, which lets nothing in: AWS changes no member of this cluster"
    if cluster.get("HttpEndpointEnabled"):
        yield "the Data API of the cluster is on and goes on answering; no security group is asked there"
    if database.get("ReadReplicaSourceDBInstanceIdentifier"):
        source = database["ReadReplicaSourceDBInstanceIdentifier"]
        yield f"{name} is a replica; {source}, which it copies, is not isolated"
    for replica in sorted(database.get("ReadReplicaDBInstanceIdentifiers") or []):
        yield f"replica {replica} holds the same data and is not isolated"


def _group_without_rules(ctx: Context, steps: Steps, vpc: str) -> tuple[Ref, Check]:
    """A security group of ours in the VPC, without any rule, and the check that it stays so."""
    ec2 = ctx.aws("ec2")
    born = isolation_groups.born_with(ctx, ec2, vpc)
    group = isolation_groups.make_group(ctx, ec2, steps, "isolation", vpc)
    isolation_groups.without_rules(ec2, steps, group, born)
    return group, isolation_groups.has_no_rule(ec2, group)


def _settled(rds: Service, name: str) -> Check:
    return Check(
        read=rds.read("DescribeDBInstances", DBInstanceIdentifier=name),
        select="DBInstances[0].[DBInstanceStatus, length(VpcSecurityGroups[?Status!='active'])]",
        equals=["available", 0],
    )


def _groups(database: dict[str, Any]) -> list[str]:
    return sorted(one["VpcSecurityGroupId"] for one in database.get("VpcSecurityGroups") or [])


def _brief(database: dict[str, Any]) -> dict[str, Any]:
    return {
        "arn": database.get("DBInstanceArn", ""),
        "engine": f"{database.get('Engine', '')} {database.get('EngineVersion', '')}".strip(),
        "endpoint": (database.get("Endpoint") or {}).get("Address", ""),
        "public": bool(database.get("PubliclyAccessible")),
        "groups": _groups(database),
    }
