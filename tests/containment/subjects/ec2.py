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
}
