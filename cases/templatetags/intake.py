"""How intake's pages write what they show: states, sizes, reasons. All output is escaped."""

from __future__ import annotations

from datetime import datetime

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from cases.source_health import Cell, Hearing
from cases.source_words import alarm_of
from lib import clock, durations

register = template.Library()

HELD = {
    "waiting": ("waiting", "Waiting"),
    "replayed": ("escalated", "Replayed"),
    "discarded": ("dismissed", "Put aside"),
}
HEALTH = {
    "failing": ("failed", "failed"),
    "fell_silent": ("open", "open"),
    "never_heard": ("open", "open"),
    "healthy": ("verified", "verified"),
    "quiet": ("none", "none"),
}
PLACES = {"unused": "Not used", "unheard": "Unheard", "waiting": "Not yet"}
REASONS = (
    ("not a document of any known source", "It was read, but no source knows this kind of document."),
    ("not UTF-8", "Text comes as UTF-8. These bytes are something else, or were cut."),
    ("not JSON", "It is not JSON from the place named on."),
    ("more follows", "One document ended, and what follows is no other."),
    ("nested deeper", "More levels within one another than any sender needs. They are not followed."),
    ("larger than", "More than one body may hold."),
    ("empty", "Nothing was in the body."),
    ("lies in the future", "A time lies more than a day ahead. No clock is meant, so nothing was stored."),
    ("not a time", "A time is expected there, as in RFC 3339."),
    ("its id is in use", "Another team has an alert of this id. Neither team is told more of the other's."),
)
OTHERWISE = "The document was read as far as the place named, and breaks a rule of its source there."


@register.simple_tag
def held_state(word: str) -> SafeString:
    """Drawing and word of what became of an item in quarantine."""
    drawing, says = HELD[word]
    return format_html(
        '<span class="state" data-state="{0}"><svg class="glyph" aria-hidden="true">'
        '<use href="#st-{0}"/></svg>{1}</span>',
        drawing,
        says,
    )


@register.filter(name="bytes")
def size(number: int) -> str:
    """`812 bytes`, `4.2 kB`, `3.1 MB`."""
    if number < 1000:
        return f"{number} byte{'' if number == 1 else 's'}"
    return f"{number / 1000:.1f} kB" if number < 1_000_000 else f"{number / 1_000_000:.1f} MB"


@register.filter
def reason_words(reason: str) -> str:
    """What the reason means, for someone who sees it for the first time."""
    return next((words for known, words in REASONS if reason.startswith(known)), OTHERWISE)


@register.filter
def pointer_words(pointer: str) -> str:
    """What a JSON pointer leads to: `item 4 of the body` where it is nothing but a number."""
    number = pointer.removeprefix("/")
    if number.isascii() and number.isdigit() and len(number) < 7:
        return f"item {int(number) + 1} of the body"
    return "in the document"


@register.filter
def sent_words(source: str) -> str:
    """What being sent as that source means."""
    return "the sender left it to Quell to find out whose it is" if source == "auto" else ""


@register.simple_tag
def health(word: str, says: str, expected: int) -> SafeString:
    """Drawing and word of how a source is; the mark of what is proven only where silence would be noticed."""
    drawing, tone = HEALTH[word] if expected or word != "healthy" else ("applied", "applied")
    return format_html(
        '<span class="state" data-state="{}"><svg class="glyph" aria-hidden="true">'
        '<use href="#st-{}"/></svg>{}</span>',
        tone,
        drawing,
        says,
    )


@register.simple_tag
def place(cell: Cell, name: str, source: str = "") -> SafeString:
    """One cell of the matrix: drawing and words; where an alarm is raised, a link to it."""
    state = cell.hearing.value
    if cell.hearing in {Hearing.UNUSED, Hearing.UNHEARD, Hearing.WAITING}:
        return format_html('<td data-cell="{}" data-label="{}">{}</td>', state, cell.region, PLACES[state])
    if cell.hearing is Hearing.HEARD:
        return format_html(
            '<td data-cell="heard" data-label="{}" title="{}"><svg class="glyph" aria-hidden="true">'
            '<use href="#st-applied"/></svg>{}</td>',
            cell.region,
            _last(cell),
            _age(cell.last_at),
        )
    is_never = cell.hearing is Hearing.NEVER
    return format_html(
        '<td data-cell="{}" data-label="{}" title="{}"><a href="{}"><svg class="glyph" aria-hidden="true">'
        '<use href="#st-{}"/></svg>{}</a></td>',
        state,
        cell.region,
        _last(cell),
        alarm_of(source, name, cell.region, is_never=is_never),
        "open" if is_never else "failed",
        "Never" if is_never else f"Silent {_age(cell.since)}",
    )


def _age(at: datetime | None) -> str:
    return durations.coarse(clock.now() - at) if at else ""


def _last(cell: Cell) -> str:
    return f"last heard {cell.last_at:%Y-%m-%d %H:%M:%S} UTC" if cell.last_at else "not heard once"
