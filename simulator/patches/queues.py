"""A long poll must hold up nobody: moto waits in the call, and here one call is served at a time.

Time moreover stands still while a call is served, so moto would wait for ever. The waiting is done at
the door (`simulator.gateway`), which asks `is_worth_a_look` meanwhile.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from moto.sqs.exceptions import QueueDoesNotExist
from moto.sqs.models import SQSBackend, sqs_backends

LONGEST_SECONDS = 20


def patience(parameters: Mapping[str, Any], *, account: str, region: str) -> float:
    """How many seconds a ReceiveMessage waits: as it says, else as its queue says."""
    said = parameters.get("waitTimeSeconds")
    if said is None:
        queue = _queue(parameters, account=account, region=region)
        said = queue.receive_message_wait_time_seconds if queue else 0
    return min(max(float(said or 0), 0), LONGEST_SECONDS)


def is_worth_a_look(parameters: Mapping[str, Any], *, account: str, region: str) -> bool:
    """Whether a ReceiveMessage would be answered now: with a message, or with an error."""
    queue = _queue(parameters, account=account, region=region)
    return queue is None or bool(queue.messages)


def _queue(parameters: Mapping[str, Any], *, account: str, region: str) -> Any:
    name = str(parameters.get("queueUrl", "")).rpartition("/")[2]
    try:
        return sqs_backends[account][region].get_queue(name)
    except QueueDoesNotExist:
        return None


def apply() -> None:
    """Let moto look once and not wait."""
    original = SQSBackend.receive_message

    def receive_message(
        self: Any, queue_name: str, count: int, _: int, visibility_timeout: int, *more: Any, **named: Any
    ) -> Any:
        return original(self, queue_name, count, 0, visibility_timeout, *more, **named)

    target: Any = SQSBackend
    target.receive_message = receive_message
