"""Findings that are asked for: what no event brought becomes an alert, what one brought is known."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import boto3
import pytest
from django.core.management import CommandError, call_command

from audit.models import Receipt
from cases import ingest
from cases.collecting import pulling, sweeps
from cases.models import Alert, RawDocument
from estate.models import Account
from identity.actors import system
from lib import aws, clock
from lib.clock import ManualClock
from simulator.server import Simulator
from tests import make

pytestmark = pytest.mark.django_db

SHIPPING = "444455556666"
BY = system("pull")
START = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)
KINDS = ["Recon:IAMUser/UserPermissions", "UnauthorizedAccess:EC2/SSHBruteForce"]


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    running = Simulator().start()
    hub = running.estate["hub"]
    given = {
        "AWS_ENDPOINT_URL": running.url,
        "AWS_ACCESS_KEY_ID": hub["access_key_id"],
        "AWS_SECRET_ACCESS_KEY": hub["secret_access_key"],
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in given.items():
            patch.setenv(name, value)
        aws._clients.clear()
        yield running
        aws._clients.clear()
    running.stop()


@pytest.fixture
def world(simulator: Simulator) -> Iterator[Simulator]:
    with clock.using(ManualClock(START)):
        simulator.reset()
        aws.forget_sessions()
        yield simulator
        aws.forget_sessions()


def _account(world: Simulator, number: str = SHIPPING, **values: Any) -> Account:
    told = next(one for one in world.estate["accounts"] if one["id"] == number)
    given = {"external_id": told["external_id"], "read_role": told["roles"]["read"], **values}
    return make.account(number, **given)


def _root(world: Simulator, service: str, number: str = SHIPPING) -> Any:
    key = next(one for one in world.estate["accounts"] if one["id"] == number)["root_key"]
    return boto3.client(
        service,
        endpoint_url=world.url,
        region_name="eu-west-1",
        aws_access_key_id=key["access_key_id"],
        aws_secret_access_key=key["secret_access_key"],
    )


def _samples(world: Simulator, kinds: list[str]) -> tuple[Any, str]:
    guardduty = _root(world, "guardduty")
    detector = guardduty.create_detector(Enable=True)["DetectorId"]
    guardduty.create_sample_findings(DetectorId=detector, FindingTypes=kinds)
    return guardduty, detector


def _pull(source: str = "guardduty", **values: Any) -> pulling.Report:
    accounts = Account.objects.order_by("account_id")
    given: dict[str, Any] = {"since": START - timedelta(days=400), **values}
    return pulling.pull(accounts=accounts, by=BY, at=clock.now(), sources=[source], **given)


def test_findings_become_alerts_once(world: Simulator) -> None:
    _account(world)
    _samples(world, KINDS)
    first = _pull()
    assert [(p.found, p.missing, p.known, p.quarantined, p.error) for p in first.pulls] == [(2, 2, 0, 0, "")]
    assert sorted(Alert.objects.values_list("type", flat=True)) == sorted(KINDS)
    assert set(Alert.objects.values_list("account", "region")) == {(SHIPPING, "eu-west-1")}
    assert set(RawDocument.objects.values_list("door", flat=True)) == {"pull"}

    again = _pull()
    assert [(p.found, p.missing, p.known) for p in again.pulls] == [(2, 0, 2)]
    assert Alert.objects.count() == 2
    assert RawDocument.objects.count() == 2, "the same answer is the same copy"


def test_what_an_event_brought_is_known_by_then(world: Simulator) -> None:
    account = _account(world)
    guardduty, detector = _samples(world, KINDS)
    ids = guardduty.list_findings(DetectorId=detector)["FindingIds"]
    one = guardduty.get_findings(DetectorId=detector, FindingIds=ids[:1])["Findings"][0]
    one.pop("ResponseMetadata", None)
    event = {
        "source": "aws.guardduty",
        "detail-type": "GuardDuty Finding",
        "account": SHIPPING,
        "region": "eu-west-1",
        "detail": _lowered(one),
    }
    body = json.dumps(event, default=str).encode()
    assert len(ingest.receive(source="auto", body=body, by=BY, at=clock.now(), team=account.team).alerts) == 1

    report = _pull()
    assert [(p.found, p.missing, p.known) for p in report.pulls] == [(2, 1, 1)]
    assert Alert.objects.count() == 2


def test_a_fraction_as_severity_is_read(world: Simulator) -> None:
    _account(world)
    told = pulling._numbered({"Severity": "8.95", "Title": "8.95"}, "Severity")
    assert told == {"Severity": 8.95, "Title": "8.95"}
    assert pulling._numbered({"Severity": "high"}, "Severity") == {"Severity": "high"}


def test_security_hubs_findings_too(world: Simulator) -> None:
    _account(world)
    hub = _root(world, "securityhub")
    hub.enable_security_hub()
    told = hub.batch_import_findings(Findings=[_asff(1), _asff(2)])
    assert told["SuccessCount"] == 2
    report = _pull("security_hub")
    assert [(p.found, p.missing, p.quarantined, p.error) for p in report.pulls] == [(2, 2, 0, "")]
    assert _pull("security_hub").summary()["known"] == 2
    assert Alert.objects.count() == 2


def test_an_account_without_a_role_is_passed_over_and_named(world: Simulator) -> None:
    _account(world)
    make.account("123456789012", read_role="")
    _samples(world, KINDS[:1])
    report = _pull()
    assert report.skipped == ("123456789012",)
    assert Alert.objects.count() == 1


def test_an_account_that_refuses_holds_up_no_other_and_is_asked_for_the_same_again(world: Simulator) -> None:
    make.account("123456789012", read_role="arn:aws:iam::123456789012:role/none")
    _account(world)
    _samples(world, KINDS[:1])
    report = _pull()
    assert [pull.account for pull in report.failed] == ["123456789012"]
    assert Alert.objects.count() == 1
    assert list(Receipt.objects.filter(act=pulling.PULLED).values_list("object_id", flat=True)) == [
        f"{SHIPPING}/eu-west-1"
    ]


def test_the_next_time_begins_where_the_last_ended(world: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    _account(world)
    _samples(world, KINDS)
    asked: list[datetime] = []
    fetch = pulling._guardduty

    def noting(role: Any, region: str, since: datetime, at: datetime) -> Any:
        asked.append(since)
        return fetch(role, region, since, at)

    monkeypatch.setitem(pulling._FETCH, "guardduty", noting)
    _pull(since=None)
    _pull(since=None)
    assert asked == [START - pulling.FIRST_LOOK, START - pulling.OVERLAP]


def test_more_than_the_most_goes_on_from_there(world: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulling, "AT_MOST", 1)
    _account(world)
    _samples(world, KINDS)
    report = _pull()
    assert [(p.found, p.complete) for p in report.pulls] == [(1, False)]
    receipt = Receipt.objects.get(act=pulling.PULLED)
    newest = RawDocument.objects.get().body["UpdatedAt"]
    assert datetime.fromisoformat(receipt.details["until"]) == datetime.fromisoformat(newest)


def test_the_sweep_asks_each_hour_and_not_sooner(world: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulling, "FIRST_LOOK", timedelta(days=400))
    _account(world)
    _samples(world, KINDS)
    assert sweeps.sweep_findings() == 2
    assert Receipt.objects.filter(act=pulling.PULLED).count() == 2, "one for each source"
    assert sweeps.sweep_findings() == 0
    assert Receipt.objects.filter(act=pulling.PULLED).count() == 2
    with clock.using(ManualClock(START + timedelta(hours=1))):
        aws.forget_sessions()
        sweeps.sweep_findings()
    assert Receipt.objects.filter(act=pulling.PULLED).count() == 4


def test_the_command_tells_what_it_did(world: Simulator) -> None:
    _account(world)
    _samples(world, KINDS)
    out = StringIO()
    call_command("pull_findings", source="guardduty", account=SHIPPING, since="2020-01-01", stdout=out)
    told = json.loads(out.getvalue())
    assert (told["found"], told["missing"], told["known"], told["failed"]) == (2, 2, 0, 0)


@pytest.mark.parametrize("wrong", [{"account": "999999999999"}, {"since": "yesterday"}])
def test_the_command_refuses_what_it_cannot_mean(world: Simulator, wrong: dict[str, str]) -> None:
    _account(world)
    with pytest.raises(CommandError):
        call_command("pull_findings", **wrong)


def _lowered(value: Any) -> Any:
    if isinstance(value, dict):
        return {name[:1].lower() + name[1:]: _lowered(member) for name, member in value.items()}
    return [_lowered(member) for member in value] if isinstance(value, list) else value


def _asff(number: int) -> dict[str, Any]:
    return {
        "SchemaVersion": "2018-10-08",
        "Id": f"check/{number}",
        "ProductArn": f"arn:aws:securityhub:eu-west-1:{SHIPPING}:product/{SHIPPING}/default",
        "GeneratorId": "checks",
        "AwsAccountId": SHIPPING,
        "Types": ["Software and Configuration Checks"],
        "CreatedAt": "2026-11-24T01:00:00.000Z",
        "UpdatedAt": "2026-11-24T01:30:00.000Z",
        "Severity": {"Label": "HIGH", "Product": 7.5},
        "Title": f"Check {number}",
        "Description": "A check failed.",
        "Resources": [{"Type": "AwsAccount", "Id": f"AWS::::Account:{SHIPPING}"}],
    }
