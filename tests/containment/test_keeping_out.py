"""What carries `quell:do-not-contain` in AWS is not touched, whenever the tag was set."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from cases.models import Action
from containment import keeping_out
from containment.actions import action_type, catalogue
from containment.keeping_out import BY_PRINCIPAL, KEEP_OUT, TAGS, WITHOUT
from lib.aws import AwsError
from tests.containment.subjects import SUBJECTS
from tests.containment.world import REGION, SHIPPING, World

Aim = tuple[Mapping[str, Any], Mapping[str, Any]]

PAIR = {"Key": KEEP_OUT, "Value": ""}


def _ec2(world: World, aim: Aim, region: str) -> None:
    world.admin("ec2", region=region).create_tags(Resources=[aim[0]["id"]], Tags=[PAIR])


def _user(world: World, aim: Aim, region: str) -> None:
    del region
    name = aim[1].get("user") or aim[0]["id"].removeprefix("user/")
    world.admin("iam").tag_user(UserName=name, Tags=[PAIR])


def _role(world: World, aim: Aim, region: str) -> None:
    del region
    world.admin("iam").tag_role(RoleName=aim[0]["id"], Tags=[PAIR])


def _principal(world: World, aim: Aim, region: str) -> None:
    kind, _, name = aim[0]["id"].partition("/")
    (_user if kind == "user" else _role)(world, ({"id": name}, {}), region)


def _policy(world: World, aim: Aim, region: str) -> None:
    del region
    world.admin("iam").tag_policy(PolicyArn=aim[0]["id"], Tags=[PAIR])


def _bucket(world: World, aim: Aim, region: str) -> None:
    world.admin("s3", region=region).put_bucket_tagging(Bucket=aim[0]["id"], Tagging={"TagSet": [PAIR]})


def _by_arn(service: str, prefix: str, call: Callable[[Any, str], object]) -> Callable[..., None]:
    def tag(world: World, aim: Aim, region: str) -> None:
        arn = f"arn:aws:{service}:{region}:{aim[0]['account']}:{prefix}{aim[0]['id']}"
        call(world.admin(service, region=region), arn)

    return tag


def _queue(world: World, aim: Aim, region: str) -> None:
    sqs = world.admin("sqs", region=region)
    url = sqs.get_queue_url(QueueName=aim[0]["id"])["QueueUrl"]
    sqs.tag_queue(QueueUrl=url, Tags={KEEP_OUT: ""})


def _key(world: World, aim: Aim, region: str) -> None:
    kms = world.admin("kms", region=region)
    kms.tag_resource(KeyId=aim[0]["id"], Tags=[{"TagKey": KEEP_OUT, "TagValue": ""}])


def _secret(world: World, aim: Aim, region: str) -> None:
    world.admin("secretsmanager", region=region).tag_resource(SecretId=aim[0]["id"], Tags=[PAIR])


TAGGING: Mapping[str, Callable[[World, Aim, str], None]] = {
    **dict.fromkeys(("instance", "image", "security_group", "snapshot", "subnet", "vpc"), _ec2),
    "access_key": _user,
    "user": _user,
    "role": _role,
    "principal": _principal,
    "policy": _policy,
    "bucket": _bucket,
    "db_instance": _by_arn(
        "rds", "db:", lambda rds, arn: rds.add_tags_to_resource(ResourceName=arn, Tags=[PAIR])
    ),
    "db_snapshot": _by_arn(
        "rds", "snapshot:", lambda rds, arn: rds.add_tags_to_resource(ResourceName=arn, Tags=[PAIR])
    ),
    "eks_cluster": _by_arn(
        "eks", "cluster/", lambda eks, arn: eks.tag_resource(resourceArn=arn, tags={KEEP_OUT: ""})
    ),
    "function": _by_arn(
        "lambda", "function:", lambda aws, arn: aws.tag_resource(Resource=arn, Tags={KEEP_OUT: ""})
    ),
    "kms_key": _key,
    "queue": _queue,
    "secret": _secret,
    "table": _by_arn("dynamodb", "table/", lambda aws, arn: aws.tag_resource(ResourceArn=arn, Tags=[PAIR])),
    "topic": _by_arn("sns", "", lambda sns, arn: sns.tag_resource(ResourceArn=arn, Tags=[PAIR])),
}

MOVING = [one.id for one in catalogue() if one.tier > 0]
LOOKED_AT = [type_id for type_id in MOVING if action_type(type_id).target not in WITHOUT]


def tagged(world: World, type_id: str, aim: Aim) -> None:
    """Set the tag as somebody in that account would."""
    TAGGING[action_type(type_id).target](world, aim, aim[0].get("region") or REGION)


def arranged(world: World, type_id: str) -> Aim:
    subject = SUBJECTS[type_id]
    if subject.arrange:
        subject.arrange(world)
    return subject.aim(world)


@pytest.mark.fast
def test_of_every_kind_that_is_acted_on_it_is_said_how_its_tags_are_read() -> None:
    kinds = {action_type(type_id).target for type_id in MOVING}

    assert kinds - {"finding"} <= {*TAGS, *BY_PRINCIPAL, *WITHOUT}
    assert set(TAGS) | set(BY_PRINCIPAL) == set(TAGGING), "and each is tried below"
    assert not set(WITHOUT) & (set(TAGS) | set(BY_PRINCIPAL))


@pytest.mark.parametrize("type_id", LOOKED_AT)
def test_what_carries_the_tag_is_refused(world: World, type_id: str) -> None:
    aim = arranged(world, type_id)
    tagged(world, type_id, aim)

    action = world.propose(type_id, *aim)

    assert action.status == "refused", action.note
    assert f"carries the tag {KEEP_OUT}" in action.note
    assert world.wire.sent == []


@pytest.mark.parametrize(
    "type_id",
    [
        "ec2.isolate-instance",
        "iam.deactivate-access-key",
        "iam.quarantine-user",
        "iam.revoke-role-sessions",
        "lambda.throttle-function",
        "rds.isolate-instance",
        "s3.restrict-bucket",
    ],
)
def test_a_tag_set_after_the_approval_stops_it_before_the_first_call(world: World, type_id: str) -> None:
    aim = arranged(world, type_id)
    action = world.approve(world.propose(type_id, *aim))
    assert action.status == "approved", action.note
    tagged(world, type_id, aim)

    action = world.drive(action)

    assert action.status == "refused"
    assert f"carries the tag {KEEP_OUT}" in action.note
    assert world.wire.sent == []
    assert world.locks() == []
    assert world.incident.timeline.filter(kind="action.refused").exists()


def test_the_tag_does_not_keep_what_we_did_from_being_undone(world: World) -> None:
    aim = arranged(world, "ec2.isolate-instance")
    action = world.apply("ec2.isolate-instance", *aim)
    assert action.status == "verified", action.note
    tagged(world, "ec2.isolate-instance", aim)

    back = world.revert(action)

    assert back.status == "verified", back.note


def test_evidence_is_taken_of_what_carries_the_tag(world: World) -> None:
    aim = arranged(world, "ec2.snapshot-volumes")
    tagged(world, "ec2.snapshot-volumes", aim)

    assert world.apply("ec2.snapshot-volumes", *aim).status == "verified"


def test_another_tag_and_another_things_tag_stop_nothing(world: World) -> None:
    target, params = arranged(world, "ec2.isolate-instance")
    other = next(one for one in _instances(world) if one != target["id"])
    ec2 = world.admin("ec2")
    ec2.create_tags(Resources=[other], Tags=[PAIR])
    ec2.create_tags(Resources=[target["id"]], Tags=[{"Key": f"{KEEP_OUT}-today", "Value": KEEP_OUT}])

    assert world.propose("ec2.isolate-instance", target, params).status == "planned"


def test_a_subnet_is_not_shut_around_an_instance_that_carries_the_tag(world: World) -> None:
    ec2, host = world.admin("ec2"), _instances(world)[0]
    found = ec2.describe_instances(InstanceIds=[host])["Reservations"][0]["Instances"][0]
    subnet = found["SubnetId"]
    target = {"type": "subnet", "account": SHIPPING, "region": REGION, "id": subnet}
    assert world.propose("vpc.isolate-subnet", target).status == "planned"
    ec2.create_tags(Resources=[host], Tags=[PAIR])

    action = world.propose("vpc.isolate-subnet", target)

    assert action.status == "refused"
    assert action.note == f"instance {host} of {subnet} carries the tag {KEEP_OUT}"


@pytest.fixture
def aurora(world: World) -> dict[str, str]:
    """A database of a cluster of two, whose groups are the cluster's."""
    arranged(world, "rds.isolate-instance")  # makes the group of subnets
    rds = world.admin("rds")
    group = rds.describe_db_subnet_groups()["DBSubnetGroups"][0]["DBSubnetGroupName"]
    alike = {
        "DBClusterIdentifier": "orders-cluster",
        "DBSubnetGroupName": group,
        "Engine": "aurora-postgresql",
    }
    rds.create_db_cluster(**alike, MasterUsername="root", MasterUserPassword="only-simulated-1")
    for name in ("orders-a", "orders-b"):
        rds.create_db_instance(**alike, DBInstanceIdentifier=name, DBInstanceClass="db.r5.large")
    return {"type": "db_instance", "account": SHIPPING, "region": REGION, "id": "orders-a"}


@pytest.mark.parametrize(
    ("kind", "name", "said"),
    [("cluster", "orders-cluster", "cluster orders-cluster"), ("db", "orders-b", "database orders-b")],
)
def test_a_database_is_not_cut_off_with_a_cluster_or_sibling_that_carries_the_tag(
    world: World, aurora: dict[str, str], kind: str, name: str, said: str
) -> None:
    free = world.propose("rds.isolate-instance", aurora)
    assert free.status == "planned", free.note
    arn = f"arn:aws:rds:{REGION}:{SHIPPING}:{kind}:{name}"
    world.admin("rds").add_tags_to_resource(ResourceName=arn, Tags=[PAIR])

    action = world.propose("rds.isolate-instance", aurora)

    assert action.status == "refused"
    assert action.note == f"{said} of orders-a carries the tag {KEEP_OUT}"


def test_a_principal_named_by_a_parameter_is_looked_at_in_its_own_account(world: World) -> None:
    """The key is to deny a role; the role, not the key, carries the tag."""
    target, params = arranged(world, "kms.deny-principal")
    kind, _, name = params["principal"].rpartition(":")[2].partition("/")
    bare = name.rpartition("/")[2]
    (_user if kind == "user" else _role)(world, ({"id": bare}, {}), REGION)

    action = world.propose("kms.deny-principal", target, params)

    assert action.status == "refused"
    assert action.note == f"{kind} {bare} carries the tag {KEEP_OUT}"


def test_tags_that_cannot_be_read_are_no_tags_that_are_not_there(world: World) -> None:
    def deny(name: str) -> None:
        if name == "ec2:DescribeTags":
            raise AwsError("UnauthorizedOperation", "You are not authorized to perform this operation.")

    world.wire.before_read = deny

    action = world.propose("ec2.isolate-instance", *arranged(world, "ec2.isolate-instance"))

    assert action.status == "refused"
    assert "could not be planned" in action.note
    assert Action.objects.count() == 1


def test_a_planted_defect_is_found(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table that looks at the wrong place lets the tagged instance through, and the test above fails."""
    wrong = {**TAGS, "instance": replace(TAGS["instance"], keys="Tags[].Value")}
    monkeypatch.setattr(keeping_out, "TAGS", wrong)

    with pytest.raises(AssertionError):
        test_what_carries_the_tag_is_refused(world, "ec2.isolate-instance")


def _instances(world: World) -> list[str]:
    found = world.admin("ec2").describe_instances()["Reservations"]
    return [one["InstanceId"] for reservation in found for one in reservation["Instances"]]
