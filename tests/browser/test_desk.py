"""The desk in a real browser: signing in, triage by keyboard, an incident, containment, the theme."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from playwright.sync_api import expect

from cases.models import Action, Alert, Incident, RawDocument
from cases.words import ActionStatus, AlertStatus, Verdict
from identity.actors import Actor
from identity.requests import SIGNED_IN_AT
from lib import clock
from simulator.server import Simulator
from tests import make
from tests.browser.conftest import Open
from tests.containment.world import client

pytestmark = pytest.mark.e2e

MARKER = "<img src=x onerror=window.hacked=1>"
WIDTHS = (1440, 900, 390)


def test_signing_in_leads_back_to_the_page_that_was_asked_for(desk: Open, people: dict[str, Actor]) -> None:
    incident = make.incident(title="The one I wanted")

    window = desk(f"/incidents/{incident.ref}")
    expect(window.page).to_have_title("Sign in · Quell")
    window.page.fill("#id_username", "analyst")
    window.page.fill("#id_password", "not the password")
    window.page.keyboard.press("Enter")
    expect(window.page.locator("#signin-error")).to_be_visible()
    # The browser itself reports the refused attempt; that one line is expected.
    window.complaints.clear()
    window.sign_in("analyst")

    expect(window.page.locator("h1")).to_have_text("The one I wanted")
    window.page.click("button[aria-label$='account menu']")
    window.page.click("text=Sign out")
    expect(window.page).to_have_title("Sign in · Quell")


def test_triage_with_the_keyboard_alone(desk: Open, people: dict[str, Actor]) -> None:
    alerts = [make.alert(title=f"Alert number {n}", severity=90 - n) for n in range(4)]
    window = desk("/alerts", login="analyst")
    keys = window.page.keyboard
    panel = window.page.locator("#panel")

    keys.press("j")
    keys.press("Enter")
    expect(panel.locator("h2")).to_have_text("Alert number 0")
    assert alerts[0].ulid in window.page.url
    keys.press("a")
    expect(panel).to_contain_text("Taken")

    keys.press("j")
    expect(panel.locator("h2")).to_have_text("Alert number 1")
    keys.press("d")
    expect(window.page.locator("#dismiss")).to_be_visible()
    keys.press("2")
    expect(window.page.locator(f"#a-{alerts[1].ulid}")).to_have_attribute("data-state", "leaving")
    keys.press("z")
    expect(window.page.locator(f"#a-{alerts[1].ulid}")).not_to_have_attribute("data-state", "leaving")

    keys.press("j")
    expect(panel.locator("h2")).to_have_text("Alert number 2")
    keys.press("e")
    keys.press("1")
    expect(panel).to_contain_text("In INC-")

    keys.press("Escape")
    expect(panel).to_be_empty()
    assert window.page.url.endswith("/alerts")
    found = {a.title[-1]: Alert.objects.get(pk=a.pk) for a in alerts}
    assert found["0"].status == AlertStatus.ACKNOWLEDGED
    assert found["1"].status == AlertStatus.ACKNOWLEDGED
    assert found["2"].status == AlertStatus.ESCALATED
    assert found["3"].status == AlertStatus.NEW


def test_selected_rows_are_dismissed_together(desk: Open, people: dict[str, Actor]) -> None:
    alerts = [make.alert(title=f"Alert number {n}", severity=90 - n) for n in range(3)]
    window = desk("/alerts", login="analyst")
    keys = window.page.keyboard

    keys.press("j")
    keys.press("x")
    keys.press("j")
    keys.press("x")
    expect(window.page.locator("#bulkbar")).to_contain_text("2 selected")
    keys.press("d")
    keys.press("1")

    expect(window.page.locator("#toasts")).to_contain_text("Dismissed 2.")
    expect(window.page.locator("#bulkbar")).to_be_hidden()
    verdicts = [Alert.objects.get(pk=alert.pk).verdict for alert in alerts]
    assert verdicts == [Verdict.FALSE_POSITIVE, Verdict.FALSE_POSITIVE, ""]


def test_keys_rest_while_somebody_types_and_can_be_switched_off(desk: Open, people: dict[str, Actor]) -> None:
    make.alert(title="Only one")
    window = desk("/alerts", login="analyst")
    keys = window.page.keyboard

    keys.press("/")
    keys.type("jade")
    expect(window.page.locator("#q")).to_have_value("jade")
    assert Alert.objects.get().status == AlertStatus.NEW

    window.page.locator("#q").fill("")
    window.page.locator("h1").evaluate("document.activeElement.blur()")
    keys.press("?")
    expect(window.page.locator("#all-keys")).to_be_visible()
    window.page.uncheck("[data-single-keys]")
    window.page.click("#all-keys button[type=submit]")
    keys.press("j")
    expect(window.page.locator("tr[data-cursor]")).to_have_count(0)


def test_new_alerts_wait_behind_a_pill(desk: Open, people: dict[str, Actor]) -> None:
    make.alert(title="There already")
    window = desk("/alerts", login="analyst")

    make.alert(title="Just arrived", severity=95, at=clock.now())

    expect(window.page.locator(".pill")).to_contain_text("Show 1 new", timeout=8000)
    expect(window.page.locator("tr[data-row]")).to_have_count(1)
    window.page.keyboard.press(".")
    expect(window.page.locator("tr[data-row]")).to_have_count(2)


def test_going_somewhere_and_back(desk: Open, people: dict[str, Actor]) -> None:
    alert, incident = make.alert(title="The alert"), make.incident(title="The incident")
    window = desk("/alerts", login="analyst")
    page = window.page

    page.keyboard.press("g")
    page.keyboard.press("i")
    expect(page).to_have_title("Incidents · Quell")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("The incident")
    assert incident.ref in page.url
    page.keyboard.press("g")
    page.keyboard.press("a")
    page.click("text=The alert")
    expect(page.locator("#panel h2")).to_have_text("The alert")
    page.go_back()
    expect(page.locator("#panel")).to_be_empty()
    page.wait_for_load_state()  # going back loads the list again; no alert stays behind in the browser
    page.go_forward()
    expect(page.locator("#panel h2")).to_have_text("The alert")
    assert alert.ulid in page.url


def test_a_note_goes_into_the_timeline_in_place(desk: Open, people: dict[str, Actor]) -> None:
    incident = make.incident()
    window = desk(f"/incidents/{incident.ref}", login="analyst")

    window.page.fill("#tl-text", f"{MARKER} said the caller")
    window.page.keyboard.press("Enter")

    entry = window.page.locator("#timeline li[data-kind=note]")
    expect(entry).to_contain_text("said the caller")
    expect(window.page.locator("#tl-text")).to_have_value("")
    expect(window.page.locator("#timeline .error")).to_have_count(0)


def test_the_theme_follows_the_system_until_somebody_chooses(desk: Open, people: dict[str, Actor]) -> None:
    window = desk("/alerts", login="analyst", color_scheme="dark")
    ground = "getComputedStyle(document.body).backgroundColor"
    dark = window.page.evaluate(ground)

    window.page.click("button[aria-label$='account menu']")
    with window.page.expect_response("**/theme"):
        window.page.click("button[name=theme][value=light]")
    light = window.page.evaluate(ground)
    window.page.reload()

    assert dark != light
    assert window.page.evaluate(ground) == light
    assert window.page.locator("html").get_attribute("data-theme") == "light"


def test_everything_works_without_scripts(desk: Open, people: dict[str, Actor]) -> None:
    alert = make.alert(title="No scripts here")
    window = desk("/alerts", login="analyst", java_script_enabled=False)
    page = window.page

    page.click("text=No scripts here")
    expect(page.locator("#panel h2")).to_have_text("No scripts here")
    page.click("#panel >> text=Take")
    expect(page.locator("#toasts")).to_contain_text("Taken.")
    page.click("#panel >> text=Escalate")
    page.click("#escalate >> text=A new incident")
    expect(page.locator("#panel")).to_contain_text("In INC-")
    page.click("#panel .panel__foot a")
    expect(page.locator("h1")).to_have_text("No scripts here")
    page.click("#containment a")
    expect(page.locator("#containment")).to_contain_text("Coverage")
    assert Alert.objects.get(pk=alert.pk).status == AlertStatus.ESCALATED


def test_a_plan_is_read_approved_verified_and_undone_without_reloading(
    desk: Open, incident: Incident, hand: Simulator
) -> None:
    window = desk(f"/incidents/{incident.ref}", login="responder")
    page = window.page
    suggestion = page.locator(".suggest li", has_text="Deactivate access key")
    suggestion.get_by_role("button", name="Plan").click()

    expect(page.locator("#diff .del").last).to_contain_text("Active", timeout=15000)
    expect(page.locator("#diff .add").last).to_contain_text("Inactive")
    expect(page.locator("#words")).to_contain_text("What this does not stop")
    page.evaluate("window.sameDocument = true")
    address = page.url
    page.keyboard.press("v")
    expect(page.locator("#action-state")).to_have_attribute("data-status", "verified", timeout=5000)
    expect(page.locator("#live li").last).to_be_visible()
    assert page.url == address
    assert _key_status(hand) == "Inactive"

    page.keyboard.press("u")
    page.fill("#undo-why", "It was the pipeline after all.")
    page.click("text=Plan the undo")
    expect(page.locator("#diff .add").last).to_contain_text("Active", timeout=40000)
    page.click("#approve")
    expect(page.locator("#action-state")).to_have_attribute("data-status", "verified", timeout=60000)
    expect(page.locator(".verdict")).to_contain_text("What was there before is back")
    assert _key_status(hand) == "Active"
    page.click("text=The action that was undone")
    expect(page.locator("#action-state")).to_have_attribute("data-status", "reverted")


def test_the_incident_learns_of_a_verified_action_by_itself(
    desk: Open, incident: Incident, people: dict[str, Actor]
) -> None:
    acting = desk(f"/incidents/{incident.ref}", login="responder")
    acting.page.locator(".suggest li", has_text="Deactivate access key").get_by_role(
        "button", name="Plan"
    ).click()
    expect(acting.page.locator("#approve")).to_be_visible(timeout=15000)
    watching = desk(f"/incidents/{incident.ref}", login="viewer")
    expect(watching.page.locator("#containment")).to_contain_text("Planned, waits for approval")
    watching.page.evaluate("window.sameDocument = true")

    acting.page.click("#approve")

    expect(watching.page.locator("#containment td[data-cell=verified]")).to_be_visible(timeout=15000)
    expect(watching.page.locator("#standing")).to_have_attribute("data-state", "contained", timeout=15000)
    expect(watching.page.locator("#brief")).to_contain_text("by Quell, read back from AWS")
    expect(watching.page.locator("#entries")).to_contain_text("Verified")
    expect(watching.page.locator("#aside")).not_to_contain_text("Plan containment")
    assert watching.page.evaluate("window.sameDocument") is True


def test_who_may_not_approve_is_told_why(desk: Open, incident: Incident, people: dict[str, Actor]) -> None:
    asking = desk(f"/incidents/{incident.ref}", login="analyst")
    asking.page.locator(".suggest li", has_text="Deactivate access key").get_by_role(
        "button", name="Plan"
    ).click()

    expect(asking.page.locator("aside .callout")).to_contain_text("Your role does not approve", timeout=15000)
    expect(asking.page.locator("#approve")).to_have_count(0)


def test_a_stale_sign_in_leads_to_the_password_and_back(
    desk: Open, incident: Incident, people: dict[str, Actor]
) -> None:
    window = desk(f"/incidents/{incident.ref}", login="responder")
    page = window.page
    page.locator(".suggest li", has_text="Deactivate access key").get_by_role("button", name="Plan").click()
    expect(page.locator("#approve")).to_be_visible(timeout=15000)
    _forget_sign_ins()
    page.click("#approve")

    expect(page.locator("h1")).to_have_text("Sign in again")
    page.fill("#id_password", make.PASSWORD)
    page.keyboard.press("Enter")
    expect(page.locator("#approve")).to_be_visible()
    page.click("#approve")
    expect(page.locator("#action-state")).to_have_attribute("data-status", "verified", timeout=10000)


def test_a_rejected_plan_keeps_its_reason(desk: Open, incident: Incident, people: dict[str, Actor]) -> None:
    window = desk(f"/incidents/{incident.ref}", login="responder")
    window.page.locator(".suggest li", has_text="Deactivate access key").get_by_role(
        "button", name="Plan"
    ).click()
    expect(window.page.locator("#approve")).to_be_visible(timeout=15000)

    window.page.keyboard.press("r")
    window.page.fill("#reject-why", "The pipeline owner needs an hour.")
    window.page.click("text=Reject the plan")

    expect(window.page.locator("#action-state")).to_have_attribute("data-status", "rejected")
    expect(window.page.locator("main")).to_contain_text("The pipeline owner needs an hour.")
    assert Action.objects.get().status == ActionStatus.REJECTED


def test_hostile_text_never_becomes_an_element(desk: Open, people: dict[str, Actor]) -> None:
    incident = make.incident(title=MARKER, summary=MARKER)
    values: dict[str, Any] = {
        "title": MARKER,
        "type": MARKER,
        "summary": MARKER,
        "region": MARKER[:30],
        "resources": [{"type": MARKER, "id": MARKER, "arn": MARKER, "role": MARKER}],
        "observables": [{"kind": MARKER, "value": MARKER}],
        "techniques": [MARKER],
    }
    free = make.alert(external_id=MARKER, **values)
    make.alert(incident=incident, **values)
    RawDocument.objects.create(alert=free, digest="a" * 64, body={MARKER: MARKER}, received_at=clock.now())
    window = desk("/alerts", login="analyst")

    for path in (
        "/alerts",
        f"/alerts/{free.ulid}",
        f"/alerts/{free.ulid}?as=page",
        "/incidents",
        f"/incidents/{incident.ref}",
        f"/incidents/{incident.ref}/timeline",
        f"/incidents/{incident.ref}/alerts",
        f"/incidents/{incident.ref}/containment",
    ):
        window.open(path)
        window.page.wait_for_load_state("networkidle")
        assert window.page.evaluate("document.querySelectorAll('img').length") == 0, path
        assert window.page.evaluate("window.hacked") is None, path
    window.open("/alerts")
    window.page.locator("a[data-open]").first.click()
    expect(window.page.locator("#panel h2")).to_have_text(MARKER)
    assert window.page.evaluate("document.querySelectorAll('img').length") == 0


@pytest.mark.parametrize("width", WIDTHS)
def test_no_page_is_wider_than_the_window(desk: Open, people: dict[str, Actor], width: int) -> None:
    make.account(name="an-account-with-a-name-that-is-much-longer-than-anyone-expected")
    incident = make.incident(title="long" * 60)
    alert = make.alert(
        title="averyverylongword" * 20,
        type="T" * 190,
        resources=[{"type": "AWS::S3::Bucket", "id": "b" * 200, "arn": f"arn:aws:s3:::{'b' * 200}"}],
        observables=[{"kind": "domain", "value": "d" * 200}],
    )
    make.alert(incident=incident, title="x" * 400, resources=[{"type": "instance", "id": "i" * 200}])
    window = desk("/alerts", login="lead", viewport={"width": width, "height": 844})

    for path in (
        "/alerts",
        f"/alerts/{alert.ulid}",
        f"/alerts/{alert.ulid}?as=page",
        "/incidents",
        f"/incidents/{incident.ref}",
        f"/incidents/{incident.ref}/timeline",
        f"/incidents/{incident.ref}/alerts",
        f"/incidents/{incident.ref}/containment",
        f"/incidents/{incident.ref}/milestones",
        f"/incidents/{incident.ref}/close",
        "/incidents/INC-2026-404404",
    ):
        window.open(path)
        window.page.wait_for_load_state("networkidle")
        found = window.page.evaluate("document.documentElement.scrollWidth")
        assert found <= width, (path, found)
    window.complaints.clear()  # the browser reports the 404 that was asked for


def _key_status(hand: Simulator) -> str:
    """What AWS says of the stolen key, asked with the account's own root key."""
    user = next(one for one in hand.estate["users"] if one["name"] == "ci-deploy")
    root = next(one["root_key"] for one in hand.estate["accounts"] if one["id"] == user["account"])
    listed = client(hand.url, "iam", root, "us-east-1").list_access_keys(UserName="ci-deploy")
    (key,) = listed["AccessKeyMetadata"]
    return str(key["Status"])


def _forget_sign_ins() -> None:
    """Make every session's last sign-in an hour old."""
    for row in Session.objects.all():
        session = SessionStore(session_key=row.session_key)
        session[SIGNED_IN_AT] = (clock.now() - timedelta(hours=1)).isoformat()
        session.save()
