"""Every state of containment on a screen: in both themes, wide and narrow, and with the keyboard.

With `QUELL_PICTURES` set to a directory each state is also kept there as a picture, to be looked at.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from identity.models import Role
from lib import aws, clock
from lib.clock import ManualClock
from simulator.server import Simulator
from tests import make
from tests.browser import looking, states
from tests.browser.conftest import Open
from tests.containment.world import START, Wire, World, accounts_of

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

PICTURES = os.environ.get("QUELL_PICTURES", "")
SIZES = {"1440": {"width": 1440, "height": 900}, "390": {"width": 390, "height": 844}}
BY_KEYBOARD = (
    "panel-waiting",
    "approve-eight",
    "action-planned",
    "in-force",
    "automation",
    "reviews",
    "policy",
)


@pytest.fixture
def world(transactional_db: None, simulated: Simulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A world whose clock stands still."""
    hub = simulated.estate["hub"]
    monkeypatch.setenv("AWS_ENDPOINT_URL", simulated.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", hub["access_key_id"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", hub["secret_access_key"])
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with clock.using(ManualClock(START)) as manual:
        assert isinstance(manual, ManualClock)
        simulated.reset()
        aws.forget_sessions()
        accounts_of(simulated.estate)
        wire = Wire(clock=manual)
        with wire.between():
            yield World(
                simulator=simulated,
                clock=manual,
                wire=wire,
                incident=make.incident(),
                asks=make.person(Role.RESPONDER, login="responder", password=make.PASSWORD),
                approves=make.person(Role.LEAD, login="lead", password=make.PASSWORD),
                also_approves=make.person(Role.LEAD, login="other-lead", password=make.PASSWORD),
            )
        aws.forget_sessions()


def test_every_state_fits_is_legible_and_named(desk: Open, world: World) -> None:
    """Wide and narrow, light and dark: nothing sticks out, nothing is too faint, every control has a name."""
    seen = states.build(world)
    found = []
    for theme in ("light", "dark"):
        for size, viewport in SIZES.items():
            window = desk("/in-force", login="lead", viewport=viewport, color_scheme=theme)
            for state, path in seen.items():
                window.open(path)
                window.page.wait_for_load_state()
                faults = [*looking.too_wide(window.page), *looking.too_faint(window.page)]
                if theme == "light":
                    faults += looking.unnamed(window.page)
                found += [f"{state}, {size} {theme}: {fault}" for fault in faults]
                _keep(window.page, f"{state}-{size}-{theme}.png")

    assert found == []


def test_automation_says_why_nothing_starts(desk: Open, world: World) -> None:
    states.automated(world)
    window = desk("/automation", login="lead")
    states.stop_automation(world)
    window.open("/automation")
    expect(window.page.locator(".verdict")).to_contain_text("The scanner is being replaced.")
    _keep(window.page, "automation-stopped.png")
    states.open_breaker(world)
    window.open("/automation")
    expect(window.page.locator(".verdict")).to_contain_text("Breaker open")
    assert looking.too_faint(window.page) == []
    _keep(window.page, "automation-breaker.png")


@pytest.mark.parametrize("size", SIZES)
def test_the_second_person_finds_what_to_decide(desk: Open, world: World, size: str) -> None:
    seen = states.reviewed(world) | states.automated(world)
    window = desk("/in-force", login="other-lead", viewport=SIZES[size])
    for state, button in (
        ("reviews", "It was justified"),
        ("policy", "Put version 2 into force"),
        ("automation", "Approve version 1"),
    ):
        window.open(seen[state])
        expect(window.page.get_by_role("button", name=button).first).to_be_visible()
        _keep(window.page, f"second-{state}-{size}.png")
        assert [*looking.too_wide(window.page), *looking.unnamed(window.page)] == []


@pytest.mark.parametrize("size", SIZES)
def test_a_full_inbox_and_many_holds_fit(desk: Open, world: World, size: str) -> None:
    states.automated(world)
    states.crowd(world)
    window = desk("/inbox", login="lead", viewport=SIZES[size])

    assert window.page.locator("tr[data-row]").count() == states.CROWD
    assert [
        *looking.too_wide(window.page),
        *looking.too_faint(window.page),
        *looking.unnamed(window.page),
    ] == []
    _keep(window.page, f"inbox-many-{size}.png")
    window.open("/automation")
    window.page.locator("#holds > summary").click()
    assert window.page.locator("#holds tbody tr").count() == states.CROWD
    assert [
        *looking.too_wide(window.page),
        *looking.too_faint(window.page),
        *looking.unnamed(window.page),
    ] == []
    _keep(window.page, f"automation-holds-{size}.png")


def test_the_keyboard_reaches_everything_in_order_and_shows_where_it_is(desk: Open, world: World) -> None:
    seen = states.build(world)
    window = desk("/in-force", login="lead")
    found = []
    for state in BY_KEYBOARD:
        window.open(seen[state])
        window.page.wait_for_load_state()
        found += [f"{state}: {fault}" for fault in looking.hard_to_reach(window.page)]

    assert found == []


def test_planted_faults_are_found(desk: Open, world: World) -> None:
    window = desk("/in-force", login="lead")
    page = window.page
    for look in (looking.too_wide, looking.too_faint, looking.unnamed, looking.hard_to_reach):
        assert look(page) == []
    planted = {
        looking.too_wide: "<p style='width:4000px'>x</p>",
        looking.too_faint: "<p style='color:#999;background:#fff'>hardly to be read</p>",
        looking.unnamed: "<button type=button></button>",
    }
    for look, html in planted.items():
        _plant(page, html)
        assert look(page) != [], look.__name__
        page.reload()
    for html in (
        "<a href='/x' tabindex=-1>never reached</a>",
        "<a href='/x' style='outline:none'>no ring</a>",
        "<a href='/x' tabindex=5>first of all</a>",
    ):
        _plant(page, html)
        assert looking.hard_to_reach(page) != [], html
        page.reload()
    window.complaints.clear()  # the policy refuses inline style, and says so


def test_escape_leaves_a_dialog_and_goes_back_to_its_button(desk: Open, world: World) -> None:
    seen = states.planned(world)
    window = desk(seen["action-planned"], login="lead")
    page = window.page
    opener = page.locator("aside button[commandfor=reject]")
    opener.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#reject")).to_be_visible()
    expect(page.locator("#reject-why")).to_be_focused()

    page.keyboard.press("Escape")

    expect(page.locator("#reject")).to_be_hidden()
    expect(opener).to_be_focused()


def test_what_the_reader_did_outlasts_a_new_answer(desk: Open, world: World) -> None:
    """Ticks taken away, what was opened and where the focus is stay when the panel is read again."""
    seen = states.planned(world)
    window = desk(seen["panel-waiting"], login="lead")
    page = window.page
    page.locator("#plans summary").first.click()
    tick = page.locator("#plans input[name=pick]").first
    tick.uncheck()
    page.locator("#others > summary").click()
    page.locator("#decide-1 > summary").click()
    page.fill("#decide-why-1", "Half a sen")
    link = page.locator("#actions tbody a").nth(2)
    told = link.inner_text()
    link.focus()
    page.evaluate("document.querySelector('#containment').dataset.old = 'yes'")

    states.reject_one(world, seen["panel-waiting"])
    expect(page.locator("#containment[data-old]")).to_have_count(0, timeout=15_000)

    expect(tick).to_be_visible()
    expect(tick).not_to_be_checked()
    expect(page.locator("#others")).to_have_attribute("open", "")
    expect(page.locator("#decide-why-1")).to_have_value("Half a sen")
    assert page.evaluate("document.activeElement.innerText") == told


def test_a_screen_reader_is_told_how_far_it_is(desk: Open, world: World) -> None:
    seen = states.planned(world)
    window = desk(seen["action-planned"], login="lead")
    page = window.page
    says = page.locator("#live-says")
    expect(says).to_have_attribute("role", "status")
    page.evaluate("document.querySelector('#live-says').isTheSame = true")

    states.approve_at(world, seen["action-planned"])

    expect(says).to_have_text("Approved", timeout=15_000)
    assert page.evaluate("document.querySelector('#live-says').isTheSame"), (
        "a region that is replaced is mute"
    )


def _plant(page: Page, html: str) -> None:
    """Put something onto the page past its content security policy, as a defect would be."""
    page.evaluate(
        """html => {
            const made = new DOMParser().parseFromString(html, 'text/html').body.firstElementChild;
            const style = made.getAttribute('style') ?? '';
            made.removeAttribute('style');
            document.querySelector('main').append(made);
            for (const part of style.split(';').filter(Boolean)) {
                const [name, value] = part.split(':');
                made.style.setProperty(name, value, 'important');
            }
        }""",
        html,
    )


def _keep(page: Any, name: str) -> None:
    if PICTURES:
        page.screenshot(path=Path(PICTURES) / name, full_page=True)
