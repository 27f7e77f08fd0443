"""How a figure is written on the metrics pages."""

from __future__ import annotations

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from lib import durations

register = template.Library()

FROM_HERE_MINUTES = 600


def rounded(seconds: int) -> str:
    """`46 min`, `2 h 5 min`, `8 min 36 s`: from ten minutes up seconds are noise, so to the minute."""
    return durations.in_words(round(seconds / 60) * 60 if seconds >= FROM_HERE_MINUTES else seconds)


@register.simple_tag
def figure(seconds: int | None) -> SafeString:
    """The rounded length; its exact seconds are in the element's `value`, and in words on hover."""
    if seconds is None:
        return SafeString()
    return format_html(
        '<data value="{}" title="{}">{}</data>', seconds, durations.in_words(seconds), rounded(seconds)
    )
