"""Rules, the report form and what stands around an alert, in a real browser, with JavaScript and without."""

from __future__ import annotations

from datetime import timedelta

import pytest
from playwright.sync_api import expect

from cases import sweeps
from cases.models import Alert, TriageRule
from cases.words import Verdict
from identity.actors import Actor
from lib import clock
from tests import make
from tests.browser.conftest import Open

pytestmark = pytest.mark.e2e

WIDTHS = (1440, 900, 390)


def test_a_suppression_is_written_tried_and_switched_on(desk: Open, people: dict[str, Actor]) -> None:
    scan = make.alert(title="Port 22 probed", type="Recon:EC2/PortProbe", severity=50, due_at=clock.now())
    make.alert(title="Something else", type="Trojan:EC2/DNS", severity=50)
    window = desk("/rules", login="lead")
    page = window.page

    page.keyboard.press("n")
    expect(page.locator("h1")).to_have_text("New rule")
    page.fill("#rule-name", "Office scanner")
    page.fill("#rule-type", "Recon:*")
    page.fill("#rule-reason", "Weekly scan")
    page.fill("#rule-end", f"{clock.now() + timedelta(days=30):%Y-%m-%d}")
    page.locator(".condition").first.locator("[name=field]").select_option("title")
    page.locator(".condition").first.locator("[name=operator]").select_option("contains")
    page.fill("#row-1", "port 22")
    page.click("text=More rows")
    expect(page.locator(".condition")).to_have_count(4)
    expect(page.locator("#row-1")).to_have_value("port 22")
    page.click("text=Try it on 30 days")
    expect(page.locator("#tried")).to_contain_text("1 of 1 alerts looked at fit")
    expect(page.locator("#tried").locator("a")).to_have_text("Port 22 probed")
    assert not TriageRule.objects.exists()

    page.click("text=Save, switched off")
    expect(page.locator("h1")).to_have_text("Office scanner")
    expect(page.locator("#preview")).to_contain_text("1 would have been dismissed")
    page.click("#preview >> text=Switch on")
    expect(page.locator(".pagehead .state")).to_have_text("On")
    sweeps.sweep_alerts()

    page.reload()
    expect(page.locator(".aside")).to_contain_text("Port 22 probed")
    window.open(f"/alerts/{scan.ulid}")
    expect(page.locator("#panel")).to_contain_text("Dismissed as suppressed, by Office scanner")
    assert Alert.objects.get(pk=scan.pk).verdict == Verdict.SUPPRESSED


def test_fields_of_other_effects_wait_out_of_sight(desk: Open, people: dict[str, Actor]) -> None:
    page = desk("/rules/new", login="lead").page

    for effect, field in (("adjust", "#rule-shift"), ("route", "#rule-route"), ("open", "#rule-window")):
        page.check(f"[name=effect][value={effect}]")
        expect(page.locator(field)).to_be_visible()
        others = {"#rule-shift", "#rule-route", "#rule-window"} - {field}
        for other in others:
            expect(page.locator(other)).to_be_hidden()


def test_a_rule_is_made_without_javascript(desk: Open, people: dict[str, Actor]) -> None:
    page = desk("/rules/new", login="lead", java_script_enabled=False).page

    page.check("[name=effect][value=adjust]")
    page.fill("#rule-shift", "+15")
    page.fill("#rule-name", "Production is worse")
    page.click("text=More rows")
    expect(page.locator(".condition")).to_have_count(3)
    expect(page.locator("#rule-shift")).to_have_value("+15")
    page.locator(".condition").first.locator("[name=field]").select_option("environments")
    page.fill("#row-1", "production")
    page.click("text=Save, switched off")
    page.click("text=Look through 30 days of alerts")
    page.click("text=Switch on")

    rule = TriageRule.objects.get()
    assert (rule.shift, rule.conditions, rule.is_on) == (15, {"environments": ["production"]}, True)


def test_a_report_is_written_and_seen_as_an_alert(desk: Open, people: dict[str, Actor]) -> None:
    make.account(name="prod-shipping")
    page = desk("/alerts", login="analyst").page

    page.click("text=Report something")
    page.fill("#report-title", "Mail asks for the AWS password")
    page.fill("#report-happened", "It looked like ours.")
    page.select_option("#report-account", make.ACCOUNT)
    page.fill("#report-indicators", "203[.]0[.]113[.]9")
    page.click("text=Report it")

    expect(page.locator("#panel h2")).to_have_text("Mail asks for the AWS password")
    expect(page.locator("#panel")).to_contain_text("203[.]0[.]113[.]9")
    assert Alert.objects.get().source == "report"


@pytest.mark.parametrize("width", WIDTHS)
def test_no_page_is_wider_than_the_window(desk: Open, people: dict[str, Actor], width: int) -> None:
    make.account(name="prod-shipping")
    long = "x" * 110
    rule = make.rule(name=long, effect="adjust", shift=5, is_on=True, conditions={"title": f"*{long * 2}*"})
    key = [{"type": "user", "id": long}]
    alert = make.alert(title=long * 2, resources=key, due_at=clock.now(), techniques=["T1078.004"])
    make.alert(title=long * 2, resources=key, due_at=clock.now())
    sweeps.sweep_alerts()
    window = desk("/rules", login="lead", viewport={"width": width, "height": 844})
    paths = (
        "/rules",
        "/rules/new",
        f"/rules/{rule.ulid}/preview",
        f"/rules/{rule.ulid}/edit",
        "/report",
        f"/alerts/{alert.ulid}",
        f"/alerts/{alert.ulid}?as=page",
    )

    for path in paths:
        window.open(path)
        wide = window.page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        assert wide <= 0, path
