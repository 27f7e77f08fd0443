"""Ids depend only on the seed and the journal, never on which reads happened in between.

moto builds a backend (default VPC, default groups …) the first time an account and region are
touched, be it by a read, and draws its ids from the one random stream. Here each backend is built
from a stream of its own, so a replay that leaves out the reads gives the same ids.

Some of moto draws from the operating system (session tokens, UUIDs). While a change is applied, the
thread that applies it draws these from the stream as well; every other thread has the real thing.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from moto.core.base_backend import AccountSpecificBackend
from moto.ec2 import utils as ec2_utils
from moto.moto_api._internal import mock_random

SEED = "quell"


def seed(name: object) -> None:
    """Restart moto's random stream from a name."""
    mock_random.seed(f"{SEED}/{name}")


_system_urandom = os.urandom
_thread = threading.local()


@contextmanager
def stream(name: object) -> Iterator[None]:
    """Let this thread's moto draw everything from the stream of a name."""
    seed(name)
    _thread.drawing = True
    try:
        yield
    finally:
        _thread.drawing = False


def _urandom(size: int, /) -> bytes:
    if not getattr(_thread, "drawing", False):
        return _system_urandom(size)
    return mock_random.getrandbits(8 * size).to_bytes(size, "big")


@contextmanager
def _own_stream(name: str) -> Iterator[None]:
    before = mock_random.getstate()
    seed(name)
    try:
        yield
    finally:
        mock_random.setstate(before)


def _resource_id(size: int = 8) -> str:
    """The random part of an EC2 id; AWS's long ones begin with 0."""
    number = mock_random.get_random_hex(size)
    return f"0{number[1:]}" if size == 17 else number


def apply() -> None:
    """Wrap the look-up that builds backends on first use."""
    ec2_utils.random_resource_id = _resource_id
    os.urandom = _urandom
    original = AccountSpecificBackend.__getitem__

    def getitem(self: Any, region_name: str) -> Any:
        name = "aws" if region_name == "global" else region_name
        if dict.__contains__(self, name):
            return dict.__getitem__(self, name)
        with _own_stream(f"backend/{self.service_name}/{self.account_id}/{name}"):
            return original(self, name)

    AccountSpecificBackend.__getitem__ = getitem  # type: ignore[method-assign]
