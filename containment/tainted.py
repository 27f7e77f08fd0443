"""What an incident names: the things of its alerts, and what else stands beside them there.

Read from the record only, so it is what alerts *say*. Whether a thing exists is found out by planning,
which reads AWS.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass

from cases.models import Alert, Incident

MOST_ADDRESSES = 20


@dataclass(frozen=True, kw_only=True)
class Thing:
    """One thing in AWS that an alert of the incident names; `role` is `target`, `actor` or empty."""

    kind: str
    id: str
    account: str
    region: str
    arn: str = ""
    role: str = ""


@dataclass(frozen=True, kw_only=True)
class Naming:
    """One alert's things, and the outside addresses and domains beside them."""

    alert_type: str
    account: str
    region: str
    things: tuple[Thing, ...]
    addresses: tuple[str, ...]
    domains: tuple[str, ...]

    def of(self, *kinds: str) -> list[str]:
        """The ids of the things of these kinds, sorted."""
        return sorted({thing.id for thing in self.things if thing.kind in kinds})


def namings(incident: Incident) -> list[Naming]:
    """What each alert of the incident names, the most severe alert first. One query."""
    return [naming(alert) for alert in Alert.objects.filter(incident=incident).order_by("-severity", "pk")]


def naming(alert: Alert) -> Naming:
    """What one alert names."""
    things = (
        Thing(
            kind=str(resource.get("type") or ""),
            id=str(resource["id"]),
            account=_account(resource.get("arn"), alert.account),
            region=alert.region,
            arn=str(resource.get("arn") or ""),
            role=str(resource.get("role") or ""),
        )
        for resource in alert.resources
        if resource.get("id")
    )
    return Naming(
        alert_type=alert.type,
        account=alert.account,
        region=alert.region,
        things=tuple(dict.fromkeys(things)),
        addresses=tuple(_addresses(alert))[:MOST_ADDRESSES],
        domains=tuple(sorted(_observed(alert, "domain")))[:MOST_ADDRESSES],
    )


def _observed(alert: Alert, kind: str) -> set[str]:
    return {str(one.get("value")) for one in alert.observables if one.get("kind") == kind}


def _addresses(alert: Alert) -> Iterator[str]:
    """Public addresses alone: a private one is ours, and blocking it would cut our own."""
    for value in sorted(_observed(alert, "ip")):
        try:
            address = ipaddress.ip_address(value)
        except ValueError:
            continue
        if address.is_global:
            yield str(address)


def _account(arn: object, otherwise: str) -> str:
    """The account in an ARN, for a thing of another account than the alert's."""
    parts = str(arn or "").split(":")
    found = parts[4] if len(parts) > 5 and parts[0] == "arn" else ""
    return found if found.isdigit() and len(found) == 12 else otherwise
