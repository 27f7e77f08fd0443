"""Every state of containment on a screen: in both themes, wide and narrow, and with the keyboard.

With `QUELL_PICTURES` set to a directory each state is also kept there as a picture, to be looked at.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from identity.models import Role
from lib import aws, clock
from lib.clock import ManualClock
from simulator.server import Simulator
from tests import make
from tests.browser import states
from tests.browser.conftest import Open
from tests.containment.world import START, Wire, World, accounts_of

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

PICTURES = os.environ.get("QUELL_PICTURES", "")


@pytest.fixture
def seen(
    transactional_db: None, simulated: Simulator, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dict[str, str]]:
    """Where each state is to be seen, in a world whose clock stands still."""
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
            yield states.build(
                World(
                    simulator=simulated,
                    clock=manual,
                    wire=wire,
                    incident=make.incident(),
                    asks=make.person(Role.RESPONDER, login="responder", password=make.PASSWORD),
                    approves=make.person(Role.LEAD, login="lead", password=make.PASSWORD),
                    also_approves=make.person(Role.LEAD, login="other-lead", password=make.PASSWORD),
                )
            )
        aws.forget_sessions()


SIZES = {"1440": {"width": 1440, "height": 900}, "390": {"width": 390, "height": 844}}


def test_no_state_is_wider_than_the_window_or_complains(desk: Open, seen: dict[str, str]) -> None:
    found = []
    for theme in ("light", "dark"):
        for name, viewport in SIZES.items():
            window = desk("/in-force", login="lead", viewport=viewport, color_scheme=theme)
            for state, path in seen.items():
                window.open(path)
                window.page.wait_for_load_state()
                width = window.page.evaluate("document.documentElement.scrollWidth")
                if width > viewport["width"]:
                    found.append(f"{state} at {name} is {width} wide")
                _keep(window.page, f"{state}-{name}-{theme}.png")

    assert found == []


def _keep(page: object, name: str) -> None:
    if PICTURES:
        page.screenshot(path=Path(PICTURES) / name, full_page=True)  # type: ignore[attr-defined]
