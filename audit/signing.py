"""Signatures of the ledger: made with a key that no database holds, so that its owner cannot make them.

A hash chain shows that rows fit together; whoever may write all of them can make others that fit together
as well. So each event and the head carry an HMAC (RFC 2104, SHA-256) under `QUELL_AUDIT_KEY`. A key that is
no longer used to sign stays good for what it signed, in `QUELL_AUDIT_KEYS_BEFORE`.
"""

from __future__ import annotations

import hashlib
import hmac

from django.conf import settings


def of_event(digest: str) -> str:
    """The signature of an event with this hash; 64 hexadecimal digits."""
    return _made(settings.QUELL_AUDIT_KEY, f"event:{digest}")


def of_head(seq: int, digest: str) -> str:
    """The signature of a head: that the chain ended here. Never that of an event."""
    return _made(settings.QUELL_AUDIT_KEY, f"head:{seq}:{digest}")


def of_export(digest: str) -> str:
    """The signature of an export whose manifest has this digest."""
    return _made(settings.QUELL_AUDIT_KEY, f"export:{digest}")


def is_event(signature: str, digest: str) -> bool:
    """Whether one of our keys signed an event with this hash."""
    return _is_made(signature, f"event:{digest}")


def is_head(signature: str, seq: int, digest: str) -> bool:
    """Whether one of our keys signed this as the end of the chain, now or earlier."""
    return _is_made(signature, f"head:{seq}:{digest}")


def _is_made(signature: str, message: str) -> bool:
    keys = (settings.QUELL_AUDIT_KEY, *settings.QUELL_AUDIT_KEYS_BEFORE)
    return any(hmac.compare_digest(signature.encode(), _made(key, message).encode()) for key in keys)


def _made(key: str, message: str) -> str:
    return hmac.new(key.encode(), message.encode(), hashlib.sha256).hexdigest()
