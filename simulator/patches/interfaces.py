"""Security groups belong to network interfaces, and every view of them agrees.

In AWS an instance's groups are those of its primary interface. Changing them on the interface
changes what DescribeInstances shows; ModifyInstanceAttribute changes the one interface of an
instance and is refused when there are several; a group of another VPC is refused.
https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifyInstanceAttribute.html
https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifyNetworkInterfaceAttribute.html

moto keeps a list on the instance and one on the interface, and shows their union on the latter.
"""

# ruff: noqa: SLF001  # reaching into moto is what a patch does
from __future__ import annotations

from typing import Any

from moto.ec2.exceptions import EC2ClientError, InvalidSecurityGroupNotFoundError
from moto.ec2.models.elastic_network_interfaces import NetworkInterface, NetworkInterfaceBackend
from moto.ec2.models.instances import Instance, InstanceBackend


def _groups_of_primary_interface(instance: Any) -> list[Any]:
    primary = instance.__dict__.get("nics", {}).get(0)
    return list(primary._group_set) if primary is not None else instance.__dict__.get("security_groups", [])


def _keep_launch_groups(instance: Any, groups: list[Any]) -> None:
    instance.__dict__["security_groups"] = list(groups)


def _wanted_groups(backend: Any, group_ids: list[str], vpc_id: str) -> list[Any]:
    groups = []
    for group_id in group_ids:
        group = backend.get_security_group_from_id(group_id)
        if group is None:
            raise InvalidSecurityGroupNotFoundError(group_id)
        if group.vpc_id != vpc_id:
            raise EC2ClientError(
                "InvalidParameterValue",
                f"You have specified two resources that belong to different networks: {group_id}",
            )
        groups.append(group)
    return groups


def _modify_instance_groups(backend: Any, instance_id: str, new_group_id_list: list[str]) -> Any:
    instance = backend.get_instance(instance_id)
    if len(instance.nics) > 1:
        raise EC2ClientError(
            "InvalidInstanceID",
            f"There are multiple interfaces attached to instance '{instance_id}'. "
            "Please specify an interface ID for the operation instead.",
        )
    for interface in instance.nics.values():
        interface._group_set = _wanted_groups(backend, new_group_id_list, interface.vpc_id)
    return instance


def apply() -> None:
    """Make the interface the one owner of the list."""
    instance: Any = Instance
    instance.security_groups = property(_groups_of_primary_interface, _keep_launch_groups)
    interface_model: Any = NetworkInterface
    interface_model.group_set = property(lambda self: self._group_set)
    instances: Any = InstanceBackend
    instances.modify_instance_security_groups = _modify_instance_groups
    original = NetworkInterfaceBackend.modify_network_interface_attribute

    def modify(self: Any, eni_id: str, group_ids: list[str], *rest: Any, **more: Any) -> None:
        interface = self.get_network_interface(eni_id)
        _wanted_groups(self, group_ids, interface.vpc_id)
        original(self, eni_id, group_ids, *rest, **more)

    NetworkInterfaceBackend.modify_network_interface_attribute = modify  # type: ignore[method-assign]
