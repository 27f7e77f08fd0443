"""Identity Center keeps an assignment and a membership once, and says so where moto adds a second.

https://docs.aws.amazon.com/singlesignon/latest/APIReference/API_CreateAccountAssignment.html
https://docs.aws.amazon.com/singlesignon/latest/IdentityStoreAPIReference/API_CreateGroupMembership.html
"""

from __future__ import annotations

from typing import Any

from moto.identitystore.exceptions import ConflictException as MembershipExists
from moto.identitystore.exceptions import ResourceNotFoundException as NoMembership
from moto.identitystore.models import IdentityStoreBackend
from moto.ssoadmin.models import SSOAdminBackend


def apply() -> None:
    """Look before moto adds or takes away."""
    sso: Any = SSOAdminBackend
    store: Any = IdentityStoreBackend
    assign, join, leave = (
        sso.create_account_assignment,
        store.create_group_membership,
        store.delete_group_membership,
    )

    def create_account_assignment(self: Any, *args: Any, **named: Any) -> Any:
        for one in self.account_assignments:
            if all(getattr(one, name) == value for name, value in named.items()):
                # AWS answers success: an assignment that is there is what was asked for.
                return one.to_json(include_creation_date=True, include_request_id=True)
        return assign(self, *args, **named)

    def create_group_membership(
        self: Any, identity_store_id: str, group_id: str, member_id: dict[str, str]
    ) -> Any:
        asked = (self, identity_store_id, member_id, [group_id])
        if store.is_member_in_groups(*asked)[0]["MembershipExists"]:
            raise MembershipExists(message="Member and Group relationship already exists.")
        return join(self, identity_store_id, group_id, member_id)

    def delete_group_membership(self: Any, identity_store_id: str, membership_id: str) -> None:
        found = [one for one in self.identity_stores.values() if membership_id in one.group_memberships]
        if not found:
            raise NoMembership(message="GROUP_MEMBERSHIP not found.", resource_type="GROUP_MEMBERSHIP")
        leave(self, identity_store_id, membership_id)

    sso.create_account_assignment = create_account_assignment
    store.create_group_membership = create_group_membership
    store.delete_group_membership = delete_group_membership
