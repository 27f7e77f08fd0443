"""Real published CloudTrail logs: each event is an alert, passed or quarantined; twice is once.

Not in the repository; skipped with a notice where the shared data is absent.
"""

from __future__ import annotations

import json
import tarfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from cases import ingest
from cases.ingest import Received
from cases.models import Alert, Quarantined, RawDocument
from cases.storing import CARRIERS
from identity.actors import system
from lib import clock
from tests import make, needs

pytestmark = pytest.mark.django_db

STRATUS = {
    "credential-access.ec2-get-password-data": {"password-data-read": 30},
    "credential-access.secretsmanager-retrieve-secrets": {"secrets-read-by-user": 20},
    "credential-access.ssm-retrieve-securestring-parameters": {"parameters-decrypted-by-user": 5},
    "defense-evasion.cloudtrail-event-selectors": {"trail-narrowed": 1},
    "defense-evasion.dns-delete-logs": {"resolver-logs-deleted": 1},
    "defense-evasion.organizations-leave": {"organization-left": 1},
    "defense-evasion.vpc-remove-flow-logs": {"flow-logs-deleted": 1},
    "discovery.ec2-download-user-data": {"user-data-read": 15},
    "execution.ec2-user-data": {"user-data-changed": 1},
    "exfiltration.ec2-security-group-open-port-22-ingress": {"ports-opened-to-the-world": 1},
    "exfiltration.ec2-share-ebs-snapshot": {"copy-shared-outside": 1},
    "exfiltration.rds-share-snapshot": {"copy-shared-outside": 1},
    "initial-access.console-login-without-mfa": {"sign-in-without-mfa": 1},
    "lateral-movement.ec2-instance-connect": {"ssh-key-pushed": 3},
    "persistence.iam-backdoor-user": {"access-key-for-other-user": 1},
    "persistence.iam-create-admin-user": {
        "access-key-for-other-user": 1,
        "admin-rights-granted": 1,
        "user-created": 1,
    },
    "persistence.lambda-backdoor-function": {"function-opened": 1},
    "persistence.lambda-layer-extension": {"function-layer-added": 1},
    "persistence.lambda-overwrite-code": {"function-code-changed-by-user": 1},
    "persistence.rolesanywhere-create-trust-anchor": {"trust-anchor-created": 2},
}
"""For each technique that was really carried out, the rules that see it and in how many events."""


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("shared")
    with tarfile.open(needs.shared("data", "cases.tar.gz")) as archive:
        archive.extractall(directory, filter="data")
    return directory / "data" / "cloudtrail"


def events_of(path: Path) -> list[Any]:
    """The events of a file: Panther's lines and scenarios are wrappers of test cases that hold some."""
    if path.suffix == ".yml":
        return list(yaml.safe_load(path.read_text(encoding="utf-8"))["Logs"])
    if path.suffix == ".jsonl":
        return [json.loads(line)["event"] for line in path.read_text(encoding="utf-8").splitlines()]
    text = path.read_text(encoding="utf-8")
    return list(json.loads(text)) if text.startswith("[") else [json.loads(one) for one in text.splitlines()]


def files(root: Path) -> list[Path]:
    scenario = ("attacker_cloudtrail.yml", "victim_cloudtrail.yml")
    return sorted(
        path
        for path in root.rglob("*")
        if path.suffix in (".json", ".jsonl") or path.name in scenario
    )  # fmt: skip


def received(events: list[Any], source: str = "cloudtrail") -> Received:
    body = json.dumps(events).encode()
    return ingest.receive(source=source, body=body, by=system("test"), at=clock.now(), team=make.team())


def test_no_event_is_unaccounted_for_and_twice_creates_nothing(published: Path) -> None:
    found = files(published)
    counted = {"events": 0, "alerting": 0, "passed": 0, "quarantined": 0}

    for path in found:
        events = events_of(path)
        got = received(events)
        kept = {
            json.dumps(body, sort_keys=True) for body in RawDocument.objects.values_list("body", flat=True)
        }
        alerting = sum(json.dumps(event, sort_keys=True) in kept for event in events)
        assert alerting + got.passed + len(got.quarantined) == len(events), path
        assert all(held.reason == "an event of CloudTrail has eventName" for held in got.quarantined), path
        for name, number in (
            ("events", len(events)),
            ("alerting", alerting),
            ("passed", got.passed),
            ("quarantined", len(got.quarantined)),
        ):
            counted[name] += number

    # What is quarantined are three empty objects among Panther's tests.
    assert len(found) == 24
    assert counted == {"events": 453, "alerting": 162, "passed": 288, "quarantined": 3}
    assert Quarantined.objects.count() == 1
    before = list(Alert.objects.order_by("pk").values())
    copies = RawDocument.objects.count()

    for path in found:
        assert {one.outcome.value for one in received(events_of(path)).alerts} <= {"repeated"}

    assert list(Alert.objects.order_by("pk").values()) == before
    assert RawDocument.objects.count() == copies


def test_each_alert_says_what_its_event_says(published: Path) -> None:
    for path in files(published):
        received(events_of(path))

    assert Alert.objects.count() > 60
    for alert in Alert.objects.all():
        events = [copy.body for copy in RawDocument.objects.filter(alert=alert)]
        assert events
        assert all(isinstance(event, dict) and CARRIERS not in event for event in events)
        told = json.dumps(events)
        accounts = {event.get("recipientAccountId") or event["userIdentity"]["accountId"] for event in events}
        assert {alert.account} == accounts or (alert.account == "" and not all(map(is_account, accounts)))
        assert {event.get("awsRegion", "") for event in events} == {alert.region}
        times = sorted(event.get("eventTime") or event.get("@timestamp") or "" for event in events)
        if all(one[:4].isdigit() for one in times):
            assert alert.first_seen_at is not None
            assert alert.first_seen_at == min(map(as_time, times))
        assert alert.detected_at == alert.received_at
        for resource in alert.resources:
            assert resource["id"] in told, (alert.type, resource)
            assert resource["arn"] in told
        for event in events:
            key = (event.get("userIdentity") or {}).get("accessKeyId")
            assert not key or key in {one["id"] for one in alert.resources if one["role"] == "actor"}
            address = event.get("sourceIPAddress", "")
            known = {one["value"] for one in alert.observables if one["kind"] == "ip"}
            assert address in known or not known or "amazonaws" in address or address == "redacted"


def as_time(spelled: str) -> datetime:
    found = datetime.fromisoformat(spelled)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def is_account(value: str) -> bool:
    return len(value) == 12 and value.isdigit()


@pytest.mark.parametrize("technique", sorted(STRATUS))
def test_an_attack_that_was_carried_out_is_seen(published: Path, technique: str) -> None:
    events = events_of(published / "stratus" / f"aws.{technique}.json")

    got = received(events)

    seen: dict[str, int] = {}
    for one in got.alerts:
        assert one.alert is not None
        name = one.alert.type.removeprefix("CloudTrail:")
        seen[name] = seen.get(name, 0) + 1
    assert seen == STRATUS[technique]
    assert got.passed == len(events) - sum(STRATUS[technique].values())


def test_every_attack_is_looked_at(published: Path) -> None:
    assert {path.stem.removeprefix("aws.") for path in (published / "stratus").glob("*.json")} == set(STRATUS)


def test_a_day_of_an_administrator_without_an_attack_on_the_account_is_quiet(published: Path) -> None:
    """Of 103 events around a theft from S3 by a stolen session no call is alarming by itself."""
    [path] = (published / "otrf").glob("*.json")

    got = received(events_of(path))

    assert (len(got.alerts), got.passed) == (0, 103)


def test_labelled_events_are_judged_as_labelled_as_far_as_we_have_a_rule(published: Path) -> None:
    """Panther's labels are for rules of theirs; for 44 we have none, and 14 are ours alone."""
    right = wrong = missed = 0
    for line in (
        (published / "panther-analysis" / "cloudtrail_rule_tests.open.jsonl").read_text().splitlines()
    ):
        case = json.loads(line)
        is_found = bool(received([case["event"]]).alerts)
        right += is_found == case["expected_alert"]
        wrong += is_found and not case["expected_alert"]
        missed += case["expected_alert"] and not is_found

    assert (right, wrong, missed) == (135, 14, 44)
