"""CloudTrail's event history, answered from the simulator's own log of calls.

https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_LookupEvents.html
Unlike AWS it knows a call at once. Data events are not in it, as in AWS.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from moto.cloudtrail.responses import CloudTrailResponse
from moto.core.exceptions import JsonRESTError

from simulator.patches import clock

if TYPE_CHECKING:
    from simulator.calls import CallLog

HISTORY = timedelta(days=90)
PAGE = 50
ATTRIBUTES = frozenset(
    {
        "EventId",
        "EventName",
        "ReadOnly",
        "Username",
        "ResourceType",
        "ResourceName",
        "EventSource",
        "AccessKeyId",
    }
)
OURS = ("seq", "dryRun", "decidedBy", "fault")
"""Members of the log's records that CloudTrail does not have."""

DATA_EVENTS: Mapping[str, frozenset[str]] = {
    "dynamodb": frozenset(
        {"BatchGetItem", "DeleteItem", "GetItem", "PutItem", "Query", "Scan", "UpdateItem"}
    ),
    "lambda": frozenset({"Invoke"}),
    "s3": frozenset({"CopyObject", "DeleteObject", "DeleteObjects", "GetObject", "HeadObject", "PutObject"}),
    "sns": frozenset({"Publish", "PublishBatch"}),
    "sqs": frozenset({"DeleteMessage", "ReceiveMessage", "SendMessage", "SendMessageBatch"}),
}
_RESOURCES = {
    "accessKeyId": "AWS::IAM::AccessKey",
    "bucketName": "AWS::S3::Bucket",
    "functionName": "AWS::Lambda::Function",
    "groupName": "AWS::IAM::Group",
    "instanceId": "AWS::EC2::Instance",
    "policyArn": "AWS::IAM::Policy",
    "roleName": "AWS::IAM::Role",
    "userName": "AWS::IAM::User",
}

_logs: list[CallLog] = []


def read_from(log: CallLog) -> None:
    """The log that is the history from now on: there is one simulated AWS in a process."""
    _logs[:] = [log]


def lookup_events(self: Any) -> str:
    """Management events of the caller's account and region, the newest first, a page at a time."""
    key, value = _attribute(self)
    start, end = _times(self)
    size = int(self._get_param("MaxResults") or PAGE)
    if not 1 <= size <= PAGE:
        raise JsonRESTError("InvalidMaxResultsException", "MaxResults is from 1 to 50.")
    first = self._get_param("NextToken") or "0"
    if not str(first).isdigit():
        raise JsonRESTError("InvalidNextTokenException", "The token is not one of this service's.")
    found = [
        event
        for event in (shown(record) for record in _records(value))
        if start <= event["EventTime"] <= end
        and event["of"][1] == self.region
        and self.current_account in event["of"][0]
        and _fits(event, key, value)
    ]
    page = found[int(first) : int(first) + size]
    answer: dict[str, Any] = {
        "Events": [{name: event[name] for name in event if name != "of"} for event in page]
    }
    if len(found) > int(first) + size:
        answer["NextToken"] = str(int(first) + size)
    return json.dumps(answer)


def shown(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record of the log in the answer's shape; `of` says in whose history it is, and where.

    Who assumes a role of another account is told in that account too.
    https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html
    """
    who = record["userIdentity"]
    event = {name: value for name, value in record.items() if name not in OURS}
    return {
        "of": (
            {record["recipientAccountId"], *(one["accountId"] for one in record.get("resources", []))},
            record["awsRegion"],
        ),
        "EventId": record["eventID"],
        "EventName": record["eventName"],
        "ReadOnly": "true" if record["readOnly"] else "false",
        "AccessKeyId": str(who.get("accessKeyId") or ""),
        "EventTime": datetime.fromisoformat(record["eventTime"]).timestamp(),
        "EventSource": record["eventSource"],
        "Username": _user_name(who),
        "Resources": _resources(record),
        "CloudTrailEvent": json.dumps(event),
    }


def _records(value: str) -> Iterator[dict[str, Any]]:
    """The log, newest first; only what can hold the value at all is taken apart."""
    lines = _logs[0].since(0)[0] if _logs else []
    for line in reversed(lines):
        if value not in line and value not in ("true", "false"):
            continue
        record = json.loads(line)
        names = DATA_EVENTS.get(record["eventSource"].partition(".")[0], frozenset())
        if record["eventName"] not in names and record.get("errorCode") != "SimulatedConnectionLost":
            yield record


def _user_name(who: Mapping[str, Any]) -> str:
    """The user's name, or for a session that of the session."""
    if who.get("type") == "AssumedRole":
        return str(who.get("principalId", "")).partition(":")[2]
    return str(who.get("userName") or ("root" if who.get("type") == "Root" else ""))


def _resources(record: Mapping[str, Any]) -> list[dict[str, str]]:
    asked = record.get("requestParameters") or {}
    given = ((record.get("responseElements") or {}).get("credentials") or {}).get("accessKeyId")
    found = [
        {"ResourceType": kind, "ResourceName": str(asked[name])}
        for name, kind in _RESOURCES.items()
        if isinstance(asked.get(name), str)
    ]
    found += [
        {"ResourceType": one["type"], "ResourceName": one["ARN"]} for one in record.get("resources", [])
    ]
    return found + ([{"ResourceType": "AWS::IAM::AccessKey", "ResourceName": given}] if given else [])


def _fits(event: Mapping[str, Any], key: str, value: str) -> bool:
    if not key:
        return True
    if key in ("ResourceType", "ResourceName"):
        return any(one[key] == value for one in event["Resources"])
    return bool(event[key] == value)


def _attribute(response: Any) -> tuple[str, str]:
    asked = response._get_param("LookupAttributes") or []  # noqa: SLF001 - moto's way to a parameter
    if len(asked) > 1 or any(one.get("AttributeKey") not in ATTRIBUTES for one in asked):
        raise JsonRESTError("InvalidLookupAttributesException", "One attribute that the history knows.")
    return (asked[0]["AttributeKey"], asked[0]["AttributeValue"]) if asked else ("", "")


def _times(response: Any) -> tuple[float, float]:
    now = clock.now()
    oldest = (now - HISTORY).timestamp()
    asked = response._get_param  # noqa: SLF001 - moto's way to a parameter
    start, end = _moment(asked("StartTime")), _moment(asked("EndTime"))
    if start is not None and end is not None and start > end:
        raise JsonRESTError("InvalidTimeRangeException", "The start is after the end.")
    newest = (now + timedelta(seconds=1)).timestamp()
    return max(oldest, start or oldest), newest if end is None else end


def _moment(given: Any) -> float | None:
    if given is None:
        return None
    if isinstance(given, int | float):
        return float(given)
    return datetime.fromisoformat(str(given)).replace(tzinfo=UTC).timestamp()


def apply() -> None:
    """Give moto's CloudTrail its event history."""
    target: Any = CloudTrailResponse
    target.lookup_events = lookup_events
