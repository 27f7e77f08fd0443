"""A security key and an authenticator app in a real browser: set up and signed in with, policy unhurt."""

from __future__ import annotations

import pytest
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from playwright.sync_api import Browser, expect
from pytest_django.fixtures import Settings
from pytest_django.live_server_helper import LiveServer

from identity import codes
from identity.actors import Actor
from identity.models import LastStep
from lib import clock
from tests.browser.conftest import Desk, windows_of

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


@pytest.fixture
def server(live_server: LiveServer, settings: Settings) -> str:
    """Under a name, as browsers allow security keys under no bare address."""
    url = live_server.url.replace("127.0.0.1", "localhost")
    settings.QUELL_BASE_URL = url
    settings.CSRF_TRUSTED_ORIGINS = [url]
    return url


def with_key(window: Desk) -> None:
    """Plug a security key into the browser."""
    session = window.context.new_cdp_session(window.page)
    session.send("WebAuthn.enable")
    options = {"protocol": "ctap2", "transport": "usb", "hasUserVerification": True}
    options |= {"isUserVerified": True, "automaticPresenceSimulation": True}
    session.send("WebAuthn.addVirtualAuthenticator", {"options": options})


def test_a_key_is_added_and_signs_in(chromium: Browser, server: str, people: dict[str, Actor]) -> None:
    with windows_of(chromium, server) as desk:
        window = desk("/account/security", login="lead")
        with_key(window)
        window.page.get_by_role("link", name="Add a security key").click()
        window.page.fill("#id_name", "Blue key")
        window.page.get_by_role("button", name="Add the key").click()
        expect(window.page.locator(".codelist li")).to_have_count(10)
        window.page.get_by_role("link", name="I have kept them").click()
        expect(window.page.get_by_text("Blue key")).to_be_visible()
        window.context.clear_cookies()
        window.open("/signin?next=/incidents")
        window.sign_in("lead")
        window.page.wait_for_url("**/signin/factor")
        window.page.get_by_role("button", name="Use a security key").click()
        window.page.wait_for_url("**/incidents")


def test_an_app_is_set_up_and_signs_in(chromium: Browser, server: str, people: dict[str, Actor]) -> None:
    with windows_of(chromium, server) as desk:
        window = desk("/account/security/app", login="lead")
        secret = window.page.locator("section code").inner_text().replace(" ", "")
        window.page.fill("#id_code", now(secret))
        window.page.get_by_role("button", name="Use this app").click()
        expect(window.page.locator(".codelist li")).to_have_count(10)
        LastStep.objects.all().delete()  # rather than wait half a minute for the next code
        window.context.clear_cookies()
        window.open("/signin?next=/incidents")
        window.sign_in("lead")
        window.page.wait_for_url("**/signin/factor")
        window.page.fill("#id_code", now(secret))
        window.page.get_by_role("button", name="Go on").click()
        window.page.wait_for_url("**/incidents")


def now(secret: str) -> str:
    step = int(clock.now().timestamp()) // codes.PERIOD
    return str(format_hotp_value(hotp_value(secret, step)))
