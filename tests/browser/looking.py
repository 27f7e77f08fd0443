"""Looking at a page the way a person does who sees little, has no mouse, or holds a telephone.

Each look returns what is wrong in words, and nothing for a good page. `test_planted_faults_are_found`
shows each a page on which something is.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from playwright.sync_api import Page

HERE = Path(__file__).parent
CONTRAST, FOCUSABLE, FOCUSED = (
    (HERE / f"{name}.js").read_text("utf-8") for name in ("contrast", "focusable", "focused")
)

MOST_TABS = 400

NAMED = {"button", "link", "textbox", "checkbox", "combobox", "spinbutton", "radio", "searchbox"}


def too_wide(page: Page) -> list[str]:
    """Whether the page has to be pushed sideways."""
    has, may = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    return [f"{has} px wide in a window of {may}"] if has > may else []


def too_faint(page: Page) -> list[str]:
    """Texts with less contrast to their ground than 4.5 to 1, or 3 to 1 where they are large (WCAG 1.4.3)."""
    found: list[str] = page.evaluate(CONTRAST)
    return found


def unnamed(page: Page) -> list[str]:
    """Controls that a screen reader has no name for, as Chromium's own accessibility tree tells."""
    session = page.context.new_cdp_session(page)
    nodes: list[dict[str, Any]] = session.send("Accessibility.getFullAXTree")["nodes"]
    session.detach()
    found = []
    for node in nodes:
        role = node.get("role", {}).get("value")
        if role in NAMED and not node.get("ignored") and not node.get("name", {}).get("value", "").strip():
            found.append(f"a {role} without a name")
    return found


def hard_to_reach(page: Page) -> list[str]:
    """Controls that Tab does not reach, reaches out of order, or reaches without showing it."""
    controls: list[str] = page.evaluate(FOCUSABLE)
    found, reached = [], list[int]()
    for _ in range(min(MOST_TABS, len(controls) + 5)):
        page.keyboard.press("Tab")
        focused = page.evaluate(FOCUSED)
        if focused is None or (reached and focused["place"] == reached[0]):
            break
        place = focused["place"]
        reached.append(place)
        name = controls[place] if place >= 0 else "something unseen"
        if not focused["ring"]:
            found.append(f"{name} has no ring")
        if not focused["inView"]:
            found.append(f"{name} is out of sight when it has the focus")
    if reached != sorted(reached):
        found.append(f"the order is {reached}")
    return found + [f"{name} is never reached" for at, name in enumerate(controls) if at not in reached]
