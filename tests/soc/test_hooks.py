"""Doors whose address is the secret: what comes by them, who may use them, and that the secret stays one."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.core.management import CommandError, call_command
from django.test import Client

from audit.models import AuditEvent
from cases import quarantine
from cases.models import Alert, Quarantined, RawDocument
from identity import hooks
from identity.actors import SYSTEM, Actor
from identity.hooks import NewHook
from identity.keys import digest
from identity.models import Hook, HookKind, ServiceAccount
from lib import clock
from lib.errors import Conflict, Invalid
from soc import logs
from soc.throttling import throttle
from tests import make

pytestmark = pytest.mark.django_db

WAZUH: dict[str, Any] = {
    "severity": 3,
    "pretext": "WAZUH Alert",
    "title": "sshd: brute force trying to get access to the system.",
    "text": "Failed password for root",
    "rule_id": "5712",
    "timestamp": "2026-11-24T09:00:00.000+0000",
    "id": "1795000000.1",
    "all_fields": {
        "timestamp": "2026-11-24T09:00:00.000+0000",
        "rule": {
            "level": 12,
            "description": "sshd: brute force trying to get access to the system.",
            "id": "5712",
            "mitre": {"id": ["T1110"]},
            "groups": ["syslog", "sshd"],
        },
        "agent": {"id": "001", "name": "web-1", "ip": "10.0.0.5"},
        "manager": {"name": "wazuh-1"},
        "id": "1795000000.1",
        "full_log": "Failed password for root from 198.51.100.7",
        "data": {"srcip": "198.51.100.7"},
    },
}
SPLUNK: dict[str, Any] = {
    "sid": "scheduler__admin__search__RMD5_at_1795000000_1",
    "search_name": "Root sign-in",
    "app": "search",
    "owner": "admin",
    "results_link": "https://splunk.example.com/app/search/@go?sid=1",
    "result": {
        "sourceIPAddress": "198.51.100.9",
        "recipientAccountId": make.ACCOUNT,
        "awsRegion": "eu-west-1",
        "severity": "high",
    },
}
EDR = {
    "source": "edr",
    "external_id": "/detection/id",
    "title": "detection.name",
    "severity": {"path": "detection.level", "map": {"severe": 90}, "default": 40},
    "account": "cloud.account",
    "observables": [{"kind": "ip", "path": "hosts[].ip"}],
    "resolved": {"path": "state", "values": ["closed"]},
}


@pytest.fixture(autouse=True)
def _full_buckets(settings: Any) -> Iterator[None]:
    settings.QUELL_WEB_PROCESSES = 1
    throttle.forget()
    yield
    throttle.forget()


def hook(kind: HookKind = HookKind.WEBHOOK, *, team: str = "blue", name: str = "", **values: Any) -> NewHook:
    return hooks.create(
        name=name or f"{team} {kind}", kind=kind, team=make.team(team), by=SYSTEM, at=clock.now(), **values
    )


def post(path: str, body: Any, **headers: str) -> Any:
    data = body if isinstance(body, bytes) else json.dumps(body)
    return Client().generic("POST", path, data, "application/json", headers=headers)


def detection(number: int = 1, **changes: Any) -> dict[str, Any]:
    told = {"id": f"d-{number}", "name": "Credential theft", "level": "severe"}
    return {
        "detection": told,
        "cloud": {"account": make.ACCOUNT},
        "hosts": [{"ip": "198.51.100.7"}, {"ip": "198.51.100.8"}],
        "state": "open",
        **changes,
    }


# --- what comes by them ----------------------------------------------------------------------------------


def test_wazuhs_integration_posts_an_alert() -> None:
    made = hook(HookKind.WAZUH)

    first, again = post(made.path, WAZUH), post(made.path, WAZUH)

    assert (first.status_code, again.status_code) == (200, 200)
    assert first.json() == {"status": "received", "alerts": 1, "quarantined": 0, "passed": 0}
    alert = Alert.objects.get()
    assert (alert.source, alert.external_id) == ("wazuh", "wazuh-1/1795000000.1")
    assert (alert.severity, alert.type, alert.techniques) == (80, "Wazuh:5712", ["T1110"])
    assert {"kind": "ip", "value": "198.51.100.7"} in alert.observables
    assert (alert.team.slug, RawDocument.objects.get().door) == ("blue", "wazuh")


def test_splunks_webhook_action_posts_an_alert() -> None:
    make.account()

    assert post(hook(HookKind.SPLUNK).path, SPLUNK).status_code == 200

    alert = Alert.objects.get()
    assert (alert.source, alert.title, alert.severity) == ("splunk", "Root sign-in", 80)
    assert (alert.account, alert.region) == (make.ACCOUNT, "eu-west-1")
    assert alert.link == SPLUNK["results_link"]


def test_a_webhook_is_read_by_its_field_map_and_what_does_not_fit_waits_for_a_better_one(lead: Actor) -> None:
    made = hook(field_map=EDR)
    renamed = {**detection(2), "detection": {"id": "d-2", "label": "Renamed by an update", "level": "severe"}}

    told = post(made.path, [detection(), renamed, detection(3, state="closed")]).json()

    assert told == {"status": "received", "alerts": 2, "quarantined": 1, "passed": 0}
    alert = Alert.objects.get(external_id="d-1")
    assert (alert.source, alert.title, alert.severity) == ("edr", "Credential theft", 90)
    assert alert.account == make.ACCOUNT
    assert [one["value"] for one in alert.observables] == ["198.51.100.7", "198.51.100.8"]
    assert Alert.objects.get(external_id="d-3").resolved_at is not None
    held = Quarantined.objects.get()
    assert "no title at detection.name" in held.reason
    assert json.loads(bytes(held.body)) == renamed

    Hook.objects.update(field_map={**EDR, "title": "not_null(detection.name, detection.label)"})
    received = quarantine.replay(item=held, by=lead, at=clock.now())

    assert [one.outcome for one in received.alerts] == ["created"]
    assert Alert.objects.get(external_id="d-2").title == "Renamed by an update"
    assert post(made.path, renamed).json()["quarantined"] == 0


def test_a_webhook_without_a_map_takes_what_shows_itself_and_what_anybody_would_read() -> None:
    made = hook()

    post(made.path, WAZUH)
    post(made.path, {"title": "Disk is full", "severity": "low", "host": "db-1"})

    assert set(Alert.objects.values_list("source", "severity")) == {("wazuh", 80), ("generic", 20)}


def test_lines_are_documents_and_one_that_is_broken_costs_no_other() -> None:
    lines = [json.dumps({"title": f"Alarm {n}", "id": n}) for n in range(3)]
    body = "\n".join([lines[0], '{"title": "cut', lines[1], "[]x", lines[2]]).encode()

    told = post(hook().path, body).json()

    assert (told["alerts"], told["quarantined"]) == (3, 2)


@pytest.mark.parametrize("kind", [HookKind.WAZUH, HookKind.SPLUNK, HookKind.WEBHOOK])
@pytest.mark.parametrize("body", [b"", b"\xff\xfe", b"hello", b'{"a": ' * 2_000, b'{"x": "\\u0000"}'])
def test_what_cannot_be_read_is_kept_and_answered_like_the_rest(kind: HookKind, body: bytes) -> None:
    answer = post(hook(kind).path, body)

    assert (answer.status_code, answer.json()["quarantined"]) == (200, 1)
    assert bytes(Quarantined.objects.get().body) == body
    assert not Alert.objects.exists()


# --- whose it is -----------------------------------------------------------------------------------------


def test_two_teams_that_send_the_same_document_without_an_id_get_an_alert_each() -> None:
    document = {"title": "Build is red", "source": "ci", "severity": "low"}
    blue, green = hook(), hook(team="green")

    for path in (blue.path, green.path, blue.path, green.path, green.path):
        assert post(path, document).json() == {
            "status": "received",
            "alerts": 1,
            "quarantined": 0,
            "passed": 0,
        }

    assert sorted(Alert.objects.values_list("team__slug", flat=True)) == ["blue", "green"]
    assert not Quarantined.objects.exists()


@pytest.mark.parametrize("field_map", [None, EDR])
def test_two_teams_whose_tools_count_alike_get_an_alert_each(field_map: dict[str, Any] | None) -> None:
    document = detection(cloud={}) if field_map else {"title": "Alarm", "source": "edr", "id": "7"}
    blue, green = hook(field_map=field_map), hook(team="green", field_map=field_map)

    for _ in range(2):
        for path in (blue.path, green.path):
            assert post(path, document).json()["alerts"] == 1

    assert sorted(Alert.objects.values_list("team__slug", flat=True)) == ["blue", "green"]
    assert RawDocument.objects.count() == 2
    assert not Quarantined.objects.exists()


def test_what_names_an_account_belongs_to_that_accounts_team() -> None:
    make.account(team="green")

    post(hook(field_map=EDR).path, detection())

    assert Alert.objects.get().team.slug == "green"


# --- the secret ------------------------------------------------------------------------------------------


def _missing(answer: Any) -> tuple[int, dict[str, Any], dict[str, str]]:
    """All that an answer says, but for the id of the request."""
    told = {name: value for name, value in answer.json().items() if name != "request_id"}
    headers = {name: value for name, value in answer.headers.items() if name.lower() != "x-request-id"}
    return answer.status_code, told, headers


@pytest.mark.parametrize("kind", HookKind.values)
def test_a_hook_that_ended_is_as_one_that_never_was(kind: str) -> None:
    topic = {"topic_arn": f"arn:aws:sns:eu-west-1:{make.ACCOUNT}:alarms"} if kind == "sns" else {}
    made = hook(HookKind(kind), **topic)
    never = _missing(post(f"/hooks/{kind}/{hooks.PREFIX}{'x' * 43}", WAZUH))
    assert never[0] == 404

    hooks.revoke(hook=made.hook, by=SYSTEM, at=clock.now())
    hooks.revoke(hook=made.hook, by=SYSTEM, at=clock.now())

    assert _missing(post(made.path, WAZUH)) == never
    assert AuditEvent.objects.filter(act="hook-revoked").count() == 1
    assert not Alert.objects.exists()


def test_a_secret_opens_its_own_door_alone() -> None:
    made = hook(HookKind.WAZUH)
    key = make.key()
    others = [
        f"/hooks/{kind}/{secret}"
        for kind in HookKind.values
        for secret in (made.secret, key, made.secret.upper(), made.secret[:-1], made.secret + "x", "ä", "%00")
        if (kind, secret) != ("wazuh", made.secret)
    ]

    assert {post(path, WAZUH).status_code for path in others} == {404}
    for path in ("/api/v1/alerts", "/api/v1/ingest/wazuh", "/hooks/eventbridge"):
        assert post(path, WAZUH, Authorization=f"Bearer {made.secret}").status_code == 401, path
    assert (
        Client().get("/api/v1/alerts", headers={"Authorization": f"Bearer {made.secret}"}).status_code == 401
    )
    assert not Alert.objects.exists()
    assert not Quarantined.objects.exists()


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
def test_nothing_but_posting_is_possible_and_that_says_nothing_of_the_secret(method: str) -> None:
    made = hook()

    known, unknown = (
        _missing(Client().generic(method, path, b"{}", "application/json"))
        for path in (made.path, "/hooks/webhook/qh_unknown")
    )

    assert known == unknown
    assert known[0] == 405


def test_neither_a_session_nor_a_header_counts_here(lead: Actor) -> None:
    answer = make.browser(lead).post("/hooks/webhook/qh_x", {"title": "x"}, content_type="application/json")

    assert answer.status_code == 404
    assert (
        post("/hooks/webhook/qh_x", {"title": "x"}, Authorization=f"Bearer {make.key()}").status_code == 404
    )


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> StringIO:
    """What the installation's own handlers write, as they write it."""
    stream = StringIO()
    own = [
        one
        for one in logging.getLogger().handlers
        if isinstance(one, logging.StreamHandler) and isinstance(one.formatter, logs.Json | logs.Plain)
    ]
    assert own
    for handler in own:
        monkeypatch.setattr(handler, "stream", stream)
    return stream


def test_the_secret_is_in_no_row_no_answer_no_log_and_no_repr(logged: StringIO) -> None:
    made = hook(field_map=EDR)
    Hook.objects.update(per_minute=4)
    answers = [
        post(made.path, detection()),
        post(made.path, b"{"),
        post(made.path, {"note": "no title"}),
        post(made.path.replace("/webhook/", "/splunk/"), {}),
        Client().get(made.path),
        post(made.path, [detection(number) for number in range(9)]),
        post(made.path, detection()),
        post("/compat/pagerduty/v2/enqueue", {"routing_key": made.secret, "event_action": "explode"}),
    ]
    hooks.revoke(hook=Hook.objects.get(), by=SYSTEM, at=clock.now())
    answers.append(post(made.path, detection()))
    assert [answer.status_code for answer in answers] == [200, 200, 200, 404, 405, 200, 429, 429, 404]

    canary = made.secret[len(hooks.PREFIX) :]
    rows = [repr(row) for model in apps.get_models() for row in model._base_manager.values()]
    assert any("hook-created" in row for row in rows)
    assert not [row for row in rows if canary in row]
    told = [answer.content.decode() + str(dict(answer.headers)) for answer in answers]
    assert not [one for one in told if canary in one or digest(made.secret) in one]
    assert logged.getvalue().count("/hooks/webhook/…") >= 3
    assert canary not in logged.getvalue()
    assert canary not in repr(made)
    assert canary not in f"{made.hook!r} {made.hook}"


# --- budgets ---------------------------------------------------------------------------------------------


def test_a_hook_has_a_budget_of_its_own_that_holds_up_no_other() -> None:
    mine, other = hook(name="mine"), hook(name="other")
    Hook.objects.filter(pk=mine.hook.pk).update(per_minute=2)

    answers = [post(mine.path, {"title": f"Alarm {number}"}) for number in range(3)]

    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert int(answers[2].headers["Retry-After"]) > 0
    assert answers[2].json()["type"] == "urn:quell:problem:too-many-requests"
    assert Alert.objects.count() == 2, "what was refused left nothing"
    assert post(other.path, {"title": "Alarm"}).status_code == 200


def test_a_body_pays_for_each_document_it_holds_read_or_not() -> None:
    made = hook()
    Hook.objects.update(per_minute=10)

    first = post(made.path, [*({"title": f"Alarm {n}"} for n in range(8)), {"note": "no title"}, 7])

    assert (first.json()["alerts"], first.json()["quarantined"]) == (8, 2)
    assert post(made.path, {"title": "one more"}).status_code == 429


# --- PagerDuty's routing key -------------------------------------------------------------------------------


def _event(secret: str, **changes: Any) -> dict[str, Any]:
    payload = {"summary": "CPU is mining", "source": "i-0123456789abcdef0", "severity": "critical"}
    return {
        "routing_key": secret,
        "event_action": "trigger",
        "dedup_key": "d1",
        "payload": payload,
        **changes,
    }


def _enqueue(body: dict[str, Any]) -> Any:
    return post("/compat/pagerduty/v2/enqueue", body)


def test_the_secret_of_a_webhook_is_a_routing_key() -> None:
    made = hook(team="green")

    first = _enqueue(_event(made.secret))
    acknowledged = _enqueue({"routing_key": made.secret, "event_action": "acknowledge", "dedup_key": "d1"})
    resolved = _enqueue({"routing_key": made.secret, "event_action": "resolve", "dedup_key": "d1"})
    old = {"service_key": made.secret, "event_type": "trigger", "incident_key": "k", "description": "Kittens"}
    version_1 = post("/compat/pagerduty/generic/2010-04-15/create_event.json", old)

    codes = [answer.status_code for answer in (first, acknowledged, resolved, version_1)]
    assert codes == [202, 202, 202, 200]
    alert = Alert.objects.get(external_id__contains="d1")
    assert (alert.team.slug, alert.severity) == ("green", 95)
    assert "pagerduty:acknowledged" in alert.tags
    assert alert.resolved_at is not None
    Hook.objects.get(last_used_at__isnull=False)
    assert not [one for one in RawDocument.objects.all() if made.secret in json.dumps(one.body)]


def test_two_teams_may_acknowledge_under_one_dedup_key() -> None:
    secrets = {team: hook(team=team).secret for team in ("blue", "green")}

    for secret in secrets.values():
        assert _enqueue(_event(secret)).status_code == 202
    body = {"routing_key": secrets["green"], "event_action": "acknowledge", "dedup_key": "d1"}
    assert _enqueue(body).status_code == 202

    tagged = {alert.team.slug: "pagerduty:acknowledged" in alert.tags for alert in Alert.objects.all()}
    assert tagged == {"blue": False, "green": True}


def test_a_routing_key_of_another_kind_revoked_or_without_budget_is_refused() -> None:
    made, wazuh = hook(), hook(HookKind.WAZUH)
    Hook.objects.filter(pk=made.hook.pk).update(per_minute=1)

    codes = [_enqueue(_event(secret)).status_code for secret in (wazuh.secret, made.secret, made.secret)]
    hooks.revoke(hook=made.hook, by=SYSTEM, at=clock.now())
    throttle.forget()

    assert codes == [400, 202, 429]
    assert _enqueue(_event(made.secret)).status_code == 400
    assert Alert.objects.get().count == 1


# --- making them -----------------------------------------------------------------------------------------


def test_the_command_prints_the_path_alone_and_it_works(tmp_path: Path) -> None:
    make.team("green")
    field_map, out = tmp_path / "map.json", StringIO()
    field_map.write_text(json.dumps(EDR))

    call_command("create_hook", kind="webhook", name="edr", team="green", field_map=field_map, stdout=out)

    path = out.getvalue()
    assert path.count("\n") == 1
    assert path.startswith("/hooks/webhook/qh_")
    assert post(path.strip(), detection(cloud={})).json()["alerts"] == 1
    assert (Alert.objects.get().source, Alert.objects.get().team.slug) == ("edr", "green")
    event = AuditEvent.objects.get(act="hook-created")
    assert event.details == {"kind": "webhook", "topic_arn": ""}


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"kind": "sns"}, "topic_arn"),
        ({"kind": "sns", "topic_arn": "arn:aws:sqs:eu-west-1:111122223333:queue"}, "topic_arn"),
        ({"kind": "sns", "topic_arn": "arn:aws:sns:eu-west-1:111122223333:*"}, "topic_arn"),
        ({"kind": "wazuh", "topic_arn": "arn:aws:sns:eu-west-1:111122223333:alarms"}, "topic_arn"),
        ({"kind": "webhook", "team": "nobody"}, "no team"),
        ({"kind": "webhook", "name": "x" * 81}, "name"),
        ({"kind": "webhook", "field_map": "{"}, "cannot be read"),
        ({"kind": "webhook", "field_map": "[]"}, "JSON object"),
        ({"kind": "webhook", "field_map": '{"title": "/t"}'}, "field_map/source"),
        ({"kind": "webhook", "field_map": '{"source": "x", "title": "a[?"}'}, "field_map/title"),
        ({"kind": "wazuh", "field_map": '{"source": "x", "title": "/t"}'}, "only a webhook"),
    ],
)
def test_the_command_refuses_what_cannot_be_meant(tmp_path: Path, options: dict[str, Any], says: str) -> None:
    make.team()
    if "field_map" in options:
        file = tmp_path / "map.json"
        file.write_text(options["field_map"])
        options = {**options, "field_map": file}

    with pytest.raises(CommandError, match=says):
        call_command("create_hook", **options)

    assert not Hook.objects.exists()
    assert not ServiceAccount.objects.exists()


def test_a_name_belongs_to_one_team() -> None:
    hook(name="ci")

    assert hook(HookKind.WAZUH, name="ci").hook.account == ServiceAccount.objects.get()
    with pytest.raises(Conflict):
        hook(team="green", name="ci")
    with pytest.raises(Invalid):
        hooks.create(name="", kind=HookKind.WEBHOOK, team=make.team(), by=SYSTEM, at=clock.now())
