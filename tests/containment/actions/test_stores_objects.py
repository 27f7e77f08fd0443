"""Objects, versions, keys and secrets: what is planned and refused, and what is left after undo."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from cases.models import Action
from containment.types import Plan, Refused
from lib import clock
from tests.containment.actions.network_reader import ACCOUNT, planned, said
from tests.containment.subjects import SUBJECTS
from tests.containment.subjects.stores import current, holds, lifecycle, shorten_expiry, target
from tests.containment.world import SHIPPING, World

KEY = "1234abcd-12ab-34cd-56ef-1234567890ab"
HERE = {"s3:GetBucketLocation": {"LocationConstraint": "eu-west-1"}}


def _applied(world: World, type_id: str) -> Any:
    subject = SUBJECTS[type_id]
    assert subject.arrange
    subject.arrange(world)
    action = world.apply(type_id, *subject.aim(world))
    assert action.status == "verified", action.note
    return action


# --- holding ----------------------------------------------------------------------------------------


def test_every_version_is_held_and_undo_gives_only_the_lifecycle_back(world: World) -> None:
    action = _applied(world, "s3.hold-objects")
    held = [
        ("case/a", False, "ON"),
        ("case/a", True, "ON"),
        ("case/b", True, "ON"),
        ("other", True, "OFF"),
    ]
    assert holds(world) == held
    assert lifecycle(world) == {"off-already": "Disabled", "old-versions": "Disabled", "uploads": "Enabled"}

    back = world.revert(action)

    assert back.status == "verified", back.note
    assert holds(world) == held
    assert lifecycle(world) == {"off-already": "Disabled", "old-versions": "Enabled", "uploads": "Enabled"}


def test_a_lifecycle_rule_that_someone_changed_meanwhile_is_left_to_them(world: World) -> None:
    action = _applied(world, "s3.hold-objects")
    shorten_expiry(world)
    sent = len(world.wire.sent)

    back = world.revert(action)

    assert back.status == "conflict"
    assert len(world.wire.sent) == sent
    assert lifecycle(world)["old-versions"] == "Disabled"


def _version(key: str, name: str, at: str, *, latest: bool = False, **more: Any) -> dict[str, Any]:
    return {
        "Key": key,
        "VersionId": name,
        "LastModified": f"2026-11-24T{at}:00+00:00",
        "IsLatest": latest,
        "ETag": name,
        "Size": 1,
        **more,
    }


def _hold(versions: list[dict[str, Any]], params: dict[str, Any] | None = None, **answers: Any) -> Plan:
    table = {
        **HERE,
        "s3:GetObjectLockConfiguration": {"ObjectLockConfiguration": {"ObjectLockEnabled": "Enabled"}},
        "s3:ListObjectVersions": {"Versions": versions},
        "s3:GetObjectLegalHold": None,
        "s3:GetBucketLifecycleConfiguration": None,
        **{f"s3:{name}": answer for name, answer in answers.items()},
    }
    return planned(
        "s3.hold-objects", "manifests", table, params or {"prefix": "case/"}, partition="aws-us-gov"
    )


@pytest.mark.fast
def test_a_hold_names_key_and_version_and_has_no_undo() -> None:
    plan = _hold([_version("case/a", "v2", "02:01", latest=True), _version("case/a", "v1", "02:00")])

    calls = [step.call.params for step in plan.steps if step.call]
    assert [(one["Key"], one["VersionId"], one["LegalHold"]) for one in calls] == [
        ("case/a", "v2", {"Status": "ON"}),
        ("case/a", "v1", {"Status": "ON"}),
    ]
    assert [step.undo for step in plan.steps] == [None, None]
    assert "arn:aws:" not in said(plan)


@pytest.mark.fast
def test_what_cannot_be_held_is_refused_with_the_reason() -> None:
    one = [_version("case/a", "v1", "02:00", latest=True)]
    with pytest.raises(Refused, match="has no Object Lock"):
        _hold(one, GetObjectLockConfiguration=None)
    with pytest.raises(Refused, match="not the whole bucket"):
        _hold(one, {"prefix": ""})
    with pytest.raises(Refused, match="has no object case/z"):
        _hold(one, {"keys": ["case/z"]})
    with pytest.raises(Refused, match="no version to hold"):
        _hold([])
    with pytest.raises(Refused, match="51 versions; at most 50"):
        _hold([_version(f"case/{n:02}", "v", "02:00", latest=True) for n in range(51)])
    with pytest.raises(Refused, match="more than 1,000 versions"):
        _hold(one, ListObjectVersions={"Versions": one, "IsTruncated": True})


@pytest.mark.fast
def test_only_enabled_rules_about_old_versions_of_these_objects_are_suspended() -> None:
    expiry = {"NoncurrentVersionExpiration": {"NoncurrentDays": 3}}
    rules = [
        {"ID": "all", "Status": "Enabled", "Filter": {"Prefix": ""}, **expiry},
        {"ID": "deeper", "Status": "Enabled", "Filter": {"And": {"Prefix": "case/2026/"}}, **expiry},
        {"ID": "elsewhere", "Status": "Enabled", "Filter": {"Prefix": "logs/"}, **expiry},
        {"ID": "off", "Status": "Disabled", "Filter": {"Prefix": ""}, **expiry},
        {"ID": "uploads", "Status": "Enabled", "Filter": {"Prefix": ""}},
    ]
    one = [_version("case/a", "v1", "02:00", latest=True)]

    first = _hold(one, GetBucketLifecycleConfiguration={"Rules": rules}).steps[0]
    assert first.edit
    assert [(rule["ID"], rule["Status"]) for rule in first.edit.add] == [
        ("all", "Disabled"),
        ("deeper", "Disabled"),
    ]

    kept = _hold(
        one, {"prefix": "case/", "suspend_expiry": False}, GetBucketLifecycleConfiguration={"Rules": rules}
    )
    assert [step.name[:5] for step in kept.steps] == ["hold-"]


# --- restoring --------------------------------------------------------------------------------------


def test_deleted_and_overwritten_objects_come_back_with_their_tags_and_go_again(world: World) -> None:
    action = _applied(world, "s3.restore-objects")
    s3 = world.admin("s3")

    assert current(world) == {
        "d/both": (b"good", 3),
        "d/deleted": (b"good", 1),
        "d/new": (b"ransom", 1),
        "d/overwritten": (b"good", 3),
        "d/untouched": (b"good", 1),
    }
    tags = s3.get_object_tagging(Bucket="quell-test-kept", Key="d/overwritten")["TagSet"]
    assert {"Key": "team", "Value": "freight"} in tags

    world.revert(action)
    assert current(world) == {
        "d/both": ("deleted", 2),
        "d/deleted": ("deleted", 1),
        "d/new": (b"ransom", 1),
        "d/overwritten": (b"ransom", 2),
        "d/untouched": (b"good", 1),
    }


def _restore(
    versions: list[dict[str, Any]], markers: list[dict[str, Any]] | None = None, **answers: Any
) -> Plan:
    table = {
        **HERE,
        "s3:GetBucketVersioning": {"Status": "Enabled"},
        "s3:ListObjectVersions": {"Versions": versions, "DeleteMarkers": markers or []},
        "s3:GetObjectTagging": {"TagSet": []},
        **{f"s3:{name}": answer for name, answer in answers.items()},
    }
    params = {"prefix": "case/", "before": "2026-11-24T02:00:30Z"}
    return planned("s3.restore-objects", "manifests", table, params, partition="aws-us-gov")


GOOD = _version("case/a", "v1", "02:00")


@pytest.mark.fast
def test_one_marker_is_taken_away_and_a_bad_version_is_covered_by_a_copy() -> None:
    marked = _restore([GOOD], [_version("case/a", "m1", "02:05", latest=True)])
    covered = _restore([GOOD, _version("case/a", "v2", "02:05", latest=True)])

    (step,) = marked.steps
    assert step.call
    assert step.undo
    assert (step.call.operation, step.call.params["VersionId"]) == ("DeleteObject", "m1")
    assert "VersionId" not in step.undo.params
    (step,) = covered.steps
    assert step.call
    assert step.undo
    assert step.call.params["CopySource"] == {"Bucket": "manifests", "Key": "case/a", "VersionId": "v1"}
    assert step.call.params["ExpectedBucketOwner"] == ACCOUNT
    assert step.undo.params["VersionId"] == {"$ref": step.name}
    assert "arn:aws:" not in said(covered)


@pytest.mark.fast
def test_two_markers_are_covered_by_a_copy_because_one_taken_away_shows_the_other() -> None:
    markers = [_version("case/a", "m1", "02:05"), _version("case/a", "m2", "02:06", latest=True)]

    (step,) = _restore([GOOD], markers).steps

    assert step.call
    assert step.call.operation == "CopyObject"


@pytest.mark.fast
def test_what_cannot_be_restored_is_refused_with_the_reason() -> None:
    over = _version("case/a", "v2", "02:05", latest=True)
    with pytest.raises(Refused, match="keeps no versions"):
        _restore([GOOD, over], GetBucketVersioning={})
    with pytest.raises(Refused, match="MFA delete"):
        _restore([GOOD, over], GetBucketVersioning={"Status": "Enabled", "MFADelete": "Enabled"})
    with pytest.raises(Refused, match="more than 5 GiB"):
        _restore([{**GOOD, "Size": 5 * 1024**3 + 1}, over])
    with pytest.raises(Refused, match="is archived"):
        _restore([{**GOOD, "StorageClass": "GLACIER"}, over])
    with pytest.raises(Refused, match="the objects are as they were"):
        _restore([{**GOOD, "IsLatest": True}])
    with pytest.raises(Refused, match="the objects are as they were"):
        _restore([GOOD, {**over, "ETag": "v1"}])
    with pytest.raises(Refused, match="was not there"):
        _restore([over])
    tags = [{"Key": f"k{n}", "Value": "v"} for n in range(10)]
    with pytest.raises(Refused, match="10 tags already"):
        _restore([GOOD, over], GetObjectTagging={"TagSet": tags})
    with pytest.raises(Refused, match="51 objects; at most 50"):
        _restore(
            [one for n in range(51) for one in ({**GOOD, "Key": f"case/{n}"}, {**over, "Key": f"case/{n}"})]
        )


# --- settings of buckets ----------------------------------------------------------------------------


@pytest.mark.fast
def test_versioning_that_was_never_on_cannot_be_taken_back_and_says_so() -> None:
    never = planned("s3.enable-versioning", "manifests", {**HERE, "s3:GetBucketVersioning": {}})
    suspended = planned(
        "s3.enable-versioning", "manifests", {**HERE, "s3:GetBucketVersioning": {"Status": "Suspended"}}
    )

    assert never.steps[0].undo is None
    assert "cannot be undone" in never.warnings[0]
    assert suspended.steps[0].undo
    assert suspended.steps[0].undo.params["VersioningConfiguration"] == {"Status": "Suspended"}
    with pytest.raises(Refused, match="MFA delete"):
        planned(
            "s3.enable-versioning",
            "manifests",
            {**HERE, "s3:GetBucketVersioning": {"Status": "Suspended", "MFADelete": "Enabled"}},
        )


@pytest.mark.fast
def test_undo_puts_the_saved_settings_back_or_takes_them_away() -> None:
    saved = {
        "BlockPublicAcls": True,
        "BlockPublicPolicy": False,
        "IgnorePublicAcls": False,
        "RestrictPublicBuckets": False,
    }

    def undo(answer: dict[str, Any] | None) -> Any:
        table = {**HERE, "s3:GetPublicAccessBlock": answer}
        return planned("s3.block-public-access", "manifests", table).steps[0].undo

    assert undo(None).operation == "DeletePublicAccessBlock"
    assert undo({"PublicAccessBlockConfiguration": saved}).params["PublicAccessBlockConfiguration"] == saved


# --- keys and secrets -------------------------------------------------------------------------------


def _key(type_id: str, state: str) -> Plan:
    about = {"KeyId": KEY, "Arn": f"arn:aws-us-gov:kms:r:{ACCOUNT}:key/{KEY}", "KeyState": state}
    return planned(type_id, KEY, {"kms:DescribeKey": {"KeyMetadata": about}}, partition="aws-us-gov")


@pytest.mark.fast
def test_a_key_is_disabled_and_enabled_again() -> None:
    plan = _key("kms.disable-key", "Enabled")

    (step,) = plan.steps
    assert step.call
    assert step.undo
    assert (step.call.operation, step.undo.operation) == ("DisableKey", "EnableKey")
    assert "arn:aws:" not in said(plan)
    with pytest.raises(Refused, match="is PendingDeletion"):
        _key("kms.disable-key", "PendingDeletion")


@pytest.mark.fast
def test_a_cancelled_deletion_is_never_scheduled_again() -> None:
    plan = _key("kms.cancel-deletion", "PendingDeletion")

    assert [step.call.operation for step in plan.steps if step.call] == ["CancelKeyDeletion", "EnableKey"]
    assert [step.undo for step in plan.steps] == [None, None]
    with pytest.raises(Refused, match="its deletion is not scheduled"):
        _key("kms.cancel-deletion", "Enabled")


def _secret(**about: Any) -> Plan:
    found = {"Name": "carrier-api", "ARN": "arn:aws-us-gov:secret:x", "RotationEnabled": True, **about}
    table = {
        "secretsmanager:DescribeSecret": found,
        "secretsmanager:ListSecretVersionIds": {"Versions": [{"VersionId": "old"}]},
    }
    return planned("secretsmanager.rotate-secret", "carrier-api", table, partition="aws-us-gov")


@pytest.mark.fast
def test_a_rotation_is_named_by_the_action_so_that_it_cannot_happen_twice() -> None:
    plan = _secret()

    assert plan.steps[0].call
    token = plan.steps[0].call.params["ClientRequestToken"]
    assert token == "quell-01m85mg280rbtkvd0gpk58fm2v"
    assert 32 <= len(token) <= 64
    assert plan.steps[0].undo is None
    assert "arn:aws:" not in said(plan)


@pytest.mark.fast
def test_a_secret_without_rotation_or_in_the_middle_of_one_is_refused() -> None:
    with pytest.raises(Refused, match="no rotation is set up"):
        _secret(RotationEnabled=False)
    with pytest.raises(Refused, match="under way already, as version v2"):
        _secret(VersionIdsToStages={"v1": ["AWSCURRENT"], "v2": ["AWSPENDING"]})


# --- the executor -----------------------------------------------------------------------------------


def test_a_statement_added_between_read_and_write_of_a_table_is_kept(world: World) -> None:
    """DynamoDB writes only on the revision that was read: the edit is made again on the newer one."""
    subject = SUBJECTS["dynamodb.restrict-table"]
    assert subject.arrange
    assert subject.unrelated
    subject.arrange(world)
    action = world.approve(world.propose("dynamodb.restrict-table", *subject.aim(world)))
    beside = subject.unrelated
    world.wire.before_write = lambda number, _: beside(world) if number == 1 else None

    action = world.drive(action)

    assert action.status == "verified", action.note
    assert world.wire.sent.count("dynamodb:PutResourcePolicy") == 2
    assert [one["Sid"] for one in subject.look(world)] == ["Quell", "Theirs"]


@pytest.fixture
def needing(world: World) -> Action:
    """An action on another thing that needs the key, planned."""
    action = world.propose("s3.enable-versioning", target("bucket", "nf-prod-artifacts"))
    plan = dict(action.plan or {})
    plan["facts"] = {"uses": [_shipping_key(world)["arn"]]}
    Action.objects.filter(pk=action.pk).update(plan=plan)
    return world.fresh(action)


def _shipping_key(world: World) -> Any:
    return next(one for one in world.estate["keys"] if one["account"] == SHIPPING)


def _under_way(world: World, action: Action) -> None:
    """Approved, and not started before the test is over."""
    world.approve(action)
    Action.objects.filter(pk=action.pk).update(due_at=clock.now() + timedelta(hours=6))


def test_a_key_that_an_action_under_way_needs_is_not_disabled(world: World, needing: Action) -> None:
    _under_way(world, needing)

    action = world.propose("kms.disable-key", target("kms_key", _shipping_key(world)["id"]))

    assert action.status == "refused"
    assert needing.ulid in action.note
    assert world.wire.sent == []


def test_a_key_that_was_taken_into_use_after_the_approval_is_not_disabled(
    world: World, needing: Action
) -> None:
    action = world.approve(world.propose("kms.disable-key", target("kms_key", _shipping_key(world)["id"])))
    _under_way(world, needing)

    action = world.drive(action)

    assert action.status == "refused"
    assert needing.ulid in action.note
    assert world.wire.sent == []


def test_a_key_that_is_only_planned_for_is_disabled(world: World, needing: Action) -> None:
    action = world.apply("kms.disable-key", target("kms_key", _shipping_key(world)["id"]))

    assert needing.status == "planned"
    assert action.status == "verified", action.note
