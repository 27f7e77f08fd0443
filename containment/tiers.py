"""What a tier becomes in which environment: a policy kept as versions, each decided by two people.

The estate says which environment an account is and whether it is critical; live tags never do. Only a
sandbox lowers a tier, and only 2 to 1; what cannot be undone is never lowered. An action whose policy
changed between approval and start has drifted, as the decision about it stood on another ground.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction

from audit.record import record
from containment.models import TierPolicy
from estate.models import Account, Environment
from identity.actors import Actor
from identity.permissions import Permission
from identity.requests import NotFresh
from lib.errors import Conflict, Forbidden, Invalid, NotFound

CRITICAL = ":critical"
PLACES = tuple(f"{name}{mark}" for name in Environment.values for mark in ("", CRITICAL))
"""Environments, each also as `production:critical`."""

Tiers = Mapping[str, Mapping[str, int]]
DELIVERED: Tiers = {
    "sandbox": {"2": 1},
    "sandbox:critical": {"2": 1},
    "production:critical": {"1": 2},
}
"""What holds, as version 0, until two people say otherwise."""


@dataclass(frozen=True, kw_only=True)
class InForce:
    """The present policy; version 0 is what Quell comes with."""

    version: int
    tiers: Tiers


def in_force() -> InForce:
    """The highest version that was approved."""
    found = TierPolicy.objects.filter(is_approved=True).order_by("-version").first()
    return InForce(version=found.version, tiers=found.tiers) if found else InForce(version=0, tiers=DELIVERED)


def effective(tier: int, account: Account | None, policy: InForce | None = None) -> int:
    """The tier of an action of that declared tier in the account."""
    if account is None:
        return tier
    tiers = (policy or in_force()).tiers
    place = account.environment + (CRITICAL if account.is_critical else "")
    return int(tiers.get(place, {}).get(str(tier), tier))


def facts(tier: int, account: Account | None) -> dict[str, Any]:
    """What a plan says of its tier, to be hashed with it."""
    policy = in_force()
    return {
        "declared": tier,
        "effective": effective(tier, account, policy),
        "environment": account.environment if account else "",
        "is_critical": bool(account and account.is_critical),
        "policy": policy.version,
    }


def propose(*, tiers: Tiers, reason: str, by: Actor, at: datetime, is_fresh: bool) -> TierPolicy:
    """Make the next version, which waits for another person.

    Raises `Forbidden`, `NotFresh`, `Invalid`, and `Conflict` while another version waits.
    """
    _demand(by, is_fresh=is_fresh)
    wanted = _checked(tiers)
    if not reason.strip():
        raise Invalid("Say why the policy changes.", pointer="/reason")
    try:
        with transaction.atomic():
            last = TierPolicy.objects.order_by("-version").first()
            if last and last.is_approved is None:
                raise Conflict("A version waits already; decide about it first.")
            made = TierPolicy.objects.create(
                version=last.version + 1 if last else 1,
                tiers=wanted,
                reason=reason.strip(),
                proposed_by_id=_person(by),
                proposed_at=at,
            )
            _record("tier-policy.proposed", made, by=by, at=at)
    except IntegrityError as refused:
        raise Conflict("Someone else made a version at the same moment; load it again.") from refused
    return made


def decide(*, ulid: str, is_approved: bool, by: Actor, at: datetime, is_fresh: bool) -> TierPolicy:
    """Put a version into force, or turn it down. Raises `NotFound`, `Forbidden`, `NotFresh`, `Conflict`."""
    _demand(by, is_fresh=is_fresh)
    found = TierPolicy.objects.filter(ulid=ulid).first()
    if found is None:
        raise NotFound("There is no such version.")
    if found.proposed_by_id == by.person_id:
        raise Forbidden("You made this version; someone else decides about it.")
    with transaction.atomic():
        rows = TierPolicy.objects.filter(pk=found.pk, decided_by__isnull=True).update(
            decided_by_id=_person(by), decided_at=at, is_approved=is_approved
        )
        if rows != 1:
            raise Conflict("It was decided about already.")
        found.refresh_from_db()
        _record("tier-policy.approved" if is_approved else "tier-policy.rejected", found, by=by, at=at)
    return found


def versions() -> list[TierPolicy]:
    """The latest hundred versions, the newest first."""
    return list(TierPolicy.objects.select_related("proposed_by", "decided_by").order_by("-version")[:100])


def grid(tiers: Tiers) -> list[tuple[str, list[tuple[str, int]]]]:
    """For each place what tiers 1 and 2 become there."""
    return [
        (place, [(tier, int(tiers.get(place, {}).get(tier, int(tier)))) for tier in ("1", "2")])
        for place in PLACES
    ]


def may_change(by: Actor) -> bool:
    """Whether the actor may make or decide about versions: a lead of a whole team."""
    return by.kind == "person" and any(seat.is_whole for seat in by.seats_for(Permission.KEEP_RULES))


def _demand(by: Actor, *, is_fresh: bool) -> None:
    if not may_change(by):
        raise Forbidden("The tier policy is for leads.")
    if not is_fresh:
        raise NotFresh


def _checked(tiers: Any) -> dict[str, dict[str, int]]:
    """The differences alone, with every rule of the module kept."""
    if not isinstance(tiers, Mapping):
        raise Invalid("The policy is an object of environments.", pointer="/tiers")
    wanted: dict[str, dict[str, int]] = {}
    for place, changed in tiers.items():
        if place not in PLACES or not isinstance(changed, Mapping):
            raise Invalid(f"There is no environment {str(place)[:40]!r}.", pointer="/tiers")
        for tier, becomes in changed.items():
            why = _wrong(place, tier, becomes)
            if why:
                raise Invalid(why, pointer=f"/tiers/{place}/{tier}")
            if int(tier) != becomes:
                wanted.setdefault(place, {})[tier] = becomes
    return wanted


def _wrong(place: str, tier: Any, becomes: Any) -> str:
    if tier not in ("1", "2") or type(becomes) is not int:
        return "Only tiers 1 and 2 change, to a number."
    if not 1 <= becomes <= 3:
        return "A tier becomes 1, 2 or 3."
    if becomes < int(tier) and place.removesuffix(CRITICAL) != Environment.SANDBOX:
        return "Only a sandbox lowers a tier."
    return ""


def _person(by: Actor) -> int:
    assert by.person_id is not None
    return by.person_id


def _record(act: str, policy: TierPolicy, *, by: Actor, at: datetime) -> None:
    details = {"version": policy.version, "tiers": policy.tiers}
    record(act=act, by=by, at=at, on=("tier-policy", policy.ulid), details=details)
