"""Triage rules over the API: made off, tried, switched, changed and removed, by whom, and what is refused."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from audit.models import AuditEvent
from cases import sweeps
from cases.models import TriageRule
from identity.actors import Actor
from identity.models import Role
from lib import clock
from tests import make

pytestmark = [pytest.mark.fast, pytest.mark.django_db]

RULES = "/api/v1/rules"


def send(client: Client, method: str, path: str, body: Any = None) -> Any:
    return client.generic(method, path, data=json.dumps(body), content_type="application/json")


@pytest.fixture
def client(lead: Actor) -> Client:
    return make.browser(lead)


def suppression(**values: Any) -> dict[str, Any]:
    end = (clock.now() + timedelta(days=7)).isoformat()
    return {"name": "Known", "effect": "suppress", "reason": "scanner", "expires_at": end, **values}


def test_a_rule_from_its_making_to_its_end(client: Client, lead: Actor) -> None:
    made = send(client, "POST", RULES, suppression(conditions={"accounts": [make.ACCOUNT]}))
    assert made.status_code == 201
    one = made.json()
    assert (one["is_on"], one["ended"], one["created_by"]) == (False, False, lead.label)
    path = f"{RULES}/{one['id']}"
    alert = make.alert(severity=50)

    tried = send(client, "POST", f"{RULES}/preview", suppression()).json()
    assert (tried["fitting"], tried["suppressed"], tried["is_cut"]) == (1, 1, False)
    assert tried["examples"][0]["id"] == alert.ulid
    assert TriageRule.objects.count() == 1

    assert send(client, "PATCH", path, {"is_on": True}).json()["is_on"] is True
    assert send(client, "PATCH", path, {"reason": "the old scanner"}).json()["reason"] == "the old scanner"
    type(alert).objects.update(due_at=clock.now())
    sweeps.sweep_alerts()
    assert send(client, "DELETE", path).status_code == 409  # the alert that it suppressed names it
    assert send(client, "PATCH", path, {"is_on": False}).status_code == 200
    told = AuditEvent.objects.filter(object_type="rule", object_id=one["id"]).order_by("seq")
    assert [event.act for event in told] == [
        "rule.created",
        "rule.switched_on",
        "rule.changed",
        "rule.applied",
        "rule.switched_off",
    ]


def test_one_that_did_nothing_can_be_removed(client: Client) -> None:
    rule = make.rule()
    assert send(client, "DELETE", f"{RULES}/{rule.ulid}").status_code == 204
    assert client.get(f"{RULES}/{rule.ulid}").status_code == 404


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"effect": "open"}, "/name"),
        (suppression(reason=""), "/reason"),
        (suppression(expires_at=None), "/expires_at"),
        (suppression(expires_at="2020-01-01T00:00:00Z"), "/expires_at"),
        (suppression(expires_at="2999-01-01T00:00:00Z"), "/expires_at"),
        ({"name": "x", "effect": "adjust"}, "/shift"),
        ({"name": "x", "effect": "route"}, "/route_to"),
        ({"name": "x", "effect": "route", "route_to": "nobody"}, "/route_to"),
        ({"name": "x", "effect": "route", "route_to": "blue"}, "/route_to"),
        ({"name": "x", "min_severity": 80, "max_severity": 20}, "/min_severity"),
        ({"name": "x", "type": "a*b"}, "/type"),
        ({"name": "x", "conditions": []}, "/conditions"),
        ({"name": "x", "conditions": {"accounts": ["12"]}}, "/conditions/accounts/0"),
        ({"name": "x", "conditions": {"nothing": 1}}, "/conditions/nothing"),
        ({"name": "x", "conditions": {"resources": ["*"] * 101}}, "/conditions/resources"),
        ({"name": "x", "conditions": {"includes_critical": True}}, "/conditions/includes_critical"),
        ({"name": "x", "conditions": {"observables": ["10.0.0.0/99"]}}, "/conditions/observables/0"),
    ],
)
def test_what_cannot_be_is_refused_where_it_stands(client: Client, body: Any, pointer: str) -> None:
    asked = send(client, "POST", RULES, body)
    assert asked.status_code in (400, 422), asked.content
    assert pointer in asked.content.decode()
    assert not TriageRule.objects.exists()


def test_a_name_is_taken_once(client: Client) -> None:
    assert send(client, "POST", RULES, {"name": "x"}).status_code == 201
    assert send(client, "POST", RULES, {"name": "x"}).status_code == 409


def test_rules_are_the_whole_teams(client: Client) -> None:
    foreign = make.rule(team="red")
    limited = make.browser(make.person(Role.LEAD, accounts=[make.ACCOUNT]))
    assert client.get(f"{RULES}/{foreign.ulid}").status_code == 404
    assert send(client, "PATCH", f"{RULES}/{foreign.ulid}", {"is_on": True}).status_code == 404
    assert send(limited, "POST", RULES, {"name": "x"}).status_code == 403
    assert limited.get(RULES).json()["results"] == []
    assert send(make.program(make.key()), "POST", RULES, {"name": "x"}).status_code == 403


def test_an_ended_one_is_not_switched_on(client: Client) -> None:
    ended = make.rule(effect="suppress", reason="r", expires_at=clock.now() - timedelta(days=1))
    asked = send(client, "PATCH", f"{RULES}/{ended.ulid}", {"is_on": True})
    assert asked.status_code == 409
    assert client.get(f"{RULES}/{ended.ulid}").json()["ended"] is True
