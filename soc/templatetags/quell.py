"""Filters and tags of every template: times, severities, states, indicators. All output is escaped."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

from django import template
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from cases import words
from lib import clock, durations
from lib import defang as fangs

register = template.Library()

RAW_LIMIT = 200_000

STATE_WORDS = {
    # alerts
    "new": "New",
    "acknowledged": "Taken",
    "escalated": "In an incident",
    "dismissed": "Dismissed",
    # actions
    "proposed": "Being planned",
    "refused": "Cannot be planned",
    "planned": "Planned",
    "rejected": "Rejected",
    "expired": "Expired",
    "withdrawn": "Withdrawn",
    "approved": "Approved",
    "applying": "Applying",
    "drifted": "Drifted",
    "applied": "Applied, not verified",
    "verified": "Verified",
    "partial": "Partly in force",
    "failed": "Failed",
    "unknown": "Unknown",
    "reverting": "Being undone",
    "reverted": "Undone",
    "conflict": "Conflict",
}
# States without a drawing of their own borrow the nearest in meaning.
GLYPHS = {
    "refused": "rejected",
    "withdrawn": "dismissed",
    "partial": "open",
    "contained": "verified",
    "none": "none",
}
COLOURS = {"partial": "open", "refused": "failed", "withdrawn": "rejected", "contained": "verified"}


BROWSERS = (
    ("Edg/", "Edge"),
    ("OPR/", "Opera"),
    ("Firefox/", "Firefox"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
    ("curl/", "curl"),
)
SYSTEMS = (
    ("Windows", "Windows"),
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Mac OS X", "macOS"),
    ("CrOS", "ChromeOS"),
    ("Linux", "Linux"),
)


# --- drawings -----------------------------------------------------------------------------------------


@register.simple_tag
def icon(name: str, css: str = "") -> SafeString:
    """A tool drawing from the sprite, 16 px, silent for screen readers."""
    return format_html('<svg class="icon {}" aria-hidden="true"><use href="#{}"/></svg>', css, name)


@register.simple_tag
def glyph(name: str, css: str = "") -> SafeString:
    """A state drawing from the sprite, 14 px, silent for screen readers."""
    return format_html('<svg class="glyph {}" aria-hidden="true"><use href="#{}"/></svg>', css, name)


@register.simple_tag
def severity(value: int) -> SafeString:
    """Silhouette, word and score of a severity from 0 to 100."""
    word = words.Band.of(int(value)).value
    return format_html(
        '<span class="sev" data-sev="{0}"><svg class="glyph" aria-hidden="true"><use href="#sev-{0}"/></svg>'
        '<b>{1}</b> <span class="n">{2}</span></span>',
        word,
        word.capitalize(),
        value,
    )


@register.simple_tag
def state(word: str, says: str = "") -> SafeString:
    """Drawing and words of a state; `says` replaces the usual words. Running states turn."""
    drawing = GLYPHS.get(word, word)
    return format_html(
        '<span class="state" data-state="{}"><svg class="glyph{}" aria-hidden="true">'
        '<use href="#st-{}"/></svg>{}</span>',
        COLOURS.get(word, word),
        " spin" if word == "applying" else "",
        drawing,
        says or state_words(word),
    )


@register.simple_tag
def avatar(name: str | None, css: str = "") -> SafeString:
    """Initials of a person in a circle; dashed and named "Nobody" where there is none."""
    if not name:
        return format_html(
            '<span class="avatar {}" role="img" aria-label="Nobody" title="Nobody" data-none></span>', css
        )
    return format_html(
        '<span class="avatar {}" role="img" aria-label="{}" title="{}">{}</span>',
        css,
        name,
        name,
        initials(name),
    )


@register.filter
def browser(user_agent: str) -> str:
    """`Firefox on Linux` of what a browser says about itself; the start of it where that says neither."""
    name = next((word for sign, word in BROWSERS if sign in user_agent), "")
    system = next((word for sign, word in SYSTEMS if sign in user_agent), "")
    if not name and not system:
        return user_agent[:60] or "Unknown browser"
    return " on ".join(part for part in (name or "A browser", system) if part)


@register.filter
def initials(name: str) -> str:
    """`AM` of "Ana Moreira": first letters of the first and the last word."""
    parts = str(name).split()
    if not parts:
        return "?"
    return (parts[0][:1] + (parts[-1][:1] if len(parts) > 1 else "")).upper()


# --- times --------------------------------------------------------------------------------------------


@register.filter
def utc(at: datetime | None) -> str:
    """`2026-11-24 02:47:30 UTC`; empty for None."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC" if at else ""


@register.filter
def hms(at: datetime | None) -> str:
    """`02:47:30`; empty for None. For columns whose head says UTC."""
    return f"{at.astimezone(UTC):%H:%M:%S}" if at else ""


@register.filter
def hms_day(at: datetime | None) -> str:
    """`02:47:30` today, `23 Nov 11:07` on another day; empty for None."""
    if at is None or at.astimezone(UTC).date() == clock.now().astimezone(UTC).date():
        return hms(at)
    return f"{at.astimezone(UTC):%-d %b %H:%M}"


@register.filter
def date_utc(at: datetime | None) -> str:
    """`2026-11-24`; empty for None. For columns whose head says UTC."""
    return f"{at.astimezone(UTC):%Y-%m-%d}" if at else ""


@register.filter
def iso(at: datetime | None) -> str:
    """RFC 3339 in UTC, for `datetime` attributes."""
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" if at else ""


@register.filter
def day(at: datetime | None) -> str:
    """`Tuesday 24 November 2026`."""
    return f"{at.astimezone(UTC):%A %-d %B %Y}" if at else ""


@register.filter
def ago(at: datetime | None) -> str:
    """`3 min ago`, or `in 3 min` for what is to come."""
    if at is None:
        return ""
    passed = clock.now() - at
    return f"{durations.coarse(passed)} ago" if passed >= timedelta(0) else f"in {durations.coarse(-passed)}"


@register.filter
def age(at: datetime | None) -> str:
    """`3 min`: how long ago, without the word."""
    return durations.coarse(clock.now() - at) if at else ""


@register.filter
def duration(length: timedelta | float | None) -> str:
    """`6 h 13 min` of seconds or a timedelta; empty for None."""
    return "" if length is None else durations.in_words(length)


@register.simple_tag
def moment(at: datetime | None) -> SafeString:
    """A time that stands alone: today's as `02:47:30 UTC`, others with their date."""
    if at is None:
        return SafeString()
    return format_html('<time datetime="{}" title="{}">{}</time>', iso(at), utc(at), _moment(at))


@register.simple_tag
def moment_ago(at: datetime | None) -> SafeString:
    """A time with its age; the page keeps the age true while it is open."""
    if at is None:
        return SafeString()
    return format_html(
        '<time datetime="{0}" title="{1}">{2}</time>, '
        '<span class="nowrap" data-since="{0}" data-words="ago">{3}</span>',
        iso(at),
        utc(at),
        _moment(at),
        ago(at),
    )


@register.simple_tag
def when(at: datetime) -> SafeString:
    """A time in a column whose head says UTC: clock today, date and clock before, then the age.

    What is to come says so: `in 6 d`.
    """
    is_past = at <= clock.now()
    return format_html(
        '<time class="when" datetime="{0}" title="{1}">{2} '
        '<span class="rel" data-since="{0}"{3}>{4}</span></time>',
        iso(at),
        utc(at),
        hms_day(at),
        SafeString() if is_past else SafeString(' data-words="ago"'),
        age(at) if is_past else ago(at),
    )


def _moment(at: datetime) -> str:
    at = at.astimezone(UTC)
    if at.date() == clock.now().astimezone(UTC).date():
        return f"{at:%H:%M:%S} UTC"
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


# --- words --------------------------------------------------------------------------------------------


@register.filter
def band(value: int) -> str:
    """The severity in words."""
    return words.Band.of(int(value)).value


@register.filter
def worded(word: str) -> str:
    """A stored word as a person reads it: `false_positive` → `False positive`."""
    text = str(word).removesuffix("_at").replace("_", " ").capitalize()
    return text.replace("ioc", "IOC")


@register.filter
def defang(text: object) -> str:
    """An indicator that cannot be followed by accident."""
    return fangs.defang(str(text))


@register.filter
def short_hash(digest: str) -> str:
    """`7f3c91d2…e80b44f1`."""
    return f"{digest[:8]}…{digest[-8:]}" if len(digest) > 20 else digest


@register.filter
def pretty(document: Any) -> str:
    """JSON with indentation, cut after 200,000 characters with a note that says so."""
    text = json.dumps(document, indent=2, ensure_ascii=False, default=str)
    if len(text) <= RAW_LIMIT:
        return text
    return f"{text[:RAW_LIMIT]}\n… {len(text) - RAW_LIMIT:,} more characters are kept but not shown."


@register.filter
def linked_actions(text: str) -> SafeString:
    """A note of the executor, in which an action that it names by its id is a link to it."""
    parts = re.split(r"\b([0-9A-HJKMNP-TV-Z]{26})\b", str(text))
    return format_html_join(
        "",
        "{}",
        (
            (format_html('<a href="{}">{}</a>', reverse("action", args=[part]), part) if at % 2 else part,)
            for at, part in enumerate(parts)
        ),
    )


@register.filter
def tail(arn: str) -> str:
    """The part of an ARN that tells resources apart; other text unchanged."""
    text = str(arn)
    return text.split(":", 5)[-1] if text.startswith("arn:") and text.count(":") >= 5 else text


@register.filter
def shell_for(status: int) -> str:
    """Which frame an error page stands in: after a failure of our own, one that asks the database nothing."""
    return "bare.html" if int(status) >= 500 else "shell.html"


@register.filter
def state_word(status: str) -> str:
    """A status of the queue's filter in the middle of a sentence: `taken`, `in an incident`."""
    return {"acknowledged": "taken", "escalated": "in an incident"}.get(status, status)


@register.filter
def state_words(word: str) -> str:
    """The usual words of a state, as `state` draws it."""
    return STATE_WORDS.get(word, word.replace("_", " ").capitalize())


@register.filter
def in_ref(ref: str) -> str:
    """`In INC-2026-0042`."""
    return f"In {ref}"


@register.filter
def door_word(door: str) -> str:
    """How a document came: `webhook` of a door that names one hook of several."""
    return str(door).split(":", maxsplit=1)[0]


@register.filter
def thousands(number: int) -> str:
    """`1,187`."""
    return f"{number:,}"


@register.filter
def plural_s(count: str) -> str:
    """The `s` after a count that may be text (`1000+`); nothing after exactly one."""
    return "" if str(count) == "1" else "s"


@register.filter
def unlocalized(number: float) -> str:
    """A number for an SVG attribute: a point, no grouping, no needless zeros."""
    return f"{number:.1f}".removesuffix(".0")


@register.filter
def contained_at(at: datetime | None) -> str:
    """`Contained 02:17:21`."""
    return f"Contained {hms_day(at)}".rstrip()


@register.filter
def tier_word(tier: int) -> str:
    """What a tier means."""
    return {0: "evidence", 1: "reversible", 2: "disruptive", 3: "irreversible"}.get(int(tier), "")


@register.filter
def progress_words(view: Any) -> str:
    """`Applying, step 4 of 5` of an action's view."""
    return f"Applying, step {min(view.done + 1, len(view.steps))} of {len(view.steps)}"
