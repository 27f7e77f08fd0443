"""The log of calls, in CloudTrail's shape.

https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html
Beside CloudTrail's members each record has `seq`, `dryRun` (answered without moto), `decidedBy`
(what refused the call, else null), `fault` (the fault rule that fired, else null), `receivedAt` and
`answeredAt` (seconds since the epoch by the machine's clock, whatever the product's clock says).
"""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

from simulator.access import Identity, stamp
from simulator.faults import Fault
from simulator.journal import private
from simulator.patches import clock
from simulator.wire import Answer, Call

KEPT_IN_MEMORY = 20_000
FILE_LIMIT_BYTES = 64 * 1024 * 1024
LARGEST_RESPONSE_SHOWN = 64 * 1024


class CallLog:
    """Numbered records; the last `KEPT_IN_MEMORY` in memory, all of them in two rotating files."""

    def __init__(self, file: Path | None = None) -> None:
        self._lock = threading.Lock()
        self._records: deque[tuple[int, str]] = deque(maxlen=KEPT_IN_MEMORY)
        self._last = 0
        self._path = file
        if file is not None:
            self._reload(file)
            self._file = private(file).open("a", encoding="utf-8")

    def _reload(self, file: Path) -> None:
        if not file.exists():
            return
        whole = file.read_bytes()
        end = whole.rfind(b"\n") + 1
        if end != len(whole):
            with file.open("r+b") as torn:
                torn.truncate(end)
        for line in whole[:end].decode().splitlines()[-KEPT_IN_MEMORY:]:
            self._last = int(json.loads(line)["seq"])
            self._records.append((self._last, line))

    def append(self, record: Mapping[str, Any]) -> int:
        """Number and keep a record; returns its number."""
        with self._lock:
            self._last += 1
            line = json.dumps({"seq": self._last, **record}, default=str)
            self._records.append((self._last, line))
            if self._path is not None:
                self._file.write(line + "\n")
                self._file.flush()
                self._rotate()
            return self._last

    def _rotate(self) -> None:
        if self._path is None or self._file.tell() < FILE_LIMIT_BYTES:
            return
        self._file.close()
        self._path.replace(self._path.with_suffix(".1.jsonl"))
        self._file = private(self._path).open("a", encoding="utf-8")

    def since(self, seq: int) -> tuple[list[str], int]:
        """Records after a number, as JSON texts, and the number to ask from next."""
        with self._lock:
            return [line for number, line in self._records if number > seq], self._last

    def clear(self) -> None:
        """Forget the records; numbers go on, so that a reader's `since` stays right."""
        with self._lock:
            self._records.clear()
            if self._path is not None:
                self._file.truncate(0)

    def close(self) -> None:
        """Close the file."""
        if self._path is not None:
            self._file.close()


def record(
    call: Call,
    identity: Identity | None,
    answer: Answer | None,
    *,
    decided_by: str = "",
    dry_run: bool = False,
    fault: Fault | None = None,
) -> dict[str, Any]:
    """The record of one call. Without an answer the call never reached AWS."""
    error = _error(call, answer)
    shown: dict[str, Any] = {
        "eventVersion": "1.11",
        "eventID": str(uuid4()),
        "eventTime": stamp(clock.now()),
        "eventSource": f"{call.service}.amazonaws.com",
        "eventName": call.operation,
        "eventType": "AwsApiCall",
        "eventCategory": "Management",
        "managementEvent": True,
        "awsRegion": call.region,
        "sourceIPAddress": call.source_address,
        "userAgent": str(call.environ.get("HTTP_USER_AGENT", "")),
        "recipientAccountId": identity.account if identity else None,
        "userIdentity": identity.as_cloudtrail()
        if identity
        else {"type": "Unknown", "accessKeyId": call.access_key},
        "requestParameters": call.parameters(),
        "responseElements": _response(call, answer) if not error else None,
        "readOnly": call.read_only,
        "requestID": (answer and answer.header("x-amzn-requestid")) or call.request_id,
        "dryRun": dry_run,
        "decidedBy": decided_by or None,
        "fault": fault.shown() if fault else None,
        "receivedAt": call.received_at,
        "answeredAt": time.time(),
        **error,
    }
    if call.name == "sts:AssumeRole":
        arn = call.form.get("RoleArn", "")
        shown["resources"] = [
            {
                "ARN": arn,
                "accountId": arn.split(":")[4] if arn.count(":") > 4 else "",
                "type": "AWS::IAM::Role",
            }
        ]
    return shown


def _error(call: Call, answer: Answer | None) -> dict[str, str]:
    if answer is None:
        return {
            "errorCode": "SimulatedConnectionLost",
            "errorMessage": "dropped before it reached the simulated AWS",
        }
    if answer.status < 400:
        return {}
    found = call.read_answer(answer).get("Error", {})
    return {"errorCode": str(found.get("Code", answer.status)), "errorMessage": str(found.get("Message", ""))}


def _response(call: Call, answer: Answer | None) -> dict[str, Any] | None:
    if (
        answer is None
        or (call.read_only and call.operation != "AssumeRole")
        or len(answer.body) > LARGEST_RESPONSE_SHOWN
    ):
        return None
    return call.response_elements(answer)
