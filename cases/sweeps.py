"""The due work of the record: what intake leaves to be done after the answer."""

from __future__ import annotations


def register() -> None:
    """Register the sweeps of this package. Called once, when the models are loaded."""
