"""A real Chromium against a real server, and whatever it complains about."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
from django.db import connections
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, sync_playwright
from pytest_django.live_server_helper import LiveServer

from cases.models import Incident
from containment import sweeps
from identity.actors import Actor
from identity.models import Role
from lib import aws, clock
from simulator.server import Simulator
from tests import make, needs
from tests.containment.world import accounts_of


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    path = needs.browser()
    # Playwright runs an event loop in this thread; the ORM is used beside it, never inside it.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        browser = playwright.chromium.launch(executable_path=path, args=arguments)
        yield browser
        browser.close()
    os.environ.pop("DJANGO_ALLOW_ASYNC_UNSAFE", None)


@dataclass
class Desk:
    """One person's window: signed in through the real page, everything it complains about kept."""

    context: BrowserContext
    page: Page
    server: str
    complaints: list[str] = field(default_factory=list)

    def open(self, path: str) -> None:
        """Go to a page of the server."""
        self.page.goto(self.server + path)

    def sign_in(self, login: str) -> None:
        """Through the sign-in page, as a person does."""
        self.page.fill("#id_username", login)
        self.page.fill("#id_password", make.PASSWORD)
        self.page.click("button[type=submit]")

    def is_calm(self) -> bool:
        """Whether neither the console nor the content security policy had anything to say."""
        return self.complaints == []


Open = Callable[..., Desk]


@contextmanager
def windows_of(chromium: Browser, server: str) -> Iterator[Open]:
    """Opens windows on a server: `open("/alerts", login="analyst")`. In the end none may have complained."""
    windows: list[Desk] = []

    def open_window(path: str = "/alerts", *, login: str = "", **options: object) -> Desk:
        context = chromium.new_context(**{"viewport": {"width": 1440, "height": 900}, **options})  # type: ignore[arg-type]
        window = Desk(context=context, page=context.new_page(), server=server)
        windows.append(window)
        _listen(window)
        window.open(path)
        if login:
            window.sign_in(login)
            window.page.wait_for_url(f"**{path.partition('?')[0]}*")
        return window

    yield open_window
    complaints = [complaint for window in windows for complaint in window.complaints]
    for window in windows:
        window.context.close()
    assert complaints == []


@pytest.fixture
def desk(chromium: Browser, live_server: LiveServer) -> Iterator[Open]:
    """Opens windows: `desk("/alerts", login="analyst")`. Fails the test when one complained."""
    with windows_of(chromium, live_server.url) as open_window:
        yield open_window


def _listen(window: Desk) -> None:
    def heard(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            window.complaints.append(f"{message.type}: {message.text}")

    window.page.on("console", heard)
    window.page.on("pageerror", lambda error: window.complaints.append(f"exception: {error}"))
    window.context.add_init_script(
        "addEventListener('securitypolicyviolation',"
        " e => console.error(`CSP ${e.violatedDirective} ${e.blockedURI}`))"
    )


@pytest.fixture
def people(transactional_db: None) -> dict[str, Actor]:
    """One person for each role that has something to do here, all with the same password."""
    roles = (Role.VIEWER, Role.ANALYST, Role.RESPONDER, Role.APPROVER, Role.LEAD)
    return {role.value: make.person(role, login=role.value, password=make.PASSWORD) for role in roles}


@pytest.fixture
def incident(people: dict[str, Actor], hand: Simulator) -> Incident:
    """An incident about a stolen key of the simulated estate."""
    user = next(one for one in hand.estate["users"] if one["name"] == "ci-deploy")
    incident: Incident = make.incident(title="Stolen key of ci-deploy", owner=people["responder"])
    make.alert(
        incident=incident,
        account=user["account"],
        resources=[
            {"type": "access_key", "id": user["access_keys"][0]["access_key_id"]},
            {"type": "user", "id": user["name"]},
        ],
    )
    return incident


@pytest.fixture(scope="package")  # one simulated AWS per process: each package of tests ends its own
def simulated() -> Iterator[Simulator]:
    running = Simulator().start()
    aws._clients.clear()  # they are bound to the address of whichever simulated AWS was there before
    yield running
    running.stop()


@pytest.fixture
def hand(
    transactional_db: None, simulated: Simulator, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Simulator]:
    """The simulated AWS with its accounts in the estate, and a containment worker that sweeps."""
    hub = simulated.estate["hub"]
    monkeypatch.setenv("AWS_ENDPOINT_URL", simulated.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", hub["access_key_id"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", hub["secret_access_key"])
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    simulated.reset()
    aws.forget_sessions()
    accounts_of(simulated.estate)
    stop = threading.Event()
    worker = threading.Thread(target=_sweep_until, args=(stop,), name="worker-containment")
    worker.start()
    yield simulated
    stop.set()
    worker.join(timeout=30)
    aws.forget_sessions()


def _sweep_until(stop: threading.Event) -> None:
    while not stop.is_set():
        sweeps.run_due_actions()
        sweeps.look_at_due()
        clock.sleep(0.2)
    connections.close_all()
