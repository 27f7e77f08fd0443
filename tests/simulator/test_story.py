"""The attacker's calls happen, and the findings about them are GuardDuty's."""

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from simulator import story
from tests.simulator.conftest import Stage

AT = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def check_finding(finding: dict[str, Any]) -> None:
    """Complete, consistent, and about something there is."""
    json.dumps(finding)
    detail = finding["detail"]
    assert (finding["source"], finding["detail-type"]) == ("aws.guardduty", "GuardDuty Finding")
    assert re.fullmatch(r"[0-9a-f]{32}", detail["id"])
    assert detail["arn"].endswith(f":detector/{detail['service']['detectorId']}/finding/{detail['id']}")
    assert finding["account"] == detail["accountId"]
    assert 1 <= detail["severity"] <= 10
    service = detail["service"]
    times = [service["eventFirstSeen"], service["eventLastSeen"], detail["createdAt"], detail["updatedAt"]]
    assert sorted(times, key=moment) == times
    assert detail["resource"]["resourceType"] in ("AccessKey", "Instance", "S3Bucket", "Lambda")


def test_the_attacker_calls_and_the_log_says_from_where(aws: Stage) -> None:
    attempts = {attempt.call: attempt.outcome for attempt in story.attack(aws.estate, aws.url)}
    assert (
        attempts["sts:GetCallerIdentity"]
        == attempts["iam:ListUsers"]
        == attempts["ec2:DescribeInstances"]
        == "ok"
    )
    assert attempts["s3:GetObject"] == "AccessDenied", "another account's bucket comes last"
    calls = aws.simulator.calls()
    assert {call["sourceIPAddress"] for call in calls} == {story.ATTACKER_ADDRESS}
    assert {call["userIdentity"]["userName"] for call in calls} == {"ci-deploy"}
    assert all(call["userAgent"] == story.ATTACKER_AGENT for call in calls)
    assert sum(call["eventName"] == "GetObject" and "errorCode" not in call for call in calls) == 3


def test_after_containment_every_attempt_is_refused(aws: Stage) -> None:
    user = story.leaked_user(aws.estate)
    aws.root("iam").update_access_key(
        UserName=user["name"], AccessKeyId=user["access_keys"][0]["access_key_id"], Status="Inactive"
    )
    assert {attempt.outcome for attempt in story.attack(aws.estate, aws.url)} == {
        "InvalidClientTokenId",
        "InvalidAccessKeyId",
        "AuthFailure",
    }


@pytest.mark.fast
def test_the_findings_are_about_the_key_and_the_machine(aws: Stage) -> None:
    told = story.findings(aws.estate, AT)
    for finding in told:
        check_finding(finding)
        assert moment(finding["detail"]["createdAt"]) < AT
    by_type = {finding["detail"]["type"]: finding["detail"] for finding in told}
    worst = by_type["Exfiltration:IAMUser/AnomalousBehavior"]
    key = aws.user("ci-deploy")["access_keys"][0]["access_key_id"]
    assert worst["resource"]["accessKeyDetails"]["accessKeyId"] == key
    assert moment(worst["createdAt"]) - moment(worst["service"]["eventFirstSeen"]) > timedelta(hours=5)
    machine = by_type["Backdoor:EC2/C&CActivity.B!DNS"]["resource"]["instanceDetails"]
    assert machine["instanceId"] == aws.instance("tracking-api")["id"]
    assert len(machine["networkInterfaces"]) == 3
    assert any(finding["detail"]["severity"] < 4 for finding in told)
    assert story.findings(aws.estate, AT) == told


@pytest.mark.fast
def test_the_noise_is_a_plausible_queue(aws: Stage) -> None:
    made = story.noise(aws.estate, AT, days=20)
    for finding in made:
        check_finding(finding)
        assert AT - timedelta(days=20) <= moment(finding["detail"]["createdAt"]) <= AT
    assert 40 <= len(made) <= 60
    assert len({finding["detail"]["id"] for finding in made}) == len(made)
    assert len({finding["detail"]["type"] for finding in made}) >= 20
    assert len({finding["account"] for finding in made}) >= 4
    assert len({finding["detail"]["severity"] for finding in made}) >= 3
    assert story.noise(aws.estate, AT, days=20) == made


def test_the_story_is_played_from_start_to_end(aws: Stage) -> None:
    delivered: list[dict[str, Any]] = []
    played = story.play(url=aws.url, deliver=delivered.extend, at=AT)
    assert list(played.findings) == delivered == story.findings(aws.estate, AT)
    assert len(played.attempts) >= 10
