"""Choosing the web port: the usual one if free, the one asked for or an error, never a guess unsaid."""

import socket
from collections.abc import Iterator

import pytest

from launcher import ports
from launcher.console import LauncherError

pytestmark = pytest.mark.fast


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind((ports.LOOPBACK, 0))
        listener.listen()
        yield int(listener.getsockname()[1])


def test_the_preferred_port_is_used_when_it_is_free() -> None:
    free = ports.free()
    assert ports.choose(None, preferred=free) == (free, None)


def test_a_taken_preferred_port_gives_another_and_says_so(taken: int) -> None:
    port, remark = ports.choose(None, preferred=taken)
    assert port != taken
    assert remark == f"port {taken} is taken, using {port}"


def test_a_port_asked_for_is_used_or_refused(taken: int) -> None:
    free = ports.free()
    assert ports.choose(free, preferred=taken) == (free, None)
    with pytest.raises(LauncherError, match=f"port {taken} is taken"):
        ports.choose(taken, preferred=free)


def test_zero_asks_for_any(taken: int) -> None:
    port, remark = ports.choose(0, preferred=taken)
    assert ports.is_free(port)
    assert remark is None


def test_the_last_port_is_kept_while_it_is_free(taken: int) -> None:
    free = ports.free()
    assert ports.remembered_or_free(free) == free
    assert ports.remembered_or_free(taken) != taken
    assert ports.is_free(ports.remembered_or_free(None))
