"""The form in which people report: what becomes of it, once, for whom, and what is refused where."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from audit.models import Receipt
from cases import sweeps
from cases.models import Alert, Heard
from identity.actors import Actor
from identity.models import Membership, Person, Role
from lib import clock, ids
from tests import make
from tests.cases.test_pages import MARKER, tags_of

pytestmark = [pytest.mark.fast, pytest.mark.django_db]


def report(**values: Any) -> dict[str, Any]:
    """What a browser sends of a form that was filled in."""
    given = {
        "token": ids.ulid(),
        "title": "Mail asks for the AWS password",
        "happened": "A mail from 'IT' asked me to sign in.",
        "noticed_at": f"{clock.now() - timedelta(minutes=5):%Y-%m-%d %H:%M:%S}",
        "severity": "high",
        "account": "",
        "indicators": "",
        "link": "",
    }
    return {**given, **values}


def send(client: Client, **values: Any) -> Any:
    return client.post(reverse("report"), report(**values))


@pytest.fixture
def client(analyst: Actor) -> Client:
    make.account(name="prod-shipping")
    return make.browser(analyst)


def test_a_report_is_an_alert_like_any_other_and_is_shown(client: Client, analyst: Actor) -> None:
    sent = report(
        account=make.ACCOUNT,
        indicators=(
            "203[.]0[.]113[.]9, hxxps://aws-login[.]example/signin\n<AKIAQUELLTESTKEY0001>\n"
            "arn:aws:iam::111122223333:user/ci 203.0.113.9"
        ),
        link="hxxps://tickets[.]example/SEC-12",
    )

    answer = client.post(reverse("report"), sent)

    alert = Alert.objects.get()
    assert answer["Location"] == reverse("alert", args=[alert.ulid])
    assert (alert.source, alert.type, alert.severity, alert.account, alert.status) == (
        "report",
        "Report:Person",
        80,
        make.ACCOUNT,
        "new",
    )
    assert f"{alert.detected_at:%Y-%m-%d %H:%M:%S}" == sent["noticed_at"]
    assert alert.first_seen_at is None
    assert alert.summary == f"A mail from 'IT' asked me to sign in.\n\nReported by {analyst.name}."
    assert [(one["kind"], one["value"]) for one in alert.observables] == [
        ("ip", "203.0.113.9"),
        ("url", "https://aws-login.example/signin"),
    ]
    assert [(one["type"], one["id"]) for one in alert.resources] == [
        ("access_key", "AKIAQUELLTESTKEY0001"),
        ("user", "ci"),
    ]
    assert alert.link == "https://tickets.example/SEC-12"
    document = alert.documents.get()
    assert (document.source, document.door, document.body["reported_by"]) == ("report", "form", analyst.name)
    assert Receipt.objects.filter(act="alerts.received", actor=analyst.label).count() == 1
    assert not Heard.objects.exists()  # people who say nothing are no fault
    shown = client.get(answer["Location"]).content.decode()
    assert "Mail asks for the AWS password" in shown
    assert "Reported. It waits in the queue" in shown
    assert sweeps.sweep_alerts() == 1


def test_sent_twice_it_is_one_alert(client: Client) -> None:
    sent = report()

    first, second = client.post(reverse("report"), sent), client.post(reverse("report"), sent)

    alert = Alert.objects.get()
    assert first["Location"] == second["Location"]
    assert (alert.count, alert.documents.count()) == (1, 1)
    assert "You had reported this already" in client.get(second["Location"]).content.decode()


def test_sent_again_with_better_words_it_is_the_same_alert_with_both(client: Client) -> None:
    sent = report()
    client.post(reverse("report"), sent)

    client.post(reverse("report"), {**sent, "happened": "It also had an attachment."})

    assert Alert.objects.get().documents.count() == 2


def test_the_token_of_one_person_names_no_report_of_another(client: Client) -> None:
    sent = report()
    client.post(reverse("report"), sent)
    other = make.browser(make.person(Role.ANALYST, login="second"))

    other.post(reverse("report"), {**sent, "title": "Something else"})

    assert sorted(Alert.objects.values_list("title", flat=True)) == [
        "Mail asks for the AWS password",
        "Something else",
    ]


def test_what_another_team_has_by_now_is_said_and_not_shown(client: Client) -> None:
    sent = report()
    client.post(reverse("report"), sent)
    Alert.objects.update(team=make.team("green"))

    again = client.post(reverse("report"), sent)

    assert again["Location"] == reverse("alerts")
    assert "others have it now" in client.get(reverse("alerts")).content.decode()
    assert Alert.objects.count() == 1


@pytest.mark.parametrize(
    ("values", "field", "says"),
    [
        ({"title": "  "}, "title", "Say in one line"),
        ({"title": "x" * 201}, "title", "at most 200"),
        ({"happened": ""}, "happened", "Write what you saw."),
        ({"noticed_at": "yesterday"}, "noticed_at", "Give a time such as"),
        ({"noticed_at": ""}, "noticed_at", "Give the time"),
        ({"noticed_at": "2999-01-01 00:00"}, "noticed_at", "a time that has passed"),
        ({"severity": "enormous"}, "severity", "Choose one of these."),
        ({"account": "999999999999"}, "account", "Choose one of your accounts."),
        ({"indicators": "203.0.113.9 nonsense!"}, "indicators", "nonsense!"),
        (
            {"indicators": " ".join(f"10.0.{n // 250}.{n % 250}" for n in range(201))},
            "indicators",
            "At most 200",
        ),
        ({"link": "javascript:alert(1)"}, "link", "begins with https://"),
        ({"title": "a\0b"}, "title", "Null characters"),
    ],
)
def test_what_cannot_be_is_refused_where_it_stands_and_kept(
    client: Client, values: dict[str, str], field: str, says: str
) -> None:
    answer = send(client, **{"link": "https://tickets.example/1", **values})

    body = unescape(answer.content.decode())
    beside = re.search(rf'id="report-{field}-error".*?</p>', body, flags=re.DOTALL)
    assert answer.status_code == 422
    assert beside is not None
    assert says in beside[0]
    assert ("https://tickets.example/1" in body) is (field != "link")
    assert not Alert.objects.exists()


@pytest.mark.parametrize("token", ["", "x", "0" * 25, "8" * 26, "0" * 25 + "'"])
def test_a_token_that_is_none_of_ours_is_refused(client: Client, token: str) -> None:
    answer = send(client, token=token)

    assert answer.status_code == 422
    assert "oad" in answer.content.decode()
    assert not Alert.objects.exists()


def test_every_form_has_a_token_of_its_own(client: Client) -> None:
    found = {
        re.search(r'name="token" value="([^"]+)"', client.get(reverse("report")).content.decode())[1]  # type: ignore[index]
        for _ in range(2)
    }

    assert len(found) == 2
    assert all(ids.is_ulid(token) for token in found)


# --- who may report what, and to whom ------------------------------------------------------------------


def test_a_seat_for_some_accounts_reports_about_those_alone() -> None:
    make.account(name="prod-shipping")
    make.account("999999999999", name="not-theirs")
    limited = make.browser(make.person(Role.ANALYST, accounts=[make.ACCOUNT]))

    form = limited.get(reverse("report")).content.decode()

    assert "prod-shipping" in form
    assert "not-theirs" not in form
    for account in ("", "999999999999"):
        assert send(limited, account=account).status_code == 422
    assert send(limited, account=make.ACCOUNT).status_code == 302
    assert Alert.objects.get().account == make.ACCOUNT


def test_nobody_reports_about_accounts_that_they_only_read() -> None:
    make.account("999999999999", team="green", name="of-green")
    actor = make.person(Role.ANALYST)
    who = Person.objects.get(ulid=actor.person_ulid)
    Membership.objects.create(person=who, team=make.team("green"), role="viewer")

    client = make.browser(actor)

    assert "of-green" not in client.get(reverse("report")).content.decode()
    assert send(client, account="999999999999").status_code == 422
    assert send(client, team="green").status_code == 422
    assert not Alert.objects.exists()


def test_whoever_reports_to_two_teams_says_which(analyst: Actor) -> None:
    make.account("999999999999", team="green", name="of-green")
    who = Person.objects.get(ulid=analyst.person_ulid)
    Membership.objects.create(person=who, team=make.team("green"), role="analyst")
    client = make.browser(analyst)

    assert "report-team" in client.get(reverse("report")).content.decode()
    send(client, team="green", title="to green")
    send(client, team="blue", title="to blue")
    send(client, team="blue", title="green's account", account="999999999999")

    assert dict(Alert.objects.values_list("title", "team__slug")) == {
        "to green": "green",
        "to blue": "blue",
        "green's account": "green",
    }


@pytest.mark.parametrize("role", [Role.VIEWER, Role.APPROVER, Role.AUDITOR, Role.ADMIN])
def test_whoever_writes_no_alerts_is_told_why_and_not_invited(role: Role) -> None:
    reader = make.browser(make.person(role))

    assert reverse("report") not in reader.get(reverse("alerts")).content.decode()
    answer = reader.get(reverse("report"))
    assert answer.status_code == 403
    assert "Reporting needs the role" in answer.content.decode()


def test_the_alerts_page_leads_to_the_form(client: Client) -> None:
    assert f'href="{reverse("report")}"' in client.get(reverse("alerts")).content.decode()


# --- hostile text, and cost ----------------------------------------------------------------------------


def test_nothing_that_is_reported_becomes_an_element(client: Client) -> None:
    kept = send(client, title=MARKER, happened=MARKER, indicators=MARKER, link=MARKER, account=MARKER)
    assert kept.status_code == 422
    stored = send(client, title=f"{MARKER}\u202e", happened=MARKER, link=f"https://x.example/{MARKER}")
    for answer in (kept, client.get(stored["Location"]), client.get(stored["Location"] + "?as=page")):
        tags = tags_of(answer.content.decode())
        assert "img" not in tags.elements
        assert not [name for name, _ in tags.attributes if name.startswith("on")]
        assert not [value for name, value in tags.attributes if name == "href" and "x.example" in value]


def test_a_report_costs_few_queries(client: Client) -> None:
    with CaptureQueriesContext(connection) as queries:
        assert send(client, account=make.ACCOUNT).status_code == 302
    assert len(queries) <= 25
