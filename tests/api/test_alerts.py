"""Alerts over HTTP: native intake one by one and in batches, lists, and triage."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from cases.models import Alert, Incident
from cases.sources import native
from identity.actors import Actor
from lib import clock
from soc.api.alerts import AlertIn
from tests import make

pytestmark = [pytest.mark.fast, pytest.mark.django_db]

ALERT: dict[str, Any] = {
    "source": "splunk",
    "external_id": "search-7/42",
    "title": "Odd sign-in",
    "summary": "From an address never seen before.",
    "severity": 75,
    "type": "signin.odd",
    "account": make.ACCOUNT,
    "region": "eu-west-1",
    "resources": [{"type": "user", "id": "deploy-bot", "arn": "", "role": "actor"}],
    "observables": [{"kind": "ip", "value": "203.0.113.77"}],
    "techniques": ["T1078.004"],
    "first_seen_at": "2026-11-20T09:00:00Z",
    "last_seen_at": "2026-11-20T10:30:00+01:00",
    "detected_at": "2026-11-20T09:31:00Z",
    "tags": ["vpn"],
    "raw": {"_time": 1795597331, "deep": [1, {"x": None}]},
}


@pytest.fixture
def sender(db: None) -> Client:
    return make.program(make.key("alerts:write", "alerts:read", "incidents:write", "incidents:read"))


def post(client: Client, path: str, body: Any = None) -> Any:
    return client.post(f"/api/v1/{path}", json.dumps(body if body is not None else {}), "application/json")


class TestOne:
    def test_a_new_alert_is_201_and_comes_back_whole(self, sender: Client) -> None:
        answer = post(sender, "alerts", ALERT)

        assert answer.status_code == 201
        body = answer.json()
        for name, value in ALERT.items():
            if name != "last_seen_at":
                assert body[name] == value, name
        assert body["last_seen_at"] == "2026-11-20T09:30:00Z"
        assert body["severity_band"] == "high"
        assert (body["count"], body["status"], body["verdict"], body["incident"]) == (1, "new", "", None)
        assert (body["is_sample"], body["deduplicated"]) == (False, False)
        alert = Alert.objects.get(ulid=body["id"])
        assert alert.due_at is not None
        assert sender.get(f"/api/v1/alerts/{body['id']}").json() == {
            name: value for name, value in body.items() if name != "deduplicated"
        }

    def test_the_same_again_is_200_and_deduplicated(self, sender: Client) -> None:
        first = post(sender, "alerts", ALERT).json()

        again = post(sender, "alerts", ALERT)
        later = post(sender, "alerts", {**ALERT, "last_seen_at": "2026-11-20T11:00:00Z"})

        assert (again.status_code, later.status_code) == (200, 200)
        assert again.json() == {**first, "deduplicated": True}
        assert later.json()["id"] == first["id"]
        assert later.json()["count"] == 2
        assert Alert.objects.count() == 1

    def test_three_fields_are_enough(self, sender: Client) -> None:
        answer = post(sender, "alerts", {"source": "s", "external_id": "1", "title": "t"})

        body = answer.json()
        assert answer.status_code == 201
        assert body["severity"] == 50
        assert body["detected_at"] == body["received_at"] == body["last_seen_at"]
        assert body["first_seen_at"] is None

    def test_everything_wrong_is_named_by_pointer(self, sender: Client) -> None:
        answer = post(
            sender,
            "alerts",
            {
                **ALERT,
                "severity": 101,
                "resources": [{"id": "x"}],
                "title": "",
                "shade": 1,
                "detected_at": "now",
            },
        )

        assert answer.status_code == 422
        assert answer["Content-Type"] == "application/problem+json"
        pointers = {error["pointer"] for error in answer.json()["errors"]}
        assert pointers == {"/severity", "/resources/0/type", "/title", "/shade", "/detected_at"}
        assert not Alert.objects.exists()

    @pytest.mark.parametrize("body", [[], "x", 7, None, [ALERT]])
    def test_what_is_no_object_is_refused(self, sender: Client, body: Any) -> None:
        answer = sender.post("/api/v1/alerts", json.dumps(body), "application/json")

        assert answer.status_code == 422

    def test_a_time_ahead_of_every_clock_is_refused(self, sender: Client) -> None:
        ahead = (clock.now() + timedelta(days=2)).isoformat()

        answer = post(sender, "alerts", {**ALERT, "last_seen_at": ahead})

        assert answer.status_code == 422
        assert answer.json()["errors"][0]["pointer"] == "/last_seen_at"

    def test_an_id_in_use_elsewhere_is_a_conflict_and_tells_nothing(self, sender: Client) -> None:
        bare = {"source": "s", "external_id": "1", "title": "ours"}
        post(sender, "alerts", bare)
        other = make.program(make.key("alerts:write", team="other"))

        answer = post(other, "alerts", {**bare, "title": "theirs"})

        assert answer.status_code == 409
        assert "ours" not in answer.content.decode()
        assert Alert.objects.get().title == "ours"

    def test_who_sends_for_another_teams_account_learns_its_names_only(self, sender: Client) -> None:
        make.account(team="payments")

        first = post(sender, "alerts", ALERT)
        Alert.objects.update(verdict_reason="secret")
        again = post(sender, "alerts", {**ALERT, "tags": ["more"]})

        assert (first.status_code, again.status_code) == (201, 200)
        told = {name for name, value in again.json().items() if value is not None}
        assert told == {"id", "source", "external_id", "deduplicated"}
        assert Alert.objects.get().team.slug == "payments"

    def test_what_became_of_it_in_a_restricted_incident_stays_there(
        self, sender: Client, lead: Actor
    ) -> None:
        post(sender, "alerts", ALERT)
        Alert.objects.update(incident=make.incident(named=[lead]), status="escalated")

        again = post(sender, "alerts", {**ALERT, "tags": ["more"]})

        assert again.status_code == 200
        assert (again.json()["status"], again.json()["incident"], again.json()["title"]) == (None, None, None)

    def test_the_schema_names_the_fields_that_are_read(self) -> None:
        document = dict.fromkeys(AlertIn().fields, ALERT["title"])

        with pytest.raises(native.Refused) as refused:
            list(native.parse(document))

        assert not [reason for _, reason in refused.value.errors if "not a field" in reason]
        assert set(ALERT) == set(AlertIn().fields)


class TestBatch:
    def batch(self, sender: Client, body: bytes, kind: str = "application/json") -> Any:
        return sender.post("/api/v1/alerts/batch", body, kind)

    @pytest.mark.parametrize("as_lines", [True, False])
    def test_each_item_has_its_own_result_and_a_bad_one_costs_no_other(
        self, sender: Client, as_lines: bool
    ) -> None:
        known = {**ALERT, "external_id": "known"}
        post(sender, "alerts", known)
        items = [
            json.dumps({**ALERT, "external_id": "a"}),
            '{"source": "s", "title": NaN}',
            json.dumps({**ALERT, "external_id": "b", "severity": -1, "extra": 1}),
            json.dumps({**known, "tags": ["again"]}),
            json.dumps({**ALERT, "title": "a\0b"}),
        ]
        body = "\n".join(items) if as_lines else f"[{','.join(items)}]"

        answer = self.batch(sender, body.encode(), "application/x-ndjson" if as_lines else "application/json")

        assert answer.status_code == 200
        told = answer.json()
        assert (told["created"], told["updated"], told["failed"]) == (1, 1, 3)
        assert [(item["index"], item["status"]) for item in told["results"]] == [
            (0, "created"), (1, "failed"), (2, "failed"), (3, "updated"), (4, "failed"),
        ]  # fmt: skip
        assert told["results"][1]["errors"][0]["pointer"] == "/title"
        assert {error["pointer"] for error in told["results"][2]["errors"]} == {"/severity", "/extra"}
        assert told["results"][4]["errors"][0]["pointer"] == "/title"
        assert Alert.objects.count() == 2

    def test_a_thousand_go_in_one_request_and_no_more(self, sender: Client) -> None:
        items = [{"source": "s", "external_id": str(n), "title": "t"} for n in range(1001)]

        assert self.batch(sender, json.dumps(items).encode()).status_code == 422
        assert not Alert.objects.exists()
        answer = self.batch(sender, json.dumps(items[:1000]).encode())

        assert answer.json()["created"] == 1000
        assert self.batch(sender, json.dumps(items[:1000]).encode()).json()["updated"] == 1000
        assert Alert.objects.count() == 1000

    def test_queries_do_not_grow_with_the_number_of_alerts(
        self, sender: Client, django_assert_max_num_queries: Any
    ) -> None:
        items = [{"source": "s", "external_id": str(n), "title": "t"} for n in range(100)]

        with django_assert_max_num_queries(26):  # SQLite takes long inserts in pieces
            self.batch(sender, json.dumps(items).encode())

    def test_what_is_wrong_with_the_whole_refuses_the_whole(self, sender: Client) -> None:
        assert self.batch(sender, b"").status_code == 422
        assert self.batch(sender, b'{"a": ').status_code == 422
        assert self.batch(sender, b"[]").json() == {"results": [], "created": 0, "updated": 0, "failed": 0}
        assert self.batch(sender, b"x" * 6_000_000).status_code == 413


class TestList:
    def results(self, client: Client, query: str = "") -> list[dict[str, Any]]:
        answer = client.get(f"/api/v1/alerts{query}")
        assert answer.status_code == 200, answer.content
        found: list[dict[str, Any]] = answer.json()["results"]
        return found

    def test_worst_and_latest_first_page_by_page(self, sender: Client) -> None:
        now = clock.now()
        for n in range(7):
            make.alert(severity=10 * (n % 3), at=now - timedelta(minutes=n))

        seen, url = [], "/api/v1/alerts?limit=3"
        while url:
            page = sender.get(url).json()
            seen += [(row["severity"], row["last_seen_at"]) for row in page["results"]]
            url = page["next"]

        assert seen == sorted(seen, reverse=True)
        assert len(seen) == 7

    def test_each_filter_narrows(self, sender: Client) -> None:
        incident = make.incident()
        plain = make.alert(external_id="one", severity=30, type="Recon:EC2/Portscan", account="999988887777")
        inside = make.alert(incident=incident, source="splunk", title="100% odd_thing", severity=90)
        make.alert(
            status="dismissed", verdict="benign", resources=[{"type": "instance", "id": "i-0abc", "arn": ""}]
        )

        for query, expected in [
            ("?source=splunk", {inside.ulid}),
            ("?external_id=one", {plain.ulid}),
            ("?status=new", {plain.ulid}),
            ("?status=new,escalated", {plain.ulid, inside.ulid}),
            ("?severity__gte=90", {inside.ulid}),
            ("?account=999988887777", {plain.ulid}),
            ("?type=Recon:EC2/Portscan", {plain.ulid}),
            ("?type=Recon:*", {plain.ulid}),
            ("?type=Recon:", set()),
            ("?q=100%25 ODD_", {inside.ulid}),
            (f"?incident={incident.ref}", {inside.ulid}),
            ("?incident=INC-0000-0000", set()),
        ]:
            assert {row["id"] for row in self.results(sender, query)} == expected, query
        assert len(self.results(sender, "?q=i-0abc")) == 1
        since = plain.updated_at.isoformat().replace("+", "%2B")
        assert len(self.results(sender, f"?updated_since={since}")) == 3

    @pytest.mark.parametrize(
        "query",
        ["?colour=red", "?severity__gte=x", "?severity__gte=101", "?severity__gte=²", "?status=open",
         "?updated_since=yesterday", "?q=%00", "?q=" + "x" * 301, "?limit=0", "?order=title"],
    )  # fmt: skip
    def test_what_cannot_be_meant_is_refused(self, sender: Client, query: str) -> None:
        assert sender.get(f"/api/v1/alerts{query}").status_code == 422

    def test_a_page_takes_a_fixed_number_of_queries(
        self, analyst: Actor, django_assert_max_num_queries: Any
    ) -> None:
        browser, incident = make.browser(analyst), make.incident()
        for _ in range(20):
            make.alert(incident=incident)

        with django_assert_max_num_queries(5):  # session, login, person, memberships, alerts
            assert len(self.results(browser)) == 20


class TestTriage:
    def test_a_person_takes_escalates_and_dismisses(self, analyst: Actor) -> None:
        browser = make.browser(analyst)
        mine, other = make.alert(), make.alert()

        taken = post(browser, f"alerts/{mine.ulid}/acknowledge")
        raised = post(browser, f"alerts/{mine.ulid}/escalate")
        closed = post(browser, f"alerts/{other.ulid}/dismiss", {"verdict": "benign", "reason": "a test"})

        assert (taken.json()["status"], taken.json()["assignee"]["name"]) == ("acknowledged", "Analyst")
        incident = Incident.objects.get()
        assert (raised.json()["status"], raised.json()["incident"]) == ("escalated", incident.ref)
        assert incident.acknowledged_at is not None
        assert (closed.json()["status"], closed.json()["verdict"]) == ("dismissed", "benign")
        assert post(browser, f"alerts/{other.ulid}/acknowledge").status_code == 409

    def test_into_a_named_incident_and_not_into_one_that_cannot_be_seen(self, analyst: Actor) -> None:
        browser, incident = make.browser(analyst), make.incident()
        foreign, alert = make.incident(team="other"), make.alert()

        for ref, status in [(foreign.ref, 404), ("INC-1999-0001", 404), (incident.ref, 200)]:
            answer = post(browser, f"alerts/{alert.ulid}/escalate", {"incident": ref})
            assert answer.status_code == status

        alert.refresh_from_db()
        assert alert.incident == incident

    def test_a_program_escalates_without_acknowledging(self, sender: Client) -> None:
        answer = post(sender, f"alerts/{make.alert().ulid}/escalate")

        assert answer.status_code == 200
        assert Incident.objects.get().acknowledged_at is None

    @pytest.mark.parametrize("body", [{}, {"verdict": "odd"}, {"verdict": "benign", "reason": "x" * 501}, {"verdict": "benign", "why": ""}])  # fmt: skip  # noqa: E501
    def test_a_dismissal_says_what_it_was(self, analyst: Actor, body: dict[str, Any]) -> None:
        answer = post(make.browser(analyst), f"alerts/{make.alert().ulid}/dismiss", body)

        assert answer.status_code == 422

    def test_corrections(self, analyst: Actor, outsider: Actor) -> None:
        browser, alert = make.browser(analyst), make.alert()
        url = f"/api/v1/alerts/{alert.ulid}"

        done = browser.patch(url, {"severity": "low", "tags": ["x"], "assignee": "me"}, "application/json")

        assert done.status_code == 200
        told = done.json()
        assert (told["severity"], told["severity_band"], told["tags"]) == (20, "low", ["x"])
        assert told["assignee"]["id"] == analyst.person_ulid
        for wrong in (
            {"assignee": outsider.person_ulid},
            {"assignee": "x"},
            {"status": "new"},
            {"severity": 1.5},
        ):
            assert browser.patch(url, wrong, "application/json").status_code == 422, wrong
