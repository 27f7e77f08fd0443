"""Ids depend only on the seed and the journal, never on which reads happened in between.

moto builds a backend (default VPC, default groups …) the first time an account and region are
touched, be it by a read, and draws its ids from the one random stream. Here each backend is built
from a stream of its own, so a replay that leaves out the reads gives the same ids.
"""

from __future__ import annotations

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
    original = AccountSpecificBackend.__getitem__

    def getitem(self: Any, region_name: str) -> Any:
        name = "aws" if region_name == "global" else region_name
        if dict.__contains__(self, name):
            return dict.__getitem__(self, name)
        with _own_stream(f"backend/{self.service_name}/{self.account_id}/{name}"):
            return original(self, name)

    AccountSpecificBackend.__getitem__ = getitem  # type: ignore[method-assign]
