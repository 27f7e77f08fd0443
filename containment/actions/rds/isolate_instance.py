"""https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_ModifyDBInstance.html

The security groups of a member of a cluster are the cluster's; whether it has a public address is its
own. `ApplyImmediately` also applies whatever was waiting for the maintenance window.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from containment.actions import register
from containment.actions.ec2 import isolation_groups
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
        pending = _pending(database, allowed=ctx.params.with_pending)
        steps = Steps(ctx)
        group, shut = _group_without_rules(ctx, steps, database["DBSubnetGroup"]["VpcId"])
        cluster = database.get("DBClusterIdentifier")
        if cluster:
            self._move_cluster(ctx, steps, cluster, group)
            self._hide(ctx, steps)
        else:
            self._move(ctx, steps, group)
        groups = ", ".join(_groups(database)) or "no group"
        return steps.plan(
            holds=(shut,),
            facts={"cluster": cluster or "", "pending": pending},
            notes={"database": _brief(database)},
            changes=(
                f"{cluster or ctx.target.id}: {groups} replaced by a group without rules",
                f"{ctx.target.id}: no public address",
            ),
            warnings=(
                *(f"the waiting modification of {name} is applied as well" for name in pending),
                *(
                    [f"every member of cluster {cluster} is cut off, not {ctx.target.id} alone"]
                    if cluster
                    else []
                ),
            ),
        )

    def affects(self, ctx: Context) -> Iterator[Affected]:
        database = _database(ctx)
        cluster = database.get("DBClusterIdentifier")
        if cluster:
            found = ctx.read(ctx.aws("rds").read("DescribeDBClusters", DBClusterIdentifier=cluster))
            for member in found["DBClusters"][0].get("DBClusterMembers", []):
                yield Affected(
                    what=f"database {member['DBInstanceIdentifier']}", then="takes no new connection"
                )
        else:
            yield Affected(what=f"whatever uses {ctx.target.id}", then="cannot connect any more")
        for replica in sorted(database.get("ReadReplicaDBInstanceIdentifiers") or []):
            yield Affected(what=f"replica {replica}", then="may lag behind; it is not isolated itself")

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
    name = ctx.target.id
    found = ctx.read(
        ctx.aws("rds").read(
            "DescribeDBInstances",
            DBInstanceIdentifier=name,
            missing=("DBInstanceNotFound", "DBInstanceNotFoundFault"),
        )
    )
    if not found or not found["DBInstances"]:
        raise Refused(f"there is no database {name} in {ctx.target.region}")
    database: dict[str, Any] = found["DBInstances"][0]
    if not (database.get("DBSubnetGroup") or {}).get("VpcId"):
        raise Refused(f"{name} is not in a VPC; it has no security groups that could be changed")
    if database["DBInstanceStatus"] in ("stopped", "stopping", "deleting"):
        raise Refused(
            f"{name} is {database['DBInstanceStatus']}: AWS changes no network of it, and nothing connects"
        )
    return database


def _pending(database: dict[str, Any], *, allowed: bool) -> list[str]:
    pending = sorted(name for name, value in (database.get("PendingModifiedValues") or {}).items() if value)
    if pending and not allowed:
        raise Refused(
            f"{', '.join(pending)} waits for the maintenance window and would be applied at once;"
            " plan it with with_pending to accept that"
        )
    return pending


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
