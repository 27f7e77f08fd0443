"""The intake stack: linted, bound to no partition, and its rules let through what sources read."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from cases.models import Alert
from cases.sources import heartbeat
from cases.sources.detections import shelf
from launcher import layout
from lib import aws
from simulator.server import Simulator
from tests import make

yaml = pytest.importorskip("cfnlint.decode.cfn_yaml")

STACKS = layout.ROOT / "deploy" / "intake"
BOTH = ("central.yaml", "member.yaml")
FORENSIC = "222233334444"


def _template(name: str) -> Any:
    return yaml.load(str(STACKS / name))


@pytest.mark.parametrize("name", BOTH)
def test_the_linter_finds_nothing(name: str) -> None:
    done = subprocess.run(
        [str(Path(sys.executable).parent / "cfn-lint"), "--format", "json", "--", str(STACKS / name)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, json.loads(done.stdout or "[]")) == (0, []), done.stdout + done.stderr


@pytest.mark.parametrize("name", BOTH)
def test_no_partition_is_spelled_out(name: str) -> None:
    assert not re.search(r"arn:aws[a-z-]*:", Path(STACKS / name).read_text(encoding="utf-8"))


def test_the_queue_gives_up_late_and_is_open_to_the_rule_alone() -> None:
    made = _template("central.yaml")["Resources"]
    queue = made["Queue"]["Properties"]
    assert queue["RedrivePolicy"]["maxReceiveCount"] == 5
    assert queue["VisibilityTimeout"] >= 6 * aws.READ_SECONDS
    (statement,) = made["QueuePolicy"]["Properties"]["PolicyDocument"]["Statement"]
    assert statement["Condition"] == {"ArnEquals": {"aws:SourceArn": {"Fn::GetAtt": ["Rule", "Arn"]}}}
    bus = made["BusPolicy"]["Properties"]["Statement"]
    assert bus["Condition"] == {"StringEquals": {"aws:PrincipalOrgID": {"Ref": "OrganizationId"}}}


def test_the_poller_may_do_what_it_does_and_no_more() -> None:
    document = _template("central.yaml")["Resources"]["PollerPolicy"]["Properties"]["PolicyDocument"]
    allowed = set(document["Statement"][0]["Action"])
    used = {name.removesuffix("Batch") for name in aws.OWN if name.startswith("sqs:")}
    assert allowed == used


# --- patterns ------------------------------------------------------------------------------------------


def _meets(pattern: Any, event: Any) -> bool:
    """EventBridge's matching, as far as the templates use it: exact values and prefixes.

    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html
    """
    for name, wanted in pattern.items():
        found = event.get(name) if isinstance(event, dict) else None
        if isinstance(wanted, dict):
            if not _meets(wanted, found):
                return False
        elif not any(_meets_one(one, found) for one in wanted):
            return False
    return True


def _meets_one(wanted: Any, found: Any) -> bool:
    if isinstance(wanted, dict):
        assert set(wanted) == {"prefix"}, "teach the matcher this operator"
        return isinstance(found, str) and found.startswith(wanted["prefix"])
    return bool(wanted == found)


def _rules(name: str) -> dict[str, Any]:
    return {
        key: one["Properties"]["EventPattern"]
        for key, one in _template(name)["Resources"].items()
        if one["Type"] == "AWS::Events::Rule"
    }


def _event(source: str, kind: str, **detail: Any) -> dict[str, Any]:
    return {
        "source": source,
        "detail-type": kind,
        "account": FORENSIC,
        "region": "eu-west-1",
        "detail": detail,
    }


WANTED = [
    ("Findings", _event("aws.guardduty", "GuardDuty Finding")),
    ("Findings", _event("aws.securityhub", "Security Hub Findings - Imported")),
    ("Findings", _event("aws.securityhub", "Security Hub Findings - Custom Action")),
    ("Findings", _event("aws.securityhub", "Security Hub Insight Results")),
    ("Findings", _event("aws.securityhub", "Findings Imported V2")),
    ("Findings", _event("aws.macie", "Macie Finding")),
    ("Findings", _event("aws.inspector2", "Inspector2 Finding")),
    ("Findings", _event("aws.access-analyzer", "Access Analyzer Finding")),
    ("Health", _event("aws.health", "AWS Health Event", service="RISK")),
    ("Calls", _event("aws.cloudtrail", "AWS API Call via CloudTrail", eventName="StopLogging")),
    ("SignIns", _event("aws.signin", "AWS Console Sign In via CloudTrail", eventName="ConsoleLogin")),
    ("GlobalCalls", _event("aws.iam", "AWS API Call via CloudTrail", eventName="CreateAccessKey")),
    ("GlobalCalls", _event("aws.account", "AWS API Call via CloudTrail", eventName="EnableRegion")),
    ("Regions", _event("aws.account", "Region Opt-In Status Change", status="ENABLED")),
    ("Heartbeat", _event("quell.heartbeat", "Quell Heartbeat", account=FORENSIC, region="eu-west-1")),
]


@pytest.mark.parametrize(("rule", "event"), WANTED, ids=[f"{r} {e['detail-type']}" for r, e in WANTED])
def test_each_event_has_one_rule_and_passes_the_central_one(rule: str, event: dict[str, Any]) -> None:
    assert [name for name, pattern in _rules("member.yaml").items() if _meets(pattern, event)] == [rule]
    assert [name for name, pattern in _rules("central.yaml").items() if _meets(pattern, event)] == ["Rule"]


@pytest.mark.parametrize(
    "event",
    [
        _event("aws.ec2", "EC2 Instance State-change Notification", state="running"),
        _event("aws.s3", "AWS API Call via CloudTrail", eventName="GetObject"),
        _event("someone.else", "GuardDuty Finding"),
        _event("aws.health", "AWS Health Event", service="EC2"),
    ],
)
def test_other_events_stay_where_they_are(event: dict[str, Any]) -> None:
    assert not [name for name, pattern in _rules("member.yaml").items() if _meets(pattern, event)]


NOT_SENT = {
    "reads": (
        "BatchGetSecretValue DescribeInstanceAttribute GetFederationToken GetParameter GetParameters"
        " GetParametersByPath GetPasswordData GetSecretValue GetSessionToken GetSigninToken ListSecrets"
        " AssumeRoleWithSAML"
    ),
    "data events": "CopyObject PutObject PutObjectAcl UploadPart UploadPartCopy",
    "used all day by services": "CreateGrant CreateKey",
    "sign-ins, which SignIns sends": "ConsoleLogin SwitchRole UserAuthentication",
}
"""Events that a rule of ours looks for and the stack does not send as calls: the trail's files have them."""

LONGEST_PATTERN = 2048
"""https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-quota.html"""


def test_every_call_that_a_rule_of_ours_looks_for_is_sent_or_said_not_to_be() -> None:
    sought = {name for one in shelf().detections.values() for name in one.rule.names or ()}
    sent = [
        name.lower()
        for pattern in _rules("member.yaml").values()
        for name in pattern.get("detail", {}).get("eventName", [])
    ]
    unsent = {name.lower() for names in NOT_SENT.values() for name in names.split()}

    assert sought - set(sent) == unsent
    assert len(sent) == len(set(sent)), "one rule for each"


def test_each_pattern_is_short_enough() -> None:
    for name, pattern in _rules("member.yaml").items():
        assert len(json.dumps(pattern, separators=(",", ":"))) <= LONGEST_PATTERN, name


def test_the_heartbeat_is_one_that_quell_reads() -> None:
    target = _template("member.yaml")["Resources"]["HeartbeatSchedule"]["Properties"]["Target"]
    told = target["EventBridgeParameters"]
    assert heartbeat.matches({"source": told["Source"], "detail-type": told["DetailType"]})


# --- in the simulated AWS --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    running = Simulator().start()
    hub = running.estate["hub"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", running.url)
        patch.setenv("AWS_ACCESS_KEY_ID", hub["access_key_id"])
        patch.setenv("AWS_SECRET_ACCESS_KEY", hub["secret_access_key"])
        aws._clients.clear()
        yield running
        aws._clients.clear()
    running.stop()


# moto makes the bus, rule, queues, key and the poller's policy. It has no policies of buses and queues and
# no alarms of stacks, says so with this warning, and delivers without them: those are linted only.
@pytest.mark.filterwarnings("ignore:Tried to parse:UserWarning")
@pytest.mark.django_db
def test_an_event_on_the_central_bus_becomes_an_alert(simulator: Simulator) -> None:
    from cases.collecting.queue import Poller, Queue

    def root(service: str) -> Any:
        key = next(one for one in simulator.estate["accounts"] if one["id"] == FORENSIC)["root_key"]
        return boto3.client(
            service,
            endpoint_url=simulator.url,
            region_name="eu-west-1",
            aws_access_key_id=key["access_key_id"],
            aws_secret_access_key=key["secret_access_key"],
        )

    formation = root("cloudformation")
    formation.create_stack(
        StackName="quell-intake",
        TemplateBody=(STACKS / "central.yaml").read_text(encoding="utf-8"),
        Parameters=[{"ParameterKey": "OrganizationId", "ParameterValue": "o-abcdefghij"}],
        Capabilities=["CAPABILITY_IAM"],
    )
    (stack,) = formation.describe_stacks(StackName="quell-intake")["Stacks"]
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    out = {one["OutputKey"]: one["OutputValue"] for one in stack["Outputs"]}
    fixture = next((layout.ROOT / "tests/cases/fixtures/guardduty").glob("*-eventbridge.json"))
    event = json.loads(fixture.read_text(encoding="utf-8"))
    sent = root("events").put_events(
        Entries=[
            {
                "Source": "aws.guardduty",
                "DetailType": "GuardDuty Finding",
                "Detail": json.dumps(event["detail"]),
                "EventBusName": out["BusArn"].rpartition("/")[2],
            }
        ]
    )
    assert sent["FailedEntryCount"] == 0

    turn = Poller(Queue.of(out["QueueUrl"], region="eu-west-1"), team=make.team()).turn(wait=1)
    assert (turn.received, turn.deleted, turn.failed) == (1, 1, 0)
    assert Alert.objects.get().external_id == event["detail"]["id"]
