"""An instance is in an Auto Scaling group once, and leaves only the one it is in.

https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_AttachInstances.html
https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_DetachInstances.html
"""

from __future__ import annotations

from typing import Any

from moto.autoscaling.exceptions import ValidationError
from moto.autoscaling.models import AutoScalingBackend


def _members(group: Any) -> set[str]:
    return {state.instance.id for state in group.instance_states}


def apply() -> None:
    """Refuse what AWS refuses."""
    target: Any = AutoScalingBackend
    attach, detach = target.attach_instances, target.detach_instances

    def attach_instances(self: Any, group_name: str, instance_ids: list[str]) -> None:
        for group in self.autoscaling_groups.values():
            for instance in sorted(_members(group) & set(instance_ids)):
                raise ValidationError(f"Instance {instance} is already part of AutoScalingGroup:{group.name}")
        attach(self, group_name, instance_ids)

    def detach_instances(self: Any, group_name: str, instance_ids: list[str], *rest: Any) -> Any:
        group = self.autoscaling_groups[group_name]
        for instance in sorted(set(instance_ids) - _members(group)):
            raise ValidationError(f"The instance {instance} is not part of Auto Scaling group {group.name}.")
        activities = detach(self, group_name, instance_ids, *rest)
        for instance in instance_ids:
            # moto would show it in its first group for ever.
            vars(self.ec2_backend.get_instance(instance)).pop("autoscaling_group", None)
        return activities

    target.attach_instances = attach_instances
    target.detach_instances = detach_instances
