"""CloudWatch alarms: as EventBridge tells a change of state, as SNS does, and as a Lambda action does.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch-and-eventbridge.html. An alarm is
one alert for good: back at OK it is resolved, and at its next ALARM it goes on. A change that neither begins
nor ends an alarm (OK at its creation, not enough data) holds nothing alarming.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from cases.decoding import JSON, Unreadable
from cases.sources import traces
from cases.sources.generic import moment, severity_of
from cases.sources.reading import at, objects, text
from cases.sources.types import AlertDraft, Resource
from cases.words import Band

ID = "cloudwatch"

CHANGE = "CloudWatch Alarm State Change"
OF_DIMENSION = {
    "InstanceId": "instance",
    "FunctionName": "function",
    "BucketName": "bucket",
    "DBInstanceIdentifier": "db_instance",
    "ClusterName": "ecs_cluster",
    "TableName": "table",
}


def matches(document: JSON) -> bool:
    """Whether this is surely about an alarm of CloudWatch."""
    document = _opened(document)
    if not isinstance(document, dict):
        return False
    if document.get("detail-type") == CHANGE or text(document, "alarmData", "alarmName"):
        return True
    return bool(text(document, "AlarmName")) and bool(
        {"NewStateValue", "AlarmArn", "Namespace"} & set(document)
    )


def parse(document: JSON) -> Iterator[AlertDraft]:
    """The draft of an alarm that began or ended. Raises `Unreadable` without its name."""
    document = _opened(document)
    if not isinstance(document, dict):
        raise Unreadable("an alarm of CloudWatch is an object")
    told = _told(document)
    if not told["name"]:
        raise Unreadable("an alarm has a name")
    state, before = told["state"] or "ALARM", told["before"]
    if state not in ("ALARM", "OK") or (state == "OK" and before not in ("", "ALARM")):
        return
    account, region = _place(told)
    seen: datetime | None = moment(told["at"])
    kind = f"CloudWatch:{told['metric']}" if told["metric"] else "CloudWatch"
    resources, priority = tuple(_resources(document)), severity_of(text(document, "Priority"))
    yield AlertDraft(
        source=ID,
        external_id=(told["arn"] or f"{account}:{region}:{told['name']}")[:300],
        finding=(ID, account, region, told["name"]) if account else (),
        fingerprint=(ID, account, region, told["name"]),
        title=told["name"][:500],
        summary="\n\n".join(filter(None, (told["description"], told["reason"])))[:20_000],
        severity=Band.MEDIUM.severity if priority is None else priority,
        type=kind[:200],
        account=account,
        region=region,
        resources=resources,
        first_seen_at=seen if state == "ALARM" else None,
        detected_at=seen,
        last_seen_at=seen,
        updated_at=seen,
        is_resolved=state == "OK",
        raw=document,
    )


def _opened(document: JSON) -> JSON:
    """What is in `Message`, where a program read the notification's text before it handed it on."""
    inner = at(document, "Message")
    return inner if isinstance(inner, dict) and "AlarmName" in inner else document


def speaks_for(document: JSON) -> tuple[str, str]:
    """The account and region of the alarm."""
    return _place(_told(_opened(document)))


def _told(document: JSON) -> dict[str, str]:
    return _from_sns(document) if at(document, "AlarmName") is not None else _from_event(document)


def _place(told: dict[str, str]) -> tuple[str, str]:
    parts = told["arn"].split(":")
    account = next((a for a in (told["account"], *parts[4:5]) if traces.ACCOUNT.fullmatch(a)), "")
    region = next((r for r in (told["region"], *parts[3:4]) if traces.REGION.fullmatch(r)), "")
    return account, region


def _from_sns(document: JSON) -> dict[str, str]:
    trigger = at(document, "Trigger") or document
    names = [text(trigger, "Namespace"), text(trigger, "MetricName")]
    return {
        "name": text(document, "AlarmName"),
        "arn": text(document, "AlarmArn"),
        "account": text(document, "AWSAccountId"),
        "region": text(document, "Region"),
        "state": text(document, "NewStateValue"),
        "before": text(document, "OldStateValue"),
        "reason": text(document, "NewStateReason"),
        "description": text(document, "AlarmDescription"),
        "metric": "/".join(filter(None, names)),
        "at": text(document, "StateChangeTime"),
    }


def _from_event(document: JSON) -> dict[str, str]:
    """From EventBridge (`detail` in its envelope), or what a Lambda action gets (`alarmData`)."""
    alarm = at(document, "detail") or at(document, "alarmData")
    arns = at(document, "resources")
    arn = text(document, "alarmArn") or (str(arns[0])[:2000] if isinstance(arns, list) and arns else "")
    metric = _first_metric(alarm)
    names = [text(metric, "namespace"), text(metric, "name")]
    return {
        "name": text(alarm, "alarmName"),
        "arn": arn if arn.startswith("arn:") else "",
        "account": text(document, "account") or text(document, "accountId"),
        "region": text(document, "region"),
        "state": text(alarm, "state", "value"),
        "before": text(alarm, "previousState", "value"),
        "reason": text(alarm, "state", "reason"),
        "description": text(alarm, "configuration", "description"),
        "metric": "/".join(filter(None, names)),
        "at": text(alarm, "state", "timestamp") or text(document, "time"),
    }


def _first_metric(alarm: JSON) -> JSON:
    for member in objects(alarm, "configuration", "metrics"):
        found: JSON = at(member, "metricStat", "metric")
        if isinstance(found, dict):
            return found
    return None


def _resources(document: JSON) -> Iterator[Resource]:
    """The things that the dimensions name, in either spelling."""
    dimensions = [
        (text(one, "name"), text(one, "value", most=500))
        for one in objects(document, "Trigger", "Dimensions")
    ]
    named = at(_first_metric(at(document, "detail") or at(document, "alarmData")), "dimensions")
    if isinstance(named, dict):
        dimensions += [(name, text(named, name, most=500)) for name in named]
    for name, value in dimensions[:50]:
        if name in OF_DIMENSION and value:
            yield Resource(type=OF_DIMENSION[name], id=value, role="target")
