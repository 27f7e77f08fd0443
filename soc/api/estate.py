"""The accounts, as integrations see them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from estate import places
from estate.models import Account, OrganizationalUnit
from estate.queries import Duty, accounts_for
from identity.permissions import Permission
from identity.requests import actor_of
from soc.api.pagination import CursorPage


class AllowedOut(serializers.Serializer[Any]):
    """From where an account is used; where both lists are empty, any place is as good as another."""

    countries = serializers.ListField(child=serializers.CharField(), help_text="ISO 3166 alpha-2")
    networks = serializers.ListField(child=serializers.CharField(), help_text="CIDR")
    said_by = serializers.CharField(help_text="`account`, the path of the unit that says so, or empty")


class AccountOut(serializers.Serializer[Any]):
    """One AWS account. `grants` names the duties for which it has given Quell a role."""

    id = serializers.CharField(help_text="the twelve-digit AWS account id")
    name = serializers.CharField()
    partition = serializers.CharField()
    ou = serializers.CharField(help_text="path in the organization, empty when unknown")
    environment = serializers.CharField()
    is_critical = serializers.BooleanField()
    is_protected = serializers.BooleanField()
    owner = serializers.CharField()
    security_contact = serializers.CharField()
    team = serializers.CharField()
    regions = serializers.ListField(child=serializers.CharField())
    tags = serializers.DictField(child=serializers.CharField())
    allowed_places = AllowedOut()
    mode = serializers.CharField()
    grants = serializers.ListField(child=serializers.ChoiceField(choices=[d.value for d in Duty]))


class AccountPage(serializers.Serializer[Any]):
    """One page of accounts."""

    results = AccountOut(many=True)
    next = serializers.URLField(allow_null=True)


class Accounts(APIView):
    """The accounts of the caller's teams."""

    permissions_needed = {"GET": Permission.READ_ESTATE}

    @extend_schema(operation_id="accounts_list", responses=AccountPage)
    def get(self, request: Request) -> Response:
        """Accounts in the order of their ids."""
        pager = CursorPage(order=("account_id",))
        rows = pager.paginate_queryset(accounts_for(actor_of(request)), request)
        units = places.units_by_path()
        return pager.get_paginated_response([shown(account, units) for account in rows])


def shown(account: Account, units: Mapping[str, OrganizationalUnit]) -> dict[str, Any]:
    """The account as the API gives it; the role names and the external id stay inside."""
    roles = {
        Duty.READ: account.read_role,
        Duty.EVIDENCE: account.evidence_role,
        Duty.CONTAIN: account.contain_role,
        Duty.ORGANIZATION: account.organization_role,
    }
    return {
        "id": account.account_id,
        "name": account.name,
        "partition": account.partition,
        "ou": account.ou.path if account.ou else "",
        "environment": account.environment,
        "is_critical": account.is_critical,
        "is_protected": account.is_protected,
        "owner": account.owner,
        "security_contact": account.security_contact,
        "team": account.team.slug,
        "regions": account.regions,
        "tags": account.tags,
        "allowed_places": _allowed(account, units),
        "mode": account.mode,
        "grants": [duty.value for duty, role in roles.items() if role],
    }


def _allowed(account: Account, units: Mapping[str, OrganizationalUnit]) -> dict[str, Any]:
    said = places.said_for(account, units)
    if said is None:
        return {"countries": [], "networks": [], "said_by": ""}
    said_by = "account" if isinstance(said, Account) else said.path
    return {"countries": said.allowed_countries, "networks": said.allowed_networks, "said_by": said_by}
