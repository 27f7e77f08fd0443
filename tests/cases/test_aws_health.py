"""AWS Health: what is about security is one alert, however it is told; all else is heard and passes."""

from __future__ import annotations

import json
from copy import deepcopy
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cases import ingest
from cases.decoding import Unreadable
from cases.models import Alert, Quarantined
from cases.sources import health
from cases.sources.attack import TECHNIQUE
from identity.actors import system
from lib import clock
from tests import make
from tests.cases.test_sources import ANY_JSON

FIXTURE = Path(__file__).parent / "fixtures" / "health" / "credentials-exposed.json"
EXPOSED: dict[str, Any] = json.loads(FIXTURE.read_text(encoding="utf-8"))


def event(*, kind: str = health.EVENT, without: str = "", **detail: Any) -> dict[str, Any]:
    changed = {name: value for name, value in {**EXPOSED["detail"], **detail}.items() if name != without}
    return {**EXPOSED, "detail-type": kind, "detail": changed}


def receive(*documents: dict[str, Any]) -> ingest.Received:
    body = json.dumps(list(documents)).encode()
    return ingest.receive(source="auto", body=body, by=system("test"), at=clock.now(), team=make.team())


@pytest.mark.fast
@pytest.mark.parametrize(
    ("code", "severity"),
    [
        ("AWS_RISK_CREDENTIALS_EXPOSED", 95),
        ("AWS_RISK_CREDENTIALS_EXPOSURE_SUSPECTED", 95),
        ("AWS_RISK_CREDENTIALS_COMPROMISED", 95),
        ("AWS_RISK_IAM_QUARANTINE", 95),
        ("AWS_RISK_SOMETHING_NEW", 80),
        ("AWS_ABUSE_DOS_REPORT", 80),
        ("AWS_ABUSE_SOMETHING_NEW", 80),
        ("AWS_ABUSE_COPYRIGHT_DMCA_REPORT", 20),
        ("AWS_IAM_SECURITY_NOTIFICATION", 50),
        ("AWS_SECURITY_NOTIFICATION", 50),
        ("AWS_S3_OPEN_ACCESS_BUCKET_NOTIFICATION", 50),
    ],
)
def test_each_type_about_security_has_its_severity(code: str, severity: int) -> None:
    [draft] = health.parse(event(eventTypeCode=code))

    assert (draft.type, draft.severity) == (code, severity)
    assert draft.title
    assert all(TECHNIQUE.fullmatch(technique) for technique in draft.techniques)


@pytest.mark.fast
@pytest.mark.parametrize(
    "code",
    [
        "AWS_EC2_PERSISTENT_INSTANCE_RETIREMENT_SCHEDULED",
        "AWS_IAM_OPERATIONAL_ISSUE",
        "AWS_BILLING_NOTIFICATION",
        "AWS_LAMBDA_PLANNED_LIFECYCLE_EVENT",
        "AWS_RISKY",
        "",
    ],
)
def test_what_is_not_about_security_passes(code: str) -> None:
    if not code:
        with pytest.raises(Unreadable):
            list(health.parse(event(eventTypeCode=code)))
        return

    assert list(health.parse(event(eventTypeCode=code))) == []
    assert list(health.parse(event(eventTypeCode=code, kind=health.ABUSE))) != [], "abuse is, whatever it is"


@pytest.mark.fast
@pytest.mark.parametrize(
    ("spelled", "meant"),
    [
        ("Fri, 20 Nov 2026 09:00:00 GMT", datetime(2026, 11, 20, 9, tzinfo=UTC)),
        ("Fri, 20 Nov 2026 10:00:00 +0100", datetime(2026, 11, 20, 9, tzinfo=UTC)),
        ("2026-11-20T09:00:00Z", datetime(2026, 11, 20, 9, tzinfo=UTC)),
        ("soon", None),
        ("Fri, 99 Nov 2026 09:00:00 GMT", None),
        ("Fri, 31 Dec 9999 23:00:00 -1400", None),
    ],
)
def test_times_are_read_as_health_spells_them(spelled: str, meant: datetime | None) -> None:
    [draft] = health.parse(event(startTime=spelled))

    assert draft.first_seen_at == meant
    told = datetime(2026, 11, 20, 9, 5, tzinfo=UTC)
    assert draft.detected_at == (told if meant is None else meant)


@pytest.mark.django_db
def test_pages_and_the_second_region_are_one_alert_with_all_that_is_affected() -> None:
    keys = [f"AKIAQUELLTESTKEY{number:04}" for number in range(3)]
    first, second = (
        event(affectedEntities=[{"entityValue": key}], page=str(page), totalPages="2")
        for page, key in enumerate(keys[:2], start=1)
    )
    backup = {**event(affectedEntities=[{"entityValue": keys[2]}], backupEvent="true"), "region": "us-west-2"}

    for document in (second, backup, first, second):
        assert len(receive(document).alerts) == 1

    alert = Alert.objects.get()
    assert (alert.account, alert.region, alert.severity) == (make.ACCOUNT, "us-east-1", 95)
    named = {one["id"] for one in alert.resources if one["type"] == "access_key"}
    assert named == {*keys, "AKIAIOSFODNN7EXAMPLE"}, "the envelope of each names one more"


@pytest.mark.django_db
def test_the_same_event_about_two_accounts_is_two_alerts() -> None:
    receive(event(), event(affectedAccount="444455556666"))

    assert sorted(Alert.objects.values_list("account", flat=True)) == [make.ACCOUNT, "444455556666"]


@pytest.mark.django_db
def test_when_aws_says_that_it_is_over_it_is_resolved() -> None:
    later = "Fri, 20 Nov 2026 12:00:00 GMT"
    receive(event())
    receive(event(statusCode="closed", lastUpdatedTime=later))

    assert Alert.objects.get().resolved_at is not None


@pytest.mark.django_db
@pytest.mark.parametrize("missing", ["eventArn", "eventTypeCode"])
def test_what_makes_it_an_event_must_be_there_else_it_is_kept(missing: str) -> None:
    received = receive(event(without=missing))

    assert (len(received.alerts), len(received.quarantined)) == (0, 1)
    assert Quarantined.objects.get().pointer.endswith(f"/detail/{missing}")


PLACES = [
    *((name,) for name in ("account", "region", "time", "resources", "detail")),
    *(("detail", name) for name in EXPOSED["detail"]),
]


@pytest.mark.fast
@settings(max_examples=300, deadline=None, derandomize=True)
@given(place=st.sampled_from(PLACES), value=ANY_JSON)
def test_whatever_an_event_holds_it_is_a_draft_or_unreadable(place: tuple[str, ...], value: Any) -> None:
    document = deepcopy(EXPOSED)
    inner = document if len(place) == 1 else document["detail"]
    inner[place[-1]] = value

    try:
        drafts = list(health.parse(document))
        health.speaks_for(document)
    except Unreadable:
        return

    assert all(0 <= draft.severity <= 100 and len(draft.external_id) <= 300 for draft in drafts)
