"""What other tools send, by doors that are not their own: each document an alert, or kept with a reason.

The bodies of Keep, Grafana, Alertmanager, Powertools, ElastAlert2 and SNS are third-party files beside the
checkout; skipped with a notice where they are absent. `tests.soc.test_real_clients` sends those that have a
door of their own by that.
"""

from __future__ import annotations

import json
import tarfile
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from cases.models import Alert, Quarantined
from identity import hooks
from identity.actors import SYSTEM
from identity.models import HookKind
from lib import clock
from soc.throttling import throttle
from tests import make, needs

pytestmark = pytest.mark.django_db

UNKNOWN = "not a document of any known source"
UNTITLED = "nothing in it could be the title of an alert"


@pytest.fixture(scope="session")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("tools")
    with tarfile.open(needs.shared("data", "cases.tar.gz")) as archive:
        archive.extractall(directory, filter="data")
    return directory / "data" / "generic_alerts"


@pytest.fixture
def sender() -> Client:
    """With a budget of its own: keys of tests that were rolled back may have had the same number."""
    throttle.forget()
    return make.program(make.key())


def ingest(sender: Client, source: str, body: Any) -> dict[str, Any]:
    """What the door of a source answers; it is never anything but 200."""
    data = body if isinstance(body, bytes) else json.dumps(body)
    answer = sender.generic("POST", f"/api/v1/ingest/{source}", data, "application/json")
    assert answer.status_code == 200
    told: dict[str, Any] = answer.json()
    return told


def outcomes(told: dict[str, Any]) -> list[str]:
    """What became of each document of one body."""
    reasons = [held["reason"].partition(":")[0] for held in told["quarantined"]]
    return [one["outcome"] for one in told["alerts"]] + reasons + ["passed"] * told["passed"]


def alert_of(told: dict[str, Any]) -> Alert:
    [one] = told["alerts"]
    return Alert.objects.get(ulid=one["id"])


def recorded(tools: Path, name: str) -> list[tuple[str, dict[str, Any]]]:
    """What ElastAlert2's own tests expect it to send, each with the name of its test."""
    lines = (tools / "elastalert2" / f"{name}_payloads.jsonl").read_text(encoding="utf-8").splitlines()
    return [(one["test"], one["payload"]) for one in map(json.loads, lines)]


def load(tools: Path, *parts: str) -> Any:
    return json.loads(tools.joinpath(*parts).read_text(encoding="utf-8"))


AS_THEY_ARE = {
    "alertmanager/grafana_v12_webhook.json": ("created", "created"),
    "alertmanager/prometheus_msteams_webhook_v4.json": ("created", "created"),
    "keep/wazuh_provider_alerts.json": (UNKNOWN, "created"),
    "powertools/cloudWatchAlarmEventSingleMetric.json": ("created", "created"),
    # Nothing alarming: that an instance ended. What is not asked for is kept, and can be told from a loss.
    "powertools/eventBridgeEvent.json": (UNKNOWN, UNTITLED),
    "powertools/snsEvent.json": ("not JSON", "not JSON"),  # "Hello from SNS!"
    "powertools/snsSqsEvent.json": (UNKNOWN, "created"),  # {"message": "hello world", …}
    "sns_http/example_bounce_notification.json": (UNKNOWN, UNTITLED),
    "sns_http/example_subscriptionconfirmation.json": ("a message about a subscription, not a notification",)
    * 2,
}


@pytest.mark.parametrize("name", AS_THEY_ARE)
def test_each_file_is_one_document_and_one_outcome(tools: Path, sender: Client, name: str) -> None:
    body = (tools / name).read_bytes()

    told = [outcomes(ingest(sender, source, body)) for source in ("auto", "generic")]
    again = [outcomes(ingest(sender, source, body)) for source in ("auto", "generic")]

    assert told == [[one] for one in AS_THEY_ARE[name]]
    assert again == [["repeated" if one == "created" else one] for one in AS_THEY_ARE[name]]
    assert Alert.objects.count() == AS_THEY_ARE[name].count("created")
    held = [one for one in AS_THEY_ARE[name] if one != "created"]
    assert [row.count for row in Quarantined.objects.all()] == [2] * len(held)


def test_all_files_with_json_in_them_are_among_these(tools: Path) -> None:
    """Those of Keep that hold several are taken apart below."""
    found = {str(path.relative_to(tools)) for path in tools.rglob("*.json")}

    apart = {f"keep/{name}_provider_alerts.json" for name in ("cloudwatch", "grafana", "prometheus")}
    assert found == set(AS_THEY_ARE) | apart


def test_a_lambda_actions_alarm_says_what_it_says(tools: Path, sender: Client) -> None:
    document = load(tools, "powertools", "cloudWatchAlarmEventSingleMetric.json")

    alert = alert_of(ingest(sender, "auto", document))

    data = document["alarmData"]
    assert (alert.source, alert.title) == ("cloudwatch", data["alarmName"])
    assert (alert.account, alert.region) == (document["accountId"], document["region"])
    assert (alert.severity, alert.type) == (50, "CloudWatch:AWS/Lambda/Invocations")
    assert alert.summary == f"{data['configuration']['description']}\n\n{data['state']['reason']}"
    at = datetime(2024, 2, 17, 11, 53, 8, 431000, tzinfo=UTC)
    assert alert.first_seen_at == alert.detected_at == alert.last_seen_at == at
    assert alert.external_id == document["alarmArn"]
    assert alert.resolved_at is None


def test_a_message_in_sns_in_sqs_is_read_as_what_it_is_said_to_be(tools: Path, sender: Client) -> None:
    alert = alert_of(ingest(sender, "generic", load(tools, "powertools", "snsSqsEvent.json")))

    assert (alert.title, alert.severity) == ("hello world", 50)
    assert alert.observables == [{"kind": "user", "value": "lessa"}]


def test_keeps_mocks_of_alarms(tools: Path, sender: Client) -> None:
    """Keep's mocks hold the notification with its message read already; their priority is a severity."""
    mocks = load(tools, "keep", "cloudwatch_provider_alerts.json")
    bands = {"P1": 95, "P2": 80, "P3": 50}

    for mock in mocks.values():
        told = mock["payload"]["Message"]
        for body in (mock["payload"], told):
            answer = ingest(sender, "auto", body)
            alert = alert_of(answer)
            assert outcomes(answer) == ["created" if body is mock["payload"] else "repeated"]
            assert (alert.source, alert.title) == ("cloudwatch", told["AlarmName"])
            assert (alert.summary, alert.severity) == (told["AlarmDescription"], bands[told["Priority"]])
            assert alert.type == f"CloudWatch:{told['Namespace']}/{told['MetricName']}"
            assert (alert.account, alert.region) == ("", "")
            assert alert.detected_at == alert.received_at

    assert Alert.objects.count() == len(mocks) == 3
    assert not Quarantined.objects.exists()


def test_keeps_mocks_of_prometheus_and_grafana_as_a_script_would_post_them(
    tools: Path, sender: Client
) -> None:
    bands = {"critical": 95, "warning": 50, "info": 0}
    prometheus = load(tools, "keep", "prometheus_provider_alerts.json")
    grafana = load(tools, "keep", "grafana_provider_alerts.json")

    for name, mock in (prometheus | grafana).items():
        payload = mock["payload"]
        assert outcomes(ingest(sender, "auto", payload)) == [UNKNOWN], name
        alert = alert_of(ingest(sender, "generic", payload))
        assert alert.title == (payload.get("title") or payload["summary"])
        assert alert.severity == bands[payload["labels"]["severity"]]
        assert alert.summary == payload.get("annotations", {}).get("summary", "")
        hosts = [one["value"] for one in alert.observables if one["kind"] == "host"]
        assert hosts == [value for label, value in payload["labels"].items() if label == "instance"]

    assert Alert.objects.count() == len(prometheus) + len(grafana) == 7


def test_keeps_mock_of_wazuh_has_its_words_severity_and_time(tools: Path, sender: Client) -> None:
    document = load(tools, "keep", "wazuh_provider_alerts.json")

    alert = alert_of(ingest(sender, "generic", document))

    assert (alert.title, alert.severity) == (document["message"], 0)
    assert alert.summary == document["description"].strip()
    # Written with the offset +01.00.
    assert alert.detected_at == datetime(2025, 2, 3, 20, 41, 42, 853014, tzinfo=UTC)


@pytest.mark.parametrize("door", ["ingest", "hook"])
def test_elastalert2s_http_post(tools: Path, sender: Client, door: str) -> None:
    """Five say the same, so they are one alert. The last is no body but what a rule says of itself."""
    hook = hooks.create(name="elastalert", kind=HookKind.WEBHOOK, team=make.team(), by=SYSTEM, at=clock.now())
    found: Counter[str] = Counter()
    for test, payload in recorded(tools, "httppost"):
        before = Alert.objects.count()
        if door == "ingest":
            [outcome] = outcomes(ingest(sender, "generic", payload))
        else:
            outcome = posted(hook.path, payload)
        found[outcome] += 1
        if test.endswith("getinfo"):
            assert outcome in (UNTITLED, "held")
            continue
        alert = Alert.objects.latest("pk")
        if Alert.objects.count() > before:
            assert (alert.title, alert.severity) == (payload["name"], 50)
            when = datetime(2017, 1, 1, tzinfo=UTC) if "@timestamp" in payload else alert.received_at
            assert alert.detected_at == when, test

    assert sum(found.values()) == 8
    assert (Alert.objects.count(), Quarantined.objects.count()) == (3, 1)
    assert found == (
        {"created": 3, "repeated": 4, UNTITLED: 1} if door == "ingest" else {"received": 7, "held": 1}
    )


def test_elastalert2s_servicenow_posts(tools: Path, sender: Client) -> None:
    found: Counter[str] = Counter()
    for test, payload in recorded(tools, "servicenow"):
        told = ingest(sender, "generic", payload)
        found.update(outcomes(told))
        if test.endswith("getinfo"):
            continue
        alert = alert_of(told)
        assert (alert.title, alert.type) == (payload["short_description"], payload["category"])
        assert alert.summary == payload["description"].strip()
        assert (alert.severity, alert.account) == (50, "")
        assert alert.observables == [{"kind": "host", "value": payload["cmdb_ci"]}]

    assert found == {"created": 1, "repeated": 1, UNTITLED: 1}


def test_the_rest_of_elastalert2s_recordings_have_doors_of_their_own(tools: Path) -> None:
    found = {path.name.removesuffix("_payloads.jsonl") for path in tools.rglob("*_payloads.jsonl")}

    assert found == {"httppost", "servicenow"} | {"alertmanager", "pagerduty", "thehive"}


def posted(path: str, payload: dict[str, Any]) -> str:
    """What a webhook without a field map answers: `received`, or `held` where it was put in quarantine."""
    answer = Client().post(path, json.dumps(payload), "application/json")
    assert answer.status_code == 200
    told = answer.json()
    assert told["alerts"] + told["quarantined"] == 1
    return "received" if told["alerts"] else "held"
