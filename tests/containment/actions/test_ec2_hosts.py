"""What the actions on instances plan, refuse and warn of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from containment.actions import action_type
from containment.refusals import Refusal, classify
from containment.types import Duty, Place, Plan, Refused
from lib.aws import AwsError
from lib.errors import Invalid
from tests.containment.actions.network_reader import ACCOUNT, context, planned, said

HOST = "i-0123456789abcdef0"
FORENSIC = "222233334444"
pytestmark = pytest.mark.fast


def host(**more: Any) -> dict[str, Any]:
    """An instance with two disks, as DescribeInstances shows it."""
    disks = [
        {"DeviceName": "/dev/xvda", "Ebs": {"VolumeId": "vol-a", "DeleteOnTermination": True}},
        {"DeviceName": "/dev/sdf", "Ebs": {"VolumeId": "vol-b", "DeleteOnTermination": False}},
    ]
    options = {
        "State": "applied",
        "HttpTokens": "optional",
        "HttpPutResponseHopLimit": 2,
        "HttpEndpoint": "enabled",
    }
    return {
        "InstanceId": HOST,
        "State": {"Name": "running"},
        "RootDeviceType": "ebs",
        "BlockDeviceMappings": disks,
        "MetadataOptions": options,
        "NetworkInterfaces": [],
        **more,
    }


def answers(one: Mapping[str, Any] | None = None, **attributes: Any) -> dict[str, Any]:
    """Answers about that instance; attributes are not set unless they are given."""
    given = {"disableApiTermination": False, "disableApiStop": False, **attributes}
    given.setdefault("instanceInitiatedShutdownBehavior", "terminate")

    def attribute(params: Mapping[str, Any]) -> Any:
        name = params["Attribute"]
        return {name[0].upper() + name[1:]: {"Value": given[name]}}

    return {
        "ec2:DescribeInstances": {"Reservations": [{"Instances": [one or host()]}]},
        "ec2:DescribeInstanceAttribute": attribute,
    }


def calls(plan: Plan) -> list[tuple[str, dict[str, Any]]]:
    """Operation and parameters of each call."""
    return [(step.call.operation, dict(step.call.params)) for step in plan.steps if step.call]


def undos(plan: Plan) -> list[dict[str, Any]]:
    return [dict(step.undo.params) for step in plan.steps if step.undo]


# --- the target -------------------------------------------------------------------------------------

ON_INSTANCES = (
    "ec2.lock-metadata-service",
    "ec2.protect-instance",
    "ec2.remove-public-address",
    "ec2.replace-instance-profile",
    "ec2.stop-instance",
    "ec2.terminate-instance",
)


@pytest.mark.parametrize("type_id", ON_INSTANCES)
def test_a_target_that_is_no_instance_or_gone_is_refused(type_id: str) -> None:
    with pytest.raises(Refused, match="is not the id of an instance"):
        planned(type_id, "tracking-api", answers())
    with pytest.raises(Refused, match="there is no instance"):
        planned(type_id, HOST, {"ec2:DescribeInstances": None})
    with pytest.raises(Refused, match="is terminated"):
        planned(type_id, HOST, answers(host(State={"Name": "terminated"})))


# --- protect ----------------------------------------------------------------------------------------


def test_protecting_sets_one_attribute_in_each_call_and_undo_sets_it_back() -> None:
    plan = planned("ec2.protect-instance", HOST, answers())

    keeps = {"DeviceName": "/dev/xvda", "Ebs": {"DeleteOnTermination": False}}
    assert [params for _, params in calls(plan)][:2] == [
        {"InstanceId": HOST, "DisableApiTermination": {"Value": True}},
        {"InstanceId": HOST, "InstanceInitiatedShutdownBehavior": {"Value": "stop"}},
    ]
    assert {"InstanceId": HOST, "BlockDeviceMappings": [keeps]} in [params for _, params in calls(plan)]
    assert undos(plan)[:2] == [
        {"InstanceId": HOST, "DisableApiTermination": {"Value": False}},
        {"InstanceId": HOST, "InstanceInitiatedShutdownBehavior": {"Value": "terminate"}},
    ]
    assert len({step.lane for step in plan.steps}) == len(plan.steps) == 4


def test_a_spot_instance_keeps_its_disks_only_and_a_scaling_group_is_named() -> None:
    tag = {"Key": "aws:autoscaling:groupName", "Value": "web"}
    plan = planned("ec2.protect-instance", HOST, answers(host(InstanceLifecycle="spot", Tags=[tag])))

    assert [set(params) - {"InstanceId"} for _, params in calls(plan)] == [{"BlockDeviceMappings"}] * 2
    assert any("Auto Scaling group web" in one for one in plan.warnings)
    assert any("Spot" in one for one in plan.warnings)


# --- metadata ---------------------------------------------------------------------------------------


def test_metadata_needs_a_token_and_one_hop_and_undo_gives_back_what_was() -> None:
    plan = planned("ec2.lock-metadata-service", HOST, answers())

    assert calls(plan)[0][1] == {
        "InstanceId": HOST,
        "HttpTokens": "required",
        "HttpPutResponseHopLimit": 1,
    }
    assert undos(plan) == [{"InstanceId": HOST, "HttpTokens": "optional", "HttpPutResponseHopLimit": 2}]
    assert plan.steps[0].was == ["optional", 2]
    assert [step.kind.value for step in plan.steps] == ["SET", "WAIT"]


def test_metadata_can_be_switched_off_and_what_is_off_needs_no_token() -> None:
    plan = planned("ec2.lock-metadata-service", HOST, answers(), {"how": "switch-off"})
    assert calls(plan)[0][1] == {"InstanceId": HOST, "HttpEndpoint": "disabled"}

    off = {**host()["MetadataOptions"], "HttpEndpoint": "disabled"}
    with pytest.raises(Refused, match="switched off already"):
        planned("ec2.lock-metadata-service", HOST, answers(host(MetadataOptions=off)))
    with pytest.raises(Invalid, match="must be one of"):
        context("ec2.lock-metadata-service", HOST, answers(), {"how": "ask nicely"})


# --- stop and terminate -----------------------------------------------------------------------------


def test_stopping_takes_stop_protection_away_first_and_undo_brings_both_back() -> None:
    plan = planned("ec2.stop-instance", HOST, answers(disableApiStop=True))

    assert calls(plan) == [
        ("ModifyInstanceAttribute", {"InstanceId": HOST, "DisableApiStop": {"Value": False}}),
        ("StopInstances", {"InstanceIds": [HOST]}),
    ]
    assert undos(plan) == [
        {"InstanceId": HOST, "DisableApiStop": {"Value": True}},
        {"InstanceIds": [HOST]},
    ]


@pytest.mark.parametrize(
    ("name", "rests"),
    [
        ("pending", "running"),
        ("running", "running"),
        ("stopping", "stopped"),
        ("stopped", "stopped"),
        ("shutting-down", "shutting-down"),
    ],
)
def test_on_its_way_counts_as_there_and_being_terminated_as_neither(name: str, rests: str) -> None:
    from containment.actions.ec2.stop_instance import RESTS
    from containment.looking import select

    assert select(RESTS, {"Reservations": [{"Instances": [{"State": {"Name": name}}]}]}) == rests


def test_starting_what_is_still_stopping_is_tried_again() -> None:
    assert classify(AwsError("IncorrectInstanceState", "is not in a state to be started")) is Refusal.BUSY


def test_what_cannot_be_stopped_is_refused() -> None:
    spot = {
        **answers(host(SpotInstanceRequestId="sir-1")),
        "ec2:DescribeSpotInstanceRequests": {"SpotInstanceRequests": [{"Type": "one-time"}]},
    }
    with pytest.raises(Refused, match="one-time Spot"):
        planned("ec2.stop-instance", HOST, spot)
    with pytest.raises(Refused, match="instance store"):
        planned("ec2.stop-instance", HOST, answers(host(RootDeviceType="instance-store")))
    with pytest.raises(Refused, match="not launched for hibernation"):
        planned("ec2.stop-instance", HOST, answers(), {"hibernate": True})
    sleeping = answers(host(HibernationOptions={"Configured": True}))
    hibernating = planned("ec2.stop-instance", HOST, sleeping, {"hibernate": True})
    assert calls(hibernating) == [("StopInstances", {"InstanceIds": [HOST], "Hibernate": True})]
    assert not any("memory is lost" in one for one in hibernating.warnings)


def _snapshots(*volumes: str) -> dict[str, Any]:
    found = [
        {"SnapshotId": f"snap-{index}", "VolumeId": volume, "StartTime": f"2026-11-2{index}T02:00:00Z"}
        for index, volume in enumerate(volumes)
    ]
    return {"ec2:DescribeSnapshots": {"Snapshots": found}}


def test_an_instance_is_terminated_only_when_each_volume_has_a_snapshot() -> None:
    with pytest.raises(Refused, match="no completed snapshot of vol-b"):
        planned("ec2.terminate-instance", HOST, {**answers(), **_snapshots("vol-a")})

    table = {**answers(disableApiTermination=True), **_snapshots("vol-a", "vol-b", "vol-a")}
    plan = planned("ec2.terminate-instance", HOST, table)

    assert plan.facts == {"snapshots": {"vol-a": "snap-2", "vol-b": "snap-1"}, "deleted": ["vol-a"]}
    assert calls(plan) == [
        ("ModifyInstanceAttribute", {"InstanceId": HOST, "DisableApiTermination": {"Value": False}}),
        ("TerminateInstances", {"InstanceIds": [HOST]}),
    ]
    assert undos(plan) == []
    assert "Volume vol-a is deleted with it" in plan.warnings


# --- addresses --------------------------------------------------------------------------------------

ELASTIC = {
    "AllocationId": "eipalloc-1",
    "AssociationId": "eipassoc-1",
    "PublicIp": "203.0.113.9",
    "NetworkInterfaceId": "eni-1",
    "PrivateIpAddress": "10.0.0.9",
}
AUTOMATIC = {
    "NetworkInterfaceId": "eni-2",
    "Association": {"IpOwnerId": "amazon", "PublicIp": "203.0.113.77"},
}


def _addressed(*elastic: Mapping[str, Any], interfaces: tuple[Mapping[str, Any], ...] = ()) -> dict[str, Any]:
    def addresses(params: Mapping[str, Any]) -> Any:
        return {"Addresses": list(elastic)}

    described = {"NetworkInterfaces": [AUTOMATIC]}
    shown = answers(host(NetworkInterfaces=list(interfaces)))
    return {**shown, "ec2:DescribeAddresses": addresses, "ec2:DescribeNetworkInterfaces": described}


def test_an_elastic_address_goes_back_to_its_interface_and_private_address() -> None:
    plan = planned("ec2.remove-public-address", HOST, _addressed(ELASTIC))

    assert calls(plan) == [("DisassociateAddress", {"AssociationId": "eipassoc-1"})]
    assert undos(plan) == [
        {
            "AllocationId": "eipalloc-1",
            "NetworkInterfaceId": "eni-1",
            "PrivateIpAddress": "10.0.0.9",
            "AllowReassociation": False,
        }
    ]
    assert plan.steps[0].was == "eni-1 10.0.0.9"


def test_an_automatic_address_stays_unless_it_is_given_up_in_so_many_words() -> None:
    table = _addressed(interfaces=(AUTOMATIC,))
    with pytest.raises(Refused, match=r"203\.0\.113\.77 stays.*give_up_automatic"):
        planned("ec2.remove-public-address", HOST, table)

    plan = planned("ec2.remove-public-address", HOST, table, {"give_up_automatic": True})

    assert calls(plan)[0][1] == {"NetworkInterfaceId": "eni-2", "AssociatePublicIpAddress": False}
    assert any("never comes back" in one for one in plan.warnings)
    with pytest.raises(Refused, match="has no public IPv4 address"):
        planned("ec2.remove-public-address", HOST, _addressed())


# --- profile ----------------------------------------------------------------------------------------


def _profiled(*, partition: str = "aws", roles: tuple[str, ...] = ("quell-isolation",)) -> dict[str, Any]:
    def arn(name: str) -> str:
        return f"arn:{partition}:iam::{ACCOUNT}:instance-profile/{name}"

    present = {
        "AssociationId": "iip-assoc-1",
        "State": "associated",
        "InstanceId": HOST,
        "IamInstanceProfile": {"Arn": arn("web")},
    }
    leaving = {
        **present,
        "AssociationId": "iip-assoc-0",
        "State": "disassociating",
        "IamInstanceProfile": {"Arn": arn("old")},
    }
    profile = {"InstanceProfile": {"Arn": arn("quell-isolation"), "Roles": list(roles)}}
    return {
        **answers(),
        "ec2:DescribeIamInstanceProfileAssociations": {"IamInstanceProfileAssociations": [leaving, present]},
        "iam:GetInstanceProfile": profile,
    }


def test_a_profile_is_replaced_and_undo_names_the_association_that_is_there_by_then() -> None:
    plan = planned(
        "ec2.replace-instance-profile", HOST, _profiled(partition="aws-us-gov"), partition="aws-us-gov"
    )

    isolated = f"arn:aws-us-gov:iam::{ACCOUNT}:instance-profile/quell-isolation"
    assert calls(plan)[0][1] == {"AssociationId": "iip-assoc-1", "IamInstanceProfile": {"Arn": isolated}}
    assert undos(plan)[0]["AssociationId"] == {"$ref": "replace"}
    assert undos(plan)[0]["IamInstanceProfile"]["Arn"].endswith("/web")
    assert plan.steps[0].value
    assert "arn:aws:" not in said(plan)


def test_without_a_profile_to_come_the_old_one_is_only_taken_off_when_asked_for() -> None:
    absent = {**_profiled(), "iam:GetInstanceProfile": None}
    with pytest.raises(Refused, match="there is no instance profile quell-isolation"):
        planned("ec2.replace-instance-profile", HOST, absent)
    with pytest.raises(Refused, match="has no role"):
        planned("ec2.replace-instance-profile", HOST, _profiled(roles=()))

    plan = planned("ec2.replace-instance-profile", HOST, absent, {"profile": "none"})

    assert calls(plan) == [("DisassociateIamInstanceProfile", {"AssociationId": "iip-assoc-1"})]
    assert undos(plan)[0]["InstanceId"] == HOST


# --- rules ------------------------------------------------------------------------------------------

GROUP = "sg-0123456789abcdef0"


def _rules(*rules: Mapping[str, Any]) -> dict[str, Any]:
    full = [{"GroupId": GROUP, "IsEgress": False, "IpProtocol": "tcp", **rule} for rule in rules]
    return {"ec2:DescribeSecurityGroupRules": {"SecurityGroupRules": full}}


SSH = {
    "SecurityGroupRuleId": "sgr-11111111",
    "FromPort": 22,
    "ToPort": 22,
    "CidrIpv4": "0.0.0.0/0",
    "Description": "temp",
    "Tags": [{"Key": "by", "Value": "mallory"}],
}
PEER = {
    "SecurityGroupRuleId": "sgr-22222222",
    "IsEgress": True,
    "IpProtocol": "-1",
    "FromPort": -1,
    "ToPort": -1,
    "ReferencedGroupInfo": {"GroupId": "sg-99999999", "UserId": "123123123123"},
}


def test_a_rule_is_revoked_by_id_and_put_back_by_what_it_says() -> None:
    wanted = {"rule_ids": ["sgr-22222222", "sgr-11111111"]}
    plan = planned("ec2.revoke-security-group-rule", GROUP, _rules(SSH, PEER), wanted)

    assert calls(plan) == [
        ("RevokeSecurityGroupIngress", {"GroupId": GROUP, "SecurityGroupRuleIds": ["sgr-11111111"]}),
        ("RevokeSecurityGroupEgress", {"GroupId": GROUP, "SecurityGroupRuleIds": ["sgr-22222222"]}),
    ]
    assert undos(plan)[0]["IpPermissions"] == [
        {
            "IpProtocol": "tcp",
            "FromPort": 22,
            "ToPort": 22,
            "IpRanges": [{"CidrIp": "0.0.0.0/0", "Description": "temp"}],
        }
    ]
    assert undos(plan)[0]["TagSpecifications"][0]["Tags"] == SSH["Tags"]
    pair = {"GroupId": "sg-99999999", "UserId": "123123123123"}
    assert undos(plan)[1]["IpPermissions"] == [{"IpProtocol": "-1", "UserIdGroupPairs": [pair]}]
    assert [step.was for step in plan.steps] == [1, 1]
    assert "tcp 22 from 0.0.0.0/0" in plan.changes[0]


def test_a_rule_that_is_not_there_or_a_name_of_a_group_is_refused() -> None:
    with pytest.raises(Refused, match="has no rule sgr-33333333"):
        planned("ec2.revoke-security-group-rule", GROUP, _rules(SSH), {"rule_ids": ["sgr-33333333"]})
    with pytest.raises(Refused, match="not the id of a security group"):
        planned("ec2.revoke-security-group-rule", "web", _rules(SSH), {"rule_ids": ["sgr-11111111"]})
    with pytest.raises(Invalid, match="does not have the form"):
        context("ec2.revoke-security-group-rule", GROUP, _rules(SSH), {"rule_ids": ["*"]})


# --- sharing ----------------------------------------------------------------------------------------

SNAPSHOT = "snap-0123456789abcdef0"
IMAGE = "ami-0123456789abcdef0"


def _with_forensic(type_id: str, target: str, table: Mapping[str, Any], **params: Any) -> Plan:
    made = context(type_id, target, table, params, partition="aws-us-gov")
    there = Place(account=FORENSIC, region="eu-west-1", duty=Duty.CONTAIN)
    return action_type(type_id)().plan(replace(made, places={**made.places, "forensic": there}))


def test_sharing_ends_for_everyone_but_the_forensic_account_unless_it_is_named() -> None:
    permissions = [{"UserId": FORENSIC}, {"UserId": "123123123123"}, {"Group": "all"}]
    table = {"ec2:DescribeSnapshotAttribute": {"CreateVolumePermissions": permissions}}

    plan = _with_forensic("ec2.unshare-snapshot", SNAPSHOT, table)
    named = _with_forensic("ec2.unshare-snapshot", SNAPSHOT, table, accounts=[FORENSIC])

    common = {"SnapshotId": SNAPSHOT, "Attribute": "createVolumePermission"}
    assert [params for _, params in calls(plan)] == [
        {**common, "OperationType": "remove", "UserIds": ["123123123123"]},
        {**common, "OperationType": "remove", "GroupNames": ["all"]},
    ]
    assert undos(plan)[1] == {**common, "OperationType": "add", "GroupNames": ["all"]}
    assert any(f"stays shared with account {FORENSIC}" in one for one in plan.warnings)
    assert [params["UserIds"] for _, params in calls(named)] == [[FORENSIC]]
    with pytest.raises(Refused, match="shared with nobody"):
        planned("ec2.unshare-snapshot", SNAPSHOT, {"ec2:DescribeSnapshotAttribute": {}})


def test_an_image_is_taken_back_from_accounts_organizations_and_the_public() -> None:
    organization = "arn:aws-us-gov:organizations::123123123123:organization/o-abcdefghij"
    permissions = [{"Group": "all"}, {"OrganizationArn": organization}, {"UserId": "123123123123"}]
    table = {
        "ec2:DescribeImages": {"Images": [{"ImageId": IMAGE}]},
        "ec2:DescribeImageAttribute": {"LaunchPermissions": permissions},
    }

    plan = _with_forensic("ec2.unshare-image", IMAGE, table)

    assert sorted(str(params["LaunchPermission"]) for _, params in calls(plan)) == sorted(
        str({"Remove": [one]}) for one in permissions
    )
    assert undos(plan)[0]["LaunchPermission"] == {"Add": [{"UserId": "123123123123"}]}
    assert "arn:aws:" not in said(plan)
    with pytest.raises(Refused, match="owns no image"):
        planned("ec2.unshare-image", IMAGE, {**table, "ec2:DescribeImages": {"Images": []}})


# --- to the forensic account ------------------------------------------------------------------------


def _keyed(manager: str, **snapshot: Any) -> dict[str, Any]:
    def key(params: Mapping[str, Any]) -> Any:
        whose = "AWS" if manager == "AWS" and params["KeyId"] == "default" else "CUSTOMER"
        arn = f"arn:aws-us-gov:kms:eu-west-1:{ACCOUNT}:key/{params['KeyId']}"
        return {"KeyMetadata": {"Arn": arn, "KeyManager": whose, "KeyState": "Enabled"}}

    one = {"SnapshotId": SNAPSHOT, "State": "completed", "VolumeId": "vol-a", **snapshot}
    return {
        "ec2:DescribeSnapshots": {"Snapshots": [one]},
        "ec2:DescribeSnapshotAttribute": {"CreateVolumePermissions": []},
        "kms:DescribeKey": key,
    }


PARAMS: dict[str, Any] = {"snapshot_ids": [SNAPSHOT], "forensic_key_id": "alias/evidence"}


def test_what_the_default_key_encrypts_is_copied_before_it_is_shared() -> None:
    table = _keyed("AWS", Encrypted=True, KmsKeyId="default")
    with pytest.raises(Refused, match="give kms_key_id"):
        _with_forensic("ec2.share-snapshots", HOST, table, **PARAMS)

    plan = _with_forensic("ec2.share-snapshots", HOST, table, kms_key_id="alias/shared", **PARAMS)

    made = [(one.call.at.account, one.call.operation) for one in plan.steps if one.call]
    assert made == [
        (ACCOUNT, "CopySnapshot"),
        (ACCOUNT, "ModifySnapshotAttribute"),
        (FORENSIC, "CopySnapshot"),
    ]
    assert calls(plan)[1][1]["SnapshotId"] == {"$ref": f"unlocked-{SNAPSHOT}"}
    assert calls(plan)[2][1]["SourceSnapshotId"] == {"$ref": f"unlocked-{SNAPSHOT}"}
    assert [one["OperationType"] for one in undos(plan)] == ["remove"]
    assert len(plan.facts["uses"]) == 2
    assert "arn:aws:" not in said(plan)


def test_what_is_open_or_has_a_key_of_its_own_is_shared_as_it_is() -> None:
    for snapshot in ({}, {"Encrypted": True, "KmsKeyId": "mine"}):
        plan = _with_forensic("ec2.share-snapshots", HOST, _keyed("CUSTOMER", **snapshot), **PARAMS)
        assert [operation for operation, _ in calls(plan)] == ["ModifySnapshotAttribute", "CopySnapshot"]
        assert calls(plan)[1][1]["SourceSnapshotId"] == SNAPSHOT
        assert calls(plan)[1][1]["KmsKeyId"] == "alias/evidence"


def test_an_unfinished_snapshot_and_more_volumes_than_copies_at_once_are_refused() -> None:
    with pytest.raises(Refused, match="not completed yet"):
        _with_forensic("ec2.share-snapshots", HOST, _keyed("CUSTOMER", State="pending"), **PARAMS)
    disks = [{"DeviceName": f"/dev/sd{n}", "Ebs": {"VolumeId": f"vol-{n}"}} for n in range(21)]
    many = answers(host(BlockDeviceMappings=disks))
    with pytest.raises(Refused, match="21 volumes, and AWS copies 20 at once"):
        _with_forensic("ec2.share-snapshots", HOST, many, forensic_key_id="alias/evidence")
    with pytest.raises(Refused, match="the estate names no forensic account"):
        planned("ec2.share-snapshots", HOST, _keyed("CUSTOMER"), PARAMS)


# --- isolate ----------------------------------------------------------------------------------------


def _isolating(groups: int = 3) -> dict[str, Any]:
    def described(params: Mapping[str, Any]) -> Any:
        return {"SecurityGroups": [] if params else [{"GroupId": f"sg-{n}"} for n in range(groups)]}

    eni = {"NetworkInterfaceId": "eni-1", "VpcId": "vpc-1", "Groups": [{"GroupId": "sg-1"}]}
    return {
        "ec2:DescribeNetworkInterfaces": {"NetworkInterfaces": [eni]},
        "ec2:DescribeSecurityGroups": described,
        "ec2:DescribeVpcs": {"Vpcs": [{"VpcId": "vpc-1"}]},
    }


def test_without_a_pause_there_is_no_open_group_at_all() -> None:
    plan = planned("ec2.isolate-instance", HOST, _isolating(), {"pause": 0})

    assert [operation for operation, _ in calls(plan)] == [
        "CreateSecurityGroup",
        "RevokeSecurityGroupEgress",
        "ModifyNetworkInterfaceAttribute",
    ]
    assert not any(step.open for step in plan.steps)
    assert any("not cut" in one for one in plan.warnings)
    assert undos(plan)[-1]["Groups"] == ["sg-1"]
    assert any(step.open for step in planned("ec2.isolate-instance", HOST, _isolating()).steps)


def test_the_quota_of_security_groups_is_a_warning_since_it_can_be_raised() -> None:
    assert planned("ec2.isolate-instance", HOST, _isolating(2498)).warnings == ()
    assert "2500" in planned("ec2.isolate-instance", HOST, _isolating(2499)).warnings[0]
