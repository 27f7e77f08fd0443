"""Logging: each line carries the id of the request it was written for."""

from __future__ import annotations

import logging
from contextvars import ContextVar

current_request: ContextVar[str] = ContextVar("current_request", default="")


class WithRequestId(logging.Filter):
    """Adds `request_id` to every record; empty outside a request."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = current_request.get()
        return True
