"""What the types about databases and their snapshots plan, refuse, send and undo."""

from __future__ import annotations

from typing import Any

import pytest

from cases.models import Action
from containment.actions import action_type
from containment.types import Kind, Plan, Refused
from tests.containment.actions.network_reader import ACCOUNT, context, misfits, planned, said
from tests.containment.subjects.data import BUYER, DATABASE, database, make_database
from tests.containment.world import REGION, SHIPPING, World

CLUSTER = "orders-cluster"
ISOLATION = {"$ref": "isolation"}
KEY = f"arn:aws:kms:eu-west-1:{ACCOUNT}:key/1234"
PARTITIONS = {"aws": "eu-west-1", "aws-cn": "cn-north-1", "aws-us-gov": "us-gov-west-1"}


def instance(**more: Any) -> dict[str, Any]:
    """A database as DescribeDBInstances shows it."""
    return {
        "DBInstanceIdentifier": DATABASE,
        "DBInstanceStatus": "available",
        "DBSubnetGroup": {"VpcId": "vpc-1"},
        "Engine": "postgres",
        "PubliclyAccessible": True,
        "VpcSecurityGroups": [
            {"VpcSecurityGroupId": "sg-b", "Status": "active"},
            {"VpcSecurityGroupId": "sg-a", "Status": "active"},
            {"VpcSecurityGroupId": "sg-old", "Status": "removing"},
        ],
        **more,
    }


def aurora(**more: Any) -> dict[str, Any]:
    return instance(Engine="aurora-postgresql", DBClusterIdentifier=CLUSTER, **more)


def cluster(**more: Any) -> dict[str, Any]:
    """A cluster of two as DescribeDBClusters shows it."""
    return {
        "DBClusterIdentifier": CLUSTER,
        "Status": "available",
        "DBClusterMembers": [{"DBInstanceIdentifier": "orders-2"}, {"DBInstanceIdentifier": DATABASE}],
        "VpcSecurityGroups": [{"VpcSecurityGroupId": "sg-a", "Status": "active"}],
        **more,
    }


def answers(one: Any = None, group: Any = None) -> dict[str, Any]:
    """A database, its cluster, and the VPC that they are in."""
    return {
        "rds:DescribeDBInstances": {"DBInstances": [one or instance()]},
        "rds:DescribeDBClusters": {"DBClusters": [group]} if group else None,
        "ec2:DescribeVpcs": {"Vpcs": [{"VpcId": "vpc-1"}]},
    }


def sent(plan: Plan) -> list[tuple[str, dict[str, Any]]]:
    return [(step.call.name, dict(step.call.params)) for step in plan.steps if step.call]


def undone(plan: Plan) -> list[tuple[str, dict[str, Any]]]:
    return [(step.undo.name, dict(step.undo.params)) for step in plan.steps if step.undo]


def affected(type_id: str, table: dict[str, Any]) -> list[tuple[str, str]]:
    found = action_type(type_id)().affects(context(type_id, DATABASE, table))
    return [(one.what, one.then) for one in found]


# --- isolate ----------------------------------------------------------------------------------------


@pytest.mark.fast
def test_an_instance_gets_the_empty_group_and_loses_its_address_in_one_call() -> None:
    plan = planned("rds.isolate-instance", DATABASE, answers())

    named = {"DBInstanceIdentifier": DATABASE, "ApplyImmediately": True}
    create, revoke, modify = sent(plan)
    assert (create[0], create[1]["VpcId"]) == ("ec2:CreateSecurityGroup", "vpc-1")
    everywhere = [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
    assert revoke == (
        "ec2:RevokeSecurityGroupEgress",
        {"GroupId": ISOLATION, "IpPermissions": everywhere},
    )
    assert modify == (
        "rds:ModifyDBInstance",
        {**named, "VpcSecurityGroupIds": [ISOLATION], "PubliclyAccessible": False},
    )
    assert undone(plan)[1:] == [
        (
            "rds:ModifyDBInstance",
            {**named, "VpcSecurityGroupIds": ["sg-a", "sg-b"], "PubliclyAccessible": True},
        )
    ]
    assert undone(plan)[0][0] == "ec2:DeleteSecurityGroup"
    assert plan.steps[-1].kind is Kind.WAIT
    assert plan.steps[-2].within == 600
    assert plan.warnings == ()
    (shut,) = plan.holds
    assert shut.equals == [0, 0]


@pytest.mark.fast
def test_of_a_member_of_aurora_the_groups_are_the_clusters_and_the_address_its_own() -> None:
    table = answers(aurora(), cluster())
    plan = planned("rds.isolate-instance", DATABASE, table)

    of_cluster = {"DBClusterIdentifier": CLUSTER, "ApplyImmediately": True}
    of_member = {"DBInstanceIdentifier": DATABASE, "ApplyImmediately": True}
    assert sent(plan)[2:] == [
        ("rds:ModifyDBCluster", {**of_cluster, "VpcSecurityGroupIds": [ISOLATION]}),
        ("rds:ModifyDBInstance", {**of_member, "PubliclyAccessible": False}),
    ]
    assert undone(plan)[1:] == [
        ("rds:ModifyDBCluster", {**of_cluster, "VpcSecurityGroupIds": ["sg-a"]}),
        ("rds:ModifyDBInstance", {**of_member, "PubliclyAccessible": True}),
    ]
    assert plan.facts["cluster"] == CLUSTER
    assert any("every member of cluster orders-cluster is cut off" in one for one in plan.warnings)
    assert [what for what, _ in affected("rds.isolate-instance", table)] == [
        "database orders-2",
        "database orders",
    ]


@pytest.mark.fast
def test_no_member_of_a_multi_az_cluster_is_changed_because_aws_changes_none() -> None:
    member = instance(DBClusterIdentifier=CLUSTER)
    plan = planned("rds.isolate-instance", DATABASE, answers(member, cluster()))

    assert [name for name, _ in sent(plan)][2:] == ["rds:ModifyDBCluster"]
    assert any("keeps its public address, which lets nothing in" in one for one in plan.warnings)
    assert not any("no public address" in one for one in plan.changes)


@pytest.mark.fast
@pytest.mark.parametrize(
    ("table", "reason"),
    [
        ({**answers(), "rds:DescribeDBInstances": None}, "there is no database orders in eu-west-1"),
        (
            {**answers(group=cluster()), "rds:DescribeDBInstances": None},
            r"orders is a cluster; name one of its instances \(orders, orders-2\)",
        ),
        (
            {**answers(group=cluster(DBClusterMembers=[])), "rds:DescribeDBInstances": None},
            r"cluster without instances \(serverless\)",
        ),
        (answers(aurora()), "a member of cluster orders-cluster, which AWS does not show"),
        (answers(instance(DBSubnetGroup=None)), "is not in a VPC"),
        (answers(instance(DBInstanceStatus="stopped")), "orders is stopped: AWS changes no network of it"),
        (answers(instance(DBInstanceStatus="deleting")), "orders is deleting"),
        (
            answers(instance(PendingModifiedValues={"EngineVersion": "17", "Iops": None})),
            "^EngineVersion waits for the maintenance window",
        ),
        (
            answers(aurora(), cluster(PendingModifiedValues={"EngineVersion": "17"})),
            "^EngineVersion waits for the maintenance window",
        ),
    ],
)
def test_what_cannot_be_isolated_is_refused_in_plain_words(table: dict[str, Any], reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        planned("rds.isolate-instance", DATABASE, table)


@pytest.mark.fast
def test_what_waits_for_the_window_is_applied_only_where_that_was_accepted() -> None:
    member = aurora(PendingModifiedValues={"DBInstanceClass": "db.r7g.large"})
    table = answers(member, cluster(PendingModifiedValues={"EngineVersion": "17"}))

    plan = planned("rds.isolate-instance", DATABASE, table, {"with_pending": True})

    assert plan.facts["pending"] == ["DBInstanceClass", "EngineVersion"]
    assert [one for one in plan.warnings if "applied as well" in one] == [
        "the waiting modification of DBInstanceClass is applied as well",
        "the waiting modification of EngineVersion is applied as well",
    ]


@pytest.mark.fast
def test_replicas_their_source_and_the_data_api_are_said_to_stay_reachable() -> None:
    of_replica = planned(
        "rds.isolate-instance", DATABASE, answers(instance(ReadReplicaSourceDBInstanceIdentifier="main"))
    )
    assert of_replica.warnings == ("orders is a replica; main, which it copies, is not isolated",)
    table = answers(instance(ReadReplicaDBInstanceIdentifiers=["copy-2", "copy-1"]))
    assert planned("rds.isolate-instance", DATABASE, table).warnings == (
        "replica copy-1 holds the same data and is not isolated",
        "replica copy-2 holds the same data and is not isolated",
    )
    assert [what for what, _ in affected("rds.isolate-instance", table)] == [
        "whatever uses orders",
        "replica copy-1",
        "replica copy-2",
    ]
    serverless = answers(aurora(DBInstanceClass="db.serverless"), cluster(HttpEndpointEnabled=True))
    assert any("Data API" in one for one in planned("rds.isolate-instance", DATABASE, serverless).warnings)


# --- snapshot ---------------------------------------------------------------------------------------


@pytest.mark.fast
@pytest.mark.parametrize(
    ("one", "operation", "of"),
    [
        (instance(), "rds:CreateDBSnapshot", ("DBInstanceIdentifier", DATABASE)),
        (aurora(), "rds:CreateDBClusterSnapshot", ("DBClusterIdentifier", CLUSTER)),
    ],
)
def test_the_storage_is_taken_where_it_is(one: dict[str, Any], operation: str, of: tuple[str, str]) -> None:
    plan = planned("rds.snapshot-instance", DATABASE, answers(one))

    ((name, params),) = sent(plan)
    assert name == operation
    kind = "DBCluster" if "Cluster" in operation else "DB"
    assert params == {
        f"{kind}SnapshotIdentifier": "quell-01m85mg280rbtkvd0gpk58fm2v",
        of[0]: of[1],
        "Tags": [{"Key": "quell:action", "Value": "01M85MG280RBTKVD0GPK58FM2V"}],
    }
    create, wait = plan.steps
    assert create.content
    assert create.content.equals == of[1]
    assert (wait.kind, wait.fails) == (Kind.WAIT, ("failed",))
    assert undone(plan) == []


@pytest.mark.fast
def test_the_key_of_an_encrypted_database_is_needed_until_the_snapshot_is_there() -> None:
    plan = planned("rds.snapshot-instance", DATABASE, answers(instance(StorageEncrypted=True, KmsKeyId=KEY)))

    assert plan.facts["uses"] == [KEY]
    assert "cannot be shared with another account" in plan.warnings[0]


@pytest.mark.fast
def test_only_a_database_in_one_zone_may_pause_for_its_snapshot() -> None:
    assert affected("rds.snapshot-instance", answers()) == [
        ("database orders, in one zone only", "may pause for seconds")
    ]
    assert affected("rds.snapshot-instance", answers(instance(MultiAZ=True)))[0][1] == "goes on"
    assert affected("rds.snapshot-instance", answers(aurora()))[0][1] == "goes on"


@pytest.mark.fast
@pytest.mark.parametrize(
    ("table", "reason"),
    [
        ({**answers(), "rds:DescribeDBInstances": None}, "there is no database orders"),
        (
            {**answers(group=cluster()), "rds:DescribeDBInstances": None},
            "orders is a cluster; name one of its instances",
        ),
        (answers(instance(DBInstanceStatus="deleting")), "orders is deleting: no snapshot of it can be"),
        (answers(instance(DBInstanceStatus="failed")), "orders is failed: no snapshot of it can be"),
    ],
)
def test_what_has_no_storage_to_take_is_refused(table: dict[str, Any], reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        planned("rds.snapshot-instance", DATABASE, table)


# --- unshare ----------------------------------------------------------------------------------------

SNAPSHOT = "orders-before-release"


def attributes(kind: str, *members: str) -> dict[str, Any]:
    restore = [{"AttributeName": "restore", "AttributeValues": list(members)}]
    return {f"{kind}SnapshotAttributesResult": {f"{kind}SnapshotAttributes": restore}}


def shares(*, of_instance: Any = None, of_cluster: Any = None) -> dict[str, Any]:
    return {
        "rds:DescribeDBSnapshotAttributes": of_instance,
        "rds:DescribeDBClusterSnapshotAttributes": of_cluster,
    }


@pytest.mark.fast
@pytest.mark.parametrize("kind", ["DB", "DBCluster"])
def test_everyone_but_who_is_kept_loses_the_snapshot_in_one_call(kind: str) -> None:
    found = attributes(kind, "222233334444", "all", BUYER)
    table = shares(of_instance=found) if kind == "DB" else shares(of_cluster=found)
    plan = planned("rds.unshare-snapshot", SNAPSHOT, table, {"keep": ["222233334444"]})

    named = {f"{kind}SnapshotIdentifier": SNAPSHOT, "AttributeName": "restore"}
    assert sent(plan) == [(f"rds:Modify{kind}SnapshotAttribute", {**named, "ValuesToRemove": [BUYER, "all"]})]
    assert undone(plan) == [(f"rds:Modify{kind}SnapshotAttribute", {**named, "ValuesToAdd": [BUYER, "all"]})]
    (step,) = plan.steps
    assert step.seen
    assert (step.seen.equals, step.was) == (["222233334444"], [BUYER, "222233334444", "all"])
    assert plan.warnings == ("it was public: treat its data as known to everyone",)
    assert affected_by_unsharing(table) == ["account 111122223333", "account 222233334444", "everyone"]


def affected_by_unsharing(table: dict[str, Any]) -> list[str]:
    found = action_type("rds.unshare-snapshot")().affects(context("rds.unshare-snapshot", SNAPSHOT, table))
    return [one.what for one in found]


@pytest.mark.fast
def test_a_snapshot_that_is_shared_with_nobody_is_so_already_and_has_nothing_to_undo() -> None:
    plan = planned("rds.unshare-snapshot", SNAPSHOT, shares(of_instance=attributes("DB")))

    (step,) = plan.steps
    assert step.seen
    assert step.was is None
    assert step.seen.equals is None
    assert step.undo is None


@pytest.mark.fast
def test_a_name_of_two_snapshots_is_told_apart_by_the_arn_alone() -> None:
    both = shares(of_instance=attributes("DB", "all"), of_cluster=attributes("DBCluster", "all"))

    with pytest.raises(Refused, match="of an instance's snapshot and of a cluster's; give its ARN"):
        planned("rds.unshare-snapshot", SNAPSHOT, both)
    for kind, resource in (("DB", "snapshot"), ("DBCluster", "cluster-snapshot")):
        aimed = context("rds.unshare-snapshot", SNAPSHOT, both)
        arn = f"arn:aws-cn:rds:cn-north-1:{ACCOUNT}:{resource}:{SNAPSHOT}"
        object.__setattr__(aimed.target, "arn", arn)
        plan = action_type("rds.unshare-snapshot")().plan(aimed)
        assert [name for name, _ in sent(plan)] == [f"rds:Modify{kind}SnapshotAttribute"]


@pytest.mark.fast
def test_a_snapshot_that_is_not_there_or_named_by_its_arn_is_refused() -> None:
    with pytest.raises(Refused, match="there is no database snapshot orders-before-release in eu-west-1"):
        planned("rds.unshare-snapshot", SNAPSHOT, shares())
    with pytest.raises(Refused, match="name the snapshot by its identifier"):
        planned("rds.unshare-snapshot", f"arn:aws:rds:eu-west-1:{ACCOUNT}:snapshot:x", shares())


@pytest.mark.fast
@pytest.mark.parametrize("partition", [name for name in PARTITIONS if name != "aws"])
def test_no_plan_about_databases_names_another_partition(partition: str) -> None:
    where: dict[str, Any] = {"partition": partition, "region": PARTITIONS[partition]}
    plans = [
        planned(type_id, DATABASE, answers(one, group), **where)
        for type_id in ("rds.isolate-instance", "rds.snapshot-instance")
        for one, group in ((instance(), None), (aurora(), cluster()))
    ]
    plans.append(
        planned("rds.unshare-snapshot", SNAPSHOT, shares(of_cluster=attributes("DBCluster", "all")), **where)
    )

    for plan in plans:
        assert "arn:aws:" not in said(plan)
        assert misfits(plan) == []
        assert {step.call.at.region for step in plan.steps if step.call} == {PARTITIONS[partition]}


# --- over the wire ----------------------------------------------------------------------------------


def make_aurora(world: World) -> None:
    """The shop's network, and a cluster of two in it, one of them public."""
    make_database(world)
    rds, one = world.admin("rds"), database(world)
    groups = [group["VpcSecurityGroupId"] for group in one["VpcSecurityGroups"]]
    rds.create_db_cluster(
        DBClusterIdentifier=CLUSTER,
        Engine="aurora-postgresql",
        MasterUsername="orders",
        MasterUserPassword="not-a-real-password",
        DBSubnetGroupName=one["DBSubnetGroup"]["DBSubnetGroupName"],
        VpcSecurityGroupIds=groups,
    )
    for name in ("member-1", "member-2"):
        rds.create_db_instance(
            DBInstanceIdentifier=name,
            DBInstanceClass="db.r7g.large",
            Engine="aurora-postgresql",
            DBClusterIdentifier=CLUSTER,
            DBSubnetGroupName=one["DBSubnetGroup"]["DBSubnetGroupName"],
            PubliclyAccessible=name == "member-1",
        )


def of_cluster(world: World) -> dict[str, Any]:
    rds = world.admin("rds")
    (found,) = rds.describe_db_clusters(DBClusterIdentifier=CLUSTER)["DBClusters"]
    members = [rds.describe_db_instances(DBInstanceIdentifier=f"member-{n}") for n in (1, 2)]
    return {
        "groups": sorted(one["VpcSecurityGroupId"] for one in found["VpcSecurityGroups"]),
        "public": [one["DBInstances"][0]["PubliclyAccessible"] for one in members],
    }


def member(world: World, type_id: str) -> Action:
    target = {"type": "db_instance", "account": SHIPPING, "region": REGION, "id": "member-1"}
    return world.apply(type_id, target)


def test_a_whole_aurora_cluster_is_isolated_and_put_back(world: World) -> None:
    make_aurora(world)
    before = of_cluster(world)

    action = member(world, "rds.isolate-instance")

    assert action.status == "verified", action.note
    assert world.wire.sent == [
        "ec2:CreateSecurityGroup",
        "ec2:RevokeSecurityGroupEgress",
        "rds:ModifyDBCluster",
        "rds:ModifyDBInstance",
    ]
    made = next(row.result["value"] for row in world.steps(action) if row.name == "isolation" and row.result)
    assert of_cluster(world) == {"groups": [made], "public": [False, False]}
    back = world.revert(action)
    assert back.status == "verified", back.note
    assert of_cluster(world) == before
    assert before["public"] == [True, False]


def test_the_snapshot_of_a_member_is_the_clusters_and_can_be_unshared(world: World) -> None:
    make_aurora(world)

    action = member(world, "rds.snapshot-instance")

    assert action.status == "verified", action.note
    assert world.wire.sent == ["rds:CreateDBClusterSnapshot"]
    rds = world.admin("rds")
    (taken,) = rds.describe_db_cluster_snapshots(DBClusterIdentifier=CLUSTER, SnapshotType="manual")[
        "DBClusterSnapshots"
    ]
    name = taken["DBClusterSnapshotIdentifier"]
    rds.modify_db_cluster_snapshot_attribute(
        DBClusterSnapshotIdentifier=name, AttributeName="restore", ValuesToAdd=["all", BUYER]
    )
    target = {"type": "db_snapshot", "account": SHIPPING, "region": REGION, "id": name}

    unshared = world.apply("rds.unshare-snapshot", target)

    assert unshared.status == "verified", unshared.note
    assert world.wire.sent[1:] == ["rds:ModifyDBClusterSnapshotAttribute"]
    assert _restorers(rds, name) == []
    back = world.revert(unshared)
    assert back.status == "verified", back.note
    assert _restorers(rds, name) == [BUYER, "all"]


def _restorers(rds: Any, name: str) -> list[str]:
    found = rds.describe_db_cluster_snapshot_attributes(DBClusterSnapshotIdentifier=name)
    listed = found["DBClusterSnapshotAttributesResult"]["DBClusterSnapshotAttributes"]
    return sorted(value for one in listed for value in one["AttributeValues"])


def test_a_cluster_or_a_stopped_database_is_refused_and_nothing_is_sent(world: World) -> None:
    make_aurora(world)
    target = {"type": "db_instance", "account": SHIPPING, "region": REGION, "id": CLUSTER}

    named = world.propose("rds.isolate-instance", target)
    world.admin("rds").stop_db_instance(DBInstanceIdentifier=DATABASE)
    stopped = world.propose("rds.isolate-instance", {**target, "id": DATABASE})

    assert named.status == stopped.status == "refused"
    assert "is a cluster; name one of its instances (member-1, member-2)" in named.note
    assert "orders is stopped" in stopped.note
    assert world.wire.sent == []
