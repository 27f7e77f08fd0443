"""What is known around an alert: the estate, tags, addresses, and what was before."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from cases import sweeps
from cases.models import Alert
from identity.actors import Actor
from lib import clock
from tests import make

pytestmark = [pytest.mark.fast, pytest.mark.django_db]

KEY = [
    {"type": "access_key", "id": "AKIAQUELLTESTKEY0001", "arn": "", "role": "target"},
    {"type": "user", "id": "ci", "arn": "", "role": "target"},
]


def due(**values: Any) -> Alert:
    return make.alert(**{"due_at": clock.now(), "resources": KEY, **values})


def swept(alert: Alert) -> Alert:
    sweeps.sweep_alerts()
    alert.refresh_from_db()
    return alert


def dismissed(**values: Any) -> Alert:
    given = {"status": "dismissed", "verdict": "benign", "verdict_reason": "ci", "dismissed_at": clock.now()}
    return make.alert(**{**given, "resources": KEY, **values})


def alike() -> None:
    Alert.objects.update(fingerprint="f" * 64)


def test_the_estate_and_tags_say_whose_it_is() -> None:
    make.account(owner="Ops", tags={"team": "payments"}, security_contact="sec@example.com")
    alert = swept(due(labels={"ENV": "Prod", "DataClass": "PII"}))

    assert (alert.owner, alert.environment) == ("payments", "production")
    assert alert.context["account"]["owner"] == "Ops"
    assert alert.context["account"]["ou"] == "Root/Production"
    assert alert.context["environment_from"] == "tag of the alert"


def test_without_tags_it_is_what_the_estate_says() -> None:
    make.account(owner="Ops")
    alert = swept(due())
    assert (alert.owner, alert.environment) == ("Ops", "production")
    assert alert.context["owner_from"] == "estate"


def test_hostile_tags_are_cut_to_one_line_of_text() -> None:
    hostile = "<script>\x07\x1b[31m\n" + "x" * 5_000
    alert = swept(due(labels={"Owner": hostile, "environment": hostile, "criticality": hostile}))
    assert alert.owner.startswith("<script> [31m xxx")
    assert (len(alert.owner), len(alert.environment), len(alert.criticality)) == (120, 12, 40)
    assert alert.owner.isprintable()


def test_an_account_that_nobody_knows_leaves_it_empty() -> None:
    alert = swept(due(account="999988887777", resources=[]))
    assert (alert.owner, alert.environment, alert.due_at) == ("", "", None)
    assert "account" not in alert.context
    assert "principal" not in alert.context


def test_the_principal_and_its_credential() -> None:
    make.alert(resources=KEY, due_at=clock.now())
    session = [{"type": "session_key", "id": "ASIAQUELLTESTKEY0001", "arn": "", "role": ""}]
    alert, other = due(), due(resources=session)
    sweeps.sweep_alerts()
    Alert.objects.update(due_at=clock.now())
    swept(alert)
    other.refresh_from_db()

    assert alert.context["principal"]["credential"] == "long_lived"
    assert alert.context["principal"]["alerts_30d"] == 1
    assert other.context["principal"]["credential"] == "session"


def test_addresses_have_their_class_and_the_place_that_the_finding_told() -> None:
    observables = [{"kind": "ip", "value": one} for one in ("10.0.0.1", "198.51.100.7", "not an address")]
    places = [{"address": "198.51.100.7", "country": "NL", "city": "<b>Delft</b>", "pk": "9"}]
    alert = swept(due(observables=observables, places=places))

    private, public, none = alert.context["addresses"]
    assert private["kind"] == "private"
    assert (public["country"], public["city"]) == ("NL", "<b>Delft</b>")
    assert "pk" not in public
    assert none["address"] == "not an address"


def test_seen_before_says_how_the_last_was_closed() -> None:
    dismissed(verdict_reason="the build server")
    alert = due()
    alike()
    before = swept(alert).context["seen_before"]
    assert (before["count"], before["closed"]["verdict"]) == (1, "benign")
    assert before["closed"]["reason"] == "the build server"


def test_seen_before_tells_nothing_of_other_teams_or_restricted_incidents(lead: Actor) -> None:
    dismissed(team="red", verdict_reason="only red")
    secret = make.incident(named=[lead], title="Secret", status="closed", closed_at=clock.now())
    make.alert(incident=secret, resources=KEY)
    alert = due()
    alike()
    swept(alert)

    assert "seen_before" not in alert.context
    assert "only red" not in json.dumps(alert.context)
    assert "Secret" not in json.dumps(alert.context)


def test_of_an_open_incident_that_closed_it_tells_the_verdict_alone() -> None:
    closed = make.incident(title="Named", status="closed", closed_at=clock.now(), verdict="true_positive")
    make.alert(incident=closed, resources=KEY)
    alert = due()
    alike()
    told = swept(alert).context["seen_before"]["closed"]
    assert told["verdict"] == "true_positive"
    assert set(told) == {"alert", "at", "verdict"}


def test_again_it_changes_nothing() -> None:
    make.account(owner="Ops")
    alert = swept(due(observables=[{"kind": "ip", "value": "10.0.0.1"}]))
    before = Alert.objects.values().get()
    Alert.objects.update(due_at=clock.now() - timedelta(minutes=1))
    swept(alert)
    assert Alert.objects.values().get() == before


def test_a_batch_costs_few_questions() -> None:
    make.account()
    for number in range(100):
        due(
            severity=30,
            observables=[{"kind": "ip", "value": f"8.8.{number}.1"}],
            resources=[{"type": "user", "id": f"u{number}", "arn": "", "role": ""}],
        )
    with CaptureQueriesContext(connection) as asked:
        assert sweeps.sweep_alerts() == 100
    # Of each alert: the same before, the same principal, and its own change.
    assert len(asked) <= 3 * 100 + 20
