"""Where moto differs from AWS in ways that matter for containment, one module per difference."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from simulator import additions
from simulator.patches import (
    clock,
    findings,
    interfaces,
    keys,
    managed_policies,
    memory,
    queues,
    randomness,
    security_groups,
    sessions,
    snapshots,
    speed,
    trust_policies,
    unique_ids,
    volumes,
)

_PATCHES = (
    clock,
    memory,
    randomness,
    interfaces,
    security_groups,
    snapshots,
    managed_policies,
    sessions,
    keys,
    trust_policies,
    unique_ids,
    volumes,
    queues,
    findings,
    speed,
)


@cache
def apply() -> None:
    """Install every patch into moto, once per process."""
    for patch in _PATCHES:
        patch.apply()
    for module in pkgutil.iter_modules(additions.__path__, f"{additions.__name__}."):
        importlib.import_module(module.name).apply()
