"""The due work of the hand: planning, executing, looking again."""

from __future__ import annotations


def register() -> None:
    """Register the sweeps of this package. Called once, when the models are loaded."""
