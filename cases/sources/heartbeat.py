"""The heartbeat that the intake stack sends from every account and region, to show that the way is open.

An EventBridge event of our own making, read with its envelope, which holds all that it says::

    {"source": "quell.heartbeat", "detail-type": "Quell Heartbeat", "account": "…", "region": "…"}
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from cases.decoding import JSON, Unreadable
from cases.sources.reading import text
from cases.sources.types import AlertDraft

ID = "heartbeat"

SENDER = "quell.heartbeat"
ACCOUNT = re.compile(r"[0-9]{12}")
REGION = re.compile(r"[a-z]{2}(?:-[a-z]+)+-[0-9]")


def matches(document: JSON) -> bool:
    """Whether this names our own sender."""
    return text(document, "source") == SENDER and text(document, "detail-type") == "Quell Heartbeat"


def parse(document: JSON) -> Iterable[AlertDraft]:
    """No alert, ever. `Unreadable` where it does not say from where it comes: then it proves nothing."""
    if not matches(document):
        raise Unreadable("not a heartbeat of Quell's intake stack")
    if not ACCOUNT.fullmatch(text(document, "account")):
        raise Unreadable("not the twelve digits of an account", "/account")
    if not REGION.fullmatch(text(document, "region")):
        raise Unreadable("not the name of a region", "/region")
    return ()


def speaks_for(document: JSON) -> tuple[str, str]:
    """The account and region that it was sent from."""
    return text(document, "account"), text(document, "region")
