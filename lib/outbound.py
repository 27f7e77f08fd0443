"""The one way out over HTTP for everything that is not AWS's own API.

Addresses come from settings, screens and messages, so each is taken for hostile: only the plainest
spelling of a URL is understood, its host is resolved once, every address that it has is looked at before
anything connects, and the connection goes to an address that was looked at, with the name kept for TLS
and `Host`. Redirects are answers like any other, proxies from the environment are not used, and the
whole exchange has a deadline and its answer a limit. `QUELL_OUTBOUND_ALLOW` names exceptions.
"""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPException
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from queue import Empty, SimpleQueue
from urllib.parse import urlsplit

from django.conf import settings
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError
from urllib3.response import HTTPResponse
from urllib3.util.retry import Retry

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

SECONDS = 5.0
MOST_BYTES = 1024 * 1024
LONGEST_URL = 4000
MOST_TRIED = 3
"""How many of a host's addresses are tried, one after another, within the deadline."""
CHUNK = 64 * 1024
PORTS = {"http": 80, "https": 443}

PLAIN = re.compile(r"[!-~]+")
LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
NAME = re.compile(rf"(?=.{{1,253}}\Z){LABEL}(?:\.{LABEL})*", re.IGNORECASE)
NUMBER = re.compile(r"(?:\d+|0x[0-9a-f]*)", re.IGNORECASE)

_NEVER = tuple(
    map(ip_network, ("169.254.169.254", "169.254.170.2", "169.254.170.23", "fd00:ec2::/32", "168.63.129.16"))
)
"""Where clouds tell credentials. No exception opens these."""

_CARRIES_ANOTHER = tuple(
    map(ip_network, ("::/96", "::ffff:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "2001::/32", "2002::/16"))
)
"""IPv6 addresses with an IPv4 address inside, by which a network may reach that one."""

_ALSO_SPECIAL = tuple(map(ip_network, ("192.88.99.0/24", "192.0.0.0/24", "100.64.0.0/10", "fec0::/10")))


class NotAllowed(Exception):
    """The URL may not be asked; nothing was connected to."""


class NoAnswer(Exception):
    """Nothing that can be read came back in time. It may or may not have arrived."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came back, whatever its status; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, kw_only=True)
class Exceptions:
    """Destinations that are allowed although they are not public: networks, and hosts at one port."""

    networks: tuple[Network, ...] = ()
    places: frozenset[tuple[str, int]] = field(default_factory=frozenset)

    def hold(self, *, host: str, port: int, address: Address) -> bool:
        """Whether one of them allows this address, asked for under this name."""
        if (host.lower(), port) in self.places or (str(address), port) in self.places:
            return True
        return any(address in network for network in self.networks)


@dataclass(frozen=True, kw_only=True)
class _Target:
    """A URL taken apart: all that a connection and a request line need."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        shown = f"[{self.host}]" if ":" in self.host else self.host
        return shown if self.port == PORTS[self.scheme] else f"{shown}:{self.port}"


def exceptions(words: Iterable[str]) -> Exceptions:
    """Exceptions from their spellings: `10.0.0.0/8`, `10.1.2.3`, `siem.example:8443`. Raises `ValueError`."""
    networks: list[Network] = []
    places: set[tuple[str, int]] = set()
    for word in words:
        host, colon, port = word.rpartition(":")
        if colon and port.isdigit() and (NAME.fullmatch(host) or host.startswith("[")):
            places.add((host.strip("[]").lower(), _port(port)))
        else:
            networks.append(ip_network(word))
    return Exceptions(networks=tuple(networks), places=frozenset(places))


def fetch(
    url: str,
    *,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
    schemes: tuple[str, ...] = ("https",),
    seconds: float = SECONDS,
    most: int = MOST_BYTES,
) -> Answer:
    """One request and its answer, of at most `most` bytes, within `seconds` all in all.

    Raises `NotAllowed` before anything is connected to, and `NoAnswer`.
    """
    until = time.monotonic() + seconds
    target = _target(url, schemes)
    addresses = _allowed(target, until=until)
    last: Exception | None = None
    for address in addresses[:MOST_TRIED]:
        try:
            return _ask(
                target, address, method=method, headers=headers or {}, body=body, until=until, most=most
            )
        except _Unreached as failure:
            last = failure
    raise NoAnswer(f"no answer from {target.authority}: {last}") from last


def stream(
    url: str, *, schemes: tuple[str, ...] = ("https",), also: Exceptions, seconds: float
) -> Iterator[bytes]:
    """The body of a GET in chunks, within `seconds` all in all; `also` are exceptions for this request.

    For bodies that are too large for memory: the caller bounds what it takes. Raises `NotAllowed` before
    anything is connected to, and `NoAnswer`, also between chunks, and for any status but 200.
    """
    until = time.monotonic() + seconds
    target = _target(url, schemes)
    address = _allowed(target, until=until, also=also)[0]
    connection = _connection(target, address, seconds=until - time.monotonic())
    try:
        with _ended_at(connection, until):
            response = _sent(connection, target, method="GET", headers={}, body=None)
            if response.status != 200:
                raise NoAnswer(f"{target.authority} answers {response.status}")
            while chunk := response.read(CHUNK, decode_content=False):
                yield chunk
        if time.monotonic() >= until:
            raise NoAnswer(f"{target.authority} did not answer in time")
    except (HTTPError, HTTPException, OSError, ValueError) as failure:
        raise NoAnswer(f"no answer from {target.authority}: {failure}") from failure
    finally:
        connection.close()


# --- where to --------------------------------------------------------------------------------------


def _target(url: str, schemes: tuple[str, ...]) -> _Target:
    """The URL, if it is spelled so that no two programs could read it differently."""
    if len(url) > LONGEST_URL or not PLAIN.fullmatch(url) or "\\" in url:
        raise NotAllowed("a URL is at most 4,000 printable ASCII characters, without backslashes")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as failure:
        raise NotAllowed(f"not a URL: {failure}") from failure
    if parts.scheme not in schemes or not url.lower().startswith(f"{parts.scheme}://"):
        raise NotAllowed(f"only {', '.join(schemes)}")
    if "@" in parts.netloc or "#" in url:
        raise NotAllowed("no user names and no fragments in a URL")
    host = parts.hostname or ""
    if parts.netloc.endswith(":") or port == 0 or not _is_plain_host(host, is_bracketed="[" in parts.netloc):
        raise NotAllowed("the host is neither a plain name nor an address in its usual spelling")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return _Target(scheme=parts.scheme, host=host, port=port or PORTS[parts.scheme], path=path)


def _is_plain_host(host: str, *, is_bracketed: bool) -> bool:
    """A DNS name, or the one spelling of an address that everybody reads alike (not 127.1, 0x7f.1 …)."""
    try:
        address = ip_address(host)
    except ValueError:
        last = host.rpartition(".")[2]
        return bool(NAME.fullmatch(host)) and not NUMBER.fullmatch(last) and not is_bracketed
    return "%" not in host and is_bracketed == (address.version == 6)


def _allowed(target: _Target, *, until: float, also: Exceptions | None = None) -> list[Address]:
    """The host's addresses. `NotAllowed` if only one of them is none of the public internet's."""
    addresses = _resolved(target, until=until)
    known: list[Exceptions] = [settings.QUELL_OUTBOUND_ALLOW, *([also] if also else [])]
    for address in addresses:
        if any(address in network for network in _NEVER):
            raise NotAllowed(f"{target.host} is {address}, where a cloud tells its credentials")
        is_known = any(one.hold(host=target.host, port=target.port, address=address) for one in known)
        if not _is_public(address) and not is_known:
            raise NotAllowed(f"{target.host} is {address}, which is no public address (QUELL_OUTBOUND_ALLOW)")
    return addresses


def _resolved(target: _Target, *, until: float) -> list[Address]:
    """All addresses of the host, asked once. A resolver that takes too long is left behind."""
    told: SimpleQueue[list[Address] | Exception] = SimpleQueue()

    def look_up() -> None:
        try:
            found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
            told.put([ip_address(entry[4][0]) for entry in found])
        except (OSError, ValueError) as failure:
            told.put(failure)

    threading.Thread(target=look_up, name="resolve", daemon=True).start()
    try:
        answer = told.get(timeout=max(0.01, until - time.monotonic()))
    except Empty as failure:
        raise NoAnswer(f"{target.host} was not resolved in time") from failure
    if isinstance(answer, Exception):
        raise NoAnswer(f"{target.host} cannot be resolved") from answer
    if not answer:
        raise NoAnswer(f"{target.host} has no address")
    return list(dict.fromkeys(answer))


def _is_public(address: Address) -> bool:
    if address.is_multicast or address.is_unspecified or not address.is_global:
        return False
    return not any(address in network for network in (*_CARRIES_ANOTHER, *_ALSO_SPECIAL))


def _port(text: str) -> int:
    port = int(text)
    if not 0 < port < 65536:
        raise ValueError(f"{text} is not a port")
    return port


# --- asking ------------------------------------------------------------------------------------------


class _Unreached(Exception):
    """No connection to this address; nothing was sent, so another may be tried."""


def _ask(
    target: _Target,
    address: Address,
    *,
    method: str,
    headers: Mapping[str, str],
    body: bytes | None,
    until: float,
    most: int,
) -> Answer:
    connection = _connection(target, address, seconds=until - time.monotonic())
    try:
        try:
            connection.connect()
        except (HTTPError, OSError) as failure:
            raise _Unreached(str(failure)) from failure
        with _ended_at(connection, until):
            answer = _exchange(connection, target, method=method, headers=headers, body=body, most=most)
        if time.monotonic() >= until:  # what was cut off can look like a whole answer
            raise NoAnswer(f"{target.authority} did not answer in time")
        return answer
    except (HTTPError, HTTPException, OSError, ValueError) as failure:
        raise NoAnswer(f"no answer from {target.authority}: {failure}") from failure
    finally:
        connection.close()


def _connection(target: _Target, address: Address, *, seconds: float) -> HTTPConnection:
    """A connection to the address itself; TLS asks for, and checks, the name."""
    if seconds <= 0:
        raise NoAnswer(f"no time was left to connect to {target.authority}")
    if target.scheme == "http":
        return HTTPConnection(str(address), target.port, timeout=seconds)
    return HTTPSConnection(
        str(address),
        target.port,
        timeout=seconds,
        cert_reqs="CERT_REQUIRED",
        server_hostname=target.host,
        assert_hostname=target.host,
    )


def _exchange(
    connection: HTTPConnection,
    target: _Target,
    *,
    method: str,
    headers: Mapping[str, str],
    body: bytes | None,
    most: int,
) -> Answer:
    response = _sent(connection, target, method=method, headers=headers, body=body)
    read = bytearray()
    while chunk := response.read(min(CHUNK, most + 1 - len(read)), decode_content=False):
        read += chunk
        if len(read) > most:
            raise NoAnswer(f"{target.authority} answers with more than {most} bytes")
    return Answer(
        status=response.status,
        headers={name.lower(): value for name, value in response.headers.items()},
        body=bytes(read),
    )


def _sent(
    connection: HTTPConnection,
    target: _Target,
    *,
    method: str,
    headers: Mapping[str, str],
    body: bytes | None,
) -> HTTPResponse:
    """Send the request; the response, whose body nothing was read of."""
    given = {"User-Agent": "Quell", "Accept-Encoding": "identity", **headers, "Host": target.authority}
    connection.request(method, target.path, body=body, headers=given, preload_content=False)
    response = connection.getresponse()
    # urllib3 wants to know that nothing is to be followed before it reads.
    response.retries = Retry(0, redirect=False)
    return response


@contextmanager
def _ended_at(connection: HTTPConnection, until: float) -> Iterator[None]:
    """Cut the connection off at the deadline, however slowly the other side goes on sending."""

    def cut() -> None:
        open_socket = connection.sock
        if open_socket is not None:
            try:
                open_socket.shutdown(socket.SHUT_RDWR)
            except OSError:  # it was closed in the same moment
                return

    timer = threading.Timer(max(0.0, until - time.monotonic()), cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
