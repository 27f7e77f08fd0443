"""What intake collects from: queues that are polled for long, and GuardDuty's findings."""

from __future__ import annotations

import threading
import time
from typing import Any

from tests.simulator.conftest import Stage


def _queue(aws: Stage, **attributes: str) -> tuple[Any, str]:
    sqs = aws.root("sqs", "forensic")
    return sqs, sqs.create_queue(QueueName="waiting", Attributes=attributes)["QueueUrl"]


def test_a_long_poll_ends_when_a_message_comes_and_holds_up_nobody(aws: Stage) -> None:
    sqs, url = _queue(aws)
    got: list[Any] = []

    def poll() -> None:
        got.append(sqs.receive_message(QueueUrl=url, WaitTimeSeconds=15).get("Messages", []))

    waiting = threading.Thread(target=poll)
    began = time.monotonic()
    waiting.start()
    time.sleep(0.3)
    aws.root("sts").get_caller_identity()
    assert time.monotonic() - began < 5, "others are served while somebody waits"
    sqs.send_message(QueueUrl=url, MessageBody="hello")
    waiting.join(10)
    assert [message["Body"] for message in got[0]] == ["hello"]
    assert time.monotonic() - began < 8


def test_a_long_poll_ends_when_its_time_is_up(aws: Stage) -> None:
    sqs, url = _queue(aws, ReceiveMessageWaitTimeSeconds="1")
    began = time.monotonic()
    assert "Messages" not in sqs.receive_message(QueueUrl=url)
    assert 0.9 < time.monotonic() - began < 5
    began = time.monotonic()
    assert "Messages" not in sqs.receive_message(QueueUrl=url, WaitTimeSeconds=0)
    assert time.monotonic() - began < 0.9


def test_a_message_comes_again_and_then_goes_to_the_dead_letters(aws: Stage) -> None:
    sqs, url = _queue(aws, VisibilityTimeout="0")
    dead = sqs.create_queue(QueueName="dead")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    policy = f'{{"deadLetterTargetArn":"{arn}","maxReceiveCount":2}}'
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"RedrivePolicy": policy})
    sqs.send_message(QueueUrl=url, MessageBody="bad")
    for _ in range(2):
        assert len(sqs.receive_message(QueueUrl=url)["Messages"]) == 1
        time.sleep(0.01)
    assert "Messages" not in sqs.receive_message(QueueUrl=url)
    assert sqs.receive_message(QueueUrl=dead)["Messages"][0]["Body"] == "bad"


def test_guardduty_makes_samples_and_gives_them_by_time(aws: Stage) -> None:
    guardduty = aws.root("guardduty")
    detector = guardduty.create_detector(Enable=True)["DetectorId"]
    guardduty.create_sample_findings(DetectorId=detector, FindingTypes=["Recon:IAMUser/UserPermissions"])
    middle = int(time.time() * 1000) + 1
    time.sleep(0.01)
    guardduty.create_sample_findings(
        DetectorId=detector, FindingTypes=["Stealth:IAMUser/CloudTrailLoggingDisabled"]
    )

    def listed(**criteria: Any) -> list[str]:
        asked = {"Criterion": criteria} if criteria else {}
        pages = guardduty.get_paginator("list_findings").paginate(
            DetectorId=detector,
            FindingCriteria=asked,
            SortCriteria={"AttributeName": "updatedAt", "OrderBy": "ASC"},
            PaginationConfig={"PageSize": 1},
        )
        return [one for page in pages for one in page["FindingIds"]]

    assert len(listed()) == 2
    assert listed(updatedAt={"GreaterThanOrEqual": middle}) == listed()[1:]
    assert listed(**{"service.archived": {"Equals": ["true"]}}) == []
    (found,) = guardduty.get_findings(DetectorId=detector, FindingIds=listed()[:1])["Findings"]
    assert found["Type"] == "Recon:IAMUser/UserPermissions"
    assert found["AccountId"] == "444455556666"
    assert found["Service"]["AdditionalInfo"]["Value"] == '{"sample":true}'


def test_a_reset_forgets_detectors_and_findings(aws: Stage) -> None:
    guardduty = aws.root("guardduty")
    detector = guardduty.create_detector(Enable=True)["DetectorId"]
    guardduty.create_sample_findings(DetectorId=detector)
    aws.simulator.reset()
    assert guardduty.list_detectors()["DetectorIds"] == []
