"""Where moto differs from AWS in ways that matter for containment, one module per difference."""

from __future__ import annotations

from simulator.patches import (
    clock,
    interfaces,
    keys,
    managed_policies,
    memory,
    randomness,
    security_groups,
    sessions,
    snapshots,
)

_applied = False


def apply() -> None:
    """Install every patch into moto, once per process."""
    global _applied
    if _applied:
        return
    for patch in (clock, memory, randomness, interfaces, security_groups, snapshots, managed_policies, sessions, keys):
        patch.apply()
    _applied = True
