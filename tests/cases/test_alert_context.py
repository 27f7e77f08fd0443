"""What an alert's page shows around it: only what the person may read, at a cost that does not grow."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from cases import ruling, sweeps, techniques, triage
from cases.models import Alert, RawDocument
from cases.ruling import Wording
from cases.sources import attack
from cases.words import AlertStatus, Verdict
from identity.actors import Actor
from identity.models import Role
from lib import clock
from tests import make
from tests.cases.test_pages import MARKER, tags_of
from tests.cases.test_rule_pages import words

pytestmark = [pytest.mark.fast, pytest.mark.django_db]

KEY = [{"type": "access_key", "id": "AKIAQUELLTESTKEY0001"}, {"type": "user", "id": "ci-deploy"}]


def shown(client: Client, alert: Alert, **query: str) -> str:
    answer = client.get(reverse("alert", args=[alert.ulid]), query)
    assert answer.status_code == 200
    return words(answer)


def due(**values: Any) -> Alert:
    return make.alert(**{"due_at": clock.now(), "resources": KEY, **values})


def alike(*alerts: Alert) -> None:
    """Give alerts the fingerprint of one type on one resource."""
    Alert.objects.filter(pk__in=[alert.pk for alert in alerts]).update(fingerprint="ab" * 32)


@pytest.fixture
def client(analyst: Actor) -> Client:
    return make.browser(analyst)


def test_the_asset_the_principal_and_the_addresses(client: Client) -> None:
    make.account(
        name="prod-shipping",
        owner="Shipping",
        is_critical=True,
        security_contact="soc@example.com",
        tags={"data-class": "confidential"},
    )
    due(at=clock.now() - timedelta(hours=3))
    sweeps.sweep_alerts()
    alert = due(
        labels={"owner": "shipping-oncall"},
        observables=[{"kind": "ip", "value": "203.0.113.77"}, {"kind": "domain", "value": "bad.example"}],
        places=[
            {
                "address": "203.0.113.77",
                "country": "NL",
                "country_name": "Netherlands",
                "city": "Amsterdam",
                "organization": "Example Hosting",
                "asn": 64500,
            }
        ],
        techniques=["T1078.004", "T9999"],
    )
    sweeps.sweep_alerts()

    for query in ({}, {"as": "page"}):
        page = shown(client, alert, **query)
        for said in (
            "Asset owner shipping-oncall tag of the alert",
            "Owner Nobody",
            "Environment production estate",
            "Criticality critical",
            "Data class confidential",
            "Security contact soc@example.com",
            "Principal ci-deploy User, long-lived credential, 1 other alert in 30 days",
            "203[.]0[.]113[.]77 reserved, AS64500 Example Hosting, Amsterdam, Netherlands",
            "bad[.]example",
            "T1078.004 Valid Accounts: Cloud Accounts",
            "T9999 Not a technique that is known here",
        ):
            assert said in page, said


def test_how_the_same_was_closed_last_time(client: Client, lead: Actor) -> None:
    now = clock.now()
    old, open_one, alert = (
        make.alert(at=now - timedelta(days=90)),
        make.alert(at=now - timedelta(days=50)),
        due(),
    )
    triage.dismiss(
        alert=old, verdict=Verdict.BENIGN, reason="load test", by=lead, at=now - timedelta(days=89)
    )
    alike(old, open_one, alert)
    sweeps.sweep_alerts()

    page = shown(client, alert)

    assert "Seen before same type, same resource 2 times since" in page
    assert f"by {lead.label} as benign: load test." in page
    assert (
        reverse("alert", args=[old.ulid]) in client.get(reverse("alert", args=[alert.ulid])).content.decode()
    )
    assert "Seen before" not in shown(client, old)


def test_seen_once_and_open_still(client: Client) -> None:
    before, alert = make.alert(at=clock.now() - timedelta(days=2)), due()
    alike(before, alert)
    sweeps.sweep_alerts()

    page = shown(client, alert)

    assert "Once, on " in page
    assert "None of them was closed, or not where you may look." in page


def test_a_closing_is_told_to_those_who_may_read_its_alert(lead: Actor, analyst: Actor) -> None:
    old, alert = make.alert(at=clock.now() - timedelta(days=9)), due()
    triage.dismiss(alert=old, verdict=Verdict.BENIGN, reason="the secret reason", by=lead, at=clock.now())
    alike(old, alert)
    sweeps.sweep_alerts()
    assert "the secret reason" in shown(make.browser(analyst), alert)
    hidden = make.incident(named=[lead])
    Alert.objects.filter(pk=old.pk).update(incident=hidden, status=AlertStatus.ESCALATED)

    assert "the secret reason" not in shown(make.browser(analyst), alert)
    assert "the secret reason" in shown(make.browser(lead), alert)


def test_a_seat_for_some_accounts_is_told_nothing_of_the_others(lead: Actor) -> None:
    make.account()
    old = make.alert(account="999999999999", at=clock.now() - timedelta(days=9), title="elsewhere")
    near, alert = due(account="999999999999", title="near elsewhere"), due()
    triage.dismiss(alert=old, verdict=Verdict.BENIGN, reason="not for them", by=lead, at=clock.now())
    alike(old, alert)
    sweeps.sweep_alerts()
    Alert.objects.filter(pk=near.pk).update(correlation_key=Alert.objects.get(pk=alert.pk).correlation_key)
    limited = make.browser(make.person(Role.ANALYST, accounts=[make.ACCOUNT]))

    page, whole = shown(limited, alert), shown(make.browser(lead), alert)

    assert "not for them" not in page
    assert "near elsewhere" not in page
    assert "not for them" in whole
    assert "near elsewhere" in whole


def ruled(lead: Actor, **wording: Any) -> str:
    rule = ruling.create(wording=Wording(**wording), team=make.team(), by=lead, at=clock.now())
    ruling.switch(rule=rule, on=True, by=lead, at=clock.now())
    return rule.ulid


def test_what_rules_did_from_what_to_what_and_by_which(client: Client, lead: Actor) -> None:
    end = clock.now() + timedelta(days=3)
    shift = ruled(lead, name="Shifts", effect="adjust", shift=15)
    ruled(lead, name="Opens", effect="open", min_severity=80)
    quiet = ruled(lead, name="Quiets", effect="suppress", type="Recon:*", reason="known", expires_at=end)
    opened, dismissed = due(severity=70), due(severity=20, type="Recon:EC2/PortProbe", resources=[])
    settled = due(severity=20, type="Trojan:EC2/DNS", resources=[], resolved_at=clock.now())
    sweeps.sweep_alerts()
    opened.refresh_from_db()
    assert opened.incident is not None

    page = shown(client, opened)
    assert "Severity 70 → 85, shifted by +15, by Shifts" in page
    assert f"Put into an incident: {opened.incident.ref} , by Opens" in page
    assert f"Grouped in {opened.incident.ref}" in page
    body = client.get(reverse("alert", args=[dismissed.ulid])).content.decode()
    assert "Dismissed as suppressed, by Quiets" in shown(client, dismissed)
    assert reverse("rule", args=[quiet]) in body
    assert reverse("rule", args=[shift]) in body
    assert "Dismissed, as it was over at its source" in shown(client, settled)


def test_names_of_rules_are_for_those_who_may_read_them(lead: Actor) -> None:
    make.account()
    ruled(lead, name="Secret scanner", effect="adjust", shift=15)
    alert = due(severity=50)
    sweeps.sweep_alerts()
    limited = make.browser(make.person(Role.ANALYST, accounts=[make.ACCOUNT]))

    page = shown(limited, alert)

    assert "Severity 50 → 65, shifted by +15, by a rule that is removed or not yours to see" in page
    assert "Secret scanner" not in page


def test_after_it_was_given_away_the_next_team_reads_that_it_was(lead: Actor, outsider: Actor) -> None:
    make.team("other")
    ruled(lead, name="To the others", effect="route", route_to="other")
    alert = due(account="")
    sweeps.sweep_alerts()

    assert "Given to another team, by a rule that is removed" in shown(make.browser(outsider), alert)


def test_what_belongs_together_the_newest_five_and_how_many_more(client: Client) -> None:
    now = clock.now()
    alert = due()
    for number in range(8):
        due(title=f"other {number}.", at=now - timedelta(hours=number + 1))
    due(title="long ago.", at=now - timedelta(days=40))
    sweeps.sweep_alerts()

    page = shown(client, alert)

    assert "Belongs together same principal, 30 days around it" in page
    assert [number for number in range(8) if f"other {number}." in page.split("Belongs together")[1]] == [
        0,
        1,
        2,
        3,
        4,
    ]
    assert "3 older ones." in page
    assert "long ago." not in page.split("Belongs together")[1]


def test_restricted_alerts_belong_to_nothing_that_others_see(client: Client, lead: Actor) -> None:
    alert = due()
    due(title="of a secret incident", incident=make.incident(named=[lead]))
    sweeps.sweep_alerts()

    assert "of a secret incident" not in shown(client, alert)
    assert "of a secret incident" in shown(make.browser(lead), alert)


# --- documents -----------------------------------------------------------------------------------------


def copies(alert: Alert, count: int, body: Any = None) -> list[RawDocument]:
    return [
        RawDocument.objects.create(
            alert=alert,
            digest=f"{number:064x}",
            body=body if body is not None else {"number": number},
            source="guardduty",
            door="webhook:01K" if number else "eventbridge",
            received_at=clock.now() - timedelta(minutes=number),
        )
        for number in range(count)
    ]


def test_copies_are_named_by_route_and_saved_as_files(client: Client) -> None:
    alert = make.alert()
    kept = copies(alert, 7)

    page = shown(client, alert)
    assert "Documents 7 copies, newest first" in page
    assert "guardduty by eventbridge" in page
    assert page.count("guardduty by webhook") == 6
    assert "01K" not in page
    saved = client.get(reverse("alert-document", args=[alert.ulid, kept[6].digest]))
    assert json.loads(saved.content) == {"number": 6}
    assert saved["Content-Type"] == "application/octet-stream"
    assert saved["X-Content-Type-Options"] == "nosniff"
    assert re.fullmatch(rf'attachment; filename="{alert.ulid}-0{{12}}\.json"', saved["Content-Disposition"])


def test_a_document_is_found_under_its_own_alert_alone(client: Client) -> None:
    one, other = make.alert(), make.alert()
    [kept] = copies(one, 1)

    for ulid, digest in (
        (other.ulid, kept.digest),
        (one.ulid, "f" * 64),
        (one.ulid, "..%2f"),
        (one.ulid, "\0"),
    ):
        answer = client.get(reverse("alert-document", args=[ulid, digest]))
        assert answer.status_code == 404


# --- hostile text, and cost ----------------------------------------------------------------------------


def test_nothing_around_an_alert_becomes_an_element(client: Client, lead: Actor) -> None:
    make.account(name=MARKER, owner=MARKER, security_contact=MARKER)
    ruled(lead, name=f"{MARKER} rule", effect="adjust", shift=5)
    old = make.alert(title=MARKER, at=clock.now() - timedelta(days=3))
    triage.dismiss(alert=old, verdict=Verdict.BENIGN, reason=MARKER, by=lead, at=clock.now())
    other = due(title=f"{MARKER} other", severity=50)
    alert = due(
        severity=50,
        title=MARKER,
        labels={"owner": f"{MARKER} owner", "data-class": MARKER, "criticality": MARKER},
        resources=[{"type": "user", "id": f"{MARKER} who"}],
        observables=[{"kind": "ip", "value": "203.0.113.7"}, {"kind": "ip", "value": MARKER}],
        places=[{"address": "203.0.113.7", "city": MARKER, "organization": MARKER, "country_name": MARKER}],
        techniques=[MARKER],
        link=f"javascript:{MARKER}",
    )
    alike(old, alert)
    sweeps.sweep_alerts()
    Alert.objects.filter(pk=other.pk).update(correlation_key=Alert.objects.get(pk=alert.pk).correlation_key)
    copies(alert, 6, body={MARKER: f"{MARKER}\u202e"})

    for query in ({}, {"as": "page"}):
        body = client.get(reverse("alert", args=[alert.ulid]), query).content.decode()
        tags = tags_of(body)
        assert "img" not in tags.elements
        assert not [name for name, _ in tags.attributes if name.startswith("on")]
        assert not [
            value for name, value in tags.attributes if name in ("href", "src") and "javascript" in value
        ]
        for said in (f"{MARKER} rule", f"{MARKER} other", f"{MARKER} owner", f"{MARKER} who"):
            assert said in unescape(body), said


@pytest.mark.parametrize(
    "context",
    [
        {"principal": [], "addresses": {}, "seen_before": "x", "rules": {"a": 1}},
        {
            "principal": {"id": 5},
            "addresses": [5, {"address": 7}],
            "seen_before": {"count": "x"},
            "rules": [5],
        },
        {"seen_before": {"count": 2, "closed": {"alert": None}}, "rules": [{"effect": {}, "shift": "x"}]},
        {"seen_before": {"count": 2, "closed": []}, "rules": [{"rule": 5, "effect": "unknown"}]},
    ],
)
def test_a_context_of_another_shape_breaks_no_page(client: Client, context: dict[str, Any]) -> None:
    alert = make.alert(observables=[5, {"kind": 5, "value": None}], techniques=[5])
    Alert.objects.filter(pk=alert.pk).update(context=context)

    assert alert.title in shown(client, alert)


def test_the_panel_costs_the_same_however_much_stands_around(client: Client, lead: Actor) -> None:
    ruled(lead, name="Shifts", effect="adjust", shift=15)
    ruled(lead, name="Opens", effect="open", min_severity=60)
    old, alert = make.alert(at=clock.now() - timedelta(days=30)), due()
    triage.dismiss(alert=old, verdict=Verdict.BENIGN, reason="known", by=lead, at=clock.now())
    alike(old, alert)
    sweeps.sweep_alerts()
    address, counts = reverse("alert", args=[alert.ulid]), []
    for several in (1, 12):
        RawDocument.objects.filter(alert=alert).delete()
        copies(alert, several)
        for _ in range(several):
            due()
        sweeps.sweep_alerts()
        with CaptureQueriesContext(connection) as queries:
            client.get(address, headers={"HX-Request": "true", "HX-Target": "panel"})
        counts.append(len(queries))

    assert counts[0] == counts[1] <= 17


def test_every_technique_that_we_name_has_a_name() -> None:
    named = {one for told in (*attack.OF_TYPE.values(), *attack.OF_PURPOSE.values()) for one in told}

    assert named
    assert {one for one in named if not techniques.name_of(one)} == set()
    assert {one for one in named if "." in one and one not in techniques.NAMES} == set()
    assert techniques.name_of("T1078.004") == "Valid Accounts: Cloud Accounts"
    assert techniques.name_of("T1078.999") == "Valid Accounts"
    assert techniques.name_of(MARKER) == ""
