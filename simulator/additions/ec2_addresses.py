"""Public addresses, elastic and automatic.

An elastic address that is put on an interface is on its instance as well; an address that AWS
assigned by itself belongs to `amazon`; and an interface gives its automatic address up, or gets
another, by `AssociatePublicIpAddress`.
https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeAddresses.html
https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifyNetworkInterfaceAttribute.html
"""

from __future__ import annotations

from typing import Any

from moto.core.responses import EmptyResult
from moto.ec2.models.elastic_ip_addresses import ElasticAddressBackend
from moto.ec2.models.elastic_network_interfaces import NetworkInterface
from moto.ec2.responses.elastic_network_interfaces import ElasticNetworkInterfaces


def _name_owners(model: Any) -> None:
    shown = model.association.fget

    def association(self: Any) -> dict[str, Any]:
        found: dict[str, Any] = shown(self)
        if found and "associationId" not in found:
            found["ipOwnerId"] = "amazon"
        return found

    model.association = property(association)


def _know_the_instance(backend: Any) -> None:
    associate = backend.associate_address

    def associate_address(self: Any, instance: Any = None, eni: Any = None, **more: Any) -> Any:
        address = associate(self, instance=instance, eni=eni, **more)
        if address.instance is None and address.eni is not None:
            address.instance = address.eni.instance
        return address

    backend.associate_address = associate_address


def _take_automatic(response: Any) -> None:
    modify = response.modify_network_interface_attribute

    def modify_network_interface_attribute(self: Any) -> Any:
        wanted = self._get_param("AssociatePublicIpAddress")
        if wanted is None:
            return modify(self)
        interface = self.ec2_backend.get_network_interface(self._get_param("NetworkInterfaceId"))
        self.error_on_dryrun()
        _assign(interface, wanted=str(wanted).lower() == "true")
        return EmptyResult()

    response.modify_network_interface_attribute = modify_network_interface_attribute


def _assign(interface: Any, *, wanted: bool) -> None:
    interface.public_ip_auto_assign = wanted
    has_elastic = "associationId" in interface.association
    if wanted and not interface.public_ip:
        interface.check_auto_public_ip()
    if not wanted and not has_elastic:
        interface.public_ip = None


def apply() -> None:
    """Make moto's three views of an address one."""
    _name_owners(NetworkInterface)
    _know_the_instance(ElasticAddressBackend)
    _take_automatic(ElasticNetworkInterfaces)
