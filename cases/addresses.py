"""What an address is, and where: its class, the lists that name it, and its place.

Everything comes from files that the operator names: an MMDB (`QUELL_MMDB`), AWS's published ranges
(`QUELL_AWS_RANGES`), and lists of known addresses (`QUELL_KNOWN_ADDRESSES`). Nothing is asked of a
network. A file is read again when it has changed; one that cannot be read is left out, said once in
the log and shown by `problems`.
"""

from __future__ import annotations

import csv
import ipaddress
import json
import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import Any, Generic, TypeAlias, TypeVar

import maxminddb
from django.conf import settings

IPAddress: TypeAlias = "ipaddress.IPv4Address | ipaddress.IPv6Address"
IPNetwork: TypeAlias = "ipaddress.IPv4Network | ipaddress.IPv6Network"
T = TypeVar("T")

MOST_BYTES = 64 * 1024 * 1024
MOST_NETWORKS = 1_000_000
MOST_COMPLAINTS = 5
"""How many bad lines of one list are named; the rest are only counted."""

log = logging.getLogger(__name__)


class Kind(StrEnum):
    """The class of an address: what the operator's lists say before what AWS or an RFC says."""

    NONE = ""
    BAD = "known bad"
    SCANNER = "known scanner"
    BENIGN = "known benign"
    LOOPBACK = "loopback"
    LINK_LOCAL = "link-local"
    PRIVATE = "private"
    CARRIER_NAT = "carrier NAT"
    RESERVED = "reserved"
    AWS = "AWS"
    PUBLIC = "public"


VERDICTS = {"bad": Kind.BAD, "scanner": Kind.SCANNER, "benign": Kind.BENIGN}

OF_RANGE: tuple[tuple[IPNetwork, Kind], ...] = tuple(
    (ipaddress.ip_network(network), kind)
    for network, kind in (
        ("127.0.0.0/8", Kind.LOOPBACK),
        ("::1/128", Kind.LOOPBACK),
        ("169.254.0.0/16", Kind.LINK_LOCAL),
        ("fe80::/10", Kind.LINK_LOCAL),
        ("10.0.0.0/8", Kind.PRIVATE),
        ("172.16.0.0/12", Kind.PRIVATE),
        ("192.168.0.0/16", Kind.PRIVATE),
        ("fc00::/7", Kind.PRIVATE),
        ("100.64.0.0/10", Kind.CARRIER_NAT),
        ("0.0.0.0/8", Kind.RESERVED),
        ("192.0.0.0/24", Kind.RESERVED),
        ("192.0.2.0/24", Kind.RESERVED),
        ("198.18.0.0/15", Kind.RESERVED),
        ("198.51.100.0/24", Kind.RESERVED),
        ("203.0.113.0/24", Kind.RESERVED),
        ("224.0.0.0/3", Kind.RESERVED),
        ("::/128", Kind.RESERVED),
        ("2001:db8::/32", Kind.RESERVED),
        ("3fff::/20", Kind.RESERVED),
        ("ff00::/8", Kind.RESERVED),
    )
)
"""https://www.iana.org/assignments/iana-ipv4-special-registry, and the same for IPv6."""


@dataclass(frozen=True, kw_only=True)
class Address:
    """What is known of an address. `name` is the list that holds it, or AWS's service and region.

    `country` is ISO 3166 alpha-2. A text that is no address has the kind `Kind.NONE`.
    """

    address: str
    kind: Kind = Kind.NONE
    name: str = ""
    country: str = ""
    country_name: str = ""
    city: str = ""
    organization: str = ""
    asn: int | None = None


@dataclass(frozen=True, kw_only=True)
class Known:
    """A network on one of the operator's lists."""

    name: str
    kind: Kind


class Networks(Generic[T]):
    """Values by network; the longest network that holds an address counts.

    One look-up in a dictionary for each length that occurs, so a list of 10,000 costs as much as ten.
    """

    def __init__(self) -> None:
        self._values: dict[tuple[int, int], dict[int, T]] = {}
        self._lengths: dict[int, list[int]] = {4: [], 6: []}

    def add(self, network: IPNetwork, value: T) -> None:
        """Give a network its value; an earlier one of the same network is kept."""
        key = network.version, network.prefixlen
        if key not in self._values:
            self._lengths[network.version] = sorted(
                [*self._lengths[network.version], network.prefixlen], reverse=True
            )
        of_length = self._values.setdefault(key, {})
        of_length.setdefault(int(network.network_address), value)

    def find(self, address: IPAddress) -> T | None:
        """The value of the longest network that holds the address; None when none does."""
        number, version, width = int(address), address.version, address.max_prefixlen
        for length in self._lengths[version]:
            start = number >> (width - length) << (width - length)
            found = self._values[version, length].get(start)
            if found is not None:
                return found
        return None


def describe(address: str) -> Address:
    """What the address is and where; never raises, whatever the text or the files hold."""
    _files.refresh()
    return _describe(address[:100])


def problems() -> list[str]:
    """What is wrong with the operator's files as they are now, one sentence each; empty when all is well."""
    _files.refresh()
    return _files.problems()


def parsed(text: str) -> IPAddress | None:
    """The address that a text spells, IPv4 inside IPv6 as IPv4; None when it spells none."""
    try:
        found = ipaddress.ip_address(text.strip().partition("%")[0])
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found


@lru_cache(maxsize=20_000)
def _describe(text: str) -> Address:
    address = parsed(text)
    if address is None:
        return Address(address=text)
    found = _classed(address)
    for reader in _files.readers():
        found = _placed(found, address, reader)
    return found


def _classed(address: IPAddress) -> Address:
    known = _files.known().find(address)
    if known is not None:
        return Address(address=str(address), kind=known.kind, name=known.name)
    for network, kind in OF_RANGE:
        if address.version == network.version and address in network:
            return Address(address=str(address), kind=kind)
    service = _files.aws().find(address)
    if service is not None:
        return Address(address=str(address), kind=Kind.AWS, name=service)
    return Address(address=str(address), kind=Kind.PUBLIC)


def _placed(found: Address, address: IPAddress, reader: maxminddb.Reader) -> Address:
    """With what one MMDB says and no earlier one did. MaxMind's, DB-IP's and IPinfo's records are read."""
    try:
        record = reader.get(address)
    except (ValueError, maxminddb.InvalidDatabaseError):  # ValueError: an IPv6 address, an IPv4 file
        return found
    if not isinstance(record, dict):
        return found
    told = {
        "country": _text(record, "country", "iso_code") or _code(record),
        "country_name": _text(record, "country", "names", "en") or _text(record, "country_name"),
        "city": _text(record, "city", "names", "en") or _text(record, "city"),
        "organization": _text(record, "autonomous_system_organization")
        or _text(record, "as_name")
        or _text(record, "traits", "organization"),
        "asn": _asn(record),
    }
    return replace(found, **{k: v for k, v in told.items() if v and not getattr(found, k)})  # type: ignore[arg-type]


def _text(record: Any, *path: str) -> str:
    for name in path:
        record = record.get(name) if isinstance(record, dict) else None
    return record[:200] if isinstance(record, str) else ""


def _code(record: dict[str, Any]) -> str:
    for name in ("country_code", "country"):
        code = _text(record, name)
        if len(code) == 2:
            return code.upper()
    return ""


def _asn(record: dict[str, Any]) -> int | None:
    number = record.get("autonomous_system_number")
    if isinstance(number, int):
        return number
    spelled = _text(record, "asn").upper().removeprefix("AS")
    return int(spelled) if spelled.isascii() and spelled.isdigit() and len(spelled) <= 10 else None


# --- the files -----------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class _Read(Generic[T]):
    """What one file gave, what was wrong with it, and the state of the file that it is of."""

    state: tuple[int, int, int]
    value: T | None
    problems: tuple[str, ...]


class _Files:
    """The operator's files as they were last read."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._read: dict[tuple[str, str], _Read[Any]] = {}
        self._known: Networks[Known] = Networks()

    def refresh(self) -> None:
        """Read again what has changed since the last look."""
        wanted = list(_wanted())
        if len(self._read) == len(wanted) and all(
            key in self._read and self._read[key].state == _state(key[1]) for key, _ in wanted
        ):
            return
        with self._lock:
            before = self._read
            self._read = {
                key: before[key]
                if key in before and before[key].state == _state(key[1])
                else _said(_read(key[1], reader))
                for key, reader in wanted
            }
            self._known = self._joined()
            _describe.cache_clear()

    def known(self) -> Networks[Known]:
        return self._known

    def aws(self) -> Networks[str]:
        return next(iter(self._of("aws")), Networks())

    def readers(self) -> list[maxminddb.Reader]:
        return self._of("mmdb")

    def problems(self) -> list[str]:
        return [problem for read in self._read.values() for problem in read.problems]

    def _of(self, kind: str) -> list[Any]:
        return [read.value for (of, _), read in self._read.items() if of == kind and read.value is not None]

    def _joined(self) -> Networks[Known]:
        """All lists as one; a network on several is what the first of them says."""
        lists: list[list[tuple[IPNetwork, Known]]] = self._of("known")
        joined: Networks[Known] = Networks()
        for network, known in (pair for pairs in lists for pair in pairs):
            joined.add(network, known)
        return joined


_files = _Files()


def _wanted() -> Iterator[tuple[tuple[str, str], Callable[[Path], tuple[Any, list[str]]]]]:
    for path in settings.QUELL_MMDB:
        yield ("mmdb", path), _mmdb
    if settings.QUELL_AWS_RANGES:
        yield ("aws", settings.QUELL_AWS_RANGES), _aws_ranges
    for path in settings.QUELL_KNOWN_ADDRESSES:
        yield ("known", path), _known_addresses


def _state(path: str) -> tuple[int, int, int]:
    try:
        stat = Path(path).stat()
    except OSError:
        return (0, 0, 0)
    return (stat.st_mtime_ns, stat.st_size, stat.st_ino)


def _read(path: str, reader: Callable[[Path], tuple[Any, list[str]]]) -> _Read[Any]:
    state = _state(path)
    try:
        value, wrong = reader(Path(path))
    except (OSError, ValueError, RecursionError, csv.Error, maxminddb.InvalidDatabaseError) as failure:
        return _Read(state=state, value=None, problems=(f"{path} cannot be read: {failure}",))
    return _Read(state=state, value=value, problems=tuple(f"{path}: {one}" for one in wrong))


def _said(read: _Read[Any]) -> _Read[Any]:
    for problem in read.problems:
        log.warning("address file: %s", problem)
    return read


def _mmdb(path: Path) -> tuple[maxminddb.Reader, list[str]]:
    """Mapped, not loaded: replace the file by renaming another onto it, as geoipupdate does."""
    return maxminddb.open_database(path), []


def _bytes(path: Path) -> bytes:
    if path.stat().st_size > MOST_BYTES:
        raise ValueError(f"larger than {MOST_BYTES} bytes")
    return path.read_bytes()


def _aws_ranges(path: Path) -> tuple[Networks[str], list[str]]:
    """Service and region of each; all of AWS is listed once more as `AMAZON`, which says least.

    https://docs.aws.amazon.com/vpc/latest/userguide/aws-ip-ranges.html
    """
    whole = json.loads(_bytes(path))
    entries = [
        (entry.get("ip_prefix") or entry.get("ipv6_prefix"), entry)
        for name in ("prefixes", "ipv6_prefixes")
        for entry in _objects(whole, name)
    ][:MOST_NETWORKS]
    if not entries:
        raise ValueError("holds no prefixes; is it AWS's ip-ranges.json?")
    found: Networks[str] = Networks()
    wrong = 0
    for spelled, entry in sorted(entries, key=lambda pair: pair[1].get("service") == "AMAZON"):
        network = _network(spelled)
        if network is None:
            wrong += 1
            continue
        found.add(network, f"{_text(entry, 'service')} {_text(entry, 'region')}".strip() or "AWS")
    return found, [f"{wrong} prefixes that are no networks"] if wrong else []


def _objects(whole: Any, name: str) -> list[dict[str, Any]]:
    found = whole.get(name) if isinstance(whole, dict) else None
    return [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []


def _known_addresses(path: Path) -> tuple[list[tuple[IPNetwork, Known]], list[str]]:
    """Lines of `network,name,verdict`; empty ones, comments (#) and a heading are passed over."""
    rows = csv.reader(_bytes(path).decode("utf-8-sig").splitlines())
    found: list[tuple[IPNetwork, Known]] = []
    wrong: list[str] = []
    for number, row in enumerate(rows, start=1):
        cells = [cell.strip() for cell in row]
        if not any(cells) or cells[0].startswith("#") or (number == 1 and cells[0].lower() == "network"):
            continue
        network = _network(cells[0])
        verdict = VERDICTS.get(cells[2].lower()) if len(cells) > 2 else None
        if network is None or verdict is None or len(found) >= MOST_NETWORKS:
            wrong.append(f"line {number} is not network,name,verdict ({' | '.join(sorted(VERDICTS))})")
            continue
        found.append((network, Known(name=cells[1][:200] or path.stem, kind=verdict)))
    more = len(wrong) - MOST_COMPLAINTS
    return found, wrong[:MOST_COMPLAINTS] + ([f"and {more} lines more"] if more > 0 else [])


def _network(spelled: object) -> IPNetwork | None:
    if not isinstance(spelled, str):
        return None
    try:
        return ipaddress.ip_network(spelled.strip(), strict=False)
    except ValueError:
        return None
