"""What a detection may ask of the installation: allowed places, where addresses are, known bad ones.

And whether a call by one of Quell's own roles was Quell's. That stands in journals above, of which this
package knows nothing: whoever keeps one says so once, when models are loaded (`answered_by`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

from cases import addresses
from cases.sources.types import Allowed, Place, RoleCall
from estate import places
from estate.models import Account, OrganizationalUnit
from estate.queries import responder_roles

Journal = Callable[[RoleCall], bool]
"""Whether a call stands in a journal of what Quell sent."""

_journals: list[Journal] = []


def answered_by(journal: Journal) -> None:
    """Ask this journal as well, from now on."""
    if journal not in _journals:
        _journals.append(journal)


class Standing:
    """The ground (`cases.sources.types.Ground`) as it stands now; asks the database at most twice."""

    def allowed_for(self, account: str) -> Allowed | None:
        """What the account itself says, else the nearest unit above it that says anything."""
        known = self._accounts.get(account)
        if known is None:
            return None
        said = places.said_for(known, self._units)
        return _allowed(said) if said else None

    def place_of(self, address: str) -> Place | None:
        """Where an address is; None where no file says its country."""
        found = addresses.describe(address)
        if not found.country:
            return None
        return Place(
            address=found.address,
            country=found.country,
            country_name=found.country_name,
            city=found.city,
            organization=found.organization,
            asn=found.asn,
        )

    def indicator_of(self, address: str) -> str:
        """The name of the list of bad addresses that holds it; lists of scanners are none."""
        found = addresses.describe(address)
        return found.name if found.kind is addresses.Kind.BAD else ""

    def environment_of(self, account: str) -> str:
        """What the account is used for; empty where it is not known."""
        known = self._accounts.get(account)
        return known.environment if known else ""

    def is_responder(self, account: str, role: str) -> bool:
        """Whether a role is one of Quell's, in an account that is known here."""
        return role in responder_roles(account)

    def is_journalled(self, call: RoleCall) -> bool:
        """Whether any journal has the call."""
        return any(journal(call) for journal in _journals)

    @cached_property
    def _accounts(self) -> dict[str, Account]:
        return {one.account_id: one for one in Account.objects.select_related("ou")}

    @cached_property
    def _units(self) -> dict[str, OrganizationalUnit]:
        return places.units_by_path()


def _allowed(said: places.Said) -> Allowed:
    return Allowed(
        countries=frozenset(str(country).upper() for country in said.allowed_countries),
        networks=tuple(str(network) for network in said.allowed_networks),
    )
