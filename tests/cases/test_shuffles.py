"""Whatever the order in which one finding's documents arrive, and however often, the alert is the same (F12).

What is compared is every column but those that say when Quell worked. The reference is the order in which
the sender's own clock puts the documents.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cases import ingest, merging
from cases.models import Alert, RawDocument
from cases.sources import alertmanager, guardduty
from cases.sources.types import AlertDraft
from identity.actors import system
from tests import make
from tests.cases.test_ingest import BASE, finding

pytestmark = [pytest.mark.fast, pytest.mark.django_db]

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
ARRIVED = NOW + timedelta(days=2)
OURS = ("id", "ulid", "updated_at", "due_at", "received_at")
SHUFFLED = settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def told(number: int, *, severity: float, archived: bool, title: str) -> dict[str, Any]:
    """The finding as GuardDuty publishes it for the nth time."""
    return finding(
        seen=NOW + timedelta(minutes=10 * number),
        count=number,
        severity=severity,
        archived=archived,
        title=f"{title} ({number})",
    )


def relayed(document: dict[str, Any]) -> dict[str, Any]:
    """The same finding as SNS carries it."""
    topic = "arn:aws:sns:eu-west-1:111122223333:findings"
    return {"TopicArn": topic, "MessageId": document["title"], "Message": json.dumps(document)}


VERSIONS = st.lists(
    st.tuples(st.sampled_from([2.0, 5.0, 8.0]), st.booleans(), st.booleans()), min_size=2, max_size=6
)


def versions(drawn: list[tuple[float, bool, bool]]) -> list[dict[str, Any]]:
    """The documents of one finding, oldest first; some of them also by another route."""
    found = []
    for number, (severity, archived, is_relayed) in enumerate(drawn, 1):
        document = told(number, severity=severity, archived=archived, title="Key used elsewhere")
        found += [document, relayed(document)] if is_relayed else [document]
    return found


def after(documents: list[dict[str, Any]], *, source: str = "auto") -> dict[str, Any]:
    """The one alert that the documents make in this order, on an empty record."""
    RawDocument.objects.all().delete()
    Alert.objects.all().delete()
    team, by = make.team(), system("test")
    for number, document in enumerate(documents):
        at = ARRIVED + timedelta(seconds=number)
        received = ingest.receive(source=source, body=json.dumps(document).encode(), by=by, at=at, team=team)
        assert not received.quarantined, received
    row: dict[str, Any] = dict(Alert.objects.values().get())
    for name in OURS:
        del row[name]
    row["documents"] = RawDocument.objects.filter(alert_id__isnull=False).count()
    return {name: sorted(map(repr, v)) if isinstance(v, list) else v for name, v in row.items()}


@SHUFFLED
@given(drawn=VERSIONS, data=st.data())
def test_versions_of_a_finding_in_any_order_and_again(
    drawn: list[tuple[float, bool, bool]], data: st.DataObject
) -> None:
    documents = versions(drawn)
    shuffled = data.draw(st.permutations(documents))
    again = data.draw(st.lists(st.sampled_from(documents), max_size=4))

    expected = after(documents)

    assert after([*shuffled, *again]) == expected
    assert expected["severity"] == max(10 * severity for severity, _, _ in drawn)
    assert expected["count"] == len(drawn)
    assert expected["title"].endswith(f"({len(drawn)})")
    assert expected["is_archived"] is drawn[-1][1]


def rung(number: int, *, is_over: bool) -> dict[str, Any]:
    """One alarm of Prometheus, told as going on or as over, `number` minutes after it began."""
    at = NOW + timedelta(minutes=number)
    return {
        "version": "4",
        "status": "resolved" if is_over else "firing",
        "groupLabels": {},
        "alerts": [
            {
                "status": "resolved" if is_over else "firing",
                "labels": {"alertname": "DnsTunnel", "severity": "critical"},
                "annotations": {"summary": f"told at {number}"},
                "startsAt": NOW.isoformat(),
                **({"endsAt": at.isoformat()} if is_over else {}),
            }
        ],
    }


@pytest.mark.parametrize("ends", [[10], [10, 20], [20, 10], [5, 10, 15]])
def test_word_that_it_is_over_before_word_that_it_began(ends: list[int]) -> None:
    overs = [rung(minute, is_over=True) for minute in ends]
    fired = rung(0, is_over=False)
    expected = after([fired, *sorted(overs, key=lambda one: one["alerts"][0]["endsAt"])])

    for place in range(len(overs) + 1):
        assert after([*overs[:place], fired, *overs[place:]]) == expected, place
    assert expected["resolved_at"] == NOW + timedelta(minutes=max(ends))


class TestPlanted:
    """Rules of merging that depend on the order are found by the same comparison."""

    def test_the_last_to_arrive_has_the_say(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(merging, "_says_more", lambda alert, draft, *, seen: True)
        documents = versions([(5.0, False, False)] * 3)
        assert after(documents[::-1]) != after(documents)

    def test_the_last_severity_to_arrive_counts(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def latest(alert: Alert, draft: AlertDraft) -> dict[str, Any]:
            return {"severity": draft.severity}

        monkeypatch.setattr(merging, "_worse", latest)
        documents = versions([(8.0, False, False), (2.0, False, False)])
        assert after(documents[::-1]) != after(documents)

    def test_over_stays_over_only_when_it_is_told_last(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def naive(alert: Alert, draft: AlertDraft, *, seen: datetime) -> dict[str, Any]:
            return {"resolved_at": seen if draft.is_resolved else None}

        monkeypatch.setattr(merging, "_resolution", naive)
        fired, over = rung(0, is_over=False), rung(10, is_over=True)
        assert after([over, fired]) != after([fired, over])


def test_the_documents_are_what_their_sources_say_they_are() -> None:
    assert guardduty.matches(BASE)
    assert alertmanager.matches(rung(0, is_over=True))
