"""Looking up accounts and how Quell gets into them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from django.db.models import Q, QuerySet

from estate.models import Account
from identity.actors import Actor, Seat
from identity.permissions import Permission
from lib.remembered import Remembered


class Duty(StrEnum):
    """What a role is assumed for; each has a role of its own in every account."""

    READ = "read"
    EVIDENCE = "evidence"
    CONTAIN = "contain"
    ORGANIZATION = "organization"


@dataclass(frozen=True, kw_only=True)
class RoleLink:
    """The role to assume for one duty, and the external id that its trust policy demands."""

    role_arn: str
    external_id: str


DEPLOYED = frozenset({"quell-read", "quell-evidence", "quell-contain", "quell-organization"})
"""What `deploy/roles/` calls the roles; an account's row may name others."""


class NotGranted(LookupError):
    """The account grants Quell no role for this duty."""


def account_of(account_id: str) -> Account | None:
    """The account with this AWS id, its team and OU loaded; None when it is not known here."""
    return Account.objects.select_related("team", "ou").filter(account_id=account_id).first()


def deny_policies(account_ids: Iterable[str]) -> dict[str, str]:
    """The deny policy that was rolled out in each of these accounts, where one was. One query."""
    found = Account.objects.filter(account_id__in=sorted(account_ids)).exclude(deny_policy="")
    return dict(found.values_list("account_id", "deny_policy"))


def role_link(account: Account, duty: Duty) -> RoleLink:
    """How to get into the account for a duty. `NotGranted` when it has no such role."""
    arns = {
        Duty.READ: account.read_role,
        Duty.EVIDENCE: account.evidence_role,
        Duty.CONTAIN: account.contain_role,
        Duty.ORGANIZATION: account.organization_role,
    }
    if not arns[duty]:
        raise NotGranted(f"account {account.account_id} grants no role to {duty.value}")
    return RoleLink(role_arn=arns[duty], external_id=account.external_id)


def responder_roles(account_id: str) -> frozenset[str]:
    """The names of Quell's own roles in an account, as of a second ago; none where it is not known here."""
    return _responders.get(account_id, lambda: _roles_of(account_id))


_responders: Remembered[frozenset[str]] = Remembered()


def _roles_of(account_id: str) -> frozenset[str]:
    columns = ("read_role", "evidence_role", "contain_role", "organization_role")
    named = Account.objects.filter(account_id=account_id).values_list(*columns).first()
    if named is None:
        return frozenset()
    return DEPLOYED | {arn.rpartition("/")[2] for arn in named if arn}


def accounts_for(actor: Actor) -> QuerySet[Account]:
    """The accounts that the actor may read about: those of their teams, within each seat's account scope."""
    accounts = Account.objects.select_related("team", "ou")
    if actor.kind == "system":
        return accounts
    visible = Q(pk__in=[])
    for seat in actor.seats_for(Permission.READ_ESTATE):
        visible |= _covered(seat)
    return accounts.filter(visible)


def _covered(seat: Seat) -> Q:
    if seat.is_whole:
        return Q(team=seat.team)
    named = Q(account_id__in=seat.accounts)
    for path in seat.ou_paths:
        named |= Q(ou__path=path) | Q(ou__path__startswith=f"{path}/")
    return Q(team=seat.team) & named
