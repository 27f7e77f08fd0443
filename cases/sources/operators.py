"""What sources may use of the operator's own: told once, when the process starts. Loads nothing."""

from __future__ import annotations

_sigma_rules = ""


def use(*, sigma_rules: str) -> None:
    """Use the Sigma rules in this directory beside ours, from now on; none where it is empty."""
    global _sigma_rules  # noqa: PLW0603 - one process has one operator
    _sigma_rules = sigma_rules


def sigma_rules() -> str:
    """The directory of the operator's Sigma rules; empty for none."""
    return _sigma_rules
