"""Incidents over HTTP: opening, reading, changing, closing, milestones, timeline."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from cases import triage
from cases.models import Incident
from cases.words import MilestoneKind
from identity.actors import Actor
from identity.models import Membership, Person
from lib import clock
from metrics.definitions import METRICS
from tests import make

pytestmark = [pytest.mark.fast, pytest.mark.django_db]

JSON = "application/json"
RESPONDED = {"kind": "responded_at", "at": "2026-11-20T09:00:00Z"}


def post(client: Client, path: str, body: dict[str, Any]) -> Any:
    return client.post(f"/api/v1/incidents{path}", body, JSON)


def patch(client: Client, ref: str, body: dict[str, Any]) -> Any:
    return client.patch(f"/api/v1/incidents/{ref}", body, JSON)


class TestOpening:
    def test_by_hand_with_alerts(self, analyst: Actor) -> None:
        alerts = [make.alert(severity=60), make.alert(severity=91)]

        answer = post(
            make.browser(analyst), "", {"title": "Leaked key", "alerts": [alert.ulid for alert in alerts]}
        )

        assert answer.status_code == 201
        told = answer.json()
        assert (told["severity"], told["kind"], told["account"]) == (
            91,
            "compromised_credentials",
            make.ACCOUNT,
        )
        assert (told["status"], told["team"], told["priority"]) == ("triage", "blue", 1)
        assert told["owner"] == {"id": analyst.person_ulid, "name": "Analyst"}
        assert {alert["id"] for alert in told["alerts"]} == {alert.ulid for alert in alerts}
        assert told["actions"] == []
        assert set(told["milestones"]) == {
            "first_ioc_at", "detected_at", "received_at", "acknowledged_at", "prioritised_at",
        }  # fmt: skip
        detected = told["milestones"]["detected_at"]
        assert (detected["source"], detected["estimated"]) == ("alert", False)
        assert set(told["metrics"]) == {metric.key for metric in METRICS}
        assert told["metrics"]["time_to_detect"] == 300
        assert told["metrics"]["time_to_contain"] is None

    def test_by_a_program(self, db: None) -> None:
        client = make.program(make.key("incidents:write", "incidents:read"))

        answer = post(client, "", {"title": "From the phone", "severity": "high", "account": make.ACCOUNT})

        assert answer.status_code == 201
        told = answer.json()
        assert (told["severity"], told["owner"]) == (80, None)
        assert "acknowledged_at" not in told["milestones"]

    @pytest.mark.parametrize(
        ("body", "pointer"),
        [
            ({}, "/title"),
            ({"title": "x", "severity": 101}, "/severity"),
            ({"title": "x", "severity": True}, "/severity"),
            ({"title": "x", "account": "1"}, "/account"),
            ({"title": "x", "colour": "red"}, "/colour"),
            ({"title": "x\u0000"}, ""),
            ({"title": "x", "alerts": ["y"] * 1001}, "/alerts"),
        ],
    )
    def test_what_is_wrong_is_named(self, analyst: Actor, body: dict[str, Any], pointer: str) -> None:
        answer = post(make.browser(analyst), "", body)

        assert answer.status_code == (422 if pointer else 400)
        if pointer:
            assert answer.json()["errors"][0]["pointer"] == pointer
        assert not Incident.objects.exists()

    def test_not_with_alerts_that_one_does_not_see(self, analyst: Actor) -> None:
        foreign = make.alert(team="other")

        assert post(make.browser(analyst), "", {"title": "x", "alerts": [foreign.ulid]}).status_code == 404

    def test_not_outside_the_accounts_of_the_seat(self, db: None) -> None:
        browser = make.browser(make.person("analyst", accounts=["999988887777"]))

        for account, status in ((make.ACCOUNT, 403), ("", 403), ("999988887777", 201)):
            answer = post(browser, "", {"title": "x", "account": account})
            assert answer.status_code == status, account

    def test_who_works_in_two_teams_names_one(self, analyst: Actor) -> None:
        Membership.objects.create(
            person=Person.objects.get(ulid=analyst.person_ulid), team=make.team("red"), role="analyst"
        )
        browser = make.browser(analyst)

        assert post(browser, "", {"title": "x"}).status_code == 422
        assert post(browser, "", {"title": "x", "team": "other"}).status_code == 403
        assert post(browser, "", {"title": "x", "team": "red"}).json()["team"] == "red"


class TestReading:
    def test_lists_are_narrowed_and_leave_out_what_is_not_ours(self, analyst: Actor, lead: Actor) -> None:
        browser = make.browser(analyst)
        mine = make.incident(owner=analyst, severity=95, title="Leaked key")
        closed = make.incident(status="closed", kind="crypto_mining", account="999988887777")
        make.incident(team="other")
        make.incident(named=[lead])

        for query, expected in [
            ("", {mine.ref, closed.ref}),
            ("?owner=me", {mine.ref}),
            (f"?owner={analyst.person_ulid}", {mine.ref}),
            ("?status=triage,review", {mine.ref}),
            ("?severity__gte=95", {mine.ref}),
            ("?kind=crypto_mining", {closed.ref}),
            ("?account=999988887777", {closed.ref}),
            ("?q=leaked", {mine.ref}),
            (f"?q={closed.ref.lower()}", {closed.ref}),
        ]:
            answer = browser.get(f"/api/v1/incidents{query}")
            assert {row["ref"] for row in answer.json()["results"]} == expected, query
        assert browser.get("/api/v1/incidents?status=open").status_code == 422
        assert browser.get("/api/v1/incidents?page=2").status_code == 422

    def test_a_page_takes_a_fixed_number_of_queries(
        self, analyst: Actor, django_assert_max_num_queries: Any
    ) -> None:
        browser, at = make.browser(analyst), clock.now()
        for _ in range(12):
            make.incident(owner=analyst, milestones={MilestoneKind.DETECTED: at})

        with django_assert_max_num_queries(6):  # session, login, person, memberships, incidents, milestones
            assert len(browser.get("/api/v1/incidents").json()["results"]) == 12

    def test_one_takes_a_fixed_number_of_queries(
        self, analyst: Actor, django_assert_max_num_queries: Any
    ) -> None:
        browser, incident = make.browser(analyst), make.incident()
        for _ in range(12):
            make.alert(incident=incident)

        with django_assert_max_num_queries(8):
            assert len(browser.get(f"/api/v1/incidents/{incident.ref}").json()["alerts"]) == 12

    def test_the_newest_statement_is_shown_and_a_withdrawn_one_is_not(self, lead: Actor) -> None:
        at, incident = clock.now(), make.incident()
        browser = make.browser(lead)
        path = f"/{incident.ref}/milestones"
        first = {"kind": "attacker_access_at", "at": (at - timedelta(days=4)).isoformat(), "estimated": True}

        post(browser, path, first)
        answer = post(
            browser, path, {**first, "at": (at - timedelta(days=2)).isoformat(), "estimated": False}
        )

        told = answer.json()["milestones"]["attacker_access_at"]
        assert answer.status_code == 201
        assert (told["estimated"], told["source"]) == (False, "person")
        gone = post(browser, path, {"kind": "attacker_access_at", "at": None, "reason": "a mistake"})
        assert "attacker_access_at" not in gone.json()["milestones"]
        assert post(browser, path, {"kind": "attacker_access_at", "at": None}).status_code == 409


class TestMilestones:
    @pytest.mark.parametrize(
        ("body", "pointer"),
        [
            ({"kind": "contained_at"}, "/at"),
            ({"kind": "contained_at", "at": "2026-11-20T09:00:00Z"}, "/evidence"),
            ({"kind": "contained_at", "at": "2026-11-20T09:00:00Z", "basis": "by_quell"}, "/basis"),
            ({"kind": "happened_at", "at": "2026-11-20T09:00:00Z"}, "/kind"),
            ({"kind": "responded_at", "at": "2999-11-20T09:00:00Z"}, "/at"),
            ({"kind": "responded_at", "at": "0001-01-01T00:00:00+14:00"}, "/at"),
            ({"kind": "responded_at", "at": "9999-12-31T23:59:59-14:00"}, "/at"),
            ({"kind": "responded_at", "at": "2026-11-20T09:00:00Z", "not_before": "2026-11-21T09:00:00Z"}, "/not_before"),  # noqa: E501
            ({**RESPONDED, "who": "me"}, "/who"),
        ],
    )  # fmt: skip
    def test_what_cannot_be_is_refused(self, lead: Actor, body: dict[str, Any], pointer: str) -> None:
        incident = make.incident()

        answer = post(make.browser(lead), f"/{incident.ref}/milestones", body)

        assert answer.status_code == 422, answer.content
        assert answer.json()["errors"][0]["pointer"] == pointer
        assert not incident.milestones.exists()

    def test_contained_by_a_persons_word_is_attested(self, lead: Actor) -> None:
        incident = make.incident()

        answer = post(
            make.browser(lead),
            f"/{incident.ref}/milestones",
            {"kind": "contained_at", "at": "2026-11-20T09:00:00Z", "evidence": "ticket 7"},
        )

        told = answer.json()["milestones"]["contained_at"]
        assert (told["basis"], told["source"]) == ("attested", "person")


class TestChanging:
    def test_words_weight_owner_and_phase_in_one_go(self, analyst: Actor) -> None:
        browser, incident = make.browser(analyst), make.incident(severity=50)

        answer = patch(
            browser,
            incident.ref,
            {
                "title": "Key of deploy-bot",
                "severity": 90,
                "owner": "me",
                "status": "containment",
                "tlp": "TLP:RED",
            },
        )

        told = answer.json()
        assert answer.status_code == 200
        assert (told["title"], told["severity"], told["status"]) == ("Key of deploy-bot", 90, "containment")
        assert (told["owner"]["id"], told["tlp"]) == (analyst.person_ulid, "TLP:RED")
        assert {"acknowledged_at", "prioritised_at"} <= set(told["milestones"])

    def test_all_of_it_or_nothing(self, analyst: Actor) -> None:
        browser, incident = make.browser(analyst), make.incident(severity=50)

        answer = patch(browser, incident.ref, {"severity": 90, "status": "closed", "verdict": "benign"})

        assert answer.status_code == 422
        assert answer.json()["errors"][0]["pointer"] == "/resolution"
        incident.refresh_from_db()
        assert (incident.severity, incident.status, incident.prioritised_at) == (50, "triage", None)

    @pytest.mark.parametrize(
        ("body", "pointer"),
        [
            ({"status": "closed", "resolution": "x"}, "/verdict"),
            ({"verdict": "benign"}, "/verdict"),
            ({"status": "open"}, "/status"),
            ({"owner": "nobody"}, "/owner"),
            ({"ref": "INC-1"}, "/ref"),
            ({"severity": "worst"}, "/severity"),
            ({"title": ""}, "/title"),
        ],
    )
    def test_what_is_wrong_is_named(self, analyst: Actor, body: dict[str, Any], pointer: str) -> None:
        answer = patch(make.browser(analyst), make.incident().ref, body)

        assert answer.status_code == 422
        assert answer.json()["errors"][0]["pointer"] == pointer

    def test_closing_over_what_is_in_force_needs_a_decision(self, analyst: Actor) -> None:
        browser, incident, at = make.browser(analyst), make.incident(), clock.now()
        action = incident.actions.create(
            type="iam.deactivate-access-key",
            target={"account": make.ACCOUNT},
            category="technique",
            tier=1,
            status="verified",
            requested_label="x",
            requested_at=at,
            updated_at=at,
        )
        body = {"status": "closed", "verdict": "true_positive", "resolution": "rotated"}

        assert patch(browser, incident.ref, body).status_code == 409
        answer = patch(browser, incident.ref, {**body, "keep": [action.ulid], "keep_reason": "until Friday"})

        assert answer.json()["status"] == "closed"
        assert answer.json()["actions"][0] == {
            "id": action.ulid, "type": action.type, "category": "technique", "tier": 1, "status": "verified",
            "target": {"account": make.ACCOUNT},
        }  # fmt: skip
        reopened = patch(browser, incident.ref, {"status": "recovery", "reason": "again"}).json()
        assert (reopened["status"], reopened["verdict"], reopened["reopened"]) == ("recovery", "", 1)
        assert "closed_at" not in reopened["milestones"]


class TestTimeline:
    def test_lines_are_written_and_read_by_the_time_of_the_event(self, analyst: Actor) -> None:
        at, browser = clock.now(), make.browser(analyst)
        incident = triage.escalate(alerts=[make.alert()], incident=None, by=analyst, at=at)
        path = f"/{incident.ref}/timeline"

        old = post(browser, path, {"title": "First call", "at": (at - timedelta(days=1)).isoformat()})
        post(browser, path, {"title": "<b>Now</b>\nx", "detail": "long\ntext"})

        assert old.status_code == 201
        rows = browser.get(f"/api/v1/incidents{path}?limit=500").json()["results"]
        assert rows[-1]["title"] == "First call"
        newest = rows[0]
        assert (newest["title"], newest["detail"], newest["actor"]) == (
            "<b>Now</b> x",
            "long\ntext",
            "analyst",
        )
        assert [row["at"] for row in rows] == sorted((row["at"] for row in rows), reverse=True)
        assert {row["kind"] for row in rows} >= {"alert", "opened", "milestone", "note"}

    def test_pages_go_on_without_gap_or_double(self, analyst: Actor) -> None:
        browser, incident, at = make.browser(analyst), make.incident(), clock.now()
        for n in range(7):
            triage.note(incident=incident, text=str(n), at=at, by=analyst, recorded_at=at)

        seen, url = [], f"/api/v1/incidents/{incident.ref}/timeline?limit=3"
        while url:
            page = browser.get(url).json()
            seen += [row["title"] for row in page["results"]]
            url = page["next"]

        assert sorted(seen) == list("0123456")

    @pytest.mark.parametrize(
        "body",
        [{}, {"title": " "}, {"title": "x", "at": "2999-01-01T00:00:00Z"}, {"title": "x", "kind": "alert"}],
    )
    def test_what_cannot_be_is_refused(self, analyst: Actor, body: dict[str, Any]) -> None:
        answer = post(make.browser(analyst), f"/{make.incident().ref}/timeline", body)

        assert answer.status_code == 422

    def test_it_takes_a_fixed_number_of_queries(
        self, analyst: Actor, django_assert_max_num_queries: Any
    ) -> None:
        browser, incident, at = make.browser(analyst), make.incident(), clock.now()
        for n in range(9):
            triage.note(incident=incident, text=str(n), at=at, by=analyst, recorded_at=at)

        with django_assert_max_num_queries(6):
            assert len(browser.get(f"/api/v1/incidents/{incident.ref}/timeline").json()["results"]) == 9
