"""History from elsewhere: every line is stored, added to, left alone, or refused with a reason."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from audit import record as ledger
from cases import milestones
from cases.imports import import_incidents
from cases.models import Incident, Milestone, TimelineEntry
from cases.words import MilestoneKind, MilestoneSource, Phase
from identity.actors import SYSTEM, Actor
from identity.models import Role
from lib import clock
from tests import make

pytestmark = [pytest.mark.fast, pytest.mark.django_db]

URL = "/api/v1/incidents/import"
NOW = datetime(2026, 11, 24, 2, 51, 7, tzinfo=UTC)
LINE = {
    "external_id": "SIEM-1",
    "title": "Keys of deploy used from a new country",
    "severity": 80,
    "kind": "compromised_credentials",
    "account": make.ACCOUNT,
    "verdict": "true_positive",
    "milestones": {
        "attacker_access_at": {"at": "2026-10-01T08:00:00+02:00", "estimated": True},
        "detected_at": "2026-10-01T09:00:00Z",
        "contained_at": "2026-10-01T10:30:00Z",
        "closed_at": "2026-10-02T09:00:00Z",
    },
}


@pytest.fixture(autouse=True)
def stopped_clock() -> Iterator[None]:
    with clock.using(clock.ManualClock(NOW)):
        yield


def line(**changes: Any) -> dict[str, Any]:
    return {name: told for name, told in {**LINE, **changes}.items() if told is not ...}


def post(*documents: object, secret: str = "", query: str = "") -> dict[str, Any]:
    body = b"\n".join(d if isinstance(d, bytes) else json.dumps(d).encode() for d in documents)
    secret = secret or make.key("incidents:write")
    answer = make.program(secret).post(URL + query, body, "application/x-ndjson")
    assert answer.status_code == 200, answer.content
    told: dict[str, Any] = answer.json()
    return told


def test_a_line_becomes_an_incident_with_its_times_and_where_they_come_from() -> None:
    answer = post(LINE)

    incident = Incident.objects.get()
    assert answer["results"] == [
        {
            "index": 0, "line": 1, "external_id": "SIEM-1", "status": "created", "ref": "INC-2026-0001",
            "errors": [], "ignored": [],
        }
    ]  # fmt: skip
    assert (incident.ref, incident.severity_band, incident.team.slug) == ("INC-2026-0001", "high", "blue")
    assert (incident.status, incident.verdict) == (Phase.CLOSED, "true_positive")
    assert incident.opened_at == incident.detected_at == datetime(2026, 10, 1, 9, tzinfo=UTC)
    assert incident.attacker_access_at == datetime(2026, 10, 1, 6, tzinfo=UTC)
    assert incident.first_contained_at == incident.contained_at
    said = {milestone.kind: milestone for milestone in Milestone.objects.all()}
    assert set(said) == set(LINE["milestones"])  # type: ignore[call-overload]
    assert {milestone.source for milestone in said.values()} == {MilestoneSource.IMPORT}
    assert [kind for kind, milestone in said.items() if milestone.estimated] == ["attacker_access_at"]
    assert TimelineEntry.objects.count() == 5
    assert ledger.verify() is None


def test_the_same_line_again_changes_nothing() -> None:
    post(LINE)
    before = (Incident.objects.values().get(), Milestone.objects.count(), TimelineEntry.objects.count())

    answer = post(LINE, LINE)

    assert [result["status"] for result in answer["results"]] == ["unchanged", "unchanged"]
    assert answer["results"][0]["ref"] == "INC-2026-0001"
    after = (Incident.objects.values().get(), Milestone.objects.count(), TimelineEntry.objects.count())
    assert before == after


def test_a_line_that_knows_more_adds_it() -> None:
    open_line = line(verdict=None, milestones={"detected_at": "2026-10-01T09:00:00Z"})
    post(open_line)
    assert Incident.objects.get().status == Phase.TRIAGE

    answer = post(LINE)

    incident = Incident.objects.get()
    assert answer["updated"] == 1
    assert (incident.status, incident.verdict) == (Phase.CLOSED, "true_positive")
    assert incident.contained_at == datetime(2026, 10, 1, 10, 30, tzinfo=UTC)
    assert Milestone.objects.filter(kind="detected_at").count() == 1


def test_an_import_never_overrules_what_was_stated_here(lead: Actor) -> None:
    post(LINE)
    incident = Incident.objects.get()
    ours = datetime(2026, 10, 1, 10, tzinfo=UTC)
    milestones.record(
        incident=incident,
        kind=MilestoneKind.CONTAINED,
        at=ours,
        source=MilestoneSource.PERSON,
        by=lead,
        recorded_at=NOW,
        basis="observed",
        reason="CloudTrail has the call",
    )

    later = {**LINE["milestones"], "contained_at": "2026-10-01T12:00:00Z"}  # type: ignore[dict-item]
    answer = post(line(milestones=later))

    assert answer["unchanged"] == 1
    assert Incident.objects.get().contained_at == ours


BAD: list[tuple[object, str]] = [
    (b"not json", ""),
    (b'{"external_id": "a", "external_id": "b"}', "/external_id"),
    (b"\xff\xfe", ""),
    ([], ""),
    ("text", ""),
    (line(external_id=...), "/external_id"),
    (line(external_id="  "), "/external_id"),
    (line(external_id=7), "/external_id"),
    (line(external_id="x" * 201), "/external_id"),
    (line(title=...), "/title"),
    (line(severity=101), "/severity"),
    (line(severity=True), "/severity"),
    (line(severity="urgent"), "/severity"),
    (line(severity=...), "/severity"),
    (line(account="1234"), "/account"),
    (line(verdict="maybe"), "/verdict"),
    (line(verdict=["true_positive"]), "/verdict"),
    (line(is_exercise="no"), "/is_exercise"),
    (line(milestones=...), "/milestones"),
    (line(milestones={}), "/milestones"),
    (line(milestones=[]), "/milestones"),
    (line(milestones={"detected_at": "2026-10-01T09:00:00"}), "/milestones/detected_at"),
    (line(milestones={"detected_at": "yesterday"}), "/milestones/detected_at"),
    (line(milestones={"detected_at": 1759309200}), "/milestones/detected_at"),
    (line(milestones={"detected_at": {"estimated": True}}), "/milestones/detected_at"),
    (line(milestones={"detected_at": "0001-01-01T00:00:00+14:00"}), "/milestones/detected_at"),
    (line(milestones={"detected_at": (NOW + timedelta(days=1)).isoformat()}), "/milestones/detected_at"),
    (line(milestones={"seen/at~": "2026-10-01T09:00:00Z"}), "/milestones/seen~1at~0"),
]


@pytest.mark.parametrize(("document", "pointer"), BAD)
def test_a_line_that_is_wrong_says_where_and_costs_no_other(document: object, pointer: str) -> None:
    answer = post(line(external_id="before"), b"", document, line(external_id="after"))

    assert [result["status"] for result in answer["results"]] == ["created", "failed", "created"]
    failed = answer["results"][1]
    assert (failed["index"], failed["line"], failed["ref"]) == (1, 3, None)
    assert pointer in [error["pointer"] for error in failed["errors"]]
    assert (answer["created"], answer["failed"], Incident.objects.count()) == (2, 1, 2)


def test_everything_that_is_wrong_is_told_at_once() -> None:
    answer = post(line(title="", severity=-1, account="x"))

    pointers = {error["pointer"] for error in answer["results"][0]["errors"]}
    assert pointers == {"/title", "/severity", "/account"}


def test_fields_that_nobody_knows_are_named() -> None:
    assert post(line(severty=3))["results"][0]["ignored"] == ["severty"]


@pytest.mark.parametrize(("severity", "number"), [("critical", 95), ("low", 20), (0, 0), (100, 100)])
def test_severity_is_a_number_or_a_word(severity: object, number: int) -> None:
    post(line(severity=severity))

    assert Incident.objects.get().severity == number


@pytest.mark.parametrize(
    ("last", "phase"),
    [
        ("detected_at", Phase.TRIAGE),
        ("responded_at", Phase.CONTAINMENT),
        ("contained_at", Phase.ERADICATION),
        ("eradicated_at", Phase.RECOVERY),
        ("recovered_at", Phase.REVIEW),
        ("closed_at", Phase.CLOSED),
    ],
)
def test_the_phase_follows_the_last_step_that_has_a_time(last: str, phase: Phase) -> None:
    post(line(milestones={"detected_at": "2026-10-01T09:00:00Z", last: "2026-10-01T09:30:00Z"}))

    assert Incident.objects.get().status == phase


def test_numbers_are_counted_in_the_year_of_the_incident() -> None:
    post(
        line(external_id="a", milestones={"detected_at": "2025-12-31T23:59:00Z"}),
        line(external_id="b", milestones={"detected_at": "2026-01-01T00:00:00Z"}),
        line(external_id="c", milestones={"detected_at": "2025-06-01T00:00:00Z"}),
    )

    refs = dict(Incident.objects.values_list("external_id", "ref"))
    assert refs == {"a": "INC-2025-0001", "b": "INC-2026-0001", "c": "INC-2025-0002"}


# --- who may --------------------------------------------------------------------------------------


def test_a_key_imports_for_its_own_team_whatever_the_account() -> None:
    make.account(make.ACCOUNT, team="other")

    post(LINE)

    assert Incident.objects.get().team.slug == "blue"


def test_another_teams_incident_is_neither_changed_nor_shown() -> None:
    post(LINE, secret=make.key("incidents:write", team="other"))
    more = line(title="Taken over", milestones={**LINE["milestones"], "responded_at": "2026-10-01T09:30:00Z"})  # type: ignore[dict-item]

    answer = post(more)

    assert answer["failed"] == 1
    assert answer["results"][0]["ref"] is None
    assert Incident.objects.get().responded_at is None


@pytest.mark.parametrize("scope", ["incidents:read", "metrics:read", "alerts:write"])
def test_a_key_without_the_scope_imports_nothing(scope: str) -> None:
    answer = make.program(make.key(scope)).post(URL, json.dumps(LINE), "application/x-ndjson")

    assert answer.status_code == 403
    assert not Incident.objects.exists()


def test_a_person_of_several_teams_names_one(db: None) -> None:
    both = make.person(Role.ANALYST, login="both")
    assert both.person_id is not None
    make.team("other").memberships.create(person_id=both.person_id, role=Role.ANALYST)
    browser = make.browser(both)

    assert browser.post(URL, json.dumps(LINE), "application/x-ndjson").status_code == 422
    answer = browser.post(f"{URL}?team=other", json.dumps(LINE), "application/x-ndjson")
    assert answer.json()["created"] == 1
    assert Incident.objects.get().team.slug == "other"


def test_a_seat_for_one_account_imports_for_that_account_only(db: None) -> None:
    limited = make.person(Role.ANALYST, accounts=[make.ACCOUNT])
    browser = make.browser(limited)
    body = "\n".join(
        json.dumps(document) for document in (LINE, line(external_id="x", account="222233334444"))
    )

    answer = browser.post(URL, body, "application/x-ndjson").json()

    assert [result["status"] for result in answer["results"]] == ["created", "failed"]


def test_more_than_a_thousand_lines_are_refused_whole() -> None:
    answer = make.program(make.key("incidents:write")).post(URL, b"{}\n" * 1001, "application/x-ndjson")

    assert answer.status_code == 422
    assert "1000" in answer.json()["detail"]


# --- command --------------------------------------------------------------------------------------


def run(path: Path, **options: Any) -> dict[str, Any]:
    printed = StringIO()
    call_command("import_incidents", str(path), stdout=printed, **options)
    told: dict[str, Any] = json.loads(printed.getvalue())
    return told


def test_the_command_prints_a_summary_and_may_run_again(tmp_path: Path) -> None:
    make.team()
    path = tmp_path / "history.ndjson"
    path.write_text("\n".join(json.dumps(line(external_id=f"h-{n}")) for n in range(3)) + "\n")

    assert run(path) == {"created": 3, "updated": 0, "unchanged": 0, "failed": 0, "errors": []}
    assert run(path) == {"created": 0, "updated": 0, "unchanged": 3, "failed": 0, "errors": []}


def test_the_command_names_bad_lines_and_fails(tmp_path: Path) -> None:
    make.team()
    path = tmp_path / "history.ndjson"
    path.write_text(json.dumps(LINE) + "\n{\n")
    printed = StringIO()

    with pytest.raises(SystemExit) as ended:
        call_command("import_incidents", str(path), stdout=printed)

    assert ended.value.code == 1
    summary = json.loads(printed.getvalue())
    assert (summary["created"], summary["failed"], summary["errors"][0]["line"]) == (1, 1, 2)


def test_without_a_team_the_account_decides(tmp_path: Path) -> None:
    make.team()
    make.account(make.ACCOUNT, team="other")
    path = tmp_path / "history.ndjson"
    path.write_text(json.dumps(LINE))

    run(path)
    assert Incident.objects.get().team.slug == "other"
    path.write_text(json.dumps(line(external_id="y", account="999988887777")))
    with pytest.raises(SystemExit):
        call_command("import_incidents", str(path), stdout=StringIO())
    assert run(path, team="blue")["created"] == 1


def test_the_command_says_what_it_cannot_read(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="cannot be read"):
        call_command("import_incidents", str(tmp_path / "absent"))
    with pytest.raises(CommandError, match="no team"):
        call_command("import_incidents", str(tmp_path), team="nobody")


def test_results_come_one_by_one_without_reading_ahead() -> None:
    taken: list[int] = []

    def lines() -> Iterator[bytes]:
        for number in range(3):
            taken.append(number)
            yield json.dumps(line(external_id=str(number))).encode()

    results = import_incidents(lines=lines(), team=make.team(), by=SYSTEM, at=NOW)

    assert next(results).ref
    assert taken == [0]


@pytest.mark.django_db(transaction=True)
def test_the_same_history_from_several_sides_is_stored_once() -> None:
    team = make.team()
    history = [json.dumps(line(external_id=f"h-{n}")).encode() for n in range(12)]

    def one_side(_: int) -> list[str]:
        try:
            results = import_incidents(lines=history, team=team, by=SYSTEM, at=NOW)
            return [result.outcome.value for result in results]
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as sides:
        told = Counter(outcome for outcomes in sides.map(one_side, range(4)) for outcome in outcomes)

    assert told == {"created": 12, "unchanged": 36}
    assert len(set(Incident.objects.values_list("ref", flat=True))) == 12
    assert ledger.verify() is None
