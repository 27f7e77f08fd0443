"""Indicators that cannot be followed by accident, and the way back for what a person pastes."""

from __future__ import annotations

import re

_SCHEME = re.compile(r"\b(h)tt(ps?)(?=://)", re.IGNORECASE)
_ADDRESS = re.compile(r"(?<=\w)\.(?=\w)")
_COLON = re.compile(r"(?<=[0-9a-fA-F]):(?=[0-9a-fA-F:])")
_DEFANGED_DOT = re.compile(r"\s?[\[({](?:\.|dot)[\])}]\s?", re.IGNORECASE)
_DEFANGED_COLON = re.compile(r"[\[({]:[\])}]")
_DEFANGED_AT = re.compile(r"[\[({](?:@|at)[\])}]", re.IGNORECASE)
_DEFANGED_SCHEME = re.compile(r"\bhxxp(s?)(?=:)", re.IGNORECASE)


def defang(text: str) -> str:
    """`203.0.113.77` → `203[.]0[.]113[.]77`, `https://a.example` → `hxxps://a[.]example`.

    Addresses with colons (IPv6) get them bracketed as well. Text that is neither is returned with
    its inner dots bracketed all the same: better unreadable than clickable.
    """
    out = _SCHEME.sub(lambda found: f"{found[1]}xx{found[2]}", text)
    out = _ADDRESS.sub("[.]", out)
    if "://" not in out and out.count(":") >= 2:
        out = _COLON.sub("[:]", out)
    return out.replace("@", "[@]")


def refang(text: str) -> str:
    """The opposite, forgiving about the brackets people use."""
    out = _DEFANGED_DOT.sub(".", text)
    out = _DEFANGED_COLON.sub(":", out)
    out = _DEFANGED_AT.sub("@", out)
    return _DEFANGED_SCHEME.sub(lambda found: f"http{found[1]}", out)
