"""The pages of the record: what they show, to whom, at what cost, and that nothing hostile gets out."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from cases import timeline
from cases.models import Alert, Incident, RawDocument, TimelineEntry
from cases.words import AlertStatus, MilestoneKind, Phase, Verdict
from identity.actors import Actor
from lib import clock, ids
from lib.clock import ManualClock
from soc import errors
from tests import make

pytestmark = pytest.mark.fast

MARKER = "<img src=x onerror=alert(1)>"
HTMX = {"HX-Request": "true"}


class Tags(HTMLParser):
    """The elements of a page, and every attribute that could run or fetch something."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.attributes: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]


def read(
    client: Client,
    name: str,
    *args: str,
    query: dict[str, str] | None = None,
    headers: dict[str, str] | None = None,
) -> str:
    response = client.get(reverse(name, args=args), query_params=query or {}, headers=headers)
    assert response.status_code == 200, response.content.decode()[:500]
    return response.content.decode()


def tags_of(page: str) -> Tags:
    tags = Tags()
    tags.feed(page)
    return tags


def hostile_alert(**values: Any) -> Alert:
    """An alert whose every text field tries to become an element."""
    alert = make.alert(
        title=f"{MARKER} title",
        type=f"{MARKER} type",
        external_id=MARKER,
        region=MARKER[:30],
        summary=MARKER,
        resources=[{"type": MARKER, "id": MARKER, "arn": f"arn:aws:s3:::{MARKER}", "role": MARKER}],
        observables=[{"kind": MARKER, "value": f"javascript:{MARKER}"}],
        techniques=[MARKER],
        tags=[MARKER],
        **values,
    )
    RawDocument.objects.create(
        alert=alert, digest="a" * 64, body={MARKER: [MARKER]}, received_at=alert.received_at
    )
    return alert


# --- the queue -----------------------------------------------------------------------------------------


def test_the_queue_shows_open_alerts_worst_first(analyst: Actor) -> None:
    make.account(name="prod-shipping")
    make.alert(title="low one", severity=20)
    make.alert(title="worst one", severity=95)
    make.alert(title="gone one", severity=99, status=AlertStatus.DISMISSED)

    page = read(make.browser(analyst), "alerts")

    assert page.index("worst one") < page.index("low one")
    assert "gone one" not in page
    assert "prod-shipping" in page


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"severity": "high"}, {"bad key", "bad host"}),
        ({"status": "dismissed"}, {"old news"}),
        ({"status": "all", "q": "key"}, {"bad key"}),
        ({"account": "999999999999"}, {"bad host"}),
        ({"q": "203[.]0[.]113[.]9"}, {"scan"}),
        ({"owner": "me"}, {"bad key", "scan"}),
        ({"status": "acknowledged"}, {"bad host"}),
        ({"severity": "nonsense", "status": "nonsense"}, {"bad key", "bad host", "scan"}),
    ],
)
def test_filters_stand_in_the_address(
    analyst: Actor, lead: Actor, query: dict[str, str], expected: set[str]
) -> None:
    make.alert(title="bad key", severity=90)
    make.alert(
        title="bad host",
        severity=75,
        account="999999999999",
        status=AlertStatus.ACKNOWLEDGED,
        assignee_id=lead.person_id,
    )
    make.alert(title="scan", severity=30, observables=[{"kind": "ip", "value": "203.0.113.9"}])
    make.alert(title="old news", severity=10, status=AlertStatus.DISMISSED)

    page = read(make.browser(analyst), "alerts", query=query)

    assert {title for title in ("bad key", "bad host", "scan", "old news") if title in page} == expected


def test_every_alert_is_on_exactly_one_page(analyst: Actor) -> None:
    at = clock.now()
    for number in range(230):
        make.alert(
            title=f"one {number:03}.", severity=50 + number % 3, at=at - timedelta(seconds=number // 4)
        )
    client, address, seen = make.browser(analyst), reverse("alerts"), list[str]()

    for _ in range(5):
        page = client.get(address).content.decode()
        seen += sorted(set(re.findall(r"one \d{3}\.", page)))
        link = re.search(r'href="([^"]*cursor=[^"]*)"', page)
        if link is None:
            break
        address = link[1].replace("&amp;", "&")

    assert sorted(seen) == [f"one {number:03}." for number in range(230)]


def test_a_made_up_cursor_is_refused(analyst: Actor) -> None:
    response = make.browser(analyst).get(reverse("alerts"), {"cursor": "WzEwMF0:x:y"})

    assert response.status_code == 422


def test_the_queue_costs_the_same_with_a_thousand_rows(analyst: Actor) -> None:
    client = make.browser(analyst)
    make.account()
    counts = []

    for rows in (10, 990):
        copies(rows, of=make.alert())
        with CaptureQueriesContext(connection) as queries:
            read(client, "alerts")
        counts.append(len(queries))

    assert counts[0] == counts[1] <= 14


def copies(number: int, *, of: Alert) -> None:
    """That many more rows like one that is there."""
    columns = {f.attname: getattr(of, f.attname) for f in Alert._meta.concrete_fields if not f.primary_key}
    Alert.objects.bulk_create(
        Alert(**{**columns, "ulid": ids.ulid(), "external_id": f"{of.external_id}-{n}"})
        for n in range(number)
    )


def test_an_empty_queue_says_why_and_what_next(analyst: Actor) -> None:
    client = make.browser(analyst)

    assert "Nothing waits" in read(client, "alerts")
    narrow = read(client, "alerts", query={"severity": "high", "q": "nothing like this"})
    assert "No alert matches" in narrow
    assert "Drop severity" in narrow


def test_news_tells_of_what_came_in_since_and_is_silent_otherwise(analyst: Actor) -> None:
    client = make.browser(analyst)
    page = read(client, "alerts")
    found = re.search(r'data-live="(/alerts[^"]+)"', page)
    assert found
    address = found[1].replace("&amp;", "&")

    quiet = client.get(address, headers=HTMX)
    again = client.get(address, headers={**HTMX, "If-None-Match": quiet["ETag"]})
    make.alert(severity=95)
    loud = client.get(address, headers={**HTMX, "If-None-Match": quiet["ETag"]})

    assert "pill" not in quiet.content.decode()
    assert again.status_code == 304
    assert "Show 1 new, 1 high" in loud.content.decode()


# --- one alert -----------------------------------------------------------------------------------------


def test_the_panel_alone_for_htmx_and_the_whole_page_otherwise(analyst: Actor) -> None:
    alert = make.alert(title="the one", observables=[{"kind": "ip", "value": "203.0.113.77"}])
    client = make.browser(analyst)

    whole = read(client, "alert", alert.ulid)
    part = read(client, "alert", alert.ulid, headers={**HTMX, "HX-Target": "panel"})
    alone = read(client, "alert", alert.ulid, query={"as": "page"})

    assert "<html" in whole
    assert "data-queue" in whole
    assert 'id="panel"' in whole
    assert "<html" not in part
    assert "203[.]0[.]113[.]77" in part
    assert "203.0.113.77" not in part
    assert "data-queue" not in alone


def test_the_answer_varies_with_who_asks_for_a_part(analyst: Actor) -> None:
    response = make.browser(analyst).get(reverse("alerts"))

    assert "HX-Request" in response["Vary"]


def test_taking_an_alert_makes_it_mine(analyst: Actor) -> None:
    alert = make.alert()
    client = make.browser(analyst)

    response = client.post(reverse("alert-acknowledge", args=[alert.ulid]))

    alert.refresh_from_db()
    assert response.status_code == 302
    assert response["Location"] == reverse("alert", args=[alert.ulid])
    assert alert.assignee_id == analyst.person_id
    assert alert.status == AlertStatus.ACKNOWLEDGED


def test_a_verb_answers_htmx_with_panel_row_and_toast(analyst: Actor) -> None:
    alert = make.alert()

    response = make.browser(analyst).post(
        reverse("alert-dismiss", args=[alert.ulid]),
        {"verdict": "benign", "reason": "the load test"},
        headers={**HTMX, "HX-Target": "panel"},
    )

    page = response.content.decode()
    alert.refresh_from_db()
    assert alert.verdict == Verdict.BENIGN
    assert alert.verdict_reason == "the load test"
    assert 'id="panel"' in page
    assert f'id="a-{alert.ulid}"' in page
    assert 'data-state="leaving"' in page
    assert "Dismissed as benign." in page
    assert reverse("alert-restore", args=[alert.ulid]) in page


def test_a_dismissal_can_be_taken_back(analyst: Actor) -> None:
    alert = make.alert()
    client = make.browser(analyst)
    client.post(reverse("alert-dismiss", args=[alert.ulid]), {"verdict": "duplicate"})

    client.post(reverse("alert-restore", args=[alert.ulid]))

    alert.refresh_from_db()
    assert alert.status == AlertStatus.ACKNOWLEDGED
    assert alert.verdict == ""


def test_dismissing_needs_one_of_the_four_verdicts(analyst: Actor) -> None:
    alert = make.alert()

    response = make.browser(analyst).post(
        reverse("alert-dismiss", args=[alert.ulid]), {"verdict": "suppressed"}
    )

    alert.refresh_from_db()
    assert response.status_code == 422
    assert alert.status == AlertStatus.NEW


def test_a_second_person_is_told_that_someone_was_faster(analyst: Actor, lead: Actor) -> None:
    alert = make.alert()
    address = reverse("alert-acknowledge", args=[alert.ulid])
    make.browser(lead).post(address)

    response = make.browser(analyst).post(address)

    assert response.status_code == 409
    assert "data-problem" in response.content.decode()


@pytest.mark.parametrize("is_new", [True, False])
def test_escalating_to_a_new_incident_or_an_open_one(analyst: Actor, is_new: bool) -> None:
    alert, open_one = make.alert(), make.incident()

    make.browser(analyst).post(
        reverse("alert-escalate", args=[alert.ulid]), {"incident": "new" if is_new else open_one.ref}
    )

    alert.refresh_from_db()
    assert alert.status == AlertStatus.ESCALATED
    assert (alert.incident_id == open_one.pk) is not is_new


def test_one_verb_for_all_that_are_selected_says_what_it_left(analyst: Actor, lead: Actor) -> None:
    free, taken = make.alert(), make.alert()
    make.browser(lead).post(reverse("alert-acknowledge", args=[taken.ulid]))

    response = make.browser(analyst).post(
        reverse("alerts-selected"), {"alert": [free.ulid, taken.ulid], "do": "take"}, headers=HTMX
    )

    page = response.content.decode()
    assert "Taken 1 of 2." in page
    assert f'id="a-{free.ulid}"' in page
    free.refresh_from_db()
    assert free.assignee_id == analyst.person_id


def test_selected_alerts_go_into_one_incident(analyst: Actor) -> None:
    alerts = [make.alert(), make.alert()]

    make.browser(analyst).post(
        reverse("alerts-selected"), {"alert": [a.ulid for a in alerts], "incident": "new"}
    )

    assert {Alert.objects.get(pk=a.pk).incident_id for a in alerts} == {Incident.objects.get().pk}


# --- incidents -----------------------------------------------------------------------------------------


def an_incident(**values: Any) -> Incident:
    now = clock.now()
    return make.incident(
        milestones={
            MilestoneKind.ATTACKER_ACCESS: now - timedelta(hours=6),
            MilestoneKind.DETECTED: now - timedelta(minutes=45),
            MilestoneKind.RESPONDED: now - timedelta(minutes=30),
        },
        estimated=[MilestoneKind.ATTACKER_ACCESS],
        **values,
    )


def test_an_incident_says_that_it_is_not_contained_and_for_how_long(analyst: Actor) -> None:
    with clock.using(ManualClock(datetime(2026, 11, 24, 3, 0, tzinfo=UTC))):
        incident = an_incident()
        page = read(make.browser(analyst), "incident", incident.ref)

    assert "Not contained" in page
    assert "Attacker inside for" in page
    assert ">6 h<" in page
    assert "estimated" in page
    assert "unseen 5 h 15 min" in page
    assert reverse("incident-containment", args=[incident.ref]) in page


def test_contained_is_written_only_with_its_time_and_basis(analyst: Actor) -> None:
    now = clock.now()
    incident = make.incident(
        milestones={
            MilestoneKind.DETECTED: now - timedelta(hours=2),
            MilestoneKind.CONTAINED: now - timedelta(hours=1),
        }
    )

    page = read(make.browser(analyst), "incident", incident.ref)

    assert 'data-state="contained"' in page
    assert "by Quell, read back from AWS" in page
    assert f"{now - timedelta(hours=1):%H:%M:%S}" in page


def test_a_note_is_added_at_its_own_time(analyst: Actor) -> None:
    incident = make.incident()
    at = clock.now() - timedelta(hours=3)

    response = make.browser(analyst).post(
        reverse("incident-timeline", args=[incident.ref]),
        {"at": f"{at:%Y-%m-%d %H:%M:%S}", "text": "The carrier called."},
    )

    entry = TimelineEntry.objects.get(incident=incident, kind="note")
    assert response.status_code == 302
    assert entry.at == at.replace(microsecond=0)
    assert entry.text.title == "The carrier called."


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"at": "25:99", "text": "x"}, "Give a time such as"),
        ({"at": "", "text": "x"}, "Give the time at which it happened"),
        ({"at": "02:51", "text": ""}, "Write what happened."),
    ],
)
def test_a_note_that_cannot_be_kept_comes_back_as_the_form(
    analyst: Actor, given: dict[str, str], told: str
) -> None:
    incident = make.incident()

    response = make.browser(analyst).post(
        reverse("incident-timeline", args=[incident.ref]), given, headers=HTMX
    )

    page = response.content.decode()
    assert response.status_code == 422
    assert told in page
    assert "<html" not in page
    assert not TimelineEntry.objects.filter(kind="note").exists()


def test_a_clock_time_means_the_last_time_it_was_that_late(analyst: Actor) -> None:
    incident = make.incident()
    with clock.using(ManualClock(datetime(2026, 11, 24, 0, 20, tzinfo=UTC))):
        make.browser(analyst).post(
            reverse("incident-timeline", args=[incident.ref]), {"at": "23:50", "text": "Before midnight."}
        )

    assert TimelineEntry.objects.get(kind="note").at == datetime(2026, 11, 23, 23, 50, tzinfo=UTC)


def test_a_long_timeline_goes_on_where_the_page_ended(analyst: Actor) -> None:
    incident, at = make.incident(), clock.now()
    with transaction.atomic():
        for number in range(205):
            timeline.add(
                incident=incident,
                kind="note",
                at=at - timedelta(minutes=number),
                title=f"entry {number:03}.",
                by=analyst,
                recorded_at=at,
            )
    client = make.browser(analyst)

    first = read(client, "incident-timeline", incident.ref)
    link = re.search(r"before=(\w{26})", first)
    assert link
    second = read(client, "incident-timeline", incident.ref, query={"before": link[1]})

    found = re.findall(r"entry \d{3}\.", first) + re.findall(r"entry \d{3}\.", second)
    assert found == [f"entry {number:03}." for number in range(205)]


def test_the_owner_phase_and_severity_are_changed_by_buttons(analyst: Actor) -> None:
    incident = make.incident(severity=80)
    client = make.browser(analyst)

    client.post(reverse("incident-take", args=[incident.ref]))
    client.post(reverse("incident-phase", args=[incident.ref]), {"to": "containment"})
    client.post(reverse("incident-severity", args=[incident.ref]), {"severity": "critical"})

    incident.refresh_from_db()
    assert incident.owner_id == analyst.person_id
    assert incident.status == Phase.CONTAINMENT
    assert incident.severity == 95


def test_closing_needs_a_verdict_and_a_resolution(analyst: Actor) -> None:
    incident = make.incident()
    client = make.browser(analyst)

    refused = client.post(reverse("incident-close", args=[incident.ref]), {"verdict": "", "resolution": ""})
    incident.refresh_from_db()
    assert refused.status_code == 422
    assert incident.status != Phase.CLOSED

    client.post(
        reverse("incident-close", args=[incident.ref]),
        {"verdict": "benign", "resolution": "It was our own scanner."},
    )
    incident.refresh_from_db()
    assert incident.status == Phase.CLOSED
    assert incident.verdict == Verdict.BENIGN


def test_a_lead_states_a_milestone_and_the_earlier_statement_stays(lead: Actor) -> None:
    incident = an_incident()
    client = make.browser(lead)
    at = clock.now() - timedelta(hours=9)

    response = client.post(
        reverse("incident-milestones", args=[incident.ref]),
        {
            "kind": "attacker_access_at",
            "at": f"{at:%Y-%m-%d %H:%M:%S}",
            "estimated": "on",
            "reason": "CloudTrail shows an earlier call.",
        },
    )

    page = read(client, "incident-milestones", incident.ref)
    incident.refresh_from_db()
    assert response.status_code == 302
    assert incident.attacker_access_at == at.replace(microsecond=0)
    assert "CloudTrail shows an earlier call." in page
    assert "1 earlier statement" in page


def test_a_milestone_in_the_future_comes_back_as_the_form(lead: Actor) -> None:
    incident = an_incident()
    at = clock.now() + timedelta(days=2)

    response = make.browser(lead).post(
        reverse("incident-milestones", args=[incident.ref]),
        {"kind": "detected_at", "at": f"{at:%Y-%m-%d %H:%M}", "reason": "A slip."},
    )

    assert response.status_code == 422
    assert "lies in the future" in response.content.decode()


def test_the_incident_page_costs_the_same_with_many_alerts(analyst: Actor) -> None:
    client, incident, counts = make.browser(analyst), an_incident(), []

    for _ in range(2):
        for _ in range(30):
            make.alert(incident=incident)
        with CaptureQueriesContext(connection) as queries:
            read(client, "incident", incident.ref)
        counts.append(len(queries))

    assert counts[0] == counts[1] <= 26


# --- who sees what -------------------------------------------------------------------------------------


def _pages(alert: Alert, incident: Incident) -> list[str]:
    one = [alert.ulid]
    of_incident = ("incident", "incident-timeline", "incident-alerts", "incident-milestones")
    return [
        reverse("alert", args=one),
        *[reverse(name, args=[incident.ref]) for name in of_incident],
        reverse("incident-containment", args=[incident.ref]),
    ]


def _verbs(alert: Alert, incident: Incident) -> list[str]:
    alert_verbs = ("alert-acknowledge", "alert-dismiss", "alert-restore", "alert-escalate")
    incident_verbs = (
        "incident-timeline",
        "incident-take",
        "incident-severity",
        "incident-phase",
        "incident-close",
        "incident-milestones",
        "action-propose",
    )
    return [
        *[reverse(name, args=[alert.ulid]) for name in alert_verbs],
        *[reverse(name, args=[incident.ref]) for name in incident_verbs],
    ]


def test_the_outsider_finds_nothing(outsider: Actor) -> None:
    alert, incident = make.alert(title="not for you"), make.incident(title="nor this")
    client = make.browser(outsider)

    assert "not for you" not in read(client, "alerts")
    assert "nor this" not in read(client, "incidents")
    answers = [client.get(page) for page in _pages(alert, incident)]
    answers += [client.post(verb) for verb in _verbs(alert, incident)]
    assert {answer.status_code for answer in answers} == {404}


def test_a_viewer_reads_everything_and_changes_nothing(viewer: Actor) -> None:
    alert, incident = make.alert(), make.incident()
    client = make.browser(viewer)

    assert {client.get(page).status_code for page in _pages(alert, incident)} == {200}
    assert {client.post(verb).status_code for verb in _verbs(alert, incident)} == {403}
    panel = read(client, "alert", alert.ulid)
    assert "Taking, dismissing and escalating needs the role" in panel
    assert reverse("alert-dismiss", args=[alert.ulid]) not in panel


def test_a_restricted_incident_exists_for_the_people_named_in_it_only(analyst: Actor, lead: Actor) -> None:
    incident = make.incident(title="about one of us", named=[lead])
    alert = make.alert(title="the restricted one", incident=incident)

    assert make.browser(analyst).get(reverse("incident", args=[incident.ref])).status_code == 404
    assert make.browser(analyst).get(reverse("alert", args=[alert.ulid])).status_code == 404
    assert "about one of us" not in read(make.browser(analyst), "incidents")
    assert "about one of us" in read(make.browser(lead), "incidents")


def test_nobody_comes_in_without_signing_in(db: None) -> None:
    alert, incident = make.alert(), make.incident()

    for page in [reverse("alerts"), reverse("incidents"), *_pages(alert, incident)]:
        response = Client().get(page)
        assert response.status_code == 302
        assert response["Location"].startswith(reverse("signin"))


# --- hostile text --------------------------------------------------------------------------------------


def test_no_field_of_an_alert_becomes_an_element_anywhere(analyst: Actor) -> None:
    incident = make.incident(title=f"{MARKER} incident", summary=MARKER)
    alert, gathered = hostile_alert(), make.alert(title=MARKER, type=MARKER, incident=incident)
    client = make.browser(analyst)
    client.post(reverse("incident-timeline", args=[incident.ref]), {"at": "00:00", "text": f"{MARKER} note"})
    client.post(reverse("alert-dismiss", args=[alert.ulid]), {"verdict": "benign", "reason": MARKER})
    pages = [
        *_pages(alert, incident),
        reverse("alert", args=[gathered.ulid]),
        reverse("alerts") + "?status=all",
        reverse("alerts") + "?" + "q=%3Cimg+src%3Dx+onerror%3Dalert(1)%3E",
        reverse("incidents") + "?q=%3Cimg",
    ]

    for page in pages:
        text = client.get(page).content.decode()
        tags = tags_of(text)
        assert "img" not in tags.elements, page
        assert not [name for name, _ in tags.attributes if name.startswith("on")], page
        assert not [v for n, v in tags.attributes if n in {"href", "src", "action"} and "script:" in v], page


def test_no_page_carries_style_or_script_of_its_own(analyst: Actor) -> None:
    alert, incident = make.alert(), an_incident()
    client = make.browser(analyst)

    for page in [reverse("alerts"), reverse("incidents"), *_pages(alert, incident)]:
        response = client.get(page)
        text = response.content.decode()
        tags = tags_of(text)
        assert "style" not in tags.elements, page
        assert "style" not in {name for name, _ in tags.attributes}, page
        assert all("src=" in script for script in re.findall(r"<script[^>]*>", text)), page
        assert "default-src 'none'" in response["Content-Security-Policy"]
        assert "unsafe" not in response["Content-Security-Policy"]


# --- light and dark ------------------------------------------------------------------------------------


def test_the_chosen_theme_is_in_the_first_byte(analyst: Actor) -> None:
    client = make.browser(analyst)
    assert 'data-theme="' not in read(client, "alerts").split("<head>")[0]

    response = client.post(reverse("theme"), {"theme": "dark", "next": reverse("incidents")})

    assert response["Location"] == reverse("incidents")
    assert 'data-theme="dark"' in read(client, "alerts").split("<head>")[0]
    client.post(reverse("theme"), {"theme": ""})
    assert 'data-theme="' not in read(client, "alerts").split("<head>")[0]


def test_the_theme_form_leads_nowhere_else(db: None) -> None:
    response = Client().post(reverse("theme"), {"theme": "dark", "next": "https://evil.example/"})

    assert response["Location"] == "/"


def test_an_error_page_says_what_and_to_whom(viewer: Actor) -> None:
    client = make.browser(viewer)

    missing = client.get("/incidents/INC-2026-0420")
    refused = client.post(reverse("incident-take", args=[make.incident().ref]))

    assert missing.status_code == 404
    assert "There is no such incident, or it is not yours to see." in missing.content.decode()
    assert refused.status_code == 403
    assert "You are viewer" in " ".join(refused.content.decode().split())


def test_the_page_for_our_own_failures_asks_the_database_nothing(db: None) -> None:
    request = RequestFactory().get("/alerts")

    with CaptureQueriesContext(connection) as queries:
        response = errors.broken(request)

    assert response.status_code == 500
    assert "This page failed" in response.content.decode()
    assert len(queries) == 0


def test_what_is_refused_before_the_session_is_read_gets_a_page_as_well(db: None) -> None:
    response = Client().get("/alerts", headers={"Host": "somewhere.else.example"})

    assert response.status_code == 400
    assert "data-problem" in response.content.decode()
