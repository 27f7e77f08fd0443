"""From where accounts are used: said for an account or a unit, and what then holds for an account."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from ipaddress import ip_network

from django.db import transaction

from audit.record import record
from estate.models import Account, OrganizationalUnit
from identity.actors import Actor
from lib.errors import Invalid, NotFound

MOST_NETWORKS = 1_000
_CODES = """
AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ
CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO
FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE
JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO
MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW
PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM
TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS XK YE YT ZA ZM ZW
"""
COUNTRIES = frozenset(_CODES.split())
"""ISO 3166-1 alpha-2, and XK, as files of places call Kosovo."""

Said = Account | OrganizationalUnit


def set_allowed(
    *, name: str, countries: Iterable[str], networks: Iterable[str], by: Actor, at: datetime
) -> Said:
    """Say from where the account of that id, or the accounts under a unit of that path, are used.

    Nothing of either: this account or unit says nothing any more, and what is above it holds. Raises
    `NotFound`, and `Invalid` with a pointer for what is no country or network.
    """
    codes = sorted({_country(code) for code in countries})
    ranges = sorted({_network(spelled) for spelled in networks})
    if len(ranges) > MOST_NETWORKS:
        raise Invalid(f"more than {MOST_NETWORKS} networks", pointer="/networks")
    with transaction.atomic():
        said = _named(name)
        said.allowed_countries, said.allowed_networks = codes, ranges
        said.save(update_fields=["allowed_countries", "allowed_networks"])
        kind = "account" if isinstance(said, Account) else "ou"
        on = ("account", said.ulid) if isinstance(said, Account) else ("ou", str(said.pk))
        details = {kind: name, "countries": codes, "networks": ranges}
        record(act="allowed-places-set", by=by, at=at, on=on, details=details)
    return said


def said_for(account: Account, units: Mapping[str, OrganizationalUnit]) -> Said | None:
    """Who says from where the account is used: itself, else the nearest unit above that says anything."""
    if account.allowed_countries or account.allowed_networks:
        return account
    path = account.ou.path if account.ou else ""
    while path:
        unit = units.get(path)
        if unit is not None and (unit.allowed_countries or unit.allowed_networks):
            return unit
        path = path.rpartition("/")[0]
    return None


def units_by_path() -> dict[str, OrganizationalUnit]:
    """All units that say something, by their paths."""
    units = OrganizationalUnit.objects.exclude(allowed_countries=[], allowed_networks=[])
    return {unit.path: unit for unit in units}


def _named(name: str) -> Said:
    """The account or unit, read under a lock where the database has one."""
    account = Account.objects.select_for_update().filter(account_id=name).first()
    if account is not None:
        return account
    unit = OrganizationalUnit.objects.select_for_update().filter(path=name).first()
    if unit is None:
        raise NotFound(f"There is no account or organizational unit {name[:80]!r}.")
    return unit


def _country(code: str) -> str:
    spelled = code.strip().upper()
    if spelled not in COUNTRIES:
        raise Invalid(
            f"{code[:20]!r} is not a country of ISO 3166-1 alpha-2, such as DE", pointer="/countries"
        )
    return spelled


def _network(spelled: str) -> str:
    """As it is compared: `10.1.2.3/8` is `10.0.0.0/8`, an address alone a network of one."""
    try:
        return str(ip_network(spelled.strip(), strict=False))
    except ValueError as failure:
        raise Invalid(
            f"{spelled[:60]!r} is not a network, such as 192.0.2.0/24", pointer="/networks"
        ) from failure
