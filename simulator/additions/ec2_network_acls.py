"""Network ACLs answer a dry run as one, and say what is not there.

moto carries out the call under DryRun, and fails with a 500 for a rule or an association that it does
not have. A subnet knows its ACL by one association, whose id changes with each move.
https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteNetworkAclEntry.html
https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ReplaceNetworkAclAssociation.html
"""

# ruff: noqa: SLF001  # reaching into moto is what an addition does
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models.network_acls import NetworkAclBackend
from moto.ec2.responses.network_acls import NetworkACLs

CHANGING = (
    "create_network_acl",
    "create_network_acl_entry",
    "delete_network_acl",
    "delete_network_acl_entry",
    "replace_network_acl_association",
    "replace_network_acl_entry",
)


def _honest(original: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def answer(self: Any) -> Any:
        self.error_on_dryrun()
        return original(self)

    return answer


def apply() -> None:
    """Look before moto acts."""
    responses: Any = NetworkACLs
    for name in CHANGING:
        setattr(responses, name, _honest(getattr(responses, name)))
    backend: Any = NetworkAclBackend
    delete_entry, replace = backend.delete_network_acl_entry, backend.replace_network_acl_association
    describe = backend.describe_network_acls

    def delete_network_acl_entry(self: Any, network_acl_id: str, rule_number: int, egress: bool) -> Any:
        entries = self.get_network_acl(network_acl_id).network_acl_entries
        if not any(one.egress == egress and one.rule_number == rule_number for one in entries):
            raise EC2ClientError(
                "InvalidNetworkAclEntry.NotFound",
                f"The {'egress' if egress else 'ingress'} entry with rule number '{rule_number}'"
                f" does not exist in network ACL '{network_acl_id}'",
            )
        return delete_entry(self, network_acl_id, rule_number, egress)

    def replace_network_acl_association(self: Any, association_id: str, network_acl_id: str) -> Any:
        self.get_network_acl(network_acl_id)
        if not any(association_id in acl._associations for acl in self.network_acls.values()):
            raise EC2ClientError(
                "InvalidAssociationID.NotFound", f"The association ID '{association_id}' does not exist"
            )
        return replace(self, association_id, network_acl_id)

    def describe_network_acls(
        self: Any, network_acl_ids: list[str] | None = None, filters: Any = None
    ) -> Any:
        for network_acl_id in network_acl_ids or ():
            self.get_network_acl(network_acl_id)
        return describe(self, network_acl_ids, filters)

    backend.delete_network_acl_entry = delete_network_acl_entry
    backend.replace_network_acl_association = replace_network_acl_association
    backend.describe_network_acls = describe_network_acls
