"""The way out: what may be asked, what may not, and that nothing is connected to before that is known."""

from __future__ import annotations

import ast
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from urllib3.connection import HTTPSConnection

from launcher import layout
from lib import clock
from lib.outbound import NoAnswer, NotAllowed, exceptions, fetch

pytestmark = pytest.mark.fast

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Canary: yes\r\n\r\nhi"


@dataclass
class Canary:
    """A server on loopback that counts who connects, and keeps what they say."""

    port: int = 0
    connected: int = 0
    heard: list[bytes] = field(default_factory=list)


def _serve(
    listener: socket.socket, canary: Canary, speak: Callable[[socket.socket], None], tls: Any = None
) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        canary.connected += 1
        try:
            with client:
                client.settimeout(5)
                with tls.wrap_socket(client, server_side=True) if tls else client as spoken_to:
                    canary.heard.append(spoken_to.recv(65536))
                    speak(spoken_to)
        except OSError:
            continue


@contextmanager
def listening(
    speak: Callable[[socket.socket], None] = lambda client: client.sendall(OK),
    *,
    family: socket.AddressFamily = socket.AF_INET,
    host: str = "127.0.0.1",
    tls: ssl.SSLContext | None = None,
) -> Iterator[Canary]:
    canary = Canary()
    with socket.socket(family) as listener:
        listener.bind((host, 0))
        listener.listen(16)
        canary.port = listener.getsockname()[1]
        thread = threading.Thread(target=_serve, args=(listener, canary, speak, tls), daemon=True)
        thread.start()
        yield canary
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(5)


@pytest.fixture(scope="module")
def canary() -> Iterator[Canary]:
    with listening() as found:
        yield found


class Resolver:
    """Names as a test wants them; each answer is used once, the last one for good."""

    def __init__(self, names: dict[str, list[list[str]]]) -> None:
        self.names = names
        self.asked: list[str] = []

    def __call__(self, host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        self.asked.append(host)
        if host not in self.names:
            try:
                found = [str(ip_address(host))]
            except ValueError:
                raise socket.gaierror(-2, "Name or service not known") from None
        else:
            answers = self.names[host]
            found = answers.pop(0) if len(answers) > 1 else answers[0]
        families = {4: socket.AF_INET, 6: socket.AF_INET6}
        return [
            (families[ip_address(a.partition("%")[0]).version], socket.SOCK_STREAM, 6, "", (a, port))
            for a in found
        ]


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Resolver:
    made = Resolver({})
    monkeypatch.setattr(socket, "getaddrinfo", made)
    return made


@pytest.fixture
def allow(settings: Any) -> Callable[..., None]:
    def set_to(*words: str) -> None:
        settings.QUELL_OUTBOUND_ALLOW = exceptions(words)

    return set_to


# --- what may not be asked: every form with the canary's port, so that a mistake would be heard ---------

LOOPBACKS = [
    "127.0.0.1", "127.0.0.2", "127.255.255.254", "127.1", "127.0.1", "2130706433", "0x7f000001", "0x7f.1",
    "0x7f.0.0.1", "0177.0.0.1", "017700000001", "00000177.0.0.1", "127.0.0.1.", "127.000.000.001",
    "0", "0.0.0.0", "0x0", "localhost", "LOCALHOST", "localhost.", "LocalHost.localdomain", "[::1]",  # noqa: S104
    "[::]",
    "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[0:0:0:0:0:ffff:127.0.0.1]",
    "[::127.0.0.1]", "[64:ff9b::127.0.0.1]", "[64:ff9b::7f00:1]", "[64:ff9b:1::7f00:1]", "[2002:7f00:1::]",
    "[2001:0:7f00:1::]", "[fe80::1]", "[fe80::1%25lo]", "[fe80::1%lo]", "::1", "①②⑦.⓪.⓪.①", "127。0。0。1",
    "127%2e0%2e0%2e1", "127.0.0.1%00.example.com", "%31%32%37.0.0.1", "ⓛocalhost",
    "localhost\x00.example.com",
    "4294967296", "256.0.0.1", "127.0.0.0x1", "example.com.0x7f", "example.2130706433", "-1", "[127.0.0.1]",
]  # fmt: skip
PRIVATE = [
    "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "100.100.100.200",
    "169.254.169.254", "169.254.170.2", "169.254.0.1", "168.63.129.16", "192.0.0.192", "192.0.0.9",
    "192.0.2.1", "198.18.0.1", "198.51.100.1", "203.0.113.9", "192.88.99.1", "224.0.0.1", "239.255.255.250",
    "240.0.0.1", "255.255.255.255", "0.1.2.3", "[fc00::1]", "[fd00:ec2::254]", "[fec0::1]", "[ff02::1]",
    "[2001:db8::1]", "[100::1]", "[::ffff:10.0.0.1]", "[::ffff:169.254.169.254]", "[2002:a9fe:a9fe::]",
]  # fmt: skip
SPELLINGS = [
    "https://user@127.0.0.1:{port}/",
    "https://user:word@127.0.0.1:{port}/",
    "https://sns.us-east-1.amazonaws.com@127.0.0.1:{port}/",
    "https://127.0.0.1:{port}#@example.com/",
    "https://example.com#@127.0.0.1:{port}/",
    "https://127.0.0.1:{port}\\@example.com/",
    "https://example.com\\@127.0.0.1:{port}/",
    "https:127.0.0.1:{port}/",
    "https:/127.0.0.1:{port}/",
    "https:///127.0.0.1:{port}/",
    "//127.0.0.1:{port}/",
    "127.0.0.1:{port}",
    "http://127.0.0.1:{port}/",
    "HTTP://127.0.0.1:{port}/",
    "file:///etc/passwd",
    "gopher://127.0.0.1:{port}/",
    "ftp://127.0.0.1:{port}/",
    "dict://127.0.0.1:{port}/",
    "unix:///var/run/docker.sock",
    " https://127.0.0.1:{port}/",
    "https://127.0.0.1:{port}/ ",
    "https://127.0.0.1:{port}/\r\nHost: x",
    "https://127.0.0.1\t:{port}/",
    "https://127.0.0.1:{port}/a b",
    "https://127.0.0.1:0{port}0/",
    "https://127.0.0.1:/",
    "https://127.0.0.1:65536/",
    "https://127.0.0.1:-1/",
    "https://",
    "",
    "https://[::1",
    "https://:{port}/",
    "https://.:{port}/",
    "https://a..b:{port}/",
    "https://-a.example:{port}/",
    "https://127.0.0.1:{port}/" + "a" * 5000,
    "https://[::1].example:{port}/",
    "https://[v1.x]:{port}/",
]
FORMS = [f"https://{host}:{{port}}/" for host in (*LOOPBACKS, *PRIVATE)] + SPELLINGS


def test_the_list_is_long_enough() -> None:
    assert len(set(FORMS)) >= 60


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("schemes", [("https",), ("http", "https")])
def test_no_form_reaches_what_is_not_public(form: str, schemes: tuple[str, ...], canary: Canary) -> None:
    if "http" in schemes:
        form = form.replace("https:", "http:", 1)
    before = canary.connected

    with pytest.raises((NotAllowed, NoAnswer)) as refused:
        fetch(form.format(port=canary.port), schemes=schemes, seconds=1)

    # `NoAnswer` only where a name like localhost.localdomain does not resolve here.
    assert refused.type is NotAllowed or "cannot be resolved" in str(refused.value)
    assert canary.connected == before == 0


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.5", "::1", "::ffff:127.0.0.1", "fe80::1"])
def test_a_name_that_has_one_such_address_is_refused_whole(
    address: str, resolver: Resolver, canary: Canary
) -> None:
    resolver.names["mixed.example"] = [["93.184.215.14", address]]

    with pytest.raises(NotAllowed):
        fetch(f"https://mixed.example:{canary.port}/", seconds=1)

    assert canary.connected == 0


def test_an_answer_that_changes_between_look_and_connect_changes_nothing(
    resolver: Resolver, canary: Canary, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second look-up would say loopback; there is none, and the first address is what is connected to."""
    resolver.names["rebound.example"] = [["93.184.215.14"], ["127.0.0.1"]]
    asked: list[str] = []

    def connect(connection: HTTPSConnection) -> None:
        asked.append(connection.host)
        raise OSError("unreachable")

    monkeypatch.setattr(HTTPSConnection, "connect", connect)

    with pytest.raises(NoAnswer):
        fetch(f"https://rebound.example:{canary.port}/", seconds=1)

    assert asked == ["93.184.215.14"]
    assert resolver.asked == ["rebound.example"]
    assert canary.connected == 0


@pytest.mark.parametrize("word", ["169.254.0.0/16", "169.254.169.254", "169.254.169.254:80", "0.0.0.0/0"])
def test_no_exception_opens_where_clouds_tell_credentials(word: str, allow: Callable[..., None]) -> None:
    allow(word)

    with pytest.raises(NotAllowed, match="credentials"):
        fetch("http://169.254.169.254/latest/meta-data/", schemes=("http",), seconds=1)


# --- what may be asked ----------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["127.0.0.0/8", "127.0.0.1", "127.0.0.1:{port}"])
def test_an_exception_opens_one_place(word: str, allow: Callable[..., None]) -> None:
    with listening() as server, listening() as other:
        allow(word.format(port=server.port))

        answer = fetch(f"http://127.0.0.1:{server.port}/a?b=c", schemes=("http",), headers={"X-One": "1"})

        assert (answer.status, answer.body, answer.headers["x-canary"]) == (200, b"hi", "yes")
        [heard] = server.heard
        assert heard.startswith(b"GET /a?b=c HTTP/1.1\r\n")
        assert f"Host: 127.0.0.1:{server.port}\r\n".encode() in heard
        assert b"X-One: 1\r\n" in heard
        if ":" in word:
            with pytest.raises(NotAllowed):
                fetch(f"http://127.0.0.1:{other.port}/", schemes=("http",))
            assert other.connected == 0


def test_a_host_name_at_one_port_may_be_private(allow: Callable[..., None], resolver: Resolver) -> None:
    resolver.names |= {"siem.example": [["127.0.0.1"]], "other.example": [["127.0.0.1"]]}
    with listening() as server:
        allow(f"siem.example:{server.port}")

        answer = fetch(f"http://SIEM.example:{server.port}/", schemes=("http",), method="POST", body=b"{}")

        assert answer.status == 200
        assert f"Host: siem.example:{server.port}\r\n".encode() in server.heard[0]
        assert server.heard[0].startswith(b"POST / ")
        with pytest.raises(NotAllowed):
            fetch(f"http://other.example:{server.port}/", schemes=("http",))


@pytest.mark.parametrize(
    "word", ["10.0.0.0/33", "10.0.0.1/8", "siem.example", "siem.example:0", "siem:70000", "*", ""]
)
def test_an_exception_that_makes_no_sense_is_refused(word: str) -> None:
    with pytest.raises(ValueError):
        exceptions([word])


def test_a_redirect_is_an_answer_and_is_not_followed(allow: Callable[..., None]) -> None:
    with listening() as second:
        moved = (
            f"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:{second.port}/\r\nContent-Length: 0\r\n\r\n"
        )
        with listening(lambda client: client.sendall(moved.encode())) as first:
            allow("127.0.0.0/8")

            answer = fetch(f"http://127.0.0.1:{first.port}/", schemes=("http",))

        assert answer.status == 302
        assert second.connected == 0


def test_proxies_from_the_environment_are_not_used(
    allow: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    with listening() as proxy, listening() as server:
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        allow("127.0.0.0/8")

        assert fetch(f"http://127.0.0.1:{server.port}/", schemes=("http",)).status == 200

        assert proxy.connected == 0


def test_a_longer_answer_than_wanted_is_no_answer(allow: Callable[..., None]) -> None:
    def pour(client: socket.socket) -> None:
        client.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 200_000)

    allow("127.0.0.0/8")
    with listening(pour) as server:
        with pytest.raises(NoAnswer, match="more than 1000 bytes"):
            fetch(f"http://127.0.0.1:{server.port}/", schemes=("http",), most=1000)
        assert len(fetch(f"http://127.0.0.1:{server.port}/", schemes=("http",), most=200_000).body) == 200_000


def drip(head: bytes, every: bytes) -> Callable[[socket.socket], None]:
    def speak(client: socket.socket) -> None:
        client.sendall(head)
        for _ in range(100):
            client.sendall(every)
            time.sleep(0.05)

    return speak


@pytest.mark.parametrize(
    "speak",
    [
        drip(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b"x"),
        drip(b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n"),
        drip(b"", b"H"),
        lambda client: time.sleep(3),
    ],
    ids=["body", "headers", "status line", "silence"],
)
def test_the_deadline_holds_however_slowly_it_drips(
    speak: Callable[[socket.socket], None], allow: Callable[..., None]
) -> None:
    allow("127.0.0.0/8")
    with listening(speak) as server:
        begun = time.monotonic()

        with pytest.raises(NoAnswer):
            fetch(f"http://127.0.0.1:{server.port}/", schemes=("http",), seconds=0.4)

        assert time.monotonic() - begun < 2


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"\0\xff\xfe",
        b"HTTP/9.9 x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_what_is_no_http_is_no_answer(said: bytes, allow: Callable[..., None]) -> None:
    allow("127.0.0.0/8")
    with listening(lambda client: client.sendall(said)) as server, pytest.raises(NoAnswer):
        fetch(f"http://127.0.0.1:{server.port}/", schemes=("http",), seconds=1)


def test_the_next_address_is_tried_when_one_cannot_be_reached(
    allow: Callable[..., None], resolver: Resolver
) -> None:
    with listening() as server:
        resolver.names["two.example"] = [["127.0.0.9", "127.0.0.1"]]  # nobody listens at the first
        allow("127.0.0.0/8")

        assert fetch(f"http://two.example:{server.port}/", schemes=("http",)).status == 200


def test_a_resolver_that_hangs_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: released.wait(5) and [])
    begun = time.monotonic()

    with pytest.raises(NoAnswer, match="not resolved in time"):
        fetch("https://slow.example/", seconds=0.2)

    assert time.monotonic() - begun < 1
    released.set()


# --- TLS ------------------------------------------------------------------------------------------------


@pytest.fixture
def certified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """A server's TLS for good.example, by an authority that this machine trusts for the test."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "good.example")])
    now = clock.now()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("good.example")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = tmp_path / "certificate.pem"
    pem.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    secret = tmp_path / "key.pem"
    secret.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(pem, secret)
    return server


def test_tls_asks_for_the_name_and_checks_it(
    certified: ssl.SSLContext, allow: Callable[..., None], resolver: Resolver
) -> None:
    names: list[str | None] = []
    certified.sni_callback = lambda _, name, __: names.append(name)
    resolver.names |= {"good.example": [["127.0.0.1"]], "bad.example": [["127.0.0.1"]]}
    allow("127.0.0.0/8")
    with listening(tls=certified) as server:
        assert fetch(f"https://good.example:{server.port}/").body == b"hi"
        with pytest.raises(NoAnswer):
            fetch(f"https://bad.example:{server.port}/", seconds=1)

    assert names == ["good.example", "bad.example"]
    assert len([words for words in server.heard if words]) == 1


def test_tls_by_an_unknown_authority_is_refused(
    certified: ssl.SSLContext,
    allow: Callable[..., None],
    resolver: Resolver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    resolver.names["good.example"] = [["127.0.0.1"]]
    allow("127.0.0.0/8")
    with listening(tls=certified) as server, pytest.raises(NoAnswer):
        fetch(f"https://good.example:{server.port}/", seconds=1)


# --- nobody else ----------------------------------------------------------------------------------------

CLIENTS = {"requests", "httpx", "aiohttp", "urllib3", "urllib.request", "http.client", "ftplib", "smtplib"}
DEMO = {"soc/demo/simulator.py", "soc/demo/story.py"}
"""They speak to the simulator that the demo itself started on loopback."""
PRODUCT = ("soc", "containment", "metrics", "cases", "estate", "identity", "audit", "lib")


def imported(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def clients_in(path: Path) -> set[str]:
    """The HTTP clients that a module imports; to know their errors is not to speak."""
    named = {name for name in imported(path) if not name.startswith("urllib3.exceptions.")}
    return {client for client in CLIENTS for name in named if f"{name}.".startswith(f"{client}.")}


def test_nobody_else_in_the_product_speaks_http() -> None:
    speaking = {
        str(path.relative_to(layout.ROOT))
        for package in PRODUCT
        for path in (layout.ROOT / package).rglob("*.py")
        if clients_in(path)
    }

    assert speaking == {"lib/outbound.py", *DEMO}


@pytest.mark.parametrize(
    "line",
    ["import requests", "from urllib import request", "import urllib3.util", "def f():\n    import httpx"],
)
def test_the_look_for_other_clients_finds_them(line: str, tmp_path: Path) -> None:
    planted = tmp_path / "planted.py"
    planted.write_text(line, encoding="utf-8")

    assert clients_in(planted)
