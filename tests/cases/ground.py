"""The ground that all fixtures of sources share: an installation with two accounts and a few addresses."""

from __future__ import annotations

from cases.sources.types import Allowed, Place, RoleCall

PRODUCTION, SANDBOX = "111122223333", "444455556666"

PLACES = {
    "198.51.100.7": Place(address="198.51.100.7", country="RU", country_name="Russia", city="Moscow"),
    "192.0.2.10": Place(address="192.0.2.10", country="DE", country_name="Germany", city="Berlin"),
}


class Ground:
    """Production is used from Germany and one network; of the sandbox nobody said anything."""

    def allowed_for(self, account: str) -> Allowed | None:
        if account != PRODUCTION:
            return None
        return Allowed(countries=frozenset({"DE"}), networks=("203.0.113.0/24",))

    def place_of(self, address: str) -> Place | None:
        return PLACES.get(address)

    def indicator_of(self, address: str) -> str:
        return "test-list" if address == "198.51.100.66" else ""

    def environment_of(self, account: str) -> str:
        return {PRODUCTION: "production", SANDBOX: "sandbox"}.get(account, "")

    def is_responder(self, account: str, role: str) -> bool:
        return account == PRODUCTION and role == "quell-contain"

    def is_journalled(self, call: RoleCall) -> bool:
        return call.session == "INC-2026-0001-01KXAMPLE"


GROUND = Ground()
