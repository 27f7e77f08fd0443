"""Which addresses may be blocked at all. Pure.

Alert text names the address, so whoever writes the alert would choose what we cut off. A block of
everything, of our own machine or of the addresses that every host needs is therefore refused here,
once, for every type that takes an address.
https://www.iana.org/assignments/iana-ipv4-special-registry/
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from containment.types import Refused

Network = IPv4Network | IPv6Network

WIDEST = {4: 8, 6: 32}
"""The shortest prefix that may be blocked, for each version of IP."""

NEVER: tuple[tuple[str, str], ...] = (
    ("0.0.0.0/8", "addresses that mean no host"),
    ("127.0.0.0/8", "loopback addresses"),
    ("169.254.0.0/16", "link-local addresses, instance metadata and the VPC's DNS among them"),
    ("224.0.0.0/4", "multicast addresses"),
    ("240.0.0.0/4", "reserved and broadcast addresses"),
    ("::/127", "the unspecified and the loopback address"),
    ("::ffff:0:0/96", "IPv4 addresses in IPv6 form; give the IPv4 address"),
    ("fe80::/10", "link-local addresses"),
    ("fd00:ec2::/32", "Amazon's own addresses in a VPC, instance metadata and DNS among them"),
    ("ff00::/8", "multicast addresses"),
)
_NEVER = tuple((ip_network(block), meaning) for block, meaning in NEVER)


def blockable(text: str) -> str:
    """The canonical CIDR of an address or network that may be blocked (`203.0.113.9/32`).

    Raises `Refused` for what is no address, is wider than /8 (IPv6: /32), or meets an address in `NEVER`.
    """
    wanted = network_of(text)
    if wanted.prefixlen < WIDEST[wanted.version]:
        raise Refused(f"{wanted} is too wide to block; the widest is /{WIDEST[wanted.version]}")
    for block, meaning in _NEVER:
        if meets(wanted, block):
            raise Refused(f"{wanted} must never be blocked: {block} are {meaning}")
    return str(wanted)


def outside(text: str, own: Iterable[str], *, whose: str) -> str:
    """The canonical CIDR of a blockable network that meets none of `own`; `whose` says what those are.

    Raises `Refused`, like `blockable`, and where they meet.
    """
    wanted = blockable(text)
    for block in sorted(own):
        if meets(ip_network(wanted), ip_network(block, strict=False)):
            raise Refused(f"{wanted} meets {block}, {whose}")
    return wanted


def network_of(text: str) -> Network:
    """The network that a text names; raises `Refused` for what is none, or names a host in a wider one."""
    try:
        return ip_network(text.strip())
    except ValueError:
        pass
    try:
        wide = ip_network(text.strip(), strict=False)
    except ValueError:
        raise Refused(f"{text[:60]!r} is neither an IP address nor a network in CIDR form") from None
    host = ip_address(text.strip().partition("/")[0])
    raise Refused(f"{text.strip()} is not a network's first address; say {host} or {wide}")


def meets(one: Network, other: Network) -> bool:
    """Whether two networks share an address; those of different versions share none."""
    return one.version == other.version and one.overlaps(other)
