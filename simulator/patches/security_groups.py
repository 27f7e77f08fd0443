"""A security group in use cannot be deleted.

AWS answers DependencyViolation while an interface carries the group or another group's rule names it.
https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteSecurityGroup.html
"""

# ruff: noqa: SLF001  # reaching into moto is what a patch does
from __future__ import annotations

from typing import Any

from moto.ec2.exceptions import DependencyViolationError, EC2ClientError
from moto.ec2.models.security_groups import SecurityGroupBackend


def _named_by_rule(group: Any, group_id: str) -> bool:
    rules = [*group.ingress_rules, *group.egress_rules]
    return any((rule.source_group or {}).get("GroupId") == group_id for rule in rules)


def _in_use(backend: Any, group_id: str) -> bool:
    if any(group.id == group_id for eni in backend.enis.values() for group in eni._group_set):
        return True
    others = (
        group for groups in backend.groups.values() for group in groups.values() if group.id != group_id
    )
    return any(_named_by_rule(group, group_id) for group in others)


def apply() -> None:
    """Look for dependants before moto deletes."""
    original = SecurityGroupBackend.delete_security_group

    def delete(self: Any, name: str | None = None, group_id: str | None = None) -> None:
        group = self.get_security_group_by_name_or_id(group_id or name)
        if group is not None and group.name == "default":
            raise EC2ClientError("CannotDelete", "the specified group: default cannot be deleted by a user")
        if group is not None and _in_use(self, group.id):
            raise DependencyViolationError(f"resource {group.id} has a dependent object")
        original(self, name, group_id)

    SecurityGroupBackend.delete_security_group = delete  # type: ignore[method-assign]
