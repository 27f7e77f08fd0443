"""VPC flow logs: traffic with known bad addresses, port scans and large transfers to the outside.

A log, so most documents make no alert. What is looked at together is one part of one delivery
(`vpc_flow_records.MOST_LINES`): what goes on over hours is many alerts of one fingerprint, one for each
hour in which a delivery begins. Quell itself detects, so `detected_at` is left to the receipt.

What is inside is told by `flow-direction` where the format has it, else by private addresses; without
either (a VPC of public or IPv6 addresses) a transfer is not known to leave. Records of NAT gateways and
of what is behind them are both looked at. The same goes for what nobody logs: DNS at Amazon's resolver,
DHCP, the instance metadata service.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from functools import lru_cache
from ipaddress import ip_network
from itertools import islice

from cases.decoding import JSON
from cases.sources import traces
from cases.sources import vpc_flow_records as records
from cases.sources.types import AlertDraft, Ground, Nowhere, Observable, Place, Resource
from cases.sources.vpc_flow_records import Flow
from cases.words import Band

ID = "vpc_flow"

reads = records.reads
read = records.read

REFUSED_PORTS = 20
"""Ports of one host, or hosts on one port, that refused a source: programs know where their peers listen."""
TOUCHED_PORTS = 100
"""Ports of one host that one source tried, refused or not, as within a VPC all may be open. Passive FTP and
RPC reach a few dozen in ten minutes, a scanner's shortest list is the hundred most common."""
LARGE = 1024**3
"""Bytes from one interface to one outside address in one part: more than ten minutes of most services."""

INDICATOR_ACCEPTED, INDICATOR_REFUSED = "KnownBadAddress", "KnownBadAddressRefused"
SCAN, EGRESS, SERVED = "PortScan", "LargeEgress", "LargeDownload"

LEAVING = {"production": Band.HIGH, "management": Band.HIGH, "security": Band.HIGH, "sandbox": Band.LOW}
FETCHED = {"production": Band.MEDIUM, "management": Band.MEDIUM, "security": Band.MEDIUM}
"""How grave a transfer is by the account's environment: begun inside (else medium), or asked for from
outside (else low)."""

OF_ANYBODY = frozenset({"", "EC2", "API_GATEWAY", "CLOUDFRONT", "GLOBALACCELERATOR"})
"""Services of AWS behind whose addresses anybody may stand. Transfers to the others (S3, DynamoDB, AMAZON
…), as `pkt-dst-aws-service` or a gateway endpoint tells them, are what workloads do all day and no alert;
flow logs do not say whose bucket it is, data events of CloudTrail do. Without these columns nothing tells
them apart, so they count."""
GATEWAY_ENDPOINT = "7"
REMOTE = frozenset({22, 23, 3389, 5900, 5985, 5986})
TCP, UDP = 6, 17

MOST_KEPT = 50
"""Records that an alert keeps; it counts all of them."""
MOST_NAMED = 50
MOST_ASKED = 1_000


def matches(document: JSON) -> bool:
    """Whether these are surely records of flow logs."""
    return records.is_of_flows(document)


def parse(document: JSON) -> Iterator[AlertDraft]:
    """The drafts as far as they need no ground: `detect` is what intake asks."""
    return detect(document, Nowhere())


def detect(document: JSON, ground: Ground) -> Iterator[AlertDraft]:
    """A draft for each thing that is alarming in these records. `Unreadable` for what holds no records."""
    flows = [flow for flow in records.flows_in(document) if flow.source and flow.target]
    yield from _with_indicators(flows, ground)
    yield from _scans(flows, ground)
    yield from _transfers(flows, ground)


def speaks_for(document: JSON) -> tuple[str, str]:
    """The account and region of the first record that names its account."""
    for flow in islice(records.flows_in(document), MOST_ASKED):
        if flow.account:
            return flow.account, flow.region
    return "", ""


class Side(Enum):
    """Where an address is: private, elsewhere, or nowhere (this host, this link, many at once)."""

    INSIDE = "inside"
    OUTSIDE = "outside"
    NOWHERE = "nowhere"


NETWORKS = {
    Side.INSIDE: ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7"),
    Side.NOWHERE: (
        *("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3"),
        *("::/127", "fe80::/10", "ff00::/8"),
    ),
}
RANGES = [
    (network.network_address.packed, network.broadcast_address.packed, side)
    for side, networks in NETWORKS.items()
    for network in map(ip_network, networks)
]


@lru_cache(maxsize=20_000)
def side_of(address: str) -> Side:
    """Private is what is of the VPC, of one connected to it, or of the company's own network."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    packed = socket.inet_pton(family, address.partition("%")[0])
    return next(
        (side for first, last, side in RANGES if len(first) == len(packed) and first <= packed <= last),
        Side.OUTSIDE,
    )


@dataclass(kw_only=True)
class _Tally:
    """Records that belong to one alert."""

    account: str
    flows: int = 0
    accepted: int = 0
    octets: int = 0
    lines: list[JSON] = field(default_factory=list)
    start: int | None = None
    end: int | None = None
    regions: set[str] = field(default_factory=set)
    things: dict[tuple[str, str], str] = field(default_factory=dict)

    def add(self, flow: Flow, *, role: str) -> None:
        """Count a record; `role` is what the interface's owner does in it."""
        self.flows += 1
        self.accepted += flow.is_accepted
        self.octets += flow.octets
        if len(self.lines) < MOST_KEPT:
            self.lines.append(flow.line)
        if flow.start is not None and flow.end is not None:
            self.start = flow.start if self.start is None else min(self.start, flow.start)
            self.end = flow.end if self.end is None else max(self.end, flow.end)
        if flow.region:
            self.regions.add(flow.region)
        for kind, name in (("instance", flow.instance), ("network_interface", flow.interface)):
            if name and len(self.things) < MOST_NAMED:
                self.things.setdefault((kind, name), role)
        if flow.vpc and len(self.things) < MOST_NAMED:
            self.things.setdefault(("vpc", flow.vpc), "")

    @property
    def first(self) -> datetime | None:
        return _moment(self.start)

    @property
    def last(self) -> datetime | None:
        return _moment(self.end)

    @property
    def hour(self) -> str:
        return self.first.strftime("%Y-%m-%dT%H") if self.first else ""

    @property
    def resources(self) -> tuple[Resource, ...]:
        return tuple(Resource(type=kind, id=name, role=role) for (kind, name), role in self.things.items())


def _moment(seconds: int | None) -> datetime | None:
    return datetime.fromtimestamp(seconds, UTC) if seconds is not None else None


def _own_side(flow: Flow) -> str:
    """Which of the two addresses is the interface's own; empty where it could be either."""
    if flow.direction in ("egress", "ingress"):
        return flow.source if flow.direction == "egress" else flow.target
    sides = [address for address in (flow.source, flow.target) if side_of(address) is Side.INSIDE]
    return sides[0] if len(sides) == 1 else ""


# --- known bad addresses -------------------------------------------------------------------------------


@dataclass(kw_only=True)
class _Talk(_Tally):
    """What went between an interface and a bad address."""

    bad: str
    own: set[str] = field(default_factory=set)
    ports: set[tuple[int, int]] = field(default_factory=set)
    sent: int = 0
    is_begun_inside: bool = False

    def hear(self, flow: Flow) -> None:
        """Count a record of it."""
        is_leaving = flow.target == self.bad
        own = flow.source if is_leaving else flow.target
        self.add(flow, role="actor" if is_leaving and not flow.is_reply else "target")
        if len(self.own) < MOST_NAMED:
            self.own.add(own)
        self.sent += flow.octets if is_leaving else 0
        self.is_begun_inside |= is_leaving and not flow.is_reply
        port = flow.source_port if flow.is_reply else flow.target_port
        if port is not None and flow.protocol is not None and len(self.ports) < MOST_NAMED:
            self.ports.add((flow.protocol, port))


def _with_indicators(flows: list[Flow], ground: Ground) -> Iterator[AlertDraft]:
    """One for each interface and bad address that talked; one for an address that was refused everywhere."""
    lists = {
        address: ground.indicator_of(address) for flow in flows for address in (flow.source, flow.target)
    }
    talks: dict[tuple[str, ...], _Talk] = {}
    refused: dict[tuple[str, ...], _Talk] = {}
    for flow in flows:
        for bad, own in ((flow.target, flow.source), (flow.source, flow.target)):
            if not lists[bad] or not flow.action:
                continue
            pair: tuple[str, ...] = (flow.account, flow.interface, own, bad)
            kept, key = (talks, pair) if flow.is_accepted else (refused, (flow.account, bad))
            kept.setdefault(key, _Talk(account=flow.account, bad=bad)).hear(flow)
    reached = {(talk.account, talk.bad) for talk in talks.values()}
    for key, talk in talks.items():
        yield _talk_draft(talk, INDICATOR_ACCEPTED, key, lists[talk.bad], ground)
    for key, talk in refused.items():
        if key not in reached:
            yield _talk_draft(talk, INDICATOR_REFUSED, key, lists[talk.bad], ground)


def _talk_draft(talk: _Talk, kind: str, key: tuple[str, ...], named: str, ground: Ground) -> AlertDraft:
    own = _listed(sorted(talk.own))
    way = f"{own} to {talk.bad}" if talk.is_begun_inside else f"{talk.bad} to {own}"
    is_refused = kind == INDICATOR_REFUSED
    ports = _listed([f"{port}/{_protocol(protocol)}" for protocol, port in sorted(talk.ports)])
    said = [
        f"{talk.bad} is on the list {named}.",
        f"{talk.flows} records of traffic from {way}, {'refused' if is_refused else 'accepted'}"
        + (f", on {ports}." if ports else "."),
    ]
    if not is_refused:
        said.append(f"{talk.sent:,} bytes went to it and {talk.octets - talk.sent:,} came from it.")
    return _draft(
        talk,
        kind=kind,
        key=key,
        title=f"Known bad address {'refused' if is_refused else 'reached'}: {way}",
        said=said,
        severity=Band.LOW.severity if is_refused else Band.HIGH.severity,
        techniques=_techniques(talk, is_refused=is_refused),
        addresses=[talk.bad, *sorted(talk.own)],
        ground=ground,
    )


def _techniques(talk: _Talk, *, is_refused: bool) -> tuple[str, ...]:
    """Command and control where we called; scanning, or a service for remote use, where we were called."""
    if talk.is_begun_inside:
        return ("T1071",)
    if is_refused:
        return ("T1595",)
    return ("T1133",) if any(port in REMOTE for _, port in talk.ports) else ()


# --- scans ---------------------------------------------------------------------------------------------


@dataclass(kw_only=True)
class _Search(_Tally):
    """What one source tried."""

    source: str
    is_inside: bool = False
    ports: dict[str, set[tuple[int, int]]] = field(default_factory=dict)
    refused_ports: dict[str, set[tuple[int, int]]] = field(default_factory=dict)
    refused_hosts: dict[tuple[int, int], set[str]] = field(default_factory=dict)

    def hear(self, flow: Flow, door: tuple[int, int]) -> None:
        """Count a record of it; `door` is the protocol and port that was tried."""
        own = _own_side(flow)
        is_own = own == flow.source
        self.add(flow, role="actor" if is_own else "target" if own else "")
        self.is_inside |= is_own or side_of(flow.source) is Side.INSIDE
        self.ports.setdefault(flow.target, set()).add(door)
        if flow.is_rejected:
            self.refused_ports.setdefault(flow.target, set()).add(door)
            self.refused_hosts.setdefault(door, set()).add(flow.target)

    @property
    def searched(self) -> list[str]:
        """The hosts whose ports were searched."""
        return [
            host
            for host, doors in self.ports.items()
            if len(doors) >= TOUCHED_PORTS or len(self.refused_ports.get(host, ())) >= REFUSED_PORTS
        ]

    @property
    def swept(self) -> dict[tuple[int, int], set[str]]:
        """The ports that were looked for on many hosts, with these hosts."""
        return {door: hosts for door, hosts in self.refused_hosts.items() if len(hosts) >= REFUSED_PORTS}


def _scans(flows: list[Flow], ground: Ground) -> Iterator[AlertDraft]:
    """One for each source that searched a host's ports, or many hosts for one port."""
    searches: dict[tuple[str, ...], _Search] = {}
    for flow in flows:
        if flow.protocol not in (TCP, UDP) or flow.target_port is None or flow.is_reply:
            continue
        key: tuple[str, ...] = (flow.account, flow.vpc, flow.source)
        search = searches.setdefault(key, _Search(account=flow.account, source=flow.source))
        search.hear(flow, (flow.protocol, flow.target_port))
    for key, search in searches.items():
        if search.searched or search.swept:
            yield _scan_draft(search, key, ground)


def _scan_draft(search: _Search, key: tuple[str, ...], ground: Ground) -> AlertDraft:
    searched, swept = search.searched, search.swept
    targets = list(dict.fromkeys([*searched, *(host for hosts in swept.values() for host in sorted(hosts))]))
    said = [
        *(
            f"{len(search.ports[host])} ports of {host} were tried,"
            f" {len(search.refused_ports.get(host, ()))} of them refused."
            for host in searched[:MOST_NAMED]
        ),
        *(
            f"Port {port}/{_protocol(protocol)} was tried on {len(hosts)} hosts that refused."
            for (protocol, port), hosts in list(swept.items())[:MOST_NAMED]
        ),
        f"{search.accepted} of {search.flows} records of what this source tried were accepted.",
    ]
    whence = "inside" if search.is_inside else "outside"
    where = targets[0] if len(targets) == 1 else f"{len(targets)} hosts"
    return _draft(
        search,
        kind=SCAN,
        key=key,
        title=f"Port scan from {whence}: {search.source} against {where}",
        said=said,
        severity=_severity_of_scan(search),
        techniques=("T1046",) if search.is_inside else ("T1595.001" if searched else "T1595",),
        addresses=[search.source, *targets[:MOST_NAMED]],
        ground=ground,
    )


def _severity_of_scan(search: _Search) -> int:
    """From inside somebody is looking round; from outside everybody is scanned, and low is who got in."""
    if search.is_inside:
        return Band.HIGH.severity
    return Band.LOW.severity if search.accepted else Band.INFORMATIONAL.severity


# --- large transfers -----------------------------------------------------------------------------------


@dataclass(kw_only=True)
class _Transfer(_Tally):
    """What one interface sent to one outside address."""

    source: str
    target: str
    asked_for: int = 0


def _transfers(flows: list[Flow], ground: Ground) -> Iterator[AlertDraft]:
    """One for each interface and outside address with more than `LARGE` bytes from one to the other."""
    transfers: dict[tuple[str, ...], _Transfer] = {}
    for flow in flows:
        if not flow.is_accepted or not flow.octets or not _is_leaving(flow):
            continue
        key: tuple[str, ...] = (flow.account, flow.interface, flow.source, flow.target)
        transfer = transfers.setdefault(
            key, _Transfer(account=flow.account, source=flow.source, target=flow.target)
        )
        transfer.add(flow, role="actor")
        transfer.asked_for += flow.octets if flow.is_reply else 0
    for key, transfer in transfers.items():
        if transfer.octets >= LARGE:
            yield _transfer_draft(transfer, key, ground)


def _is_leaving(flow: Flow) -> bool:
    if flow.service not in OF_ANYBODY or flow.path == GATEWAY_ENDPOINT:
        return False
    is_ours = flow.direction == "egress" or (not flow.direction and side_of(flow.source) is Side.INSIDE)
    return is_ours and side_of(flow.target) is Side.OUTSIDE


def _transfer_draft(transfer: _Transfer, key: tuple[str, ...], ground: Ground) -> AlertDraft:
    is_served = transfer.asked_for * 2 > transfer.octets
    environment = ground.environment_of(transfer.account)
    band = FETCHED.get(environment, Band.LOW) if is_served else LEAVING.get(environment, Band.MEDIUM)
    size = f"{transfer.octets / 1024**3:.1f} GiB"
    return _draft(
        transfer,
        kind=SERVED if is_served else EGRESS,
        key=key,
        title=f"{size} {'fetched' if is_served else 'sent'} from {transfer.source}"
        f" {'by' if is_served else 'to'} {transfer.target}",
        said=[
            f"{transfer.octets:,} bytes went to {transfer.target}, in {transfer.flows} records.",
            f"{transfer.asked_for:,} of them answered what was asked from there.",
            f"The account is of the environment {environment}." if environment else "",
        ],
        severity=band.severity,
        techniques=() if is_served else ("T1048",),
        addresses=[transfer.target, transfer.source],
        ground=ground,
    )


# --- drafts --------------------------------------------------------------------------------------------


def _draft(
    tally: _Tally,
    *,
    kind: str,
    key: tuple[str, ...],
    title: str,
    said: Iterable[str],
    severity: int,
    techniques: tuple[str, ...],
    addresses: list[str],
    ground: Ground,
) -> AlertDraft:
    """The alert of what was tallied under the key, in the hour in which it began."""
    identity = traces.digest([kind, *key, tally.hour])
    places = _places(addresses, ground)
    return AlertDraft(
        source=ID,
        external_id=f"{tally.account or 'unknown'}:{kind}:{identity}",
        finding=(ID, tally.account, kind, identity) if tally.account else (),
        fingerprint=(ID, kind, *key),
        title=title[:500],
        summary="\n".join([*filter(None, said), *map(_where, places)])[:20_000],
        severity=severity,
        type=f"VPCFlow:{kind}",
        account=tally.account,
        region=next(iter(tally.regions)) if len(tally.regions) == 1 else "",
        resources=tally.resources,
        observables=traces.once(Observable(kind="ip", value=address) for address in addresses),
        techniques=techniques,
        places=places,
        first_seen_at=tally.first,
        last_seen_at=tally.last,
        raw={"records": tally.flows, "bytes": tally.octets, "lines": tally.lines},
    )


def _places(addresses: list[str], ground: Ground) -> tuple[Place, ...]:
    found = [
        ground.place_of(address) for address in addresses[:MOST_NAMED] if side_of(address) is Side.OUTSIDE
    ]
    return tuple(place for place in found if place is not None)


def _where(place: Place) -> str:
    told = ", ".join(filter(None, (place.city, place.country_name or place.country, place.organization)))
    return f"{place.address} is in {told}."


def _protocol(number: int) -> str:
    return {TCP: "tcp", UDP: "udp", 1: "icmp", 58: "icmpv6"}.get(number, f"protocol {number}")


def _listed(names: list[str]) -> str:
    """At most five of them in words."""
    more = len(names) - 5
    return ", ".join(names[:5]) + (f" and {more} more" if more > 0 else "")
