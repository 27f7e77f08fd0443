"""A file that is larger than may be kept is cut while it comes in: nothing of it is stored, and 413."""

from __future__ import annotations

import io
import socket
import tempfile
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from pytest_django.live_server_helper import LiveServer

from cases.models import Evidence, Incident
from identity.actors import Actor
from soc import uploads
from tests import make

MB = 2**20
EDGE = "quell-edge"
TYPE = f"multipart/form-data; boundary={EDGE}"


class Streamed(io.RawIOBase):
    """A form with one file of so many bytes, made as it is read; `taken` is how much of it was."""

    def __init__(self, size: int, *, files: int = 1, fields: dict[str, str] | None = None) -> None:
        head = (
            f'--{EDGE}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
            for name, value in ({"source": "the owner"} if fields is None else fields).items()
        )
        self._parts: list[tuple[bytes, int]] = [("".join(head).encode(), 0)]
        for number in range(files):
            name = "file" if number == 0 else f"file{number}"
            begin = (
                f'--{EDGE}\r\nContent-Disposition: form-data; name="{name}"; filename="disk.img"\r\n'
                "Content-Type: application/octet-stream\r\n\r\n"
            )
            self._parts += [(begin.encode(), 0), (b"", size), (b"\r\n", 0)]
        self._parts.append((f"--{EDGE}--\r\n".encode(), 0))
        self.length = sum(len(text) + number for text, number in self._parts)
        self.taken = 0
        self._made = self._pieces()
        self._rest = b""

    def _pieces(self) -> Iterator[bytes]:
        for text, number in self._parts:
            if text:
                yield text
            left = number
            while left:
                piece = min(left, 64 * 1024)
                left -= piece
                yield b"x" * piece

    def read(self, size: int | None = -1) -> bytes:
        wanted = self.length if size is None or size < 0 else size
        while len(self._rest) < wanted and (piece := next(self._made, b"")):
            self._rest += piece
        given, self._rest = self._rest[:wanted], self._rest[wanted:]
        self.taken += len(given)
        return given


def send(client: Client, address: str, body: Streamed) -> Any:
    given: dict[str, Any] = {"wsgi.input": body, "CONTENT_LENGTH": str(body.length), "CONTENT_TYPE": TYPE}
    return client.generic("POST", address, b"", **given)


@pytest.fixture(autouse=True)
def store(settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store of its own that keeps 8 MB of one artefact, and no other place for temporary files."""
    settings.QUELL_EVIDENCE_DIR = tmp_path / "evidence"
    settings.QUELL_EVIDENCE_MOST_BYTES = 8 * MB
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    return tmp_path


@pytest.fixture
def incident(db: None) -> Incident:
    make.account()
    return make.incident()


def left(store: Path) -> list[Path]:
    """Every file there is, kept or on its way."""
    return [path for path in store.rglob("*") if path.is_file()]


def addresses(incident: Incident) -> tuple[str, str]:
    return (
        reverse("api-incident-evidence", args=[incident.ref]),
        reverse("incident-evidence", args=[incident.ref]),
    )


@pytest.mark.parametrize("place", [0, 1], ids=["api", "page"])
def test_what_is_announced_as_too_long_is_not_even_read(
    incident: Incident, analyst: Actor, store: Path, place: int
) -> None:
    body = Streamed(10 * 1024 * MB)

    answer = send(make.browser(analyst), addresses(incident)[place], body)

    assert answer.status_code == 413
    assert "8 MB" in answer.content.decode()
    assert body.taken == 0
    assert left(store) == []
    assert not Evidence.objects.exists()


@pytest.mark.parametrize("place", [0, 1], ids=["api", "page"])
@pytest.mark.parametrize("files", [1, 3])
def test_a_file_over_the_cap_is_cut_while_it_comes_in(
    incident: Incident, analyst: Actor, store: Path, place: int, files: int
) -> None:
    """Longer than the cap and not longer than cap and fields together: only counting finds it."""
    size = {1: 12 * MB, 3: 4 * MB}[files]
    body = Streamed(size, files=files)

    answer = send(make.browser(analyst), addresses(incident)[place], body)

    assert answer.status_code == 413
    assert 8 * MB < body.taken < 9 * MB, "cut as soon as it was over"
    assert left(store) == []
    assert not Evidence.objects.exists()


def test_a_problem_says_how_much_is_taken(incident: Incident, store: Path) -> None:
    answer = send(make.program(make.key()), addresses(incident)[0], Streamed(12 * MB))

    assert answer["Content-Type"] == "application/problem+json"
    assert answer.json()["type"] == "urn:quell:problem:too-large"
    assert answer.json()["detail"] == "The files of one request may have 8 MB here."


@pytest.mark.parametrize("place", [0, 1], ids=["api", "page"])
def test_as_much_as_is_allowed_is_kept_and_takes_little_memory(
    incident: Incident, analyst: Actor, store: Path, settings: Any, place: int
) -> None:
    settings.QUELL_EVIDENCE_MOST_BYTES = 64 * MB
    client, address, body = make.browser(analyst), addresses(incident)[place], Streamed(64 * MB)
    client.get(addresses(incident)[1])  # what is loaded once is not this upload's

    tracemalloc.start()
    answer = send(client, address, body)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert answer.status_code == (201, 302)[place], answer.content[:300]
    assert Evidence.objects.get().size == 64 * MB
    assert peak < 8 * MB
    kept = Evidence.objects.get().sha256
    assert [path.name for path in left(store)] == [kept[2:]], "nothing else lies about"


def test_while_it_comes_in_it_lies_beside_the_store_and_not_in_memory(
    incident: Incident, analyst: Actor, store: Path
) -> None:
    seen: list[Path] = []

    class Watched(Streamed):
        def read(self, size: int | None = -1) -> bytes:
            if self.taken > 6 * MB and not seen:
                seen.extend(left(store))
            return super().read(size)

    assert send(make.browser(analyst), addresses(incident)[0], Watched(7 * MB)).status_code == 201
    [part] = seen
    assert part.parent == store / "evidence" / "incoming"


def test_a_small_file_needs_no_disk_on_its_way(incident: Incident, analyst: Actor, store: Path) -> None:
    body = {"file": SimpleUploadedFile("notes.txt", b"seen at two"), "source": "the owner"}

    assert make.browser(analyst).post(addresses(incident)[0], body).status_code == 201
    assert len(left(store)) == 1


@pytest.mark.parametrize("where", ["page", "signin"])
def test_who_is_not_known_fills_no_disk(incident: Incident, store: Path, where: str) -> None:
    """The token against forgery is inside the form, so the form is parsed before anybody is known."""
    client = Client(enforce_csrf_checks=True)
    client.get(reverse("signin"))
    assert "csrftoken" in client.cookies, "else nothing would be parsed at all"
    address = {"page": addresses(incident)[1], "signin": reverse("signin")}[where]
    body = Streamed(7 * MB, fields={"csrfmiddlewaretoken": client.cookies["csrftoken"].value})

    answer = send(client, address, body)

    assert answer.status_code == 413
    assert 5 * MB < body.taken < 6 * MB
    assert left(store) == []


def test_a_program_without_a_key_is_told_so_before_anything_is_read(incident: Incident, store: Path) -> None:
    for address in (addresses(incident)[0], reverse("compat-thehive-alerts")):
        body = Streamed(7 * MB)
        assert send(Client(), address, body).status_code == 401
        assert body.taken == 0


def test_elsewhere_nobody_sends_more_than_a_form_may_have(
    incident: Incident, analyst: Actor, store: Path
) -> None:
    body = Streamed(11 * MB)

    answer = send(make.browser(analyst), reverse("incident-timeline", args=[incident.ref]), body)

    assert answer.status_code == 413
    assert body.taken == 0


def test_a_planted_defect_is_found(
    incident: Incident, analyst: Actor, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the count the whole of it is written before it is refused, and the test above says so."""
    monkeypatch.setattr(uploads.Capped, "receive_data_chunk", lambda _self, data, _start: data)

    with pytest.raises(AssertionError):
        test_a_file_over_the_cap_is_cut_while_it_comes_in(incident, analyst, store, 0, 1)


@pytest.mark.django_db(transaction=True)
def test_over_a_socket_the_answer_comes_before_the_file_is_sent(live_server: LiveServer, store: Path) -> None:
    make.account()
    incident, secret = make.incident(), make.key()
    at = urlsplit(live_server.url)
    body = Streamed(10 * 1024 * MB)
    head = (
        f"POST {addresses(incident)[0]} HTTP/1.1\r\nHost: {at.netloc}\r\nAuthorization: Bearer {secret}\r\n"
        f"Content-Type: {TYPE}\r\nContent-Length: {body.length}\r\n\r\n"
    )

    with socket.create_connection((str(at.hostname), int(at.port or 0)), timeout=20) as wire:
        wire.sendall(head.encode() + body.read(64 * 1024))
        answer = wire.recv(65_536)

    assert answer.startswith(b"HTTP/1.1 413 ")
    assert left(store) == []
