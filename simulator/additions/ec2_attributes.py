"""Attributes and metadata options of instances, where moto's answers are not AWS's.

A dry run changes nothing, metadata options that are not named stay as they are, an instance that is
protected from being stopped is not, hibernation needs to have been asked for at launch, and the
shutdown behaviour is set by the member of that name.
https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifyInstanceMetadataOptions.html
https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifyInstanceAttribute.html
https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_StopInstances.html
"""

from __future__ import annotations

from typing import Any

from moto.core.responses import EmptyResult
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models.instances import InstanceBackend
from moto.ec2.responses.instances import InstanceResponse

SHUTDOWN = "InstanceInitiatedShutdownBehavior"
OPTIONS = {
    "http_tokens": "http_tokens",
    "hop_limit": "http_put_response_hop_limit",
    "http_endpoint": "http_endpoint",
    "http_protocol": "http_protocol_ipv6",
    "metadata_tags": "instance_metadata_tags",
}
"""moto's arguments and the members in which it keeps them."""


def _refuse_stop(instance: Any) -> None:
    if instance.disable_api_stop in (True, "true"):
        raise EC2ClientError(
            "OperationNotPermitted",
            f"The instance '{instance.id}' may not be stopped. Modify its 'disableApiStop' instance"
            " attribute and try again.",
        )


def _refuse_hibernation(instance: Any) -> None:
    if str((instance.hibernation_options or {}).get("Configured")).lower() != "true":
        raise EC2ClientError(
            "UnsupportedHibernationConfiguration",
            f"Instance '{instance.id}' is not configured for hibernation.",
        )


def _keep_options(backend: Any) -> None:
    modify = backend.modify_instance_metadata_options

    def modify_instance_metadata_options(self: Any, instance_id: str, **given: Any) -> Any:
        kept = self.get_instance(instance_id).metadata_options
        for argument, member in OPTIONS.items():
            if given.get(argument) is None:
                given[argument] = getattr(kept, member)
        return modify(self, instance_id, **given)

    backend.modify_instance_metadata_options = modify_instance_metadata_options


def _check_first(response: Any) -> None:
    modify_options, modify, stop = (
        response.modify_instance_metadata_options,
        response.modify_instance_attribute,
        response.stop_instances,
    )

    def modify_instance_metadata_options(self: Any) -> Any:
        self.ec2_backend.get_instance(self._get_param("InstanceId"))
        self.error_on_dryrun()
        return modify_options(self)

    def modify_instance_attribute(self: Any) -> Any:
        value = self._get_param(f"{SHUTDOWN}.Value")
        if value is None:
            return modify(self)
        self.error_on_dryrun()
        self.ec2_backend.modify_instance_attribute(
            self._get_param("InstanceId"), "instance_initiated_shutdown_behavior", value
        )
        return EmptyResult()

    def stop_instances(self: Any) -> Any:
        instances = [self.ec2_backend.get_instance(one) for one in self._get_param("InstanceIds", [])]
        self.error_on_dryrun()
        for instance in instances:
            _refuse_stop(instance)
            if self._get_param("Hibernate"):
                _refuse_hibernation(instance)
        return stop(self)

    response.modify_instance_metadata_options = modify_instance_metadata_options
    response.modify_instance_attribute = modify_instance_attribute
    response.stop_instances = stop_instances


def apply() -> None:
    """Put AWS's own checks before moto's handlers."""
    _check_first(InstanceResponse)
    _keep_options(InstanceBackend)
