"""From where accounts are used: who says so, what cannot be said, and what the API tells."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from audit.models import AuditEvent
from cases.ground import Standing
from cases.sources.types import Allowed
from estate import places
from estate.models import Account, OrganizationalUnit
from identity.actors import SYSTEM
from lib import clock
from lib.errors import Invalid, NotFound
from tests import make

pytestmark = [pytest.mark.django_db, pytest.mark.fast]

DEEP = "Root/Production/Payments"


@pytest.fixture(autouse=True)
def _estate() -> None:
    make.account(ou_path=DEEP)
    OrganizationalUnit.objects.create(path="Root/Production")
    OrganizationalUnit.objects.create(path="Root/Prod")


def set_places(name: str, *, countries: tuple[str, ...] = (), networks: tuple[str, ...] = ()) -> None:
    places.set_allowed(name=name, countries=countries, networks=networks, by=SYSTEM, at=clock.now())


def holds() -> Allowed | None:
    return Standing().allowed_for(make.ACCOUNT)


def told() -> dict[str, Any]:
    answer = make.program(make.key("estate:read")).get("/api/v1/accounts").json()
    found: dict[str, Any] = answer["results"][0]["allowed_places"]
    return found


def command(*arguments: str) -> dict[str, Any]:
    out = io.StringIO()
    call_command("set_allowed_places", *arguments, stdout=out)
    found: dict[str, Any] = json.loads(out.getvalue())
    return found


def test_where_nobody_says_anything_nothing_holds() -> None:
    assert holds() is None
    assert told() == {"countries": [], "networks": [], "said_by": ""}


def test_the_nearest_that_says_anything_holds() -> None:
    set_places("Root/Prod", countries=("US",))
    assert holds() is None

    set_places("Root/Production", countries=("at", "DE"))
    assert holds() == Allowed(countries=frozenset({"AT", "DE"}))
    assert told() == {"countries": ["AT", "DE"], "networks": [], "said_by": "Root/Production"}

    set_places(DEEP, networks=("10.1.2.3/8", "2001:DB8::/32", "192.0.2.9"))
    assert holds() == Allowed(networks=("10.0.0.0/8", "192.0.2.9/32", "2001:db8::/32"))
    assert told()["said_by"] == DEEP

    set_places(make.ACCOUNT, countries=("CH",))
    assert told() == {"countries": ["CH"], "networks": [], "said_by": "account"}

    set_places(make.ACCOUNT)
    assert told()["said_by"] == DEEP


@pytest.mark.parametrize(
    ("countries", "networks", "pointer"),
    [
        (("EU",), (), "/countries"),
        (("Germany",), (), "/countries"),
        (("DE", ""), (), "/countries"),
        ((), ("10.0.0.0/33",), "/networks"),
        ((), ("office",), "/networks"),
        ((), tuple(f"10.0.{n // 256}.{n % 256}" for n in range(1_001)), "/networks"),
    ],
)
def test_what_is_no_place_is_refused_and_changes_nothing(
    countries: tuple[str, ...], networks: tuple[str, ...], pointer: str
) -> None:
    with pytest.raises(Invalid) as refused:
        set_places(make.ACCOUNT, countries=countries, networks=networks)

    assert refused.value.pointer == pointer
    assert Account.objects.get().allowed_countries == []
    assert not AuditEvent.objects.filter(act="allowed-places-set").exists()


def test_nothing_is_said_for_what_is_not_there() -> None:
    with pytest.raises(NotFound):
        set_places("999999999999", countries=("DE",))


def test_the_command_says_it_and_the_ledger_keeps_it() -> None:
    said = command(make.ACCOUNT, "--countries", "de, fr", "--networks", "203.0.113.9/24")

    assert said == {"name": make.ACCOUNT, "countries": ["DE", "FR"], "networks": ["203.0.113.0/24"]}
    event = AuditEvent.objects.get(act="allowed-places-set")
    assert (event.object_type, event.object_id) == ("account", Account.objects.get().ulid)
    assert event.details["countries"] == ["DE", "FR"]

    assert command("Root/Production", "--countries", "DE")["countries"] == ["DE"]
    assert command(make.ACCOUNT, "--clear")["countries"] == []
    assert told()["said_by"] == "Root/Production"


@pytest.mark.parametrize(
    "arguments",
    [
        (make.ACCOUNT,),
        (make.ACCOUNT, "--clear", "--countries", "DE"),
        (make.ACCOUNT, "--countries", "XX"),
        ("Root/Nowhere", "--countries", "DE"),
    ],
)
def test_the_command_refuses_what_cannot_be_meant(arguments: tuple[str, ...]) -> None:
    with pytest.raises(CommandError):
        command(*arguments)
