"""Instances, their addresses, rules, profiles, snapshots and images."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tests.containment.subjects.first import instance
from tests.containment.subjects.subject import Subject
from tests.containment.world import REGION, SHIPPING, World

Aim = tuple[Mapping[str, Any], Mapping[str, Any]]
DISKS = "BlockDeviceMappings"


def _target(kind: str, name: str) -> Mapping[str, Any]:
    return {"type": kind, "account": SHIPPING, "region": REGION, "id": name}


def _host_aim(**params: Any) -> Callable[[World], Aim]:
    return lambda world: (_target("instance", instance(world)["id"]), params)


def described(world: World) -> Mapping[str, Any]:
    """The subject's instance as AWS shows it."""
    found = world.admin("ec2").describe_instances(InstanceIds=[instance(world)["id"]])
    host: Mapping[str, Any] = found["Reservations"][0]["Instances"][0]
    return host


def _attribute(world: World, name: str) -> Any:
    answer = world.admin("ec2").describe_instance_attribute(InstanceId=instance(world)["id"], Attribute=name)
    return answer[name[0].upper() + name[1:]]["Value"]


def _set(world: World, **attribute: Any) -> None:
    world.admin("ec2").modify_instance_attribute(InstanceId=instance(world)["id"], **attribute)


# --- protect ----------------------------------------------------------------------------------------


def _loss(world: World) -> Any:
    return {
        "termination": _attribute(world, "disableApiTermination"),
        "shutdown": _attribute(world, "instanceInitiatedShutdownBehavior"),
        "volumes": sorted(
            (one["DeviceName"], one["Ebs"]["DeleteOnTermination"]) for one in described(world)[DISKS]
        ),
    }


def _terminates_on_shutdown(world: World) -> None:
    _set(world, InstanceInitiatedShutdownBehavior={"Value": "terminate"})


def _protected(world: World) -> None:
    _set(world, DisableApiTermination={"Value": True})
    _set(world, InstanceInitiatedShutdownBehavior={"Value": "stop"})
    for disk in described(world)[DISKS]:
        mapping = {"DeviceName": disk["DeviceName"], "Ebs": {"DeleteOnTermination": False}}
        _set(world, BlockDeviceMappings=[mapping])


def _unprotect(world: World) -> None:
    _set(world, DisableApiTermination={"Value": False})
    _set(world, InstanceInitiatedShutdownBehavior={"Value": "terminate"})
    root = {"DeviceName": "/dev/xvda", "Ebs": {"DeleteOnTermination": True}}
    _set(world, BlockDeviceMappings=[root])


# --- metadata service -------------------------------------------------------------------------------


def _metadata(world: World) -> Any:
    options = described(world)["MetadataOptions"]
    return {
        name: options[name] for name in ("HttpEndpoint", "HttpTokens", "HttpPutResponseHopLimit", "State")
    }


def _options(**options: Any) -> Callable[[World], None]:
    def change(world: World) -> None:
        world.admin("ec2").modify_instance_metadata_options(InstanceId=instance(world)["id"], **options)

    return change


# --- stop -------------------------------------------------------------------------------------------


def _state(world: World) -> Any:
    return described(world)["State"]["Name"]


def _stop(world: World) -> None:
    world.admin("ec2").stop_instances(InstanceIds=[instance(world)["id"]])


def _start(world: World) -> None:
    world.admin("ec2").start_instances(InstanceIds=[instance(world)["id"]])


def _tag_other_host(world: World) -> None:
    other = next(i for i in world.estate["instances"] if i["name"] == "carrier-sync")
    world.admin("ec2").create_tags(Resources=[other["id"]], Tags=[{"Key": "note", "Value": "elsewhere"}])


# --- public addresses -------------------------------------------------------------------------------


def _interfaces(world: World) -> list[str]:
    return [str(one["id"]) for one in instance(world)["interfaces"]]


def _give_addresses(world: World) -> None:
    """Two elastic addresses, and one that AWS assigns by itself."""
    ec2, interfaces = world.admin("ec2"), _interfaces(world)
    for eni in interfaces[:2]:
        address = ec2.allocate_address(Domain="vpc")["AllocationId"]
        ec2.associate_address(AllocationId=address, NetworkInterfaceId=eni)
    ec2.modify_network_interface_attribute(NetworkInterfaceId=interfaces[2], AssociatePublicIpAddress=True)


def _addresses(world: World) -> Any:
    """Which interface has which elastic address, and which one an automatic."""
    found = world.admin("ec2").describe_network_interfaces(NetworkInterfaceIds=_interfaces(world))
    seen = []
    for one in found["NetworkInterfaces"]:
        association = one.get("Association") or {}
        automatic = association.get("IpOwnerId") == "amazon"
        public = "automatic" if automatic else association.get("PublicIp", "")
        seen.append((one["NetworkInterfaceId"], one["PrivateIpAddress"], public))
    return sorted(seen)


def _elastic(world: World) -> list[Mapping[str, Any]]:
    found = world.admin("ec2").describe_addresses()["Addresses"]
    return sorted(found, key=lambda one: str(one["AllocationId"]))


def _put_elsewhere(world: World) -> None:
    other = next(i for i in world.estate["instances"] if i["name"] == "carrier-sync")
    world.admin("ec2").associate_address(
        AllocationId=_elastic(world)[0]["AllocationId"],
        NetworkInterfaceId=other["interfaces"][0]["id"],
        AllowReassociation=True,
    )


# --- rules ------------------------------------------------------------------------------------------


def _group(world: World) -> str:
    network = next(n for n in world.estate["networks"] if n["account"] == SHIPPING)
    return str(network["security_groups"]["tracking-app"])


def _rules(world: World) -> list[Mapping[str, Any]]:
    by = [{"Name": "group-id", "Values": [_group(world)]}]
    found: list[Mapping[str, Any]] = world.admin("ec2").describe_security_group_rules(Filters=by)[
        "SecurityGroupRules"
    ]
    return found


def _open_rules(world: World) -> None:
    """What an attacker opens: SSH to the world, and everything outward to one address."""
    ec2, group = world.admin("ec2"), _group(world)
    ssh = {
        "IpProtocol": "tcp",
        "FromPort": 22,
        "ToPort": 22,
        "IpRanges": [{"CidrIp": "0.0.0.0/0", "Description": "temp"}],
    }
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[ssh])
    out = {
        "IpProtocol": "tcp",
        "FromPort": 4444,
        "ToPort": 4449,
        "Ipv6Ranges": [{"CidrIpv6": "2001:db8::/48"}],
    }
    ec2.authorize_security_group_egress(GroupId=group, IpPermissions=[out])


def _rule_aim(world: World) -> Aim:
    wanted = [
        one["SecurityGroupRuleId"]
        for one in _rules(world)
        if one.get("CidrIpv6") == "2001:db8::/48" or one.get("FromPort") == 22
    ]
    return _target("security_group", _group(world)), {"rule_ids": sorted(wanted)}


def _said_by_rules(world: World) -> Any:
    """Every rule of the group without its id."""
    return sorted(
        str(
            {k: v for k, v in sorted(one.items()) if k not in ("SecurityGroupRuleId", "SecurityGroupRuleArn")}
        )
        for one in _rules(world)
    )


def _allow_https(world: World) -> None:
    https = {"IpProtocol": "tcp", "FromPort": 444, "ToPort": 444, "IpRanges": [{"CidrIp": "10.9.0.0/16"}]}
    world.admin("ec2").authorize_security_group_ingress(GroupId=_group(world), IpPermissions=[https])


# --- profile ----------------------------------------------------------------------------------------


def _make_profiles(world: World) -> None:
    """The profile of the quarantine, and one of somebody else's."""
    iam = world.admin("iam")
    trust = (
        '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole",'
        '"Principal":{"Service":"ec2.amazonaws.com"}}]}'
    )
    for name in ("quell-isolation", "somebody-elses"):
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust)
        iam.create_instance_profile(InstanceProfileName=name)
        iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)


def _associations(world: World) -> list[Mapping[str, Any]]:
    by = [{"Name": "instance-id", "Values": [instance(world)["id"]]}]
    found: list[Mapping[str, Any]] = world.admin("ec2").describe_iam_instance_profile_associations(
        Filters=by
    )["IamInstanceProfileAssociations"]
    return found


def _profile(world: World) -> Any:
    return [one["IamInstanceProfile"]["Arn"].rsplit("/", 1)[-1] for one in _associations(world)]


def _swap_to(name: str) -> Callable[[World], None]:
    def swap(world: World) -> None:
        world.admin("ec2").replace_iam_instance_profile_association(
            AssociationId=_associations(world)[0]["AssociationId"], IamInstanceProfile={"Name": name}
        )

    return swap


# --- sharing ----------------------------------------------------------------------------------------

STRANGERS = ("123123123123", "321321321321")
SNAPSHOT_MARK = "shared by mistake"


def _share_snapshot(world: World) -> None:
    volume = instance(world)["volumes"][0]["id"]
    world.admin("ec2").create_snapshot(VolumeId=volume, Description=SNAPSHOT_MARK)
    _share_again(world)


def _share_again(world: World) -> None:
    for named in ({"UserIds": list(STRANGERS)}, {"GroupNames": ["all"]}):
        world.admin("ec2").modify_snapshot_attribute(
            SnapshotId=_snapshot(world), Attribute="createVolumePermission", OperationType="add", **named
        )


def _snapshot(world: World) -> str:
    by = [{"Name": "description", "Values": [SNAPSHOT_MARK]}]
    found = world.admin("ec2").describe_snapshots(OwnerIds=["self"], Filters=by)["Snapshots"]
    return str(found[0]["SnapshotId"])


def _snapshot_shares(world: World) -> Any:
    answer = world.admin("ec2").describe_snapshot_attribute(
        SnapshotId=_snapshot(world), Attribute="createVolumePermission"
    )
    return sorted(one.get("UserId") or one["Group"] for one in answer["CreateVolumePermissions"])


def _take_one_snapshot_share(world: World) -> None:
    world.admin("ec2").modify_snapshot_attribute(
        SnapshotId=_snapshot(world),
        Attribute="createVolumePermission",
        OperationType="remove",
        UserIds=[STRANGERS[0]],
    )


def _image(world: World) -> str:
    found = world.admin("ec2").describe_images(Owners=["self"])["Images"]
    return str(next(one["ImageId"] for one in found if one["Name"] == "nf-base-2026.11"))


def _change_image_share(way: str, *grantees: Mapping[str, str]) -> Callable[[World], None]:
    def change(world: World) -> None:
        world.admin("ec2").modify_image_attribute(
            ImageId=_image(world), LaunchPermission={way: list(grantees)}
        )

    return change


def _image_shares(world: World) -> Any:
    answer = world.admin("ec2").describe_image_attribute(ImageId=_image(world), Attribute="launchPermission")
    return sorted(next(iter(one.values())) for one in answer["LaunchPermissions"])


# --- the end ----------------------------------------------------------------------------------------


def _snapshot_all(world: World) -> None:
    """What has to be there before an instance may be terminated; it is protected, too."""
    spec = {"InstanceId": instance(world)["id"]}
    world.admin("ec2").create_snapshots(InstanceSpecification=spec, Description="before the end")
    _set(world, DisableApiTermination={"Value": True})


# --- to the forensic account -----------------------------------------------------------------------

FORENSIC = "222233334444"
PLAIN, LOCKED = "disk 0", "disk 1, default key"


def _take_snapshots(world: World) -> None:
    """One snapshot in the clear, one under the account's default key; and a key in each account."""
    ec2, disks = world.admin("ec2"), instance(world)["volumes"]
    plain = ec2.create_snapshot(VolumeId=disks[0]["id"], Description=PLAIN)["SnapshotId"]
    # The default key exists from the first encrypted volume on.
    ec2.create_volume(AvailabilityZone=f"{REGION}a", Size=1, Encrypted=True)
    ec2.copy_snapshot(
        SourceSnapshotId=plain,
        SourceRegion=REGION,
        Description=LOCKED,
        Encrypted=True,
        KmsKeyId="alias/aws/ebs",
    )


def _own_snapshots(world: World) -> dict[str, str]:
    found = world.admin("ec2").describe_snapshots(OwnerIds=["self"])["Snapshots"]
    return {one["Description"]: one["SnapshotId"] for one in found}


def _sharing_aim(world: World) -> Aim:
    own = _own_snapshots(world)
    target, _ = _host_aim()(world)
    return target, {
        "kms_key_id": "alias/shipping-data",
        "forensic_key_id": "alias/evidence",
        "snapshot_ids": sorted([own[PLAIN], own[LOCKED]]),
    }


def _copies(world: World, account: str) -> list[Any]:
    """The copies that carry our mark in an account, without what differs from run to run."""
    found = world.admin("ec2", account).describe_snapshots(OwnerIds=["self"])["Snapshots"]
    ours = [one for one in found if "quell:copy" in str(one.get("Tags"))]
    return sorted((one["State"], one["Encrypted"], one["Description"].split(" ")[1][:5]) for one in ours)


def _shared_snapshots(world: World) -> list[Any]:
    ec2, shared = world.admin("ec2"), []
    for description, snapshot in sorted(_own_snapshots(world).items()):
        answer = ec2.describe_snapshot_attribute(SnapshotId=snapshot, Attribute="createVolumePermission")
        if answer["CreateVolumePermissions"]:
            what = "a copy" if description.startswith("quell-") else description
            shared.append((what, sorted(one["UserId"] for one in answer["CreateVolumePermissions"])))
    return sorted(shared)


def _evidence(world: World) -> Any:
    return {
        "shared": _shared_snapshots(world),
        "copies": _copies(world, SHIPPING),
        "kept": _copies(world, FORENSIC),
    }


def _end_all_sharing(world: World) -> None:
    for snapshot in _own_snapshots(world).values():
        world.admin("ec2").modify_snapshot_attribute(
            SnapshotId=snapshot,
            Attribute="createVolumePermission",
            OperationType="remove",
            UserIds=[FORENSIC],
        )


def _share_plain(world: World) -> None:
    world.admin("ec2").modify_snapshot_attribute(
        SnapshotId=_own_snapshots(world)[PLAIN],
        Attribute="createVolumePermission",
        OperationType="add",
        UserIds=[FORENSIC],
    )


SUBJECTS: dict[str, Subject] = {
    "ec2.protect-instance": Subject(
        arrange=_terminates_on_shutdown,
        aim=_host_aim(),
        look=_loss,
        disturb=_unprotect,
        drift=_protected,
        already=_protected,
        unrelated=_tag_other_host,
        two_valued=True,
    ),
    "ec2.lock-metadata-service": Subject(
        aim=_host_aim(),
        look=_metadata,
        disturb=_options(HttpTokens="required", HttpPutResponseHopLimit=3),
        drift=_options(HttpPutResponseHopLimit=2),
        already=_options(HttpTokens="required", HttpPutResponseHopLimit=1),
        unrelated=_tag_other_host,
    ),
    "ec2.stop-instance": Subject(
        aim=_host_aim(),
        look=_state,
        disturb=_start,
        drift=_stop,
        already=_stop,
        unrelated=_tag_other_host,
        two_valued=True,
    ),
    "ec2.remove-public-address": Subject(
        arrange=_give_addresses,
        aim=_host_aim(give_up_automatic=True),
        look=_addresses,
        disturb=_put_elsewhere,
        drift=_put_elsewhere,
        unrelated=_tag_other_host,
        nothing_left="no public IPv4 address",
    ),
    "ec2.revoke-security-group-rule": Subject(
        arrange=_open_rules,
        aim=_rule_aim,
        look=_said_by_rules,
        disturb=_open_rules,
        unrelated=_allow_https,
        two_valued=True,
        nothing_left="has no rule",
    ),
    "ec2.replace-instance-profile": Subject(
        arrange=_make_profiles,
        aim=_host_aim(),
        look=_profile,
        disturb=_swap_to("somebody-elses"),
        drift=_swap_to("somebody-elses"),
        already=_swap_to("quell-isolation"),
        unrelated=_tag_other_host,
    ),
    "ec2.unshare-snapshot": Subject(
        arrange=_share_snapshot,
        aim=lambda world: (_target("snapshot", _snapshot(world)), {}),
        look=_snapshot_shares,
        disturb=_share_again,
        drift=_take_one_snapshot_share,
        unrelated=_tag_other_host,
        two_valued=True,
        nothing_left="shared with nobody",
    ),
    "ec2.unshare-image": Subject(
        arrange=_change_image_share("Add", {"Group": "all"}, {"UserId": STRANGERS[0]}),
        aim=lambda world: (_target("image", _image(world)), {}),
        look=_image_shares,
        disturb=_change_image_share("Add", {"Group": "all"}, {"UserId": STRANGERS[0]}),
        drift=_change_image_share("Add", {"UserId": STRANGERS[1]}),
        unrelated=_tag_other_host,
        two_valued=True,
        nothing_left="shared with nobody",
    ),
    "ec2.terminate-instance": Subject(
        arrange=_snapshot_all,
        aim=_host_aim(),
        look=_state,
        drift=lambda world: _set(world, DisableApiTermination={"Value": False}),
        has_undo=False,
    ),
    "ec2.share-snapshots": Subject(
        arrange=_take_snapshots,
        aim=_sharing_aim,
        look=_evidence,
        restored=lambda look: look["shared"],
        disturb=_end_all_sharing,
        drift=_share_plain,
        two_valued=True,
    ),
}
