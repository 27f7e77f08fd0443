"""Who a snapshot or an image is shared with. No action type of its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from containment.describing import Context

SHARED_WITH_ALL = "all"


def chosen(ctx: Context, shared: Iterable[str], asked: tuple[str, ...]) -> list[str]:
    """With whom sharing ends, sorted: who is asked for, else everyone but the forensic account.

    The forensic account's share is evidence on its way; it ends only when it is named.
    """
    forensic = ctx.places.get("forensic")
    keep = {forensic.account} if forensic else set()
    wanted = set(asked) if asked else set(shared) - keep
    return sorted(set(shared) & wanted)


def said(who: str) -> str:
    """A grantee in words."""
    if who == SHARED_WITH_ALL:
        return "everyone"
    return f"account {who}" if who.isdigit() else who


def grantee(permission: Mapping[str, str], names: tuple[str, ...]) -> str:
    """Who one permission is given to: the first of the members `names` that it has."""
    return next((permission[name] for name in names if permission.get(name)), "")
