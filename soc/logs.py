"""Logging: each line carries the id of the request it was written for, and no secret of an address."""

from __future__ import annotations

import logging
import re
from contextvars import ContextVar

from pythonjsonlogger.json import JsonFormatter

current_request: ContextVar[str] = ContextVar("current_request", default="")

SECRET = re.compile(
    r"(?i)((?:/|%2f)hooks(?:/|%2f)[a-z]+(?:/|%2f))[^\s\"'/?#&<>\\]+|\bq[hk]_[A-Za-z0-9_-]{20,}"
)


class WithRequestId(logging.Filter):
    """Adds `request_id` to every record; empty outside a request."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = current_request.get()
        return True


class Json(JsonFormatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        return redacted(super().format(record))


class Plain(logging.Formatter):
    """One line of text, with tracebacks below."""

    def format(self, record: logging.LogRecord) -> str:
        return redacted(super().format(record))


def redacted(line: str) -> str:
    """The line without the secrets of hooks and keys: whole lines are looked at, as paths stand anywhere."""
    return SECRET.sub(lambda found: f"{found[1] or ''}…", line)
