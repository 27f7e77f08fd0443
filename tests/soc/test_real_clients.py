"""The tools' own clients and recorded bodies, unchanged, over HTTP: each makes the right alert.

ElastAlert2's bodies, and those of Alertmanager and Grafana, are third-party files beside the checkout;
without them their tests are skipped with a notice.
"""

from __future__ import annotations

import json
import tarfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests
from pytest_django.live_server_helper import LiveServer
from thehive4py.client import TheHiveApi
from thehive4py.errors import TheHiveError

from cases.models import Alert, Quarantined
from tests import make, needs

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def secret() -> str:
    return make.key()


@pytest.fixture
def hive(live_server: LiveServer, secret: str) -> TheHiveApi:
    return TheHiveApi(url=f"{live_server.url}/compat/thehive", apikey=secret)


@pytest.fixture(scope="session")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("shared")
    with tarfile.open(needs.shared("data", "cases.tar.gz")) as archive:
        archive.extractall(directory, filter="data")
    return directory / "data" / "generic_alerts"


def recorded(tools: Path, name: str) -> list[tuple[str, Any]]:
    """What ElastAlert2's own tests expect it to send, each with the name of its test."""
    lines = (tools / "elastalert2" / f"{name}_payloads.jsonl").read_text(encoding="utf-8").splitlines()
    return [(one["test"], one["payload"]) for one in map(json.loads, lines)]


def values(alert: Alert) -> set[tuple[str, str]]:
    return {(one["kind"], one["value"]) for one in alert.observables}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # it leaves files open
def test_thehive4py_creates_reads_and_amends_an_alert(hive: TheHiveApi, tmp_path: Path) -> None:
    sample = tmp_path / "dropper.bin"
    sample.write_bytes(b"MZ")
    created = hive.alert.create(
        alert={
            "type": "edr",
            "source": "falcon",
            "sourceRef": "ldt:9",
            "title": "Beacon",
            "description": "to a known host",
            "severity": 4,
            "date": 1763978400000,
            "tags": ["aws"],
            "observables": [
                {"dataType": "ip", "data": "198.51.100.7"},
                {"dataType": "domain", "data": ["c2.example.com", "c3.example.com"]},
                {"dataType": "file", "attachment": "sample"},
            ],
        },
        attachment_map={"sample": str(sample)},
    )

    alert = Alert.objects.get(ulid=created["_id"])
    assert (alert.title, alert.severity, alert.tags) == ("Beacon", 95, ["aws"])
    assert alert.detected_at == datetime(2025, 11, 24, 10, tzinfo=UTC)
    assert {("ip", "198.51.100.7"), ("domain", "c2.example.com"), ("filename", "dropper.bin")} <= values(
        alert
    )
    assert hive.alert.get(created["_id"])["observableCount"] == created["observableCount"] == 5

    hive.alert.update(created["_id"], {"addTags": ["seen"]})
    [added] = hive.alert.create_observable(created["_id"], {"dataType": "url", "data": "https://x.example/a"})
    assert added["data"] == "https://x.example/a"
    assert hive.alert.get(created["_id"])["tags"] == ["aws", "seen"]
    with pytest.raises(TheHiveError, match="NotFoundError"):
        hive.alert.get("0" * 26)
    with pytest.raises(TheHiveError, match="BadRequest"):
        hive.alert.create(alert={"type": "x", "source": "x", "sourceRef": "1", "title": ""})  # type: ignore[typeddict-item]


def test_elastalert2s_bodies_for_thehive(tools: Path, live_server: LiveServer, secret: str) -> None:
    """As it sends them: to version 0, with the date and a random reference that its tests leave out."""
    refs = iter(range(100))

    def send(payload: dict[str, Any]) -> requests.Response:
        ref = f"5f0c1b1e-3c58-4f6e-9d3c-1f1f6a1b2c{next(refs):02d}"
        return requests.post(
            f"{live_server.url}/compat/thehive/api/alert",
            data=json.dumps({**payload, "date": 1763978400000, "sourceRef": ref}, indent=4, sort_keys=True),
            headers={"Content-Type": "application/json", "Authorization": f"Bearer {secret}"},
            verify=False,  # noqa: S501 - as ElastAlert2 does, and there is no TLS here
            timeout=10,
        )

    sent = 0
    for test, told in recorded(tools, "thehive"):
        bare = {"type": "t", "source": "s", "title": test, "description": "", "artifacts": told}
        payload = bare if isinstance(told, list) else told  # a list is the artifacts alone
        answers = [send(payload), send(payload)]
        assert {answer.status_code for answer in answers} == {201}, answers[0].text
        assert answers[0].json()["_id"] == answers[1].json()["_id"], test
        alert = Alert.objects.get(ulid=answers[0].json()["_id"])
        kinds = {"ip": "ip", "autonomous-system": "asn", "username": "user", "filename": "filename"}
        assert values(alert) == {(kinds[one["dataType"]], one["data"]) for one in payload["artifacts"]}
        assert (alert.title, alert.type, alert.severity) == (payload["title"], payload["type"], 50)
        assert alert.summary == payload["description"].strip()
        assert alert.detected_at == datetime(2025, 11, 24, 10, tzinfo=UTC)
        if payload.get("tlp") == 3:
            assert {"9876", "tlp:red"} <= set(alert.tags)
        sent += 1

    assert sent == 4
    assert Alert.objects.count() == 4
    assert not Quarantined.objects.exists()


def test_elastalert2s_bodies_for_pagerduty(tools: Path, live_server: LiveServer, secret: str) -> None:
    """Version 2 and 1, with the key in the place of theirs. One line is no body but a rule's name."""
    severities = {"error": 80}
    seen = 0
    for test, payload in recorded(tools, "pagerduty"):
        if "type" in payload:
            continue
        is_new = "routing_key" in payload
        path = "v2/enqueue" if is_new else "generic/2010-04-15/create_event.json"
        keyed = {**payload, ("routing_key" if is_new else "service_key"): secret}
        answer = requests.post(f"{live_server.url}/compat/pagerduty/{path}", json=keyed, timeout=10)
        assert answer.status_code == (202 if is_new else 200), (test, answer.text)
        key = answer.json()["dedup_key" if is_new else "incident_key"]
        assert key == (payload.get("incident_key") or key)
        alert = Alert.objects.get(source="pagerduty", external_id=key)
        told = payload["payload"] if is_new else payload
        details = told["custom_details"] if is_new else told["details"]
        assert alert.severity == (severities[told["severity"]] if is_new else 50)
        assert f"client={payload['client']}" in alert.tags
        if is_new:
            assert alert.title == told["summary"]
            assert alert.type == told["class"]
            assert {f"component={told['component']}", f"group={told['group']}"} <= set(alert.tags)
            when = datetime(2017, 1, 1, tzinfo=UTC) if "timestamp" in told else alert.received_at
            assert alert.detected_at == when, test
        elif alert.count == 1:  # the words are those of the first with this key
            assert alert.title == told["description"]
        for name, value in details.items():
            assert not is_new or f"{name}: {value}".strip() in alert.summary
        seen += 1

    assert seen == 17
    assert not Quarantined.objects.exists()


def test_elastalert2s_body_for_alertmanager(live_server: LiveServer, secret: str) -> None:
    """As ElastAlert2 builds and posts it (written here; the recording holds only the rule's name)."""
    body = [
        {
            "labels": {"source": "elastalert", "alertname": "Title", "elastalert_rule": "Odd sign-in"},
            "annotations": {
                "severity": "error",
                "summary": "Odd sign-in",
                "description": "Odd sign-in\n\nuser: ci\n",
            },
        }
    ]
    for version in ("v1", "v2"):
        answer = requests.post(
            f"{live_server.url}/compat/alertmanager/api/{version}/alerts",
            data=json.dumps(body),
            headers={"content-type": "application/json"},
            auth=requests.auth.HTTPBasicAuth("quell", secret),
            timeout=10,
        )
        assert answer.status_code == 200, answer.text

    alert = Alert.objects.get()
    assert (alert.title, alert.type, alert.severity) == ("Title: Odd sign-in", "Title", 80)
    assert alert.summary.startswith("Odd sign-in\n\nuser: ci")
    assert {"source=elastalert", "elastalert_rule=Odd sign-in"} <= set(alert.tags)


def test_elastalert2s_body_for_iris(live_server: LiveServer, secret: str) -> None:
    body: Any = {
        "alert_title": "Odd sign-in",
        "alert_description": "user: ci",
        "alert_source": "ElastAlert2",
        "alert_severity_id": 1,
        "alert_status_id": 2,
        "alert_source_event_time": "2026-11-20T09:00:00",
        "alert_note": None,
        "alert_tags": None,
        "alert_customer_id": 1,
        "alert_iocs": [
            {"ioc_description": "who", "ioc_tlp_id": 2, "ioc_type_id": 76, "ioc_value": "203.0.113.4"}
        ],
    }
    answer = requests.post(
        f"{live_server.url}/compat/iris/alerts/add",
        json=body,
        headers={"Content-Type": "application/json", "Authorization": f"Bearer {secret}"},
        timeout=10,
    )

    assert answer.status_code == 200
    alert = Alert.objects.get(ulid=answer.json()["data"]["alert_id"])
    assert (alert.title, alert.summary, alert.severity) == ("Odd sign-in", "user: ci", 50)
    assert alert.detected_at == datetime(2026, 11, 20, 9, tzinfo=UTC)
    assert values(alert) == {("ip", "203.0.113.4")}


def test_published_bodies_of_alertmanager_and_grafana(
    tools: Path, live_server: LiveServer, secret: str
) -> None:
    def send(name: str) -> Alert:
        answer = requests.post(
            f"{live_server.url}/compat/alertmanager/webhook",
            data=(tools / "alertmanager" / f"{name}.json").read_bytes(),
            headers={"Authorization": f"Bearer {secret}"},
            timeout=10,
        )
        assert answer.json() == {"status": "success", "alerts": 1, "quarantined": 0}
        return Alert.objects.latest("pk")

    grafana = send("grafana_v12_webhook")
    assert (grafana.title, grafana.severity) == ("TestAlert: TEST", 50)
    assert grafana.external_id.startswith("c4edaaf9f9f839b0@")
    assert grafana.detected_at == datetime(2026, 5, 5, 13, 4, 57, 622813, tzinfo=UTC)
    assert grafana.resolved_at is None
    assert "grafana_folder=Test Folder" in grafana.tags
    assert grafana.link == "https://grafana.example.com/d/dashboard_uid?viewPanel=1"

    old = send("prometheus_msteams_webhook_v4")
    assert (old.title, old.severity) == ("high_memory_load: Server High Memory usage", 50)
    assert old.detected_at == datetime(2018, 3, 7, 11, 33, 21, 873077, tzinfo=UTC)
    assert values(old) == {("ip", "10.80.40.11")}
    assert {"job=docker_nodes", "monitor=master", "receiver=teams_proxy"} <= set(old.tags)
    assert not Quarantined.objects.exists()


def test_keeps_mocks_are_alerts_where_they_are_alerts_and_kept_where_not(
    tools: Path, live_server: LiveServer, secret: str
) -> None:
    """Keep makes Prometheus alerts of its mocks by adding the name; Grafana's are rules, not alerts."""

    def send(body: Any) -> requests.Response:
        return requests.post(
            f"{live_server.url}/compat/alertmanager/webhook",
            json=body,
            headers={"Authorization": f"Bearer {secret}"},
            timeout=10,
        )

    mocks = json.loads((tools / "keep" / "prometheus_provider_alerts.json").read_text(encoding="utf-8"))
    bands = {"critical": 95, "warning": 50, "info": 0}
    for name, mock in mocks.items():
        payload = mock["payload"]
        labels = {**payload["labels"], "alertname": name}
        alert = {"labels": labels, "annotations": {"summary": payload["summary"]}, "status": "firing"}
        assert send({"status": "firing", "groupLabels": {}, "alerts": [alert]}).status_code == 200
        kept = Alert.objects.get(type=name)
        assert kept.severity == bands[labels["severity"]]
        assert kept.title == f"{name}: {payload['summary']}"
        assert kept.labels == labels
    assert Alert.objects.count() == len(mocks) == 5

    whole = json.loads((tools / "keep" / "grafana_provider_alerts.json").read_text(encoding="utf-8"))
    assert send(whole).status_code == 400
    assert "label" in Quarantined.objects.get().reason
    assert Alert.objects.count() == len(mocks)
