"""Intake through its use-cases: identity, repeats, episodes, teams, quarantine, and races."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit import record as ledger
from audit.models import AuditEvent, Receipt
from cases import ingest, triage
from cases.models import Alert, Incident, Quarantined, RawDocument
from cases.storing import ORIGINAL
from cases.words import AlertStatus, Phase, Verdict
from identity import actors, keys
from identity.actors import Actor
from lib import clock
from lib.errors import Conflict, Forbidden
from tests import make

pytestmark = [pytest.mark.fast, pytest.mark.django_db]

FIXTURES = Path(__file__).parent / "fixtures" / "guardduty"
NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
BASE: dict[str, Any] = json.loads((FIXTURES / "access-key-eventbridge.json").read_text())["detail"]


def program(team: str = "blue") -> Actor:
    key = keys.find(make.key("alerts:write", team=team), at=clock.now())
    assert key is not None
    return actors.of_key(key)


def finding(**changes: Any) -> dict[str, Any]:
    """A finding, with changes at the top; `seen` sets its last activity and `updatedAt` with it."""
    document: dict[str, Any] = json.loads(json.dumps(BASE))
    seen = changes.pop("seen", None)
    if seen is not None:
        document["service"]["eventLastSeen"] = document["updatedAt"] = seen.isoformat()
    for name in ("count", "eventFirstSeen", "archived", "additionalInfo"):
        if name in changes:
            document["service"][name] = changes.pop(name)
    return {**document, **changes}


def take(document: object, *, by: Actor, at: datetime = NOW, source: str = "guardduty") -> ingest.Received:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return ingest.receive(source=source, body=body, by=by, at=at)


def outcomes(received: ingest.Received) -> list[str]:
    return [stored.outcome.value for stored in received.alerts]


class TestIdentity:
    def test_a_finding_becomes_an_alert_with_its_own_times(self) -> None:
        received = take(BASE, by=program())

        alert = Alert.objects.get()
        assert outcomes(received) == ["created"]
        assert received.alerts[0].alert == alert
        assert (alert.severity, alert.severity_band, alert.count) == (50, "medium", 4)
        assert alert.detected_at == datetime(2026, 11, 20, 9, 14, 7, 412000, tzinfo=UTC)
        assert alert.first_seen_at == datetime(2026, 11, 20, 9, 2, 11, tzinfo=UTC)
        assert (alert.received_at, alert.due_at, alert.team.slug) == (NOW, NOW, "blue")
        assert alert.documents.get().body == BASE
        assert Receipt.objects.get(act="alerts.received").details["created"] == 1
        assert ledger.verify() is None

    def test_the_same_bytes_again_change_nothing(self) -> None:
        by = program()
        take(BASE, by=by)
        before = Alert.objects.values().get()
        events = (AuditEvent.objects.count(), Receipt.objects.count())

        received = take(BASE, by=by, at=NOW + timedelta(minutes=1))

        assert outcomes(received) == ["repeated"]
        assert Alert.objects.values().get() == before
        assert RawDocument.objects.count() == 1
        assert (AuditEvent.objects.count(), Receipt.objects.count()) == events

    def test_one_finding_by_four_routes_is_one_alert_with_each_copy_kept(self) -> None:
        by = program()
        for name in ("access-key-eventbridge", "access-key-getfindings"):
            take((FIXTURES / f"{name}.json").read_bytes(), by=by)
        take(BASE, by=by)
        take({"TopicArn": "t", "MessageId": "m", "Message": json.dumps(BASE)}, by=by, source="auto")

        alert = Alert.objects.get()
        assert alert.documents.count() == 4
        assert [body.get("quell:carried_by") for body in alert.documents.values_list("body", flat=True)] == [
            ["eventbridge 444455556666 eu-west-1"],
            None,  # as GetFindings tells it
            None,
            ["sns t"],
        ]
        assert alert.count == 4
        again = take({"TopicArn": "t", "MessageId": "n", "Message": json.dumps(BASE)}, by=by, source="auto")
        assert outcomes(again) == ["repeated"]  # another delivery by the same way

    def test_an_update_counts_on_and_moves_the_last_activity(self) -> None:
        by = program()
        take(BASE, by=by)

        received = take(
            finding(seen=NOW, count=4, severity=8.0, title="Worse"), by=by, at=NOW + timedelta(minutes=1)
        )

        alert = Alert.objects.get()
        assert outcomes(received) == ["updated"]
        assert (alert.count, alert.last_seen_at, alert.severity, alert.title) == (5, NOW, 80, "Worse")
        assert alert.detected_at < NOW - timedelta(hours=2)
        assert alert.received_at == NOW

    def test_the_senders_own_count_is_believed(self) -> None:
        by = program()
        take(BASE, by=by)

        take(finding(seen=NOW, count=264), by=by)

        assert Alert.objects.get().count == 264

    @pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
    def test_documents_in_any_order_give_the_same_alert(self, order: tuple[int, ...]) -> None:
        by = program()
        documents = [
            finding(seen=NOW - timedelta(hours=2), count=1, severity=5.0, title="first"),
            finding(seen=NOW - timedelta(hours=1), count=6, severity=8.0, title="second"),
            finding(seen=NOW, count=9, severity=2.0, title="third", archived=True),
        ]

        for number in order:
            take(documents[number], by=by)

        alert = Alert.objects.get()
        assert (alert.count, alert.last_seen_at, alert.severity) == (9, NOW, 80)
        assert (alert.title, alert.is_archived) == ("third", True)

    def test_a_sample_copy_hides_no_real_finding(self) -> None:
        by = program()
        take(BASE, by=by)
        take(finding(additionalInfo={"sample": True}), by=by)

        assert not Alert.objects.get().is_sample

    def test_many_in_one_body_and_one_twice(self) -> None:
        documents = [finding(id=f"f-{n % 40}") for n in range(50)]

        received = take("\n".join(map(json.dumps, documents)).encode(), by=program())

        assert Alert.objects.count() == 40
        assert outcomes(received) == ["created"] * 40 + ["repeated"] * 10

    def test_two_updates_of_one_finding_in_one_body_both_count(self) -> None:
        by = program()

        received = take([finding(count=1), finding(seen=NOW, count=1), finding(count=1)], by=by)

        assert outcomes(received) == ["created", "updated", "repeated"]
        assert Alert.objects.get().count == 2


class TestTeams:
    def test_an_alert_goes_to_the_team_of_its_account(self) -> None:
        make.account(BASE["accountId"], team="payments")

        take(BASE, by=program("platform"))

        assert Alert.objects.get().team.slug == "payments"

    def test_a_known_finding_is_updated_by_any_feed(self) -> None:
        take(BASE, by=program("blue"))

        received = take(finding(seen=NOW), by=program("platform"))

        assert outcomes(received) == ["updated"]
        assert Alert.objects.get().team.slug == "blue"

    def test_an_id_in_use_by_another_team_is_neither_touched_nor_told(self) -> None:
        take(BASE, by=program("blue"))
        before = Alert.objects.values().get()

        received = take(finding(accountId="999988887777", title="mine now"), by=program("other"))

        assert (received.alerts, len(received.quarantined)) == ((), 1)
        assert "another team" in received.quarantined[0].reason
        assert Alert.objects.values().get() == before
        assert Quarantined.objects.get().team.slug == "other"

    def test_who_has_no_team_to_give_it_to_is_refused(self) -> None:
        with pytest.raises(Forbidden):
            take(BASE, by=make.person("viewer"))


class TestEpisodes:
    def dismissed(self, by: Actor) -> Alert:
        take(finding(seen=NOW - timedelta(hours=2)), by=by)
        alert = Alert.objects.get()
        triage.dismiss(
            alert=alert,
            verdict=Verdict.BENIGN,
            reason="expected",
            by=make.person("analyst"),
            at=NOW - timedelta(hours=1),
        )
        return alert

    def test_new_activity_after_a_dismissal_opens_the_next_episode(self) -> None:
        by = program()
        self.dismissed(by)

        received = take(finding(seen=NOW, count=12), by=by, at=NOW + timedelta(minutes=2))

        alert = Alert.objects.get()
        assert outcomes(received) == ["recurred"]
        assert (alert.episode, alert.status, alert.verdict, alert.assignee_id) == (2, "new", "", None)
        assert (alert.detected_at, alert.first_seen_at) == (NOW, NOW)
        assert (alert.received_at, alert.count) == (NOW + timedelta(minutes=2), 12)

    @pytest.mark.parametrize("again", [timedelta(hours=-3), timedelta(hours=-1, minutes=-30)])
    def test_what_happened_before_it_opens_none(self, again: timedelta) -> None:
        by = program()
        self.dismissed(by)

        received = take(finding(seen=NOW + again), by=by)

        alert = Alert.objects.get()
        assert outcomes(received) == ["updated"]
        assert (alert.episode, alert.status, alert.verdict) == (1, "dismissed", "benign")

    def test_nor_does_the_redelivery_of_what_opened_one(self) -> None:
        by = program()
        self.dismissed(by)
        take(finding(seen=NOW), by=by)
        triage.dismiss(
            alert=Alert.objects.get(),
            verdict=Verdict.BENIGN,
            reason="",
            by=make.person("analyst"),
            at=NOW + timedelta(minutes=1),
        )

        received = take(finding(seen=NOW), by=by, at=NOW + timedelta(hours=1))

        assert outcomes(received) == ["repeated"]
        assert Alert.objects.get().status == AlertStatus.DISMISSED

    def test_activity_after_its_incident_was_closed_opens_the_next_episode(self) -> None:
        by, analyst = program(), make.person("analyst")
        take(finding(seen=NOW - timedelta(hours=2)), by=by)
        incident = triage.escalate(
            alerts=[Alert.objects.get()], incident=None, by=analyst, at=NOW - timedelta(hours=1)
        )
        take(finding(seen=NOW - timedelta(minutes=50)), by=by)
        assert Alert.objects.get().episode == 1
        triage.close(
            incident=incident,
            verdict=Verdict.TRUE_POSITIVE,
            resolution="done",
            by=analyst,
            at=NOW - timedelta(minutes=30),
        )

        take(finding(seen=NOW), by=by)

        alert = Alert.objects.get()
        assert (alert.episode, alert.status, alert.detected_at) == (2, "new", NOW)
        incident.refresh_from_db()
        assert incident.status == Phase.CLOSED
        again = triage.escalate(alerts=[alert], incident=None, by=analyst, at=NOW)
        assert again.detected_at == NOW
        assert Incident.objects.count() == 2


class TestQuarantine:
    def test_what_cannot_be_read_is_kept_with_its_reason_and_no_part_costs_another(self) -> None:
        body = b"[" + json.dumps(finding()).encode() + b', {"id": "x"}, {"a": NaN}]'

        received = take(body, by=program())

        assert outcomes(received) == ["created"]
        assert [(held.pointer, held.reason) for held in received.quarantined] == [
            ("/1/type", "a GuardDuty finding has type"),
            ("/2/a", "NaN is not JSON"),
        ]
        assert {bytes(row.body) for row in Quarantined.objects.all()} == {b'{"id": "x"}', b'{"a": NaN}'}

    def test_the_same_bytes_are_kept_once_and_for_each_team_apart(self) -> None:
        for by in (program("blue"), program("blue"), program("other")):
            take(b"\x00 nonsense", by=by)

        assert sorted(Quarantined.objects.values_list("team__slug", "count")) == [("blue", 2), ("other", 1)]

    def test_text_that_no_database_holds_is_replaced_and_its_spelling_kept(self) -> None:
        body = json.dumps(finding(title="a")).replace('"a"', '"a\\u0000\\ud800"').encode()

        take(body, by=program())

        alert = Alert.objects.get()
        assert alert.title == "a\ufffd\ufffd"
        assert "a\\u0000\\ud800" in alert.documents.get().body[ORIGINAL]

    def test_a_time_in_the_future_is_not_believed(self) -> None:
        received = take(finding(seen=NOW + timedelta(days=2)), by=program())

        assert received.quarantined[0].reason == "lies in the future"

    def test_auto_takes_each_document_to_its_source_or_keeps_it(self) -> None:
        native = {"source": "splunk", "external_id": "7", "title": "Odd"}

        received = take([BASE, native, {"hello": "world"}], by=program(), source="auto")

        assert set(Alert.objects.values_list("source", flat=True)) == {"guardduty", "splunk"}
        assert received.quarantined[0].reason == "not a document of any known source"


def test_a_single_alert_takes_a_fixed_number_of_queries(django_assert_max_num_queries: Any) -> None:
    by = program()

    with django_assert_max_num_queries(18):
        take(BASE, by=by)
    with django_assert_max_num_queries(30):  # SQLite takes long inserts in pieces
        take([finding(id=f"f-{n}") for n in range(200)], by=by)


def together(*jobs: Callable[[], object]) -> list[BaseException]:
    """Run jobs in threads of their own, let go at once; what they raised."""
    barrier, failures = threading.Barrier(len(jobs)), []

    def run(job: Callable[[], object]) -> None:
        try:
            barrier.wait(10)
            job()
        except BaseException as failure:  # noqa: BLE001 - handed to the test
            failures.append(failure)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return failures


@pytest.mark.django_db(transaction=True)
class TestRaces:
    def test_the_same_finding_at_once_is_one_alert(self) -> None:
        by = program()
        for round_ in range(5):
            document = finding(id=f"race-{round_}", count=1)

            failures = together(*[lambda: take(document, by=by) for _ in range(6)])  # noqa: B023 - run before the next

            assert failures == []
            alert = Alert.objects.get(external_id=f"race-{round_}")
            assert (alert.count, alert.documents.count()) == (1, 1)
        assert ledger.verify() is None

    def test_different_updates_at_once_all_count(self) -> None:
        by = program()
        take(finding(count=1), by=by)
        updates = [finding(seen=NOW + timedelta(seconds=n), count=n + 2) for n in range(8)]

        failures = together(*[lambda document=document: take(document, by=by) for document in updates])

        assert failures == []
        alert = Alert.objects.get()
        assert alert.documents.count() == 9
        assert alert.last_seen_at == NOW + timedelta(seconds=7)
        assert alert.count >= 9

    def test_overlapping_batches_in_opposite_order_do_not_wait_for_each_other(self) -> None:
        by = program()
        documents = [finding(id=f"f-{n:03}") for n in range(60)]
        backwards = [{**document, "title": "other"} for document in reversed(documents)]

        failures = together(*[lambda batch=batch: take(batch, by=by) for batch in (documents, backwards) * 2])

        assert failures == []
        assert Alert.objects.count() == 60
        assert RawDocument.objects.count() == 120

    def test_the_same_bad_bytes_at_once_are_kept_once(self) -> None:
        by = program()

        failures = together(*[lambda: take(b"nonsense", by=by) for _ in range(6)])

        assert failures == []
        assert Quarantined.objects.get().count == 6


EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("document"), st.integers(0, 30), st.sampled_from([2.0, 5.0, 8.0, 9.0])),
        st.tuples(
            st.sampled_from(["take", "dismiss", "escalate", "close", "restore"]), st.just(0), st.just(0.0)
        ),
    ),
    min_size=1,
    max_size=12,
)


@pytest.mark.django_db
@settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(events=EVENTS)
def test_whatever_happens_an_alert_lives_as_it_should(events: list[tuple[str, int, float]]) -> None:
    """Invariants of the life cycle: one row; times, counts and episodes only grow; closed means decided."""
    Alert.objects.all().delete()
    by, analyst = program(), make.person("analyst")
    sent: set[bytes] = set()
    at = NOW
    for name, minutes, severity in events:
        at += timedelta(minutes=1)
        before = Alert.objects.filter(external_id="life").values().first()
        _happen(name, minutes, severity, by=by, analyst=analyst, at=at, sent=sent)
        after = Alert.objects.filter(external_id="life").values().first()
        if before is None or after is None:
            continue
        assert after["last_seen_at"] >= before["last_seen_at"]
        assert after["count"] >= before["count"]
        assert after["episode"] - before["episode"] in (0, 1)
        if after["episode"] == before["episode"]:
            assert after["severity"] >= before["severity"]
            assert after["detected_at"] <= before["detected_at"]
            assert not (before["status"] == "escalated" and after["status"] != "escalated")
        else:
            assert (before["status"], after["status"]) in (("dismissed", "new"), ("escalated", "new"))
        assert (after["status"] == "dismissed") == bool(after["verdict"])
        assert (after["status"] == "dismissed") == (after["dismissed_at"] is not None)
    alert = Alert.objects.filter(external_id="life").first()
    assert (alert.documents.count() if alert else 0) == len(sent)
    # Foreign keys protect what the next example deletes.
    Alert.objects.update(incident=None)


def _happen(
    name: str, minutes: int, severity: float, *, by: Actor, analyst: Actor, at: datetime, sent: set[bytes]
) -> None:
    if name == "document":
        document = finding(id="life", seen=NOW + timedelta(minutes=minutes), severity=severity, count=1)
        sent.add(json.dumps(document).encode())
        take(document, by=by, at=max(at, NOW + timedelta(minutes=minutes)))
        return
    alert = Alert.objects.select_related("incident").filter(external_id="life").first()
    if alert is None:
        return
    deeds: dict[str, Callable[[], object]] = {
        "take": lambda: triage.acknowledge(alert=alert, by=analyst, at=at),
        "dismiss": lambda: triage.dismiss(alert=alert, verdict=Verdict.BENIGN, reason="", by=analyst, at=at),
        "restore": lambda: triage.restore(alert=alert, by=analyst, at=at),
        "escalate": lambda: triage.escalate(alerts=[alert], incident=None, by=analyst, at=at),
        "close": lambda: (
            alert.incident
            and triage.close(
                incident=alert.incident, verdict=Verdict.BENIGN, resolution="x", by=analyst, at=at
            )
        ),
    }
    try:
        deeds[name]()
    except Conflict:
        return
