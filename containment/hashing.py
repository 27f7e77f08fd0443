"""The hash that an approval is bound to (CONTRACT §3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lib import canonical


def plan_hash(
    *,
    contract: int,
    type_id: str,
    target: Mapping[str, Any],
    params: Mapping[str, Any],
    plan: Mapping[str, Any],
) -> str:
    """SHA-256 over contract version, type, target, parameters and the plan without its notes."""
    hashed = {key: value for key, value in plan.items() if key != "notes"}
    return canonical.sha256(
        {
            "contract": contract,
            "type": type_id,
            "target": dict(target),
            "params": dict(params),
            "plan": hashed,
        }
    )
