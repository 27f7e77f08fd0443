"""Stores: buckets, keys, secrets, tables, queues and topics."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from tests.containment.subjects.subject import Subject
from tests.containment.world import REGION, SHIPPING, World

Aim = tuple[Mapping[str, Any], Mapping[str, Any]]


def target(kind: str, name: str) -> dict[str, str]:
    """A target in the shipping account's home region."""
    return {"type": kind, "account": SHIPPING, "region": REGION, "id": name}


def _bucket(world: World) -> str:
    """The shipping account's first bucket with objects in it."""
    return str(next(b["name"] for b in world.estate["buckets"] if b["account"] == SHIPPING and b["objects"]))


def _bucket_aim(world: World) -> Aim:
    return target("bucket", _bucket(world)), {}


# --- policies ---------------------------------------------------------------------------------------

Get = Callable[[World], str]
Put = Callable[[World, str], None]


def ours(statement: Mapping[str, Any]) -> bool:
    return str(statement.get("Sid", "")).startswith("Quell")


def _statements(get: Get) -> Callable[[World], Any]:
    """The statements of a policy, by Sid, without our action's id."""

    def look(world: World) -> Any:
        found = json.loads(get(world) or "{}").get("Statement", [])
        unmarked = [{**one, "Sid": "Quell"} if ours(one) else one for one in found]
        return sorted(unmarked, key=lambda one: json.dumps(one, sort_keys=True))

    return look


def _changed(get: Get, put: Put, change: Callable[[list[Any]], list[Any]]) -> Callable[[World], None]:
    def edit(world: World) -> None:
        document = json.loads(get(world) or '{"Version":"2012-10-17","Statement":[]}')
        put(world, json.dumps({**document, "Statement": change(document["Statement"])}))

    return edit


def _policy_subject(
    aim: Callable[[World], Aim], get: Get, put: Put, *, theirs: Mapping[str, Any], **more: Any
) -> Subject:
    """A type that adds one statement to a policy: disturbed by a rewrite of it, survived by theirs."""
    return Subject(
        aim=aim,
        look=_statements(get),
        disturb=_changed(
            get, put, lambda found: [{**one, "Effect": "Allow"} if ours(one) else one for one in found]
        ),
        unrelated=_changed(get, put, lambda found: [*found, {"Sid": "Theirs", "Effect": "Allow", **theirs}]),
        meets_itself=False,
        **more,
    )


def bucket_policy(world: World) -> str:
    s3 = world.admin("s3")
    try:
        return str(s3.get_bucket_policy(Bucket=_bucket(world))["Policy"])
    except s3.exceptions.from_code("NoSuchBucketPolicy"):
        return ""


def _put_bucket_policy(world: World, text: str) -> None:
    world.admin("s3").put_bucket_policy(Bucket=_bucket(world), Policy=text)


FRIEND = {"Principal": {"AWS": f"arn:aws:iam::{SHIPPING}:root"}}


def _deny_address_aim(world: World) -> Aim:
    return target("bucket", _bucket(world)), {"addresses": ["203.0.113.9", "198.51.100.0/24"]}


# --- buckets ----------------------------------------------------------------------------------------

ALL_BLOCKED = {
    "BlockPublicAcls": True,
    "BlockPublicPolicy": True,
    "IgnorePublicAcls": True,
    "RestrictPublicBuckets": True,
}


def _block(world: World) -> Any:
    s3 = world.admin("s3")
    try:
        return s3.get_public_access_block(Bucket=_bucket(world))["PublicAccessBlockConfiguration"]
    except s3.exceptions.from_code("NoSuchPublicAccessBlockConfiguration"):
        return None


def _put_block(**settings: bool) -> Callable[[World], None]:
    def put(world: World) -> None:
        world.admin("s3").put_public_access_block(
            Bucket=_bucket(world), PublicAccessBlockConfiguration={**ALL_BLOCKED, **settings}
        )

    return put


def _versioning(world: World) -> Any:
    return world.admin("s3").get_bucket_versioning(Bucket=_bucket(world)).get("Status")


def _put_versioning(status: str) -> Callable[[World], None]:
    def put(world: World) -> None:
        world.admin("s3").put_bucket_versioning(
            Bucket=_bucket(world), VersioningConfiguration={"Status": status}
        )

    return put


LOCKED = "quell-test-locked"


def _make_locked_bucket(world: World) -> None:
    """Two objects, one of them overwritten, in a bucket with Object Lock that expires old versions."""
    s3 = world.admin("s3")
    s3.create_bucket(
        Bucket=LOCKED,
        ObjectLockEnabledForBucket=True,
        CreateBucketConfiguration={"LocationConstraint": REGION},
    )
    for key, body in (("case/a", b"1"), ("case/a", b"2"), ("case/b", b"1"), ("other", b"1")):
        s3.put_object(Bucket=LOCKED, Key=key, Body=body)
        world.clock.advance(60)
    rule = {"Filter": {"Prefix": ""}, "NoncurrentVersionExpiration": {"NoncurrentDays": 7}}
    s3.put_bucket_lifecycle_configuration(
        Bucket=LOCKED,
        LifecycleConfiguration={
            "Rules": [
                {**rule, "ID": "old-versions", "Status": "Enabled"},
                {**rule, "ID": "off-already", "Status": "Disabled"},
                {
                    "ID": "uploads",
                    "Status": "Enabled",
                    "Filter": {"Prefix": ""},
                    "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 3},
                },
            ]
        },
    )


def lifecycle(world: World) -> dict[str, str]:
    """The state of each lifecycle rule of the locked bucket."""
    rules = world.admin("s3").get_bucket_lifecycle_configuration(Bucket=LOCKED)["Rules"]
    return {str(one["ID"]): str(one["Status"]) for one in rules}


def holds(world: World) -> list[tuple[str, bool, str]]:
    """For each version in the locked bucket: key, whether it is the current one, and its hold."""
    s3 = world.admin("s3")
    return sorted(
        (
            one["Key"],
            one["IsLatest"],
            s3.get_object_legal_hold(Bucket=LOCKED, Key=one["Key"], VersionId=one["VersionId"])[
                "LegalHold"
            ].get("Status", "OFF"),
        )
        for one in s3.list_object_versions(Bucket=LOCKED)["Versions"]
    )


def _put_locked(world: World) -> None:
    world.admin("s3").put_object(Bucket=LOCKED, Key="case/c", Body=b"1")


def shorten_expiry(world: World) -> None:
    s3 = world.admin("s3")
    rules = s3.get_bucket_lifecycle_configuration(Bucket=LOCKED)["Rules"]
    for rule in rules:
        if rule["ID"] == "old-versions":
            rule["NoncurrentVersionExpiration"] = {"NoncurrentDays": 1}
    s3.put_bucket_lifecycle_configuration(Bucket=LOCKED, LifecycleConfiguration={"Rules": rules})


KEPT = "quell-test-kept"


def _make_kept_bucket(world: World) -> None:
    """One object deleted, one overwritten and deleted, one overwritten, one untouched; five minutes on."""
    s3 = world.admin("s3")
    s3.create_bucket(Bucket=KEPT, CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_bucket_versioning(Bucket=KEPT, VersioningConfiguration={"Status": "Enabled"})
    for key in ("d/deleted", "d/both", "d/overwritten", "d/untouched"):
        s3.put_object(Bucket=KEPT, Key=key, Body=b"good", Tagging="team=freight")
    world.clock.advance(300)
    for key in ("d/both", "d/overwritten", "d/new"):
        s3.put_object(Bucket=KEPT, Key=key, Body=b"ransom")
    world.clock.advance(60)
    for key in ("d/deleted", "d/both"):
        s3.delete_object(Bucket=KEPT, Key=key)
    world.clock.advance(60)


def _before_the_ransom(world: World) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """The objects as they were three minutes after the first of them was put there."""
    versions = world.admin("s3").list_object_versions(Bucket=KEPT)["Versions"]
    before = min(one["LastModified"] for one in versions) + timedelta(minutes=3)
    return target("bucket", KEPT), {"prefix": "d/", "before": f"{before:%Y-%m-%dT%H:%M:%SZ}"}


def current(world: World) -> dict[str, tuple[Any, int]]:
    """For each object in the versioned bucket: its content, or `deleted`, and how many versions it has."""
    s3 = world.admin("s3")
    listed = s3.list_object_versions(Bucket=KEPT)
    marked = {one["Key"] for one in listed.get("DeleteMarkers", []) if one["IsLatest"]}
    return {
        key: (
            "deleted" if key in marked else s3.get_object(Bucket=KEPT, Key=key)["Body"].read(),
            sum(one["Key"] == key for one in listed["Versions"]),
        )
        for key in sorted({one["Key"] for one in listed["Versions"]})
    }


def _put_kept(key: str) -> Callable[[World], None]:
    def put(world: World) -> None:
        world.clock.advance(1)
        world.admin("s3").put_object(Bucket=KEPT, Key=key, Body=b"later")

    return put


# --- keys -------------------------------------------------------------------------------------------


def _key(world: World) -> str:
    return str(next(k["id"] for k in world.estate["keys"] if k["account"] == SHIPPING))


def _key_aim(world: World) -> Aim:
    return target("kms_key", _key(world)), {}


def _key_policy(world: World) -> str:
    return str(world.admin("kms").get_key_policy(KeyId=_key(world), PolicyName="default")["Policy"])


def _put_key_policy(world: World, text: str) -> None:
    world.admin("kms").put_key_policy(KeyId=_key(world), PolicyName="default", Policy=text)


def _key_state(world: World) -> Any:
    return world.admin("kms").describe_key(KeyId=_key(world))["KeyMetadata"]["KeyState"]


def _enable_key(world: World) -> None:
    world.admin("kms").enable_key(KeyId=_key(world))


def _disable_key(world: World) -> None:
    world.admin("kms").disable_key(KeyId=_key(world))


def _delete_key(days: int) -> Callable[[World], None]:
    def schedule(world: World) -> None:
        world.admin("kms").schedule_key_deletion(KeyId=_key(world), PendingWindowInDays=days)

    return schedule


def _rename_key(world: World) -> None:
    world.admin("kms").update_key_description(KeyId=_key(world), Description="elsewhere")


# --- secrets ----------------------------------------------------------------------------------------

SECRET = "shipping/carrier-api"


def _make_secret(world: World) -> None:
    world.admin("secretsmanager").create_secret(Name=SECRET, SecretString="carrier")


def _make_rotated_secret(world: World) -> None:
    _make_secret(world)
    world.admin("secretsmanager").rotate_secret(SecretId=SECRET, RotationRules={"AutomaticallyAfterDays": 30})


def _secret_policy(world: World) -> str:
    found = world.admin("secretsmanager").get_resource_policy(SecretId=SECRET)
    return str(found.get("ResourcePolicy", ""))


def _put_secret_policy(world: World, text: str) -> None:
    world.admin("secretsmanager").put_resource_policy(SecretId=SECRET, ResourcePolicy=text)


def _versions(world: World) -> Any:
    found = world.admin("secretsmanager").describe_secret(SecretId=SECRET)["VersionIdsToStages"]
    return sorted((one.startswith("quell-"), sorted(labels)) for one, labels in found.items())


# --- tables, queues, topics -------------------------------------------------------------------------

TABLE, QUEUE, TOPIC = "shipping-labels", "shipping-orders", "shipping-news"
TABLE_ARN = f"arn:aws:dynamodb:{REGION}:{SHIPPING}:table/{TABLE}"
TOPIC_ARN = f"arn:aws:sns:{REGION}:{SHIPPING}:{TOPIC}"


def _make_table(world: World) -> None:
    world.admin("dynamodb").create_table(
        TableName=TABLE,
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )


def _table_policy(world: World) -> str:
    dynamodb = world.admin("dynamodb")
    try:
        return str(dynamodb.get_resource_policy(ResourceArn=TABLE_ARN)["Policy"])
    except dynamodb.exceptions.PolicyNotFoundException:
        return ""


def _put_table_policy(world: World, text: str) -> None:
    world.admin("dynamodb").put_resource_policy(ResourceArn=TABLE_ARN, Policy=text)


def _make_queue(world: World) -> None:
    world.admin("sqs").create_queue(QueueName=QUEUE)


def _queue_url(world: World) -> str:
    return str(world.admin("sqs").get_queue_url(QueueName=QUEUE)["QueueUrl"])


def _queue_policy(world: World) -> str:
    found = world.admin("sqs").get_queue_attributes(QueueUrl=_queue_url(world), AttributeNames=["Policy"])
    return str(found.get("Attributes", {}).get("Policy", ""))


def _put_queue_policy(world: World, text: str) -> None:
    world.admin("sqs").set_queue_attributes(QueueUrl=_queue_url(world), Attributes={"Policy": text})


def _make_topic(world: World) -> None:
    world.admin("sns").create_topic(Name=TOPIC)


def _topic_policy(world: World) -> str:
    return str(world.admin("sns").get_topic_attributes(TopicArn=TOPIC_ARN)["Attributes"]["Policy"])


def _put_topic_policy(world: World, text: str) -> None:
    world.admin("sns").set_topic_attributes(TopicArn=TOPIC_ARN, AttributeName="Policy", AttributeValue=text)


def _at(kind: str, name: str) -> Callable[[World], Aim]:
    return lambda _: (target(kind, name), {})


SUBJECTS: dict[str, Subject] = {
    "kms.deny-principal": _policy_subject(
        lambda world: (
            target("kms_key", _key(world)),
            {"principal": f"arn:aws:iam::{SHIPPING}:role/tracking-api"},
        ),
        _key_policy,
        _put_key_policy,
        theirs={**FRIEND, "Action": "kms:DescribeKey", "Resource": "*"},
    ),
    "kms.disable-key": Subject(
        aim=_key_aim,
        look=_key_state,
        disturb=_enable_key,
        drift=_disable_key,
        already=_disable_key,
        unrelated=_rename_key,
        two_valued=True,
    ),
    "kms.cancel-deletion": Subject(
        arrange=_delete_key(7), aim=_key_aim, look=_key_state, drift=_delete_key(30), has_undo=False
    ),
    "secretsmanager.restrict-secret": _policy_subject(
        _at("secret", SECRET),
        _secret_policy,
        _put_secret_policy,
        arrange=_make_secret,
        theirs={**FRIEND, "Action": "secretsmanager:DescribeSecret", "Resource": "*"},
    ),
    "secretsmanager.rotate-secret": Subject(
        arrange=_make_rotated_secret, aim=_at("secret", SECRET), look=_versions, has_undo=False
    ),
    "dynamodb.restrict-table": _policy_subject(
        _at("table", TABLE),
        _table_policy,
        _put_table_policy,
        arrange=_make_table,
        theirs={**FRIEND, "Action": "dynamodb:GetItem", "Resource": TABLE_ARN},
    ),
    "sqs.restrict-queue": _policy_subject(
        _at("queue", QUEUE),
        _queue_policy,
        _put_queue_policy,
        arrange=_make_queue,
        theirs={
            **FRIEND,
            "Action": "sqs:SendMessage",
            "Resource": f"arn:aws:sqs:{REGION}:{SHIPPING}:{QUEUE}",
        },
    ),
    "sns.restrict-topic": _policy_subject(
        _at("topic", TOPIC),
        _topic_policy,
        _put_topic_policy,
        arrange=_make_topic,
        theirs={**FRIEND, "Action": "sns:Publish", "Resource": TOPIC_ARN},
    ),
    "s3.block-public-access": Subject(
        aim=_bucket_aim,
        look=_block,
        disturb=_put_block(BlockPublicPolicy=False),
        drift=_put_block(RestrictPublicBuckets=False),
        already=_put_block(),
        unrelated=_put_versioning("Enabled"),
    ),
    "s3.enable-versioning": Subject(
        arrange=_put_versioning("Suspended"),
        aim=_bucket_aim,
        look=_versioning,
        disturb=_put_versioning("Suspended"),
        drift=_put_versioning("Enabled"),
        already=_put_versioning("Enabled"),
        unrelated=_put_block(),
        two_valued=True,
    ),
    "s3.hold-objects": Subject(
        arrange=_make_locked_bucket,
        aim=lambda _: (target("bucket", LOCKED), {"prefix": "case/"}),
        look=lambda world: (lifecycle(world), holds(world)),
        drift=_put_locked,
        # The lifecycle rules come back by undo, the holds do not; where the call on the rules was refused,
        # there is nothing to undo. The type's own tests hold both.
        has_undo=False,
    ),
    "s3.restore-objects": Subject(
        arrange=_make_kept_bucket,
        aim=_before_the_ransom,
        look=current,
        disturb=_put_kept("d/deleted"),
        drift=_put_kept("d/overwritten"),
        unrelated=_put_kept("d/untouched"),
        nothing_left="nothing to restore",
    ),
    "s3.deny-address": _policy_subject(
        _deny_address_aim,
        bucket_policy,
        _put_bucket_policy,
        theirs={**FRIEND, "Action": "s3:GetObject", "Resource": "arn:aws:s3:::nf-ship-manifests/*"},
    ),
    "s3.restrict-bucket": _policy_subject(
        _bucket_aim,
        bucket_policy,
        _put_bucket_policy,
        theirs={**FRIEND, "Action": "s3:GetObject", "Resource": "arn:aws:s3:::nf-ship-manifests/*"},
    ),
}
