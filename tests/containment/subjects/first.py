"""The first four types."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tests.containment.subjects.subject import Subject
from tests.containment.world import REGION, SHIPPING, World


def _key(world: World) -> Mapping[str, str]:
    user = next(u for u in world.estate["users"] if u["name"] == "ci-deploy")
    key: Mapping[str, str] = user["access_keys"][0]
    return key


def _key_aim(world: World) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    target = {"type": "access_key", "account": SHIPPING, "region": REGION, "id": _key(world)["access_key_id"]}
    return target, {"user": "ci-deploy"}


def _keys(world: World) -> Any:
    listed = world.admin("iam").list_access_keys(UserName="ci-deploy")["AccessKeyMetadata"]
    return sorted((one["AccessKeyId"], one["Status"]) for one in listed)


def _turn_key(status: str) -> Callable[[World], None]:
    def turn(world: World) -> None:
        world.admin("iam").update_access_key(
            UserName="ci-deploy", AccessKeyId=_key(world)["access_key_id"], Status=status
        )

    return turn


ROLE = "tracking-api"


def _role_aim(world: World) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    return {"type": "role", "account": SHIPPING, "region": REGION, "id": ROLE}, {}


def _role_policies(world: World) -> Any:
    iam = world.admin("iam")
    names = iam.list_role_policies(RoleName=ROLE)["PolicyNames"]
    return {
        _unmarked(name): _undated(iam.get_role_policy(RoleName=ROLE, PolicyName=name)["PolicyDocument"])
        for name in names
    }


def _unmarked(name: str) -> str:
    return "quell-revoke" if name.startswith("quell-") else name


def _undated(document: Any) -> Any:
    """A policy without the moment of its cut-off and our action's id, which differ from run to run."""
    for statement in document["Statement"]:
        statement.pop("Sid", None)
        cut = statement.get("Condition", {}).get("DateLessThan", {})
        if "aws:TokenIssueTime" in cut:
            cut["aws:TokenIssueTime"] = "then"
    return document


def _unrelated_policy(world: World) -> None:
    world.admin("iam").put_role_policy(
        RoleName=ROLE,
        PolicyName="somebody-elses",
        PolicyDocument='{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:ListAllMyBuckets","Resource":"*"}]}',
    )


def _rewrite_our_policy(world: World) -> None:
    iam = world.admin("iam")
    for name in iam.list_role_policies(RoleName=ROLE)["PolicyNames"]:
        if name.startswith("quell-"):
            iam.put_role_policy(
                RoleName=ROLE,
                PolicyName=name,
                PolicyDocument='{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}',
            )


def instance(world: World) -> Mapping[str, Any]:
    found: Mapping[str, Any] = next(i for i in world.estate["instances"] if i["name"] == "tracking-api")
    return found


def _instance_aim(world: World) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    host = instance(world)
    return {"type": "instance", "account": SHIPPING, "region": REGION, "id": host["id"]}, {}


def groups_of(world: World) -> dict[str, list[str]]:
    """The security groups of each interface of the instance, sorted."""
    found = world.admin("ec2").describe_network_interfaces(
        Filters=[{"Name": "attachment.instance-id", "Values": [instance(world)["id"]]}]
    )["NetworkInterfaces"]
    return {
        one["NetworkInterfaceId"]: sorted(group["GroupId"] for group in one["Groups"])
        for one in sorted(found, key=lambda one: str(one["NetworkInterfaceId"]))
    }


def _network(world: World) -> Any:
    """Interfaces by the names of their groups, and the rules of every group, without run-time ids."""
    ec2 = world.admin("ec2")
    groups = {one["GroupId"]: one for one in ec2.describe_security_groups()["SecurityGroups"]}
    names = {group_id: _without_mark(one["GroupName"]) for group_id, one in groups.items()}
    return {
        "interfaces": {
            eni: sorted(names[group] for group in members) for eni, members in groups_of(world).items()
        },
        "groups": sorted(
            (names[g], _ways(one["IpPermissions"]), _ways(one["IpPermissionsEgress"]))
            for g, one in groups.items()
        ),
    }


def _without_mark(name: str) -> str:
    return "-".join(name.split("-")[2:]) if name.startswith("quell-") else name


def _ways(permissions: list[dict[str, Any]]) -> list[str]:
    found = []
    for one in permissions:
        proto = f"{one['IpProtocol']}:{one.get('FromPort', '')}"
        found += [f"{proto} {r['CidrIp']}" for r in one.get("IpRanges", [])]
        found += [f"{proto} {r['CidrIpv6']}" for r in one.get("Ipv6Ranges", [])]
        found += [f"{proto} {r['GroupId']}" for r in one.get("UserIdGroupPairs", [])]
    return sorted(found)


def _move_one_interface(world: World) -> None:
    host = instance(world)
    groups = world.admin("ec2").describe_security_groups(
        Filters=[{"Name": "vpc-id", "Values": [host["vpc"]]}, {"Name": "group-name", "Values": ["default"]}]
    )["SecurityGroups"]
    world.admin("ec2").modify_network_interface_attribute(
        NetworkInterfaceId=host["interfaces"][1]["id"], Groups=[groups[0]["GroupId"]]
    )


def _other_host(world: World) -> None:
    other = next(i for i in world.estate["instances"] if i["name"] == "carrier-sync")
    world.admin("ec2").create_tags(Resources=[other["id"]], Tags=[{"Key": "note", "Value": "elsewhere"}])


def _snapshots(world: World) -> Any:
    found = world.admin("ec2").describe_snapshots(OwnerIds=["self"])["Snapshots"]
    return sorted(
        (one["VolumeId"], one["State"], _owner(one)) for one in found if one["VolumeId"] in _volumes(world)
    )


def _volumes(world: World) -> set[str]:
    return {volume["id"] for volume in instance(world)["volumes"]}


def _owner(snapshot: Mapping[str, Any]) -> bool:
    return any(tag["Key"] == "quell:action" for tag in snapshot.get("Tags", []))


def _detach_volume(world: World) -> None:
    host = instance(world)
    volume = host["volumes"][-1]
    world.admin("ec2").detach_volume(VolumeId=volume["id"], InstanceId=host["id"], Device=volume["device"])


SUBJECTS: dict[str, Subject] = {
    "iam.deactivate-access-key": Subject(
        aim=_key_aim,
        look=_keys,
        disturb=_turn_key("Active"),
        drift=_turn_key("Inactive"),
        already=_turn_key("Inactive"),
        two_valued=True,
    ),
    "iam.revoke-role-sessions": Subject(
        aim=_role_aim,
        look=_role_policies,
        disturb=_rewrite_our_policy,
        unrelated=_unrelated_policy,
        meets_itself=False,
    ),
    "ec2.snapshot-volumes": Subject(aim=_instance_aim, look=_snapshots, drift=_detach_volume, has_undo=False),
    "ec2.isolate-instance": Subject(
        aim=_instance_aim,
        look=_network,
        disturb=_move_one_interface,
        drift=_move_one_interface,
        unrelated=_other_host,
    ),
}
