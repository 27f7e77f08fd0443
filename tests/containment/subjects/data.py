"""Databases, functions, trails, and what findings' services are told."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from tests.containment.subjects.subject import Subject
from tests.containment.world import REGION, SHIPPING, World

Aim = tuple[Mapping[str, Any], Mapping[str, Any]]


def _target(kind: str, name: str) -> dict[str, str]:
    return {"type": kind, "account": SHIPPING, "region": REGION, "id": name}


# --- trails -----------------------------------------------------------------------------------------

TRAIL = "shipping-trail"


def make_trail(world: World) -> None:
    """A trail that was started once and stopped since."""
    cloudtrail, bucket = world.admin("cloudtrail"), world.estate["buckets"]
    name = next(one["name"] for one in bucket if one["account"] == SHIPPING)
    cloudtrail.create_trail(Name=TRAIL, S3BucketName=name, IsMultiRegionTrail=True)
    cloudtrail.start_logging(Name=TRAIL)
    cloudtrail.stop_logging(Name=TRAIL)


def _is_logging(world: World) -> Any:
    return world.admin("cloudtrail").get_trail_status(Name=TRAIL)["IsLogging"]


def _start_trail(world: World) -> None:
    world.admin("cloudtrail").start_logging(Name=TRAIL)


# --- databases --------------------------------------------------------------------------------------

DATABASE = "orders"
SNAPSHOT = "orders-before-release"
BUYER = "111122223333"


def make_database(world: World) -> None:
    """A public database in the shop's own network, with a group of its own."""
    ec2, rds = world.admin("ec2"), world.admin("rds")
    host = next(one for one in world.estate["instances"] if one["name"] == "tracking-api")
    subnets = ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [host["vpc"]]}])["Subnets"]
    rds.create_db_subnet_group(
        DBSubnetGroupName="orders",
        DBSubnetGroupDescription="orders",
        SubnetIds=sorted(one["SubnetId"] for one in subnets),
    )
    group = ec2.create_security_group(GroupName="orders", Description="orders", VpcId=host["vpc"])["GroupId"]
    rds.create_db_instance(
        DBInstanceIdentifier=DATABASE,
        DBInstanceClass="db.t3.medium",
        Engine="postgres",
        AllocatedStorage=20,
        MasterUsername="orders",
        MasterUserPassword="not-a-real-password",
        DBSubnetGroupName="orders",
        VpcSecurityGroupIds=[group],
        PubliclyAccessible=True,
    )


def database(world: World) -> Mapping[str, Any]:
    found: Mapping[str, Any] = world.admin("rds").describe_db_instances(DBInstanceIdentifier=DATABASE)[
        "DBInstances"
    ][0]
    return found


def _network_of_database(world: World) -> Any:
    """The database's groups by name, and every group's rules, without ids and marks of ours."""
    one, ec2 = database(world), world.admin("ec2")
    groups = {g["GroupId"]: g for g in ec2.describe_security_groups()["SecurityGroups"]}
    names = {
        group_id: "isolate" if g["GroupName"].startswith("quell-") else g["GroupName"]
        for group_id, g in groups.items()
    }
    return {
        "public": one["PubliclyAccessible"],
        "groups": sorted(names[g["VpcSecurityGroupId"]] for g in one["VpcSecurityGroups"]),
        "all": sorted(
            (names[group_id], len(g["IpPermissions"]), len(g["IpPermissionsEgress"]))
            for group_id, g in groups.items()
        ),
    }


def _make_public_again(world: World) -> None:
    world.admin("rds").modify_db_instance(
        DBInstanceIdentifier=DATABASE, PubliclyAccessible=True, ApplyImmediately=True
    )


def _hide_database(world: World) -> None:
    world.admin("rds").modify_db_instance(
        DBInstanceIdentifier=DATABASE, PubliclyAccessible=False, ApplyImmediately=True
    )


def _rename_window(world: World) -> None:
    world.admin("rds").modify_db_instance(
        DBInstanceIdentifier=DATABASE, BackupRetentionPeriod=9, ApplyImmediately=True
    )


def _snapshots_of_database(world: World) -> Any:
    found = world.admin("rds").describe_db_snapshots(DBInstanceIdentifier=DATABASE)["DBSnapshots"]
    return sorted(
        (one["SnapshotType"], one["Status"], one["DBSnapshotIdentifier"].startswith("quell-"))
        for one in found
    )


def make_shared_snapshot(world: World) -> None:
    """A manual snapshot that everyone and one more account may restore."""
    make_database(world)
    rds = world.admin("rds")
    rds.create_db_snapshot(DBInstanceIdentifier=DATABASE, DBSnapshotIdentifier=SNAPSHOT)
    rds.modify_db_snapshot_attribute(
        DBSnapshotIdentifier=SNAPSHOT, AttributeName="restore", ValuesToAdd=["all", BUYER]
    )


def _share_snapshot(*accounts: str) -> Callable[[World], None]:
    def share(world: World) -> None:
        world.admin("rds").modify_db_snapshot_attribute(
            DBSnapshotIdentifier=SNAPSHOT, AttributeName="restore", ValuesToAdd=list(accounts)
        )

    return share


def _unshare_snapshot(world: World) -> None:
    world.admin("rds").modify_db_snapshot_attribute(
        DBSnapshotIdentifier=SNAPSHOT, AttributeName="restore", ValuesToRemove=["all", BUYER]
    )


def shared_with(world: World) -> Any:
    found = world.admin("rds").describe_db_snapshot_attributes(DBSnapshotIdentifier=SNAPSHOT)
    listed = found["DBSnapshotAttributesResult"]["DBSnapshotAttributes"]
    return sorted(
        value for one in listed if one["AttributeName"] == "restore" for value in one["AttributeValues"]
    )


# --- functions --------------------------------------------------------------------------------------

QUEUE = "shipments"
SIDS = ("notify", "partner")


def function(world: World) -> str:
    """The name of one of the account's functions."""
    return str(next(one["name"] for one in world.estate["functions"] if one["account"] == SHIPPING))


def make_busy_function(world: World) -> None:
    """A limit of seven, two executions kept ready for the alias live."""
    aws, name = world.admin("lambda"), function(world)
    version = aws.publish_version(FunctionName=name)["Version"]
    aws.create_alias(FunctionName=name, Name="live", FunctionVersion=version)
    aws.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=7)
    aws.put_provisioned_concurrency_config(
        FunctionName=name, Qualifier="live", ProvisionedConcurrentExecutions=2
    )


def concurrency(world: World) -> Any:
    aws, name = world.admin("lambda"), function(world)
    provisioned = aws.list_provisioned_concurrency_configs(FunctionName=name)["ProvisionedConcurrencyConfigs"]
    return {
        "reserved": aws.get_function_concurrency(FunctionName=name).get("ReservedConcurrentExecutions"),
        "provisioned": [
            (one["FunctionArn"].rsplit(":", 1)[-1], one["RequestedProvisionedConcurrentExecutions"])
            for one in provisioned
        ],
    }


def _reserve(number: int) -> Callable[[World], None]:
    def reserve(world: World) -> None:
        world.admin("lambda").put_function_concurrency(
            FunctionName=function(world), ReservedConcurrentExecutions=number
        )

    return reserve


def _stop_function(world: World) -> None:
    aws, name = world.admin("lambda"), function(world)
    aws.delete_provisioned_concurrency_config(FunctionName=name, Qualifier="live")
    _reserve(0)(world)


def make_triggers(world: World) -> None:
    """A queue that is read, a public URL, and two statements in the function's policy."""
    aws, name = world.admin("lambda"), function(world)
    queue = world.admin("sqs").create_queue(QueueName=QUEUE)["QueueUrl"]
    arn = world.admin("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
    aws.create_event_source_mapping(FunctionName=name, EventSourceArn=arn["Attributes"]["QueueArn"])
    aws.create_function_url_config(FunctionName=name, AuthType="NONE")
    aws.add_permission(
        FunctionName=name,
        StatementId=SIDS[0],
        Action="lambda:InvokeFunction",
        Principal="s3.amazonaws.com",
        SourceArn="arn:aws:s3:::shipping-labels",
        SourceAccount=SHIPPING,
    )
    aws.add_permission(
        FunctionName=name,
        StatementId=SIDS[1],
        Action="lambda:InvokeFunction",
        Principal=f"arn:aws:iam::{BUYER}:root",
    )


def triggers(world: World) -> Any:
    aws, name = world.admin("lambda"), function(world)
    try:
        policy = json.loads(aws.get_policy(FunctionName=name)["Policy"])["Statement"]
    except aws.exceptions.ResourceNotFoundException:
        policy = []
    mappings = aws.list_event_source_mappings(FunctionName=name)["EventSourceMappings"]
    return {
        "policy": sorted(policy, key=lambda one: str(one["Sid"])),
        "mappings": sorted((one["EventSourceArn"], one["State"]) for one in mappings),
        "url": aws.get_function_url_config(FunctionName=name)["AuthType"],
    }


def _switch_mapping(*, enabled: bool) -> Callable[[World], None]:
    def switch(world: World) -> None:
        aws = world.admin("lambda")
        (one,) = aws.list_event_source_mappings(FunctionName=function(world))["EventSourceMappings"]
        aws.update_event_source_mapping(UUID=one["UUID"], Enabled=enabled)

    return switch


def _let_others_in(world: World) -> None:
    """Somebody uses our statement's id for another principal."""
    world.admin("lambda").add_permission(
        FunctionName=function(world),
        StatementId=SIDS[1],
        Action="lambda:InvokeFunction",
        Principal="arn:aws:iam::999900001111:root",
    )


def _let_events_in(world: World) -> None:
    world.admin("lambda").add_permission(
        FunctionName=function(world),
        StatementId="events",
        Action="lambda:InvokeFunction",
        Principal="events.amazonaws.com",
    )


def _stop_triggers(world: World) -> None:
    aws, name = world.admin("lambda"), function(world)
    _switch_mapping(enabled=False)(world)
    aws.update_function_url_config(FunctionName=name, AuthType="AWS_IAM")
    for sid in SIDS:
        aws.remove_permission(FunctionName=name, StatementId=sid)


# --- findings ---------------------------------------------------------------------------------------

PRODUCT = f"arn:aws:securityhub:{REGION}:{SHIPPING}:product/{SHIPPING}/default"
FINDINGS = ("finding/1", "finding/2")


def make_hub_findings(world: World) -> None:
    hub = world.admin("securityhub")
    hub.batch_import_findings(
        Findings=[
            {
                "SchemaVersion": "2018-10-08",
                "Id": name,
                "ProductArn": PRODUCT,
                "GeneratorId": "tests",
                "AwsAccountId": SHIPPING,
                "Types": ["TTPs"],
                "CreatedAt": "2026-11-24T01:00:00Z",
                "UpdatedAt": "2026-11-24T01:00:00Z",
                "Severity": {"Label": "HIGH"},
                "Title": name,
                "Description": name,
                "Resources": [{"Type": "Other", "Id": "thing"}],
                "Workflow": {"Status": "NEW" if name == FINDINGS[0] else "NOTIFIED"},
            }
            for name in (*FINDINGS, "finding/3")
        ]
    )


def workflow(world: World) -> Any:
    found = world.admin("securityhub").get_findings()["Findings"]
    return sorted((one["Id"], one["Workflow"]["Status"]) for one in found)


def _set_workflow(status: str, *names: str) -> Callable[[World], None]:
    def change(world: World) -> None:
        world.admin("securityhub").batch_update_findings(
            FindingIdentifiers=[{"Id": name, "ProductArn": PRODUCT} for name in names],
            Workflow={"Status": status},
        )

    return change


def detector(world: World) -> str:
    return str(world.admin("guardduty").list_detectors()["DetectorIds"][0])


def make_guardduty_findings(world: World) -> None:
    guardduty = world.admin("guardduty")
    if not guardduty.list_detectors()["DetectorIds"]:
        guardduty.create_detector(Enable=True)
    guardduty.create_sample_findings(DetectorId=detector(world))


def finding_ids(world: World) -> list[str]:
    return sorted(world.admin("guardduty").list_findings(DetectorId=detector(world))["FindingIds"])


def archived(world: World) -> Any:
    found = world.admin("guardduty").get_findings(DetectorId=detector(world), FindingIds=finding_ids(world))
    return sorted((one["Id"], one["Service"]["Archived"]) for one in found["Findings"])


def _archive(*, put_back: bool = False, number: int = 2) -> Callable[[World], None]:
    def change(world: World) -> None:
        guardduty = world.admin("guardduty")
        call = guardduty.unarchive_findings if put_back else guardduty.archive_findings
        call(DetectorId=detector(world), FindingIds=finding_ids(world)[:number])

    return change


def _guardduty_aim(world: World) -> Aim:
    first, second, *_ = finding_ids(world)
    return _target("finding", first), {"others": [second]}


SUBJECTS: dict[str, Subject] = {
    "lambda.throttle-function": Subject(
        arrange=make_busy_function,
        aim=lambda world: (_target("function", function(world)), {}),
        look=concurrency,
        disturb=_reserve(3),
        drift=_reserve(5),
        already=_stop_function,
        where="stub",
        why="moto has no provisioned concurrency; simulator.additions.lambda_functions answers, checked by"
        " boto3 against botocore's model",
    ),
    "lambda.disable-triggers": Subject(
        arrange=make_triggers,
        aim=lambda world: (_target("function", function(world)), {}),
        look=triggers,
        disturb=_let_others_in,
        drift=_let_events_in,
        where="stub",
        why="moto has no ListFunctionUrlConfigs; simulator.additions.lambda_functions answers, checked by"
        " boto3 against botocore's model. The rest is moto's",
    ),
    "securityhub.set-workflow-status": Subject(
        arrange=make_hub_findings,
        aim=lambda _: (
            _target("finding", FINDINGS[0]),
            {"product_arn": PRODUCT, "others": [FINDINGS[1]]},
        ),
        look=workflow,
        disturb=_set_workflow("SUPPRESSED", FINDINGS[1]),
        drift=_set_workflow("SUPPRESSED", FINDINGS[1]),
        unrelated=_set_workflow("SUPPRESSED", "finding/3"),
        already=_set_workflow("RESOLVED", *FINDINGS),
        where="stub",
        why="moto has no BatchUpdateFindings; simulator.additions.findings answers, checked by boto3 against"
        " botocore's model",
    ),
    "guardduty.archive-findings": Subject(
        arrange=make_guardduty_findings,
        aim=_guardduty_aim,
        look=archived,
        disturb=_archive(put_back=True),
        drift=_archive(number=1),
        already=_archive(),
        two_valued=True,
        where="stub",
        why="moto has no findings of GuardDuty; simulator.additions.findings answers, checked by boto3"
        " against botocore's model",
    ),
    "rds.isolate-instance": Subject(
        arrange=make_database,
        aim=lambda _: (_target("db_instance", DATABASE), {}),
        look=_network_of_database,
        disturb=_make_public_again,
        drift=_hide_database,
        unrelated=_rename_window,
    ),
    "rds.snapshot-instance": Subject(
        arrange=make_database,
        aim=lambda _: (_target("db_instance", DATABASE), {}),
        look=_snapshots_of_database,
        has_undo=False,
    ),
    "rds.unshare-snapshot": Subject(
        arrange=make_shared_snapshot,
        aim=lambda _: (_target("db_snapshot", SNAPSHOT), {}),
        look=shared_with,
        disturb=_share_snapshot("222233334444"),
        drift=_share_snapshot("222233334444"),
        already=_unshare_snapshot,
    ),
    "cloudtrail.start-logging": Subject(
        arrange=make_trail,
        aim=lambda _: (_target("trail", TRAIL), {}),
        look=_is_logging,
        already=_start_trail,
        drift=_start_trail,
        has_undo=False,
    ),
}
