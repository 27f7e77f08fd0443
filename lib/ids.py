"""Public identifiers: ULIDs, sortable by time, safe in URLs and logs.

https://github.com/ulid/spec
"""

from __future__ import annotations

import re
import secrets

from ulid import ULID

from lib import clock

ULID_PATTERN = re.compile(r"^[0-7][0-9A-HJKMNP-TV-Z]{25}$")


def ulid() -> str:
    """A new identifier: 48 bits of time and 80 random bits, 26 characters."""
    return str(ULID.from_datetime(clock.now()))


def is_ulid(text: str) -> bool:
    """Whether the text has the form of an identifier of ours, whatever it may name."""
    return bool(ULID_PATTERN.match(text))


def secret() -> str:
    """A new random secret of 256 bits, URL-safe."""
    return secrets.token_urlsafe(32)
