"""What alerts have to do with each other, and what an attack sequence gathers."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from cases import correlation, sweeps
from cases.models import Alert, RawDocument
from lib import canonical, clock
from tests import make

pytestmark = [pytest.mark.fast, pytest.mark.django_db]

SEQUENCE = "AttackSequence:IAM/CompromisedCredentials"
USER = {"type": "user", "id": "ci", "arn": "", "role": ""}
KEY = {"type": "access_key", "id": "AKIAQUELLTESTKEY0001", "arn": "", "role": ""}
HOST = {"type": "instance", "id": "i-0abc123def4567890", "arn": "", "role": ""}
BUCKET = {"type": "bucket", "id": "ledgers", "arn": "", "role": ""}


def due(**values: Any) -> Alert:
    return make.alert(**{"due_at": clock.now(), "resources": [], "severity": 30, **values})


def named(sequence: Alert, *ids: str, spelled: str = "uid") -> None:
    body = {"detail": {"service": {"detection": {"sequence": {"signals": [{spelled: one} for one in ids]}}}}}
    RawDocument.objects.create(
        alert=sequence,
        source="guardduty",
        received_at=clock.now(),
        digest=canonical.sha256(body),
        body=body,
    )


def test_the_key_does_not_depend_on_the_order_of_resources() -> None:
    one, other = make.alert(resources=[HOST, KEY, USER]), make.alert(resources=[USER, HOST, KEY])
    assert correlation.key_of(one) == correlation.key_of(other) != ""
    assert correlation.key_of(one) != correlation.key_of(make.alert(account="999988887777", resources=[USER]))


def test_what_names_nothing_correlates_with_nothing() -> None:
    assert correlation.key_of(make.alert(account="", type="", resources=[])) == ""


@pytest.mark.parametrize(
    ("group_by", "first", "second", "together"),
    [
        ("subject", [USER, HOST], [HOST], True),
        ("principal", [USER, HOST], [USER, BUCKET], True),
        ("principal", [USER, HOST], [KEY, HOST], False),
        ("resource", [USER, HOST], [KEY, HOST], True),
        ("resource", [USER, HOST], [USER, BUCKET], False),
        ("type", [USER], [HOST], True),
        ("nothing", [USER], [USER], False),
    ],
)
def test_rules_gather_by_what_they_say(group_by: str, first: Any, second: Any, together: bool) -> None:
    make.rule(is_on=True, group_by=group_by)
    one, other = due(resources=first), due(resources=second)
    sweeps.sweep_alerts()
    one.refresh_from_db()
    other.refresh_from_db()
    assert one.incident_id is not None
    assert other.incident_id is not None
    assert (one.incident_id == other.incident_id) is together


def test_a_sequence_gathers_the_findings_that_it_names_and_those_about_its_things() -> None:
    make.rule(is_on=True, min_severity=90)
    finding_key = canonical.sha256(["guardduty", make.ACCOUNT, "child-1"])
    by_name = due(finding_key=finding_key, resources=[BUCKET])
    by_thing, other = due(resources=[KEY]), due(resources=[HOST])
    long_ago = due(resources=[KEY], at=clock.now() - timedelta(days=9))
    sample, foreign = due(resources=[KEY], is_sample=True), due(resources=[KEY], team="red")
    sequence = due(severity=95, type=SEQUENCE, resources=[KEY])
    named(sequence, "child-1", f"arn:aws:guardduty:eu-west-1:{make.ACCOUNT}:detector/d/finding/child-2")
    sweeps.sweep_alerts()
    for alert in (by_name, by_thing, other, long_ago, sample, foreign, sequence):
        alert.refresh_from_db()

    assert sequence.incident_id is not None
    assert by_name.incident_id == by_thing.incident_id == sequence.incident_id
    assert {one.incident_id for one in (other, long_ago, sample, foreign)} == {None}


def test_a_finding_that_comes_after_its_sequence_joins_it() -> None:
    make.rule(is_on=True, min_severity=90)
    sequence = due(severity=95, type=SEQUENCE, resources=[KEY])
    named(sequence, f"arn:aws:guardduty:eu-west-1:{make.ACCOUNT}:detector/d/finding/child-2", spelled="Uid")
    sweeps.sweep_alerts()
    finding_key = canonical.sha256(["guardduty", make.ACCOUNT, "child-2"])
    late = due(finding_key=finding_key, resources=[BUCKET])
    sweeps.sweep_alerts()
    late.refresh_from_db()
    sequence.refresh_from_db()
    assert late.incident_id == sequence.incident_id is not None


def test_a_document_of_any_depth_names_what_it_can() -> None:
    sequence = make.alert(type=SEQUENCE, incident=make.incident())
    deep: Any = {"signals": [{"uid": "far"}]}
    for _ in range(60):
        deep = {"a": deep}
    assert list(correlation._named(deep)) == []
    hostile = {"signals": [{"uid": 7}, {"uid": "x" * 3000}, "text", None, [{"uid": "near"}]]}
    assert list(correlation._named(hostile)) == ["near"]
    assert sequence.incident is not None
    assert correlation.sequence_of(sequence, sequence.incident).findings == frozenset()
