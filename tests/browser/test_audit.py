"""The auditor's screen in a real browser: by keyboard, narrow and dark, and without JavaScript."""

from __future__ import annotations

import zipfile

import pytest
from django.db import transaction
from playwright.sync_api import expect

from audit import receipts, record
from audit.models import AuditEvent
from identity.actors import SYSTEM, Actor
from lib import clock, guards
from soc.ledger import watching
from soc.models import LedgerProof
from tests import make
from tests.browser.conftest import Open

pytestmark = pytest.mark.e2e

WIDTHS = (1440, 900, 390)


def tell(act: str, kind: str, number: str, *, by: Actor = SYSTEM, **details: object) -> int:
    with transaction.atomic():
        return record.record(act=act, by=by, at=clock.now(), on=(kind, number), details=details)


@pytest.fixture
def ledger(people: dict[str, Actor]) -> int:
    """Acts of several people and of Quell, a seal over receipts, all proved; the number of the last act."""
    incident, alert = make.incident(title="Stolen key of ci-deploy"), make.alert()
    for number in range(30):
        who = people[["analyst", "responder", "lead"][number % 3]]
        tell("alert.acknowledged", "alert", alert.ulid, by=who)
    for number in range(3):
        with transaction.atomic():
            on, details = ("source", "guardduty"), {"created": 1, "alerts": [alert.ulid], "n": number}
            receipts.write(act="documents.received", by=SYSTEM, at=clock.now(), on=on, details=details)
    receipts.seal(at=clock.now())
    tell("automation.breaker-opened", "automation", "1", rule=alert.ulid)
    watching.prove_due()
    return tell("incident.moved", "incident", incident.ref, by=people["responder"], to="containment")


def test_an_event_is_found_and_opened_by_keyboard(desk: Open, ledger: int) -> None:
    page = desk("/alerts", login="lead").page

    page.keyboard.press("g")
    page.keyboard.press("l")
    expect(page.locator(".verdict")).to_contain_text("Proved up to event")
    page.locator("body").click(position={"x": 5, "y": 5})
    page.keyboard.press("/")
    page.keyboard.type("incident.*")
    page.keyboard.press("Enter")
    expect(page.locator("tr[data-row]")).to_have_count(1)
    page.locator("h1").evaluate("document.activeElement.blur()")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    panel = page.locator("#panel")
    expect(panel).to_contain_text("Quell signed it")
    expect(panel.locator(".state")).to_have_text("Holds")
    assert f"/audit/{ledger}?act=incident" in page.url
    page.keyboard.press("Escape")
    expect(panel).to_be_empty()
    assert page.url.endswith("/audit?act=incident.%2A")


def test_conditions_are_chosen_and_dropped(desk: Open, ledger: int, people: dict[str, Actor]) -> None:
    page = desk("/audit", login="lead").page

    page.click("[popovertarget=f-who]")
    page.fill("#f-actor", "responder")
    page.click("#f-who >> text=Show these")
    expect(page.locator(".term")).to_have_text(["actor:responder"])
    page.click("[popovertarget=f-on]")
    page.select_option("#f-type", "alert")
    expect(page.locator(".term")).to_have_text(["actor:responder", "type:alert"])
    expect(page.locator(".count")).to_have_text("10 events")
    page.click("[aria-label='Drop actor responder']")
    expect(page.locator(".count")).to_have_text("30 events")


def test_a_copy_is_taken_along(desk: Open, ledger: int) -> None:
    page = desk("/audit", login="lead").page

    page.keyboard.press("e")
    page.fill("#e-recipient", "Example Auditors Ltd")
    page.fill("#e-purpose", "ISO 27001")
    with page.expect_download() as download:
        page.click("text=Export and record it")
    with zipfile.ZipFile(download.value.path()) as archive:
        assert "verify.py" in archive.namelist()
    assert AuditEvent.objects.order_by("-seq")[0].act == "ledger.exported"


def test_what_does_not_hold_is_seen_on_list_and_event(desk: Open, ledger: int) -> None:
    guards.drop()
    AuditEvent.objects.filter(seq=ledger).update(actor="someone else")
    LedgerProof.objects.update(due_at=clock.now())
    watching.prove_due()
    page = desk(f"/audit/{ledger}", login="lead").page

    expect(page.locator(".verdict")).to_contain_text(f"The ledger does not hold at event {ledger}")
    expect(page.locator("#panel")).to_contain_text("What it says does not fit its hash")
    guards.install()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_nothing_runs_over_at_any_width(desk: Open, ledger: int, theme: str) -> None:
    seal = AuditEvent.objects.get(act=receipts.SEALED).seq
    wordy = Actor(kind="person", label="z" * 80, ip="2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff")
    long = tell("x" * 60, "source", "y" * 40, by=wordy, digest="w" * 500)
    window = desk("/audit", login="lead", color_scheme=theme)
    page = window.page
    many = f"/audit?act=nothing&actor={'n' * 80}&id={'i' * 40}&ip=2001:db8::1&from_seq=1&until=2026-01-01"
    for path in ("/audit", f"/audit/{seal}", f"/audit/{long}", f"/audit/{long}?as=page", many):
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            window.open(path)
            over = page.evaluate(
                "document.documentElement.scrollWidth - document.documentElement.clientWidth"
            )
            assert over <= 0, (path, width)


def test_it_works_without_javascript(desk: Open, ledger: int) -> None:
    page = desk("/audit", login="lead", java_script_enabled=False).page

    page.fill("#act", "incident.moved")
    page.press("#act", "Enter")
    page.click("tr[data-row] a")
    expect(page.locator("#panel")).to_contain_text("Quell signed it")
