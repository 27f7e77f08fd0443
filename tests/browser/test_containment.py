"""Containing by hand in a real browser: how many clicks and keys it takes until nothing stands open.

What `./quell demo` starts is what is looked at: its server, its Celery workers, its simulated AWS and the
attack that it plays. A finger counts every click and refuses the sixth.
"""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from django.db import connection
from playwright.sync_api import Browser, Locator, Page, expect

from cases.models import Incident
from identity.actors import Actor
from simulator.server import Simulator
from simulator.story import leaked_user, victim_machine
from tests import make
from tests.browser.conftest import Open, windows_of
from tests.containment.world import client
from tests.launcher.running import Running, quell

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

KEY_STORY, HOST_STORY = "ci-deploy read objects", "command and control server"
MOST_CLICKS = 5
START_SECONDS = 240
WORKER_MILLISECONDS = 120_000
"""How long the workers may take: an isolation lets flows pass for 15 s, a snapshot is waited for."""

COUNTS_CLICKS = """
addEventListener('pointerdown', e => {
    if (e.isTrusted) sessionStorage.setItem('pressed', 1 + Number(sessionStorage.getItem('pressed')));
}, true);
"""


class TooManyClicks(AssertionError):
    """A sixth click was needed."""


@dataclass
class Finger:
    """One person's hand on the mouse: what it clicks is counted, by it and by the browser."""

    page: Page
    clicks: int = 0

    def click(self, what: Locator) -> None:
        """One click. Raises `TooManyClicks` for one more than `MOST_CLICKS`."""
        if self.clicks == MOST_CLICKS:
            raise TooManyClicks(f"a click on {what} after {MOST_CLICKS}")
        self.clicks += 1
        what.click()

    def seen_by_browser(self) -> int:
        """How often the browser saw a button of the mouse go down in this window since it was opened."""
        return int(self.page.evaluate("Number(sessionStorage.getItem('pressed'))"))


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The demo, ready, with its story played; with a database of its own, so on one engine only."""
    if connection.vendor != "sqlite":
        pytest.skip("notice: the demo brings its own database, and was tried on the embedded engine")
    data = tmp_path_factory.mktemp("demo") / "data"
    with quell("demo", data, QUELL_DEMO_PASSWORD=make.PASSWORD) as running:
        running.wait_until_ready(START_SECONDS)
        yield running


Sit = Callable[[str, str], Finger]


@pytest.fixture
def sit(chromium: Browser, demo: Running) -> Iterator[Sit]:
    """Opens the incident of the demo whose title holds some words; counts what is clicked from then on."""
    with windows_of(chromium, demo.said("Quell is ready")) as open_window:

        def sit_down(words: str, login: str) -> Finger:
            window = open_window("/incidents", login=login)
            link = window.page.get_by_role("link", name=re.compile(re.escape(words))).first
            window.context.add_init_script(COUNTS_CLICKS)
            window.open(link.get_attribute("href") or "")
            return Finger(window.page)

        yield sit_down


def test_the_stolen_key_is_contained_by_three_clicks(demo: Running, sit: Sit) -> None:
    responder = sit(KEY_STORY, "responder")
    page = responder.page
    assert key_status(demo) == "Active"

    responder.click(page.get_by_role("button", name="Plan what is ticked").first)
    responder.click(page.get_by_role("link", name="Read and approve 3 plans"))
    responder.click(page.get_by_role("button", name="Approve what is ticked"))

    expect(page.locator("#containment")).to_contain_text("Coverage complete", timeout=WORKER_MILLISECONDS)
    expect(page.locator("#standing")).to_have_attribute("data-state", "contained")
    assert responder.clicks == responder.seen_by_browser() == 3
    assert key_status(demo) == "Inactive"


def test_a_host_is_isolated_by_two_people_with_five_clicks_each(demo: Running, sit: Sit) -> None:
    responder = sit(HOST_STORY, "responder")
    responder.click(responder.page.get_by_role("button", name="Plan what is ticked").first)
    expect(responder.page.locator("#actions tbody tr")).to_have_count(5)

    approver = sit(HOST_STORY, "approver")
    page = approver.page
    approver.click(page.get_by_role("link", name="Read and approve 2 plans"))
    expect(page.locator(".approving__one")).to_have_count(2)
    approver.click(page.get_by_role("button", name="Approve what is ticked"))

    for one in (approver, responder):
        expect(one.page.locator("#containment")).to_contain_text(
            "Coverage complete", timeout=WORKER_MILLISECONDS
        )
        assert one.clicks == one.seen_by_browser() <= MOST_CLICKS
    (group,) = groups_of_host(demo)
    assert re.match("quell-.*isolate", group)


def test_a_sixth_click_is_found(sit: Sit) -> None:
    responder = sit(KEY_STORY, "responder")
    heading = responder.page.locator("h1")
    for _ in range(MOST_CLICKS):
        responder.click(heading)

    with pytest.raises(TooManyClicks):
        responder.click(heading)
    heading.click()  # one past the finger

    assert responder.seen_by_browser() == MOST_CLICKS + 1


def test_by_keyboard_alone(desk: Open, incident: Incident, people: dict[str, Actor], hand: Simulator) -> None:
    window = desk(f"/incidents/{incident.ref}", login="responder")
    page, keys = window.page, window.page.keyboard
    page.add_init_script(COUNTS_CLICKS)
    page.reload()

    keys.press("c")
    expect(page.get_by_role("link", name="Containment", exact=False).first).to_be_visible()
    tab_to(page, "Plan what is ticked")
    keys.press("Enter")
    expect(page.get_by_role("link", name="Read and approve")).to_be_visible(timeout=WORKER_MILLISECONDS)
    keys.press("v")
    expect(page).to_have_title(f"Approve for {incident.ref} · Quell")
    keys.press("v")

    expect(page.locator("#containment")).to_contain_text("Coverage complete", timeout=WORKER_MILLISECONDS)
    assert Finger(page).seen_by_browser() == 0


# --- how it stands in the demo ------------------------------------------------------------------------


def tab_to(page: Page, name: str, *, most: int = 80) -> None:
    """Press Tab until the control of this name has the focus, which must then be visible."""
    for _ in range(most):
        page.keyboard.press("Tab")
        if name in page.evaluate("document.activeElement.textContent"):
            return
    raise AssertionError(f"{name} was not reached with {most} tabs")


def estate_of(demo: Running) -> dict[str, Any]:
    """The simulated company, with the root keys that nobody but a test has."""
    with urllib.request.urlopen(f"{demo.said('Simulated AWS')}/_sim/estate", timeout=10) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


def aws_of(demo: Running, service: str, owned: Mapping[str, Any]) -> Any:
    """A client with the root key of the account in which something of the estate lies."""
    root = next(one["root_key"] for one in estate_of(demo)["accounts"] if one["id"] == owned["account"])
    return client(demo.said("Simulated AWS"), service, root, owned.get("region", "us-east-1"))


def key_status(demo: Running) -> str:
    """What AWS says of the leaked key."""
    user = leaked_user(estate_of(demo))
    (key,) = aws_of(demo, "iam", user).list_access_keys(UserName=user["name"])["AccessKeyMetadata"]
    return str(key["Status"])


def groups_of_host(demo: Running) -> list[str]:
    """The names of the security groups on the interfaces of the attacked machine, in AWS."""
    host = victim_machine(estate_of(demo))
    found = aws_of(demo, "ec2", host).describe_instances(InstanceIds=[host["id"]])
    (instance,) = found["Reservations"][0]["Instances"]
    return sorted({group["GroupName"] for eni in instance["NetworkInterfaces"] for group in eni["Groups"]})
