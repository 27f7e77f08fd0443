"""Accounts: whose they are, what they grant, and what the API tells of them."""

from __future__ import annotations

import pytest

from estate.queries import Duty, NotGranted, RoleLink, account_of, accounts_for, role_link
from identity.actors import SYSTEM, Actor
from identity.models import Role
from tests import make

pytestmark = [pytest.mark.django_db, pytest.mark.fast]

SHOP, LAB, DEEP, THEIRS = "111111111111", "222222222222", "333333333333", "444444444444"


@pytest.fixture(autouse=True)
def _estate() -> None:
    make.account(SHOP, ou_path="Root/Production")
    make.account(LAB, ou_path="Root/Production-Lab")
    make.account(DEEP, ou_path="Root/Production/Payments")
    make.account(THEIRS, team="other")


def seen(actor: Actor) -> list[str]:
    return sorted(account.account_id for account in accounts_for(actor))


def test_a_team_sees_its_own(analyst: Actor, outsider: Actor, admin: Actor) -> None:
    assert seen(analyst) == seen(admin) == [SHOP, LAB, DEEP]
    assert seen(outsider) == [THEIRS]
    assert seen(SYSTEM) == [SHOP, LAB, DEEP, THEIRS]
    assert seen(make.person()) == []


def test_a_seat_may_cover_some_accounts_only() -> None:
    assert seen(make.person(Role.ANALYST, accounts=[LAB])) == [LAB]
    assert seen(make.person(Role.ANALYST, ou_paths=["Root/Production"])) == [SHOP, DEEP]
    assert seen(make.person(Role.ANALYST, accounts=[LAB], ou_paths=["Root/Production/Payments"])) == [
        LAB,
        DEEP,
    ]
    assert seen(make.person(Role.ANALYST, accounts=[THEIRS])) == []


def test_an_account_and_its_roles() -> None:
    account = account_of(SHOP)
    assert account is not None
    assert role_link(account, Duty.CONTAIN) == RoleLink(
        role_arn=f"arn:aws:iam::{SHOP}:role/quell-contain", external_id=f"test-{SHOP}"
    )
    with pytest.raises(NotGranted, match="organization"):
        role_link(account, Duty.ORGANIZATION)
    assert account_of("999999999999") is None


def test_the_api_lists_them_by_pages_and_keeps_the_keys_to_the_doors() -> None:
    client = make.program(make.key("estate:read"))
    first = client.get("/api/v1/accounts?limit=2").json()
    assert [account["id"] for account in first["results"]] == [SHOP, LAB]
    second = client.get(first["next"]).json()
    assert [account["id"] for account in second["results"]] == [DEEP]
    assert second["next"] is None
    assert first["results"][0] == {
        "id": SHOP,
        "name": "account-1111",
        "partition": "aws",
        "ou": "Root/Production",
        "environment": "production",
        "is_critical": False,
        "is_protected": False,
        "owner": "",
        "security_contact": "",
        "team": "blue",
        "regions": ["eu-west-1"],
        "tags": {},
        "allowed_places": {"countries": [], "networks": [], "said_by": ""},
        "mode": "approve",
        "grants": ["read", "evidence", "contain"],
    }
    assert "test-" not in str(first), "the external id stays inside"


def test_the_api_asks_for_its_scope() -> None:
    assert make.program(make.key("alerts:read")).get("/api/v1/accounts").status_code == 403
