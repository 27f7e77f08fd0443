"""Work moto does again for every request although its answer never changes."""

from __future__ import annotations

from functools import cache
from typing import Any

from moto.core import responses


def apply() -> None:
    """Remember each service's operations: looking through EC2's takes over a millisecond."""
    target: Any = responses
    target.method_names_from_class = cache(target.method_names_from_class)
